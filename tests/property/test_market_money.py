"""Goal: no list of asks, bids, cancels, outages and hours makes or loses a fen, or makes a voucher cash.

Method: random command lists on the whole exchange with the real PostgreSQL. After every command a buyer never
has more cash than it paid in, and every voucher's parts sum to its face; after every list the ledger's own
check of all balances is empty, each book is the fold of its journal, and once all hours have passed nothing
is left in escrow.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.kit.ids import decode_id
from exchange.ledger.models import CNY, Purpose
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.settlement.leases import page_of_leases, report_outage
from exchange.settlement.models import NewOutage
from exchange.vouchers.models import Voucher
from tests.market_world import MarketWorld, open_market

CASH_FEN = 40_000
VOUCHER_FEN = 7_001
HOURS_OF_A_LIST = 14

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
)
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), ASKS),
        st.tuples(st.just("bid"), BIDS),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
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


class Example:
    """One list's own participants on the shared exchange."""

    def __init__(self, world: MarketWorld) -> None:
        self.world = world
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
        elif command == "outage":
            await self._report_outage(argument)
        elif command == "hour":
            await self.world.pass_hours(argument)

    async def _place(self, command: str, fields: dict[str, Any]) -> None:
        owner = (self.providers if command == "ask" else self.buyers)[fields.pop("who")]
        place = self.world.ask if command == "ask" else self.world.bid
        try:
            self.orders.append((owner, await place(owner, self.product, **fields)))
        except Refusal as refusal:
            if refusal.code not in {"insufficient_funds", "no_usable_voucher", "order_rejected"}:
                raise

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


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(commands=COMMANDS)
async def test_no_command_list_makes_or_loses_a_fen(
    world: MarketWorld, commands: list[tuple[str, Any]]
) -> None:
    example = Example(world)
    await example.begin()
    for command, argument in commands:
        await example.run(command, argument)
        await example.check()
    await example.end()
