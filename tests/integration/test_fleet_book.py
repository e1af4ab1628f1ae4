"""Goal: a book followed at any gateway is the leader's, whoever leads, and whatever Redis loses.

Method: an engine and two gateways on real PostgreSQL and Redis in one event loop, orders through both; those
who read know only what docs/stream.md says (`tests.book_texts`). What they keep is compared with what the
engine's own book is to the public; Redis is emptied and the leader changed on the way.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from exchange.app import Exchange
from exchange.feed.book_view import BookView
from exchange.feed.stream import Session
from exchange.kit.redis import Redis
from tests.book_texts import PlainBook
from tests.integration.fleets import Fleet, is_leading
from tests.market_world import MarketWorld
from tests.streams import QuietSocket, sources_of, until


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Fleet:
    return Fleet(database_url, redis_url, tmp_path)


class Follower:
    """A reader of a gateway without a key."""

    def __init__(self, world: MarketWorld, product: str) -> None:
        self._socket = QuietSocket()
        self._session = Session(self._socket, sources_of(world), None, request_id="r")
        self._socket.incoming.put_nowait(json.dumps({"op": "subscribe", "channels": [f"book:{product}"]}))
        self._serving = asyncio.create_task(self._session.run())

    def book(self) -> PlainBook:
        """Return the book as it was told until now."""
        book = PlainBook()
        for message in self._socket.sent:
            book.apply(message)
        return book

    async def is_level_with(self, told: Any) -> None:
        """Wait until the book is another's."""
        await until(lambda: bool(self._socket.sent) and self.book().checksum() == told["checksum"])
        assert list(self.book().orders.values()) == told["orders"]

    async def leave(self) -> None:
        """Go away."""
        self._socket.incoming.put_nowait("")
        await self._serving


def public_book(exchange: Exchange, product: str) -> Any:
    return json.loads(BookView(1, exchange.orders.book(product)).snapshot_text())


async def trade(world: MarketWorld, product: str) -> None:
    """Let something rest, something trade, and something lapse."""
    provider, buyer = await world.traders(10**7)
    for price in (200, 201, 199):
        await world.ask(provider, product, price=price, quantity_gpus=5, window=(0, 6))
    await world.bid(buyer, product, price=205, quantity_gpus=2, window=(0, 3), hours=2)
    await world.bid(buyer, product, price=150, quantity_gpus=2, window=(1, 4), hours=3)


async def test_the_book_of_every_gateway_is_the_leaders(fleet: Fleet, redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(fleet.engine())
        here = await stack.enter_async_context(fleet.market())
        there = await stack.enter_async_context(fleet.market())
        product = here.product()
        await trade(here, product)
        followers = [Follower(here, product), Follower(there, product)]
        await trade(there, product)
        for each in followers:
            await each.is_level_with(public_book(engine, product))
        redis = Redis.at(redis_url)
        await redis.run("FLUSHALL")
        await redis.close()
        await trade(here, product)
        fleet.clock.advance_to_us(fleet.clock.now_us() + 2 * 3_600_000_000)
        hour = fleet.clock.hour()
        await until(lambda: engine.orders.book(product).hour == hour + 1, every_s=0.02)
        for each in followers:
            await each.is_level_with(public_book(engine, product))
        assert public_book(engine, product)["orders"]
        late = Follower(here, product)
        await late.is_level_with(public_book(engine, product))
        for each in [*followers, late]:
            await each.leave()
        assert not here.exchange.books._views


async def test_a_follower_goes_on_where_another_engine_leads(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(fleet.engine())
        world = await stack.enter_async_context(fleet.market())
        product = world.product()
        await trade(world, product)
        follower = Follower(world, product)
        second = await stack.enter_async_context(fleet.engine())
        await first.aclose()
        await until(lambda: is_leading(second), every_s=0.02)
        await until(lambda: world.exchange.orders.is_ready, every_s=0.02)
        await trade(world, product)
        await follower.is_level_with(public_book(second, product))
        await follower.leave()
