"""Statements over HTTP, as JSON and as CSV.

Of the application's state: `database` and `clock`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Final

import msgspec
from litestar import Controller, Response, get
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from exchange.claims import burn, statements
from exchange.claims.models import ID_MAX
from exchange.claims.statement_models import (
    BurnPoint,
    ClaimStatement,
    ProgrammeStatement,
    ReceivableStatement,
)
from exchange.kit.auth import READERS
from exchange.kit.csv_file import CSV_TYPE, csv_bytes
from exchange.kit.errors import Faults
from exchange.kit.fields import ProgrammeIdText, TimeText, time_us, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_described import produces
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, page_of, place_in
from exchange.kit.http_request import ApiRequest

_CLAIMS: Final = "statement_claims"


class StatementQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which moment a statement is, now unless told, and of which programme, all unless told."""

    as_of: TimeText | None = None
    programme_id: ProgrammeIdText | None = None


class ClaimStatementQuery(StatementQuery, frozen=True, kw_only=True):
    """Which page of the claims of a moment."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class BurnQuery(StatementQuery, frozen=True, kw_only=True):
    """How many points of a burn, at the ends of hours or of days; the last is the moment itself."""

    interval: burn.Interval = "day"
    points: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = burn.POINTS_DEFAULT


def _wanted(request: ApiRequest, query: StatementQuery, faults: Faults) -> tuple[int, int | None]:
    """Return the moment in microseconds and the programme's id, or raise `InvalidInput` with all faults."""
    at_us = time_us(faults, "?as_of", query.as_of)
    programme_id = typed_id(faults, "?programme_id", "prg", query.programme_id)
    now_us: int = request.app.state.clock.now_us()
    if at_us is not None and at_us > now_us:
        faults.add("?as_of", "out_of_range", "must not be in the future", query.as_of)
    faults.raise_if_any()
    return now_us if at_us is None else at_us, programme_id


def _csv_of(rows: Sequence[msgspec.Struct]) -> bytes:
    return csv_bytes([msgspec.structs.astuple(row) for row in rows])


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}.csv"'}


def _file(name: str, row_type: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> Response[bytes]:
    content = csv_bytes([row_type.__struct_fields__]) + _csv_of(rows)
    return Response(content, media_type=CSV_TYPE, headers=_attached(name))


class StatementsController(Controller):
    """What programmes, receivables and claims were at a moment.

    Once it has passed and what was under way at it has committed, some seconds later, it stays the same.
    """

    path = "/v1/statements"
    tags = ("Vouchers",)

    async def _programmes(self, request: ApiRequest) -> list[ProgrammeStatement]:
        as_of_us, programme_id = _wanted(request, *request.query_with_holes(StatementQuery))
        async with request.app.state.database.connection() as connection:
            return await statements.programme_statements(
                connection, request.principal, as_of_us, programme_id
            )

    async def _receivables(self, request: ApiRequest) -> list[ReceivableStatement]:
        as_of_us, programme_id = _wanted(request, *request.query_with_holes(StatementQuery))
        async with request.app.state.database.connection() as connection:
            return await statements.receivable_statements(
                connection, request.principal, as_of_us, programme_id
            )

    @get("/programmes", opt=requires(*READERS, query=StatementQuery), summary="Statement of programmes")
    async def programmes(self, request: ApiRequest) -> Page[ProgrammeStatement]:
        """Return where the money of an issuer's programmes was at a moment, all on one page."""
        return Page(await self._programmes(request))

    @get(
        "/programmes/export",
        opt=requires(*READERS, query=StatementQuery) | produces(CSV_TYPE),
        summary="Statement of programmes as CSV",
    )
    async def export_programmes(self, request: ApiRequest) -> Response[bytes]:
        """Return the same as a file."""
        return _file("programmes", ProgrammeStatement, await self._programmes(request))

    async def _burn(self, request: ApiRequest) -> list[BurnPoint]:
        query, faults = request.query_with_holes(BurnQuery)
        as_of_us, programme_id = _wanted(request, query, faults)
        moments_us = burn.moments_of(as_of_us, query.interval, query.points)
        async with request.app.state.database.connection() as connection:
            return await burn.burn_of(connection, request.principal, moments_us, programme_id)

    @get("/programmes/burn", opt=requires(*READERS, query=BurnQuery), summary="How budgets burn")
    async def programme_burn(self, request: ApiRequest) -> Page[BurnPoint]:
        """Return how far the budget of an issuer's programmes, or of one, had gone, moment by moment.

        Points begin with the first budget; all are on one page.
        """
        return Page(await self._burn(request))

    @get(
        "/programmes/burn/export",
        opt=requires(*READERS, query=BurnQuery) | produces(CSV_TYPE),
        summary="How budgets burn, as CSV",
    )
    async def export_burn(self, request: ApiRequest) -> Response[bytes]:
        """Return the same as a file."""
        return _file("burn", BurnPoint, await self._burn(request))

    @get("/receivables", opt=requires(*READERS, query=StatementQuery), summary="Statement of receivables")
    async def receivables(self, request: ApiRequest) -> Page[ReceivableStatement]:
        """Return what a claimant, or each claimant of an issuer's programmes, had at a moment."""
        return Page(await self._receivables(request))

    @get(
        "/receivables/export",
        opt=requires(*READERS, query=StatementQuery) | produces(CSV_TYPE),
        summary="Statement of receivables as CSV",
    )
    async def export_receivables(self, request: ApiRequest) -> Response[bytes]:
        """Return the same as a file."""
        return _file("receivables", ReceivableStatement, await self._receivables(request))

    @get("/claims", opt=requires(*READERS, query=ClaimStatementQuery), summary="Statement of claims")
    async def claims(self, request: ApiRequest) -> Page[ClaimStatement]:
        """Return the caller's claims as they stood at a moment, newest first."""
        query, faults = request.query_with_holes(ClaimStatementQuery)
        before_id = place_in(_CLAIMS, query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
        as_of_us, programme_id = _wanted(request, query, faults)
        async with request.app.state.database.connection() as connection:
            found = await statements.claim_statements(
                connection,
                request.principal,
                as_of_us,
                programme_id,
                before_id=before_id,
                limit=query.limit + 1,
            )
        return page_of(
            _CLAIMS,
            found,
            query.limit,
            lambda claim: (claim.id,),
            lambda claim: statements.view_of_claim_then(claim, as_of_us),
        )

    @get(
        "/claims/export",
        opt=requires(*READERS, query=StatementQuery) | produces(CSV_TYPE),
        summary="Statement of claims as CSV",
    )
    async def export_claims(self, request: ApiRequest) -> Stream:
        """Stream every claim of the caller's as it stood at a moment; the file has no row limit."""
        as_of_us, programme_id = _wanted(request, *request.query_with_holes(StatementQuery))
        chunks = _claim_file(request, as_of_us, programme_id)
        return Stream(
            chunks,
            media_type=CSV_TYPE,
            headers=_attached("claims"),
            # Of a reader that went away as well: nothing else would close what it had left to read.
            background=BackgroundTask(chunks.aclose),
        )


async def _claim_file(request: ApiRequest, as_of_us: int, programme_id: int | None) -> AsyncGenerator[bytes]:
    yield csv_bytes([ClaimStatement.__struct_fields__])
    database = request.app.state.database
    async for rows in statements.all_claim_statements(database, request.principal, as_of_us, programme_id):
        yield _csv_of(rows)
