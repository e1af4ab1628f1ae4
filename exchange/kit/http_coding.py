"""Answers sent smaller: `Compressing` sends JSON by gzip to who takes it, where it is long enough to gain.

Only what a GET, or its HEAD, is answered with in one piece. What streams (exports, files) goes out as it is:
it is never whole in memory, and has forms of its own that are smaller (ZIP, Parquet). What has an entity tag
is compressed once for all who are told the same; long answers are compressed beside the event loop.

Invariant: a coding is another sequence of bytes, so it has another strong tag (`http_cached` makes it so).

A body's compressed length tells of what is in it, also to who sees the bytes of another's TLS pass and can
make him ask. So nothing that a POST answers (keys, codes of logins) is compressed, and no other site can make
a browser ask with its session: the cookie is `SameSite=Strict`.
"""

import asyncio
import gzip
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from exchange.kit.http_head import READS
from exchange.kit.http_scope import header

GZIP: Final = "gzip"
VARY: Final = "Accept-Encoding"
COMPRESSED_FROM_BYTES: Final = 4 * 1024
"""Anything shorter is on its way in the first packets however it is sent."""
ASIDE_FROM_BYTES: Final = 64 * 1024
"""What takes about a millisecond or more is compressed by a thread."""
KEPT: Final = 64
"""Answers with a tag that are remembered compressed; the one asked for longest ago gives way."""
_LEVEL: Final = 5
_REFUSED: Final = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


@lru_cache(maxsize=256)
def accepted_codings(accept_encoding: str) -> frozenset[str]:
    """Return the codings that an `Accept-Encoding` names and takes."""
    taken = set()
    for each in accept_encoding.lower().split(","):
        coding, _, quality = each.partition(";")
        if quality.replace(" ", "") not in _REFUSED:
            taken.add(coding.strip())
    return frozenset(taken)


def is_compressed_for(scope: Any, body_bytes: int) -> bool:
    """Whether `Compressing` sends JSON of this length compressed to who asks for it by a GET."""
    return body_bytes >= COMPRESSED_FROM_BYTES and _takes_gzip(scope)


class Compressing:
    """The middleware around all handlers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[bytes, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through; its answer goes out compressed where that is worth it."""
        if scope["type"] == ScopeType.HTTP and scope["method"] in READS and _takes_gzip(scope):
            send = self._compressing(send)
        await self.app(scope, receive, send)

    def _compressing(self, send: Send) -> Send:
        head: Any = None

        async def smaller(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start" and _is_json(message):
                head = message  # its length is not known before the body
                return
            if head is not None:
                first, head = head, None
                body: bytes = message.get("body", b"")  # type: ignore[assignment]
                if not message.get("more_body") and len(body) >= COMPRESSED_FROM_BYTES:
                    body = await self._compressed(body, _header_of(first, b"etag"))
                    first["headers"] = _encoded(first["headers"], len(body))
                    message = {"type": "http.response.body", "body": body, "more_body": False}
                await send(first)
            await send(message)

        return smaller

    async def _compressed(self, body: bytes, etag: bytes | None) -> bytes:
        # What is asked for is put behind the others: the first is the one asked for longest ago.
        found = None if etag is None else self._kept.pop(etag, None)
        if found is None:
            if len(body) < ASIDE_FROM_BYTES:
                found = _gzipped(body)
            else:
                found = await asyncio.to_thread(_gzipped, body)
        if etag is not None:
            self._kept[etag] = found
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return found


def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


def _takes_gzip(scope: Any) -> bool:
    accepted = header(scope, b"accept-encoding")
    return accepted is not None and GZIP in accepted_codings(accepted)


def _is_json(start: Any) -> bool:
    content_type = (_header_of(start, b"content-type") or b"").partition(b";")[0]
    return (
        start["status"] == HTTPStatus.OK
        and (content_type == b"application/json" or content_type.endswith(b"+json"))
        and _header_of(start, b"content-encoding") is None
    )


def _header_of(start: Any, name: bytes) -> bytes | None:
    return next((value for key, value in start["headers"] if key == name), None)


def _encoded(headers: Any, length: int) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers as those of the compressed body."""
    kept = [each for each in headers if each[0] not in {b"content-length", b"vary"}]
    coded = [(b"content-encoding", GZIP), (b"content-length", str(length)), (b"vary", VARY)]
    return kept + [(name, value.encode()) for name, value in coded]
