"""Traces of requests for an OpenTelemetry collector, by OTLP over HTTP. Imported only where they are wanted.

The packages are the extra `telemetry`. A process without an address for traces never imports this module, and
its requests pass no line of it. With one, each request of a known path is a span, named by method and path
template; W3C `traceparent` and `tracestate` are taken in. Within it, each wait for a partition is a span.

Invariants: a collector that is slow or gone costs no request anything, since spans are sent from a thread
with a bounded queue, and dropped where it is full. A caller decides by `traceparent` which trace its request
belongs to, not that it is recorded: `ratio` holds for traces that begin elsewhere as well. What is in paths,
queries and bodies is not told, only the template.

Known limits: streams (WebSockets) have no span; that of a file ends when its last byte was handed on. The
commit has none of its own, since it is that of many requests: see `exchange_commit_seconds`.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from exchange.kit.http_scope import header, request_id_of
from exchange.kit.ids import encode_id

PACKAGE: Final = "compute-exchange"
PATH: Final = "v1/traces"
"""Where a collector takes traces, below its address; the OTLP specification says so."""
EXPORT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 5.0
_FAILED: Final = 500
_NAMES: Final = ("traceparent", "tracestate")

_log: Final = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
AsgiApp = Callable[[Any, Receive, Send], Awaitable[None]]


class Traces:
    """The spans of one process."""

    def __init__(self, address: str, ratio: float) -> None:
        """Send the spans of this share of traces to the collector at an address."""
        sampler = TraceIdRatioBased(ratio)
        self._provider = TracerProvider(
            sampler=ParentBased(sampler, remote_parent_sampled=sampler),
            resource=Resource.create({"service.name": PACKAGE, "service.version": version(PACKAGE)}),
            shutdown_on_exit=False,
        )
        endpoint = f"{address.rstrip('/')}/{PATH}"
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(PACKAGE)
        self._propagator = TraceContextTextMapPropagator()

    def around(self, app: AsgiApp) -> AsgiApp:
        """Return an application that does the same, and leaves a span of each request."""

        async def traced(scope: Any, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            span = self._tracer.start_span(scope["method"], context=self._parent(scope), kind=SpanKind.SERVER)
            token = contexts.attach(set_span_in_context(span))

            async def follow(message: Any) -> None:
                if message["type"] == "http.response.start" and span.is_recording():
                    _tell(span, scope, message["status"])
                await send(message)

            try:
                await app(scope, receive, follow)
            finally:
                contexts.detach(token)
                span.end()

        return traced

    def _parent(self, scope: Any) -> contexts.Context:
        carrier = {name: text for name in _NAMES if (text := header(scope, name.encode())) is not None}
        # Never the context of the task: a connection's may be that of the request before.
        return self._propagator.extract(carrier, context=contexts.Context())

    def within(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Any]:
        """Return a context manager: what happens within is a span below that of the request."""
        # A refusal is no fault, and its trace of Python no one's business.
        return self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        )

    async def close(self) -> None:
        """Send what is left, for as long as `CLOSE_TIMEOUT_S`, and end."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(closed.set)

        # Not a thread of the loop's, whose end would wait for this one however long a collector takes.
        threading.Thread(target=close, name="traces-close", daemon=True).start()
        try:
            await asyncio.wait_for(closed.wait(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # published without its type
            _log.warning("not all traces were sent within %s s", CLOSE_TIMEOUT_S)


def _tell(span: Span, scope: Any, status: int) -> None:
    """Say of a span what its request was; names are those of OpenTelemetry's conventions, or ours."""
    method, path = scope["method"], scope.get("path_template")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("exchange.request_id", request_id_of(scope))
    if path is not None:
        span.update_name(f"{method} {path}")
        span.set_attribute("http.route", path)
    user = scope.get("user")
    if user is not None:
        span.set_attribute("exchange.participant_id", encode_id("par", user.participant_id))
    if status >= _FAILED:
        span.set_status(StatusCode.ERROR)
