"""A way to Redis that a test can close, and that does mischief to what is appended to a stream.

`Door` passes bytes on in both directions. Closed, it swallows them and answers nothing, as a network does
that drops every packet; opened again it cuts what was there, because bytes are missing from it.

With a `mischief` each command that appends to an intake stream may be sent twice, the second time later and
among what others sent meanwhile, or be held back while others pass: what a network and clients that try again
can do to requests.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

SHARE: Final = 0.1
LATER_S_MAX: Final = 0.5
_INTAKE: Final = b":intake\r\n"
_ENDS: Final = (OSError, EOFError)


class Mischief:
    """What befalls appended requests: a tenth each is doubled and delayed. `done` counts by kind."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.doubled = self.delayed = 0

    def strike(self) -> tuple[bool, float]:
        """Decide on one command: whether it is sent again later, and how long it is held back."""
        double, delay = self.rng.random() < SHARE, self.rng.random() < SHARE
        self.doubled += double
        self.delayed += delay
        return double, self.rng.uniform(0, LATER_S_MAX) if delay else 0.0


class Door:
    """A way to one server, on a port of its own. Made by `door_to`."""

    def __init__(self, port: int, mischief: Mischief | None) -> None:
        self.port = 0
        self._to = port
        self._mischief = mischief
        self._is_closed = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._later: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The server's address by this way."""
        return f"redis://127.0.0.1:{self.port}/0"

    def close(self) -> None:
        """Swallow everything from now on."""
        self._is_closed = True

    def open(self) -> None:
        """Pass everything again, on new connections."""
        self._is_closed = False
        self.cut()

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def end(self) -> None:
        """End every connection, and wait until that is done."""
        self.cut()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, to_server}
        self._writers |= ends
        ways = [
            asyncio.create_task(self._pass_commands(reader, to_server)),
            asyncio.create_task(self._pass_bytes(from_server, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def finish(self) -> None:
        """Wait for what is still to be sent a second time."""
        await asyncio.gather(*self._later)

    async def _pass_bytes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_ENDS):
            while data := await reader.read(65_536):
                if not self._is_closed:
                    writer.write(data)

    async def _pass_commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mischief is None:
            await self._pass_bytes(reader, writer)
            return
        with contextlib.suppress(*_ENDS):
            while True:
                command = await _read_command(reader)
                if b"XADD\r\n" in command and _INTAKE in command:
                    double, delay_s = self._mischief.strike()
                    if double:
                        self._send_later(command)
                    await asyncio.sleep(delay_s)
                if not self._is_closed:
                    writer.write(command)

    def _send_later(self, command: bytes) -> None:
        assert self._mischief is not None
        later = asyncio.create_task(self._send_alone(command, self._mischief.rng.uniform(0, LATER_S_MAX)))
        self._later.add(later)
        later.add_done_callback(self._later.discard)

    async def _send_alone(self, command: bytes, after_s: float) -> None:
        await asyncio.sleep(after_s)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._to)
        writer.write(command)
        await reader.readuntil(b"\r\n")
        writer.close()
        await writer.wait_closed()


async def _read_command(reader: asyncio.StreamReader) -> bytes:
    """Read one command: how many words, then each with its length."""
    parts = [await reader.readuntil(b"\r\n")]
    for _ in range(int(parts[0][1:])):
        length = await reader.readuntil(b"\r\n")
        parts += [length, await reader.readexactly(int(length[1:]) + 2)]
    return b"".join(parts)


@asynccontextmanager
async def door_to(port: int, mischief: Mischief | None = None) -> AsyncIterator[Door]:
    """Open a door to a port of this host, and take it away."""
    door = Door(port, mischief)
    server = await asyncio.start_server(door.take, "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    try:
        yield door
        await door.finish()
    finally:
        server.close()
        await door.end()
        await server.wait_closed()
