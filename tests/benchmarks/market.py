"""`market.calendar`: 720 delivery hours of one product over HTTP, read while the market trades.

Thousands of asks rest, of many prices and windows. One reader sends its next request when it is answered,
while buyers on other connections place bids; the baseline is the same reader with nobody trading. The server
has a core of its own; reader and buyers share the other.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from exchange.kit.fields import format_hour
from tests.benchmarks.load import LoadClient, LoadJob, LoadResult, content_length
from tests.benchmarks.result import BenchResult, conditions, percentile, progress, result
from tests.benchmarks.venue import ASK_CNY, PRODUCT, Venue, served_venue

RUNS = 3
SECONDS = 3.0
CALENDAR_HOURS = 720
LISTING_CONNECTIONS = 32
LISTING_S = 6.0
BUYERS = 4
LOAD_TIMEOUT_S = 60.0


def calendar() -> Iterator[BenchResult]:
    """Measure the calendar, quiet and while buyers trade."""
    core = max(os.sched_getaffinity(0))
    quiet: list[list[float]] = []
    trading: list[list[float]] = []
    bids: list[float] = []
    with served_venue() as venue:
        venue.furnish(BUYERS)
        progress("market.calendar: listing asks")
        listed = _finish(_load(_job(venue, _asks(venue), LISTING_S, core)))
        venue.pin(min(os.sched_getaffinity(0)))
        for number in range(RUNS):
            quiet.append(_read(venue, SECONDS))
            load = _load(_job(venue, _bids(venue, number), SECONDS + 1.0, core))
            trading.append(_read(venue, SECONDS))
            bids.append(_finish(load).requests_per_s)
            progress(f"market.calendar: {len(quiet[-1])} quiet, {len(trading[-1])} at {bids[-1]:.0f} bids/s")
    told = conditions(
        hours=CALENDAR_HOURS,
        asks_listed=listed.requests,
        bids_per_s=[round(rate) for rate in bids],
        baseline="the same reader, nobody trading",
    )
    for metric, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        base = sorted(percentile(run, share) for run in quiet)[RUNS // 2]
        runs = [percentile(run, share) for run in trading]
        yield result("market.calendar", metric, runs, "ms", "lower", told, base)


def _read(venue: Venue, seconds: float) -> list[float]:
    """Read the calendar for some time, one request at once; return the milliseconds of each answer."""
    first_hour = venue.first_hour
    query = f"starts_at={format_hour(first_hour)}&ends_at={format_hour(first_hour + CALENDAR_HOURS)}"
    request = f"GET /v1/market/{PRODUCT}/calendar?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    samples: list[float] = []
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    with socket.create_connection(("127.0.0.1", venue.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends_s = time.perf_counter() + seconds
        while (started_s := time.perf_counter()) < ends_s:
            connection.sendall(request)
            received = b""
            head = body = b""
            while not head or len(body) < content_length(head):
                part = connection.recv(1 << 18)
                if not part:
                    raise RuntimeError("the server hung up")
                received += part
                head, found, body = received.partition(b"\r\n\r\n")
                if not found:
                    head = b""
            samples.append((time.perf_counter() - started_s) * 1_000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the calendar was refused: {received[:300]!r}")
    os.sched_setaffinity(0, cores)
    return samples


def _asks(venue: Venue) -> list[LoadClient]:
    """Return what providers list: every connection has a price and a window of its own."""
    clients = []
    for number in range(LISTING_CONNECTIONS):
        starts_hour = venue.first_hour + number * 53 % CALENDAR_HOURS
        ends_hour = starts_hour + 1 + number * 7
        after = (
            f'","product":"{PRODUCT}","side":"sell","quantity_gpus":{1 + number % 8},'
            f'"starts_at":"{format_hour(starts_hour)}","ends_at":"{format_hour(ends_hour)}",'
            f'"price_cny_per_gpu_hour":"2.{32 + number}"}}'
        )
        clients.append(LoadClient(venue.provider_key, f'{{"client_order_id":"listed-{number}-', after))
    return clients


def _bids(venue: Venue, run: int) -> list[LoadClient]:
    """Return what buyers send: two hours of one GPU, which trade with the cheapest supply at once."""
    after = (
        f'","product":"{PRODUCT}","side":"buy","quantity_gpus":1,"hours":2,'
        f'"starts_at":"{format_hour(venue.first_hour)}","ends_at":"{format_hour(venue.first_hour + 24)}",'
        f'"price_cny_per_gpu_hour":"{ASK_CNY}","fill":"all_or_none","vouchers":"none"}}'
    )
    return [
        LoadClient(key, f'{{"client_order_id":"run{run}-{number}-', after)
        for number, key in enumerate(venue.buyer_keys)
    ]


def _job(venue: Venue, clients: list[LoadClient], seconds: float, core: int) -> LoadJob:
    return LoadJob(venue.port, "/v1/orders", clients, seconds, 0.0, core, 201)


def _load(job: LoadJob) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if process.stdin is None:
        raise AssertionError("standard input is a pipe")
    process.stdin.write(msgspec.json.encode(job))
    process.stdin.close()
    process.stdin = None
    return process


def _finish(process: "subprocess.Popen[bytes]") -> LoadResult:
    told, _ = process.communicate(timeout=LOAD_TIMEOUT_S)
    load = msgspec.json.decode(told, type=LoadResult)
    if load.unexpected:
        raise RuntimeError(f"an order was answered otherwise than expected: {load.unexpected}")
    return load


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"market.calendar": calendar}
