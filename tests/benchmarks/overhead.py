"""What the audit record costs an order: `oversight.overhead`.

Two servers, alike but for the record of orders (`unfollowed`, `unrecorded`), each with a PostgreSQL of its
own with fsync on, get the same orders from the same number of clients in turn; the baseline is without.
What follows the record (summaries, alerts, seals) runs in neither: it is not in an order's way, and on two
cores it would take the time that is measured. `cpu_us_per_order` of the conditions is what a server and its
PostgreSQL worked, which a busy machine disturbs less than rates.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from operator import truediv
from pathlib import Path
from statistics import median

from exchange.kit.database import Database
from exchange.kit.embedded_postgres import running_url
from tests.benchmarks.http import CLIENTS, SECONDS, WARM_UP_S, Variant, load_on, order_conditions
from tests.benchmarks.result import BenchResult, progress, result
from tests.benchmarks.venue import served_venue

RUNS = 7


def overhead() -> Iterator[BenchResult]:
    """Measure orders with and without their record, in turn."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    cpu_us: dict[str, list[float]] = {"with": [], "without": []}
    with (
        served_venue(module="tests.benchmarks.unfollowed") as recorded,
        served_venue(module="tests.benchmarks.unrecorded") as unrecorded,
    ):
        for venue in (recorded, unrecorded):
            progress(f"oversight.overhead: registering {CLIENTS} buyers")
            venue.furnish(CLIENTS)
            venue.pin(min(os.sched_getaffinity(0)))
        for number in range(RUNS):
            for venue in (unrecorded, recorded):
                used_s = venue.cpu_with_database_s()
                load = load_on(venue, "/v1/orders", number, Variant("overhead"))
                # The load's warm-up is in it as well, in proportion.
                share = SECONDS / (SECONDS + WARM_UP_S)
                used_us = (venue.cpu_with_database_s() - used_s) * share * 1_000_000 / load.requests
                name = "with" if venue is recorded else "without"
                progress(f"{name} the record: {load.requests_per_s:.0f}/s, {used_us:.0f} us of CPU each")
                rates[venue is recorded].append(load.requests_per_s)
                cpu_us[name].append(round(used_us, 1))
        records = [asyncio.run(_records(venue.data_dir)) for venue in (recorded, unrecorded)]
    if not records[0] or records[1]:
        raise RuntimeError(f"there are {records} records of orders with and without the record")
    told = {
        **order_conditions(CLIENTS),
        "baseline": "the same without the audit record of orders, in turn",
        "median_of_pairs": round(median(map(truediv, rates[True], rates[False])), 3),
        "cpu_us_per_order": {name: median(each) for name, each in cpu_us.items()},
    }
    baseline = median(rates[False])
    yield result("oversight.overhead", "requests_per_s", rates[True], "1/s", "higher", told, baseline)


async def _records(data_dir: Path) -> int:
    """Count the records of orders of a venue."""
    url = running_url(data_dir)
    if url is None:
        raise AssertionError("the venue's database runs")
    database = await Database.connect(url, connections_min=1, connections_max=1)
    async with database.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM audit_record WHERE order_id IS NOT NULL")
    await database.close()
    return count


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"oversight.overhead": overhead}
