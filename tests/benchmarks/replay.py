"""A recorded trace end to end: `replay.philly14d`. Printed only where the recorded trace is to be had."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable

from tests.benchmarks.result import BenchResult, conditions, progress, result
from tests.replay_traces import FROM, real_traces

HOURS = 336
GPUS = 500


def philly14d() -> Iterable[BenchResult]:
    """Place fourteen dense days of recorded jobs as orders, every hour settled."""
    traces = real_traces()
    if traces is None:
        progress("replay.philly14d: left out, the recorded trace is not there")
        return []
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        done = subprocess.run(
            [
                sys.executable, "-m", "exchange", "replay", *traces.arguments(), "--from", FROM,
                "--hours", str(HOURS), "--gpus", str(GPUS), "--data-dir", folder, "--json",
            ],
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            check=True,
        )  # fmt: skip
    report = json.loads(done.stdout)
    told = conditions(
        orders=report["orders_this_run"],
        fills=report["fills"],
        hours=HOURS,
        gpus=GPUS,
        seed=report["seed"],
        postgresql="embedded, fsync on, not pinned",
        prices=report["label"],
    )
    return [result("replay.philly14d", "orders_per_s", [report["orders_per_s"]], "1/s", "higher", told)]


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"replay.philly14d": philly14d}
