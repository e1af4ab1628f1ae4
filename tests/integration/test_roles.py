"""Goal: the service's role can do its work, and cannot change what happened. Method: run docker/roles.sql.

The roles are made as an installation makes them: before the migrations, which their owner runs, and again
after.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.clock import US_PER_HOUR
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate
from exchange.kit.postgres_files import binaries_folder
from exchange.ledger.service import check
from tests.e2e.served import NOW_US, served
from tests.e2e.stage import staged

ROLES = Path(__file__).parents[2] / "docker" / "roles.sql"
PASSWORDS = {"OWNER_PASSWORD": "o'wner", "APP_PASSWORD": "app", "AUDITOR_PASSWORD": "auditor"}
COLUMN_OF = {
    "journal": "command",
    "ledger_transfer": "amount_fen",
    "trade": "price_ticks",
    "outage": "reason",
    "programme_version": "rules",
    "programme_step": "reason",
    "voucher_step": "reason",
    "application_step": "reason",
    "claim_step": "reason",
    "claim_draw": "drawn_number",
    "claim_evidence": "name",
    "list_price": "price_ticks",
    "audit_record": "code",
}
INSERT_ONLY = set(COLUMN_OF)


def _grant(url: str) -> None:
    said = subprocess.run(
        [binaries_folder() / "psql", "--no-psqlrc", "--quiet", f"--file={ROLES}", _as(url, "postgres")],
        env={**os.environ, **PASSWORDS},
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stderr) == (0, "")


def _as(url: str, role: str) -> str:
    return url.replace("//exchange@", f"//{role}@")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Give this module a server of its own: roles are the server's, not a database's."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("roles")) as started:
        yield started


@pytest.fixture(scope="module")
async def url(server: EmbeddedPostgres) -> str:
    _grant(server.url)
    assert await migrate(_as(server.url, "exchange_owner"))
    _grant(server.url)
    _grant(server.url)
    return server.url


async def _refused(url: str, role: str, statement: str) -> bool:
    database = await Database.connect(_as(url, role), connections_min=1)
    try:
        async with database.connection() as connection:
            await connection.execute(statement)
    except Exception as error:  # noqa: BLE001 - told apart by its name
        return type(error).__name__ in {"InsufficientPrivilegeError", "ReadOnlySQLTransactionError"}
    finally:
        await database.close()
    return False


async def test_the_service_may_do_its_work(url: str) -> None:
    assert await migrate(_as(url, "exchange_app")) == []
    database = await Database.connect(_as(url, "exchange_app"), connections_min=1)
    async with database.transaction() as connection:
        await insert_audit_records(connection, [AuditRecord(code="NEWO", event_at_us=0)])
    async with database.connection() as connection:
        await connection.execute("UPDATE participant SET name = name")
    await database.close()


async def test_the_whole_exchange_runs_as_the_service(url: str, tmp_path: Path) -> None:
    """From registering to the paid claim and a second start; a right that is lacking would be a failure."""
    async with staged(_as(url, "exchange_app"), tmp_path) as stage:
        cast, ids = stage.cast, stage.ids
        await cast.issuer.post(f"/v1/claims/{ids['claim_id']}/approve", status=200)
        paid = await cast.issuer.post(f"/v1/claims/{ids['claim_id']}/pay", status=200)
        assert paid["status"] == "paid"
        application = f"/v1/applications/{ids['application_id']}"
        scored = await cast.issuer.post(f"{application}/score", {"score": 1, "reason": "read"}, 200)
        path = f"/v1/programmes/{scored['programme_id']}/allocation"
        [granted] = (await cast.issuer.post(path, status=200))["data"]
        assert granted["status"] == "approved"
        outage = {"hours": [stage.hour(6)], "reason": "fire"}
        await cast.provider.post(f"/v1/leases/{ids['lease_id']}/outages", outage)
        assert (await cast.buyer.send("DELETE", f"/v1/orders/{ids['order_id']}")).status_code == 200
        await cast.regulator.get("/v1/oversight/trades")
        assert (await cast.buyer.send("DELETE", f"/v1/keys/{ids['key_id']}")).status_code in {200, 204}
        async with stage.house.exchange.database.transaction() as connection:
            assert await connection.fetchval("SELECT current_user") == "exchange_app"
            assert await check(connection) == []
    async with served(_as(url, "exchange_app"), tmp_path, NOW_US + 9 * US_PER_HOUR) as house:
        assert (await house.operator.get("/v1/participants"))["data"]


async def test_every_table_is_insert_only_by_trigger_and_by_grant_or_by_neither(url: str) -> None:
    database = await Database.connect(url, connections_min=1)
    async with database.connection() as connection:
        rows = await connection.fetch("""
            SELECT relname,
                EXISTS (
                    SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgfoid = 'refuse_change'::regproc
                ) AS guarded,
                has_table_privilege('exchange_app', c.oid, 'SELECT') AS reads,
                has_table_privilege('exchange_app', c.oid, 'INSERT') AS inserts,
                has_table_privilege('exchange_app', c.oid, 'UPDATE, TRUNCATE, TRIGGER') AS changes,
                has_table_privilege('exchange_app', c.oid, 'DELETE') AS deletes,
                pg_get_userbyid(relowner) AS owner
            FROM pg_class AS c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace""")
    await database.close()
    tables = {row["relname"]: row for row in rows}
    assert {name for name, row in tables.items() if row["guarded"]} == INSERT_ONLY
    assert {name for name, row in tables.items() if not row["changes"]} == INSERT_ONLY | {
        "ask_load",  # kept by a trigger, as its owner
        "ledger_account",  # its balances likewise
        "programme_use",  # likewise
        "schema_migration",
    }
    assert {name for name, row in tables.items() if row["deletes"]} == set()
    assert {name for name, row in tables.items() if not row["inserts"]} == {
        "ask_load",
        "programme_use",
        "schema_migration",
    }
    assert all(row["reads"] for row in rows)
    assert {row["owner"] for row in rows} == {"exchange_owner"}


@pytest.mark.parametrize("table", sorted(INSERT_ONLY))
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_service_cannot_change_what_happened(url: str, table: str, statement: str) -> None:
    assert await _refused(url, "exchange_app", statement.format(table, COLUMN_OF[table]))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE journal DISABLE TRIGGER journal_insert_only",
        "DROP TRIGGER journal_insert_only ON journal",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE sql AS ''",
        "SET session_replication_role = 'replica'",
        "CREATE TABLE mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "DELETE FROM ledger_account",
        "UPDATE ledger_account SET credits_posted_fen = credits_posted_fen + 1",
        "UPDATE ledger_account SET allows_overdraft = TRUE",
        "UPDATE programme_use SET used_fen = 0",
        "INSERT INTO programme_use VALUES (1, 1, 1, 0, 1)",
        "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, 'x', 'x')",
        "SET ROLE exchange_owner",
    ],
)
async def test_the_service_cannot_get_around_it(url: str, statement: str) -> None:
    assert await _refused(url, "exchange_app", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM api_key",
        "SELECT * FROM idempotency_record",
        "INSERT INTO outage SELECT * FROM outage",
        "SET default_transaction_read_only = off; UPDATE participant SET name = name",
    ],
)
async def test_the_auditor_only_reads_and_sees_no_keys(url: str, statement: str) -> None:
    assert await _refused(url, "exchange_auditor", statement)
    assert not await _refused(url, "exchange_auditor", "SELECT * FROM audit_record")


async def test_the_auditor_can_check_the_books(url: str) -> None:
    database = await Database.connect(_as(url, "exchange_auditor"), connections_min=1)
    async with database.connection() as connection:
        assert await check(connection) == []
    await database.close()
