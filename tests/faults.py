"""A way to PostgreSQL that breaks where a test says: before a statement of a transaction, or after COMMIT.

`Wire` stands between a pool and the server's socket and reads what is sent, so it knows each statement of
each transaction; what is read outside of transactions, and what asyncpg asks for itself, passes and is not
counted. When it cuts, both sockets
are closed: the server's backend sees its client gone, rolls back and ends (`gone` waits for that), and the
client learns nothing more.

Cuts: before the k-th statement (BEGIN is the first, COMMIT the last); or after the server has carried out the
COMMIT, of which the client is then never told.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

from exchange.app import Exchange
from exchange.kit.database import Database

Place: TypeAlias = int | Literal["answer"]
"""Where to cut: before the k-th statement, counted from 1, or before the answer to the COMMIT."""

_IS_ITS_OWN: Final = re.compile(r"typeinfo_tree|current_setting\('jit'\)|set_config\('jit'")
"""What asyncpg asks of the server about types, once a connection: which one a transaction gets is chance."""

SOCKET: Final = ".s.PGSQL.5432"
DEADLINE_S: Final = 30.0


class _Line:
    """One connection: what passes, and what the statements of it are."""

    def __init__(self, wire: "Wire", client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.pid = 0
        self._wire = wire
        self._client, self._server = client, server
        self._queries: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self._in_transaction = False
        self._is_last_answer = False

    async def speak(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the client says, as far as it may."""
        self._server.write(await _read_message(reader, typed=False))
        while True:
            message = await _read_message(reader)
            statement = self._statement(message[:1], message[5:])
            if statement is not None and not self._passes(statement):
                self.cut()
                return
            self._server.write(message)

    async def answer(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the server says, but for the answer that nobody is to get."""
        while True:
            message = await _read_message(reader)
            if message[:1] == b"K":
                self.pid = int.from_bytes(message[5:9])
            if not self._is_last_answer:
                self._client.write(message)
            elif message[:1] == b"Z":  # ready for the next: the COMMIT is done
                self._wire.has_cut(self)
                self.cut()
                return

    def cut(self) -> None:
        """Close both ends at once."""
        for end in (self._client, self._server):
            end.transport.abort()

    def _statement(self, kind: bytes, body: bytes) -> str | None:
        """Return the statement that a message of the client's carries out, if it does."""
        if kind == b"Q":
            return body[:-1].decode()
        if kind == b"P":
            name, query, _ = body.split(b"\0", 2)
            self._queries[name] = query.decode()
        elif kind == b"B":
            portal, name, _ = body.split(b"\0", 2)
            self._portals[portal] = self._queries[name]
        elif kind == b"E":
            return self._portals[body.split(b"\0", 1)[0]]
        return None

    def _passes(self, statement: str) -> bool:
        self._in_transaction |= statement.startswith("BEGIN")
        if not self._in_transaction or _IS_ITS_OWN.search(statement):
            return True
        if statement.startswith(("COMMIT", "ROLLBACK")):
            self._in_transaction = "AND CHAIN" in statement
        passes = self._wire.counts(statement)
        if not passes:
            self._wire.has_cut(self)
        elif statement.startswith("COMMIT") and self._wire.place == "answer":
            self._is_last_answer = True
        return passes


class Wire:
    """The way to one database. Made by `faulty_wire`; nothing breaks until `arm`."""

    def __init__(self, url: str, folder: Path) -> None:
        """Lead to the database of an address."""
        parts = urlsplit(url)
        (socket_folder,) = parse_qs(parts.query)["host"]
        self.url = parts._replace(query=f"host={quote(str(folder))}").geturl()
        self.place: Place | None = None
        self.statement = ""
        """The statement before which the last cut was, or the COMMIT whose answer was lost."""
        self.was_cut = asyncio.Event()
        self._path = f"{socket_folder}/{SOCKET}"
        self._count = 0
        self._takes_everything = False
        self._is_down = False
        self._lines: set[_Line] = set()
        self._cut_pids: list[int] = []

    def arm(self, place: Place, *, everything: bool = False) -> None:
        """Cut at a place of the next transaction: its own connection, or every one, and let none in again."""
        self.place, self._count, self._takes_everything = place, 0, everything
        self.statement = ""
        self.was_cut.clear()

    def mend(self) -> None:
        """Let everything pass again."""
        self.place, self._is_down = None, False

    async def gone(self, database: Database) -> None:
        """Wait until the backends of what was cut have ended; `database` goes another way."""
        async with asyncio.timeout(DEADLINE_S), database.connection() as connection:
            while await connection.fetchval(  # noqa: ASYNC110 - only the server knows who is gone
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY ($1::integer[]))", self._cut_pids
            ):
                await asyncio.sleep(0.001)
        self._cut_pids.clear()

    def counts(self, statement: str) -> bool:
        """Count a statement of a transaction; tell whether it may pass."""
        if self.place is None:
            return True
        self._count += 1
        self.statement = statement
        return self._count != self.place

    def has_cut(self, line: _Line) -> None:
        """Take note of a cut at the armed place, and cut the rest where all is to go."""
        self.place = None
        cut = self._lines if self._takes_everything else {line}
        self._is_down = self._takes_everything
        self._cut_pids += [each.pid for each in cut]
        for each in cut - {line}:
            each.cut()
        self.was_cut.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either end is closed."""
        if self._is_down:
            writer.transport.abort()
            return
        from_server, server = await asyncio.open_unix_connection(self._path)
        line = _Line(self, writer, server)
        self._lines.add(line)
        ways = [asyncio.create_task(line.speak(reader)), asyncio.create_task(line.answer(from_server))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            ended = await asyncio.gather(*ways, return_exceptions=True)
            self._lines.discard(line)
            for end in (writer, server):
                end.close()
            for each in ended:
                if isinstance(each, Exception) and not isinstance(each, _ENDS):
                    raise each


_ENDS: Final = (ConnectionError, asyncio.IncompleteReadError)


async def _read_message(reader: asyncio.StreamReader, *, typed: bool = True) -> bytes:
    """Read one message: a letter but for the first one, a length that counts itself, a body."""
    head = await reader.readexactly(5 if typed else 4)
    return head + await reader.readexactly(int.from_bytes(head[-4:]) - 4)


async def quiet(exchange: Exchange) -> None:
    """End what an exchange does of itself: its commits would meet the fault that is meant for a request's."""
    await exchange.stop_chores()
    await exchange.keys.stop()
    # Who was ended in a transaction does not wait for its undoing, if that takes long; its ROLLBACK counts.
    while undoing := set(exchange.database._endings):
        await asyncio.wait(undoing)


@asynccontextmanager
async def faulty_wire(url: str) -> AsyncIterator[Wire]:
    """Lay a wire to the database of an address, and take it away."""
    with TemporaryDirectory(prefix="wire-", dir="/tmp") as folder:
        wire = Wire(url, Path(folder))
        server = await asyncio.start_unix_server(wire.serve, f"{folder}/{SOCKET}")
        try:
            yield wire
        finally:
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE_S):
                    await server.wait_closed()
