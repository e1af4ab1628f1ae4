"""Goal: whoever waits for a database that does not answer any more is told so, and not left to wait.

Method: of a host that is gone without a word, what the kernel was told of the connections of a pool and of
one beside it, over TCP; that it ends a connection then is its own business, seen with a host that was cut off
in a network namespace. Of a server that is there and stands still, backends that are stopped by SIGSTOP,
before a statement or COMMIT, and go on later.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from exchange.kit import database as database_kit
from exchange.kit.database import Connection, ConnectionLost, Database, StatementTimeout, unhurried
from exchange.kit.silence import PROBE_S, SILENCE_S
from tests.silent_line import SilentLine


async def test_the_kernel_watches_every_connection_to_another_host(database_url: str, tmp_path: Path) -> None:
    line = SilentLine(database_url, tmp_path)
    async with await asyncio.start_server(line.take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = urlsplit(database_url)._replace(netloc=f"exchange@127.0.0.1:{port}", query="").geturl()
        database = await Database.connect(url, connections_min=1)
        async with database.connection() as lent, database.alone() as lone:
            for connection in (lent, lone):
                assert await connection.fetchval("SELECT 1") == 1
                transport: asyncio.Transport = getattr(connection, "_transport")  # noqa: B009 - no stub has it
                wire = transport.get_extra_info("socket")
                told = [
                    wire.getsockopt(level, name)
                    for level, name in (
                        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                    )
                ]
                assert told == [1, PROBE_S, PROBE_S, SILENCE_S * 1000]
        await database.close()


LIMIT_S = 0.3
THING = "CREATE TABLE thing (amount_fen BIGINT); INSERT INTO thing VALUES (1)"
ADD = "UPDATE thing SET amount_fen = amount_fen + 1"


@pytest.fixture
async def things(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A pool of one connection, which is given up soon."""
    monkeypatch.setattr(database_kit, "ANSWER_GRACE_S", LIMIT_S - 1)
    database = await Database.connect(
        empty_database_url, connections_min=1, connections_max=1, statement_timeout_s=1
    )
    async with database.connection() as connection:
        await connection.execute(THING)
    yield database
    await database.close()


async def backend_of(connection: Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def ended(database: Database, pid: int) -> None:
    """Wait until a backend has seen that its client is gone."""
    async with database.connection() as connection:
        while await connection.fetchval(  # noqa: ASYNC110 - only the server knows
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid
        ):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "at, outcome, amount_fen",
    [
        ("begin", "not_applied", 1),
        ("statement", "not_applied", 1),
        ("read", "not_applied", 1),
        ("commit", "unknown", 2),
        ("unhurried commit", "unknown", 2),
    ],
)
async def test_a_server_that_stands_still_is_lost_and_the_pool_serves_on(
    things: Database, at: str, outcome: str, amount_fen: int
) -> None:
    async with things.connection() as connection:
        pid = await backend_of(connection)

    async def change() -> None:
        async with things.transaction() as connection:
            assert at != "begin"
            if at == "unhurried commit":
                await unhurried(connection)
            await connection.execute(ADD)
            os.kill(pid, signal.SIGSTOP)
            if at == "statement":
                await connection.execute(ADD)

    async def read() -> None:
        async with things.connection() as connection:
            os.kill(pid, signal.SIGSTOP)
            await connection.execute("SELECT 1")

    with standing_still(pid):
        if at != "begin":
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(20 * LIMIT_S):
            with pytest.raises(ConnectionLost) as lost:
                await (read if at == "read" else change)()
            assert lost.value.outcome == outcome
            async with things.connection() as connection:
                assert await backend_of(connection) != pid
                assert await connection.fetchval("SELECT amount_fen FROM thing") == 1
    async with asyncio.timeout(20):
        await ended(things, pid)
    async with things.transaction() as connection:  # what the other had locked is free
        await connection.execute(ADD)
        assert await connection.fetchval("SELECT amount_fen FROM thing") == amount_fen + 1


async def test_what_is_slow_and_answers_is_not_cut_off(things: Database) -> None:
    """Many statements that take longer together than one may, and one that is unhurried."""
    async with things.transaction() as connection:
        pid = await backend_of(connection)
        for _ in range(9):
            await connection.execute("SELECT pg_sleep($1)", LIMIT_S / 3)
    async with things.transaction() as connection:
        await unhurried(connection)
        await connection.execute("SELECT pg_sleep($1)", 3 * LIMIT_S)
        assert await backend_of(connection) == pid


async def test_the_servers_own_limit_comes_before_ours(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_kit, "ANSWER_GRACE_S", 0.5)
    database = await Database.connect(empty_database_url, connections_min=1, statement_timeout_s=1)
    with pytest.raises(StatementTimeout):
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(9)")
    await database.close()
