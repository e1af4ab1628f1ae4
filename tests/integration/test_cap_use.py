"""Yearly caps that count what is redeemed: kept by the database for each order, under any concurrency.

Orders of one company, or of the companies of one trade group, share the cap of a calendar year. What comes
back of an order is free again; what is used is recomputed from orders when the world closes.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.clock import us_of
from exchange.kit.errors import Conflict
from exchange.kit.ids import decode_id
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.participants.service import create_trade_group
from exchange.programmes.models import NewVersion, Programme
from exchange.programmes.service import add_version
from tests.market_world import MarketWorld, open_market

CAP_FEN = 1_000
YEAR_ENDS_US = us_of(dt.datetime(2026, 12, 31, 14, 30, tzinfo=dt.UTC))
"""An hour and a half before the issuers' year ends, which is at 16:00 UTC."""


class Capped:
    """A programme of 30 % and at most 10.00 CNY a year; two buyers of one trade group, plenty of vouchers."""

    def __init__(self, world: MarketWorld) -> None:
        self.world = world
        self.product = world.product()
        self.window = (0, 4)

    async def settle(self, **rules: Any) -> None:
        """Bring the world to its beginning."""
        world = self.world
        async with world.database.transaction() as connection:
            group = await create_trade_group(connection, None, "集团", world.now_us)
        self.issuer = await world.join(ParticipantKind.ISSUER)
        self.provider = await world.join(ParticipantKind.PROVIDER)
        self.buyers = [await world.join(ParticipantKind.BUYER, trade_group_id=group.id) for _ in range(2)]
        self.programme: Programme = await world.programme(
            self.issuer,
            self.provider,
            **{"cap_per_year_fen": CAP_FEN, "cap_counts": "redeemed", "budget_fen": 10**6, **rules},
        )
        for buyer in self.buyers:
            await world.deposit(buyer, 10**9)
            for _ in range(2):
                await world.issue(self.issuer, self.programme, buyer, 50_000)

    async def bid(self, buyer: Principal, gpus: int = 1) -> OrderView:
        """Place a bid of 40.00 CNY a GPU, of which the programme pays 12.00 as far as its cap goes."""
        fields = {"price": 1_000, "quantity_gpus": gpus, "window": self.window}
        return await self.world.bid(buyer, self.product, vouchers="auto", **fields)

    def held(self, bid: OrderView) -> list[str]:
        """Return what a bid holds of each voucher."""
        return [] if bid.held is None else [each.held_cny for each in bid.held.vouchers]

    async def used(self) -> dict[int, int]:
        """Return what each buyer uses, and its group, in the present year."""
        async with self.world.database.connection() as connection:
            rows = await connection.fetch("SELECT subject_id, used_fen FROM programme_use ORDER BY year DESC")
        return {row["subject_id"]: row["used_fen"] for row in reversed(rows)}


@pytest.fixture
async def capped(database_url: str, tmp_path: Path) -> AsyncIterator[Capped]:
    async with open_market(database_url, tmp_path) as world:
        yield Capped(world)


async def test_orders_use_a_yearly_cap_and_give_it_back(capped: Capped) -> None:
    await capped.settle()
    world = capped.world
    one, other = capped.buyers
    first = await capped.bid(one)
    assert capped.held(first) == ["10.00"]  # of 12.00: the cap is the company's
    assert capped.held(await capped.bid(one)) == []
    assert capped.held(await capped.bid(other)) == ["10.00"]
    number = decode_id("ord", first.id)
    assert number is not None
    await world.exchange.orders.cancel(one, number)
    await world.ask(capped.provider, capped.product, price=500)
    assert (await capped.used())[one.participant_id] == 0
    again = await capped.bid(one)
    assert capped.held(again) == ["10.00"]


async def test_a_named_voucher_beyond_the_cap_is_refused_with_the_rule(capped: Capped) -> None:
    await capped.settle()
    one = capped.buyers[0]
    bid = await capped.bid(one)
    assert bid.held is not None
    with pytest.raises(Conflict) as caught:
        await capped.world.bid(one, capped.product, vouchers=[bid.held.vouchers[0].voucher_id])
    (fault,) = caught.value.errors
    assert fault.code == "yearly_cap_used"
    assert "10.00 CNY" in fault.detail


async def test_the_companies_of_a_group_share_the_cap_of_the_group(capped: Capped) -> None:
    await capped.settle(cap_basis="group", cap_per_year_fen=1_500)
    one, other = capped.buyers
    assert capped.held(await capped.bid(one)) == ["12.00"]
    assert capped.held(await capped.bid(other)) == ["3.00"]
    used = await capped.used()
    assert (used[one.participant_id], used[other.participant_id]) == (1_200, 300)
    assert sorted(used.values()) == [300, 1_200, 1_500]


async def test_a_failed_hour_is_not_used_and_a_delivered_one_is(capped: Capped) -> None:
    await capped.settle()
    world = capped.world
    one = capped.buyers[0]
    await world.ask(capped.provider, capped.product, price=500)
    bid = await capped.bid(one)
    assert bid.fills[0].voucher_cny == "6.00"  # 30 % of 20.00: what the better price freed is not used
    assert (await capped.used())[one.participant_id] == 600
    async with world.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO outage SELECT id, starts_hour, 'fire', provider_id, now() FROM lease"
        )
    await world.pass_hours(8)
    assert (await capped.used())[one.participant_id] == 450


async def test_a_new_year_begins_with_the_issuers_calendar(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path, YEAR_ENDS_US) as world:
        capped = Capped(world)
        await capped.settle()
        capped.window = (6, 10)
        one = capped.buyers[0]
        old = await capped.bid(one)
        assert capped.held(old) == ["10.00"]
        await world.pass_hours(2)
        assert capped.held(await capped.bid(one)) == ["10.00"]
        number = decode_id("ord", old.id)
        assert number is not None
        await world.exchange.orders.cancel(one, number)  # gives back of the year in which it was placed
        async with world.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT year, used_fen FROM programme_use WHERE subject_id = $1 ORDER BY year",
                one.participant_id,
            )
        assert [tuple(row) for row in rows] == [(2026, 0), (2027, 1_000)]


async def test_a_lower_cap_takes_nothing_back_and_lets_nothing_more(capped: Capped) -> None:
    await capped.settle()
    world = capped.world
    one = capped.buyers[0]
    first = await capped.bid(one)
    rules = msgspec.structs.replace(capped.programme.rules, cap_per_year_fen=200)
    async with world.database.transaction() as connection:
        world.clock.advance_to_us(world.now_us + 1)
        new = NewVersion(rules=rules)
        await add_version(connection, capped.issuer, capped.programme.id, new, world.clock.now_us())
    assert capped.held(await capped.bid(one)) == []
    number = decode_id("ord", first.id)
    assert number is not None
    assert (await world.exchange.orders.cancel(one, number)).held is not None
    assert capped.held(await capped.bid(one)) == ["2.00"]


async def test_fifty_orders_at_once_never_use_more_than_the_cap(capped: Capped) -> None:
    await capped.settle(cap_basis="group", cap_per_year_fen=20_000)
    bids = await asyncio.gather(*(capped.bid(capped.buyers[number % 2]) for number in range(50)))
    held = [capped.held(bid) for bid in bids]
    assert sorted(len(each) for each in held) == [0] * 33 + [1] * 17
    assert max((await capped.used()).values()) == 20_000


async def test_the_database_keeps_the_cap_where_the_service_does_not(capped: Capped) -> None:
    await capped.settle()
    bid = await capped.bid(capped.buyers[0])
    world = capped.world
    for statement in (
        "UPDATE programme_use SET used_fen = 0",
        "UPDATE programme_use SET year = year",
        "DELETE FROM programme_use",
        "TRUNCATE programme_use",
        "INSERT INTO programme_use VALUES (1, 1, 1, 1, 1)",
    ):
        with pytest.raises(Exception, match="is kept by orders"):
            async with world.database.transaction() as connection:
                await connection.execute(statement)
    with pytest.raises(Exception, match="programme_use_within_cap"):
        async with world.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO order_hold (order_id, voucher_id, position, programme_version, cap_year,"
                " source_account_id, escrow_account_id, placed_fen)"
                " SELECT order_id, other.id, 9, hold.programme_version, cap_year, other.account_id,"
                " other.escrow_account_id, 1 FROM order_hold AS hold JOIN voucher ON voucher.id = voucher_id"
                " JOIN voucher AS other ON other.buyer_id = voucher.buyer_id AND other.id <> voucher.id"
                " WHERE order_id = $1",
                decode_id("ord", bid.id),
            )
