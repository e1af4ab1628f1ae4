"""The load generator: a process of its own, many connections, each sending its next request when answered.

Started by `http.py` with a job on standard input; writes what it measured on standard output. It speaks just
enough HTTP/1.1 for one server it knows, so that it costs far less than what it measures.
"""

import asyncio
import os
import sys
import time
from typing import Any

import msgspec
import uvloop

from tests.benchmarks.result import percentile

NUMBER_DIGITS = 9
_STATUS_AT = slice(9, 12)


class LoadClient(msgspec.Struct, frozen=True):
    """One connection: its key and the two parts of its body, between which a running number goes."""

    key: str
    body_before: str
    body_after: str


class LoadJob(msgspec.Struct, frozen=True):
    """What to do: `seconds` of load after `warm_up_s` that does not count, on one core.

    With more than one order a request, each is a client's body with a number of its own, in a batch.
    """

    port: int
    path: str
    clients: list[LoadClient]
    seconds: float
    warm_up_s: float
    core: int
    expected_status: int
    orders_a_request: int = 1


class LoadResult(msgspec.Struct, frozen=True):
    """What came of it. A request counts when its answer came within the measured time."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    unexpected: dict[str, int]


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request under way at a time."""

    def __init__(
        self, job: LoadJob, client: LoadClient, samples: list[tuple[float, float]], ends_s: float
    ) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self.unexpected: dict[str, int] = {}
        self._samples = samples
        self._ends_s = ends_s
        self._expected = str(job.expected_status).encode()
        self._orders = job.orders_a_request
        # A body has no per cent sign of its own.
        order = f"{client.body_before}%0{NUMBER_DIGITS}d{client.body_after}"
        body = order if self._orders == 1 else f'{{"orders":[{",".join([order] * self._orders)}]}}'
        size = len(body % ((0,) * self._orders))
        self._request = (
            f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n{body}"
        ).encode()
        self._number = 0
        self._received = bytearray()
        self._missing = 0
        self._sent_s = 0.0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Send the first request. uvloop's transports write, but are no `asyncio.Transport`."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer in, and send the next request when it is whole."""
        self._received += data
        self._missing -= len(data)
        if self._missing > 0:
            return
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        self._missing = content_length(head) - len(body)
        if self._missing > 0:
            return
        now_s = time.perf_counter()
        self._samples.append((now_s, now_s - self._sent_s))
        if head[_STATUS_AT] != self._expected or not self._are_placed(body):
            told = f"{head[_STATUS_AT].decode()} {body[:200].decode(errors='replace')}"
            self.unexpected[told] = self.unexpected.get(told, 0) + 1
        self._received = bytearray()
        self._missing = 0
        if now_s < self._ends_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Tell that this connection is done."""
        if not self.closed.done():
            self.closed.set_result(None)

    def _are_placed(self, answer: bytearray) -> bool:
        """Whether each order of a batch was placed."""
        return self._orders == 1 or answer.count(b'"status":201,') == self._orders

    def _send(self) -> None:
        numbers = tuple(range(self._number, self._number + self._orders))
        self._number += self._orders
        request = self._request % numbers
        self._sent_s = time.perf_counter()
        self._transport.write(request)


def content_length(head: bytes | bytearray) -> int:
    """Return how long the body of an answer with this head is."""
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at < 0:
        raise ValueError("an answer without Content-Length")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0])


async def run(job: LoadJob) -> LoadResult:
    """Do the job."""
    loop = asyncio.get_running_loop()
    samples: list[tuple[float, float]] = []
    begins_s = time.perf_counter() + job.warm_up_s
    ends_s = begins_s + job.seconds
    connections: list[Connection] = []
    for client in job.clients:

        def make(client: LoadClient = client) -> Connection:
            return Connection(job, client, samples, ends_s)

        _, connection = await loop.create_connection(make, "127.0.0.1", job.port)
        connections.append(connection)
    await asyncio.gather(*(connection.closed for connection in connections))
    waits = [wait_s for at_s, wait_s in samples if begins_s <= at_s < ends_s]
    unexpected: dict[str, int] = {}
    for connection in connections:
        for told, count in connection.unexpected.items():
            unexpected[told] = unexpected.get(told, 0) + count
    return LoadResult(
        requests=len(waits),
        requests_per_s=len(waits) / job.seconds,
        p50_ms=percentile(waits, 0.5) * 1000,
        p99_ms=percentile(waits, 0.99) * 1000,
        unexpected=unexpected,
    )


def main() -> None:
    """Read a job, do it, write the result."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadJob)
    os.sched_setaffinity(0, {job.core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(run(job))
    sys.stdout.buffer.write(msgspec.json.encode(measured))


if __name__ == "__main__":
    main()
