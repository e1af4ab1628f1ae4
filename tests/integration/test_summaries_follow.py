"""Goal: every record counts once, however commits and stops fall.

Method: trades in the real tables, with a record each as the order path writes it, in transactions that are
held open, undone, or followed by several at once, of which some fail; the sums come to all that is committed.
"""

import asyncio
from collections.abc import Sequence

import pytest

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.database import Connection, Database
from exchange.oversight import store, summaries
from exchange.oversight.summaries import Summaries
from tests.market_rows import Market, TradeFacts, fill_market

STARTS_AT_US = 1_790_000_000_000_000
DEADLINE_S = 60.0


@pytest.fixture
async def market(database: Database) -> Market:
    async with database.transaction() as connection:
        return await fill_market(connection, trades=40, seed=5, starts_at_us=STARTS_AT_US)


async def record(connection: Connection, trades: Sequence[TradeFacts]) -> None:
    """Write the records of some trades, of both their orders."""
    await insert_audit_records(
        connection,
        [
            AuditRecord(
                code="PARF",
                event_at_us=trade.traded_at_us,
                order_id=order_id,
                trade_id=trade.id,
                product_id=trade.product_id,
            )
            for trade in trades
            for order_id in (trade.bid_order_id, trade.ask_order_id)
        ],
    )


async def counted(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT coalesce(sum(trades), 0) FROM report_trade"))


async def follow(database: Database, records_max: int = 3) -> None:
    while await Summaries(database, records_max=records_max).turn():
        pass


async def test_what_commits_late_is_counted_too(database: Database, market: Market) -> None:
    early, late, last = market.trades[:10], market.trades[10:20], market.trades[20:]
    async with database.transaction() as slow:
        await record(slow, late)
        async with database.transaction() as connection:
            await record(connection, early)
        # Its numbers are higher than those that are still to be committed: nothing is passed over.
        await follow(database)
        assert await counted(database) == 0
    await follow(database)
    assert await counted(database) == 20
    async with database.transaction() as connection:
        await record(connection, last)
    await follow(database)
    assert await counted(database) == 40


async def test_what_is_undone_holds_nothing_up(database: Database, market: Market) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await record(connection, market.trades[:5])
            raise ZeroDivisionError
    async with database.transaction() as connection:
        await record(connection, market.trades[5:])
    await follow(database)
    assert await counted(database) == 35


async def test_a_follower_that_fails_in_the_middle_leaves_nothing_half_done(
    database: Database, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as connection:
        await record(connection, market.trades)
    for failing in range(1, len(summaries.CUBES)):

        async def fails(_connection: Connection, _from: str, _until: str) -> None:
            raise ZeroDivisionError

        broken = list(summaries.CUBES)
        broken[failing] = summaries.Cube(
            "fails", fails, store.clear_bids, store.all_bids, summaries.CUBES[failing].keys
        )
        with monkeypatch.context() as patch:
            patch.setattr(summaries, "CUBES", broken)
            with pytest.raises(ZeroDivisionError):
                await Summaries(database).turn()
        assert await counted(database) == 0
    await follow(database)
    assert await counted(database) == 40


async def test_many_followers_count_once(database: Database, market: Market) -> None:
    for first in range(0, 40, 4):
        async with database.transaction() as connection:
            await record(connection, market.trades[first : first + 4])
    async with asyncio.timeout(DEADLINE_S):
        while await counted(database) < 40:
            await asyncio.gather(*(Summaries(database, records_max=5).turn() for _ in range(5)))
    assert not any([await Summaries(database).turn() for _ in range(3)])
    assert await counted(database) == 40


async def test_nothing_is_written_while_nothing_happens(database: Database, market: Market) -> None:
    assert market.trades
    async with database.connection() as connection:
        before = await connection.fetchval("SELECT xmin::TEXT FROM report_position")
        await Summaries(database).turn()
        assert await connection.fetchval("SELECT xmin::TEXT FROM report_position") == before
