"""A WebSocket that is not opened: who asked for it is answered as over HTTP, with a problem and its status.

That needs the ASGI extension `websocket.http.response`. A server without it is told to close with the code
4000 + status, of which it mostly makes a bare 403.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from litestar.exceptions import HTTPException, WebSocketDisconnect
from litestar.types import ASGIApp, Message, Receive, Send
from litestar.types import Scope as AsgiScope

from exchange.kit.errors import NotFound, Refusal
from exchange.kit.http_problems import PROBLEM_TYPE, problem_of, refusal_of
from exchange.kit.http_scope import request_id_of

_EXTENSION: Final = "websocket.http.response"
_WEBSOCKET: Final = "websocket"
_ERROR: Final = "exchange.handshake_error"
_CLOSE_CODES: Final = 4000


async def note_error(error: Exception, scope: Any) -> None:
    """Keep what ended a WebSocket, for its answer; a hook of the application."""
    if scope["type"] == _WEBSOCKET:
        scope[_ERROR] = error


def answering_handshakes(handler: ASGIApp) -> ASGIApp:
    """Return a handler that answers what is refused; requests over HTTP go to the inner one as they are."""

    def handle(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == _WEBSOCKET:
            return handler(scope, receive, _answering(scope, send))
        return handler(scope, receive, send)

    return handle


def _answering(scope: Any, send: Send) -> Callable[[Message], Awaitable[None]]:
    is_open = False

    async def answer(message: Any) -> None:
        nonlocal is_open
        error = scope.get(_ERROR)
        if message["type"] == "websocket.accept":
            is_open = True
            named = (b"x-request-id", request_id_of(scope).encode())
            message["headers"] = [*(message.get("headers") or ()), named]
        if is_open or error is None or isinstance(error, WebSocketDisconnect):
            await send(message)
            return
        refusal = _refusal_of(error, scope)
        if _EXTENSION not in (scope.get("extensions") or {}):
            message.update(code=_CLOSE_CODES + refusal.status, reason=refusal.title)
            await send(message)
            return
        problem = problem_of(refusal, instance=scope["path"], request_id=request_id_of(scope))
        headers = [(b"content-type", PROBLEM_TYPE.encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        start: Any = {"type": f"{_EXTENSION}.start", "status": refusal.status, "headers": headers}
        body: Any = {"type": f"{_EXTENSION}.body", "body": msgspec.json.encode(problem)}
        await send(start)
        await send(body)

    return answer


def _refusal_of(error: Exception, scope: AsgiScope) -> Refusal:
    if isinstance(error, HTTPException):
        return NotFound(detail=f"there is no stream at {scope['path'][:200]}")
    return refusal_of(error, f"the handshake of {scope['path']}", request_id_of(scope))
