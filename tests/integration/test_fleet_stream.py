"""Goal: the stream of one process tells what is done through another, names and all, and withdraws there.

Method: an engine and two gateways on real Redis and PostgreSQL in one event loop; sessions of both gateways.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from exchange.feed.stream import Session
from exchange.kit.auth import Principal
from matching.order import Side
from tests.integration.fleets import Fleet
from tests.market_world import MarketWorld
from tests.streams import QuietSocket, body_of, sources_of, until


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Fleet:
    return Fleet(database_url, redis_url, tmp_path)


class Client:
    """A client of one gateway."""

    def __init__(self, world: MarketWorld, owner: Principal) -> None:
        self.socket = QuietSocket()
        self._session = Session(self.socket, sources_of(world), owner, request_id="r")
        self.serving = asyncio.create_task(self._session.run())

    async def ask(self, **message: Any) -> Any:
        """Send a request, and return its answer."""
        self.socket.incoming.put_nowait(json.dumps(message))
        await until(lambda: any(each.get("id") == message["id"] for each in self.socket.sent))
        return next(each for each in self.socket.sent if each.get("id") == message["id"])

    def news(self) -> list[Any]:
        """Return what it was told of its orders."""
        return [news for each in self.socket.sent for news in each.get("orders", []) if "kind" in news]

    async def leave(self) -> None:
        """Go away."""
        self.socket.incoming.put_nowait("")
        await self.serving


async def test_orders_of_one_gateway_are_told_at_another_with_their_names(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(fleet.engine())
        here = await stack.enter_async_context(fleet.market())
        there = await stack.enter_async_context(fleet.market())
        provider, buyer = await here.traders(10_000_000)
        product = here.product()
        places, follows = Client(here, provider), Client(there, provider)
        follows.socket.incoming.put_nowait('{"op":"subscribe","channels":["orders"]}')
        await until(lambda: follows.socket.sent)
        await places.ask(op="cancel_on_disconnect", id="c", enabled=True)
        sell = here.order(Side.SELL, product, client_order_id="afar", quantity_gpus=3)
        placed = await places.ask(op="place", id="p", order=body_of(sell))
        assert placed["status"] == 201, placed
        bought = await there.bid(buyer, product)
        await until(lambda: len(follows.news()) >= 3)
        accepted, rested, traded = follows.news()
        assert [each["kind"] for each in (accepted, rested, traded)] == ["accepted", "rested", "traded"]
        assert (accepted["client_order_id"], accepted["sequence"]) == ("afar", placed["order"]["sequence"])
        assert traded["trade_id"] == bought.fills[0].trade_id
        await places.leave()
        await until(lambda: len(follows.news()) >= 4)
        assert (follows.news()[3]["kind"], follows.news()[3]["order_id"]) == (
            "cancelled",
            placed["order"]["id"],
        )
        await follows.leave()


async def test_a_gateway_that_stops_withdraws_through_the_engine(fleet: Fleet) -> None:
    async with fleet.engine():
        async with fleet.market() as world:
            provider, _ = await world.traders(1)
            client = Client(world, provider)
            await client.ask(op="cancel_on_disconnect", id="c", enabled=True)
            sell = world.order(Side.SELL, world.product(), client_order_id="goes")
            assert (await client.ask(op="place", id="p", order=body_of(sell)))["status"] == 201
            world.exchange.announce_stop()
            await client.serving
        async with fleet.market() as world:
            [order] = await world.exchange.orders.page(provider, limit=10)
            assert (order.client_order_id, order.status) == ("goes", "cancelled")
