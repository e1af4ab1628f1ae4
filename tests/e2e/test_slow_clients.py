"""Goal: who sends or reads slowly is cut off, takes little memory, and holds up nobody who trades.

Method: real sockets against the served exchange, with deadlines of a fraction of a second; a slow sender
sends on until it is cut.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from exchange.kit.http_connection import HEAD_BYTES_MAX, HEADERS_MAX
from exchange.kit.http_wire import Wire, WireLimits
from tests.e2e.served import DEADLINE_S, Served, eventually, problem, served
from tests.e2e.stage import set_scene
from tests.e2e.test_bad_bytes import answer_of, connection

SHORT_S = 0.3
PIECE_S = 0.02
SLOW_CONNECTIONS = 200
TRADES = 40
MEMORY_BYTES_MAX = 48 * 1024 * 1024


def wire(deadline_s: float = SHORT_S) -> Wire:
    limits = WireLimits(
        head_s=deadline_s, body_s=deadline_s, body_bytes_per_s=1024 * 1024, reader_s=deadline_s
    )
    return Wire(limits)


@pytest.fixture(scope="module")
async def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("slow_clients")
    async with served(module_database_url, folder, wire=wire()) as ready:
        yield ready


async def heard(house: Served, sent: bytes) -> bytes:
    """Send something and no more; return what is said until the end."""
    async with asyncio.timeout(DEADLINE_S), connection(house) as (reader, writer):
        writer.write(sent)
        return await reader.read()


async def drip(house: Served, beginning: bytes, drop: bytes) -> None:
    """Send a beginning at once and then drop after drop, until the connection is cut."""
    async with asyncio.timeout(DEADLINE_S), connection(house) as (reader, writer):
        writer.write(beginning)
        ended = asyncio.create_task(reader.read())
        while not (await asyncio.wait([ended], timeout=PIECE_S))[0]:
            writer.write(drop)
        # What comes after the end resets the connection, and may take the answer with it.
        await asyncio.gather(ended, return_exceptions=True)


async def test_a_head_that_does_not_come_whole_in_time_is_cut_off(house: Served) -> None:
    head = b"GET /v1/time HTTP/1.1\r\nX: "
    problem(answer_of(await heard(house, head)), 408, "too_slow")
    cut = house.wire.cut["slow_head"]
    await drip(house, head, b"x")
    assert house.wire.cut["slow_head"] == cut + 1


async def test_a_connection_that_says_nothing_ends(house: Served) -> None:
    assert await heard(house, b"") == b""


async def test_a_body_that_does_not_come_whole_in_time_is_cut_off_and_nothing_happens(house: Served) -> None:
    before = await house.rows()
    head = (
        f"POST /v1/participants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.operator.key}\r\n"
        "Idempotency-Key: slow\r\nX-Request-Id: mine\r\nContent-Length: 900\r\n\r\n"
    ).encode()
    answer = answer_of(await heard(house, head + b'{"kind"'))
    told = problem(answer, 408, "too_slow")
    assert (told["outcome"], told["instance"], told["request_id"]) == (
        *("not_applied", "/v1/participants"),
        "mine",
    )
    cut = house.wire.cut["slow_body"]
    await drip(house, head, b" ")
    assert house.wire.cut["slow_body"] == cut + 1
    assert await house.rows() == before


async def test_a_body_nobody_waits_for_is_not_taken_for_ever(house: Served) -> None:
    head = b"POST /v1/participants HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    told = await heard(house, head)
    assert told.startswith(b"HTTP/1.1 401 ")
    assert told.count(b"HTTP/1.1 ") == 1
    cut = house.wire.cut["slow_body"]
    await drip(house, head, b" ")
    assert house.wire.cut["slow_body"] == cut + 1


async def test_a_head_of_too_many_headers_in_one_piece_is_refused(house: Served) -> None:
    for filling in (b"X: y\r\n" * (HEADERS_MAX + 1), b"X: %b\r\n" % (b"y" * HEAD_BYTES_MAX)):
        async with asyncio.timeout(DEADLINE_S), connection(house) as (reader, writer):
            writer.write(b"GET /v1/time HTTP/1.1\r\n" + filling + b"\r\n")
            problem(answer_of(await reader.read()), 431, "head_too_large")


@asynccontextmanager
async def unread(house: Served) -> AsyncIterator[socket.socket]:
    """Ask for more than sockets hold, and read none of it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking.settimeout(0)
        url = house.http.base_url
        await loop.sock_connect(asking, (url.host, url.port))
        await loop.sock_sendall(asking, b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        yield asking


async def test_an_answer_that_is_not_read_ends_the_connection(house: Served) -> None:
    await house.operator.get("/schema/openapi.json")
    cut = house.wire.cut.get("slow_reader", 0)
    async with unread(house):

        async def cuts() -> int:
            return house.wire.cut.get("slow_reader", 0)

        await eventually(cuts, lambda seen: seen == cut + 1)


async def test_trading_goes_on_beside_slow_connections_and_memory_is_bounded(
    database_url: str, tmp_path: Path
) -> None:
    async with served(database_url, tmp_path, wire=wire(DEADLINE_S)) as house, AsyncExitStack() as slow:
        stage = await set_scene(house)
        before_bytes = resident_bytes()
        held, writers = [], []
        for number in range(SLOW_CONNECTIONS):
            reader, writer = await slow.enter_async_context(connection(house))
            writers.append(writer)
            if number % 2:
                writer.write(b"GET /v1/time HTTP/1.1\r\nX: ".ljust(HEAD_BYTES_MAX - 100, b"x"))
            else:
                key = stage.cast.buyer.key
                writer.write(
                    f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                    "Content-Length: 1000000\r\n\r\n".encode().ljust(200_000)
                )
            held.append(asyncio.create_task(reader.read()))
        for number in range(TRADES):
            bid = stage.order("buy", f"beside-{number}", (20, 22), price_cny_per_gpu_hour="3.90")
            placed = await stage.cast.buyer.post("/v1/orders", bid)
            answer = await stage.cast.buyer.send("DELETE", f"/v1/orders/{placed['id']}")
            assert answer.json()["status"] == "cancelled"
        assert resident_bytes() - before_bytes < MEMORY_BYTES_MAX

        # What is still on its way when a connection is cut resets it, and the answer is lost. So their time
        # is up once all that they send has come, however busy the machine is.
        async def unsent() -> int:
            return sum(writer.transport.get_write_buffer_size() for writer in writers)

        await eventually(unsent, lambda size: size == 0)
        for _ in range(2):  # a server that answers has read what came before
            await house.operator.get("/v1/participants/me")
        house.wire.limits = wire().limits
        async with asyncio.timeout(DEADLINE_S):
            answers = await asyncio.gather(*held)
        assert {answer.split(b" ", 2)[1] for answer in answers} == {b"408"}
        assert house.wire.cut["slow_head"] == house.wire.cut["slow_body"] == SLOW_CONNECTIONS // 2


def resident_bytes() -> int:
    """Return how much memory this process has in use."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("limit", ["connections_max", "connections_per_address_max"])
async def test_there_are_only_so_many_connections(database_url: str, tmp_path: Path, limit: str) -> None:
    limits = msgspec.structs.replace(WireLimits(head_s=DEADLINE_S), **{limit: 3})
    async with served(database_url, tmp_path, wire=Wire(limits)) as house:
        async with AsyncExitStack() as others:
            for _ in range(3):
                await others.enter_async_context(connection(house))
            await eventually(lambda: number(house), lambda count: count == 3)
            async with asyncio.timeout(DEADLINE_S), connection(house) as (reader, _writer):
                refused = answer_of(await reader.read())
            assert refused.status_code == 503
            assert refused.json()["code"] == "too_many_connections"
            assert (refused.headers["retry-after"], refused.headers["connection"]) == ("1", "close")
        await eventually(lambda: number(house), lambda count: count == 0)
        assert (await house.operator.send("GET", "/v1/participants/me")).status_code == 200
        assert house.wire.cut == {"too_many_connections": 1}


async def number(house: Served) -> int:
    """Return how many connections the server holds."""
    return house.wire.count


async def test_a_trusted_proxy_may_hold_more_connections_than_one_address(
    database_url: str, tmp_path: Path
) -> None:
    proxied = Wire(WireLimits(connections_per_address_max=1), (ip_network("127.0.0.0/8"),))
    async with served(database_url, tmp_path, wire=proxied) as house, AsyncExitStack() as others:
        for _ in range(3):
            await others.enter_async_context(connection(house))
        assert (await house.operator.send("GET", "/v1/participants/me")).status_code == 200
