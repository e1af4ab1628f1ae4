"""Goal: whoever follows a book has what is committed, never more and never less, and learns of every change.

Method: a whole exchange behind a real server; clients over real WebSockets that know only what docs/stream.md
says (`tests.book_texts`) keep the book while orders come, trade, lapse and go; at the end their books are
what the engine's own is to the public. Commits are held up by a lock to see that nothing is told before.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection

from exchange.feed.book_view import BookView
from exchange.feed.hub import Closing
from exchange.feed.stream import Session
from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal, Unavailable
from exchange.kit.http_limits import Limits, Rates
from exchange.kit.ids import decode_id
from exchange.orders.chunks import Storing
from exchange.participants.models import ParticipantKind
from matching.product import Phase
from tests.book_texts import PlainBook
from tests.market_world import MarketWorld
from tests.streams import QuietSocket, Server, open_server, opened, receive, send, sources_of, until


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(database_url, tmp_path) as running:
        yield running


def public_book(world: MarketWorld, product: str) -> Any:
    """Return what the engine's book is to the public, once nothing is under way."""
    return json.loads(BookView(1, world.exchange.orders.book(product)).snapshot_text())


async def follow(connection: ClientConnection, product: str) -> PlainBook:
    """Subscribe, and begin a book with the snapshot."""
    await send(connection, op="subscribe", channels=[f"book:{product}"])
    book = PlainBook()
    book.apply(await receive(connection))
    return book


async def catch_up(connection: ClientConnection, book: PlainBook, product: str) -> list[Any]:
    """Take in all that is told before an answer to a request for the checksum, and return it."""
    await send(connection, op="checksum", channels=[f"book:{product}"])
    told: list[Any] = []
    while not told or told[-1]["event"] != "checksum":
        told.append(await receive(connection))
        book.apply(told[-1])
    return told[:-1]


async def all_told(world: MarketWorld, product: str) -> None:
    """Wait until whoever follows a book was told of all that is in it: readers are given time to read."""

    def is_told() -> bool:
        view = world.exchange.books._views[product]
        at = world.exchange.orders.book(product).sequence
        return view._book.sequence == at and not view.has_news and not view.is_due

    await until(is_told)


async def trade_at_random(world: MarketWorld, product: str, seed: int, *, steps: int) -> None:
    """Let a provider and buyers do all that changes a book."""
    random = Random(seed)
    provider, buyer = await world.traders(10**9)
    operator = await world.join(ParticipantKind.OPERATOR)
    live: list[tuple[Principal, str]] = []
    for _ in range(steps):
        kind = random.choice(["ask", "ask", "bid", "bid", "cancel", "amend", "hour", "phase"])
        start = random.randint(0, 6)
        window = (start, start + random.randint(2, 8))
        lots, price = random.randint(1, 6), random.randint(195, 205)
        try:
            if kind == "ask":
                placed = await world.ask(
                    provider, product, quantity_gpus=lots, price=price, window=window, min_hours=1
                )
                live.append((provider, placed.id))
            elif kind == "bid":
                fill = random.choice(["partial", "all_or_none"])
                placed = await world.bid(
                    buyer, product, quantity_gpus=lots, price=price, window=window, hours=2, fill=fill
                )
                live.append((buyer, placed.id))
            elif kind == "hour" and random.random() < 0.4:
                await world.pass_hours(1)
            elif kind == "phase" and random.random() < 0.3:
                for phase in (Phase.CANCEL_ONLY, Phase.OPEN):
                    await world.exchange.orders.set_phase(operator, product, phase)
            elif live:
                owner, order_id = random.choice(live)
                number = decode_id("ord", order_id)
                assert number is not None
                if kind == "cancel":
                    await world.exchange.orders.cancel(owner, number)
                else:
                    view = await world.exchange.orders.get(owner, number)
                    await world.amend(owner, view, quantity_gpus=random.randint(1, 4))
        except Refusal:
            continue  # what is live no more cannot be changed


async def test_every_follower_ends_with_the_book_whenever_it_began(server: Server) -> None:
    world, product = server.world, server.world.product()
    async with opened(server.url) as first, opened(server.url) as second:
        early = await follow(first, product)
        await trade_at_random(world, product, 1, steps=60)
        late = await follow(second, product)
        await trade_at_random(world, product, 2, steps=60)
        await all_told(world, product)
        told = await catch_up(first, early, product)
        await catch_up(second, late, product)
        expected = public_book(world, product)
        for book in (early, late):
            assert list(book.orders.values()) == expected["orders"]
            assert book.checksum() == expected["checksum"]
        assert len(told) > 50
        assert any("first_hour_at" in each for each in told)
        assert any("phase" in each for each in told)
        assert any("checksum" in each for each in told)
        text = json.dumps([told, expected])
        assert "ord_" not in text
        assert "par_" not in text
    await until(lambda: not world.exchange.books._views)


async def test_nothing_is_told_before_its_commit_and_the_first_follower_waits_for_it(server: Server) -> None:
    world = server.world
    product, other = [each for each in sorted(world.exchange.products) if each != "x"][:2]
    provider, _ = await world.traders(1)
    await world.ask(provider, product)
    async with opened(server.url) as follower, opened(server.url) as late:
        book = await follow(follower, product)
        async with world.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            placing = asyncio.create_task(world.ask(provider, product))
            placing_other = asyncio.create_task(world.ask(provider, other))
            await world.somebody_waits_for_a_lock()
            await until(lambda: len(world.exchange.orders.book(product).orders) == 2)
            assert await catch_up(follower, book, product) == []
            assert len(book.orders) == 1
            # What is followed already has a committed book; the other one is a batch ahead.
            assert len((await follow(late, product)).orders) == 1
            await send(late, op="subscribe", channels=[f"book:{other}"])
            await send(follower, op="ping")
            assert (await receive(follower))["event"] == "pong"
            assert other not in world.exchange.books._views
        await asyncio.gather(placing, placing_other)
        snapshot = await receive(late)
        if snapshot["event"] == "delta":
            snapshot = await receive(late)
        assert (snapshot["channel"], len(snapshot["orders"])) == (f"book:{other}", 1)
        await all_told(world, product)
        await catch_up(follower, book, product)
        assert len(book.orders) == 2


async def test_a_book_that_was_never_committed_is_never_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, product = server.world, server.world.product()
    provider, _ = await world.traders(1)
    asks = world.exchange.orders

    async def fail(*_: object) -> None:
        await asyncio.sleep(0)
        await subscribed.wait()
        raise RuntimeError("the disk is full")

    subscribed = asyncio.Event()
    monkeypatch.setattr(Storing, "_send", fail)
    async with opened(server.url) as connection:
        placing = asyncio.create_task(world.ask(provider, product))
        await until(lambda: asks.is_ready and len(asks.book(product).orders) == 1)
        await send(connection, op="subscribe", channels=[f"book:{product}"])
        await until(lambda: product in world.exchange.books._waiting)
        subscribed.set()
        with pytest.raises(Unavailable):
            await placing
        told = await receive(connection)
        if told["event"] == "error":  # it asked while the books were rebuilt
            assert told["problem"]["code"] == "rebuilding"
            await send(connection, op="subscribe", channels=[f"book:{product}"])
            told = await receive(connection)
        assert told["orders"] == []


async def test_a_snapshot_comes_anew_when_asked_for_and_is_one_text_for_all(server: Server) -> None:
    world, product = server.world, server.world.product()
    provider, _ = await world.traders(1)
    for _ in range(5):
        await world.ask(provider, product)
    sockets = [QuietSocket(reads=False) for _ in range(3)]
    sessions = [Session(each, sources_of(world), None, request_id="r") for each in sockets]
    running = [asyncio.create_task(each.run()) for each in sessions]
    taken: list[list[str]] = []
    for socket, session in zip(sockets, sessions, strict=True):
        socket.incoming.put_nowait(json.dumps({"op": "subscribe", "channels": [f"book:{product}"]}))
        socket.incoming.put_nowait(json.dumps({"op": "resync", "channels": [f"book:{product}"]}))
        await until(lambda session=session: session._reader.unsent_messages == 2)  # type: ignore[misc]
        taken.append([*session._reader._queue])
    await world.ask(provider, product)
    await until(lambda: all(each._reader.unsent_messages == 3 for each in sessions))
    snapshots = {id(text) for texts in taken for text in texts}
    assert len(snapshots) == 1
    assert len({id(each._reader._queue[-1]) for each in sessions}) == 1
    for socket in sockets:
        socket.start_reading()
        socket.incoming.put_nowait("")
    await asyncio.gather(*running)
    assert not world.exchange.books._views


async def test_what_has_no_book_or_no_checksum_is_refused(server: Server) -> None:
    product = server.world.product()
    async with opened(server.url) as connection:
        for op, channels, code in (
            ("subscribe", ["book:nothing"], "unknown_product"),
            ("subscribe", ["book:"], "unknown_channel"),
            ("subscribe", [f"books:{product}"], "unknown_channel"),
            ("resync", [f"book:{product}"], "not_subscribed"),
            ("checksum", [f"book:{product}"], "not_subscribed"),
        ):
            await send(connection, op=op, channels=channels)
            told = await receive(connection)
            assert [fault["code"] for fault in told["problem"]["errors"]] == [code]
        await send(connection, op="subscribe", channels=[f"trades:{product}"])
        await receive(connection)
        await send(connection, op="checksum", channels=[f"trades:{product}"])
        told = await receive(connection)
        assert [fault["code"] for fault in told["problem"]["errors"]] == ["not_applicable"]


@pytest.mark.parametrize("has_key", [True, False])
async def test_a_flood_of_resyncs_costs_its_sender_by_the_size_of_the_book(
    server: Server, *, has_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, product = server.world, server.world.product()
    provider, _ = await world.traders(1)
    monkeypatch.setattr("exchange.feed.books.ORDERS_A_REQUEST", 2)
    for _ in range(10):
        await world.ask(provider, product)
    sources = sources_of(world)
    limits = Limits(Rates(address=(20, 3600), key=(20, 3600)))
    sources = replace(sources, services=replace(sources.services, limits=limits))
    socket = QuietSocket()
    session = Session(socket, sources, provider if has_key else None, request_id="r", address="192.0.2.9")
    running = asyncio.create_task(session.run())
    socket.incoming.put_nowait(json.dumps({"op": "subscribe", "channels": [f"book:{product}"]}))
    for _ in range(3):
        socket.incoming.put_nowait(json.dumps({"op": "resync", "channels": [f"book:{product}"]}))
    await until(lambda: len(socket.sent) == 4)
    # Each costs one for its message and five for its ten orders.
    assert [each["event"] for each in socket.sent] == ["snapshot", "snapshot", "snapshot", "error"]
    assert socket.sent[-1]["problem"]["code"] == "rate_limited"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_does_not_read_a_book_is_closed_and_the_others_have_all(server: Server) -> None:
    world, product = server.world, server.world.product()
    provider, _ = await world.traders(1)
    slow_socket = QuietSocket(reads=False)
    slow = Session(slow_socket, sources_of(world), None, request_id="r")
    running = asyncio.create_task(slow.run())
    slow_socket.incoming.put_nowait(json.dumps({"op": "subscribe", "channels": [f"book:{product}"]}))
    await until(lambda: slow._reader.unsent_messages == 1)
    slow._reader._messages_max = 20
    async with opened(server.url) as connection:
        book = await follow(connection, product)
        while slow._reader.closing is None:
            await world.ask(provider, product)
            await all_told(world, product)
            await catch_up(connection, book, product)
            assert len(book.orders) <= 100
        assert book.checksum() == public_book(world, product)["checksum"]
    assert slow._reader.closing is Closing.SLOW
    slow_socket.start_reading()
    await running
    assert slow_socket.closed == [(4408, "slow")]


async def test_a_step_that_does_not_fit_ends_its_readers_and_a_new_snapshot_is_right(server: Server) -> None:
    world, product = server.world, server.world.product()
    provider, _ = await world.traders(1)
    await world.ask(provider, product)
    async with opened(server.url) as connection, opened(server.url) as other:
        await follow(connection, product)
        await send(other, op="ping")
        await receive(other)
        view = world.exchange.books._views[product]
        view._book.orders.clear()  # a fault of ours
        number = decode_id("ord", (await world.ask(provider, product)).id)
        assert number is not None
        view._book.orders.clear()
        await world.exchange.orders.cancel(provider, number)
        told = await receive(connection)
        while told["event"] != "error":
            told = await receive(connection)
        assert told["problem"]["code"] == "events_missed"
        again = await follow(other, product)
        assert again.checksum() == public_book(world, product)["checksum"]


async def test_what_changed_while_readers_rest_is_told_together(server: Server) -> None:
    world, product = server.world, server.world.product()
    provider, _ = await world.traders(1)
    async with opened(server.url) as connection:
        book = await follow(connection, product)
        await world.ask(provider, product)
        await all_told(world, product)
        assert len(await catch_up(connection, book, product)) == 1
        # A rest as after very many readers.
        world.exchange.books._views[product].rests_until_s = asyncio.get_running_loop().time() + 10_000
        placed = [await world.ask(provider, product) for _ in range(20)]
        number = decode_id("ord", placed[-1].id) or 0
        await world.exchange.orders.cancel(provider, number)
        assert await catch_up(connection, book, product) == []
        late = await _late(server, product)
        assert late.checksum() == book.checksum()
        world.exchange.books._tell(world.exchange.books._views[product])
        [delta] = await catch_up(connection, book, product)
        # What came and went in between is not told.
        assert (len(delta["changes"]), delta.get("removed")) == (19, None)
        assert book.checksum() == public_book(world, product)["checksum"]


async def _late(server: Server, product: str) -> PlainBook:
    async with opened(server.url) as connection:
        return await follow(connection, product)
