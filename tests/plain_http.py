"""A keep-alive connection of HTTP/1.1 that can be lost at any moment, and says so.

It knows just enough of HTTP for a server it trusts, so that it costs little beside what it asks for; and it
never sends anything a second time by itself, so that whoever uses it knows what was sent how often.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ANSWER_S = 60.0
"""How long an answer may take before the connection counts as lost."""


class Lost(Exception):
    """The connection ended, or never began, before a whole answer had come: what was asked may be done."""


class Answer(msgspec.Struct, frozen=True):
    """What was answered; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Line:
    """The way to one server; it connects when something is sent, and again after it was lost."""

    def __init__(self, host: str, port: int, *, answer_s: float = ANSWER_S, come_from: str = "") -> None:
        """`come_from` is the address of ours to connect from, where that matters."""
        self.host, self.port = host, port
        self._answer_s = answer_s
        self._come_from = (come_from, 0) if come_from else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        key: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, JSON in its body where one is given, and wait for the answer; raises `Lost`."""
        content = b"" if body is None else msgspec.json.encode(body)
        told = {"Host": self.host, "Content-Length": str(len(content)), **(headers or {})}
        if key:
            told["Authorization"] = f"Bearer {key}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        try:
            async with asyncio.timeout(self._answer_s):
                return await self._exchange(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content)
        except (OSError, EOFError, TimeoutError) as error:
            self.cut()
            raise Lost(repr(error)) from error
        except asyncio.CancelledError:
            self.cut()  # an answer that comes now would be read as that of the next request
            raise

    def cut(self) -> None:
        """Lose the connection, with whatever is under way on it."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _exchange(self, request: bytes) -> Answer:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            reader, writer = await asyncio.open_connection(self.host, self.port, local_addr=self._come_from)
            self._reader, self._writer = reader, writer
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.cut()
        return Answer(int(first.split()[1]), headers, body)


async def place_at_once(lines: Sequence[Line], key: str, order: object) -> list[Answer]:
    """Send one order on all of some lines at once, so that the answers could be the same to the letter."""
    headers = {"Content-Type": "application/json", "X-Request-Id": "at-once"}
    answers = await asyncio.gather(
        *(line.send("POST", "/v1/orders", key=key, body=order, headers=headers) for line in lines)
    )
    for line in lines:
        line.cut()
    return list(answers)


def check_once(answers: Sequence[Answer], status: int) -> None:
    """Fail unless one answer is the first and all others are replays of it, letter by letter."""
    assert {answer.status for answer in answers} == {status}, [answer.body for answer in answers]
    assert len({answer.body for answer in answers}) == 1
    replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None, *["true"] * (len(answers) - 1)]
