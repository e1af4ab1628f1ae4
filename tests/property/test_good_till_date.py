"""Goal: a good-till-date order stands until its `expires_at` to the second, and never after it.

Method: on the whole exchange, asks and bids placed anywhere in an hour, which expire as one of the next five
begins, by a clock driven by hand: to the last microsecond before each hour, then onto it. Every hour that
lies ahead may be asked for and no other: the door and the book agree on it to the microsecond.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_HOUR, format_rfc3339, us_of_hour
from exchange.kit.errors import Conflict, InvalidInput
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id
from exchange.orders.models import OrderStatus, OrderView
from matching.order import Side
from tests.market_world import MarketWorld, open_market, reach_hour

LAST_US = US_PER_HOUR - 1
NEXT_HOUR: dict[str, Any] = {"hours_ahead": 1, "post_only": True, "window": (9, 12)}
SHAPES = st.fixed_dictionaries(
    {
        "side": st.sampled_from([Side.SELL, Side.BUY]),
        "hours_ahead": st.integers(1, 5),
        "post_only": st.booleans(),
        "window": st.sampled_from([(9, 12), (6, 20)]),
    }
)


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("gtd"))) as opened:
        yield opened


class Desk:
    """A provider and a buyer whose prices never meet, and the orders they have placed."""

    def __init__(self, world: MarketWorld, provider: Principal, buyer: Principal) -> None:
        self.world = world
        self.owners = {Side.SELL: provider, Side.BUY: buyer}
        self.product = world.product()

    async def place(self, side: Side, expire_hour: int, **fields: Any) -> OrderView:
        """Place an order that expires as an hour of the venue's clock begins."""
        reference = self.world.exchange.products[self.product].reference_price_ticks
        order = self.world.order(
            side,
            self.product,
            price=reference * (110 if side is Side.SELL else 90) // 100,
            time_in_force="gtd",
            expires_at=format_hour(expire_hour),
            **fields,
        )
        return (await self.world.exchange.orders.place(self.owners[side], order)).view

    async def now(self, order: OrderView) -> OrderView:
        """Return an order as it is stored."""
        return await self.world.exchange.orders.get(self.owners[order.side], decode_id("ord", order.id) or 0)


async def desk_at(world: MarketWorld, within_us: int) -> Desk:
    """Let a provider and a buyer join, and stand at a moment of the venue's next hour."""
    desk = Desk(world, *(await world.traders(1_000_000)))
    await world.pass_hours(1)
    world.clock.advance_to_us(world.clock.now_us() + within_us)
    return desk


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(within_us=st.integers(0, LAST_US), shapes=st.lists(SHAPES, min_size=1, max_size=6))
@example(within_us=0, shapes=[{"side": Side.SELL, "hours_ahead": 1, "post_only": False, "window": (9, 12)}])
@example(
    within_us=LAST_US, shapes=[{"side": Side.BUY, "hours_ahead": 1, "post_only": True, "window": (9, 12)}]
)
async def test_an_order_rests_until_its_hour_begins_and_ends_as_it_does(
    world: MarketWorld, within_us: int, shapes: list[dict[str, Any]]
) -> None:
    desk = await desk_at(world, within_us)
    hour = world.clock.hour()
    ends: dict[str, int] = {}
    placed = []
    for shape in shapes:
        fields = {name: value for name, value in shape.items() if name not in {"side", "hours_ahead"}}
        order = await desk.place(shape["side"], hour + shape["hours_ahead"], **fields)
        ends[order.id] = hour + shape["hours_ahead"]
        placed.append(order)
    for next_hour in range(hour + 1, hour + 7):
        world.clock.advance_to_us(us_of_hour(next_hour) - 1)
        await desk.place(Side.SELL, next_hour + 5, window=(7, 9))  # so the books know the time
        for order in placed:
            expired = ends[order.id] < next_hour
            assert (await desk.now(order)).status == (OrderStatus.EXPIRED if expired else OrderStatus.RESTING)
        world.clock.advance_to_us(us_of_hour(next_hour))
        await reach_hour(world.exchange, next_hour)
        for order in placed:
            told = await desk.now(order)
            assert told.expires_at == format_hour(ends[order.id])
            if ends[order.id] <= next_hour:
                assert (told.status, told.reason) == (OrderStatus.EXPIRED, "expire_hour")
                assert told.updated_at == format_rfc3339(us_of_hour(ends[order.id])) == told.expires_at
            else:
                assert told.status is OrderStatus.RESTING


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    within_us=st.sampled_from([0, 1, 1_000_000, US_PER_HOUR // 2, LAST_US]),
    side=st.sampled_from([Side.SELL, Side.BUY]),
    ahead=st.integers(-2, 3),
)
@example(within_us=LAST_US, side=Side.BUY, ahead=1)
@example(within_us=0, side=Side.SELL, ahead=0)
async def test_every_hour_ahead_may_be_asked_for_and_no_other(
    world: MarketWorld, within_us: int, side: Side, ahead: int
) -> None:
    desk = await desk_at(world, within_us)
    expire_hour = world.clock.hour() + ahead
    if us_of_hour(expire_hour) > world.clock.now_us():
        order = await desk.place(side, expire_hour)
        assert order.status is OrderStatus.RESTING
        moved = await world.amend(desk.owners[side], order, expires_at=format_hour(expire_hour + 1))
        assert (moved.status, moved.expires_at) == (OrderStatus.RESTING, format_hour(expire_hour + 1))
        return
    with pytest.raises(InvalidInput) as refused:
        await desk.place(side, expire_hour)
    (fault,) = refused.value.errors
    assert (fault.pointer, fault.code) == ("/expires_at", "in_past")
    named = format_hour(world.clock.hour() + 1)
    assert fault.detail == f"must not lie before {named}, when the next hour begins"
    assert (await desk.place(side, world.clock.hour() + 1)).expires_at == named


async def test_an_expiry_that_came_while_its_order_was_under_way_is_named(world: MarketWorld) -> None:
    """Judged in the last microsecond of an hour, and put to the book in the first of the next."""
    desk = await desk_at(world, LAST_US)
    buyer = desk.owners[Side.BUY]
    next_hour = world.clock.hour() + 1
    await desk.place(Side.BUY, next_hour + 9)  # so there is an account to lock
    async with world.database.transaction() as connection:
        await connection.execute(
            "SELECT FROM ledger_account WHERE participant_id = $1 FOR UPDATE", buyer.participant_id
        )
        placing = asyncio.create_task(desk.place(Side.BUY, next_hour, window=(3, 6)))
        await world.somebody_waits_for_a_lock()
        world.clock.advance_to_us(us_of_hour(next_hour))
    with pytest.raises(Conflict) as refused:
        await placing
    assert refused.value.code == "order_rejected"
    (fault,) = refused.value.errors
    assert (fault.pointer, fault.code, fault.value) == (
        "/expires_at",
        "expire_hour_in_past",
        format_hour(next_hour),
    )
    assert fault.detail == "has passed while the order was under way"


async def test_an_expiry_stands_over_a_restart_and_is_recorded_by_the_clock(
    database_url: str, tmp_path: Path
) -> None:
    """Books that are folded from the journal end the order as the ones that took it would have."""
    async with open_market(database_url, tmp_path) as world:
        desk = await desk_at(world, LAST_US)
        provider = desk.owners[Side.SELL]
        expire_hour = world.clock.hour() + 2
        order = await desk.place(Side.SELL, expire_hour, window=(6, 9))
        now_us = world.clock.now_us()
        async with world.database.connection() as connection:
            detail = await connection.fetchval(
                "SELECT detail FROM audit_record WHERE code = 'NEWO' AND order_id = $1",
                decode_id("ord", order.id),
            )
    assert json.loads(detail)["terms"]["expire_hour"] == expire_hour
    async with open_market(database_url, tmp_path, now_us) as world:
        await world.pass_hours(1)
        for status in (OrderStatus.RESTING, OrderStatus.EXPIRED):
            told = await world.exchange.orders.get(provider, decode_id("ord", order.id) or 0)
            assert (told.status, told.expires_at) == (status, format_hour(expire_hour))
            await world.pass_hours(1)
