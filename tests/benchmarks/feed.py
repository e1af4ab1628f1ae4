"""`feed.1000_subscribers`: a thousand readers of one book, in which 200 orders a second are committed.

The server has a core of its own; the readers, all in one process, share the other with whoever places the
orders and with PostgreSQL. Orders are sent at a fixed pace, whether the ones before are answered or not, each
a commit of its own where the exchange keeps up. A delay is from the moment at which an order was matched (its
`created_at`), so the commit is in it, to the receipt by a reader; every reader must be told of every order.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Self

import httpx
import msgspec

from exchange.client import ExchangeClient
from exchange.kit.clock import monotonic_s, parse_rfc3339
from exchange.orders.models import NewOrder
from tests.benchmarks.http import order_body
from tests.benchmarks.result import BenchResult, conditions, progress, result
from tests.benchmarks.subscribers import Placed, SubscribersJob, Told
from tests.benchmarks.venue import ASK_CNY, PRODUCT, Venue, served_venue

RUNS = 3
SECONDS = 5.0
WARM_UP_S = 1.0
READERS = 1_000
ORDERS_PER_S = 200
BUYERS = 8
SETTINGS = {
    "EXCHANGE_CONNECTIONS_PER_ADDRESS_MAX": "4000",
    "EXCHANGE_RATE_ADDRESS": "1000000000/1",
}


def thousand_subscribers() -> Iterator[BenchResult]:
    """Measure delays, and what a subscriber costs the server."""
    told: list[Told] = []
    rates: list[float] = []
    cpu_s: list[float] = []
    cores = sorted(os.sched_getaffinity(0))
    with served_venue(SETTINGS) as venue:
        venue.furnish(BUYERS)
        venue.pin(cores[0])
        before_bytes = venue.resident_bytes()
        with _subscribers(venue, cores[-1]) as readers:
            bytes_per_subscriber = (venue.resident_bytes() - before_bytes) / READERS
            _placed(venue, "warm", WARM_UP_S)
            for number in range(RUNS):
                started_s, cpu_before_s = monotonic_s(), venue.cpu_s()
                placed = _placed(venue, f"run{number}", SECONDS)
                rates.append(len(placed.orders) / (monotonic_s() - started_s))
                told.append(_outcome(readers, placed))
                cpu_s.append(venue.cpu_s() - cpu_before_s)
                progress(f"feed: {rates[-1]:.0f} orders/s, p99 {told[-1].p99_ms:.1f} ms")
    conditions_ = conditions(
        subscribers=READERS,
        seconds=SECONDS,
        orders_per_s=[round(rate) for rate in rates],
        server_cpu_s=[round(each, 2) for each in cpu_s],
        deltas_a_reader=[round(each.deltas_a_reader) for each in told],
        receipts=[each.receipts for each in told],
        missed=[each.missed for each in told],
        server_core=cores[0],
        readers_core=cores[-1],
        postgresql="embedded, fsync on, not pinned",
    )
    if any(each.missed for each in told):
        raise RuntimeError(f"some readers were not told of all: {[each.missed for each in told]}")
    name = "feed.1000_subscribers"
    yield result(name, "p50_ms", [each.p50_ms for each in told], "ms", "lower", conditions_)
    yield result(name, "p99_ms", [each.p99_ms for each in told], "ms", "lower", conditions_)
    yield result(name, "bytes_per_subscriber", [bytes_per_subscriber], "bytes", "lower", conditions_)


class _Readers:
    """The process of the subscribers."""

    def __init__(self, venue: Venue, core: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.subscribers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        job = SubscribersJob(venue.port, PRODUCT, READERS, core)
        self.say(msgspec.json.encode(job).decode())

    def __enter__(self) -> Self:
        if self.hear() != "ready":
            raise RuntimeError("the subscribers did not get their snapshots")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def say(self, line: str) -> None:
        """Tell it something."""
        if self._process.stdin is None:
            raise AssertionError("standard input is a pipe")
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Return what it says next."""
        if self._process.stdout is None:
            raise AssertionError("standard output is a pipe")
        return self._process.stdout.readline().strip()


def _subscribers(venue: Venue, core: int) -> _Readers:
    progress(f"feed: {READERS} readers subscribe")
    return _Readers(venue, core)


def _outcome(readers: _Readers, placed: Placed) -> Told:
    readers.say(msgspec.json.encode(placed).decode())
    return msgspec.json.decode(readers.hear(), type=Told)


def _placed(venue: Venue, name: str, seconds: float) -> Placed:
    """Place orders at the pace, and return what came of each."""
    return asyncio.run(_place_all(venue, name, seconds))


async def _place_all(venue: Venue, name: str, seconds: float) -> Placed:
    placed: list[tuple[int, int]] = []

    async def place(client: ExchangeClient, number: int) -> None:
        before, after = order_body(venue, f"{name}-{number}", "1.50" if number % 2 else ASK_CNY, "none", 0)
        view = await client.create_order(msgspec.json.decode(f"{before}0{after}", type=NewOrder))
        at_us = parse_rfc3339(view.created_at)
        if at_us is None:
            raise RuntimeError(f"{view.created_at!r} is no time")
        placed.append((view.sequence or 0, at_us))

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(timeout=30.0, limits=limits) as http:
        clients = [ExchangeClient(venue.url, key, http) for key in venue.buyer_keys]
        starts_s = monotonic_s()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * ORDERS_PER_S)):
                await asyncio.sleep(max(0.0, starts_s + number / ORDERS_PER_S - monotonic_s()))
                group.create_task(place(clients[number % len(clients)], number))
    return Placed(placed)


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"feed.1000_subscribers": thousand_subscribers}
