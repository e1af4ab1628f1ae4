"""Goal: a crash at any step of a trade paid with vouchers, from hold to delivered hour, leaves all or none.

Method: an order of two stacked programmes, of which one reimburses, done undisturbed and then again in the
same way with its transaction cut before each of its statements in turn, and its COMMIT's answer lost. Either
only the sequencer's connection is cut, and it rebuilds; or all are, nobody gets in again, and the exchange is
closed and opened anew, as after a crash. Cut before its COMMIT a transition must leave every row as it was;
in the end the rows must have changed exactly as without any cut.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from exchange.app import Exchange
from exchange.kit.auth import Principal
from exchange.kit.clock import ManualClock, us_of_hour
from exchange.kit.database import Database
from exchange.kit.errors import Conflict, Unavailable
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id
from exchange.kit.settings import Settings
from exchange.orders import sequencer
from exchange.orders.models import NewOrder, OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import RateTier
from exchange.settlement.leases import page_of_leases, report_outage
from exchange.settlement.models import NewOutage
from matching.order import Side
from tests.faults import Place, Wire, faulty_wire, quiet
from tests.hypothesis_profiles import sampled
from tests.market_world import MarketWorld, reach_hour
from tests.stored_state import Rows, assert_sound, changes, fingerprint, rows
from tests.voucher_world import NOW_US

DEADLINE_S = 30.0
STATEMENTS_MAX = 40
STATEMENTS_OF_AN_HOUR_MIN = 10
HOURS = 40
"""How long the lease is: longer than an hour's settlement has statements."""


class Venue:
    """The exchange behind a wire, opened again after each crash; its rows are read another way."""

    def __init__(self, wire: Wire, database: Database, data_dir: Path) -> None:
        self.wire, self.database = wire, database
        self.clock = ManualClock(NOW_US)
        self._data_dir = data_dir
        self.world: MarketWorld

    async def open(self) -> None:
        """Open the exchange, which settles an hour as soon as it has ended."""
        settings = Settings(database_url=self.wire.url, data_dir=self._data_dir, settlement_delay_hours=0)
        self.world = MarketWorld(await Exchange.open(settings, self.clock), self.clock)
        await quiet(self.world.exchange)

    async def crash(self, place: Place, work: Callable[[], Awaitable[object]]) -> str:
        """Cut everything at a place of some work, read what is left, and open again; return its digest."""
        self.wire.arm(place, everything=True)
        working = asyncio.ensure_future(work())
        await asyncio.wait_for(self.wire.was_cut.wait(), DEADLINE_S)
        await self.wire.gone(self.database)
        left = await fingerprint(self.database)
        await self.world.exchange.close()
        with pytest.raises(Unavailable):
            await working
        self.wire.mend()
        await self.open()
        return left


class Deal:
    """A buyer with a voucher of a city, 30 %, and one of the nation, 15 %, which reimburses; its provider."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.buyer: Principal
        self.provider: Principal

    @property
    def world(self) -> MarketWorld:
        """The world as it was last opened."""
        return self.venue.world

    async def settle(self) -> None:
        """Bring it to its beginning."""
        world = self.world
        self.provider, self.buyer = await world.traders(10_000_000)
        for rate_bps, mode in ((3_000, "instant"), (1_500, "reimburse")):
            issuer = await world.join(ParticipantKind.ISSUER)
            programme = await world.programme(
                issuer,
                self.provider,
                rate_tiers=(RateTier(bps=rate_bps),),
                stacking="ceiling",
                stacking_ceiling_bps=5_000,
                cap_counts="redeemed",
                mode=mode,
            )
            await world.issue(issuer, programme, self.buyer, 50_000)
        # An empty book reaches the hour with its first order: no transition shall be that.
        await self.cancel(await self.place(self._order(Side.BUY, 1_001)))

    def bid(self) -> NewOrder:
        """Return a bid that both vouchers pay for, of 10.01 an hour."""
        return self._order(Side.BUY, 1_001, vouchers="auto", voucher_policy="only_eligible")

    def ask(self, price: int) -> NewOrder:
        """Return an ask that the bid can take."""
        return self._order(Side.SELL, price)

    def _order(self, side: Side, price: int, **more: object) -> NewOrder:
        return self.world.order(side, self.world.product(), price=price, window=(0, HOURS), **more)

    async def place(self, order: NewOrder) -> OrderView:
        """Place an order, as its side's trader."""
        trader = self.buyer if order.side == Side.BUY else self.provider
        return (await self.world.exchange.orders.place(trader, order)).view

    async def cancel(self, bid: OrderView) -> None:
        """Cancel the bid; one that is cancelled already stays so."""
        number = decode_id("ord", bid.id)
        assert number is not None
        try:
            await self.world.exchange.orders.cancel(self.buyer, number)
        except Conflict as refused:
            if refused.code != "order_not_live":
                raise

    async def fail_all_hours(self) -> None:
        """Let the provider say that it delivers nothing of its lease."""
        world = self.world
        async with world.database.transaction() as connection:
            (lease,) = await page_of_leases(
                connection, self.provider, before_id=2**62, limit=9, now_us=world.now_us
            )
            number = decode_id("lse", lease.id)
            assert number is not None
            hours = [format_hour(world.first_hour + hour) for hour in range(HOURS)]
            await report_outage(
                connection, self.provider, number, NewOutage(hours=hours, reason="fire"), world.now_us
            )


Transition: TypeAlias = Callable[[], Awaitable[object]]


async def placed(deal: Deal) -> Transition:
    """An order sets aside its cash and its vouchers, and rests."""
    order = deal.bid()
    return lambda: deal.place(order)


async def traded(deal: Deal) -> Transition:
    """An ask comes that takes the resting bid at its price."""
    await deal.place(deal.bid())
    order = deal.ask(999)
    return lambda: deal.place(order)


async def improved(deal: Deal) -> Transition:
    """A bid meets a lower ask: what it set aside beyond that price is free again at once."""
    await deal.place(deal.ask(907))
    order = deal.bid()
    return lambda: deal.place(order)


async def cancelled(deal: Deal) -> Transition:
    """A resting bid is cancelled."""
    bid = await deal.place(deal.bid())
    return lambda: deal.cancel(bid)


@pytest.fixture
async def venue(
    database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Venue]:
    monkeypatch.setattr(sequencer, "RETRY_SECONDS", 0.01)
    async with faulty_wire(database_url) as wire:
        venue = Venue(wire, database, tmp_path)
        await venue.open()
        try:
            yield venue
            await assert_sound(database, with_orders=True)
            await venue.world.exchange.orders.verify()
        finally:
            await venue.world.exchange.close()


async def changes_since(venue: Venue, before: Rows) -> list[tuple[str, str, object]]:
    """Return what changed."""
    return changes(before, await rows(venue.database))


@pytest.mark.parametrize("crash", ["rebuild", "reopen"])
@pytest.mark.parametrize(
    "prepare", sampled([traded, improved, placed, cancelled], first=1), ids=lambda each: each.__name__
)
async def test_a_crash_at_any_step_leaves_all_of_it_or_none_when_an_order_is(
    venue: Venue, prepare: Callable[[Deal], Awaitable[Transition]], crash: str
) -> None:
    first, deal = Deal(venue), Deal(venue)
    await first.settle()
    transition = await prepare(first)
    before = await rows(venue.database)
    await transition()
    expected = await changes_since(venue, before)
    await deal.settle()
    transition = await prepare(deal)
    before, digest = await rows(venue.database), await fingerprint(venue.database)
    wire = venue.wire
    for place in range(1, STATEMENTS_MAX):
        if crash == "reopen":
            assert await venue.crash(place, transition) == digest, f"cut before {wire.statement}"
        else:
            wire.arm(place)
            with pytest.raises(Unavailable) as refused:
                await transition()
            assert refused.value.outcome == "not_applied"
        assert await fingerprint(venue.database) == digest, f"cut before {wire.statement}"
        if wire.statement.startswith("COMMIT"):
            break
    assert wire.statement.startswith("COMMIT")
    if crash == "reopen":
        left = await venue.crash("answer", transition)
        assert await fingerprint(venue.database) == left
    else:
        wire.arm("answer")
        await transition()  # the sequencer looks it up, and answers with what was committed
        assert wire.was_cut.is_set()
    assert await changes_since(venue, before) == expected
    digest = await fingerprint(venue.database)
    await transition()
    assert await fingerprint(venue.database) == digest


@pytest.mark.parametrize("crash", ["rebuild", "reopen"])
@pytest.mark.parametrize("kind", ["delivered", "failed"])
async def test_a_crash_at_any_step_leaves_all_of_it_or_none_when_an_hour_is(
    venue: Venue, kind: str, crash: str
) -> None:
    told = []
    for disturbs in (False, True):
        deal = Deal(venue)
        await deal.settle()
        await deal.place(deal.ask(907))
        await deal.place(deal.bid())
        if kind == "failed":
            await deal.fail_all_hours()
        before = await rows(venue.database)
        await deal.world.pass_hours(1)
        left = HOURS
        if disturbs:
            left -= await _hours_with_cuts(venue, crash)
        await deal.world.pass_hours(left)
        told.append(await changes_since(venue, before))
        await assert_sound(venue.database, with_orders=True)
    assert told[1] == told[0]


async def _hours_with_cuts(venue: Venue, crash: str) -> int:
    """Let hours pass, each cut at another place, the last at its COMMIT's answer; return how many."""
    wire, hours, is_last = venue.wire, 0, False
    while not is_last:
        hours += 1
        is_last = wire.statement.startswith("COMMIT") and hours > 1
        place: Place = "answer" if is_last else hours
        digest = await fingerprint(venue.database)
        hour = venue.clock.hour() + 1
        venue.clock.advance_to_us(us_of_hour(hour))

        async def settle_hour(hour: int = hour) -> None:
            await reach_hour(venue.world.exchange, hour)

        if crash == "reopen":
            left = await venue.crash(place, settle_hour)
            assert (left == digest) is not is_last, f"cut before {wire.statement}"
        else:
            wire.arm(place)
            await settle_hour()
            assert wire.was_cut.is_set()
        venue.world.now_us = venue.clock.now_us()
        assert await fingerprint(venue.database) != digest
    assert hours > STATEMENTS_OF_AN_HOUR_MIN
    return hours
