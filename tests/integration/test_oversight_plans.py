"""Goal: what is asked and what sums up reads few rows of a long record. Method: look at plans, not clocks.

A record of 40,000 rows over four months in the real table, most of them of others; the statements as they are
sent. Three of the months have partitions, the fourth is in the one for the rest.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from exchange.kit.audit_months import make_months
from exchange.kit.clock import US_PER_SECOND, us_of
from exchange.kit.database import Connection, Database, from_us
from exchange.oversight import store
from exchange.oversight.arguments import paging
from exchange.oversight.event_models import EventFilter
from exchange.oversight.models import TradeFilter
from tests.market_rows import Market, fill_market

STARTS_AT_US: Final = 1_790_000_000_000_000
RECORDS: Final = 40_000
RARE: Final = 7
SINCE: Final = from_us(STARTS_AT_US)
STEP_S: Final = 200
OCTOBER_US: Final = us_of(datetime(2026, 10, 1, tzinfo=UTC))
NOVEMBER_US: Final = us_of(datetime(2026, 11, 1, tzinfo=UTC))
IN_OCTOBER: Final = (OCTOBER_US - STARTS_AT_US) // US_PER_SECOND // STEP_S + 100


@pytest.fixture(scope="module")
async def market(module_database: Database) -> Market:
    async with module_database.transaction() as connection:
        market = await fill_market(connection, trades=20, seed=3, starts_at_us=STARTS_AT_US)
        assert len(await make_months(connection, STARTS_AT_US)) == 3
        await connection.execute(
            "INSERT INTO audit_record (code, event_at, participant_id, order_id, trade_id, subject_id)"
            " SELECT CASE WHEN n % 5000 = 0 THEN 'QURY' ELSE 'NEWO' END,"
            " TIMESTAMPTZ 'epoch' + $2 * INTERVAL '1 us' + n * $4 * INTERVAL '1 second',"
            " CASE WHEN n % 4000 = 0 THEN $3 ELSE 99 END, n, CASE WHEN n % 3 = 0 THEN n / 30 END, n"
            " FROM generate_series(1, $1::INTEGER) AS n",
            RECORDS,
            STARTS_AT_US,
            RARE,
            STEP_S,
        )
        await connection.execute("ANALYZE")
    return market


def read_through(plan: str) -> set[str]:
    """Return the audit record's partitions that a plan reads from end to end, but for those without a row."""
    return set(re.findall(r"Seq Scan on audit_record_(2026_(?:09|10|11)|other)", plan))


async def plan_of(
    database: Database,
    statement: str,
    *arguments: Any,
    plans: Callable[[Connection], Awaitable[None]] = store.plan_each_time,
) -> str:
    """Return how the database would carry a statement out."""
    async with database.transaction() as connection:
        await plans(connection)
        rows = await connection.fetch(f"EXPLAIN {statement}", *arguments)
    return "\n".join(row[0] for row in rows)


async def indexes_of(database: Database, plan: str) -> set[str]:
    """Return the audit record's indexes that a plan uses; each partition has its own part of one."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT inhrelid::regclass::text AS part, inhparent::regclass::text AS whole FROM pg_inherits"
            " WHERE inhparent::regclass::text LIKE 'audit_record_%'"
        )
    whole = {row["part"]: row["whole"] for row in rows}
    return {whole[name] for name in re.findall(r"\w+", plan) if name in whole}


def partitions_in(plan: str) -> set[str]:
    """Return the audit record's partitions that a plan reads."""
    return set(re.findall(r" on (audit_record_\w+)", plan)) - set(re.findall(r"Scan on (\w+_idx)", plan))


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(
    "wanted,index",
    [
        (EventFilter(), "audit_record_pkey"),
        (EventFilter(participant_id=RARE), "audit_record_of_participant"),
        (EventFilter(order_id=5), "audit_record_of_order"),
    ],
)
async def test_a_page_of_records_comes_from_an_index(
    module_database: Database, wanted: EventFilter, index: str
) -> None:
    arguments = (*store._narrowing_events(wanted), None, 101)
    for statement in (store.QUERIES.events_newest_first, store.QUERIES.events_oldest_first):
        plan = await plan_of(module_database, statement, *arguments)
        assert await indexes_of(module_database, plan) == {index}
        assert not read_through(plan)


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("participant_id", [None, RARE])
async def test_a_question_about_a_month_reads_that_month_only(
    module_database: Database, participant_id: int | None
) -> None:
    wanted = EventFilter(participant_id=participant_id, from_us=OCTOBER_US, until_us=NOVEMBER_US)
    for statement in (store.QUERIES.events_newest_first, store.QUERIES.events_oldest_first):
        plan = await plan_of(module_database, statement, *store._narrowing_events(wanted), None, 101)
        assert partitions_in(plan) == {"audit_record_2026_10"}
    plan = await plan_of(module_database, store.QUERIES.count_events, *store._narrowing_events(wanted))
    assert partitions_in(plan) == {"audit_record_2026_10"}


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("name", ["steps_of_order", "steps_of_trade"])
async def test_a_life_is_looked_for_from_its_month_on(module_database: Database, name: str) -> None:
    plan = await plan_of(module_database, getattr(store.QUERIES, name), IN_OCTOBER, from_us(NOVEMBER_US))
    assert partitions_in(plan) == {"audit_record_2026_11", "audit_record_other"}


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(
    "name,arguments,index",
    [
        ("steps_of_trade", (5, SINCE), "audit_record_of_trade"),
        ("steps_of_order", (5, SINCE), "audit_record_of_order"),
        ("questions", (None, 2**62, 101), "audit_record_question"),
    ],
)
async def test_what_is_asked_of_one_thing_comes_from_an_index(
    module_database: Database, name: str, arguments: tuple[Any, ...], index: str
) -> None:
    plan = await plan_of(module_database, getattr(store.QUERIES, name), *arguments)
    assert index in await indexes_of(module_database, plan)


@pytest.mark.usefixtures("market")
async def test_the_answers_of_questions_are_found_one_by_one(module_database: Database) -> None:
    plan = await plan_of(module_database, store.QUERIES.questions, None, 2**62, 101)
    assert "audit_record_answer" in await indexes_of(module_database, plan)
    assert not read_through(plan)


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("name", ["trades", "bids", "refusals", "programmes", "capacity"])
async def test_sums_read_the_transactions_that_are_added_only(module_database: Database, name: str) -> None:
    async with module_database.connection() as connection:
        last = int(await connection.fetchval("SELECT max(xact_id)::TEXT FROM audit_record"))
    statement = getattr(store.QUERIES, f"sum_{name}")
    plan = await plan_of(module_database, statement, str(last + 1), str(last + 50))
    assert "audit_record_of_transaction" in await indexes_of(module_database, plan)
    assert not read_through(plan)


@pytest.mark.usefixtures("market")
async def test_the_first_fill_of_a_bid_is_looked_for_among_its_own_trades(module_database: Database) -> None:
    """Also where the planner takes a bid to have many trades, of which it would soon meet one by time."""
    async with module_database.transaction() as connection:
        await connection.execute("""
            INSERT INTO trade
            SELECT id + n * 1000000, partition_id, sequence, product_id, bid_order_id, ask_order_id, buyer_id,
                provider_id, aggressor, quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen,
                voucher_fen, reimbursable_fen, programme_ids, fee_bps, traded_at
            FROM trade, generate_series(1, 200) AS n;
            ALTER TABLE trade ALTER COLUMN bid_order_id SET (n_distinct = 100);
            ANALYZE trade""")
    plan = await plan_of(module_database, store.QUERIES.sum_bids, "1", "2")
    assert "trade_of_bid" in plan
    assert "trade_by_time" not in plan


async def test_pages_come_from_an_index_in_order_however_long_the_history(
    module_database: Database, market: Market
) -> None:
    trade = market.trades[0]
    async with module_database.transaction() as connection:
        await connection.execute(
            "INSERT INTO trade SELECT id - n, partition_id, sequence + n, product_id, bid_order_id,"
            " ask_order_id, buyer_id, provider_id, aggressor, quantity_gpus, starts_hour, ends_hour,"
            " price_ticks, notional_fen, voucher_fen, reimbursable_fen, programme_ids, fee_bps,"
            " traded_at - n * INTERVAL '1 second'"
            " FROM trade, generate_series(10000000, 10030000) AS n WHERE trade.id = $1",
            trade.id,
        )
    async with module_database.connection() as connection:
        await connection.execute("ANALYZE trade")
    rare = next(each for each in market.buyers if each != trade.buyer_id)
    for wanted, index in (
        (TradeFilter(), "trade_by_time"),
        (TradeFilter(traded_from_us=STARTS_AT_US, aggressor=trade.aggressor), "trade_by_time"),
        (TradeFilter(buyer_id=rare), "trade_of_buyer"),
    ):
        for statement in (store.QUERIES.trade_ids_newest_first, store.QUERIES.trade_ids_oldest_first):
            plan = await plan_of(module_database, statement, *paging(wanted, None, 101))
            assert index in plan
            assert "Seq Scan on trade" not in plan
    # Of two parties both are looked for in the index, and no trade of either with others is read.
    other = next(each for each in market.providers if each != trade.provider_id)
    both = TradeFilter(buyer_id=trade.buyer_id, provider_id=other)
    plan = await plan_of(module_database, store.QUERIES.trade_ids_newest_first, *paging(both, None, 101))
    [condition] = [line for line in plan.splitlines() if "Index Cond" in line]
    assert "buyer_id = " in condition
    assert "provider_id = " in condition
    plan = await plan_of(module_database, store.QUERIES.trades_by_ids, [trade.id], plans=store.plan_once)
    assert "trade_pkey" in plan
    assert "Seq Scan on trade" not in plan
