"""Goal: a gateway knows the market, fires nobody's switch wrongly and limits with the others.

Method: engines and gateways as they are deployed, in one event loop on real PostgreSQL and Redis. What one
gateway shows is compared with what the leader has.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exchange.app import Exchange
from exchange.feed.service import MarketService
from exchange.kit.auth import Principal
from exchange.kit.errors import Faults, RateLimited
from exchange.kit.ids import decode_id, new_id
from exchange.kit.redis import Redis
from exchange.orders.models import OrderStatus
from exchange.participants.models import ParticipantKind
from matching.order import Side
from matching.snapshot import snapshot
from tests.integration.fleets import DEADLINE_S, Fleet, eventually
from tests.market_world import MarketWorld


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Fleet:
    return Fleet(database_url, redis_url, tmp_path)


def market_of(exchange: Exchange) -> MarketService:
    return MarketService(orders=exchange.orders, tape=exchange.relay.tape, clock=exchange.clock)


def sequence(exchange: Exchange) -> int:
    return exchange.orders.states()[1].sequence


async def until_level(*processes: Exchange) -> None:
    """Wait until processes know of the same commits."""
    await eventually(lambda: len({sequence(each) for each in processes}) == 1)


async def trade(world: MarketWorld) -> tuple[Principal, Principal]:
    """Let something happen."""
    provider, buyer = await world.traders(10**7)
    product = world.product()
    await world.ask(provider, product, price=200, quantity_gpus=10)
    await world.bid(buyer, product, price=200, quantity_gpus=3)
    await world.bid(buyer, product, price=190, quantity_gpus=3, window=(1, 2))
    return provider, buyer


async def test_each_gateway_shows_the_market_of_the_leader(fleet: Fleet) -> None:
    async with fleet.engine() as engine, fleet.market() as world:
        provider, buyer = await trade(world)
        async with fleet.market() as late:
            await until_level(engine, world.exchange, late.exchange)
            product = world.product()
            for each in (world, late):
                book = each.exchange.orders.book(product)
                assert snapshot(book) == snapshot(engine.orders.book(product))
            await eventually(lambda: bool(world.exchange.relay.tape.latest(product, 1)))
            # An engine, which nobody asks, has books and no tape.
            markets = [market_of(exchange) for exchange in (engine, world.exchange, late.exchange)]
            of_engine, first, second = markets
            assert first.ticker(product).trades_24h == 1
            assert second.ticker(product) == first.ticker(product)
            assert second.tape(product, 10) == first.tape(product, 10)
            assert not of_engine.tape(product, 10).data
            for market in markets[1:]:
                calendars = [each.calendar(product, None, None, Faults()) for each in (market, of_engine)]
                assert calendars[0] == calendars[1]
            bid = world.order(Side.BUY, product, price=210, quantity_gpus=20)
            ask = world.order(Side.SELL, product, price=150, window=(1, 2))
            previews = [
                [await exchange.orders.preview(buyer, bid), await exchange.orders.preview(provider, ask)]
                for exchange in (engine, world.exchange, late.exchange)
            ]
            assert previews[0] == previews[1] == previews[2]
            assert previews[0][0].filled_gpus == 7
            assert previews[0][1].filled_gpu_hours == 1


async def test_a_gateway_goes_on_without_redis_and_when_leaders_change(fleet: Fleet, redis_url: str) -> None:
    async with fleet.market_with_engine() as world:
        await trade(world)
    # Another leader, other streams, the same books.
    async with fleet.engine() as engine, fleet.market() as world:
        redis = Redis.at(redis_url)
        await redis.run("FLUSHALL")
        provider, _ = await trade(world)
        await world.exchange.orders.cancel_all(provider)
        await redis.run("FLUSHALL")
        await redis.close()
        await until_level(engine, world.exchange)
        product = world.product()
        assert snapshot(world.exchange.orders.book(product)) == snapshot(engine.orders.book(product))


async def test_a_switch_set_at_one_gateway_is_put_off_at_another_and_fires_where_the_leader_is(
    fleet: Fleet,
) -> None:
    async with fleet.engine(), fleet.market() as world, fleet.market() as other:
        provider, _ = await trade(world)
        await world.exchange.switches.set(provider, 3600)
        await other.exchange.switches.set(provider, 0)
        await world.exchange.switches.set(provider, 1)
        ask = await world.ask(provider, world.product(), price=200)
        order_id = decode_id("ord", ask.id) or 0

        async def status() -> OrderStatus:
            return (await other.exchange.orders.get(provider, order_id)).status

        async with asyncio.timeout(DEADLINE_S):
            while await status() is not OrderStatus.CANCELLED:  # noqa: ASYNC110 - nobody signals it
                await asyncio.sleep(0.05)


async def test_gateways_share_the_budget_of_a_key(fleet: Fleet) -> None:
    limited: dict[str, Any] = {"rate_key": (10, 3600), "rate_participant": (1000, 3600)}
    async with (
        fleet.engine(),
        fleet.market(**limited) as one,
        fleet.market(**limited) as two,
    ):
        provider = await one.join(ParticipantKind.PROVIDER)
        let_in = 0
        for number in range(30):
            limits = (one, two)[number % 2].exchange.watched.limits
            scope: dict[str, Any] = {}
            try:
                await limits.admit(scope, provider, {})
            except RateLimited as refused:
                # A tenth of the window, less what has passed since the first.
                assert 300 < int(refused.headers["Retry-After"]) <= 360  # noqa: PT017 - of each refusal
            else:
                let_in += 1
        assert let_in == 10
        assert one.exchange.watched.limits.is_shared


async def test_every_process_makes_ids_under_a_number_of_its_own(fleet: Fleet) -> None:
    numbers = []
    for role in ("engine", "gateway", "gateway", "engine"):
        async with fleet.opened(role):
            numbers.append(new_id() >> 6 & 65_535)
    assert numbers == list(range(numbers[0], numbers[0] + 4))


async def test_an_engine_that_stands_by_fires_no_switch(fleet: Fleet) -> None:
    async with fleet.engine() as engine, fleet.market() as world, fleet.engine() as standby:
        provider, _ = await trade(world)
        await engine._switch_watch.stop()
        await world.exchange.switches.set(provider, 3600)
        async with world.database.transaction() as connection:
            await connection.execute("UPDATE cancel_switch SET fires_at = clock_timestamp()")

        async def is_set() -> bool:
            async with world.database.connection() as connection:
                return bool(await connection.fetchval("SELECT count(fires_at) FROM cancel_switch"))

        await standby._switch_watch.fire_due(1)
        assert await is_set()
        await engine._switch_watch.fire_due(1)
        assert not await is_set()
