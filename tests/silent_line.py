"""A way to PostgreSQL on which nothing comes back any more, though nothing is closed: a host that is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from tests.faults import SOCKET


class SilentLine:
    """Made by `silent_line`. Silent while `silent` is set, and on connections that `mute` met for ever."""

    def __init__(self, url: str, folder: Path) -> None:
        """Lead to the database of an address."""
        parts = urlsplit(url)
        (server_folder,) = parse_qs(parts.query)["host"]
        self.url = parts._replace(query=f"host={quote(str(folder))}").geturl()
        self.silent = asyncio.Event()
        self.silent_at: bytes | None = None
        """What a client says before it is `silent`."""
        self._server_socket = f"{server_folder}/{SOCKET}"
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._muted_through = 0

    def mute(self) -> None:
        """Let nothing pass on the connections that there are; new ones are well."""
        self._muted_through = self._numbers

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client to the server."""
        number = self._numbers = self._numbers + 1
        server_reader, server_writer = await asyncio.open_unix_connection(self._server_socket)
        ways = ((reader, server_writer, True), (server_reader, writer, False))
        for source, sink, is_client in ways:
            task = asyncio.create_task(self._pass_on(source, sink, number, is_client=is_client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, number: int, *, is_client: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                if is_client and self.silent_at is not None and self.silent_at in data:
                    self.silent.set()
                if not self.silent.is_set() and number > self._muted_through:
                    sink.write(data)
        sink.close()


@asynccontextmanager
async def silent_line(url: str, folder: Path) -> AsyncIterator[SilentLine]:
    """Lay a line to the database of an address through a folder of its own."""
    line = SilentLine(url, folder)
    async with await asyncio.start_unix_server(line.take, folder / SOCKET):
        yield line
