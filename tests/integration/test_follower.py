"""Goal: a gateway that leads nothing knows the market as its leader does. Method: beside the whole exchange.

A follower on connections of its own reads what the exchange has committed and hears its relay; its books and
the asks that a preview settles with are compared with the leader's.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.fleet import follower as following
from exchange.fleet.follower import Follower
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Unavailable
from exchange.kit.ids import decode_id
from exchange.participants.models import ParticipantKind
from exchange.products.list_price_models import NewListPrice
from exchange.products.list_prices import publish_list_price
from matching.snapshot import snapshot
from tests.market_world import MarketWorld, open_market

DEADLINE_S = 60.0


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def follower(world: MarketWorld, database_url: str) -> AsyncIterator[Follower]:
    """Follow from the middle of a day of trade on."""
    provider, buyer = await world.traders(10**9)
    await world.ask(provider, world.product(), price=100, quantity_gpus=5)
    await world.bid(buyer, world.product(), price=100, quantity_gpus=2)
    own = await Database.connect(database_url, connections_min=1)
    products = {
        1: {product.id: product.book_product() for product in world.exchange.products.values()},
    }
    started = Follower(own, products)
    world.exchange.relay.followers.append(started)
    await started.start()
    yield started
    await started.stop()
    await own.close()


async def reach(world: MarketWorld, follower: Follower) -> None:
    """Wait until the follower stands where the leader does."""
    async with asyncio.timeout(DEADLINE_S):
        while follower.sequence(1) != world.exchange.orders.states()[1].sequence:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_its_books_are_the_leaders_by_bytes(world: MarketWorld, follower: Follower) -> None:
    provider, buyer = await world.traders(10**9)
    product = world.product(domestic=True)
    ask = await world.ask(provider, product, price=100, quantity_gpus=5)
    for price in (90, 100, 110):
        await world.bid(buyer, product, price=price, window=(0, 4))
    await world.amend(provider, ask, price=120)
    await world.pass_hours(2)
    await world.exchange.orders.cancel_all(buyer)
    await reach(world, follower)
    for product_id in world.exchange.products:
        led = world.exchange.orders.book(product_id)
        assert snapshot(follower.book(product_id)) == snapshot(led)
    assert follower.book(product).orders


async def test_it_knows_of_asks_what_money_needs(world: MarketWorld, follower: Follower) -> None:
    product = world.product(domestic=True)
    first, second = [await world.join(ParticipantKind.PROVIDER) for _ in range(2)]
    async with world.database.transaction() as connection:
        listed = await publish_list_price(
            connection, first, product, NewListPrice(price_cny_per_gpu_hour="4.56"), world.now_us
        )
    world.exchange.list_prices.learn([listed])
    placed = [await world.ask(provider, product, price=100) for provider in (first, second)]
    ids = {decode_id("ord", each.id) or 0 for each in placed}
    await reach(world, follower)
    found = await follower.asks(1, ids)
    assert found == await world.exchange.orders._sequencers[1].asks(ids)
    assert {ask.list_price_ticks for ask in found.values()} == {456, None}
    assert await follower.asks(1, ()) == {}


async def test_a_partition_that_cannot_be_read_keeps_no_other_from_being_followed(
    world: MarketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, _ = await world.traders(10**9)
    read = following._read

    async def broken(connection: Connection, followed: following._Followed) -> None:
        if followed.partition_id == 0:
            raise ValueError("books that nobody can read")
        await read(connection, followed)

    products = {product.id: product.book_product() for product in world.exchange.products.values()}
    followed = Follower(world.database, {0: {}, 1: products})
    await followed.start()
    monkeypatch.setattr(following, "_read", broken)
    await world.ask(provider, world.product())
    followed.miss()
    await reach(world, followed)
    async with asyncio.timeout(DEADLINE_S):
        while followed.is_ready(0):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert followed.is_ready(1)
    with pytest.raises(Unavailable):
        await followed.asks(0, {1})
    await followed.stop()
