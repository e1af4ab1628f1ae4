"""Every call of the public API that the command line and the demo make, typed.

A method is one request; lists are async iterators that follow the cursor, to the end where no `limit` is
given. Methods raise `ApiProblem` for a refusal and `Unreachable` where no usable answer came. A `once_key` is
sent as the Idempotency-Key: the same key and body have one effect and one answer, however often they are
sent. Orders are in `orders`, what is told over WebSockets in `watching`, under the names of CCXT where it has
one.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.applications.models import (
    AdmissionView,
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
from exchange.client.alerts import AlertCalls
from exchange.client.calls import PAGE_ROWS, ClientPage, segment
from exchange.client.market import MarketCalls
from exchange.client.models import Ready, VenueTime
from exchange.client.orders import OrderCalls
from exchange.client.oversight import Oversight
from exchange.client.problems import Unreachable
from exchange.client.retrying import PATIENCE_S
from exchange.client.signing import SignedBy
from exchange.client.transport import QueryValue, Transport
from exchange.client.watching import WatchCalls
from exchange.kit.clock import parse_rfc3339
from exchange.ledger.models import CashMovementView, NewCashMovement
from exchange.orders.capacity_models import ImportView
from exchange.participants.models import BuyerView, IssuedKey, NewKey, NewParticipant, ParticipantView
from exchange.products.list_price_models import ListPriceView, NewListPrice
from exchange.programmes.models import NewProgramme, NewVersion, ProgrammeView, VersionView
from exchange.programmes.step_models import NewProgrammeStep, ProgrammeStepView
from exchange.settlement.models import LeaseView, NewOutage
from exchange.vouchers.eligibility_models import EligibilityAnswer, EligibilityQuestion
from exchange.vouchers.models import NewVoucher, NewVoucherStep, VoucherStepView, VoucherView


class ExchangeClient(OrderCalls, WatchCalls, MarketCalls, AlertCalls):
    """One exchange under one key. Use it as an async context manager, or close it."""

    def __init__(
        self,
        url: str,
        key: str = "",
        http: httpx.AsyncClient | None = None,
        *,
        signing_key: Ed25519PrivateKey | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Name the exchange; nothing is sent yet. `http` lets several clients share connections.

        With `signing_key` each request is signed, for a key that was made so; ValueError where `key` is none.
        What is safe to send again is for `patience_s`, where its answer is lost or says to come back.
        """
        signed_by = None if signing_key is None else SignedBy(key, signing_key)
        super().__init__(Transport(url, key, http, signed_by, patience_s))
        self._owns_http = http is None
        self.oversight = Oversight(self._transport)
        """What a regulator asks."""

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

    async def import_capacity(
        self, content: bytes, media_type: str, *, partial: bool = False, preview: bool = False
    ) -> ImportView:
        """List the asks of a file, text/csv or application/x-ndjson: all or none, or with `partial` the good.

        Raises `ApiProblem` (lines_refused) with every line at fault. Sent again it places nothing twice.
        """
        query = {"partial": str(partial).lower(), "preview": str(preview).lower()}
        headers = {"Content-Type": media_type}
        return await self._transport.call(
            "POST", "/v1/capacity/import", ImportView, query=query, body=content, headers=headers
        )

    async def products(self, **filters: QueryValue) -> list[dict[str, Any]]:
        """Return what is traded, as the exchange describes it."""
        return [row async for row in self._list("/v1/products", dict[str, Any], PAGE_ROWS * 10, filters)]

    async def market(
        self, product: str, what: str, query: Mapping[str, QueryValue] | None = None
    ) -> dict[str, Any]:
        """Return a product's calendar, depth or ticker."""
        return await self._transport.call(
            "GET", f"/v1/market/{segment(product)}/{what}", dict[str, Any], query=query
        )

    async def publish_list_price(self, product: str, new: NewListPrice) -> ListPriceView:
        """Publish, as a provider, your list price of a product."""
        path = f"/v1/products/{segment(product)}/list-price"
        return await self._transport.call("PUT", path, ListPriceView, body=new, again=True)

    def list_prices(self, product: str, *, limit: int | None = None) -> AsyncIterator[ListPriceView]:
        """Yield the present list price of every provider that has one for a product."""
        return self._list(f"/v1/products/{segment(product)}/list-prices", ListPriceView, limit, {})

    def list_price_history(
        self, product: str, *, limit: int | None = None, **filters: QueryValue
    ) -> AsyncIterator[ListPriceView]:
        """Yield every list price that was published for a product, newest first (`provider_id`)."""
        path = f"/v1/products/{segment(product)}/list-prices/history"
        return self._list(path, ListPriceView, limit, filters)

    def leases(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[LeaseView]:
        """Yield your leases, as buyer or provider."""
        return self._list("/v1/leases", LeaseView, limit, filters)

    async def report_outage(self, lease_id: str, outage: NewOutage) -> None:
        """Say, as its provider, that hours of a lease are not delivered."""
        await self._once("POST", f"/v1/leases/{segment(lease_id)}/outages", dict[str, Any], outage)

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

    def find_buyers(self, search: str, *, limit: int | None = None) -> AsyncIterator[BuyerView]:
        """Yield, to an issuer, the active buyers with a text in their name, or the one of an id."""
        return self._list("/v1/buyers", BuyerView, limit, {"search": search})

    async def issue_voucher(self, new: NewVoucher, once_key: str | None = None) -> VoucherView:
        """Issue a voucher of your programme to a buyer."""
        return await self._once("POST", "/v1/vouchers", VoucherView, new, once_key)

    async def eligibility(self, question: EligibilityQuestion) -> EligibilityAnswer:
        """Return by whom an order of yours would be subsidised, how much, and if not why."""
        path = "/v1/vouchers/eligibility"
        return await self._transport.call("POST", path, EligibilityAnswer, body=question, again=True)

    def programmes(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[ProgrammeView]:
        """Yield the venue's programmes, newest first."""
        return self._list("/v1/programmes", ProgrammeView, limit, filters)

    def versions(self, programme_id: str, *, limit: int | None = None) -> AsyncIterator[VersionView]:
        """Yield the versions of a programme's rules, newest first."""
        return self._list(f"/v1/programmes/{segment(programme_id)}/versions", VersionView, limit, {})

    async def add_version(self, programme_id: str, new: NewVersion | msgspec.Raw) -> VersionView:
        """Give your programme further rules."""
        path = f"/v1/programmes/{segment(programme_id)}/versions"
        return await self._once("POST", path, VersionView, new)

    async def step_programme(self, programme_id: str, step: NewProgrammeStep) -> ProgrammeView:
        """Open a draft of yours, or close a programme for good."""
        path = f"/v1/programmes/{segment(programme_id)}/steps"
        return await self._once("POST", path, ProgrammeView, step)

    def programme_steps(
        self, programme_id: str, *, limit: int | None = None
    ) -> AsyncIterator[ProgrammeStepView]:
        """Yield the steps that a programme has taken, in order."""
        return self._list(f"/v1/programmes/{segment(programme_id)}/steps", ProgrammeStepView, limit, {})

    async def voucher(self, voucher_id: str) -> VoucherView:
        """Return one of your vouchers, or of your programmes'."""
        return await self._transport.call("GET", f"/v1/vouchers/{segment(voucher_id)}", VoucherView)

    async def step_voucher(self, voucher_id: str, step: NewVoucherStep) -> VoucherView:
        """Suspend, resume or revoke a voucher of your programme."""
        return await self._once("POST", f"/v1/vouchers/{segment(voucher_id)}/steps", VoucherView, step)

    def steps_of_voucher(
        self, voucher_id: str, *, limit: int | None = None
    ) -> AsyncIterator[VoucherStepView]:
        """Yield what became of one voucher, in order."""
        return self._list(f"/v1/vouchers/{segment(voucher_id)}/steps", VoucherStepView, limit, {})

    def voucher_steps(self, *, limit: int | None = None) -> AsyncIterator[VoucherStepView]:
        """Yield what became of your vouchers, newest first."""
        return self._list("/v1/vouchers/steps", VoucherStepView, limit, {})

    def vouchers(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[VoucherView]:
        """Yield your vouchers, or as an issuer those of your programmes."""
        return self._list("/v1/vouchers", VoucherView, limit, filters)

    async def apply(self, new: NewApplication, once_key: str | None = None) -> ApplicationView:
        """Apply, as a buyer, to a programme for a voucher."""
        return await self._once("POST", "/v1/applications", ApplicationView, new, once_key)

    async def may_apply(self, programme_id: str) -> AdmissionView:
        """Return whether you may apply to a programme now, for how much, and each rule that says so."""
        path = f"/v1/programmes/{segment(programme_id)}/eligibility"
        return await self._transport.call("GET", path, AdmissionView)

    async def may_be_granted(self, application_id: str) -> AdmissionView:
        """Return whether an application could be granted now, of how much, and each rule that says so."""
        path = f"/v1/applications/{segment(application_id)}/eligibility"
        return await self._transport.call("GET", path, AdmissionView)

    def applications(
        self, *, limit: int | None = None, **filters: QueryValue
    ) -> AsyncIterator[ApplicationView]:
        """Yield your applications, or as an issuer those to your programmes, newest first."""
        return self._list("/v1/applications", ApplicationView, limit, filters)

    async def application(self, application_id: str) -> ApplicationView:
        """Return one application that you made, or that was made to you."""
        return await self._transport.call(
            "GET", f"/v1/applications/{segment(application_id)}", ApplicationView
        )

    def application_steps(
        self, application_id: str, *, limit: int | None = None
    ) -> AsyncIterator[ApplicationStepView]:
        """Yield the steps that an application has taken, in order."""
        return self._list(f"/v1/applications/{segment(application_id)}/steps", ApplicationStepView, limit, {})

    async def step_application(self, application_id: str, step: NewApplicationStep) -> ApplicationView:
        """Approve or reject an application to you, or withdraw one of yours."""
        path = f"/v1/applications/{segment(application_id)}/steps"
        return await self._once("POST", path, ApplicationView, step)

    async def score_application(self, application_id: str, score: NewScore) -> ApplicationView:
        """Give an application to you a score."""
        path = f"/v1/applications/{segment(application_id)}/score"
        return await self._once("POST", path, ApplicationView, score)

    async def allocate(self, programme_id: str) -> AllocationView:
        """Decide all scored applications to your programme at once."""
        path = f"/v1/programmes/{segment(programme_id)}/allocation"
        return await self._once("POST", path, AllocationView)

    async def submit_claim(self, new: NewClaim) -> ClaimView:
        """Claim, as a provider or a reimbursed company, all that was captured for you under a programme."""
        return await self._once("POST", "/v1/claims", ClaimView, new)

    async def submit_claims(self, new: NewClaimBatch) -> ClaimBatchView:
        """Claim, as a provider or a reimbursed company, under several programmes at once."""
        return await self._once("POST", "/v1/claims/batch", ClaimBatchView, new)

    def claims(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[ClaimView]:
        """Yield the claims you made, or as an issuer those made on you."""
        return self._list("/v1/claims", ClaimView, limit, filters)

    async def approve_claim(self, claim_id: str) -> ClaimView:
        """Approve a claim on you."""
        return await self._once("POST", f"/v1/claims/{segment(claim_id)}/approve", ClaimView)

    async def reject_claim(self, claim_id: str, rejection: NewRejection) -> ClaimView:
        """Reject a claim on you; its lines may be claimed again."""
        return await self._once("POST", f"/v1/claims/{segment(claim_id)}/reject", ClaimView, rejection)

    async def pay_claim(self, claim_id: str) -> ClaimView:
        """Pay an approved claim from your cash."""
        return await self._once("POST", f"/v1/claims/{segment(claim_id)}/pay", ClaimView)

    async def step_claim(self, claim_id: str, step: NewStep) -> ClaimView:
        """Take the next step of a claim that is yours to take."""
        return await self._once("POST", f"/v1/claims/{segment(claim_id)}/steps", ClaimView, step)

    async def claim(self, claim_id: str) -> ClaimView:
        """Return one claim that you made, or that was made on you."""
        return await self._transport.call("GET", f"/v1/claims/{segment(claim_id)}", ClaimView)

    def claim_steps(self, claim_id: str, *, limit: int | None = None) -> AsyncIterator[StepView]:
        """Yield the steps that a claim has taken, in order."""
        return self._list(f"/v1/claims/{segment(claim_id)}/steps", StepView, limit, {})

    def claim_lines(self, claim_id: str, *, limit: int | None = None) -> AsyncIterator[ClaimLineView]:
        """Yield the delivered hours that a claim is made of, in order."""
        return self._list(f"/v1/claims/{segment(claim_id)}/lines", ClaimLineView, limit, {})

    async def claim_evidence(self, claim_id: str) -> list[EvidenceView]:
        """Return what is attached to a claim, oldest first."""
        path = f"/v1/claims/{segment(claim_id)}/evidence"
        page = await self._transport.call("GET", path, ClientPage)
        return [msgspec.json.decode(row, type=EvidenceView) for row in page.data]

    async def attach_evidence(
        self, claim_id: str, *, name: str, content_type: str, content: bytes
    ) -> EvidenceView:
        """Attach a file to a claim of yours."""
        return await self._transport.call(
            "POST",
            f"/v1/claims/{segment(claim_id)}/evidence",
            EvidenceView,
            query={"name": name},
            body=content,
            headers={"Idempotency-Key": secrets.token_hex(16), "Content-Type": content_type},
            again=True,
        )

    async def read_evidence(self, claim_id: str, evidence_id: str) -> bytes:
        """Return a file that is attached to a claim."""
        path = f"/v1/claims/{segment(claim_id)}/evidence/{segment(evidence_id)}"
        return await self._transport.call("GET", path, bytes)

    def export_statement(
        self, name: str, *, as_of: str | None, programme_id: str | None
    ) -> AsyncIterator[bytes]:
        """Yield a statement as CSV: `programmes`, `receivables` or `claims`, as of a time or as of now."""
        query = {"as_of": as_of, "programme_id": programme_id}
        return self._transport.stream(f"/v1/statements/{segment(name)}/export", query=query)

    def export_burn(
        self, *, as_of: str | None, programme_id: str | None, interval: str, points: int
    ) -> AsyncIterator[bytes]:
        """Yield how budgets burnt up to a time or to now, as CSV; points at ends of hours or days."""
        query = {"as_of": as_of, "programme_id": programme_id, "interval": interval, "points": points}
        return self._transport.stream("/v1/statements/programmes/burn/export", query=query)

    def export_trades(
        self,
        file_format: str,
        *,
        reason: str,
        since: str | None = None,
        until: str | None = None,
        product: str | None = None,
        zipped: bool = False,
        on_total: Callable[[int], None] | None = None,
    ) -> AsyncIterator[bytes]:
        """Yield the venue's trades as CSV, NDJSON or Parquet, for a key with the scope `audit`.

        `reason` goes to the record. `on_total` hears how many rows are to come, before the first byte.
        """
        query = {
            "format": file_format,
            "reason": reason,
            "traded_from": since,
            "traded_until": until,
            "product": product,
            "zip": "true" if zipped else None,
        }

        def hear(headers: Mapping[str, str]) -> None:
            if on_total is not None:
                on_total(int(headers["Export-Rows"]))

        return self._transport.stream("/v1/oversight/trades/export", query=query, on_headers=hear)
