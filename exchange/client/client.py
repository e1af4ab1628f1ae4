"""Every call of the public API that the command line and the demo make, typed.

A method is one request; lists are async iterators that follow the cursor. Methods raise `ApiProblem` for a
refusal and `Unreachable` where no usable answer came. A `once_key` is sent as the Idempotency-Key: the same
key and body have one effect and one answer, however often they are sent.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from exchange.applications.models import (
    AllocationView,
    ApplicationStepView,
    ApplicationView,
    NewApplication,
    NewApplicationStep,
    NewScore,
)
from exchange.claims.models import (
    ClaimBatchView,
    ClaimLineView,
    ClaimView,
    EvidenceView,
    NewClaim,
    NewClaimBatch,
    NewRejection,
    NewStep,
    StepView,
)
from exchange.client.models import OrderOutcome, OrderOutcomes, Ready, VenueTime
from exchange.client.transport import QueryValue, Transport, Unreachable
from exchange.kit.clock import parse_rfc3339
from exchange.ledger.models import AccountView, CashMovementView, NewCashMovement
from exchange.orders.many_models import NewOrders, SwitchView, WithdrawnOrders, WithdrawnView
from exchange.orders.models import AmendOrder, NewOrder, OrderView
from exchange.orders.preview_models import PreviewView
from exchange.participants.models import IssuedKey, NewKey, NewParticipant, ParticipantView
from exchange.products.list_price_models import ListPriceView, NewListPrice
from exchange.programmes.models import NewProgramme, NewVersion, ProgrammeView, VersionView
from exchange.programmes.step_models import NewProgrammeStep, ProgrammeStepView
from exchange.settlement.models import LeaseView, NewOutage
from exchange.settlement.trade_models import OwnTradeView
from exchange.vouchers.eligibility_models import EligibilityAnswer, EligibilityQuestion
from exchange.vouchers.models import NewVoucher, NewVoucherStep, VoucherStepView, VoucherView

PAGE_ROWS: Final = 1000
T = TypeVar("T")


class ClientPage(msgspec.Struct, frozen=True):
    """One page of a list, its rows still encoded."""

    data: list[msgspec.Raw]
    next_cursor: str | None = None


class ExchangeClient:
    """One exchange under one key. Use it as an async context manager, or close it."""

    def __init__(self, url: str, key: str = "", http: httpx.AsyncClient | None = None) -> None:
        """Name the exchange; nothing is sent yet. `http` lets several clients share connections."""
        self._transport = Transport(url, key, http)
        self._owns_http = http is None

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections that are the client's own."""
        if self._owns_http:
            await self._transport.close()

    async def venue_now_us(self) -> int:
        """Return venue time in microseconds."""
        time = await self.venue_time()
        now_us = parse_rfc3339(time.now_at)
        if now_us is None:
            raise Unreachable(f"the exchange gave {time.now_at!r} as its time")
        return now_us

    async def venue_time(self) -> VenueTime:
        """Return where venue time stands."""
        return await self._transport.call("GET", "/v1/time", VenueTime)

    async def ready(self) -> Ready:
        """Return whether the exchange takes orders."""
        return await self._transport.call("GET", "/readyz", Ready)

    async def place(self, order: NewOrder) -> OrderView:
        """Place one order; placing the same `client_order_id` again gives the stored outcome."""
        return await self._transport.call("POST", "/v1/orders", OrderView, body=order)

    async def order(self, order_id: str) -> OrderView:
        """Return one of your orders."""
        return await self._transport.call("GET", f"/v1/orders/{_segment(order_id)}", OrderView)

    async def place_all(self, orders: NewOrders) -> list[OrderOutcome]:
        """Place up to a thousand orders, and return what each came to, in their order."""
        answer = await self._transport.call("POST", "/v1/orders/batch", OrderOutcomes, body=orders)
        return answer.data

    async def preview(self, order: NewOrder) -> PreviewView:
        """Return what an order would do now; nothing is placed."""
        return await self._transport.call("POST", "/v1/orders/preview", PreviewView, body=order)

    async def amend(self, order_id: str, wish: AmendOrder, once_key: str | None = None) -> OrderView:
        """Change an order, or put another in its place; return what goes on, with its `priority`."""
        return await self._once("PATCH", f"/v1/orders/{_segment(order_id)}", OrderView, wish, once_key)

    async def cancel(self, order_id: str) -> OrderView:
        """Withdraw what is left of an order."""
        return await self._transport.call("DELETE", f"/v1/orders/{_segment(order_id)}", OrderView)

    async def cancel_all(self, **filters: QueryValue) -> list[WithdrawnView]:
        """Withdraw what is left of all your orders (`product`, `side`), and return what that was."""
        answer = await self._transport.call("DELETE", "/v1/orders", WithdrawnOrders, query=filters)
        return answer.data

    async def cancel_all_after(self, timeout_s: int) -> SwitchView:
        """Set, put off or (with 0) take away your dead man's switch."""
        body = {"timeout_s": timeout_s}
        return await self._transport.call("POST", "/v1/orders/cancel-all-after", SwitchView, body=body)

    def trades(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[OwnTradeView]:
        """Yield your trades, newest first (`product`, `order_id`, `traded_from`, `traded_until`)."""
        return self._list("/v1/trades", OwnTradeView, limit, filters)

    def orders(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[OrderView]:
        """Yield your orders, newest first as the exchange lists them."""
        return self._list("/v1/orders", OrderView, limit, filters)

    async def products(self, **filters: QueryValue) -> list[dict[str, Any]]:
        """Return what is traded, as the exchange describes it."""
        return [row async for row in self._list("/v1/products", dict[str, Any], PAGE_ROWS * 10, filters)]

    async def market(
        self, product: str, what: str, query: Mapping[str, QueryValue] | None = None
    ) -> dict[str, Any]:
        """Return a product's calendar, depth or ticker."""
        return await self._transport.call(
            "GET", f"/v1/market/{_segment(product)}/{what}", dict[str, Any], query=query
        )

    async def publish_list_price(self, product: str, new: NewListPrice) -> ListPriceView:
        """Publish, as a provider, your list price of a product."""
        path = f"/v1/products/{_segment(product)}/list-price"
        return await self._transport.call("PUT", path, ListPriceView, body=new)

    def list_prices(self, product: str, *, limit: int) -> AsyncIterator[ListPriceView]:
        """Yield the present list price of every provider that has one for a product."""
        return self._list(f"/v1/products/{_segment(product)}/list-prices", ListPriceView, limit, {})

    def list_price_history(
        self, product: str, *, limit: int, **filters: QueryValue
    ) -> AsyncIterator[ListPriceView]:
        """Yield every list price that was published for a product, newest first (`provider_id`)."""
        path = f"/v1/products/{_segment(product)}/list-prices/history"
        return self._list(path, ListPriceView, limit, filters)

    def leases(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[LeaseView]:
        """Yield your leases, as buyer or provider."""
        return self._list("/v1/leases", LeaseView, limit, filters)

    async def report_outage(self, lease_id: str, outage: NewOutage) -> None:
        """Say, as its provider, that hours of a lease are not delivered."""
        await self._once("POST", f"/v1/leases/{_segment(lease_id)}/outages", dict[str, Any], outage)

    def accounts(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[AccountView]:
        """Yield balances: your own, or as an operator anyone's (`participant_id`)."""
        return self._list("/v1/accounts", AccountView, limit, filters)

    async def deposit(self, movement: NewCashMovement, once_key: str | None = None) -> CashMovementView:
        """Book money in for a participant, as an operator."""
        return await self._once("POST", "/v1/deposits", CashMovementView, movement, once_key)

    async def create_participant(self, new: NewParticipant, once_key: str | None = None) -> ParticipantView:
        """Register a participant, as an operator."""
        return await self._once("POST", "/v1/participants", ParticipantView, new, once_key)

    async def me(self) -> ParticipantView:
        """Return the participant behind the key."""
        return await self._transport.call("GET", "/v1/participants/me", ParticipantView)

    async def create_key(self, new: NewKey) -> IssuedKey:
        """Make a key; its secret is in this answer and nowhere else."""
        return await self._once("POST", "/v1/keys", IssuedKey, new)

    async def create_programme(
        self, new: NewProgramme | msgspec.Raw, once_key: str | None = None
    ) -> ProgrammeView:
        """Open a voucher programme, as an issuer."""
        return await self._once("POST", "/v1/programmes", ProgrammeView, new, once_key)

    async def issue_voucher(self, new: NewVoucher, once_key: str | None = None) -> VoucherView:
        """Issue a voucher of your programme to a buyer."""
        return await self._once("POST", "/v1/vouchers", VoucherView, new, once_key)

    async def eligibility(self, question: EligibilityQuestion) -> EligibilityAnswer:
        """Return by whom an order of yours would be subsidised, how much, and if not why."""
        path = "/v1/vouchers/eligibility"
        return await self._transport.call("POST", path, EligibilityAnswer, body=question)

    def programmes(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[ProgrammeView]:
        """Yield the venue's programmes, newest first."""
        return self._list("/v1/programmes", ProgrammeView, limit, filters)

    def versions(self, programme_id: str, *, limit: int) -> AsyncIterator[VersionView]:
        """Yield the versions of a programme's rules, newest first."""
        return self._list(f"/v1/programmes/{_segment(programme_id)}/versions", VersionView, limit, {})

    async def add_version(self, programme_id: str, new: NewVersion | msgspec.Raw) -> VersionView:
        """Give your programme further rules."""
        path = f"/v1/programmes/{_segment(programme_id)}/versions"
        return await self._once("POST", path, VersionView, new)

    async def step_programme(self, programme_id: str, step: NewProgrammeStep) -> ProgrammeView:
        """Open a draft of yours, or close a programme for good."""
        path = f"/v1/programmes/{_segment(programme_id)}/steps"
        return await self._once("POST", path, ProgrammeView, step)

    def programme_steps(self, programme_id: str, *, limit: int) -> AsyncIterator[ProgrammeStepView]:
        """Yield the steps that a programme has taken, in order."""
        return self._list(f"/v1/programmes/{_segment(programme_id)}/steps", ProgrammeStepView, limit, {})

    async def voucher(self, voucher_id: str) -> VoucherView:
        """Return one of your vouchers, or of your programmes'."""
        return await self._transport.call("GET", f"/v1/vouchers/{_segment(voucher_id)}", VoucherView)

    async def step_voucher(self, voucher_id: str, step: NewVoucherStep) -> VoucherView:
        """Suspend, resume or revoke a voucher of your programme."""
        return await self._once("POST", f"/v1/vouchers/{_segment(voucher_id)}/steps", VoucherView, step)

    def steps_of_voucher(self, voucher_id: str, *, limit: int) -> AsyncIterator[VoucherStepView]:
        """Yield what became of one voucher, in order."""
        return self._list(f"/v1/vouchers/{_segment(voucher_id)}/steps", VoucherStepView, limit, {})

    def voucher_steps(self, *, limit: int) -> AsyncIterator[VoucherStepView]:
        """Yield what became of your vouchers, newest first."""
        return self._list("/v1/vouchers/steps", VoucherStepView, limit, {})

    def vouchers(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[VoucherView]:
        """Yield your vouchers, or as an issuer those of your programmes."""
        return self._list("/v1/vouchers", VoucherView, limit, filters)

    async def apply(self, new: NewApplication, once_key: str | None = None) -> ApplicationView:
        """Apply, as a buyer, to a programme for a voucher."""
        return await self._once("POST", "/v1/applications", ApplicationView, new, once_key)

    def applications(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[ApplicationView]:
        """Yield your applications, or as an issuer those to your programmes, newest first."""
        return self._list("/v1/applications", ApplicationView, limit, filters)

    async def application(self, application_id: str) -> ApplicationView:
        """Return one application that you made, or that was made to you."""
        return await self._transport.call(
            "GET", f"/v1/applications/{_segment(application_id)}", ApplicationView
        )

    def application_steps(self, application_id: str, *, limit: int) -> AsyncIterator[ApplicationStepView]:
        """Yield the steps that an application has taken, in order."""
        return self._list(
            f"/v1/applications/{_segment(application_id)}/steps", ApplicationStepView, limit, {}
        )

    async def step_application(self, application_id: str, step: NewApplicationStep) -> ApplicationView:
        """Approve or reject an application to you, or withdraw one of yours."""
        path = f"/v1/applications/{_segment(application_id)}/steps"
        return await self._once("POST", path, ApplicationView, step)

    async def score_application(self, application_id: str, score: NewScore) -> ApplicationView:
        """Give an application to you a score."""
        path = f"/v1/applications/{_segment(application_id)}/score"
        return await self._once("POST", path, ApplicationView, score)

    async def allocate(self, programme_id: str) -> AllocationView:
        """Decide all scored applications to your programme at once."""
        path = f"/v1/programmes/{_segment(programme_id)}/allocation"
        return await self._once("POST", path, AllocationView)

    async def submit_claim(self, new: NewClaim) -> ClaimView:
        """Claim, as a provider or a reimbursed company, all that was captured for you under a programme."""
        return await self._once("POST", "/v1/claims", ClaimView, new)

    async def submit_claims(self, new: NewClaimBatch) -> ClaimBatchView:
        """Claim, as a provider or a reimbursed company, under several programmes at once."""
        return await self._once("POST", "/v1/claims/batch", ClaimBatchView, new)

    def claims(self, *, limit: int, **filters: QueryValue) -> AsyncIterator[ClaimView]:
        """Yield the claims you made, or as an issuer those made on you."""
        return self._list("/v1/claims", ClaimView, limit, filters)

    async def approve_claim(self, claim_id: str) -> ClaimView:
        """Approve a claim on you."""
        return await self._once("POST", f"/v1/claims/{_segment(claim_id)}/approve", ClaimView)

    async def reject_claim(self, claim_id: str, rejection: NewRejection) -> ClaimView:
        """Reject a claim on you; its lines may be claimed again."""
        return await self._once("POST", f"/v1/claims/{_segment(claim_id)}/reject", ClaimView, rejection)

    async def pay_claim(self, claim_id: str) -> ClaimView:
        """Pay an approved claim from your cash."""
        return await self._once("POST", f"/v1/claims/{_segment(claim_id)}/pay", ClaimView)

    async def step_claim(self, claim_id: str, step: NewStep) -> ClaimView:
        """Take the next step of a claim that is yours to take."""
        return await self._once("POST", f"/v1/claims/{_segment(claim_id)}/steps", ClaimView, step)

    async def claim(self, claim_id: str) -> ClaimView:
        """Return one claim that you made, or that was made on you."""
        return await self._transport.call("GET", f"/v1/claims/{_segment(claim_id)}", ClaimView)

    def claim_steps(self, claim_id: str, *, limit: int) -> AsyncIterator[StepView]:
        """Yield the steps that a claim has taken, in order."""
        return self._list(f"/v1/claims/{_segment(claim_id)}/steps", StepView, limit, {})

    def claim_lines(self, claim_id: str, *, limit: int) -> AsyncIterator[ClaimLineView]:
        """Yield the delivered hours that a claim is made of, in order."""
        return self._list(f"/v1/claims/{_segment(claim_id)}/lines", ClaimLineView, limit, {})

    async def claim_evidence(self, claim_id: str) -> list[EvidenceView]:
        """Return what is attached to a claim, oldest first."""
        path = f"/v1/claims/{_segment(claim_id)}/evidence"
        page = await self._transport.call("GET", path, ClientPage)
        return [msgspec.json.decode(row, type=EvidenceView) for row in page.data]

    async def attach_evidence(
        self, claim_id: str, *, name: str, content_type: str, content: bytes
    ) -> EvidenceView:
        """Attach a file to a claim of yours."""
        return await self._transport.call(
            "POST",
            f"/v1/claims/{_segment(claim_id)}/evidence",
            EvidenceView,
            query={"name": name},
            body=content,
            headers={"Idempotency-Key": secrets.token_hex(16), "Content-Type": content_type},
        )

    async def read_evidence(self, claim_id: str, evidence_id: str) -> bytes:
        """Return a file that is attached to a claim."""
        path = f"/v1/claims/{_segment(claim_id)}/evidence/{_segment(evidence_id)}"
        return await self._transport.call("GET", path, bytes)

    def export_statement(
        self, name: str, *, as_of: str | None, programme_id: str | None
    ) -> AsyncIterator[bytes]:
        """Yield a statement as CSV: `programmes`, `receivables` or `claims`, as of a time or as of now."""
        query = {"as_of": as_of, "programme_id": programme_id}
        return self._transport.stream(f"/v1/statements/{_segment(name)}/export", query=query)

    def export_trades(
        self, file_format: str, *, since: str | None, until: str | None, product: str | None
    ) -> AsyncIterator[bytes]:
        """Yield the venue's trades as CSV or NDJSON, for a key with the scope `audit`."""
        query = {"format": file_format, "traded_from": since, "traded_until": until, "product": product}
        return self._transport.stream("/v1/oversight/trades/export", query=query)

    async def _once(
        self, method: str, path: str, answer: type[T], body: object = None, once_key: str | None = None
    ) -> T:
        headers = {"Idempotency-Key": once_key or secrets.token_hex(16)}
        return await self._transport.call(method, path, answer, body=body, headers=headers)

    async def _list(
        self, path: str, row_type: type[T], limit: int, filters: Mapping[str, QueryValue]
    ) -> AsyncIterator[T]:
        cursor: str | None = None
        missing = limit
        while missing > 0:
            query = {**filters, "limit": min(missing, PAGE_ROWS), "cursor": cursor}
            page = await self._transport.call("GET", path, ClientPage, query=query)
            for row in page.data[:missing]:
                yield msgspec.json.decode(row, type=row_type)
            missing -= len(page.data)
            cursor = page.next_cursor
            if cursor is None:
                return


def _segment(name: str) -> str:
    """Return an id as one part of a path, whatever it holds."""
    return quote(name, safe="")
