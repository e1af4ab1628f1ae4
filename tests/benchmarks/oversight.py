"""What a regulator waits for: `oversight.query10m` and `oversight.export1m`.

Trades are put into the real tables by SQL, ten million of them over a year, between 400 companies in 50
products; a third has a programme. A page is asked for over the service, with the filters of `QUESTIONS` in
turn; the export runs in a process of its own, whose memory is looked at as it goes.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate
from exchange.kit.queries import parse_queries
from exchange.oversight.export import FileForm
from exchange.oversight.listing import TRADES
from exchange.oversight.models import ExportFormat, RowOrder, TradeFilter
from exchange.oversight.service import OversightService
from tests.benchmarks.result import BenchResult, conditions, percentile, progress, result
from tests.market_rows import Market, fill_market

STARTS_AT_US: Final = 1_790_000_000_000_000
QUERIED: Final = 10_000_000
EXPORTED: Final = 1_000_000
PARTIES: Final = 200
ROUNDS: Final = 40
RUNS: Final = 3
PAGE_ROWS: Final = 100
SOURCE: Final = Path(__file__).with_name("oversight_trades.sql")
_MEMORY: Final = "VmRSS:"


async def make_trades(url: str, trades: int) -> Market:
    """Fill an empty database with so many trades of one year."""
    await migrate(url)
    made = parse_queries(SOURCE.name, SOURCE.read_text(encoding="utf-8"))
    database = await Database.connect(url, connections_min=1)
    step_us = 365 * US_PER_DAY // trades
    try:
        async with database.transaction() as connection:
            market = await fill_market(connection, trades=1, seed=1, starts_at_us=STARTS_AT_US)
            await connection.execute(made.make_parties, PARTIES)
            await connection.execute(made.make_orders, PARTIES)
        for first in range(1, trades + 1, 500_000):
            last = min(first + 499_999, trades)
            facts = (PARTIES, market.programmes[0], STARTS_AT_US, step_us, first, last)
            async with database.transaction() as connection:
                await connection.execute(made.make_trades, *facts)
            progress(f"oversight: {last:,} trades made")
        async with database.connection() as connection:
            # What the server does by itself a while after so much was written.
            await connection.execute("VACUUM (ANALYZE)")
    finally:
        await database.close()
    return market


def _questions(market: Market, number: int) -> dict[str, TradeFilter]:
    """Return what is asked, of another party, product and time each round."""
    buyer, provider = 1_000_001 + number * 13 % PARTIES, 2_000_001 + number * 17 % PARTIES
    from_us = STARTS_AT_US + number % 300 * US_PER_DAY
    week = TradeFilter(traded_from_us=from_us, traded_until_us=from_us + 7 * US_PER_DAY)
    return {
        "latest": TradeFilter(),
        "buyer over a year": TradeFilter(buyer_id=buyer),
        "either side over a year": TradeFilter(participant_id=provider),
        "product in a week": replace(week, product_ids=(market.products[number % 6],)),
        "buyer and provider": TradeFilter(buyer_id=buyer, provider_id=provider),
        "programme in a week": replace(week, programme_id=market.programmes[0]),
        "prices in a week": replace(week, price_ticks_min=950, price_ticks_max=960),
        "cash buyer": TradeFilter(buyer_id=buyer, is_voucher_funded=False),
    }


def query10m(trades: int = QUERIED) -> Iterable[BenchResult]:
    """Ask for pages of 100 trades by eight kinds of filter."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        market = asyncio.run(make_trades(server.url, trades))
        took_ms = asyncio.run(_ask(server.url, market))
    everything = [each for times in took_ms.values() for each in times]
    told = conditions(
        trades=trades,
        page_rows=PAGE_ROWS,
        questions={name: f"p50 {percentile(times, 0.5):.1f} ms" for name, times in took_ms.items()},
        postgresql="embedded, fsync on, not pinned",
    )
    del told["pinned_to"]
    for metric, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        yield result("oversight.query10m", metric, [percentile(everything, share)], "ms", "lower", told)


async def _ask(url: str, market: Market) -> dict[str, list[float]]:
    database = await Database.connect(url, connections_min=1, connections_max=2)
    service = OversightService(reads=database)
    took_ms: dict[str, list[float]] = {}
    try:
        for number in range(ROUNDS):
            for name, wanted in _questions(market, number).items():
                begun = time.perf_counter()
                await service.page(TRADES, wanted, RowOrder.NEWEST_FIRST, None, PAGE_ROWS)
                if number:  # the first one prepares
                    took_ms.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
    finally:
        await database.close()
    return took_ms


def export1m(trades: int = EXPORTED) -> Iterable[BenchResult]:
    """Export a million trades in each form, in a process whose memory is watched."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        asyncio.run(make_trades(server.url, trades))
        for file_format in ExportFormat:
            runs = [_export(server.url, file_format) for _ in range(RUNS)]
            told = conditions(trades=trades + 1, format=file_format, postgresql="embedded, not pinned")
            del told["pinned_to"]
            for metric, unit, better in (("rows_per_s", "1/s", "higher"), ("rss_growth_mib", "MiB", "lower")):
                figures = [run[metric] for run in runs]
                yield result("oversight.export1m", metric, figures, unit, better, told)  # type: ignore[arg-type]  # one of two


def _export(url: str, file_format: ExportFormat) -> dict[str, Any]:
    said = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.oversight", url, file_format],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    told: dict[str, Any] = msgspec.json.decode(said.stdout)
    return told


def _rss_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(_MEMORY))
    return int(line.split()[1]) / 1024


async def _export_here(url: str, file_format: ExportFormat) -> dict[str, float]:
    """Export everything, throw it away, and tell how it went."""
    database = await Database.connect(url, connections_min=1, connections_max=1)
    service = OversightService(reads=database)
    before_mib = highest_mib = _rss_mib()
    begun = time.perf_counter()
    form = FileForm("trades", file_format, is_zipped=False)
    export = await service.export(TRADES, TradeFilter(), RowOrder.OLDEST_FIRST, form)
    async for number, _ in _numbered(export.chunks):
        if number % 50 == 0:
            highest_mib = max(highest_mib, _rss_mib())
    took_s = time.perf_counter() - begun
    await database.close()
    return {"rows_per_s": export.rows / took_s, "rss_growth_mib": max(highest_mib, _rss_mib()) - before_mib}


async def _numbered(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    number = 0
    async for chunk in chunks:
        yield number, chunk
        number += 1


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {
    "oversight.query10m": query10m,
    "oversight.export1m": export1m,
}

if __name__ == "__main__":
    outcome = asyncio.run(_export_here(sys.argv[1], ExportFormat(sys.argv[2])))
    print(msgspec.json.encode(outcome).decode())
