"""How times grow with what rests: `make growth` measures, prints JSON lines, renews table and picture.

The same orders as in `core.bid.*` and `core.ask.*`, against 1,000, 10,000 and 100,000 resting orders, and the
calendar of seven days, read after each of the bids of 24 hours. Memory is what Python holds for a book of
that many, by tracemalloc: orders, live orders, index and ids. The table goes between two marks of README.md.
"""

import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from matching.book import OrderBook
from matching.depth import calendar
from matching.engine import execute
from matching.snapshot import restore, snapshot
from tests.benchmarks import core_books
from tests.benchmarks.core import RUNS, bid_latencies, latencies
from tests.benchmarks.growth_picture import Line, picture
from tests.benchmarks.result import BenchResult, conditions, one_core, percentile, progress, result

SIZES: Final = (1_000, 10_000, 100_000)
SAMPLES: Final = 2_000
CALENDAR_HOURS: Final = 7 * 24
FOLDER: Final = Path(__file__).parent
MARK: Final = "<!-- growth -->\n"


class Subject(NamedTuple):
    """What is measured: against which kind of book, and how, in microseconds of each sample of each run."""

    name: str
    title: str
    book: Callable[[int], OrderBook]
    samples: Callable[[OrderBook], list[list[float]]]


def calendar_latencies(book: OrderBook) -> list[list[float]]:
    """Return the microseconds of each reading of the calendar, while bids take from the book."""
    data = snapshot(book)
    commands = core_books.arriving_bids(book, SAMPLES, 24, 0)
    clock = time.perf_counter_ns
    runs: list[list[float]] = []
    for _ in range(RUNS):
        fresh = restore(data)
        calendar(fresh, fresh.hour, fresh.hour + CALENDAR_HOURS)
        samples: list[float] = []
        with one_core():
            for command in commands:
                execute(fresh, command)
                started = clock()
                calendar(fresh, fresh.hour, fresh.hour + CALENDAR_HOURS)
                samples.append((clock() - started) / 1_000)
        runs.append(samples)
    return runs


def _asks(book: OrderBook) -> list[list[float]]:
    return latencies(book, core_books.arriving_asks(book, SAMPLES))


SUBJECTS: Final = (
    Subject("bid_w24", "bid, 24 h", core_books.mixed_asks, lambda book: bid_latencies(book, 24, 0)),
    Subject("bid_w168", "bid, 168 h", core_books.mixed_asks, lambda book: bid_latencies(book, 168, 0)),
    Subject(
        "bid_flexible168",
        "bid, 24 h, 168 starts",
        core_books.mixed_asks,
        lambda book: bid_latencies(book, 24, 167),
    ),
    Subject("ask", "ask", core_books.mixed_bids, _asks),
    Subject("calendar", "calendar, 7 days", core_books.mixed_asks, calendar_latencies),
)


def measure() -> Iterator[BenchResult]:
    """Measure every subject at every size."""
    for subject in SUBJECTS:
        for size in SIZES:
            name = f"core.growth.{subject.name}.{size // 1000}k"
            progress(name)
            runs = subject.samples(subject.book(size))
            told = conditions(resting=size, samples=SAMPLES, seed=core_books.SEED)
            for metric, share in (("p50_us", 0.5), ("p99_us", 0.99)):
                yield result(name, metric, [percentile(run, share) for run in runs], "us", "lower", told)


def memory(size: int) -> Iterator[BenchResult]:
    """Measure the bytes that Python holds for each resting ask and bid."""
    told = conditions(resting=size, by="tracemalloc", seed=core_books.SEED)
    for metric, build in (("bytes_per_ask", core_books.mixed_asks), ("bytes_per_bid", core_books.mixed_bids)):
        runs: list[float] = []
        for _ in range(RUNS):
            tracemalloc.start()
            # Kept until its size has been read.
            book = build(size)
            runs.append(tracemalloc.get_traced_memory()[0] / len(book.orders))
            tracemalloc.stop()
        yield result("core.memory", metric, runs, "bytes", "lower", told)


def table(figures: list[BenchResult]) -> str:
    """Return the figures as a table in Markdown."""
    found = {(figure.bench, figure.metric): figure.value for figure in figures}
    lines = ["| p50, p99 in us | " + " | ".join(f"{size:,}" for size in SIZES) + " |", "|---|---|---|---|"]
    for subject in SUBJECTS:
        cells = []
        for size in SIZES:
            bench = f"core.growth.{subject.name}.{size // 1000}k"
            cells.append(f"{_shown(found[bench, 'p50_us'])}, {_shown(found[bench, 'p99_us'])}")
        lines.append(f"| {subject.title} | " + " | ".join(cells) + " |")
    for metric in ("bytes_per_ask", "bytes_per_bid"):
        cells = [
            f"{figure.value:,.0f}"
            for figure in figures
            if (figure.bench, figure.metric) == ("core.memory", metric)
        ]
        lines.append(f"| {metric.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def curves(figures: list[BenchResult]) -> list[Line]:
    """Return the figures as the lines of the picture."""
    found = {(figure.bench, figure.metric): figure.value for figure in figures}
    return [
        Line(
            subject.title,
            [found[f"core.growth.{subject.name}.{size // 1000}k", "p50_us"] for size in SIZES],
            [found[f"core.growth.{subject.name}.{size // 1000}k", "p99_us"] for size in SIZES],
        )
        for subject in SUBJECTS
    ]


def _shown(value_us: float) -> str:
    return f"{value_us:,.1f}" if value_us < 10 else f"{value_us:,.0f}"


def first_calendar_ms() -> float:
    """Return the milliseconds of a book's first calendar, which counts every ask, at the largest size."""
    data = snapshot(core_books.mixed_asks(SIZES[-1]))
    runs: list[float] = []
    for _ in range(RUNS):
        fresh = restore(data)
        with one_core():
            started = time.perf_counter()
            calendar(fresh, fresh.hour, fresh.hour + CALENDAR_HOURS)
            runs.append((time.perf_counter() - started) * 1_000)
    return median(runs)


def _memory_at_100k() -> Iterable[BenchResult]:
    return memory(SIZES[-1])


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"core.memory": _memory_at_100k}


def main() -> int:
    """Measure, print, and renew the table of README.md and growth.svg."""
    figures: list[BenchResult] = []
    for figure in measure():
        figures.append(figure)
        print(figure.line(), flush=True)
    for size in SIZES:
        progress(f"core.memory, {size:,} orders")
        for figure in memory(size):
            figures.append(figure)
            print(figure.line(), flush=True)
    progress(f"a book's first calendar at {SIZES[-1]:,} asks: {first_calendar_ms():.0f} ms")
    readme = FOLDER / "README.md"
    before, _, after = readme.read_text(encoding="utf-8").split(MARK)
    readme.write_text(f"{before}{MARK}{table(figures)}{MARK}{after}", encoding="utf-8")
    (FOLDER / "growth.svg").write_text(picture(SIZES, curves(figures)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
