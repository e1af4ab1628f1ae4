"""Evidence of claims over HTTP: a file is the body as it is, and comes back as it was.

Of the application's state: `database` and `clock`.
"""

import base64
from urllib.parse import quote

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath

from exchange.claims import evidence
from exchange.claims.models import EVIDENCE_BYTES_MAX, EvidenceView
from exchange.claims.routes import CLAIMERS, claim_in_path
from exchange.claims.rules import view_of_evidence
from exchange.kit.auth import READERS
from exchange.kit.database import Connection
from exchange.kit.http_auth import requires
from exchange.kit.http_described import produces
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.http_scope import header
from exchange.programmes.models import EvidenceName


class EvidenceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file is."""

    name: EvidenceName = "evidence"


class EvidenceController(Controller):
    """What a claim is proven by: its claimant attaches, whoever sees the claim reads."""

    path = "/v1/claims/{claim_id:str}/evidence"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(*CLAIMERS, query=EvidenceQuery, once=True, raw_body=True),
        status_code=201,
        request_max_body_size=EVIDENCE_BYTES_MAX,
        summary="Attach a file to a claim",
    )
    async def attach(self, request: ApiRequest, claim_id: FromPath[str]) -> Response[EvidenceView]:
        """Attach the body, a file of at most 10 MiB, to a claim of the caller's that is not decided yet."""
        value = claim_in_path(claim_id)
        name = request.query(EvidenceQuery).name
        content = await request.content()

        async def work(connection: Connection) -> EvidenceView:
            attached = await evidence.attach(
                connection,
                request.principal,
                value,
                name=name,
                content_type=header(request.scope, b"content-type"),
                content=content,
                now_us=request.app.state.clock.now_us(),
            )
            return view_of_evidence(attached)

        return await once(request, work)

    @get("", opt=requires(*READERS), summary="List a claim's evidence")
    async def list_all(self, request: ApiRequest, claim_id: FromPath[str]) -> Page[EvidenceView]:
        """Return what is attached to a claim, oldest first, all on one page."""
        value = claim_in_path(claim_id)
        async with request.app.state.database.connection() as connection:
            found = await evidence.list_evidence(connection, request.principal, value)
        return Page([view_of_evidence(each) for each in found])

    @get("/{evidence_id:str}", opt=requires(*READERS) | produces("*/*"), summary="Read a file of a claim")
    async def read(
        self, request: ApiRequest, claim_id: FromPath[str], evidence_id: FromPath[str]
    ) -> Response[bytes]:
        """Return the file, of the type it was attached with, for download."""
        value = claim_in_path(claim_id)
        number = id_in_path("evd", evidence_id, "there is no such evidence")
        async with request.app.state.database.connection() as connection:
            found = await evidence.read_evidence(connection, request.principal, value, number)
        digest = base64.b64encode(found.sha256).decode()
        return Response(
            found.content or b"",
            media_type=found.content_type,
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
                "Repr-Digest": f"sha-256=:{digest}:",
            },
        )
