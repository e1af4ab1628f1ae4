"""Goal: a firm can keep its books from the stream alone, over as many connections as it takes.

Method: a real exchange trades at random; one client never leaves, another is cut off again and again and goes
on from the last sequence that it saw. Both must have been told the same, and what they made of it must be
what the exchange says of their orders.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.client.own_orders import OwnOrders
from exchange.feed import channels, own_orders
from exchange.feed.models import Delta, Resumed, Snapshot
from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.orders.many_models import Cause
from exchange.orders.models import OrderView
from matching.order import Side
from tests.hypothesis_profiles import is_long
from tests.market_world import MarketWorld
from tests.streams import DEADLINE_S, Server, key_of, open_server, opened, receive, send

Event = Snapshot | Delta | Resumed
LAST_GPUS = 97
ACTS_MIN = 150
CUTS_MIN = 20
WINDOWS = [(0, 4), (2, 6), (1, 3)]


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(database_url, tmp_path) as running:
        yield running


class Follower:
    """A client that follows channels, and holds the exchange to what it promises of sequences."""

    def __init__(self, *channels: str) -> None:
        self.channels = channels
        self.after: dict[str, dict[int, int]] = {channel: {} for channel in channels}
        self.told: dict[str, list[Any]] = {channel: [] for channel in channels}
        self.books = OwnOrders()
        self.kinds: list[str] = []

    def take(self, message: Any) -> None:
        """Take in a message."""
        event: Event = msgspec.convert(message, Snapshot | Delta | Resumed)
        after = self.after[event.channel]
        if isinstance(event, Delta):
            assert event.prev_sequence == after[event.partition]
            assert event.sequence > event.prev_sequence
            self.told[event.channel] += event.orders or event.trades or []
        elif isinstance(event, Resumed):
            assert event.sequence >= after[event.partition]
        self.kinds.append(message["event"])
        after[event.partition] = event.sequence
        self.books.apply(event)

    async def follow(self, server: Server, key: str, count: int | None) -> None:
        """Connect, go on from where it was, read so many messages (or until cancelled), and break off."""
        async with opened(server.url, key) as connection:
            for channel in self.channels:
                after = {str(each): sequence for each, sequence in self.after[channel].items()}
                await send(connection, op="subscribe", channels=[channel], after=after)
            read = 0
            while count is None or read < count:
                message = await receive(connection)
                assert message["event"] != "error", message
                self.take(message)
                read += 1
            connection.transport.abort()


async def act(world: MarketWorld, chance: random.Random, parties: list[Principal], product: str) -> None:
    """Do one thing at random; it may be refused."""
    provider, buyer = parties
    price = world.exchange.products[product].reference_price_ticks + chance.randint(-3, 3)
    window = chance.choice(WINDOWS)
    what = chance.random()
    try:
        if what < 0.4:
            await world.ask(provider, product, quantity_gpus=chance.randint(1, 4), price=price, window=window)
        elif what < 0.75:
            force = chance.choice(["gtc", "gtc", "ioc", "fok"])
            await world.bid(
                buyer,
                product,
                quantity_gpus=chance.randint(1, 4),
                price=price,
                window=window,
                time_in_force=force,
            )
        elif what < 0.85:
            owner = chance.choice(parties)
            live = await live_of(world, owner)
            if live:
                await world.amend(owner, chance.choice(live), quantity_gpus=chance.randint(1, 5))
        elif what < 0.97:
            owner = chance.choice(parties)
            live = await live_of(world, owner)
            if live:
                cause = chance.choice(["", *Cause])
                await world.exchange.orders.cancel_all(
                    owner, product_id=live[0].product, side=live[0].side, cause=cause
                )
        else:
            await world.pass_hours(1)
    except Refusal:
        pass


async def live_of(world: MarketWorld, owner: Principal) -> list[OrderView]:
    found = await world.exchange.orders.page(owner, limit=1000)
    return [each for each in found if each.status in {"accepted", "resting", "partially_filled"}]


def shown(view: OrderView) -> tuple[Any, ...]:
    """Return what HTTP says of an order, as far as events tell of it."""
    fills = sorted((each.trade_id, each.quantity_gpus, each.starts_at, each.ends_at) for each in view.fills)
    return (
        view.client_order_id,
        view.product,
        view.side,
        view.status,
        view.reason,
        view.quantity_gpus,
        (view.starts_at, view.ends_at, view.hours),
        view.price_cny_per_gpu_hour,
        view.filled_gpu_hours,
        view.filled_gpus,
        view.replaced_by,
        fills,
    )


def kept(books: OwnOrders) -> dict[str, tuple[Any, ...]]:
    """Return the same of what a client has made of events."""
    return {
        order_id: (
            each.client_order_id,
            each.product,
            each.side,
            each.status,
            each.reason,
            each.quantity_gpus,
            (each.starts_at, each.ends_at, each.hours),
            each.price_cny_per_gpu_hour,
            each.filled_gpu_hours,
            each.filled_gpus,
            each.replaced_by,
            sorted((fill.trade_id, fill.quantity_gpus, fill.starts_at, fill.ends_at) for fill in each.fills),
        )
        for order_id, each in books.orders.items()
    }


async def end(world: MarketWorld, parties: list[Principal], product: str, *followers: Follower) -> None:
    """Let a last trade happen that cannot be mistaken for another, and wait until all were told of it."""
    provider, buyer = parties
    await world.ask(provider, product, quantity_gpus=LAST_GPUS, window=(60, 61))
    await world.bid(buyer, product, quantity_gpus=LAST_GPUS, window=(60, 61))
    async with asyncio.timeout(DEADLINE_S):
        while not all(  # noqa: ASYNC110 - nobody signals it
            told and told[-1].quantity_gpus == LAST_GPUS for each in followers for told in each.told.values()
        ):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(30 if is_long() else 3))
async def test_who_is_cut_off_and_goes_on_is_told_what_one_is_told_who_never_left(
    server: Server, seed: int
) -> None:
    world, chance, cuts = server.world, random.Random(seed), random.Random(-seed)
    product = world.product()
    parties = list(await world.traders(100_000_000))
    provider = parties[0]
    key = await key_of(world, provider)
    names = ("orders", f"trades:{product}")
    stays, leaves = Follower(*names), Follower(*names)
    staying = asyncio.create_task(stays.follow(server, key, None))
    async with asyncio.timeout(DEADLINE_S):
        while not all(stays.after.values()):  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.005)
    # Both begin with the same past: none.
    assert stays.books.orders == {}
    leaves.after = {name: dict(after) for name, after in stays.after.items()}
    acting = asyncio.create_task(_act_often(world, chance, parties, product, leaves))
    while not acting.done():
        going = asyncio.create_task(leaves.follow(server, key, cuts.randint(1, 5)))
        await asyncio.wait([acting, going], return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            going.result()
        else:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
    await acting
    last = asyncio.create_task(leaves.follow(server, key, None))
    await end(world, parties, product, stays, leaves)
    assert leaves.kinds.count("resumed") >= CUTS_MIN
    assert "snapshot" not in leaves.kinds
    for name in names:
        assert leaves.told[name] == stays.told[name]
        assert len(stays.told[name]) > 10
    assert all(each.trade_id for each in stays.told["orders"] if each.kind == "traded")
    assert all(each.client_order_id for each in stays.told["orders"] if each.kind == "accepted")
    told = {
        each.id: shown(each)
        for each in await world.exchange.orders.page(provider, limit=1000)
        if each.status != "rejected"
    }
    assert kept(leaves.books) == kept(stays.books) == told
    for task in (staying, last):
        task.cancel()
    await asyncio.gather(staying, last, return_exceptions=True)


async def _act_often(
    world: MarketWorld, chance: random.Random, parties: list[Principal], product: str, leaves: Follower
) -> None:
    """Act for as long as it takes to cut a follower off often."""
    acts = 0
    while acts < ACTS_MIN or leaves.kinds.count("resumed") < CUTS_MIN:
        await act(world, chance, parties, product)
        acts += 1


async def read_all(server: Server, key: str, channel: str, after: dict[str, int]) -> list[Any]:
    """Return what a channel begins with: the messages up to a snapshot or to where it is resumed."""
    told: list[Any] = []
    async with opened(server.url, key) as connection:
        await send(connection, op="subscribe", channels=[channel], after=after)
        while not told or told[-1]["event"] == "delta":
            told.append(await receive(connection))
    return told


async def test_where_too_much_was_missed_a_snapshot_is_given_and_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    product = world.product()
    provider, buyer = await world.traders(10_000_000)
    key = await key_of(world, provider)
    for _ in range(5):
        await world.ask(provider, product)
        await world.bid(buyer, product)
    head = world.exchange.orders.states()[1].sequence
    async with asyncio.timeout(DEADLINE_S):
        while world.exchange.relay.hub.sequences[1] < head:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.002)
    for channel in ("orders", f"trades:{product}"):
        [ahead] = await read_all(server, key, channel, {"1": head + 1})
        assert (ahead["event"], ahead["not_resumed"]) == ("snapshot", "ahead")
        [nothing] = await read_all(server, key, channel, {"1": head})
        assert nothing == {"event": "resumed", "channel": channel, "partition": 1, "sequence": head}
        [delta, resumed] = await read_all(server, key, channel, {"1": 0})
        assert (delta["prev_sequence"], delta["sequence"], resumed["sequence"]) == (0, head, head)
        monkeypatch.setattr(channels, "TOLD_AT_ONCE", 1)
        *deltas, resumed = await read_all(server, key, channel, {"1": 0})
        assert len(deltas) >= 5
        assert [each["prev_sequence"] for each in deltas] == [0, *(each["sequence"] for each in deltas[:-1])]
        monkeypatch.undo()
    monkeypatch.setattr(own_orders, "RESUMED_STEPS_MAX", head - 1)
    [long_ago] = await read_all(server, key, "orders", {"1": 0})
    assert (long_ago["event"], long_ago["not_resumed"]) == ("snapshot", "too_many")
    assert (await read_all(server, key, "orders", {"1": 1}))[-1]["event"] == "resumed"
    monkeypatch.setattr(own_orders, "RESUMED_NEWS_MAX", 3)
    [many] = await read_all(server, key, "orders", {"1": 1})
    assert many["not_resumed"] == "too_many"
    monkeypatch.setattr(channels, "TRADES_KEPT", 5)  # as if there had been more
    [tape] = await read_all(server, key, f"trades:{product}", {"1": 0})
    assert (tape["event"], tape["not_resumed"]) == ("snapshot", "too_many")


async def test_to_go_on_from_long_ago_costs_as_much_as_many_requests(server: Server) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    world.exchange.relay.hub.sequences[1] = 5_000
    async with opened(server.url, await key_of(world, provider)) as connection:
        limits, charged = world.exchange.watched.limits, []

        async def charge(scope: Any, principal: Principal, cost: int) -> None:
            del scope, principal
            charged.append(cost)

        limits.charge = charge  # type: ignore[method-assign]  # what it would cost is looked at
        await send(connection, op="subscribe", channels=["orders"], after={"1": 100})
        assert (await receive(connection))["not_resumed"] == "ahead"
    assert charged == [49]
    world.exchange.relay.hub.sequences[1] = 0


async def test_each_firm_is_told_of_its_sides_only_and_by_which_trade(server: Server) -> None:
    world = server.world
    product = world.product()
    provider, buyer = await world.traders(10_000_000)
    other, _ = await world.traders(1)
    owners = {Side.SELL: [provider, other], Side.BUY: [buyer]}
    for seller in owners[Side.SELL]:
        await world.ask(seller, product)
    await world.bid(buyer, product, quantity_gpus=2)
    seen: set[str] = set()
    for side, owner in ((side, each) for side, some in owners.items() for each in some):
        told = await read_all(server, await key_of(world, owner), "orders", {"1": 0})
        news = [each for message in told[:-1] for each in message["orders"]]
        [order] = await world.exchange.orders.page(owner, limit=10)
        assert {each["order_id"] for each in news} == {order.id}
        traded = [each for each in news if each["kind"] == "traded"]
        assert {each["side"] for each in traded} == {side}
        assert [each["trade_id"] for each in traded] == [fill.trade_id for fill in order.fills]
        [accepted] = [each for each in news if each["kind"] == "accepted"]
        assert accepted["client_order_id"] == order.client_order_id
        seen |= {each["trade_id"] for each in traded}
    assert len(seen) == 2
