"""The matching core: `core.*` of the benchmark list. Each function measures on one pinned core.

Throughput is `execute` (decide, apply, events built). Latency is one `execute` a sample,
`time.perf_counter_ns` around it. Books are rebuilt from their snapshot for each run, so that every run does
the same work.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from matching.book import OrderBook, apply
from matching.commands import CancelOrder, Command, PlaceOrder
from matching.engine import execute
from matching.events import Event
from matching.order import Ask
from matching.snapshot import restore, snapshot
from tests.benchmarks import core_books
from tests.benchmarks.result import BenchResult, conditions, one_core, percentile, progress, result

RUNS = 5
TAPE_COMMANDS = 200_000
STANDING = 100_000


def one_hour_shallow() -> Iterable[BenchResult]:
    """Run the one-hour tape on an empty book."""
    return _one_hour("core.one_hour.shallow", 0)


def one_hour_deep() -> Iterable[BenchResult]:
    """Run the one-hour tape on 100,000 standing orders."""
    return _one_hour("core.one_hour.deep100k", STANDING)


def bid_on_asks(hours: int, asks: int) -> Callable[[], Iterable[BenchResult]]:
    """Make a benchmark of fixed bids; at 100,000 asks its baseline is the figure at 10,000."""

    def bench() -> Iterable[BenchResult]:
        name = f"core.bid.w{hours}.asks{asks // 1000}k"
        book = core_books.mixed_asks(asks)
        baseline = None
        if asks > 10_000:
            baseline = bid_latencies(core_books.mixed_asks(10_000), hours, 0)
        yield from _latency(name, bid_latencies(book, hours, 0), baseline, asks=asks, hours=hours)
        if hours == 24:
            sold_out = core_books.sold_out_asks(asks, 40)
            commands = core_books.bids_for_day(sold_out, 20, 40)
            runs = latencies(sold_out, commands)
            told = conditions(asks=asks, sold_out=0.9995, bids=len(commands), seed=core_books.SEED)
            yield result(name, "sold_out_p50_us", [percentile(run, 0.5) for run in runs], "us", "lower", told)

    return bench


def bid_flexible() -> Iterable[BenchResult]:
    """Bids of 24 hours with 168 candidate starts; the baseline is the fixed bid."""
    book = core_books.mixed_asks(10_000)
    baseline = bid_latencies(book, 24, 0)
    runs = bid_latencies(book, 24, 167)
    return _latency("core.bid.flexible168.asks10k", runs, baseline, asks=10_000, hours=24, starts=168)


def ask_on_bids() -> Iterable[BenchResult]:
    """Arriving asks against resting bids."""
    book = core_books.mixed_bids(10_000)
    runs = latencies(book, core_books.arriving_asks(book, 2_000))
    return _latency("core.ask.bids10k", runs, None, bids=10_000)


def snapshot_100k() -> Iterable[BenchResult]:
    """Snapshot and restore of 100,000 resting asks."""
    book = core_books.mixed_asks(STANDING)
    runs: list[float] = []
    size = 0
    with one_core():
        for _ in range(RUNS):
            started = time.perf_counter()
            data = snapshot(book)
            restore(data)
            runs.append(time.perf_counter() - started)
            size = len(data)
    told = conditions(asks=STANDING, bytes=size, seed=core_books.SEED)
    return [result("core.snapshot100k", "seconds", runs, "s", "lower", told)]


def replay() -> Iterable[BenchResult]:
    """Apply the events of the one-hour tape to a fresh book."""
    tape = core_books.one_hour_tape(0, TAPE_COMMANDS)
    book = _fresh()
    events: list[Event] = []
    for command in tape.commands:
        events.extend(execute(book, command))
    runs: list[float] = []
    for _ in range(RUNS):
        replayed = _fresh()
        with one_core():
            started = time.perf_counter()
            for event in events:
                apply(replayed, event)
            runs.append(len(events) / (time.perf_counter() - started))
        if snapshot(replayed) != snapshot(book):
            raise AssertionError("the replayed book is another one")
    told = conditions(events=len(events), seed=core_books.SEED)
    return [result("core.replay", "events_per_s", runs, "1/s", "higher", told)]


def _one_hour(name: str, standing: int) -> Iterable[BenchResult]:
    progress(f"{name}: building the tape")
    tape = core_books.one_hour_tape(standing, TAPE_COMMANDS)
    standing_book = _fresh()
    for command in tape.preload:
        execute(standing_book, command)
    data = snapshot(standing_book)
    runs: list[float] = []
    for _ in range(RUNS):
        book = restore(data)
        with one_core():
            started = time.perf_counter()
            for command in tape.commands:
                execute(book, command)
            runs.append(len(tape.commands) / (time.perf_counter() - started))
    told = conditions(commands=len(tape.commands), standing=standing, seed=core_books.SEED)
    return [result(name, "commands_per_s", runs, "1/s", "higher", told, _peer(tape))]


def _peer(tape: core_books.Tape) -> float | None:
    """Return commands a second of lightmatchingengine on the same tape, or None where it is not installed."""
    try:
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side  # noqa: PLC0415
    except ImportError:
        return None
    engine = LightMatchingEngine()
    ids: dict[int, int] = {}
    product = core_books.PRODUCT.id

    def feed(commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, PlaceOrder):
                order = command.order
                if isinstance(order, Ask):
                    placed, _ = engine.add_order(product, order.price_ticks, order.quantity_gpus, Side.SELL)
                else:
                    placed, _ = engine.add_order(product, order.limit_ticks, order.quantity_gpus, Side.BUY)
                ids[order.order_id] = placed.order_id
            elif isinstance(command, CancelOrder):
                engine.cancel_order(ids[command.order_id], product)

    progress("lightmatchingengine on the same tape")
    feed(tape.preload)
    # One run on a part of the tape: at 100,000 standing orders it searches its price levels for every order.
    part = tape.commands[: 10_000 if tape.preload else 50_000]
    with one_core():
        started = time.perf_counter()
        feed(part)
        return len(part) / (time.perf_counter() - started)


def _fresh() -> OrderBook:
    return OrderBook(core_books.PRODUCT, core_books.HOUR)


def bid_latencies(book: OrderBook, hours: int, slack: int) -> list[list[float]]:
    """Return the microseconds of 2,000 bids with `slack` + 1 starts in each run."""
    return latencies(book, core_books.arriving_bids(book, 2_000, hours, slack))


def latencies(book: OrderBook, commands: list[Command]) -> list[list[float]]:
    """Return the microseconds of each command in each run, every run from the same book."""
    data = snapshot(book)
    runs: list[list[float]] = []
    clock = time.perf_counter_ns
    for _ in range(RUNS):
        fresh = restore(data)
        samples: list[float] = []
        with one_core():
            for command in commands:
                started = clock()
                execute(fresh, command)
                samples.append((clock() - started) / 1_000)
        runs.append(samples)
    return runs


def _latency(
    name: str, runs: list[list[float]], baseline: list[list[float]] | None, **more: Any
) -> Iterable[BenchResult]:
    told = conditions(samples=len(runs[0]), seed=core_books.SEED, **more)
    for metric, share in (("p50_us", 0.5), ("p99_us", 0.99)):
        base = None if baseline is None else sorted(percentile(run, share) for run in baseline)[RUNS // 2]
        yield result(name, metric, [percentile(run, share) for run in runs], "us", "lower", told, base)


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {
    "core.one_hour.shallow": one_hour_shallow,
    "core.one_hour.deep100k": one_hour_deep,
    "core.bid.w24.asks10k": bid_on_asks(24, 10_000),
    "core.bid.w168.asks10k": bid_on_asks(168, 10_000),
    "core.bid.w24.asks100k": bid_on_asks(24, 100_000),
    "core.bid.w168.asks100k": bid_on_asks(168, 100_000),
    "core.bid.flexible168.asks10k": bid_flexible,
    "core.ask.bids10k": ask_on_bids,
    "core.snapshot100k": snapshot_100k,
    "core.replay": replay,
}
