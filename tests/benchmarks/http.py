"""Orders over HTTP: `http.echo.*` and `http.order.*` of the benchmark list.

One server process, one load generator process, each on a core of its own; PostgreSQL, with fsync on, uses
whatever is free. Every client is a buyer with its own account and one order under way at a time; every second
client's orders trade against standing supply at once (hold, match, escrow, lease), the others' rest. The echo
route gets the same payload from the same clients in the same server, measured in turn with the orders.

`http.order.voucher2.c32` is the same with two stacked voucher programmes on every order, beside orders paid
in cash in the same server, in turn.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

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
VOUCHER_CLIENTS = 32
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


def _voucher_bench() -> Iterator[BenchResult]:
    cores = sorted(os.sched_getaffinity(0))
    cash: list[LoadResult] = []
    stacked: list[LoadResult] = []
    with served_venue() as venue:
        progress(f"http.order.voucher2: registering {VOUCHER_CLIENTS} buyers with two vouchers each")
        venue.furnish(VOUCHER_CLIENTS)
        venue.issue_vouchers()
        venue.pin(cores[0])
        for number in range(RUNS):
            for vouchers, runs in (("none", cash), ("auto", stacked)):
                load = _load(venue, "/v1/orders", 201, f"{vouchers}{number}", cores[-1], vouchers)
                progress(f"http vouchers {vouchers}: {load.requests_per_s:.0f}/s, p99 {load.p99_ms:.1f} ms")
                runs.append(load)
    yield result(
        f"http.order.voucher2.c{VOUCHER_CLIENTS}",
        "requests_per_s",
        [run.requests_per_s for run in stacked],
        "1/s",
        "higher",
        _conditions(VOUCHER_CLIENTS),
        sorted(run.requests_per_s for run in cash)[RUNS // 2],
    )


def _load(venue: Venue, path: str, status: int, run: str, core: int, vouchers: str = "none") -> LoadResult:
    clients = [
        LoadClient(key, *_body(venue, f"{run}-{number}", ASK_CNY if number % 2 else BELOW_CNY, vouchers))
        for number, key in enumerate(venue.buyer_keys)
    ]
    if len(clients) == 1:
        clients = [LoadClient(venue.buyer_keys[0], *_body(venue, run, ASK_CNY, vouchers))]
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


def _body(venue: Venue, name: str, price_cny: str, vouchers: str) -> tuple[str, str]:
    """Return a bid for one GPU over two hours of the next day, in two parts around a running number."""
    before = f'{{"client_order_id":"{name}-'
    after = (
        f'","product":"{PRODUCT}","side":"buy","quantity_gpus":1,"hours":2,'
        f'"starts_at":"{format_hour(venue.first_hour)}","ends_at":"{format_hour(venue.first_hour + 24)}",'
        f'"price_cny_per_gpu_hour":"{price_cny}","fill":"all_or_none","vouchers":"{vouchers}"}}'
    )
    return before, after


def _conditions(clients: int) -> dict[str, Any]:
    return conditions(
        clients=clients,
        seconds=SECONDS,
        server_core=min(os.sched_getaffinity(0)),
        load_core=max(os.sched_getaffinity(0)),
        postgresql="embedded, fsync on, not pinned",
        standing_asks=STANDING_ASKS,
        trading_share=1.0 if clients == 1 else 0.5,
    )


def _bench(route: str, clients: int) -> Callable[[], Iterable[BenchResult]]:
    def bench() -> Iterator[BenchResult]:
        pair = measured(clients)
        told = _conditions(clients)
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
} | {f"http.order.voucher2.c{VOUCHER_CLIENTS}": _voucher_bench}
