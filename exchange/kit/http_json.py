"""Structs as JSON answers, for routes that are asked thousands of times a second.

`JsonAnswer` stands where Litestar's `Response` would, and knows what such a route needs: a struct, a status,
headers. Cookies, encoders and work in the background, which `Response` looks for in every answer, it refuses.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Response
from litestar.types import Receive, Scope, Send

T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode


class JsonAnswer(Response[T]):
    """A struct as JSON; without a status it has its route's.

    Litestar makes one of what a handler returns where it is a route's `response_class`. TypeError where it is
    given, or its route has, what it does not do.
    """

    __slots__ = ("_headers",)

    def __init__(  # not the base's: nothing of what that prepares is used
        self,
        content: T,
        *,
        status_code: int | None = None,
        headers: Mapping[str, str] | None = None,
        **others: Any,
    ) -> None:
        _refuse(others)
        self.content = content
        self.status_code = status_code
        self._headers = headers or {}

    def to_asgi_response(  # type: ignore[override]  # an ASGI application, as all that is asked of it
        self, *_: Any, status_code: int | None = None, headers: Mapping[str, str] | None = None, **others: Any
    ) -> "_Encoded":
        """Encode it; Litestar calls this with what holds for all answers of the route."""
        _refuse(others)
        return _Encoded(
            _encode(self.content),
            self.status_code or status_code or HTTPStatus.OK,
            {**headers, **self._headers} if headers else self._headers,
        )


class _Encoded:
    """An answer that is ready to be sent."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self._body = body
        self._status = status
        self._headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send head and body."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self._body)).encode()),
        ]
        for name, value in self._headers.items():
            headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def _refuse(others: Mapping[str, Any]) -> None:
    for name in ("background", "cookies", "type_encoders"):
        if others.get(name):
            raise TypeError(f"a JsonAnswer has no {name}")
