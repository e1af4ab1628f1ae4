"""Orders over HTTP: `http.echo.*` and `http.order.*` of the benchmark list.

One server process, one load generator process, each on a core of its own; PostgreSQL, with fsync on, uses
whatever is free. Every client is a buyer with its own account and one order under way at a time; every second
client's orders trade against standing supply at once (hold, match, escrow, lease), the others' rest. The echo
route gets the same payload from the same clients in the same server, measured in turn with the orders.

What is compared with single orders is measured in one server with them, in turn. `http.order.voucher2.c32`:
two stacked voucher programmes on every order; `http.batch1000`: the same orders, a thousand at a time;
`http.order.hot_account.c32`: all clients trade with one provider, where otherwise each has its own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from exchange.kit.fields import format_hour
from tests.benchmarks.load import LoadClient, LoadJob, LoadResult
from tests.benchmarks.result import BenchResult, conditions, progress, result
from tests.benchmarks.venue import ASK_CNY, PRODUCT, STANDING_ASKS, WINDOW_HOURS, Venue, served_venue

RUNS = 3
SECONDS = 3.0
WARM_UP_S = 1.0
LOAD_TIMEOUT_S = 60.0
BELOW_CNY = "1.50"
CLIENTS = 32
BATCH_ORDERS = 1_000
BATCH_SECONDS = 10.0
"""Longer, because whole batches count."""
BATCH_CLIENTS = 2
"""One batch is read and judged, or answered, while another is written."""
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
                load = load_on(venue, path, number, Variant(path[-4:]), status)
                progress(f"http c{clients} {path}: {load.requests_per_s:.0f}/s, p99 {load.p99_ms:.1f} ms")
                runs.append(load)
    return pair


class Variant(NamedTuple):
    """Orders to compare with others: a name for their client order ids, and how they are sent."""

    name: str
    vouchers: str = "none"
    has_own_provider: bool = False
    orders_a_request: int = 1


def _compared(venue: Venue, plain: Variant, other: Variant) -> tuple[list[float], list[float]]:
    """Measure two kinds of orders in turn; return the orders a second of each run."""
    venue.pin(min(os.sched_getaffinity(0)))
    rates: dict[str, list[float]] = {plain.name: [], other.name: []}
    for number in range(RUNS):
        for variant in (plain, other):
            path = "/v1/orders" if variant.orders_a_request == 1 else "/v1/orders/batch"
            load = load_on(venue, path, number, variant)
            rate = load.requests_per_s * variant.orders_a_request
            progress(f"http {variant.name}: {rate:.0f} orders/s, p99 {load.p99_ms:.1f} ms")
            rates[variant.name].append(rate)
    return rates[plain.name], rates[other.name]


def _median(runs: Sequence[float]) -> float:
    return sorted(runs)[len(runs) // 2]


def _voucher_bench() -> Iterator[BenchResult]:
    with served_venue() as venue:
        progress(f"http.order.voucher2: registering {CLIENTS} buyers with two vouchers each")
        venue.furnish(CLIENTS)
        venue.issue_vouchers()
        cash, stacked = _compared(venue, Variant("cash"), Variant("stacked", vouchers="auto"))
    yield result(
        f"http.order.voucher2.c{CLIENTS}",
        "requests_per_s",
        stacked,
        "1/s",
        "higher",
        order_conditions(CLIENTS),
        _median(cash),
    )


def _hot_account_bench() -> Iterator[BenchResult]:
    with served_venue() as venue:
        progress(f"http.order.hot_account: registering {CLIENTS} buyers, and a provider for each")
        venue.furnish(CLIENTS, own_providers=True)
        spread, hot = _compared(venue, Variant("spread", has_own_provider=True), Variant("hot"))
    yield result(
        f"http.order.hot_account.c{CLIENTS}",
        "requests_per_s",
        hot,
        "1/s",
        "higher",
        {
            **order_conditions(CLIENTS),
            "standing_asks": CLIENTS,
            "baseline": "each client with its own provider",
        },
        _median(spread),
    )


def _batch_bench() -> Iterator[BenchResult]:
    with served_venue() as venue:
        progress(f"http.batch{BATCH_ORDERS}: registering {CLIENTS} buyers")
        venue.furnish(CLIENTS)
        single, batch = _compared(venue, Variant("single"), Variant("batch", orders_a_request=BATCH_ORDERS))
    told = {
        **order_conditions(BATCH_CLIENTS),
        "seconds": BATCH_SECONDS,
        "baseline": f"single orders of {CLIENTS} clients",
    }
    yield result(f"http.batch{BATCH_ORDERS}", "orders_per_s", batch, "1/s", "higher", told, _median(single))


def load_on(venue: Venue, path: str, run: int, variant: Variant, status: int = 201) -> LoadResult:
    """Put one run of load on a venue; RuntimeError where it answers otherwise than expected."""
    keys = venue.buyer_keys
    if variant.orders_a_request > 1:
        status, keys = 200, keys[:BATCH_CLIENTS]
    clients = []
    for number, key in enumerate(keys):
        price_cny = ASK_CNY if number % 2 or len(venue.buyer_keys) == 1 else BELOW_CNY
        window = number if variant.has_own_provider else 0
        name = f"{variant.name}{run}-{number}"
        clients.append(LoadClient(key, *order_body(venue, name, price_cny, variant.vouchers, window)))
    core = max(os.sched_getaffinity(0))
    seconds = SECONDS if variant.orders_a_request == 1 else BATCH_SECONDS
    job = LoadJob(venue.port, path, clients, seconds, WARM_UP_S, core, status, variant.orders_a_request)
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


def order_body(venue: Venue, name: str, price_cny: str, vouchers: str, window: int) -> tuple[str, str]:
    """Return a bid for one GPU over two hours of a day, in two parts around a running number."""
    starts_hour = venue.first_hour + window * WINDOW_HOURS
    before = f'{{"client_order_id":"{name}-'
    after = (
        f'","product":"{PRODUCT}","side":"buy","quantity_gpus":1,"hours":2,'
        f'"starts_at":"{format_hour(starts_hour)}","ends_at":"{format_hour(starts_hour + WINDOW_HOURS)}",'
        f'"price_cny_per_gpu_hour":"{price_cny}","fill":"all_or_none","vouchers":"{vouchers}"}}'
    )
    return before, after


def order_conditions(clients: int) -> dict[str, Any]:
    """Return how orders of so many clients are measured."""
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
        told = order_conditions(clients)
        for metric, unit, better in METRICS:
            echo = [getattr(run, metric) for run in pair.echo]
            order = [getattr(run, metric) for run in pair.order]
            runs = echo if route == "echo" else order
            baseline = None if route == "echo" else _median(echo)
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
} | {
    f"http.batch{BATCH_ORDERS}": _batch_bench,
    f"http.order.voucher2.c{CLIENTS}": _voucher_bench,
    f"http.order.hot_account.c{CLIENTS}": _hot_account_bench,
}
