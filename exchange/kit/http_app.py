"""The HTTP application put together: limits, keys, refusals, headers, documentation, health.

`build_app` is given the controllers; `exchange.api` decides which. What holds for every
answer is added here once: the request id, no sniffing, no storing unless the handler says otherwise, what is
left of the budgets it was counted against; and each answer is counted here.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.params import JSONBody
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler, Message
from litestar.types import Scope as AsgiScope

from exchange.kit.auth import Authenticator, Scope
from exchange.kit.errors import Unavailable
from exchange.kit.http_auth import AuthMiddleware, check_declared, public, requires
from exchange.kit.http_coding import Compressing
from exchange.kit.http_handshake import answering_handshakes, note_error
from exchange.kit.http_head import answering_heads, take_heads
from exchange.kit.http_limits import Limits, unlimited
from exchange.kit.http_openapi import openapi_config, openapi_routes
from exchange.kit.http_problems import EXCEPTION_HANDLERS, ProblemsController
from exchange.kit.http_request import ApiRequest
from exchange.kit.http_scope import REFUSED, TOLD, request_id_of
from exchange.kit.logs import REQUEST
from exchange.kit.meters import Counts

if TYPE_CHECKING:
    from exchange.kit.telemetry import Traces

BODY_BYTES_MAX: Final = 1024 * 1024
"""Largest body of a route; larger is answered 413 before it is read."""
IMPORT_BYTES_MAX: Final = 32 * 1024 * 1024
"""For import routes: `@post(..., request_max_body_size=IMPORT_BYTES_MAX)`."""
UNMATCHED: Final = "unmatched"
REFUSALS: Final = frozenset({400, 401, 403, 413, 415, 429})
"""What is answered before anybody looks at what a request says: more of these than `Wire` lets pass wait."""

AnswerCounts = Counts[tuple[str, str, int]]
"""Answers by method, path template (`UNMATCHED` where there is no such path) and status."""

_log: Final = logging.getLogger("exchange.http")


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state of the service; `notes` say what operators should see to, though requests are taken."""

    status: str
    notes: tuple[str, ...] = ()


def _finish(
    limits: Limits, answers: AnswerCounts, methods: Mapping[str, bytes]
) -> Callable[[Message, AsgiScope], Awaitable[None]]:
    """Build the hook that adds to every answer what every answer carries, and counts it.

    `methods` has what OPTIONS tells of each path: Litestar tells those of one of the path's handlers.
    """

    async def finish(message: Any, scope: Any) -> None:
        kind = message["type"]
        if kind != "http.response.start" and kind != "websocket.http.response.start":  # noqa: PLR1714 - faster
            return
        path = scope.get("path_template") or UNMATCHED
        status = message["status"]
        method = scope.get("method", "GET")  # by which a WebSocket is asked for
        answers.add((method, path, status))
        if status in REFUSALS or path is UNMATCHED:
            scope[REFUSED] = True
        headers = list(message["headers"])
        if method == "OPTIONS" and path in methods:
            headers = [(name, methods[path] if name == b"allow" else value) for name, value in headers]
        if all(name != b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"no-store"))
        headers.append((b"x-content-type-options", b"nosniff"))
        headers.append((b"x-request-id", request_id_of(scope).encode()))
        limits.add_headers(scope, headers)
        if path is UNMATCHED and not limits.is_worth_answering(scope):
            headers.append((b"connection", b"close"))
        message["headers"] = headers
        if _log.isEnabledFor(logging.DEBUG):
            REQUEST.set(scope)
            _log.debug("answered", extra={"fields": _told(scope, method, path, status)})

    return finish


def _told(scope: Any, method: str, path: str, status: int) -> dict[str, Any]:
    return {"method": method, "path": path, "status": status, **scope.get(TOLD, {})}


async def healthz() -> Health:
    """Answer that the process is alive."""
    return Health("ok")


def _readyz(
    is_ready: Callable[[], Awaitable[bool]],
    troubles: Callable[[], Sequence[str]] | None,
    standing: Callable[[], str],
    notes: Callable[[], Sequence[str]],
) -> Callable[[], Awaitable[Health]]:
    async def readyz() -> Health:
        """Answer whether the service can take requests; 503, with the reasons, while it cannot.

        An engine that stands by for the one that leads is well, and says `standby`. `notes`, where there are
        any, tell what is wrong beside the market, such as a record that nobody seals.
        """
        if not await is_ready():
            reasons = troubles() if troubles is not None else ()
            detail = "; ".join(reasons) or "the service is starting, stopping or without its database"
            raise Unavailable("not_ready", detail)
        return Health(standing(), tuple(notes()))

    return readyz


def _probe(path: str, summary: str, answer: Callable[[], Awaitable[Health]]) -> ControllerRouterHandler:
    """Build the route of a probe."""
    return get(path, opt=public() | unlimited(), tags=["Health"], summary=summary)(answer)


def _body_of(type_: type[msgspec.Struct]) -> Any:
    """Return `JSONBody[type_]` for a type known only at run time."""
    generic: Any = JSONBody
    return generic[type_]


def _echo(type_: type[msgspec.Struct]) -> HTTPRouteHandler:
    """Build the route that benchmarks compare with: it reads and writes an order and does nothing else."""

    async def echo(data: Any) -> Any:
        """Return the body as it was understood."""
        return data

    echo.__annotations__ = {"data": _body_of(type_), "return": type_}
    return post(
        "/v1/bench/echo",
        opt=requires(Scope.TRADE),
        tags=["Benchmark"],
        summary="Echo an order",
        status_code=200,
    )(echo)


def build_app(
    controllers: Sequence[ControllerRouterHandler],
    *,
    authenticator: Authenticator,
    is_ready: Callable[[], Awaitable[bool]],
    state: dict[str, Any] | None = None,
    lifespan: Sequence[Any] = (),
    echo_type: type[msgspec.Struct] | None = None,
    troubles: Callable[[], Sequence[str]] | None = None,
    limits: Limits | None = None,
    answers: AnswerCounts | None = None,
    traces: "Traces | None" = None,
    standing: Callable[[], str] = lambda: "ready",
    notes: Callable[[], Sequence[str]] = tuple,
    sessions: Authenticator | None = None,
) -> Litestar:
    """Build the application; raises TypeError when a route does not say who may call it.

    `troubles` tells why `is_ready` says no, `standing` in one word how the service stands while it says yes,
    `notes` what is wrong all the same.
    Without `limits` nobody is limited. `answers` is counted into. With `traces` each request leaves a span;
    without, no line is run for it. Without `sessions` no cookie opens anything.

    `state` becomes `request.app.state`; `lifespan` are async context managers taking the application. With
    `echo_type` the benchmark route `POST /v1/bench/echo` exists and reads that struct.
    """
    routes: list[ControllerRouterHandler] = [
        _probe("/healthz", "Is the process alive", healthz),
        _probe("/readyz", "Can the service take requests", _readyz(is_ready, troubles, standing, notes)),
        ProblemsController,
        *openapi_routes,
        *controllers,
    ]
    if echo_type is not None:
        routes.append(_echo(echo_type))
    limits = limits or Limits()
    methods: dict[str, bytes] = {}
    app = Litestar(
        routes,
        state=State(state or {}),
        lifespan=list(lifespan),
        request_class=ApiRequest,
        request_max_body_size=BODY_BYTES_MAX,
        middleware=[
            DefineMiddleware(AuthMiddleware, authenticator=authenticator, limits=limits, sessions=sessions),
            DefineMiddleware(Compressing),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        after_exception=[note_error],
        before_send=[_finish(limits, Counts() if answers is None else answers, methods)],
        openapi_config=openapi_config(),
        logging_config=None,
        include_in_schema=True,
    )
    check_declared(app)
    take_heads(app)
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            methods[route.path_format] = ", ".join(sorted(route.methods)).encode()
    app.asgi_handler = answering_heads(answering_handshakes(app.asgi_handler))
    if traces is not None:
        app.asgi_handler = traces.around(app.asgi_handler)
    return app
