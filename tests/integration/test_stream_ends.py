"""Goal: however a connection ends, it ends with a reason, and the orders it had asked to be withdrawn are.

Method: real connections that close, break, fall silent, do not read, or lose their key; commits held up by a
lock, so that an order is on its way when its sender is gone; deadlines are looked at with a clock made up.
"""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from exchange.feed import placed as placing
from exchange.feed import stream as streams
from exchange.feed.desk import Desk
from exchange.feed.hub import QUEUE_MESSAGES_MAX, Closing
from exchange.feed.stream import READER_S, Session
from exchange.kit.auth import Principal
from exchange.kit.clock import monotonic_s
from exchange.kit.errors import Unavailable
from exchange.kit.ids import decode_id
from exchange.orders import store as order_store
from exchange.orders import withdrawals
from exchange.orders.models import OrderStatus
from matching.order import Side
from tests.hypothesis_profiles import sampled
from tests.market_world import MarketWorld
from tests.streams import (
    DEADLINE_S,
    QuietSocket,
    Server,
    ask,
    body_of,
    open_server,
    opened,
    receive,
    send,
    sources_of,
    trading_key_of,
    until,
)


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(database_url, tmp_path) as running:
        yield running


async def live_of(world: MarketWorld, owner: Principal) -> set[str]:
    """Return the client order ids of an owner's live orders."""
    live = [OrderStatus.ACCEPTED, OrderStatus.RESTING, OrderStatus.PARTIALLY_FILLED]
    found = await world.exchange.orders.page(owner, statuses=live, limit=1000)
    return {order.client_order_id for order in found}


async def until_live(world: MarketWorld, owner: Principal, names: set[str]) -> None:
    """Wait until exactly these orders are live."""
    async with asyncio.timeout(DEADLINE_S):
        while await live_of(world, owner) != names:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.005)


async def placed(connection: ClientConnection, world: MarketWorld, name: str, **fields: Any) -> Any:
    """Place an ask under a name, and return it."""
    order = body_of(world.order(Side.SELL, world.product(), client_order_id=name, **fields))
    told = await ask(connection, op="place", id=name, order=order)
    assert told["status"] == 201, told
    return told["order"]


async def close(connection: ClientConnection, _: Server) -> None:
    await connection.close()


async def break_off(connection: ClientConnection, _: Server) -> None:
    connection.transport.abort()


async def stop_reading(connection: ClientConnection, server: Server) -> None:
    connection.transport.pause_reading()
    [reader] = server.world.exchange.relay.hub._readers
    for _ in range(QUEUE_MESSAGES_MAX + 1):
        reader.tell("x" * 10_000)
    assert reader.closing is Closing.SLOW
    connection.transport.resume_reading()
    with pytest.raises(ConnectionClosed):
        while True:
            await connection.recv()


async def stop(connection: ClientConnection, server: Server) -> None:
    server.world.exchange.announce_stop()
    with pytest.raises(ConnectionClosed):
        while True:
            await receive(connection)
    assert connection.close_code == 1001


async def lose_key(connection: ClientConnection, server: Server) -> None:
    [reader] = server.world.exchange.relay.hub._readers
    assert reader.key_id is not None
    server.world.exchange.relay.hub.close_key(reader.key_id + 1)
    server.world.exchange.relay.hub.close_key(reader.key_id)
    with pytest.raises(ConnectionClosed):
        while True:
            told = await receive(connection)
            assert told["problem"]["code"] == "unauthenticated"
    assert connection.close_code == 4401


async def fall_silent(connection: ClientConnection, server: Server) -> None:
    await ask(connection, op="heartbeat", id="h", interval_s=5)
    server.world.exchange.relay.hub.close_all(Closing.SILENT)
    with pytest.raises(ConnectionClosed):
        while True:
            await receive(connection)
    assert connection.close_code == 4410


async def send_too_much(connection: ClientConnection, _: Server) -> None:
    await connection.send(" " * 100_000)
    with pytest.raises(ConnectionClosed):
        while True:
            await receive(connection)
    assert connection.close_code == 1009


@pytest.mark.parametrize(
    "end", sampled([close, break_off, lose_key, stop_reading, fall_silent, stop, send_too_much], first=3)
)
async def test_whatever_ends_a_connection_its_orders_are_withdrawn_and_no_others(
    server: Server, end: Callable[[ClientConnection, Server], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LAST_WORD_S", 0.2)
    world = server.world
    provider, _ = await world.traders(1)
    await world.ask(provider, world.product(), client_order_id="of-another-door")
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        first = await placed(connection, world, "first")
        told = await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        assert (told["status"], told["cancel_on_disconnect"]) == (200, True)
        amended = await placed(connection, world, "amended")
        outcome = await ask(
            connection,
            op="place_batch",
            id="b",
            orders=[
                body_of(world.order(Side.SELL, world.product(), client_order_id=f"many-{each}"))
                for each in range(3)
            ],
        )
        assert [each["status"] for each in outcome["outcomes"]] == [201] * 3
        # An amendment over another door puts another order in the place of this one.
        number = decode_id("ord", amended["id"])
        assert number is not None
        view = await world.exchange.orders.get(provider, number)
        await world.amend(provider, view, quantity_gpus=9)
        assert len(await live_of(world, provider)) == 6
        await end(connection, server)
        await until_live(world, provider, {"of-another-door"})
    number = decode_id("ord", first["id"])
    async with world.database.connection() as connected:
        [record] = await connected.fetch(
            "SELECT detail FROM audit_record WHERE order_id = $1 AND code = 'CAME'", number
        )
    assert json.loads(record["detail"])["cause"] == "cancel_on_disconnect"


async def test_orders_stay_where_nobody_asked_for_their_withdrawal_or_no_more(server: Server) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        await placed(connection, world, "one")
        await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        await ask(connection, op="cancel_on_disconnect", id="d", enabled=False)
        await placed(connection, world, "two")
    await until(lambda: not world.exchange.relay.hub.readers)
    await world.exchange.withdrawals.close()
    assert await live_of(world, provider) == {"one", "two"}


async def test_what_is_on_its_way_when_its_sender_is_gone_is_withdrawn_once_it_has_come(
    server: Server,
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        await placed(connection, world, "early")
        await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        async with world.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            for name in ("late-1", "late-2"):
                order = body_of(world.order(Side.SELL, world.product(), client_order_id=name))
                await send(connection, op="place", id=name, order=order)
            async with asyncio.timeout(DEADLINE_S):
                while not await waiting_for_locks(world):  # noqa: ASYNC110 - nobody signals it
                    await asyncio.sleep(0.002)
            connection.transport.abort()
            await until(lambda: not world.exchange.relay.hub.readers)
        await until_live(world, provider, set())
    orders = await world.exchange.orders.page(provider, limit=10)
    assert {(each.client_order_id, each.status) for each in orders} == {
        ("early", "cancelled"),
        ("late-1", "cancelled"),
        ("late-2", "cancelled"),
    }


async def test_what_has_not_come_to_its_partition_when_its_sender_is_gone_is_never_placed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    look_up, has_gone, looking = order_store.place_of_order, asyncio.Event(), asyncio.Event()

    async def take_long(*given: Any) -> Any:
        looking.set()
        await has_gone.wait()
        return await look_up(*given)

    monkeypatch.setattr(order_store, "place_of_order", take_long)
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        first = await placed(connection, world, "first")
        # Only what is not live any more has to be looked up.
        await ask(connection, op="cancel", id="w", order_id=first["id"])
        await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        await send(connection, op="cancel", id="x", order_id=first["id"])
        order = body_of(world.order(Side.SELL, world.product(), client_order_id="behind"))
        await send(connection, op="place", id="p", order=order)
        await looking.wait()
        [reader] = world.exchange.relay.hub._readers
        [desk] = [each for each in gc.get_objects() if type(each) is Desk and each._reader is reader]
        assert desk.withdraws_at_end
        await until(lambda: len(desk._tasks) == 2)
        connection.transport.abort()
        await until(lambda: not world.exchange.relay.hub.readers)
        has_gone.set()
        await until(lambda: not desk._tasks)
        await until_live(world, provider, set())
    orders = await world.exchange.orders.page(provider, limit=10)
    assert [each.client_order_id for each in orders] == ["first"]


async def waiting_for_locks(world: MarketWorld) -> int:
    async with world.database.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return found


async def test_a_withdrawal_goes_on_while_the_partition_takes_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    sequencer = world.exchange.partitions.leaders[1]
    refused = 0

    def refuse(_: object) -> Any:
        nonlocal refused
        refused += 1
        raise Unavailable("rebuilding", "the partition takes no requests now")

    monkeypatch.setattr(withdrawals, "RETRY_S", 0.001)
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        await placed(connection, world, "one")
        await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        with monkeypatch.context() as planted:
            planted.setattr(sequencer, "enqueue", refuse)
            await connection.close()
            await until(lambda: refused >= 3)
        await until_live(world, provider, set())


async def test_what_is_put_in_an_orders_place_while_that_is_withdrawn_is_withdrawn_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    look_up, to_come = order_store.live_among, 3

    async def be_late(connection: Any, participant_id: int, names: Any) -> Any:
        """Amend over another door what was found, before whoever looked can cancel it."""
        nonlocal to_come
        found = await look_up(connection, participant_id, names)
        if found and to_come:
            to_come -= 1
            view = await world.exchange.orders.get(provider, found[0][0])
            amended = await world.amend(provider, view, quantity_gpus=view.quantity_gpus + 1)
            assert amended.id != view.id
        return found

    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        await placed(connection, world, "mine")
        await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        monkeypatch.setattr(order_store, "live_among", be_late)
    await until(lambda: not world.exchange.relay.hub.readers)
    await until(lambda: not world.exchange.withdrawals._tasks)
    assert to_come == 0
    assert await live_of(world, provider) == set()
    orders = await world.exchange.orders.page(provider, limit=10)
    assert [each.status for each in orders] == ["cancelled"] * 4


async def test_an_order_of_unknown_outcome_is_looked_for_until_it_can_come_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    orders = world.exchange.orders
    place = orders.place
    late = asyncio.Event()
    arrived: list[asyncio.Task[Any]] = []

    async def lose(*given: Any) -> Any:
        async def come_late() -> None:
            await late.wait()
            await place(*given[:2])

        arrived.append(asyncio.create_task(come_late()))
        raise Unavailable("not_committed", "nobody knows", outcome="unknown")

    monkeypatch.setattr(withdrawals, "LOOK_AGAIN_S", 0.01)
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        await ask(connection, op="cancel_on_disconnect", id="c", enabled=True)
        with monkeypatch.context() as planted:
            planted.setattr(orders, "place", lose)
            order = body_of(world.order(Side.SELL, world.product(), client_order_id="lost"))
            told = await ask(connection, op="place", id="p", order=order)
            assert told["problem"]["outcome"] == "unknown"
    await until(lambda: not world.exchange.relay.hub.readers)
    late.set()
    await arrived[0]
    await until_live(world, provider, set())
    assert [each.status for each in await orders.page(provider, limit=10)] == ["cancelled"]


async def test_memory_of_what_was_placed_goes_with_what_is_live(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, buyer = await world.traders(10_000_000)
    monkeypatch.setattr(placing, "REMEMBERED_MIN", 8)
    here = placing.PlacedOrders(provider, world.exchange.withdrawals)
    for _ in range(4):
        here.add(await world.ask(provider, world.product(), window=(50, 54)))
    for _ in range(40):
        here.add(await world.ask(provider, world.product()))
        await world.bid(buyer, world.product())
    await until(lambda: len(here) <= 8 + 4)
    await here.withdraw("test")
    assert await live_of(world, provider) == set()
    assert len(here) == 0


async def test_memory_of_unknown_outcomes_goes_once_they_can_come_no_more_but_for_what_has_come(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    monkeypatch.setattr(placing, "REMEMBERED_MIN", 8)
    monkeypatch.setattr(placing, "UNCLEAR_S", 0)
    here = placing.PlacedOrders(provider, world.exchange.withdrawals)
    await world.ask(provider, world.product(), client_order_id="came-late")
    here.doubt(["came-late", *(f"lost-{number}" for number in range(40))])
    await until(lambda: len(here) == 1)
    await here.withdraw("test")
    assert await live_of(world, provider) == set()


async def test_an_expired_key_and_one_that_was_revoked_elsewhere_end_their_streams(server: Server) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    for statement in (
        "UPDATE api_key SET expires_at = now() + interval '0.2 seconds' WHERE id = $1",
        "UPDATE api_key SET revoked_at = now() WHERE id = $1",
    ):
        key = await trading_key_of(world, provider)
        async with opened(server.url, key) as connection:
            await ask(connection, op="ping", id="p")
            [reader] = world.exchange.relay.hub._readers
            async with world.database.transaction() as changing:
                await changing.execute(statement, reader.key_id)
            told = await receive(connection)
            assert (told["event"], told["problem"]["code"]) == ("error", "unauthenticated")
            with pytest.raises(ConnectionClosed):
                await receive(connection)
            assert connection.close_code == 4401
        await until(lambda: not world.exchange.relay.hub.readers)


async def test_heartbeats_come_when_there_is_nothing_to_say_and_are_asked_for(server: Server) -> None:
    socket = QuietSocket()
    session = Session(socket, sources_of(server.world), None, request_id="r")
    running = asyncio.create_task(session.run())
    socket.incoming.put_nowait('{"op":"heartbeat","interval_s":10,"id":"h"}')
    await until(lambda: socket.sent)
    assert socket.sent == [{"event": "result", "status": 200, "id": "h", "interval_s": 10}]
    said_s = session._said_s  # what it reckons from: this machine may have stood still since
    session.look(said_s + 9)
    assert not session._reader.unsent_messages
    session.look(said_s + 10)
    await until(lambda: len(socket.sent) == 2)
    assert socket.sent[1] == {"event": "heartbeat"}
    socket.incoming.put_nowait('{"op":"ping"}')
    await until(lambda: len(socket.sent) == 3)
    heard_s = session._heard_s
    session.look(heard_s + 19)
    assert session._reader.closing is None
    session.look(heard_s + 20)
    await running
    assert socket.sent[-1]["problem"]["code"] == "heartbeat_missed"
    assert socket.closed == [(4410, "silent")]


async def test_without_heartbeats_nobody_is_closed_for_silence(server: Server) -> None:
    socket = QuietSocket()
    session = Session(socket, sources_of(server.world), None, request_id="r")
    running = asyncio.create_task(session.run())
    socket.incoming.put_nowait('{"op":"heartbeat","interval_s":5}')
    socket.incoming.put_nowait('{"op":"heartbeat","interval_s":0}')
    await until(lambda: len(socket.sent) == 2)
    session.look(monotonic_s() + 1_000)
    assert session._reader.closing is None
    socket.incoming.put_nowait("")
    await running
    assert socket.closed == []


async def test_a_message_that_is_never_read_ends_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LAST_WORD_S", 0.01)
    socket = QuietSocket(reads=False)
    session = Session(socket, sources_of(server.world), None, request_id="r")
    running = asyncio.create_task(session.run())
    socket.incoming.put_nowait('{"op":"ping"}')
    await until(lambda: session._sending_since_s is not None)
    since_s = session._sending_since_s
    assert since_s is not None
    session.look(since_s + READER_S - 1)
    assert session._reader.closing is None
    session.look(since_s + READER_S)
    await running
    assert socket.closed == [(4408, "slow")]
