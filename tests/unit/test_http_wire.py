"""Goal: deadlines hold as told, to the look, and nobody who keeps pace is cut.

Method: the server's side of a connection on a transport that only notes what is done to it, its time driven
by hand.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from exchange.kit.http_connection import ProblemProtocol
from exchange.kit.http_wire import Wire, WireLimits

LIMITS = WireLimits(head_s=10, body_s=30, body_bytes_per_s=1000, reader_s=20)
BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
UNREAD = b"DELETE /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{}"


class NotedTransport(asyncio.Transport):
    """A transport to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = self.is_aborted = False
        self.unsent = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Say where the other side is."""
        return ("192.0.2.1", 5) if name in {"peername", "sockname"} else default

    def write(self, data: Any) -> None:
        """Note what is written."""
        self.written += bytes(data)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = self.is_closed = True

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        """Tell how much the other side has not taken."""
        return self.unsent

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


async def swallow(scope: Any, receive: Any, send: Any) -> None:
    """Read a body to its end, where the path does not say to leave it, and answer."""
    while scope["path"] != "/unread" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


Connect = Callable[[Wire], tuple[ProblemProtocol, NotedTransport]]


@pytest.fixture
async def connected() -> AsyncIterator[Connect]:
    """Give what makes connections; afterwards they are lost, and their applications end."""
    state = ServerState()
    config = uvicorn.Config(swallow, log_config=None, lifespan="off")
    config.load()
    made = []

    def connect(wire: Wire) -> tuple[ProblemProtocol, NotedTransport]:
        protocol = ProblemProtocol(wire, config=config, server_state=state, app_state={})
        transport = NotedTransport()
        protocol.connection_made(transport)
        made.append(protocol)
        return protocol, transport

    yield connect
    for protocol in made:
        protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)


@pytest.mark.parametrize("sent,within_s", [(b"GET / HTTP/1.1\r\n", 10), (BODY, 30)])
async def test_a_deadline_ends_between_itself_and_two_looks_more(
    connected: Connect, sent: bytes, within_s: int
) -> None:
    wire = Wire(LIMITS)
    protocol, transport = connected(wire)
    protocol.data_received(sent)
    for now_s in range(within_s + 1):
        wire.look(now_s)
    assert not transport.is_closing()
    for now_s in (within_s + 1, within_s + 2):
        wire.look(now_s)
    assert transport.is_closed
    assert transport.written.startswith(b"HTTP/1.1 408 ")


async def test_what_is_refused_of_a_head_is_the_head_alone(connected: Connect) -> None:
    wire = Wire(LIMITS)
    protocol, transport = connected(wire)
    protocol.data_received(BODY.replace(b"POST", b"HEAD"))
    for now_s in range(33):
        wire.look(now_s)
    head, end, body = transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-length: " in head
    assert (end, body) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize("blank", [b"\r\n", b"\r"])
async def test_blank_lines_after_an_answer_hold_no_connection(connected: Connect, blank: bytes) -> None:
    wire = Wire(LIMITS)
    protocol, transport = connected(wire)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: y\r\n\r\n")
    protocol.on_response_complete()
    for now_s in range(9):
        wire.look(now_s)
        protocol.data_received(blank)
    assert not transport.is_closing()
    for now_s in range(9, 15):
        wire.look(now_s)
    assert transport.is_closed


async def answered(connected: Connect, sent: bytes) -> tuple[ProblemProtocol, NotedTransport]:
    """Send a request and have its answer, at the beginning of time."""
    protocol, transport = connected(Wire(LIMITS))
    protocol.data_received(sent)
    await asyncio.gather(*protocol.tasks)
    assert transport.written.startswith(b"HTTP/1.1 204 ")
    return protocol, transport


async def test_a_request_that_was_answered_unread_is_not_answered_again(connected: Connect) -> None:
    protocol, transport = await answered(connected, UNREAD)
    for now_s in range(31):
        protocol.wire.look(now_s)
    assert not transport.is_closing()
    protocol.wire.look(32)
    assert transport.is_closed
    assert transport.written.count(b"HTTP/1.1 ") == 1


async def test_chunks_that_cannot_be_read_behind_an_answer_are_not_answered(connected: Connect) -> None:
    chunked = UNREAD.replace(b"Content-Length: 15", b"Transfer-Encoding: chunked").removesuffix(b"{}")
    protocol, transport = await answered(connected, chunked)
    protocol.data_received(b"no length\r\n")
    assert transport.is_closed
    assert transport.written.count(b"HTTP/1.1 ") == 1


async def test_the_rest_of_a_body_behind_its_answer_holds_no_connection(connected: Connect) -> None:
    protocol, transport = await answered(connected, UNREAD)
    protocol.data_received(b" " * 13)
    for now_s in range(11):
        protocol.wire.look(now_s)
    assert not transport.is_closing()
    for now_s in range(11, 13):
        protocol.wire.look(now_s)
    assert transport.is_closed
    assert transport.written.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: y\r\n\r\n", UNREAD.ljust(len(UNREAD) + 13)])
async def test_what_cannot_be_read_behind_an_answer_is_answered(connected: Connect, sent: bytes) -> None:
    for unreadable in (
        b"rubbish\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        protocol, transport = await answered(connected, sent)
        protocol.data_received(unreadable)
        assert transport.is_closed
        assert transport.written.count(b"HTTP/1.1 400 ") == 1, unreadable


async def test_a_body_that_keeps_pace_is_taken_however_long_it_lasts(connected: Connect) -> None:
    wire = Wire(LIMITS)
    protocol, transport = connected(wire)
    protocol.data_received(BODY)
    for now_s in range(990):
        wire.look(now_s)
        protocol.data_received(b" " * 1000)
        await asyncio.sleep(0)
    assert not transport.is_closing()
    for now_s in range(990, 1100):
        wire.look(now_s)
    assert transport.is_closed


async def test_a_reader_has_its_time_from_when_it_fell_behind(connected: Connect) -> None:
    wire = Wire(LIMITS)
    protocol, transport = connected(wire)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: y\r\n\r\n")
    for now_s in range(0, 200, 10):
        wire.look(now_s)
        protocol.pause_writing()
        wire.look(now_s + 9)
        protocol.resume_writing()
    assert not transport.is_closing()
    protocol.pause_writing()
    wire.look(221)
    assert transport.is_aborted
    assert wire.count == 0


async def test_what_was_closed_and_is_never_taken_is_let_go_of(connected: Connect) -> None:
    wire = Wire(LIMITS)
    protocol, transport = connected(wire)
    protocol.data_received(b"rubbish\r\n\r\n")
    assert transport.is_closed
    transport.unsent = 5
    wire.look(1)
    wire.look(21)
    assert wire.count == 1
    wire.look(23)
    assert transport.is_aborted
    assert wire.count == 0


async def test_an_address_is_forgotten_with_its_last_connection(connected: Connect) -> None:
    wire = Wire(WireLimits(connections_per_address_max=2))
    held = [connected(wire) for _ in range(3)]
    assert [transport.is_closed for _, transport in held] == [False, False, True]
    for protocol, _ in held:
        protocol.connection_lost(None)
        protocol.connection_lost(None)
    assert wire.count == 0
    assert wire._by_address == {}
