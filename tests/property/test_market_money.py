"""Goal: no list of orders, amendments, cancels and outages makes or loses a fen, or makes a voucher cash.

Method: random command lists on the whole exchange with the real PostgreSQL. Each order is previewed first,
and comes to what the preview said. After every command a buyer never has more cash than it paid in, and every
voucher's parts sum to its face; what the journal has of it is what the reference book says to the same
commands; memory is what would be rebuilt. After every list the ledger's own check of all balances is empty,
and once all hours have passed nothing is left in escrow.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.kit.auth import Principal
from exchange.kit.errors import Faults, Refusal
from exchange.kit.ids import decode_id
from exchange.ledger.models import CNY, Purpose
from exchange.orders.models import OrderView, PlacedOrder
from exchange.orders.preview_models import PreviewView
from exchange.participants.models import ParticipantKind
from exchange.settlement.leases import page_of_leases, report_outage
from exchange.settlement.models import NewOutage
from exchange.vouchers.models import Voucher
from matching.codec import decode_command, decode_events
from matching.order import Side
from tests.market_world import MarketWorld, open_market, sequencers, with_means
from tests.reference_book import ReferenceBook

CASH_FEN = 40_000
VOUCHER_FEN = 7_001
HOURS_OF_A_LIST = 14
AMENDMENT_REFUSALS = {
    *("insufficient_funds", "no_usable_voucher", "order_rejected", "order_not_live"),
    *("invalid_body", "nothing_left", "unevenly_sold"),
}

ASKS = st.fixed_dictionaries(
    {
        "who": st.integers(0, 1),
        "quantity_gpus": st.integers(1, 4),
        "price": st.integers(90, 130),
        "window": st.tuples(st.integers(0, 2), st.integers(4, 8)),
        "min_hours": st.integers(1, 2),
    }
)
BIDS = st.fixed_dictionaries(
    {
        "who": st.integers(0, 1),
        "quantity_gpus": st.integers(1, 5),
        "price": st.integers(90, 130),
        "window": st.tuples(st.integers(0, 3), st.integers(5, 8)),
        "hours": st.integers(1, 2),
        "fill": st.sampled_from(["partial", "all_or_none"]),
        "time_in_force": st.sampled_from(["gtc", "gtc", "ioc"]),
        "vouchers": st.sampled_from(["none", "auto"]),
        "voucher_policy": st.sampled_from(["prefer", "only_eligible"]),
    }
).map(with_means)
AMENDMENTS = st.tuples(
    st.integers(0, 20),
    st.one_of(
        st.fixed_dictionaries({"quantity_gpus": st.integers(1, 6)}),
        st.fixed_dictionaries(
            {},
            optional={
                "quantity_gpus": st.integers(1, 6),
                "price": st.integers(90, 130),
                "window": st.tuples(st.integers(0, 3), st.integers(4, 8)),
                "time_in_force": st.sampled_from(["gtc", "ioc"]),
                "post_only": st.booleans(),
            },
        ),
    ),
)
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), ASKS),
        st.tuples(st.just("bid"), BIDS),
        st.tuples(st.just("amend"), AMENDMENTS),
        st.tuples(st.just("amend"), AMENDMENTS),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(
            st.just("cancel_all"), st.tuples(st.integers(0, 3), st.sampled_from([None, "buy", "sell"]))
        ),
        st.tuples(st.just("rebuild"), st.just(0)),
        st.tuples(st.just("outage"), st.integers(0, 20)),
        st.tuples(st.just("hour"), st.just(1)),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("market"))) as opened:
        yield opened


class Reference:
    """The slow book of the product, following the journal of the exchange."""

    def __init__(self, world: MarketWorld) -> None:
        self.world = world
        self.product_id = world.product()
        self.book = ReferenceBook(world.exchange.products[self.product_id].book_product())
        self.sequence = 0

    async def follow(self) -> None:
        """Give the book what the exchange has told its own since, and compare what came of it."""
        async with self.world.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT sequence, command, events FROM journal WHERE product_id = $1 AND sequence > $2"
                " ORDER BY sequence",
                self.product_id,
                self.sequence,
            )
        for row in rows:
            assert self.book.execute(decode_command(row["command"])) == decode_events(row["events"])
            self.sequence = row["sequence"]


@pytest.fixture(scope="module")
def reference(world: MarketWorld) -> Reference:
    return Reference(world)


class Example:
    """One list's own participants on the shared exchange."""

    def __init__(self, world: MarketWorld, reference: Reference) -> None:
        self.world = world
        self.reference = reference
        self.product = world.product()
        self.providers: list[Principal] = []
        self.buyers: list[Principal] = []
        self.vouchers: list[Voucher] = []
        self.orders: list[tuple[Principal, OrderView]] = []

    async def begin(self) -> None:
        """Register the participants and give them their means."""
        world = self.world
        self.providers = [await world.join(ParticipantKind.PROVIDER) for _ in range(2)]
        issuer = await world.join(ParticipantKind.ISSUER)
        programme = await world.programme(issuer, self.providers[0])
        for _ in range(2):
            buyer = await world.join(ParticipantKind.BUYER)
            await world.deposit(buyer, CASH_FEN)
            self.buyers.append(buyer)
            self.vouchers.append(await world.issue(issuer, programme, buyer, VOUCHER_FEN))

    async def run(self, command: str, argument: Any) -> None:
        """Carry out one command; a refusal that its caller can cause is no fault."""
        if command in ("ask", "bid"):
            await self._place(command, dict(argument))
        elif command == "cancel" and self.orders:
            owner, order = self.orders[argument % len(self.orders)]
            await self._cancel(owner, order)
        elif command == "amend" and self.orders:
            await self._amend(*argument)
        elif command == "cancel_all":
            who, side = argument
            owner = (*self.providers, *self.buyers)[who]
            await self.world.exchange.orders.cancel_all(owner, side=None if side is None else Side(side))
        elif command == "rebuild":
            for sequencer in sequencers(self.world.exchange).values():
                await sequencer._rebuild()
        elif command == "outage":
            await self._report_outage(argument)
        elif command == "hour":
            await self.world.pass_hours(argument)

    async def _place(self, command: str, fields: dict[str, Any]) -> None:
        owner = (self.providers if command == "ask" else self.buyers)[fields.pop("who")]
        order = self.world.order(Side.SELL if command == "ask" else Side.BUY, self.product, **fields)
        orders = self.world.exchange.orders
        preview = await orders.preview(owner, order)
        [outcome] = await orders.place_all(owner, [(order, Faults())])
        if isinstance(outcome, PlacedOrder):
            self.orders.append((owner, outcome.view))
            assert_as_previewed(preview, outcome.view)
        else:
            assert outcome.code in {"insufficient_funds", "no_usable_voucher", "order_rejected"}
            assert preview.refusal is not None
            assert (preview.refusal.code, tuple(preview.refusal.errors)) == (outcome.code, outcome.errors)

    async def _amend(self, pick: int, fields: dict[str, Any]) -> None:
        owner, order = self.orders[pick % len(self.orders)]
        try:
            amended = await self.world.amend(owner, order, **fields)
        except Refusal as refusal:
            if refusal.code not in AMENDMENT_REFUSALS:
                raise
        else:
            if amended.priority == "lost":
                self.orders.append((owner, amended))
                assert amended.replaces == order.id

    async def _cancel(self, owner: Principal, order: OrderView) -> None:
        number = decode_id("ord", order.id)
        assert number is not None
        try:
            await self.world.exchange.orders.cancel(owner, number)
        except Refusal as refusal:
            if refusal.code != "order_not_live":
                raise

    async def _report_outage(self, pick: int) -> None:
        provider = self.providers[pick % 2]
        async with self.world.database.connection() as connection:
            leases = await page_of_leases(
                connection, provider, before_id=2**62, limit=50, now_us=self.world.now_us
            )
        if not leases:
            return
        lease = leases[pick % len(leases)]
        number = decode_id("lse", lease.id)
        assert number is not None
        try:
            async with self.world.database.transaction() as connection:
                outage = NewOutage(hours=[lease.starts_at], reason="x")
                await report_outage(connection, provider, number, outage, self.world.now_us)
        except Refusal as refusal:
            if refusal.code != "hour_settled":
                raise

    async def check(self) -> None:
        """Assert what must hold after every command."""
        await self.reference.follow()
        for buyer in self.buyers:
            cash = await self.world.free_fen(buyer) + await self.world.free_fen(buyer, CNY, Purpose.ESCROW)
            assert cash <= CASH_FEN
        for buyer, voucher in zip(self.buyers, self.vouchers, strict=True):
            parts = (await self.world.voucher(voucher, buyer)).balances
            whole = sum(getattr(parts, name) for name in parts.__struct_fields__)
            assert whole == VOUCHER_FEN
            assert min(getattr(parts, name) for name in parts.__struct_fields__) >= 0

    async def end(self) -> None:
        """Let everything end, and assert that nothing is left hanging."""
        for owner, order in self.orders:
            await self._cancel(owner, order)
        await self.world.pass_hours(HOURS_OF_A_LIST, at_once=True)
        await self.check()
        for buyer in self.buyers:
            assert await self.world.free_fen(buyer, CNY, Purpose.ESCROW) == 0
        for buyer, voucher in zip(self.buyers, self.vouchers, strict=True):
            parts = (await self.world.voucher(voucher, buyer)).balances
            assert (parts.held_fen, parts.committed_fen) == (0, 0)
        assert await self.world.differences() == []


def assert_as_previewed(preview: PreviewView, placed: OrderView) -> None:
    """Compare what an order would do with what it did."""
    assert preview.refusal is None
    assert (preview.status, preview.reason) == (placed.status, placed.reason)
    assert preview.held == placed.held
    assert preview.filled_gpu_hours == placed.filled_gpu_hours
    assert preview.average_price_cny_per_gpu_hour == placed.average_price_cny_per_gpu_hour
    assert sum(fill.quantity_gpus for fill in preview.fills) == sum(f.quantity_gpus for f in placed.fills)
    if preview.cash_cny is not None:
        by_vouchers = sum(Decimal(fill.voucher_cny) for fill in placed.fills)
        assert Decimal(preview.amount_cny) == Decimal(preview.cash_cny) + by_vouchers
        assert sum(Decimal(voucher.amount_cny) for voucher in preview.vouchers) == by_vouchers


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(commands=COMMANDS)
async def test_no_command_list_makes_or_loses_a_fen(
    world: MarketWorld, reference: Reference, commands: list[tuple[str, Any]]
) -> None:
    example = Example(world, reference)
    await example.begin()
    for command, argument in commands:
        await example.run(command, argument)
        await example.check()
    await example.end()
