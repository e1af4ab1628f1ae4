"""What one benchmark says: the JSON line, and the conditions it was measured under.

`value` is the median of `runs`. `baseline` and `ratio` (value / baseline) stand where a second thing was
measured in the same run.
"""

import gc
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

Better = Literal["higher", "lower"]


class BenchResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure; fields that do not apply are left out of the line."""

    bench: str
    metric: str
    value: float
    unit: str
    better: Better
    runs: list[float]
    baseline: float | None = None
    ratio: float | None = None
    conditions: dict[str, Any]

    def line(self) -> str:
        """Return the JSON line, without its end."""
        return msgspec.json.encode(self).decode()


def result(
    bench: str,
    metric: str,
    runs: Sequence[float],
    unit: str,
    better: Better,
    conditions: dict[str, Any],
    baseline: float | None = None,
) -> BenchResult:
    """Return the result of several runs, rounded to four digits."""
    value = statistics.median(runs)
    return BenchResult(
        bench=bench,
        metric=metric,
        value=_rounded(value),
        unit=unit,
        better=better,
        runs=[_rounded(run) for run in runs],
        baseline=None if baseline is None else _rounded(baseline),
        ratio=_rounded(value / baseline) if baseline else None,
        conditions=conditions,
    )


def conditions(**more: Any) -> dict[str, Any]:
    """Return the machine and the interpreter, and whatever the benchmark adds (sizes, seed)."""
    # `one_core` pins to the last core.
    return {
        "cores": os.cpu_count(),
        "pinned_to": [max(os.sched_getaffinity(0))],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}",
        **more,
    }


@contextmanager
def one_core() -> Iterator[None]:
    """Pin the process to the last of its cores, and keep what stands out of the garbage collector's way."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        os.sched_setaffinity(0, cores)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def progress(text: str) -> None:
    """Tell a waiting person what goes on; standard output is for results only."""
    print(text, file=sys.stderr, flush=True)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
