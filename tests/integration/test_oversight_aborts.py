"""Goal: readers who break an export off cost nothing: no slot, no connection, no word in the log.

Method: a real server, raw sockets that take the first bytes of a long export and go, and heads of it, whose
rest nobody wants; a pool so small that a connection kept would be missed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from exchange.cli.serve import bound_socket, serve_until
from exchange.kit.auth import Scope
from exchange.kit.clock import ManualClock
from exchange.kit.database import Database
from exchange.oversight.service import EXPORTS_AT_ONCE
from tests.market_rows import fill_market
from tests.oversight_client import OversightApp

STARTS_AT_US = 1_790_000_000_000_000
REGULATOR_ID = 1
ABORTS = 25
EXPORT = "/v1/oversight/trades/export"
TRADES = 5_000
DEADLINE_S = 60.0


@asynccontextmanager
async def port_of(app: OversightApp) -> AsyncIterator[int]:
    listener = bound_socket("127.0.0.1", 0)
    stopping, listening = asyncio.Event(), asyncio.Event()
    server = asyncio.create_task(serve_until(app.app, listener, stopping, listening.set))
    await asyncio.wait_for(listening.wait(), DEADLINE_S)
    yield listener.getsockname()[1]
    stopping.set()
    await server


async def abort(port: int, key: str, file_format: str) -> None:
    """Ask for an export, read a little of it, and go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
    request = (
        f"GET {EXPORT}?format={file_format}&reason=test HTTP/1.1\r\nHost: exchange\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    )
    writer.write(request.encode())
    status = await reader.readuntil(b"\r\n")
    assert status.split()[1] in {b"200", b"503"}, status
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(100)
    writer.transport.abort()


async def tell_heads(port: int, key: str) -> None:
    """Ask for the heads of more exports than may run, one after the other on one connection."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        for number in range(EXPORTS_AT_ONCE + 2):
            async with asyncio.timeout(DEADLINE_S):
                while (answer := await client.head(EXPORT, params={"reason": f"head {number}"})).is_error:
                    assert answer.status_code == 503
            assert (answer.headers["export-rows"], answer.content) == (str(TRADES + 31), b"")


async def test_exports_that_are_broken_off_leave_nothing_behind(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = await Database.connect(database_url, connections_min=1, connections_max=EXPORTS_AT_ONCE + 1)
    async with database.transaction() as connection:
        await fill_market(connection, trades=30, seed=3, starts_at_us=STARTS_AT_US)
        columns = ", ".join(
            f"trade.{column} + n" if column in {"id", "sequence"} else f"trade.{column}"
            for (column,) in await connection.fetch(
                "SELECT attname FROM pg_attribute"
                " WHERE attrelid = 'trade'::regclass AND attnum > 0 ORDER BY attnum"
            )
        )
        await connection.execute(
            f"INSERT INTO trade SELECT {columns} FROM (SELECT * FROM trade LIMIT 1) AS trade,"  # noqa: S608 - columns of the catalogue
            " generate_series(1000000, $1::INTEGER) AS n",
            1_000_000 + TRADES,
        )
    app = OversightApp(database, ManualClock(STARTS_AT_US))
    key = app.issue(REGULATOR_ID, Scope.AUDIT)
    with caplog.at_level(logging.WARNING):
        async with port_of(app) as port:
            for number in range(ABORTS):
                await abort(port, key.text, "csv" if number % 2 else "ndjson")
            await tell_heads(port, key.text)
            async with app.client(key) as client, asyncio.timeout(DEADLINE_S):
                params = {"format": "ndjson", "reason": "test"}
                while (answer := await client.get(EXPORT, params=params)).is_error:
                    assert answer.status_code == 503
            assert len(answer.text.splitlines()) > TRADES
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT detail FROM audit_record WHERE code = 'QURA' ORDER BY id")
        heads = await connection.fetch(
            "SELECT answer.detail"
            " FROM audit_record AS question JOIN audit_record AS answer USING (subject_id)"
            " WHERE question.detail ->> 'reason' LIKE 'head %' AND answer.code = 'QURA'"
        )
    told = [msgspec.json.decode(row["detail"]) for row in rows]
    assert told[-1] == {"rows": TRADES + 31, "is_whole": True}
    assert {each["is_whole"] for each in told[:-1]} == {False}
    assert [msgspec.json.decode(row["detail"])["rows"] for row in heads] == [0] * (EXPORTS_AT_ONCE + 2)
    await database.close()
    assert [record.getMessage() for record in caplog.records] == []
