"""Two gateways and an engine over Redis: `scale.two_gateways`, against one process on the same cores.

Both stand at once, each on a PostgreSQL of its own with fsync on, and are loaded in turn. The one process has
a core and the load generator the other, as in `http.order.c32`; the fleet's processes take what they get of
both, as do its two load generators, one a gateway. Clients, orders and standing supply are the same.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from exchange.kit.embedded_postgres import EmbeddedPostgres
from tests.benchmarks import http
from tests.benchmarks.load import LoadClient, LoadJob, LoadResult
from tests.benchmarks.result import BenchResult, conditions, progress, result
from tests.benchmarks.venue import ASK_CNY, SERVER_SETTINGS, STANDING_ASKS, Venue, served_venue
from tests.fleet import ServedProcess, fleet_of
from tests.redis_servers import RedisServer

CLIENTS = 32
GATEWAYS = 2


@contextmanager
def served_fleet() -> Iterator[tuple[Venue, list[ServedProcess]]]:
    """Give a venue that two gateways and an engine serve, and its gateways."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exchange-bench-")))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        redis = stack.enter_context(RedisServer(folder))
        fleet = stack.enter_context(
            fleet_of(postgres.url, redis.url, folder, gateways=GATEWAYS, engines=1, **SERVER_SETTINGS)
        )
        gateways = [each for each in fleet.processes if each.role == "gateway"]
        yield Venue(_port(gateways[0]), gateways[0].process, folder), gateways


def _port(process: ServedProcess) -> int:
    return int(process.url.rpartition(":")[2])


def _jobs(venue: Venue, ports: list[int], run: str, core: int) -> list[LoadJob]:
    """Return the load of all clients, dealt out to the ports."""
    clients = [
        LoadClient(
            key,
            *http.order_body(venue, f"{run}-{number}", ASK_CNY if number % 2 else http.BELOW_CNY, "none", 0),
        )
        for number, key in enumerate(venue.buyer_keys)
    ]
    share = len(clients) // len(ports)
    return [
        LoadJob(
            port,
            "/v1/orders",
            clients[place * share : (place + 1) * share],
            http.SECONDS,
            http.WARM_UP_S,
            core,
            201,
        )
        for place, port in enumerate(ports)
    ]


def _loaded(jobs: list[LoadJob]) -> float:
    """Do jobs at once, and return the requests a second of all of them."""
    generators = []
    for job in jobs:
        generator = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if generator.stdin is None:
            raise AssertionError("standard input is a pipe")
        generator.stdin.write(msgspec.json.encode(job))
        generator.stdin.close()
        generators.append(generator)
    total = 0.0
    for generator in generators:
        if generator.stdout is None:
            raise AssertionError("standard output is a pipe")
        load = msgspec.json.decode(generator.stdout.read(), type=LoadResult)
        generator.stdout.close()
        generator.wait(http.LOAD_TIMEOUT_S)
        if load.unexpected:
            raise RuntimeError(f"an order was answered otherwise than expected: {load.unexpected}")
        total += load.requests_per_s
    return total


def two_gateways() -> Iterator[BenchResult]:
    """Measure both, in turn."""
    cores = sorted(os.sched_getaffinity(0))
    one: list[float] = []
    several: list[float] = []
    with served_venue() as venue, served_fleet() as (fleet, gateways):
        progress(f"scale.two_gateways: registering {CLIENTS} buyers twice")
        for each in (venue, fleet):
            each.furnish(CLIENTS)
        venue.pin(cores[0])
        ports = [_port(each) for each in gateways]
        for number in range(http.RUNS):
            for where, at, runs in ((venue, [venue.port], one), (fleet, ports, several)):
                runs.append(_loaded(_jobs(where, at, f"scale{number}", cores[-1])))
            progress(f"scale: one process {one[-1]:.0f}/s, two gateways {several[-1]:.0f}/s")
    yield result(
        "scale.two_gateways",
        "orders_per_s",
        several,
        "1/s",
        "higher",
        conditions(
            clients=CLIENTS,
            seconds=http.SECONDS,
            gateways=GATEWAYS,
            engines=1,
            fleet_cores=cores,
            load_core=cores[-1],
            baseline_core=cores[0],
            postgresql="embedded, fsync on, not pinned",
            redis="Valkey, not pinned",
            standing_asks=STANDING_ASKS,
            trading_share=0.5,
        ),
        sorted(one)[len(one) // 2],
    )


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"scale.two_gateways": two_gateways}
