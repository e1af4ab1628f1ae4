"""Orders over HTTP: `http.echo.*` and `http.order.*` of the benchmark list.

One server process, one load generator process, each on a core of its own; PostgreSQL, with fsync on, uses
whatever is free. Every client is a buyer with its own account and one order under way at a time; every second
client's orders trade against standing supply at once (hold, match, escrow, lease), the others' rest. The echo
route gets the same payload from the same clients in the same server, measured in turn with the orders.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

import msgspec

from exchange.kit.fields import format_hour
from tests.benchmarks.load import LoadClient, LoadJob, LoadResult
from tests.benchmarks.result import BenchResult, conditions, progress, result
from tests.benchmarks.venue import ASK_CNY, PRODUCT, STANDING_ASKS, Venue, served_venue

RUNS = 3
SECONDS = 3.0
WARM_UP_S = 1.0
LOAD_TIMEOUT_S = 60.0
BELOW_CNY = "1.50"
METRICS = (("requests_per_s", "1/s", "higher"), ("p50_ms", "ms", "lower"), ("p99_ms", "ms", "lower"))


class Pair(NamedTuple):
    """The runs of both routes at one number of clients."""

    echo: list[LoadResult]
    order: list[LoadResult]


@cache
def measured(clients: int) -> Pair:
    """Measure both routes, in turn."""
    cores = sorted(os.sched_getaffinity(0))
    pair = Pair([], [])
    with served_venue() as venue:
        progress(f"http.*.c{clients}: registering {clients} buyers")
        venue.furnish(clients)
        venue.pin(cores[0])
        for number in range(RUNS):
            for path, status, runs in (("/v1/bench/echo", 200, pair.echo), ("/v1/orders", 201, pair.order)):
                load = _load(venue, path, status, f"{path[-4:]}{number}", cores[-1])
                progress(f"http c{clients} {path}: {load.requests_per_s:.0f}/s, p99 {load.p99_ms:.1f} ms")
                runs.append(load)
    return pair


def _load(venue: Venue, path: str, status: int, run: str, core: int) -> LoadResult:
    clients = [
        LoadClient(key, *_body(venue, f"{run}-{number}", ASK_CNY if number % 2 else BELOW_CNY))
        for number, key in enumerate(venue.buyer_keys)
    ]
    if len(clients) == 1:
        clients = [LoadClient(venue.buyer_keys[0], *_body(venue, run, ASK_CNY))]
    job = LoadJob(venue.port, path, clients, SECONDS, WARM_UP_S, core, status)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        check=True,
        timeout=LOAD_TIMEOUT_S,
    )
    load = msgspec.json.decode(done.stdout, type=LoadResult)
    if load.unexpected:
        raise RuntimeError(f"{path} answered otherwise than expected: {load.unexpected}")
    return load


def _body(venue: Venue, name: str, price_cny: str) -> tuple[str, str]:
    """Return a bid for one GPU over two hours of the next day, in two parts around a running number."""
    before = f'{{"client_order_id":"{name}-'
    after = (
        f'","product":"{PRODUCT}","side":"buy","quantity_gpus":1,"hours":2,'
        f'"starts_at":"{format_hour(venue.first_hour)}","ends_at":"{format_hour(venue.first_hour + 24)}",'
        f'"price_cny_per_gpu_hour":"{price_cny}","fill":"all_or_none","vouchers":"none"}}'
    )
    return before, after


def _bench(route: str, clients: int) -> Callable[[], Iterable[BenchResult]]:
    def bench() -> Iterator[BenchResult]:
        pair = measured(clients)
        told = conditions(
            clients=clients,
            seconds=SECONDS,
            server_core=min(os.sched_getaffinity(0)),
            load_core=max(os.sched_getaffinity(0)),
            postgresql="embedded, fsync on, not pinned",
            standing_asks=STANDING_ASKS,
            trading_share=1.0 if clients == 1 else 0.5,
        )
        for metric, unit, better in METRICS:
            echo = [getattr(run, metric) for run in pair.echo]
            order = [getattr(run, metric) for run in pair.order]
            runs = echo if route == "echo" else order
            baseline = None if route == "echo" else sorted(echo)[len(echo) // 2]
            yield result(
                f"http.{route}.c{clients}",
                metric,
                runs,
                unit,
                "higher" if better == "higher" else "lower",
                told,
                baseline,
            )

    return bench


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {
    f"http.{route}.c{clients}": _bench(route, clients)
    for clients in (1, 32, 256)
    for route in ("echo", "order")
}
