"""What the HTTP server answers before there is a request: bytes it cannot read, and heads that do not end.

The server's own answer to these is plain text, and it keeps a head however long it grows. Both end the
connection, because where the next request would begin is not known. Nothing of the request was done.

Invariant: a refusal is never read as the answer to an earlier request. Where one is still unanswered, it gets
its own answer, and the connection ends with that.

Known limit: a head is measured as it comes; one that comes whole in one piece, of the size of the server's
read buffer at most (256 KiB), is taken. So is what came of it in one piece with an earlier request.
"""

from http import HTTPStatus
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from exchange.kit.errors import Refusal
from exchange.kit.http_problems import PROBLEM_TYPE, problem_of
from exchange.kit.http_scope import request_id_of

HEAD_BYTES_MAX: Final = 64 * 1024
"""Longest request line and headers together, of those that come in several pieces."""


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


class ProblemProtocol(HttpToolsProtocol):
    """The server's side of a connection."""

    _head_bytes = 0
    _in_message = False
    _in_head = False
    # Of the piece at hand: whether another message was or is in it, and whether that goes for this head's.
    _holds_other = False
    _is_shared = False
    _is_over = False

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._is_shared, self._holds_other = self._holds_other, True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the body has ended."""
        self._in_message = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless the connection only waits for its last answers."""
        if self._is_over:
            return
        self._is_shared, self._holds_other = False, self._in_message
        super().data_received(data)
        if self._in_head and not self._is_shared:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                detail = f"the request line and headers may have at most {HEAD_BYTES_MAX} bytes"
                self._refuse(HeadTooLarge(detail=detail))

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that cannot be read; the server calls this with its own words for it."""
        del msg
        self._refuse(
            Unreadable(detail="this is not a request of HTTP/1.1: its line, a header or the body's length")
        )

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection: with this answer, or where others are due before it, with the last of them."""
        if self._is_over:
            return
        self._is_over = True
        if not self._is_due(self.cycle):
            return
        request_id = request_id_of({"headers": []})
        body = msgspec.json.encode(problem_of(refusal, instance="/", request_id=request_id))
        headers = {
            "content-type": PROBLEM_TYPE,
            "content-length": len(body),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-request-id": request_id,
            "connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[refusal.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()

    def _is_due(self, latest: RequestResponseCycle | None) -> bool:
        """Whether every earlier request has its answer; where not, let the connection end with the last."""
        if latest is None or latest.response_complete:
            return True
        if not latest.more_body:
            latest.keep_alive = False
            return False
        # It is the latest request's own body that cannot be read.
        if self.pipeline or latest.response_started:
            self.transport.close()
            return False
        return True
