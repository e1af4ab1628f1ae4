"""Who may call which route, and with what beside the body.

Every route declares in its `opt` either `requires(Scope.X)` or `public()`; a controller's `opt` is inherited.
A route that declares nothing stops the application when it is built (`check_declared`). One middleware reads
the declaration after routing, so a request that may not come in costs neither a body nor a handler. It also
refuses parameters of a query, and a body, where a route declares none: what is ignored may have been meant,
such as the side of the orders to cancel. What watches the exchange may bring a body all the same. A header
that says who sends something, or what it is, comes once.

The signature of a key that signs its requests is looked at in the same place: that over the head with the
key; then, once the budgets let the request in, that it is new; at last that the body is the one signed.

A request without a key may come with a session's cookie instead (`kit.http_session`), and is then judged as
one with the session's key is, once it is known not to come from another site.

One plain ASGI middleware is the cheapest place: a Litestar guard copies its handler for every request.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as AsgiScope

from exchange.kit.auth import Authenticator, IpNetwork, Principal, Scope, is_within
from exchange.kit.errors import Forbidden, InvalidInput, Unauthenticated
from exchange.kit.http_limits import Limits, address_of, is_unlimited
from exchange.kit.http_query import NoParameters, decode_query
from exchange.kit.http_scope import header, refuse_repeated_headers
from exchange.kit.http_session import cleared_cookie, must_be_same_origin, session_text
from exchange.kit.http_signed import checked_body
from exchange.kit.logs import REQUEST

SCOPES: Final = "exchange_scopes"
QUERY: Final = "exchange_query"
KEEP_FAULTS: Final = "exchange_keep_faults"
EACH: Final = "exchange_each"
ONCE: Final = "exchange_once"
RAW_BODY: Final = "exchange_raw_body"
SAME_ORIGIN: Final = "exchange_same_origin"
_ANY_QUERY: Final = "exchange_any_query"
_NETWORKS: Final = "exchange_networks"


def _declaration(
    scopes: frozenset[Scope],
    query: type | None,
    *,
    keep_faults: bool = False,
    each: str | None = None,
    once: bool = False,
    raw_body: bool = False,
    any_query: bool = False,
) -> dict[str, Any]:
    return {
        SCOPES: scopes,
        QUERY: query,
        KEEP_FAULTS: keep_faults,
        EACH: each,
        ONCE: once,
        RAW_BODY: raw_body,
        _ANY_QUERY: any_query,
    }


def requires(
    *any_of: Scope,
    query: type | None = None,
    keep_faults: bool = False,
    each: str | None = None,
    once: bool = False,
    raw_body: bool = False,
) -> dict[str, Any]:
    """Declare a route open to keys with at least one of these scopes; use as `opt=requires(Scope.TRADE)`.

    `query` is the struct its query string is read into (shown in the API page, read with `request.query`).
    With `keep_faults` a body that breaks rules still reaches the handler, `msgspec.UNSET` where a field is at
    fault and the faults in `request.faults`; the handler adds its own, then calls
    `request.faults.raise_if_any()` before it does anything. With `each`, the name of a list in the body, the
    same holds item by item: `request.item_faults` has what is wrong with each, and each counts as a request
    does. With `once` the route needs an
    Idempotency-Key. With `raw_body` the API page says that the body is a file as it is; the handler reads
    `request.body()`.
    """
    if not any_of:
        raise TypeError("requires() needs at least one scope; a route without one is public()")
    return _declaration(
        frozenset(any_of), query, keep_faults=keep_faults, each=each, once=once, raw_body=raw_body
    )


def public(*, query: type | None = None, any_query: bool = False) -> dict[str, Any]:
    """Declare a route open to everyone, keys being ignored; with `any_query`, for files, queries too."""
    return _declaration(frozenset(), query, any_query=any_query)


def open_to(networks: tuple[IpNetwork, ...]) -> dict[str, Any]:
    """Declare that callers from these networks need no key, beside `requires(...)`."""
    return {_NETWORKS: networks}


def from_own_pages() -> dict[str, Any]:
    """Declare that a route takes requests of the exchange's own pages only, beside `public()`."""
    return {SAME_ORIGIN: True}


class RouteAccess(msgspec.Struct, frozen=True, order=True):
    """What one route declares; `scopes` is None when it declares nothing and empty when it is public."""

    path: str
    method: str
    scopes: frozenset[Scope] | None


def declared_access(app: Litestar) -> Iterator[RouteAccess]:
    """Yield the declaration of every route of the application."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in sorted(handler.http_methods):
                    if not _is_automatic(handler):
                        yield RouteAccess(route.path, method, handler.opt.get(SCOPES))
        elif isinstance(route, WebSocketRoute):
            yield RouteAccess(route.path, "WEBSOCKET", route.route_handler.opt.get(SCOPES))


def _is_automatic(handler: HTTPRouteHandler) -> bool:
    """Whether this is the OPTIONS handler that Litestar adds to each path; it tells only the methods."""
    return handler.http_methods == {"OPTIONS"} and handler.handler_name == "options_handler"


def check_declared(app: Litestar) -> None:
    """Raise TypeError naming every route that declares neither `requires(...)` nor `public()`."""
    missing = [f"{access.method} {access.path}" for access in declared_access(app) if access.scopes is None]
    if missing:
        raise TypeError(f"routes without opt=requires(...) or opt=public(): {', '.join(missing)}")


def check_scopes(principal: Principal, declared: dict[str, Any]) -> None:
    """Raise `Forbidden` unless the key has one of the scopes of what `requires(...)` gave."""
    scopes: frozenset[Scope] = declared[SCOPES]
    if scopes.isdisjoint(principal.scopes):
        names = " or ".join(sorted(scope_.value for scope_ in scopes))
        raise Forbidden(detail=f"this path needs a key with the scope {names}")


class AuthMiddleware:
    """Puts the `Principal` into `scope["user"]`, or refuses; public routes have no user."""

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, limits: Limits, sessions: Authenticator | None
    ) -> None:
        self.app = app
        self.authenticator = authenticator
        self.limits = limits
        self.sessions = sessions

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Let the request through, or raise `Unauthenticated`, `Forbidden`, `RateLimited`, `InvalidInput`.

        Also `BadHeader`, and of a signed request what `checked_body` raises.
        """
        declared: dict[str, Any] = scope["route_handler"].opt
        REQUEST.set(scope)
        is_signed = False
        refuse_repeated_headers(scope)
        if declared.get(SCOPES) and not self._is_open(scope, declared):
            scope["user"] = principal = await self._admitted(scope, declared)
            is_signed = principal.signs_requests
        else:
            self.limits.admit_address(scope, declared)
            if SAME_ORIGIN in declared:
                must_be_same_origin(scope)
        if scope["query_string"]:
            _refuse_undeclared_query(scope, declared)
        if scope["type"] != ScopeType.WEBSOCKET:
            if is_signed:
                receive = await checked_body(scope, receive)
            await _refuse_undeclared_body(scope, declared, receive)
        await self.app(scope, receive, send)

    def _is_open(self, scope: AsgiScope, declared: dict[str, Any]) -> bool:
        networks: tuple[IpNetwork, ...] = declared.get(_NETWORKS, ())
        return bool(networks) and is_within(address_of(scope), networks)

    async def _admitted(self, scope: AsgiScope, declared: dict[str, Any]) -> Principal:
        """Return who sends this, or raise."""
        authorization = header(scope, b"authorization")
        principal = None
        if authorization is None:
            principal = await session_principal(scope, self.sessions)
            if principal is None:
                self.limits.admit_address(scope, declared)
        if principal is None:
            principal = await self.authenticator.authenticate(authorization, address_of(scope), scope)
        await self.limits.admit(scope, principal, declared)
        if principal.signs_requests:
            await self.authenticator.spend_signature(principal, scope)
        check_scopes(principal, declared)
        return principal


async def session_principal(scope: AsgiScope, sessions: Authenticator | None) -> Principal | None:
    """Return who sends a request with a session's cookie, None without one.

    Raises `Forbidden` (cross_site) where another site may have made a browser send it, and `Unauthenticated`,
    which takes the cookie away, where the session has ended.
    """
    text = None if sessions is None else session_text(scope)
    if sessions is None or text is None:
        return None
    must_be_same_origin(scope)
    try:
        return await sessions.open(text, address_of(scope))
    except Unauthenticated as refusal:
        refusal.headers["Set-Cookie"] = cleared_cookie(scope)
        raise


async def principal_of(
    scope: AsgiScope, authenticator: Authenticator, sessions: Authenticator | None = None
) -> Principal | None:
    """Return whose key or session a request to a public route came with, None without; raises if bad."""
    authorization = header(scope, b"authorization")
    if authorization is None:
        return await session_principal(scope, sessions)
    principal = await authenticator.authenticate(authorization, address_of(scope), scope)
    if principal.signs_requests:
        await authenticator.spend_signature(principal, scope)
    return principal


def _refuse_undeclared_query(scope: AsgiScope, declared: dict[str, Any]) -> None:
    """Raise `InvalidInput` naming every parameter where the route takes none."""
    if declared.get(QUERY) is None and not declared.get(_ANY_QUERY) and scope.get("method") != "OPTIONS":
        decode_query(scope["query_string"], NoParameters)


async def _refuse_undeclared_body(scope: AsgiScope, declared: dict[str, Any], receive: Receive) -> None:
    """Raise `InvalidInput` where a body comes to a route that takes none.

    One of a known length is not read; of one in chunks it is known only then whether there is any.
    """
    handler: Any = scope["route_handler"]
    if handler.parsed_data_field is not None or declared.get(RAW_BODY) or scope.get("method") == "OPTIONS":
        return
    if is_unlimited(declared):
        return
    is_sent = bool((header(scope, b"content-length") or "0").strip("0"))
    if not is_sent and header(scope, b"transfer-encoding"):
        first: Any = await receive()
        is_sent = first["type"] != "http.request" or bool(first.get("body")) or first.get("more_body", False)
    if is_sent:
        detail = (
            f"{scope.get('method')} of this path takes no body: its address says all of what is asked for"
        )
        raise InvalidInput("unexpected_body", detail)
