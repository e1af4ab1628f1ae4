"""Goal: a stream tells what was committed from a snapshot on, to whom it belongs, and ends with a reason.

Method: a whole exchange behind a real server, real WebSocket clients; a reader that stops reading is one that
really stops.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.exceptions import ConnectionClosed, InvalidStatus

from exchange.feed import stream as streams
from exchange.feed.hub import QUEUE_MESSAGES_MAX
from exchange.feed.models import Delta, TradeView
from exchange.feed.stream import Session
from exchange.feed.stream_models import MESSAGE_BYTES_MAX
from exchange.kit.auth import Principal, Scope
from exchange.kit.clock import monotonic_s
from exchange.kit.http_limits import Limits, Rates
from exchange.participants.models import ParticipantKind
from tests.streams import (
    DEADLINE_S,
    QuietSocket,
    Server,
    key_of,
    open_server,
    opened,
    receive,
    send,
    sources_of,
    until,
)


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(database_url, tmp_path) as running:
        yield running


@pytest.fixture
async def parties(server: Server) -> tuple[Principal, Principal]:
    provider = await server.world.join(ParticipantKind.PROVIDER)
    buyer = await server.world.join(ParticipantKind.BUYER)
    await server.world.deposit(buyer, 10_000_000)
    return provider, buyer


async def test_trades_come_as_a_snapshot_and_then_as_deltas_that_follow_each_other(
    server: Server, parties: tuple[Principal, Principal]
) -> None:
    world, (provider, buyer) = server.world, parties
    product = world.product()
    channel = f"trades:{product}"
    await world.ask(provider, product, quantity_gpus=10)
    await world.bid(buyer, product)
    async with opened(server.url) as connection:
        async with asyncio.timeout(DEADLINE_S):
            while not world.exchange.relay.tape.latest(product, 1):  # noqa: ASYNC110 - nobody signals it
                await asyncio.sleep(0.001)
        await send(connection, op="subscribe", channels=[channel])
        snapshot = await receive(connection)
        assert (snapshot["event"], snapshot["channel"], len(snapshot["trades"])) == ("snapshot", channel, 1)
        sequence = snapshot["sequence"]
        for _ in range(3):
            await world.bid(buyer, product)
            delta = await receive(connection)
            assert (delta["event"], delta["prev_sequence"]) == ("delta", sequence)
            assert delta["sequence"] > sequence
            sequence = delta["sequence"]
            assert [trade["quantity_gpus"] for trade in delta["trades"]] == [1]
        await send(connection, op="resync", channels=[channel])
        again = await receive(connection)
        assert (again["event"], again["sequence"], len(again["trades"])) == ("snapshot", sequence, 4)
        await send(connection, op="unsubscribe", channels=[channel])
        assert await receive(connection) == {"event": "unsubscribed", "channels": [channel]}
        await world.bid(buyer, product)
        await send(connection, op="ping")
        assert await receive(connection) == {"event": "pong"}


async def test_an_owner_follows_its_own_orders(server: Server, parties: tuple[Principal, Principal]) -> None:
    world, (provider, buyer) = server.world, parties
    product = world.product()
    ask = await world.ask(provider, product, quantity_gpus=4)
    async with opened(server.url, await key_of(world, provider)) as connection:
        await send(connection, op="subscribe", channels=["orders"])
        snapshot = await receive(connection)
        assert [(each["order_id"], each["status"]) for each in snapshot["orders"]] == [(ask.id, "resting")]
        bid = await world.bid(buyer, product, quantity_gpus=1, window=(0, 4))
        delta = await receive(connection)
        assert delta["prev_sequence"] == snapshot["sequence"]
        assert [(each["kind"], each["order_id"]) for each in delta["orders"]] == [("traded", ask.id)]
        assert delta["orders"][0]["remaining_gpu_hours"] == 12
        assert bid.id not in json.dumps(delta)
        second = await world.ask(provider, product, quantity_gpus=2)
        news = (await receive(connection))["orders"]
        assert [(each["kind"], each["order_id"]) for each in news] == [
            ("accepted", second.id),
            ("rested", second.id),
        ]


async def test_what_cannot_be_followed_is_refused_with_every_fault(server: Server) -> None:
    async with opened(server.url) as connection:
        channels = ["orders", "trades:nothing", "weather", f"trades:{server.world.product()}"]
        await send(connection, op="subscribe", channels=channels)
        message = await receive(connection)
        assert message["event"] == "error"
        assert [(fault["pointer"], fault["code"]) for fault in message["problem"]["errors"]] == [
            ("/channels/0", "key_needed"),
            ("/channels/1", "unknown_product"),
            ("/channels/2", "unknown_channel"),
        ]
        await send(connection, op="resync", channels=channels[3:])
        message = await receive(connection)
        assert [fault["code"] for fault in message["problem"]["errors"]] == ["not_subscribed"]
        await connection.send(b'{"op":"ping"}')
        message = await receive(connection)
        assert message["problem"]["code"] == "not_json"
        assert message["problem"]["detail"] == "the message is binary; send JSON as text"
        for text in ("{", "[]", '{"op":"order"}', '{"op":"subscribe"}', '{"op":"ping","op":"ping"}'):
            await connection.send(text)
            assert (await receive(connection))["event"] == "error"


async def test_a_bad_key_and_a_key_without_the_scope_do_not_read_orders(
    server: Server, parties: tuple[Principal, Principal]
) -> None:
    with pytest.raises(InvalidStatus):
        async with opened(server.url, "cx_0000000000001_wrong"):
            pass
    async with opened(server.url, await key_of(server.world, parties[1], Scope.TRADE)) as connection:
        await send(connection, op="subscribe", channels=["orders", "nothing"])
        problem = (await receive(connection))["problem"]
        assert (problem["status"], problem["code"]) == (403, "forbidden")


async def test_a_message_that_is_too_long_ends_the_connection(server: Server) -> None:
    async with opened(server.url) as connection:
        await connection.send(" " * (MESSAGE_BYTES_MAX + 1))
        assert (await receive(connection))["problem"]["code"] == "body_too_large"
        with pytest.raises(ConnectionClosed):
            await receive(connection)
        assert connection.close_code == 1009


async def test_without_a_key_no_batch_is_read_that_is_longer_than_other_messages(server: Server) -> None:
    async with opened(server.url) as connection:
        await connection.send('{"op":"place_batch","id":"b","orders":[' + " " * MESSAGE_BYTES_MAX + "]}")
        assert (await receive(connection))["problem"]["code"] == "body_too_large"
        with pytest.raises(ConnectionClosed):
            await receive(connection)
        assert connection.close_code == 1009


async def test_who_has_no_key_and_sends_too_much_is_read_from_later(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = sources_of(server.world)
    limits = Limits(Rates(address=(3, 3600)))
    sources = replace(sources, services=replace(sources.services, limits=limits))
    socket = QuietSocket()
    session = Session(socket, sources, None, request_id="r", address="192.0.2.1")
    running = asyncio.create_task(session.run())
    socket.incoming.put_nowait('{"op":"heartbeat","interval_s":5,"id":"h"}')
    for number in range(4):
        socket.incoming.put_nowait(json.dumps({"op": "ping", "id": f"p-{number}"}))
    await until(lambda: len(socket.sent) == 4)
    assert [each["event"] for each in socket.sent] == ["result", "pong", "pong", "error"]
    assert (socket.sent[-1]["id"], socket.sent[-1]["problem"]["code"]) == ("p-2", "rate_limited")
    for _ in range(20):
        await asyncio.sleep(0)
    assert socket.incoming.qsize() == 1  # it is not read while the budget has no room
    session.look(monotonic_s() + 1_000)
    assert session._reader.closing is None  # it is we who do not listen
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    # A long message counts as many, and what it says is not looked into; reading goes on after the pause.
    monkeypatch.setattr(streams, "PAUSE_S_MAX", 0.001)
    again = QuietSocket()
    session = Session(again, sources, None, request_id="r", address="192.0.2.2")
    running = asyncio.create_task(session.run())
    again.incoming.put_nowait(json.dumps({"op": "ping", "id": "long"}) + " " * 3 * 4096)
    again.incoming.put_nowait('{"op":"ping","id":"short"}')
    await until(lambda: len(again.sent) == 2)
    again.incoming.put_nowait("")
    await running
    assert [each["event"] for each in again.sent] == ["error", "pong"]
    assert "id" not in again.sent[0]


async def test_a_slow_reader_is_told_and_closed_and_the_others_get_all(server: Server) -> None:
    hub = server.world.exchange.relay.hub
    product = server.world.product()
    channel = f"trades:{product}"
    view = TradeView(
        sequence=1,
        number=1,
        traded_at="",
        price_cny_per_gpu_hour="1.00",
        quantity_gpus=1,
        starts_at="",
        ends_at="",
        gpu_hours=1,
        aggressor="x" * 20_000,
    )
    async with opened(server.url) as fast, opened(server.url) as slow:
        for connection in (fast, slow):
            await send(connection, op="subscribe", channels=[channel])
        sequence = (await receive(fast))["sequence"]
        await receive(slow)
        slow.transport.pause_reading()
        published = QUEUE_MESSAGES_MAX * 2
        for number in range(1, published + 1):
            delta = Delta(
                channel=channel, partition=1, prev_sequence=0, sequence=sequence + number, trades=[view]
            )
            hub.publish(channel, delta)
            message = await receive(fast)
            assert message["sequence"] == sequence + number
        slow.transport.resume_reading()
        last: Any = None
        with pytest.raises(ConnectionClosed):
            while True:
                last = await receive(slow)
        assert last["problem"]["code"] == "slow_reader"
        assert slow.close_code == 4408


async def test_a_planned_stop_is_announced(server: Server) -> None:
    async with opened(server.url) as connection:
        await send(connection, op="ping")
        await receive(connection)
        server.world.exchange.relay.hub.shut_down()
        assert await receive(connection) == {"event": "server_shutdown"}
        with pytest.raises(ConnectionClosed):
            await receive(connection)
        assert connection.close_code == 1001
