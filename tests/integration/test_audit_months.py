"""Goal: every record lands in its month, whatever the clock does, and no partition can be changed.

Method: the real table and the function that makes its partitions; a clock driven by hand.
"""

import asyncio
import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.audit_months import AuditMonths, make_months, next_month_us
from exchange.kit.clock import ManualClock, datetime_of, us_of
from exchange.kit.database import Connection, Database, RefusedChange
from tests.e2e.served import eventually

LEAP_US = us_of(datetime(2031, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
MADE = [date(2031, 12, 1), date(2032, 1, 1), date(2032, 2, 1)]


async def _places(connection: Connection) -> dict[str, int]:
    """Return how many records each partition has."""
    rows = await connection.fetch(
        "SELECT tableoid::regclass::text AS name, count(*) FROM audit_record GROUP BY tableoid"
    )
    return {row["name"]: row["count"] for row in rows}


async def _partitions(connection: Connection) -> set[str]:
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_record'::regclass"
    )
    return {row["name"] for row in rows}


async def test_a_record_lands_in_its_month_and_else_in_the_one_for_the_rest(database: Database) -> None:
    times_us = [0, LEAP_US, LEAP_US + 1, next_month_us(LEAP_US + 1) - 1, 9_000_000_000_000_000]
    async with database.transaction() as connection:
        assert await make_months(connection, LEAP_US) == MADE
        await insert_audit_records(
            connection, [AuditRecord(code="NEWO", event_at_us=at_us) for at_us in times_us]
        )
    async with database.connection() as connection:
        found = await _places(connection)
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM audit_record ORDER BY event_at")]
    assert found == {"audit_record_other": 2, "audit_record_2031_12": 1, "audit_record_2032_01": 2}
    assert ids == sorted(set(ids))


async def test_a_month_is_made_once_however_many_ask(database: Database) -> None:
    async def ask() -> list[date]:
        async with database.transaction() as connection:
            return await make_months(connection, LEAP_US)

    made = await asyncio.gather(*(ask() for _ in range(4)))
    assert sorted(itertools.chain(*made)) == MADE
    assert await ask() == []


async def test_what_was_written_before_its_month_was_made_stays_and_is_found(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.transaction() as connection:
        await insert_audit_records(connection, [AuditRecord(code="NEWO", event_at_us=LEAP_US)])
    async with database.transaction() as connection:
        assert await make_months(connection, LEAP_US) == MADE[1:]
        assert await _places(connection) == {"audit_record_other": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "records of 2031-12 stay in audit_record_other"
    ]


@pytest.mark.parametrize("months", [0, 25, None])
async def test_a_senseless_number_of_months_is_refused(database: Database, months: int | None) -> None:
    with pytest.raises(Exception, match="from 1 to 24 months"):
        async with database.transaction() as connection:
            await connection.fetch("SELECT * FROM make_audit_months('2031-01-01', $1)", months)


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET code = 'XXXX'", "DELETE FROM {}", "TRUNCATE {}", "TRUNCATE audit_record"]
)
async def test_no_partition_ever_changes_not_even_by_a_superuser_that_switches_triggers_off(
    module_database_url: str, statement: str
) -> None:
    url = module_database_url.replace("//exchange@", "//postgres@")
    database = await Database.connect(url, connections_min=1)
    async with database.transaction() as connection:
        await make_months(connection, LEAP_US)
        parts = sorted(await _partitions(connection))
    assert {"audit_record_other", "audit_record_2031_12", "audit_record_2032_02"} <= set(parts)
    for part in parts:
        with pytest.raises(RefusedChange, match="insert-only"):
            async with database.transaction() as connection:
                await connection.execute("SET LOCAL session_replication_role = 'replica'")
                await connection.execute(statement.format(part))
    await database.close()


async def test_months_are_made_before_the_clock_gets_there(database: Database) -> None:
    clock = ManualClock(LEAP_US)
    months = AuditMonths(database, clock)
    months.start()

    async def partitions() -> set[str]:
        async with database.connection() as connection:
            return await _partitions(connection)

    try:
        await eventually(partitions, lambda found: "audit_record_2032_02" in found)
        clock.advance_to_us(next_month_us(next_month_us(LEAP_US)))
        found = await eventually(partitions, lambda found: "audit_record_2032_04" in found)
        assert {"audit_record_2032_02", "audit_record_2032_03"} <= found
    finally:
        await months.stop()


async def test_who_reads_the_rest_puts_a_month_off_and_nothing_fails(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    months = AuditMonths(database, ManualClock(LEAP_US))
    async with database.transaction() as reader:
        await reader.fetch("SELECT FROM audit_record_other")
        assert not await months.make()
    assert "not made yet" in caplog.text
    assert await months.make()


@given(st.integers(0, us_of(datetime(9998, 12, 31, tzinfo=UTC))))
def test_the_next_month_begins_at_the_first_midnight_on_a_first(at_us: int) -> None:
    day = (datetime_of(at_us) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    while day.day != 1:
        day += timedelta(days=1)
    assert next_month_us(at_us) == us_of(day)
