"""The check of the books: `ledger.check1m`, as `exchange ledger check` does it, from start to exit."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from exchange.kit.clock import hour_of
from exchange.kit.database import Database, from_us
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.ids import new_id
from exchange.kit.migrate import migrate
from exchange.kit.queries import parse_queries
from exchange.participants.models import ParticipantKind
from exchange.products.service import seed_catalogue
from tests.benchmarks.result import BenchResult, conditions, progress, result
from tests.market_rows import insert_order
from tests.voucher_world import NOW_US, VoucherWorld

BUYERS: Final = 1_000
ORDERS: Final = 124_750
"""Eight transfers each, two for each buyer and one for the budget: a million and one."""
RUNS: Final = 5
MEANS_FEN: Final = 10**8
ASK_GPUS: Final = 10**8
PRODUCT: Final = "nvidia-t4.zhangjiakou.pcie3"
SOURCE: Final = Path(__file__).with_name("ledger_books.sql")


async def make_books(url: str, *, orders: int, buyers: int = BUYERS) -> int:
    """Fill an empty database with so many settled orders; return how many transfers that took."""
    await migrate(url)
    made = parse_queries(SOURCE.name, SOURCE.read_text(encoding="utf-8"))
    database = await Database.connect(url, connections_min=1)
    try:
        world = VoucherWorld(database)
        issuer = await world.join(ParticipantKind.ISSUER)
        provider = (await world.join(ParticipantKind.PROVIDER)).participant_id
        budget_fen = (
            buyers * MEANS_FEN + 1
        )  # all issued would be a step of the programme, which is not made here
        programme = await world.programme(
            issuer, await world.join(ParticipantKind.PROVIDER), budget_fen=budget_fen
        )
        hour = hour_of(NOW_US) + 1
        async with database.transaction() as connection:
            await seed_catalogue(connection)
            ask_id = await insert_order(
                connection,
                provider,
                product_id=PRODUCT,
                side="sell",
                starts_hour=hour,
                ends_hour=hour + 1,
                quantity_gpus=ASK_GPUS,
            )
            at = from_us(NOW_US)
            await connection.execute(
                made.note_facts, programme.id, provider, ask_id, at, hour, new_id(), MEANS_FEN
            )
            await connection.execute(made.make_buyers, buyers)
            for statement in (made.make_accounts, made.make_vouchers, made.count_issued, made.give_means):
                await connection.execute(statement)
            await connection.execute(made.plan_orders, orders)
            await connection.execute(made.make_orders)
            await connection.execute(made.make_transfers)
        async with database.connection() as connection:
            # What the server does by itself a while after so much was written.
            await connection.execute("VACUUM (ANALYZE)")
            return int(await connection.fetchval("SELECT count(*) FROM ledger_transfer"))
    finally:
        await database.close()


def check1m() -> Iterable[BenchResult]:
    """Check a million transfers with all that stands behind them."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        started = time.perf_counter()
        transfers = asyncio.run(make_books(server.url, orders=ORDERS))
        took_s = time.perf_counter() - started
        progress(f"ledger.check1m: {transfers:,} transfers made in {took_s:.0f} s")
        checks = [_check(server.url) for _ in range(RUNS)]
    told = conditions(
        transfers=transfers,
        orders=ORDERS,
        accounts=4 * BUYERS + 8,
        postgresql="embedded, fsync on, not pinned",
        rss_max_mib=max(rss_mib for _, rss_mib in checks),
    )
    del told["pinned_to"]
    return [result("ledger.check1m", "seconds", [took_s for took_s, _ in checks], "s", "lower", told)]


def _check(url: str) -> tuple[float, int]:
    """Run the command once, its bar on our standard error; return its seconds and the MiB it had at most.

    Books in disorder are a failure.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "exchange", "ledger", "check", "--database-url", url],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None:
            raise AssertionError("standard output is a pipe")
        answer = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if (process.returncode, answer) != (0, "the books are exact\n"):
        raise AssertionError(answer)
    return took_s, used.ru_maxrss // 1024


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"ledger.check1m": check1m}
