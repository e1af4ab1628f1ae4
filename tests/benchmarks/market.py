"""`market.calendar`: delivery hours of all products over HTTP in one answer, read while the market trades.

Thousands of asks rest, of many prices and windows, some in each product of the catalogue. There are 48, so
750 hours of each are read: as many hours as 720 of fifty products. One reader sends its next request when it
is answered, while buyers on other connections place bids on products of their own; the baseline is the same
reader with nobody trading. The server has a core of its own; reader and buyers share the other.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import httpx
import msgspec

from exchange.client import ExchangeClient
from exchange.kit.fields import format_cny, format_hour
from tests.benchmarks.load import LoadClient, LoadJob, LoadResult, content_length
from tests.benchmarks.result import BenchResult, conditions, percentile, progress, result
from tests.benchmarks.venue import Venue, served_venue

RUNS = 3
SECONDS = 3.0
HOURS_IN_ALL = 50 * 720
LISTING_S = 6.0
BUYERS = 8
LOAD_TIMEOUT_S = 60.0


def calendar() -> Iterator[BenchResult]:
    """Measure the calendar, quiet and while buyers trade."""
    core = max(os.sched_getaffinity(0))
    quiet: list[list[float]] = []
    trading: list[list[float]] = []
    bids: list[float] = []
    with served_venue() as venue:
        venue.furnish(BUYERS)
        products = asyncio.run(_products(venue))
        hours = HOURS_IN_ALL // len(products)
        progress("market.calendar: listing asks")
        listed = _finish(_load(_job(venue, _asks(venue, products, hours), LISTING_S, core)))
        venue.pin(min(os.sched_getaffinity(0)))
        for number in range(RUNS):
            quiet.append(_read(venue, hours, SECONDS))
            load = _load(_job(venue, _bids(venue, products, number), SECONDS + 1.0, core))
            trading.append(_read(venue, hours, SECONDS))
            bids.append(_finish(load).requests_per_s)
            progress(f"market.calendar: {len(quiet[-1])} quiet, {len(trading[-1])} at {bids[-1]:.0f} bids/s")
    told = conditions(
        products=len(products),
        hours=hours,
        asks_listed=listed.requests,
        bids_per_s=[round(rate) for rate in bids],
        baseline="the same reader, nobody trading",
    )
    for metric, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        base = sorted(percentile(run, share) for run in quiet)[RUNS // 2]
        runs = [percentile(run, share) for run in trading]
        yield result("market.calendar", metric, runs, "ms", "lower", told, base)


class _Product(msgspec.Struct, frozen=True):
    """What an order for a product needs to know of it."""

    id: str
    lot_gpus: int
    reference_fen: int

    def price_cny(self, percent: int) -> str:
        """Return a share of the reference price."""
        return format_cny(max(self.reference_fen * percent // 100, 1))


async def _products(venue: Venue) -> list[_Product]:
    async with httpx.AsyncClient(timeout=30.0) as http:
        found = await ExchangeClient(venue.url, venue.operator_key, http).products()
    return [
        _Product(
            each["id"],
            each["lot_gpus"],
            int(each["reference_price_cny_per_gpu_hour"].replace(".", "")),
        )
        for each in found
    ]


def _read(venue: Venue, hours: int, seconds: float) -> list[float]:
    """Read the calendar for some time, one request at once; return the milliseconds of each answer."""
    first_hour = venue.first_hour
    query = f"starts_at={format_hour(first_hour)}&ends_at={format_hour(first_hour + hours)}"
    request = f"GET /v1/market/calendar?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    samples: list[float] = []
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    with socket.create_connection(("127.0.0.1", venue.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends_s = time.perf_counter() + seconds
        while (started_s := time.perf_counter()) < ends_s:
            connection.sendall(request)
            head = _answer(connection)
            samples.append((time.perf_counter() - started_s) * 1_000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the calendar was refused: {head[:300]!r}")
    os.sched_setaffinity(0, cores)
    return samples


def _answer(connection: socket.socket) -> bytes:
    """Read a whole answer and return its head."""
    head, found, missing = b"", b"", 0
    while not found or missing > 0:
        part = connection.recv(1 << 20)
        if not part:
            raise RuntimeError("the server hung up")
        if found:
            missing -= len(part)
            continue
        head, found, body = (head + part).partition(b"\r\n\r\n")
        missing = content_length(head) - len(body) if found else 0
    return head


def _asks(venue: Venue, products: list[_Product], hours: int) -> list[LoadClient]:
    """Return what providers list: every connection has a product, a price and a window of its own."""
    clients = []
    for number, product in enumerate(products):
        starts_hour = venue.first_hour + number * 53 % hours
        ends_hour = starts_hour + 1 + number * 7
        after = (
            f'","product":"{product.id}","side":"sell","quantity_gpus":{product.lot_gpus * (1 + number % 8)},'
            f'"starts_at":"{format_hour(starts_hour)}","ends_at":"{format_hour(ends_hour)}",'
            f'"price_cny_per_gpu_hour":"{product.price_cny(100 + number)}"}}'
        )
        clients.append(LoadClient(venue.provider_key, f'{{"client_order_id":"listed-{number}-', after))
        # And supply for every hour, which buyers trade with.
        ends_hour = venue.first_hour + hours
        after = (
            f'","product":"{product.id}","side":"sell","quantity_gpus":{product.lot_gpus * 64},'
            f'"starts_at":"{format_hour(venue.first_hour)}","ends_at":"{format_hour(ends_hour)}",'
            f'"price_cny_per_gpu_hour":"{product.price_cny(160)}"}}'
        )
        clients.append(LoadClient(venue.provider_key, f'{{"client_order_id":"supply-{number}-', after))
    return clients


def _bids(venue: Venue, products: list[_Product], run: int) -> list[LoadClient]:
    """Return what buyers send: two hours of one lot, which trade with the cheapest supply at once."""
    clients = []
    for number, (key, product) in enumerate(zip(venue.buyer_keys, products, strict=False)):
        after = (
            f'","product":"{product.id}","side":"buy","quantity_gpus":{product.lot_gpus},"hours":2,'
            f'"starts_at":"{format_hour(venue.first_hour)}","ends_at":"{format_hour(venue.first_hour + 24)}",'
            f'"price_cny_per_gpu_hour":"{product.price_cny(200)}","fill":"all_or_none","vouchers":"none"}}'
        )
        clients.append(LoadClient(key, f'{{"client_order_id":"run{run}-{number}-', after))
    return clients


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
