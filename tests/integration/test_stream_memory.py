"""Goal: whatever a client sends and does not read, its connection holds a bounded amount of memory.

Method: sessions on a real exchange whose client never reads, fed with as much as they take of what makes the
longest answers; the memory of the whole process is watched by `tracemalloc`.
"""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exchange.feed.desk import BATCH_WEIGHT, UNDER_WAY_BYTES_MAX, UNDER_WAY_MAX, UNREAD_BYTES_MAX
from exchange.feed.stream import MEMORY_BYTES_MAX, Session
from exchange.feed.stream_models import BATCH_BYTES_MAX
from exchange.kit.clock import monotonic_s
from matching.order import Side
from tests.hypothesis_profiles import sampled
from tests.streams import DEADLINE_S, QuietSocket, Server, body_of, open_server, sources_of, until

MESSAGES = 2_000


@pytest.fixture(scope="module")
async def server(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder: Path = tmp_path_factory.mktemp("stream_memory")
    async with open_server(module_database_url, folder) as running:
        yield running


def wrong_batch() -> str:
    """Return a batch in which everything is wrong, so that its answer is many times as long.

    Of 1,000 orders the whole takes 14 MB, and half a minute under `tracemalloc`.
    """
    wrong = dict.fromkeys("abcdefghijklmnopqrst", 1)
    return json.dumps({"op": "place_batch", "id": "b", "orders": [wrong] * 200})


def one_order(server: Server) -> str:
    sell = server.world.order(Side.SELL, server.world.product(), client_order_id="same")
    return json.dumps({"op": "place", "id": "p", "order": body_of(sell)})


async def peak_bytes(session: Session, socket: QuietSocket, message: str, *, is_cut: bool) -> int:
    """Let a session take as many of a message as it does, or be cut; return what that held at most."""
    for _ in range(MESSAGES):
        socket.incoming.put_nowait(message)
    gc.collect()
    tracemalloc.start()
    try:
        running = asyncio.create_task(session.run())
        left = MESSAGES

        def has_come_to_rest() -> bool:
            nonlocal left
            if is_cut:
                return running.done()
            before, left = left, socket.incoming.qsize()
            desk = session._desk
            assert desk is not None
            return before == left < MESSAGES and not desk._tasks

        await until(has_come_to_rest, every_s=0.2)
        assert socket.incoming.qsize() > 0, "it took everything: nothing was bounded"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    socket.incoming.put_nowait("")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return peak


@pytest.mark.parametrize("what", sampled(["books", "batches", "orders", "pings", "snapshots"], first=1))
async def test_a_client_that_never_reads_is_held_up_or_cut_and_costs_a_bounded_amount(
    server: Server, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = server.world
    provider, _ = await world.traders(1)
    messages: dict[str, Any] = {
        "batches": wrong_batch(),
        "orders": one_order(server),
        "pings": json.dumps({"op": "ping", "id": "p" * 64}),
        "snapshots": json.dumps({"op": "subscribe", "channels": ["orders"]}),
        "books": json.dumps({"op": "subscribe", "channels": [f"book:{world.product()}"]}),
    }
    if what in {"snapshots", "books"}:
        for number in range(400):
            name = f"{what}{number:050}"
            await world.ask(provider, world.product(), client_order_id=name, window=(50, 60))
    socket = QuietSocket(reads=False)
    session = Session(socket, sources_of(world), provider, request_id="r")
    monkeypatch.setattr("exchange.feed.stream.LAST_WORD_S", 0.01)
    # Memory is the limit here, and not how long this machine takes under `tracemalloc`.
    monkeypatch.setattr("exchange.feed.stream.READER_S", 3_600.0)
    # Requests are not read while their answers are not; what else is asked for and not read is too much.
    is_cut = what in {"pings", "snapshots", "books"}
    assert await peak_bytes(session, socket, messages[what], is_cut=is_cut) < MEMORY_BYTES_MAX
    assert [code for code, _ in socket.closed] == ([4408] if is_cut else [])


async def test_who_reads_again_gets_every_answer(server: Server) -> None:
    world = server.world
    _, buyer = await world.traders(1)
    socket = QuietSocket(reads=False)
    session = Session(socket, sources_of(world), buyer, request_id="r")
    running = asyncio.create_task(session.run())
    asked = 2_500
    for number in range(asked):
        socket.incoming.put_nowait(json.dumps({"op": "cancel", "id": f"c-{number}", "order_id": "x"}))
    await until(lambda: not session._is_reading)
    session._interval_s = 5
    session.look(monotonic_s() + 20)  # it is not silent: it is not listened to
    assert session._reader.closing is None
    socket.start_reading()
    await until(lambda: len(socket.sent) == asked)
    assert {told["id"] for told in socket.sent} == {f"c-{number}" for number in range(asked)}
    assert {told["status"] for told in socket.sent} == {404}
    socket.incoming.put_nowait("")
    async with asyncio.timeout(DEADLINE_S):
        await running


async def test_no_request_is_begun_while_much_is_unread(server: Server) -> None:
    _, buyer = await server.world.traders(1)
    session = Session(QuietSocket(), sources_of(server.world), buyer, request_id="r")
    desk, reader = session._desk, session._reader
    assert desk is not None
    assert desk._has_room(BATCH_WEIGHT, BATCH_BYTES_MAX)
    unread = "x" * (UNREAD_BYTES_MAX - 1)
    reader.tell(unread)
    assert desk._has_room(1, 1)
    reader.tell("x")
    assert not desk._has_room(1, 1)
    reader.sent(unread)
    assert desk._has_room(UNDER_WAY_MAX - 1, UNDER_WAY_BYTES_MAX)
    assert not desk._has_room(UNDER_WAY_MAX, 1)
    assert not desk._has_room(1, UNDER_WAY_BYTES_MAX + 1)
