"""The server's side of one connection: what it answers before there is a request.

The server's own answer to bytes it cannot read is plain text, it keeps a head however long it grows, and it
waits for ever: for a head, for a body, for an answer to be read. What is refused here ends the connection,
because where the next request would begin is not known. Nothing of the request was done.

Invariant: a refusal is never read as the answer to an earlier request. Where one is still unanswered, it gets
its own answer, and the connection ends with that. None is answered twice, whatever becomes of a body left
unread. How long a connection waits, and how fast it is read, is by the rules of all (`http_wire`).
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from exchange.kit.errors import Refusal, Unavailable
from exchange.kit.http_pace import HeldFlow
from exchange.kit.http_problems import PROBLEM_TYPE, problem_of
from exchange.kit.http_scope import REFUSED, request_id_of
from exchange.kit.http_wire import Wire

HEAD_BYTES_MAX: Final = 64 * 1024
"""Longest request line and headers together."""
HEADERS_MAX: Final = 100
SMALL_BYTES_MAX: Final = 4 * 1024
"""Pieces up to this are a request or a few, which other limits count: the pace of bytes is of larger ones."""

# What a connection waits for.
IDLE, HEAD, BODY, ANSWER, UPGRADED = range(5)


class Unreadable(Refusal):
    """The bytes are not a request of HTTP/1.1 (400)."""

    status = HTTPStatus.BAD_REQUEST
    title = "Bad Request"
    default_code = "bad_request"


class HeadTooLarge(Refusal):
    """The request line and headers do not end (431)."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    title = "Request Header Fields Too Large"
    default_code = "head_too_large"


class TooSlow(Refusal):
    """The request does not come to its end (408)."""

    status = HTTPStatus.REQUEST_TIMEOUT
    title = "Request Timeout"
    default_code = "too_slow"
    retryable_by_default = True


class StreamProtocol(WebSocketsSansIOProtocol):
    """The server's side of a WebSocket, which takes a handshake that was refused for one that is over.

    The server's own one says of each that its handshake never ended, in the log, where anyone can send many.
    """

    async def run_asgi(self) -> None:
        """Serve the connection."""
        app = self.app

        async def served(*given: Any) -> None:
            await app(*given)
            self.handshake_complete |= self.close_sent

        self.app = served
        await super().run_asgi()


class ProblemProtocol(HttpToolsProtocol):
    """The server's side of a connection."""

    counted_as = ""
    is_paced = True
    flow: HeldFlow
    _waits_for = HEAD
    _since_s = 0.0
    _paused_s: float | None = None
    _closing_s: float | None = None
    _head_bytes = 0
    _piece_bytes = 0
    _body_bytes = 0
    _in_message = False
    _in_head = False
    # Of the piece at hand: whether another message was or is in it, and whether that goes for this head's.
    _holds_other = False
    _is_shared = False
    _is_over = False
    _unread = b""

    def __init__(self, wire: Wire, **given: Any) -> None:
        super().__init__(**given)
        self.wire = wire

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, or refuse it where there are too many."""
        peer = transport.get_extra_info("peername")
        self._since_s = self.wire.now_s
        if self.wire.join(self, peer[0] if peer else ""):
            super().connection_made(transport)
            self.flow = HeldFlow(transport)
            self._hold("refusals", self.wire.refusals.wait_s(self.counted_as))
            return
        self.transport = transport
        self._is_over = True
        self.wire.cut.add("too_many_connections")
        detail = "the exchange holds as many connections as it takes"
        self._answer(Unavailable("too_many_connections", detail))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.wire.leave(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; it counts until it is closed."""
        if self._is_over:
            return
        self._waits_for = UPGRADED
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._is_shared, self._holds_other = self._holds_other, True
        self._head_bytes = 0
        if self._waits_for != HEAD:
            self._wait_for(HEAD)

    def on_headers_complete(self) -> None:
        """Note that the head has ended; refuse it where it is too large."""
        self._in_head = False
        if self._is_over:
            return
        if len(self.headers) > HEADERS_MAX or (
            self._piece_bytes > HEAD_BYTES_MAX and self._bytes_of_head() > HEAD_BYTES_MAX
        ):
            self._refuse_head()
            return
        if not self._names_its_host():
            self._refuse_unreadable("a request of HTTP/1.1 names its Host once (RFC 9112)")
            return
        self._wait_for(BODY)
        self._body_bytes = 0
        super().on_headers_complete()
        if self.wire.is_stopping:
            self.end_with_latest()

    def end_with_latest(self) -> None:
        """Answer the latest request with `Connection: close`."""
        latest: RequestResponseCycle | None = self.cycle
        if latest is not None and not latest.response_complete:
            latest.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, unless its request was refused."""
        if not self._is_over:
            self._body_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the body has ended."""
        self._in_message = False
        if not self._is_over:
            if self._waits_for == BODY:
                self._wait_for(IDLE if self._is_answered else ANSWER)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note that an answer was given."""
        if self._waits_for == ANSWER:
            self._waits_for = IDLE
        if self.is_paced and self.cycle.scope.get(REFUSED):
            self._hold("refusals", self.wire.refusals.count(self.counted_as, 1))
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless the connection only waits for its last answers."""
        if self._is_over:
            return
        if self.flow.is_held:  # reading begins with a connection, whatever was said of it before
            self._unread += data
            self.flow.pause_anyway()
            return
        self._is_shared, self._holds_other = False, self._in_message
        self._piece_bytes = len(data)
        super().data_received(data)
        if len(data) > SMALL_BYTES_MAX and self.is_paced:
            self._hold("bytes", self.wire.bytes.count(self.counted_as, len(data)))
        if self._waits_for == IDLE:
            self._wait_for(HEAD)  # blank lines between requests end the server's own wait for the next
        if self._in_head and not self._is_shared:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse_head()

    def pause_writing(self) -> None:
        """Note that the other side does not read as fast as it is answered."""
        self._paused_s = self.wire.now_s
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it has read."""
        self._paused_s = None
        super().resume_writing()

    def look(self) -> None:
        """Cut the connection if its time is up."""
        # Times were noted as of the look before them, so a deadline has a look more.
        now_s, limits = self.wire.now_s - self.wire.look_s, self.wire.limits
        if self.transport.is_closing():
            self._look_at_end(now_s)
        elif self._waits_for in {HEAD, BODY} and not self._is_over:
            if self.flow.read_paused or self.flow.is_held:
                self._wait_for(self._waits_for)  # it is we who do not read
                self._body_bytes = 0
            elif self._waits_for == HEAD:
                if now_s - self._since_s > limits.head_s:
                    self._cut_sender("head", limits.head_s)
            elif now_s - self._since_s > limits.body_s + self._body_bytes / limits.body_bytes_per_s:
                self._cut_sender("body", limits.body_s)
        if self._paused_s is not None and now_s - self._paused_s > limits.reader_s:
            self._abort()

    def _look_at_end(self, now_s: float) -> None:
        """See a closed connection to its end, which the other side can put off by not reading."""
        if self._closing_s is None:
            self._closing_s = self.wire.now_s
        elif self._waits_for == UPGRADED and not self.transport.get_write_buffer_size():
            self.wire.leave(self)
        elif now_s - self._closing_s > self.wire.limits.reader_s:
            self._abort()

    def _abort(self) -> None:
        self.wire.cut.add("slow_reader")
        self.transport.abort()
        self.wire.leave(self)

    def _cut_sender(self, part: str, within_s: float) -> None:
        self.wire.cut.add(f"slow_{part}")
        if not self._in_message:
            self.transport.close()  # it never asked for anything
            return
        detail = f"the {part} of the request did not come whole within {within_s:g} s and its share of time"
        self._refuse(TooSlow(detail=detail))

    def _hold(self, pace: str, wait_s: float) -> None:
        """Read nothing for some seconds; a WebSocket is read by its own protocol, slowed by its session."""
        if wait_s and self._waits_for != UPGRADED and not self.flow.is_held:
            self.wire.held.add(pace)
            self.flow.hold()
            self.loop.call_later(wait_s, self._go_on)

    def _go_on(self) -> None:
        """Read on after a hold, what came with its beginning first."""
        self.flow.release()
        unread, self._unread = self._unread, b""
        if unread and not self.transport.is_closing():
            self.data_received(unread)

    def _wait_for(self, part: int) -> None:
        self._waits_for = part
        self._since_s = self.wire.now_s

    @property
    def _is_answered(self) -> bool:
        """Whether the request whose body comes has its answer, which did not wait for that."""
        latest: Any = self.cycle if self._waits_for == BODY else None
        return latest is not None and latest.scope is self.scope and bool(latest.response_complete)

    def _names_its_host(self) -> bool:
        hosts = [name for name, _ in self.headers].count(b"host")
        return hosts == 1 or (hosts == 0 and self.parser.get_http_version() == "1.0")

    def _bytes_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        detail = (
            f"the request line and headers may have at most {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers"
        )
        self.wire.cut.add("head_too_large")
        self._refuse(HeadTooLarge(detail=detail))

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that cannot be read; the server calls this with its own words for it."""
        del msg
        self._refuse_unreadable("this is not a request of HTTP/1.1: its line, a header or the body's length")

    def _refuse_unreadable(self, detail: str) -> None:
        if not self._is_over:
            self.wire.cut.add("unreadable")
        self._refuse(Unreadable(detail=detail))

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection: with this answer, or where others are due before it, with the last of them."""
        if self._is_over:
            return
        self._is_over = True
        if self._is_due(self.cycle):
            self._answer(refusal)

    def _answer(self, refusal: Refusal) -> None:
        """Write an answer and close."""
        # Of a request whose head was taken it is known what it asks for.
        is_known = self._waits_for == BODY and "path" in self.scope
        scope: Any = self.scope if is_known else {"path": "/", "headers": []}
        request_id = request_id_of(scope)
        body = msgspec.json.encode(problem_of(refusal, instance=scope["path"], request_id=request_id))
        headers = {
            "content-type": PROBLEM_TYPE,
            "content-length": len(body),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-request-id": request_id,
            **refusal.headers,
            "connection": "close",
        }
        if self.is_paced:
            self.wire.refusals.count(self.counted_as, 1)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        answer = STATUS_LINE[refusal.status] + lines.encode() + b"\r\n"
        self.transport.write(answer if scope.get("method") == "HEAD" else answer + body)
        self.transport.close()

    def _is_due(self, latest: RequestResponseCycle | None) -> bool:
        """Whether every earlier request has its answer; where not, let the connection end with the last."""
        if latest is None or latest.response_complete:
            if self._is_answered:
                self.transport.close()
            return not self._is_answered
        if not latest.more_body:
            latest.keep_alive = False
            return False
        # It is the latest request's own body that cannot be read.
        if self.pipeline or latest.response_started:
            self.transport.close()
            return False
        return True
