"""Goal: steps are written in order and whole, and never change. Method: the real table and its trigger."""

import json

import pytest

from exchange.kit.audit import COLUMNS, AuditRecord, insert_audit_records
from exchange.kit.clock import us_of_hour
from exchange.kit.database import Database, RefusedChange, to_us

FULL = AuditRecord(
    code="FILL",
    event_at_us=us_of_hour(500_000) + 1,
    received_at_us=us_of_hour(500_000),
    partition_id=1,
    sequence=7,
    event_index=2,
    actor_participant_id=3,
    key_id=4,
    participant_id=5,
    trade_group_id=6,
    product_id="p",
    order_id=8,
    trade_id=9,
    subject_id=10,
    detail={"price_ticks": 1235, "note": "\u7b97\u529b\u5238"},
)


async def test_records_are_written_in_order_and_whole(database: Database) -> None:
    async with database.transaction() as connection:
        await insert_audit_records(connection, [])
        await insert_audit_records(connection, [FULL, AuditRecord(code="NEWO", event_at_us=0)])
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM audit_record ORDER BY id")
    first, second = (dict(row) for row in rows)
    assert json.loads(first.pop("detail")) == FULL.detail
    assert to_us(first.pop("event_at")) == FULL.event_at_us
    assert to_us(first.pop("received_at")) == FULL.received_at_us
    assert first.pop("id") < second["id"]
    assert first.pop("xact_id") == second["xact_id"]
    assert first == {name: getattr(FULL, name) for name in first}
    assert second["code"] == "NEWO"
    assert second["detail"] == "{}"
    assert second["order_id"] is None
    assert second["received_at"] is None


async def test_the_columns_are_listed_as_the_table_has_them(database: Database) -> None:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute"
            " WHERE attrelid = 'audit_record'::regclass AND attnum > 0 ORDER BY attnum"
        )
    names = {"timestamptz": "timestamp with time zone"}
    assert {row["attname"]: row["type"] for row in rows} == {
        name: names.get(type_, type_) for name, type_ in COLUMNS.items()
    }
    assert list(COLUMNS) == [row["attname"] for row in rows]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_record SET code = 'XXXX'",
        "DELETE FROM audit_record",
        "TRUNCATE audit_record",
    ],
)
@pytest.mark.parametrize("as_replica", [False, True])
async def test_a_record_never_changes_not_even_by_a_superuser_that_switches_triggers_off(
    database_url: str,
    statement: str,
    as_replica: bool,  # noqa: FBT001 - a case
) -> None:
    database = await Database.connect(database_url.replace("//exchange@", "//postgres@"), connections_min=1)
    async with database.transaction() as connection:
        await insert_audit_records(connection, [FULL])
    with pytest.raises(RefusedChange, match="insert-only"):
        async with database.transaction() as connection:
            if as_replica:
                await connection.execute("SET LOCAL session_replication_role = 'replica'")
            await connection.execute(statement)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT code FROM audit_record") == "FILL"
    await database.close()
