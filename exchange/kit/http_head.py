"""HEAD wherever there is GET (RFC 9110, 9.3.2): what GET would do, of whose answer the head alone goes out.

The route is GET's own, so keys, limits, faults and headers are the same, `Content-Length` and `ETag` among
them, and no route says anything of it. `scope["method"]` stays HEAD: that is what was signed and is counted.

What streams is not made: the answer is over with its head, and whoever streams learns that nobody reads it,
as of a reader that went away. So the head of an export tells its rows (`Export-Rows`) and costs their count.
"""

from collections.abc import Awaitable
from typing import Any, Final

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Send

READS: Final = frozenset({"GET", "HEAD"})


class _WithHead(dict[Any, Any]):
    """What a route has for each method, GET's for HEAD: found, but not listed, so not described either."""

    def __missing__(self, method: str) -> Any:
        if method == "HEAD":
            return self["GET"]
        raise KeyError(method)


def take_heads(app: Litestar) -> None:
    """Let every route of the application that takes GET take HEAD.

    Litestar's own routes of files have a HEAD that tells no type: it gives way.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute) and "GET" in route.methods:
            route.methods.add("HEAD")
            route.route_handler_map.pop("HEAD", None)
            route.route_handler_map = _WithHead(route.route_handler_map)
    nodes = [app.asgi_router.root_route_map_node]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.children.values())
        if "GET" in node.asgi_handlers:
            node.asgi_handlers["HEAD"] = node.asgi_handlers["GET"]
            node.path_parameters["HEAD"] = node.path_parameters["GET"]


def answering_heads(handler: ASGIApp) -> ASGIApp:
    """Return a handler that answers HEAD with a head; other requests go to the inner one as they are."""

    def handle(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP and scope["method"] == "HEAD":
            return handler(scope, receive, _head_of(send))
        return handler(scope, receive, send)

    return handle


def _head_of(send: Send) -> Send:
    async def head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            # From here on the server tells who streams that the other side is gone.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return head
