"""Many readers of one book, in a process of its own that speaks just enough of WebSocket to cost little.

Started by `feed.py` with a job as the first line of standard input; says `ready` once each reader has its
snapshot. The second line ends the run: it names the orders that were placed, by sequence, with the time at
which each was matched. Every reader must have been told of every one, by deltas that follow each other.
"""

import asyncio
import os
import sys
import time
from typing import Any

import msgspec
import uvloop

from tests.benchmarks.result import percentile

CONNECTING = 50
"""So many handshakes at once."""
DEADLINE_S = 60.0
_TEXT, _CLOSE, _PING = 0x1, 0x8, 0x9
_SHORT, _LONG = 126, 127


class SubscribersJob(msgspec.Struct, frozen=True):
    """Whom to ask for what, how often, on which core."""

    port: int
    product: str
    readers: int
    core: int


class Placed(msgspec.Struct, frozen=True):
    """What was placed: (sequence, microseconds since the epoch)."""

    orders: list[tuple[int, int]]


class Told(msgspec.Struct, frozen=True):
    """What came of it. Delays are from an order's matching to its receipt by a reader."""

    p50_ms: float
    p99_ms: float
    receipts: int
    deltas_a_reader: float
    missed: int


class Reader(asyncio.Protocol):
    """One subscriber. `deltas` are (prev_sequence, sequence, received at, in microseconds)."""

    def __init__(self, product: str) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.deltas: list[tuple[int, int, int]] = []
        self.sequence = -1
        self.failure = ""
        self._product = product
        self._data = bytearray()
        self._is_open = False
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Shake hands."""
        self._transport = transport
        transport.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Take note that there will be no more."""
        self.failure = self.failure or "the connection ended"
        if not self.begun.done():
            self.begun.set_exception(RuntimeError(self.failure))

    def data_received(self, data: bytes) -> None:
        """Take frames in."""
        at_us = time.time_ns() // 1_000
        self._data += data
        if not self._is_open:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"the stream was refused: {bytes(head)!r}")
            self._is_open = True
            self._data = rest
            message = f'{{"op":"subscribe","channels":["book:{self._product}"]}}'
            self._send(_TEXT, message.encode())
        while (frame := _next_frame(self._data)) is not None:
            opcode, payload = frame
            if opcode == _TEXT:
                self._hear(payload, at_us)
            elif opcode == _PING:
                self._send(0xA, payload)
            elif opcode == _CLOSE:
                self.failure = f"closed: {payload!r}"

    def end(self) -> None:
        """Hang up."""
        self._transport.close()

    def _hear(self, payload: bytes, at_us: int) -> None:
        sequence = _number(payload, b'"sequence":')
        if payload.startswith(b'{"event":"snapshot"'):
            self.sequence = sequence
            self.begun.set_result(None)
            return
        if not payload.startswith(b'{"event":"delta"'):
            raise RuntimeError(f"neither snapshot nor delta: {payload[:200]!r}")
        previous = _number(payload, b'"prev_sequence":')
        if previous != self.sequence:
            raise RuntimeError(f"a delta that follows {previous} came after {self.sequence}")
        self.sequence = sequence
        self.deltas.append((previous, sequence, at_us))

    def _send(self, opcode: int, payload: bytes) -> None:
        # Masked by nothing, as a client may.
        self._transport.write(bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload)


def _next_frame(data: bytearray) -> tuple[int, bytes] | None:
    """Take a whole frame off the front of what has come; None while there is none."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size == _SHORT:
        size, at = int.from_bytes(data[2:4]), 4
    elif size == _LONG:
        size, at = int.from_bytes(data[2:10]), 10
    if len(data) < at + size:
        return None
    opcode, payload = data[0] & 0x0F, bytes(data[at : at + size])
    del data[: at + size]
    return opcode, payload


def _number(payload: bytes, name: bytes) -> int:
    start = payload.index(name) + len(name)
    end = start
    while payload[end : end + 1].isdigit():
        end += 1
    return int(payload[start:end])


async def run(job: SubscribersJob) -> None:
    """Do the job."""
    loop = asyncio.get_running_loop()
    readers: list[Reader] = []
    for first in range(0, job.readers, CONNECTING):
        some = [Reader(job.product) for _ in range(min(CONNECTING, job.readers - first))]
        for reader in some:
            await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", job.port)  # type: ignore[misc]
        await asyncio.gather(*(reader.begun for reader in some))
        readers += some
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        placed = dict(msgspec.json.decode(line, type=Placed).orders)
        last = max(placed)
        async with asyncio.timeout(DEADLINE_S):
            while any(  # noqa: ASYNC110 - a thousand readers, one condition
                reader.sequence < last and not reader.failure for reader in readers
            ):
                await asyncio.sleep(0.05)
        print(msgspec.json.encode(_told(readers, placed)).decode(), flush=True)
        for reader in readers:
            reader.deltas.clear()
    for reader in readers:
        reader.end()


def _told(readers: list[Reader], placed: dict[int, int]) -> Told:
    delays_ms: list[float] = []
    missed = deltas = 0
    for reader in readers:
        deltas += len(reader.deltas)
        received = 0
        for previous, sequence, at_us in reader.deltas:
            for each in range(previous + 1, sequence + 1):
                placed_us = placed.get(each)
                if placed_us is not None:
                    received += 1
                    delays_ms.append((at_us - placed_us) / 1_000)
        missed += len(placed) - received
    return Told(
        p50_ms=percentile(delays_ms, 0.5),
        p99_ms=percentile(delays_ms, 0.99),
        receipts=len(delays_ms),
        deltas_a_reader=deltas / len(readers),
        missed=missed,
    )


if __name__ == "__main__":
    JOB = msgspec.json.decode(sys.stdin.readline(), type=SubscribersJob)
    os.sched_setaffinity(0, {JOB.core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(JOB))
