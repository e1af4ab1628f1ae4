"""How long cancels take beside abuse: `abuse.cancels.*` of the benchmark list.

One server process on one core; on the other eight buyers, each on a connection of its own, place an order
that rests and cancel it again, in a process that measures the cancels, and beside it the abusers in a process
of theirs (`tests.abuse`). Quiet and abuse are measured in turn in the same server, the abusers from another
address each time, and after the time that they need to begin.

The ratio is of the 99th percentiles. The abusers share their core with who measures, so it is an upper bound.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
import uvloop

from exchange.kit.fields import format_hour
from tests.abuse import KINDS, Target
from tests.benchmarks.result import BenchResult, conditions, percentile, progress, result
from tests.benchmarks.venue import ASK_CNY, PRODUCT, Venue, served_venue
from tests.plain_http import Line

BUYERS: Final = 8
RUNS: Final = 3
SECONDS: Final = 4.0
WARM_UP_S: Final = 3.0
BELOW_CNY: Final = "1.50"
SETTINGS: Final = {"EXCHANGE_RATE_KEY": "800/4", "EXCHANGE_RATE_PARTICIPANT": "off"}


class CancelJob(msgspec.Struct, frozen=True):
    """What to measure: `seconds` after `warm_up_s` that do not count, on one core."""

    port: int
    keys: list[str]
    order: dict[str, Any]
    name: str
    seconds: float
    warm_up_s: float
    core: int


class CancelResult(msgspec.Struct, frozen=True):
    """What came of it; every cancel was answered 200."""

    cancels: int
    p50_ms: float
    p99_ms: float


async def measure(job: CancelJob) -> CancelResult:
    """Place and cancel, and tell how long the cancels took."""
    begins_s = time.perf_counter() + job.warm_up_s
    ends_s = begins_s + job.seconds
    waits_s: list[float] = []

    async def trade(place: int, key: str) -> None:
        line, number = Line("127.0.0.1", job.port), 0
        while time.perf_counter() < ends_s:
            number += 1
            body = {**job.order, "client_order_id": f"{job.name}-{place}-{number}"}
            headers = {"Content-Type": "application/json"}
            placed = await line.send("POST", "/v1/orders", key=key, body=body, headers=headers)
            if placed.status != 201:
                raise RuntimeError(f"an order was answered {placed.status}: {placed.body!r}")
            order_id = placed.json()["id"]
            sent_s = time.perf_counter()
            answer = await line.send("DELETE", f"/v1/orders/{order_id}", key=key)
            if answer.status != 200:
                raise RuntimeError(f"a cancel was answered {answer.status}: {answer.body!r}")
            if sent_s >= begins_s:
                waits_s.append(time.perf_counter() - sent_s)
        line.cut()

    await asyncio.gather(*(trade(place, key) for place, key in enumerate(job.keys)))
    return CancelResult(
        cancels=len(waits_s), p50_ms=percentile(waits_s, 0.5) * 1000, p99_ms=percentile(waits_s, 0.99) * 1000
    )


def _measured(job: CancelJob) -> CancelResult:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.abuse"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return msgspec.json.decode(done.stdout, type=CancelResult)


def _beside(kind: str, target: Target, number: int, job: CancelJob) -> CancelResult:
    """Measure beside abusers, who have the job's time to warm up in to begin."""
    abusers = subprocess.Popen(
        [sys.executable, "-m", "tests.abuse", kind, str(number), str(job.core)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        if abusers.stdin is None or abusers.stdout is None:
            raise AssertionError("both are pipes")
        abusers.stdin.write(msgspec.json.encode(target) + b"\n")
        abusers.stdin.flush()
        abusers.stdout.readline()  # they have begun
        return _measured(job)
    finally:
        abusers.communicate(timeout=60)  # its standard input ends, and so does it


def _order(venue: Venue, price_cny: str) -> dict[str, Any]:
    return {
        "product": PRODUCT,
        "side": "buy",
        "quantity_gpus": 1,
        "starts_at": format_hour(venue.first_hour),
        "ends_at": format_hour(venue.first_hour + 2),
        "price_cny_per_gpu_hour": price_cny,
    }


def _bench(kind: str) -> Callable[[], Iterable[BenchResult]]:
    def bench() -> Iterator[BenchResult]:
        cores = sorted(os.sched_getaffinity(0))
        quiet: list[CancelResult] = []
        abused: list[CancelResult] = []
        with served_venue(SETTINGS) as venue:
            venue.furnish(BUYERS + 1)
            venue.pin(cores[0])
            *keys, abuser = venue.buyer_keys
            target = Target(port=venue.port, key=abuser, order=_order(venue, ASK_CNY), product=PRODUCT)
            for number in range(RUNS):
                for runs, name in ((quiet, "quiet"), (abused, "abused")):
                    job = CancelJob(
                        venue.port,
                        keys,
                        _order(venue, BELOW_CNY),
                        f"{name}-{number}",
                        SECONDS,
                        WARM_UP_S,
                        cores[-1],
                    )
                    is_quiet = name == "quiet"
                    found = _measured(job) if is_quiet else _beside(kind, target, 2 + 2 * number, job)
                    told = f"p99 {found.p99_ms:.1f} ms of {found.cancels}"
                    progress(f"cancels, {'quiet' if is_quiet else kind}: {told}")
                    runs.append(found)
        yield result(
            _name(kind),
            "p99_ms",
            [each.p99_ms for each in abused],
            "ms",
            "lower",
            conditions(
                buyers=BUYERS,
                seconds=SECONDS,
                server_core=cores[0],
                load_core=cores[-1],
                postgresql="embedded, fsync on, not pinned",
                settings=SETTINGS,
            ),
            sorted(each.p99_ms for each in quiet)[RUNS // 2],
        )

    return bench


def _name(kind: str) -> str:
    return f"abuse.cancels.{kind.replace(' ', '_')}"


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {_name(kind): _bench(kind) for kind in KINDS}


def main() -> None:
    """Read a job, do it, write the result."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=CancelJob)
    os.sched_setaffinity(0, {job.core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure(job))
    sys.stdout.buffer.write(msgspec.json.encode(measured))


if __name__ == "__main__":
    main()
