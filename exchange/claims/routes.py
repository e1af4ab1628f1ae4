"""Claims over HTTP: opened, submitted, decided, paid, and what may follow.

Of the application's state: `database`, `clock` and `accounts` (the ledger's directory).
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.claims import service
from exchange.claims.batch import claim_batch
from exchange.claims.models import (
    ID_MAX,
    Claim,
    ClaimBatchView,
    ClaimLineView,
    ClaimStatus,
    ClaimView,
    NewClaim,
    NewClaimBatch,
    NewRejection,
    NewStep,
    StepView,
    WantedStep,
)
from exchange.claims.rules import find_step_faults, view_of_claim, view_of_line, view_of_outcome, view_of_step
from exchange.kit.auth import READERS, Scope
from exchange.kit.database import Connection
from exchange.kit.fields import ProgrammeIdText, money_fen, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_described import refuses
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, Part, page_of, parts_in, place_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest

_CLAIMS: Final = "claims"
_LINES: Final = "claim_lines"
_STEPS: Final = "claim_steps"
CLAIMERS: Final = (Scope.LIST_CAPACITY, Scope.TRADE)
_BEFORE_ANY: Final = (0, 0, 0)


class ClaimQuery(PageQuery, frozen=True, kw_only=True):
    """What narrows a list of claims."""

    programme_id: ProgrammeIdText | None = None
    status: ClaimStatus | None = None


def claim_in_path(text: str) -> int:
    """Return the number of a claim's id in a path, or raise `NotFound`."""
    return id_in_path("clm", text, "there is no such claim")


class ClaimsController(Controller):
    """Claims: a provider, or a reimbursed company, makes them; the programme's issuer decides and pays."""

    path = "/v1/claims"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(*CLAIMERS, keep_faults=True, once=True) | refuses(HTTPStatus.NOT_FOUND),
        status_code=201,
        summary="Claim what vouchers paid",
    )
    async def submit(self, request: ApiRequest, data: JSONBody[NewClaim]) -> Response[ClaimView]:
        """Claim all that was captured for the caller under a programme and is not claimed yet.

        The rules that hours were held under may say in how many claims those of a contract can be: the last
        one waits until the contract is wholly delivered and settled, and takes the rest.
        The claim is submitted at once, and may be drawn for audit; with `submit` false it stays open, where
        its issuer does not see it, until a step to submitted.
        """
        programme_id = typed_id(request.faults, "/programme_id", "prg", data.programme_id)
        if request.faults or programme_id is None:
            raise request.faults.refusal()
        make = service.submit_claim if data.submit else service.open_claim

        async def work(connection: Connection, now_us: int) -> Claim:
            return await make(connection, request.principal, programme_id, now_us)

        return await _claim_step(request, work, status=201)

    @post(
        "/batch",
        opt=requires(*CLAIMERS, keep_faults=True, once=True),
        status_code=200,
        summary="Claim under several programmes",
    )
    async def submit_batch(
        self, request: ApiRequest, data: JSONBody[NewClaimBatch]
    ) -> Response[ClaimBatchView]:
        """Claim under each programme named, or all with something to claim, each with its own outcome."""
        faults = request.faults
        given: Any = data.programme_ids  # UNSET where it is at fault
        named = given if isinstance(given, tuple) else ()
        ids = [typed_id(faults, f"/programme_ids/{index}", "prg", text) for index, text in enumerate(named)]
        faults.raise_if_any()

        async def work(connection: Connection) -> ClaimBatchView:
            outcomes = await claim_batch(
                connection,
                request.principal,
                [each for each in ids if each is not None],
                request.app.state.clock.now_us(),
                submit=data.submit,
            )
            return ClaimBatchView(data=[view_of_outcome(*each) for each in outcomes])

        return await once(request, work, status=200)

    @get("", opt=requires(*READERS, query=ClaimQuery), summary="List claims")
    async def list_all(self, request: ApiRequest) -> Page[ClaimView]:
        """Return the caller's claims, newest first."""
        query, faults = request.query_with_holes(ClaimQuery)
        programme_id = typed_id(faults, "?programme_id", "prg", query.programme_id)
        before_id = place_in(_CLAIMS, query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
        faults.raise_if_any()
        async with request.app.state.database.connection() as connection:
            found = await service.list_claims(
                connection,
                request.principal,
                programme_id=programme_id,
                status=query.status,
                before_id=before_id,
                limit=query.limit + 1,
            )
        return page_of(_CLAIMS, found, query.limit, lambda claim: (claim.id,), view_of_claim)

    @get("/{claim_id:str}", opt=requires(*READERS), summary="Read a claim")
    async def read(self, request: ApiRequest, claim_id: FromPath[str]) -> ClaimView:
        """Return one claim."""
        value = claim_in_path(claim_id)
        async with request.app.state.database.connection() as connection:
            return view_of_claim(await service.get_claim(connection, request.principal, value))

    @get("/{claim_id:str}/lines", opt=requires(*READERS, query=PageQuery), summary="List a claim's lines")
    async def lines(self, request: ApiRequest, claim_id: FromPath[str]) -> Page[ClaimLineView]:
        """Return the delivered hours that a claim is made of."""
        query, faults = request.query_with_holes(PageQuery)
        parts = parts_in(_LINES, query.cursor, faults, Part.ID, Part.HOUR, Part.ID)
        faults.raise_if_any()
        value = claim_in_path(claim_id)
        after = _BEFORE_ANY
        if parts is not None:
            lease_id, hour, voucher_id = parts
            after = int(lease_id), int(hour), int(voucher_id)
        async with request.app.state.database.connection() as connection:
            found = await service.list_claim_lines(
                connection, request.principal, value, after=after, limit=query.limit + 1
            )
        return page_of(
            _LINES,
            found,
            query.limit,
            lambda line: (line.lease_id, line.delivery_hour, line.voucher_id),
            view_of_line,
        )

    @get("/{claim_id:str}/steps", opt=requires(*READERS, query=PageQuery), summary="List a claim's steps")
    async def steps(self, request: ApiRequest, claim_id: FromPath[str]) -> Page[StepView]:
        """Return every step that a claim has taken, in order: who, when and why."""
        query, after = request.listed(PageQuery, _STEPS, Part.HOUR, otherwise=0)
        value = claim_in_path(claim_id)
        async with request.app.state.database.connection() as connection:
            found = await service.list_steps(
                connection, request.principal, value, after=after, limit=query.limit + 1
            )
        return page_of(_STEPS, found, query.limit, lambda step: (step.number,), view_of_step)

    @post(
        "/{claim_id:str}/steps",
        opt=requires(Scope.ISSUE, *CLAIMERS, keep_faults=True, once=True),
        status_code=200,
        summary="Take a claim's next step",
    )
    async def step(
        self, request: ApiRequest, claim_id: FromPath[str], data: JSONBody[NewStep]
    ) -> Response[ClaimView]:
        """Take the next step of a claim, as its claimant or as its programme's issuer.

        The claimant: submitted, in_audit (the answer to a query), recovered (pays a clawback). The issuer:
        in_audit, queried, approved, reduced, rejected, paid, closed, clawback_open, written_off.
        """
        value = claim_in_path(claim_id)
        faults = request.faults
        amount_fen = money_fen(faults, "/amount_cny", data.amount_cny)
        if isinstance(data.to, ClaimStatus):
            find_step_faults(data.to, data.reason, has_amount=amount_fen is not None, faults=faults)
        faults.raise_if_any()
        wanted = WantedStep(to_status=data.to, reason=data.reason, amount_fen=amount_fen)
        return await _take_step(request, value, wanted)

    @post(
        "/{claim_id:str}/approve",
        opt=requires(Scope.ISSUE, once=True),
        status_code=200,
        summary="Approve a claim",
    )
    async def approve(self, request: ApiRequest, claim_id: FromPath[str]) -> Response[ClaimView]:
        """Accept a claim whole; the same as a step to approved."""
        wanted = WantedStep(to_status=ClaimStatus.APPROVED)
        return await _take_step(request, claim_in_path(claim_id), wanted)

    @post(
        "/{claim_id:str}/reject",
        opt=requires(Scope.ISSUE, once=True),
        status_code=200,
        summary="Reject a claim",
    )
    async def reject(
        self, request: ApiRequest, claim_id: FromPath[str], data: JSONBody[NewRejection]
    ) -> Response[ClaimView]:
        """Turn a claim down; its claimant may claim the same hours again. The same as a step to rejected."""
        wanted = WantedStep(to_status=ClaimStatus.REJECTED, reason=data.reason)
        return await _take_step(request, claim_in_path(claim_id), wanted)

    @post(
        "/{claim_id:str}/pay",
        opt=requires(Scope.ISSUE, once=True) | refuses(HTTPStatus.PAYMENT_REQUIRED),
        status_code=200,
        summary="Pay a claim",
    )
    async def pay(self, request: ApiRequest, claim_id: FromPath[str]) -> Response[ClaimView]:
        """Pay an approved or reduced claim from the issuer's cash; the same as a step to paid."""
        wanted = WantedStep(to_status=ClaimStatus.PAID)
        return await _take_step(request, claim_in_path(claim_id), wanted)


async def _take_step(request: ApiRequest, claim_id: int, wanted: WantedStep) -> Response[ClaimView]:
    accounts = request.app.state.accounts

    async def work(connection: Connection, now_us: int) -> Claim:
        return await service.take_step(connection, request.principal, claim_id, wanted, now_us, accounts)

    return await _claim_step(request, work)


async def _claim_step(
    request: ApiRequest, work: Callable[[Connection, int], Awaitable[Claim]], *, status: int = 200
) -> Response[ClaimView]:
    """Take one step of a claim's life, once, at the venue's present time."""

    async def step(connection: Connection) -> ClaimView:
        return view_of_claim(await work(connection, request.app.state.clock.now_us()))

    return await once(request, step, status=status)
