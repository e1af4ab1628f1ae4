"""Goal: a flood is read at its pace whatever it does, and nobody who keeps the pace ever waits.

Method: paces by a clock driven by hand, then the server's side of connections on transports that note whether
they are read from, as in `test_http_wire`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from exchange.kit import http_pace
from exchange.kit.auth import IpNetwork
from exchange.kit.http_connection import SMALL_BYTES_MAX, ProblemProtocol
from exchange.kit.http_pace import ADDRESSES_MAX, HOLD_S_MAX, Pace
from exchange.kit.http_scope import REFUSED
from exchange.kit.http_wire import Wire, WireLimits
from tests.unit.test_http_wire import NotedTransport

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"GET / HTTP/1.1\r\nHost: x\r\nX: ".ljust(SMALL_BYTES_MAX, b"x") + b"\r\n\r\n"
WHO = "192.0.2.1"


class Time:
    """Microseconds driven by hand."""

    def __init__(self) -> None:
        self.now_us = 10**12

    def read(self) -> int:
        """Tell the time."""
        return self.now_us


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(http_pace, "monotonic_us", time.read)
    return time


@given(
    st.integers(1, 50),
    st.integers(1, 10),
    st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(1, 5)), max_size=80),
)
def test_who_waits_as_told_never_exceeds_the_pace(at_once: int, window_s: int, sent: list[Any]) -> None:
    time, pace = Time(), Pace((at_once, window_s))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_pace, "monotonic_us", time.read)
        begun_us, total = time.now_us, 0
        for after_us, cost in sent:
            time.now_us += after_us
            wait_s = pace.count(WHO, cost)
            assert 0 <= wait_s <= HOLD_S_MAX
            assert pace.wait_s(WHO) == wait_s
            if wait_s < HOLD_S_MAX:
                total += cost
                time.now_us += round(wait_s * 1_000_000) + 1
                assert total <= at_once * (1 + (time.now_us - begun_us) / (window_s * 1_000_000)) + 1
            else:
                begun_us, total, pace = time.now_us, 0, Pace((at_once, window_s))


def test_each_address_has_a_pace_of_its_own_and_few_are_remembered(time: Time) -> None:
    pace = Pace((10, 1))
    assert pace.count(WHO, 10) == 0
    assert pace.count(WHO, 1) == pytest.approx(0.1)
    assert pace.count("192.0.2.2", 10) == 0
    for number in range(ADDRESSES_MAX + 5):
        pace.count(f"address {number}", 1)
    assert len(pace._free_at_us) <= ADDRESSES_MAX
    time.now_us += 60 * 10**6
    assert pace.wait_s(WHO) == 0
    assert Pace(None).count(WHO, 10**9) == Pace(None).wait_s(WHO) == 0


class Gate(NotedTransport):
    """A transport that notes whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self._reads = True

    def is_read(self) -> bool:
        """Tell whether what comes is read."""
        return self._reads

    def pause_reading(self) -> None:
        """Note it."""
        self._reads = False

    def resume_reading(self) -> None:
        """Note it."""
        self._reads = True


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Refuse whatever comes."""
    del receive
    scope[REFUSED] = True
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


Connect = Callable[[Wire], tuple[ProblemProtocol, Gate]]


@pytest.fixture
async def connected() -> AsyncIterator[Connect]:
    state = ServerState()
    config = uvicorn.Config(refuse, log_config=None, lifespan="off")
    config.load()
    made = []

    def connect(wire: Wire) -> tuple[ProblemProtocol, Gate]:
        protocol, gate = ProblemProtocol(wire, config=config, server_state=state, app_state={}), Gate()
        protocol.connection_made(gate)
        made.append(protocol)
        return protocol, gate

    yield connect
    for protocol in made:
        protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)


async def answered(gate: Gate, count: int) -> None:
    """Wait for so many answers."""
    async with asyncio.timeout(10):
        while gate.written.count(b"HTTP/1.1 404") < count:  # noqa: ASYNC110 - the application is a task
            await asyncio.sleep(0)


async def test_who_is_refused_too_often_is_read_from_later(connected: Connect, time: Time) -> None:
    wire = Wire(WireLimits(refusals=(2, 1)))
    protocol, gate = connected(wire)
    other, others_gate = connected(wire)
    for count in (1, 2, 3):
        assert gate.is_read()
        protocol.data_received(GET)
        await answered(gate, count)
    assert not gate.is_read()
    assert others_gate.is_read()
    assert wire.held == {"refusals": 1}
    other.data_received(GET)
    await answered(others_gate, 1)  # it was not held, and is answered at once; its next request waits
    late, late_gate = connected(wire)
    late.data_received(GET)  # what came before the hold could begin
    assert not late_gate.is_read()
    assert late_gate.written == b""
    wire.look(1000.0)  # we do not read: no deadline counts
    wire.look(2000.0)
    assert not late_gate.is_closing()
    async with asyncio.timeout(10):
        while not (gate.is_read() and late_gate.is_read()):  # noqa: ASYNC110 - the loop's own timers end a hold
            await asyncio.sleep(0.01)
    await answered(late_gate, 1)
    time.now_us += 60 * 10**6
    _, fresh_gate = connected(wire)
    assert fresh_gate.is_read()


async def test_bytes_beyond_the_pace_are_read_later(connected: Connect, time: Time) -> None:
    del time
    wire = Wire(WireLimits(bytes=(len(LARGE), 3600)))
    protocol, gate = connected(wire)
    for count, sent in enumerate((LARGE, *[GET] * 50), start=1):
        protocol.data_received(sent)
        assert gate.is_read()
        await answered(gate, count)
    protocol.data_received(LARGE)
    assert not gate.is_read()
    assert wire.held == {"bytes": 1}
    gate.close()
    protocol._go_on()
    assert not gate.is_read()


@pytest.mark.parametrize("networks, reads", [((), False), ((ip_network("192.0.2.0/24"),), True)])
async def test_a_trusted_proxy_is_not_slowed(
    connected: Connect, time: Time, networks: tuple[IpNetwork, ...], *, reads: bool
) -> None:
    del time
    protocol, gate = connected(Wire(WireLimits(refusals=(1, 3600), bytes=(1, 3600)), networks))
    protocol.data_received(LARGE)
    await answered(gate, 1)
    assert gate.is_read() is reads
