"""A market in which three programmes pay, for searches to drive and to hold a model to.

Every method is something that a participant can do, or a reading of what the exchange has stored. Whoever
calls it gets a refusal back as a value: what may be refused is for the test to say.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from exchange.claims import service as claims
from exchange.claims.models import Claim, ClaimStatus, WantedStep
from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import decode_id, encode_id
from exchange.ledger.models import CNY, Purpose
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.participants.service import create_trade_group
from exchange.products.list_price_models import NewListPrice
from exchange.products.list_prices import publish_list_price
from exchange.programmes.models import Programme, ProviderRule, RateTier
from exchange.settlement.leases import report_outage
from exchange.settlement.models import NewOutage
from exchange.vouchers import life
from exchange.vouchers.models import Voucher, VoucherStatus
from exchange.vouchers.service import list_vouchers
from tests.market_world import MarketWorld
from tests.plain_market import SeenLease
from tests.plain_vouchers import BPS, PlainRules

BUYERS: Final = 3
"""The first two are of one trade group."""
PROVIDERS: Final = 2
ISSUER_CASH_FEN: Final = 10**10


class Cash(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's cash: what it has, what of it is set aside, and what is in escrow for it."""

    own_fen: int
    pending_fen: int
    escrow_fen: int

    @property
    def free_fen(self) -> int:
        """What it can spend."""
        return self.own_fen - self.pending_fen


def number_of(prefix: str, text: str) -> int:
    """Return an id as the database has it."""
    number = decode_id(prefix, text)
    assert number is not None
    return number


def fen_of(text: str) -> int:
    """Return an amount of CNY, as the API tells it, in fen."""
    return int(text.replace(".", ""))


class VoucherMarket:
    """An issuer of three programmes, three buyers, two providers, on a running exchange with two products.

    Prices of the first product are near its reference, those of the second a few fen.
    """

    def __init__(self, world: MarketWorld) -> None:
        """Start with nobody."""
        self.world = world
        first, second = sorted(
            product.id for product in world.exchange.products.values() if product.lot_gpus == 1
        )[:2]
        self.products = (first, second)
        self.programmes: list[Programme] = []

    def reference(self, product: str) -> int:
        """Return the price that a cap by the reference price is of."""
        return self.world.exchange.products[product].reference_price_ticks

    async def open(self, cash_fen: int, list_prices: Sequence[int | None]) -> None:
        """Register everybody, give the buyers cash, and publish list prices of the first product."""
        world = self.world
        self.issuer = await world.join(ParticipantKind.ISSUER)
        await world.deposit(self.issuer, ISSUER_CASH_FEN)
        async with world.database.transaction() as connection:
            name = f"group of {self.issuer.participant_id}"
            group = await create_trade_group(connection, None, name, world.now_us)
        groups = (group.id, group.id, None)
        self.buyers = [await world.join(ParticipantKind.BUYER, trade_group_id=each) for each in groups]
        for buyer in self.buyers:
            await world.deposit(buyer, cash_fen)
        self.providers = [await world.join(ParticipantKind.PROVIDER) for _ in range(PROVIDERS)]
        for provider, price in zip(self.providers, list_prices, strict=True):
            if price is None:
                continue
            async with world.database.transaction() as connection:
                new = NewListPrice(price_cny_per_gpu_hour=format_cny(price))
                listed = await publish_list_price(connection, provider, self.products[0], new, world.now_us)
            world.exchange.list_prices.learn([listed])

    def admitted(self, everybody: bool) -> frozenset[int]:  # noqa: FBT001 - drawn by Hypothesis
        """Return the ids of all providers, or of the first."""
        return frozenset(each.participant_id for each in self.providers[: None if everybody else 1])

    async def start_programme(self, rules: PlainRules, budget_fen: int) -> Programme:
        """Start a programme by plain rules."""
        programme = await self.world.programme(
            self.issuer, _providers(rules), budget_fen=budget_fen, **_fields(rules)
        )
        self.programmes.append(programme)
        return programme

    async def change_rules(self, number: int, rules: PlainRules) -> None:
        """Put further rules in force at once."""
        world = self.world
        await world.change(self.issuer, self.programmes[number], provider=_providers(rules), **_fields(rules))
        async with world.database.connection() as connection:
            await world.exchange.programmes.refresh(connection)

    async def issue(self, number: int, buyer: Principal, fen: int) -> Voucher | Refusal:
        """Issue a voucher."""
        try:
            return await self.world.issue(self.issuer, self.programmes[number], buyer, fen)
        except Refusal as refusal:
            return refusal

    async def step_voucher(self, voucher_id: int, to: VoucherStatus) -> Voucher | Refusal:
        """Suspend, resume or revoke a voucher."""
        try:
            async with self.world.database.transaction() as connection:
                return await life.step_voucher(
                    connection, self.issuer, voucher_id, to, "because", self.world.now_us
                )
        except Refusal as refusal:
            return refusal

    async def ask(self, provider: Principal, product: str, **fields: Any) -> OrderView | Refusal:
        """Place an ask."""
        try:
            return await self.world.ask(provider, product, **fields)
        except Refusal as refusal:
            return refusal

    async def bid(self, buyer: Principal, product: str, **fields: Any) -> OrderView | Refusal:
        """Place a bid."""
        try:
            return await self.world.bid(buyer, product, **fields)
        except Refusal as refusal:
            return refusal

    async def bids(
        self, wanted: Sequence[tuple[Principal, str, dict[str, Any]]]
    ) -> list[OrderView | Refusal]:
        """Place bids at once, so that they are one batch of the exchange, in their order."""
        return await asyncio.gather(
            *(self.bid(buyer, product, **fields) for buyer, product, fields in wanted)
        )

    async def cancel(self, owner: Principal, order_id: int) -> OrderView | Refusal:
        """Withdraw an order."""
        try:
            return await self.world.exchange.orders.cancel(owner, order_id)
        except Refusal as refusal:
            return refusal

    async def fail(self, provider: Principal, lease_id: int, hour: int) -> Refusal | None:
        """Report that an hour of a lease is not delivered."""
        try:
            async with self.world.database.transaction() as connection:
                outage = NewOutage(hours=[format_hour(hour)], reason="fire")
                await report_outage(connection, provider, lease_id, outage, self.world.now_us)
        except Refusal as refusal:
            return refusal
        return None

    async def claim(self, number: int, claimant: Principal, *, submits: bool) -> Claim | Refusal:
        """Claim everything of a programme that is a claimant's."""
        make = claims.submit_claim if submits else claims.open_claim
        try:
            async with self.world.database.transaction() as connection:
                return await make(connection, claimant, self.programmes[number].id, self.world.now_us)
        except Refusal as refusal:
            return refusal

    async def step_claim(
        self, claim_id: int, to: ClaimStatus, by: Principal, fen: int | None = None
    ) -> Claim | Refusal:
        """Take a step of a claim."""
        wanted = WantedStep(to_status=to, reason="because", amount_fen=fen)
        try:
            async with self.world.database.transaction() as connection:
                return await claims.take_step(
                    connection, by, claim_id, wanted, self.world.now_us, self.world.accounts
                )
        except Refusal as refusal:
            return refusal

    async def orders_of(self, buyer: Principal) -> dict[int, OrderView]:
        """Return a buyer's orders as it sees them."""
        found = await self.world.exchange.orders.page(buyer, limit=500)
        return {number_of("ord", each.id): each for each in found}

    async def vouchers(self) -> dict[int, Voucher]:
        """Return every voucher of the issuer's."""
        async with self.world.database.connection() as connection:
            return {each.id: each for each in await list_vouchers(connection, self.issuer, limit=500)}

    async def leases(self, after_id: int) -> list[SeenLease]:
        """Return the fills of the buyers' bids after one, oldest first."""
        rows = await self._rows(
            "SELECT trade.*, array_agg(part.voucher_id) AS part_ids, array_agg(part.committed_fen) AS fen"
            " FROM trade JOIN lease_funding AS part ON part.lease_id = trade.id"
            " WHERE buyer_id = ANY ($1::bigint[]) AND trade.id > $2 GROUP BY trade.id ORDER BY trade.id",
            [each.participant_id for each in self.buyers],
            after_id,
        )
        return [
            SeenLease(
                id=row["id"],
                sequence=row["sequence"],
                bid_id=row["bid_order_id"],
                ask_id=row["ask_order_id"],
                buyer_id=row["buyer_id"],
                provider_id=row["provider_id"],
                price=row["price_ticks"],
                gpus=row["quantity_gpus"],
                starts_hour=row["starts_hour"],
                ends_hour=row["ends_hour"],
                voucher_fen=row["voucher_fen"],
                reimbursable_fen=row["reimbursable_fen"],
                parts=dict(zip(row["part_ids"], row["fen"], strict=True)),
            )
            for row in rows
        ]

    async def hours_moved(self) -> dict[tuple[int, int, bool], dict[int, int]]:
        """Return what left escrow for each (lease, hour, whether it was delivered): fen by voucher, or 0."""
        rows = await self._rows(
            "SELECT subject_id, delivery_hour, reason <> 'delivery_refund' AS delivered, reference,"
            " sum(amount_fen)::bigint AS fen"
            " FROM ledger_account AS account JOIN ledger_transfer ON debit_account_id = account.id"
            " WHERE participant_id = ANY ($1::bigint[]) AND purpose IN ('escrow', 'voucher_escrow')"
            " AND delivery_hour IS NOT NULL GROUP BY 1, 2, 3, 4",
            [each.participant_id for each in self.buyers],
        )
        found: dict[tuple[int, int, bool], dict[int, int]] = defaultdict(dict)
        for row in rows:
            key = row["subject_id"], row["delivery_hour"], row["delivered"]
            found[key][row["reference"]] = row["fen"]
        return found

    async def captures(self) -> dict[tuple[int, int, int], tuple[int, int]]:
        """Return (claimant, fen) of every captured (lease, hour, voucher)."""
        rows = await self._rows(
            "SELECT lease_id, delivery_hour, voucher_id, claimant_id, amount_fen FROM voucher_capture"
            " WHERE programme_id = ANY ($1::bigint[])",
            [each.id for each in self.programmes],
        )
        return {
            (row["lease_id"], row["delivery_hour"], row["voucher_id"]): (
                row["claimant_id"],
                row["amount_fen"],
            )
            for row in rows
        }

    async def uses(self) -> dict[tuple[int, int, int], int]:
        """Return what is used by (programme, year, company or group), where a cap counts that."""
        rows = await self._rows(
            "SELECT programme_id, year, subject_id, used_fen FROM programme_use"
            " WHERE programme_id = ANY ($1::bigint[])",
            [each.id for each in self.programmes],
        )
        return {
            (row["programme_id"], row["year"], row["subject_id"]): row["used_fen"]
            for row in rows
            if row["used_fen"]
        }

    async def cash(self, owners: Sequence[Principal]) -> dict[int, Cash]:
        """Return the cash of some participants."""
        ids = [each.participant_id for each in owners]
        rows = await self._rows(
            "SELECT participant_id, purpose, credits_posted_fen - debits_posted_fen AS fen,"
            " debits_pending_fen AS pending_fen FROM ledger_account"
            " WHERE participant_id = ANY ($1::bigint[]) AND asset = $2",
            ids,
            CNY,
        )
        by_account = {(row["participant_id"], row["purpose"]): row for row in rows}

        def fen_of(owner_id: int, purpose: Purpose, column: str = "fen") -> int:
            row = by_account.get((owner_id, purpose.value))
            return 0 if row is None else int(row[column])

        return {
            each: Cash(
                own_fen=fen_of(each, Purpose.CASH),
                pending_fen=fen_of(each, Purpose.CASH, "pending_fen"),
                escrow_fen=fen_of(each, Purpose.ESCROW),
            )
            for each in ids
        }

    async def _rows(self, statement: str, *arguments: object) -> Sequence[Any]:
        async with self.world.database.connection() as connection:
            rows: Sequence[Any] = await connection.fetch(statement, *arguments)
            return rows


def _providers(rules: PlainRules) -> ProviderRule:
    return ProviderRule(admitted=tuple(encode_id("par", each) for each in sorted(rules.admitted)))


def _fields(rules: PlainRules) -> dict[str, Any]:
    """Return plain rules as fields of a programme's."""
    stacks = rules.stacking == "ceiling"
    return {
        "rate_tiers": (RateTier(bps=rules.rate_bps),),
        "stacking": rules.stacking,
        "stacking_ceiling_bps": rules.ceiling_bps if stacks and rules.ceiling_bps < BPS else None,
        "mode": "reimburse" if rules.reimburses else "instant",
        "price_cap": rules.price_cap,
        "cap_per_year_fen": rules.cap_fen,
        "cap_basis": "group" if rules.caps_group and rules.cap_fen is not None else "entity",
        "cap_counts": "redeemed" if rules.caps_use else "issued",
        "validity_days": rules.validity_days,
    }
