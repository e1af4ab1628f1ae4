"""Checkpoints and proofs over HTTP.

Needs `proofs` (`Proofs`) and `questions` (`Questions`) in the application's state. Where the log stands is
open to anyone, as its use is that many keep it; the rest is for regulators, and each question on record.
"""

from http import HTTPStatus

from litestar import Controller, get
from litestar.params import FromPath

from exchange.kit.auth import Scope
from exchange.kit.http_auth import public, requires
from exchange.kit.http_described import refuses
from exchange.kit.http_pages import Page, page_of
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.oversight.models import AboutSomebody
from exchange.oversight.questions import Questions, check_reason, was_given
from exchange.transparency.models import (
    AskConsistency,
    CheckpointView,
    ConsistencyProof,
    ListCheckpoints,
    LogHead,
    TradeProof,
)
from exchange.transparency.proofs import Proofs

_CHECKPOINTS = "checkpoints"


def _proofs(request: ApiRequest) -> Proofs:
    proofs: Proofs = request.app.state.proofs
    return proofs


def _questions(request: ApiRequest) -> Questions:
    questions: Questions = request.app.state.questions
    return questions


@get("/v1/checkpoints/latest", opt=public(), tags=["Oversight"], summary="Where the sealed record stands")
async def latest_checkpoint(request: ApiRequest) -> LogHead:
    """Return the latest signed checkpoint of the record, and the keys that checkpoints are signed with."""
    return await _proofs(request).head()


@get(
    "/v1/checkpoints/consistency",
    opt=public(query=AskConsistency) | refuses(HTTPStatus.NOT_FOUND),
    tags=["Oversight"],
    summary="Prove that the sealed record only grew",
)
async def consistency(request: ApiRequest) -> ConsistencyProof:
    """Return the hashes by which one checkpoint is shown to go on from an earlier one."""
    query, faults = request.query_with_holes(AskConsistency)
    if was_given(query.old_size) and was_given(query.new_size) and query.old_size > query.new_size:
        faults.add("?old_size", "out_of_range", "must be at most new_size", query.old_size)
    faults.raise_if_any()
    return await _proofs(request).consistency(query.old_size, query.new_size)


class TransparencyController(Controller):
    """Signed checkpoints of the record, and proofs that a trade's records are under one."""

    path = "/v1/oversight"
    tags = ("Oversight",)
    opt = requires(Scope.AUDIT)

    @get("/checkpoints", opt=requires(Scope.AUDIT, query=ListCheckpoints), summary="List signed checkpoints")
    async def list_checkpoints(self, request: ApiRequest) -> Page[CheckpointView]:
        """Checkpoints of the record, oldest first: keep them, and hold the exchange to them."""
        query, after_size = request.listed(ListCheckpoints, _CHECKPOINTS, otherwise=0)

        async def answer() -> Page[CheckpointView]:
            rows = await _proofs(request).page(after_size, query.limit + 1)
            return page_of(_CHECKPOINTS, rows, query.limit, lambda row: (row.size,), lambda row: row)

        asked = {"after_size": after_size, "limit": query.limit}
        return await _questions(request).told(
            request.principal, "checkpoints", asked, answer, lambda page: len(page.data)
        )

    @get(
        "/trades/{trade_id:str}/proof",
        opt=requires(Scope.AUDIT, query=AboutSomebody) | refuses(HTTPStatus.CONFLICT),
        summary="Prove a trade",
    )
    async def trade_proof(self, request: ApiRequest, trade_id: FromPath[str]) -> TradeProof:
        """Return every record of a trade as it was sealed, with its audit path to a signed checkpoint.

        Anyone can check it with the public key alone (docs/verify_proof.py).
        """
        query, faults = request.query_with_holes(AboutSomebody)
        check_reason(query.reason, faults)
        faults.raise_if_any()
        value = id_in_path("trd", trade_id, "no such trade")
        asked = {"trade_id": trade_id, "reason": query.reason}
        return await _questions(request).told(
            request.principal, "trades/proof", asked, lambda: _proofs(request).trade(value)
        )
