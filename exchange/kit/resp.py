"""Redis' wire protocol (RESP2): commands as bytes, and a parser of answers for redis-py's connections.

redis-py awaits every element of an answer, and packs every word by itself. Here an answer is read as far as
it has come and then parsed in one go: a page of a stream takes a fifth of the time.

Invariant: an answer is given once it has come whole; what has come of the next one stays for the next call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis import exceptions
from redis._parsers.base import BaseParser

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

Word: TypeAlias = str | bytes | int | float

CHUNK_BYTES: Final = 1 << 16
_END: Final = b"\r\n"
_END_BYTES: Final = 2
_ERROR, _BULK, _ARRAY, _INTEGER, _LINE = b"-$*:+"


class Incomplete(Exception):
    """An answer has not come whole: it has at least so many bytes."""

    def __init__(self, least_bytes: int) -> None:
        super().__init__(least_bytes)
        self.least_bytes = least_bytes


def pack(commands: Iterable[Sequence[Word]]) -> bytes:
    """Return commands as they are sent."""
    parts: list[bytes] = []
    for words in commands:
        parts.append(b"*%d\r\n" % len(words))
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n" % len(data))
            parts.append(data)
            parts.append(_END)
    return b"".join(parts)


def parse(data: bytes | bytearray, at: int = 0) -> tuple[Any, int]:
    """Return the answer that begins at a place, and where it ends: texts as bytes, errors as exceptions.

    Raises `Incomplete`, or `InvalidResponse` for what is no answer.
    """
    ends = data.find(_END, at)
    if ends < 0:
        raise Incomplete(len(data) + 1)
    kind, text, at = data[at], bytes(data[at + 1 : ends]), ends + _END_BYTES
    if kind == _BULK:
        return _bulk(data, int(text), at)
    if kind == _ARRAY:
        answers = []
        for _ in range(int(text)):
            answer, at = parse(data, at)
            answers.append(answer)
        # XREAD says -1 where there is nothing.
        return (None if text == b"-1" else answers), at
    return _line(kind, text), at


def _bulk(data: bytes | bytearray, length: int, at: int) -> tuple[bytes | None, int]:
    if length < 0:
        return None, at
    ends = at + length
    if len(data) < ends + _END_BYTES:
        raise Incomplete(ends + _END_BYTES)
    return bytes(data[at:ends]), ends + _END_BYTES


def _line(kind: int, text: bytes) -> Any:
    if kind == _INTEGER:
        return int(text)
    if kind == _LINE:
        return text
    if kind == _ERROR:
        return BaseParser.parse_error(text.decode("utf-8", "replace"))  # type: ignore[no-untyped-call]  # redis-py's
    raise exceptions.InvalidResponse(f"no answer of Redis begins with {kind:#x}")


class WholeAnswers(BaseParser):
    """Parses the answers of one connection."""

    def __init__(self, socket_read_size: int) -> None:
        """Begin with nothing; the size is redis-py's and does not count."""
        del socket_read_size
        self._stream: asyncio.StreamReader | None = None
        self._come = bytearray()

    def on_connect(self, connection: Any) -> None:
        """Read from a connection that was just opened."""
        self._stream = connection._reader  # noqa: SLF001 - as redis-py's own parsers do
        self._come.clear()

    def on_disconnect(self) -> None:
        """Read no more."""
        self._stream = None

    async def can_read(self) -> bool:
        """Tell whether something has come that nobody asked for, be it the end."""
        if self._stream is None:
            raise OSError("the connection is closed")
        return bool(self._come) or self._stream.at_eof() or bool(self._stream._buffer)  # type: ignore[attr-defined]  # noqa: SLF001 - as redis-py does

    async def can_read_destructive(self) -> bool:
        """As `can_read`; redis-py asks for both."""
        return await self.can_read()

    async def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - redis-py's
        """Return the next answer once it has come."""
        while True:
            try:
                answer, ends = parse(self._come)
            except Incomplete as incomplete:
                await self._come_to(incomplete.least_bytes)
                continue
            del self._come[:ends]
            if isinstance(answer, exceptions.ConnectionError):
                raise answer
            return answer

    async def _come_to(self, least_bytes: int) -> None:
        while len(self._come) < least_bytes:
            chunk = b"" if self._stream is None else await self._stream.read(CHUNK_BYTES)
            if not chunk:
                raise exceptions.ConnectionError("the server has closed the connection")
            self._come += chunk
