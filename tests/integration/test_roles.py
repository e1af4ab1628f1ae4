"""Goal: the service's role can do its work, and cannot change what happened. Method: run docker/roles.sql.

The roles are made as an installation makes them: before the migrations, which their owner runs, and again
after.
"""

import asyncio
import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.app import Exchange
from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit import nonces
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.audit_months import MONTHS, make_months
from exchange.kit.clock import US_PER_HOUR, ManualClock
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate
from exchange.kit.notices import Notices
from exchange.kit.postgres_files import binaries_folder
from exchange.kit.settings import Settings
from exchange.kit.signatures import Signature
from exchange.ledger.service import check
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.keys import begin
from exchange.transparency.sealer import Sealer
from tests.e2e.served import NOW_US, Caller, eventually, served
from tests.e2e.stage import PRODUCT, Stage, set_scene, staged
from tests.signers import KEY_ID, head_with, signed

ROLES = Path(__file__).parents[2] / "docker" / "roles.sql"
PASSWORDS = {
    "OWNER_PASSWORD": "o'wner",
    "APP_PASSWORD": "app",
    "ENGINE_PASSWORD": "engine",
    "GATEWAY_PASSWORD": "gateway",
    "AUDITOR_PASSWORD": "auditor",
    "BACKUP_PASSWORD": "backup",
}
INSERT_ONLY = {
    "alert_rules",
    "alert_step",
    "application_step",
    "audit_block",
    "audit_key",
    "audit_record",
    "book_history",
    "book_mark",
    "claim_draw",
    "claim_evidence",
    "claim_step",
    "journal",
    "ledger_transfer",
    "list_price",
    "outage",
    "partition_term",
    "programme_step",
    "programme_version",
    "trade",
    "voucher_step",
}


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
    # It logs as compose has it.
    with EmbeddedPostgres(tmp_path_factory.mktemp("roles"), {"log_statement": "ddl"}) as started:
        yield started


@pytest.fixture(scope="module")
async def url(server: EmbeddedPostgres) -> str:
    _grant(server.url)
    assert await migrate(_as(server.url, "exchange_owner"))
    _grant(server.url)
    database = await Database.connect(_as(server.url, "exchange_app"), connections_min=1)
    async with database.transaction() as connection:
        await make_months(connection, NOW_US)
    await database.close()
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


async def test_the_log_has_what_people_did_and_no_password(url: str, server: EmbeddedPostgres) -> None:
    assert not await _refused(url, "exchange_auditor", "SELECT 'looked into'")
    log = server.log_path.read_text(encoding="utf-8")
    assert "exchange_auditor@exchange compute-exchange LOG:  statement: SELECT 'looked into'" in log
    assert re.search(r"exchange_owner@exchange .*statement: .*CREATE TABLE schema_migration", log, re.DOTALL)
    assert "PASSWORD" not in log


async def test_the_service_may_do_its_work(url: str) -> None:
    assert await migrate(_as(url, "exchange_app")) == []
    database = await Database.connect(_as(url, "exchange_app"), connections_min=1)
    async with database.transaction() as connection:
        await insert_audit_records(connection, [AuditRecord(code="KNEW", event_at_us=0)])
    async with database.connection() as connection:
        await connection.execute("UPDATE participant SET name = name")
    await database.close()


async def _ask_everything(regulator: Caller, ids: dict[str, str]) -> None:
    """Ask each kind of question that a regulator has."""
    why = {"reason": "case 7"}
    for path in ("trades", "events", "questions", f"books/{PRODUCT}", f"books/{PRODUCT}/range"):
        assert await regulator.get(f"/v1/oversight/{path}")
    for path in (f"orders/{ids['order_id']}", f"trades/{ids['trade_id']}", f"vouchers/{ids['voucher_id']}"):
        assert await regulator.get(f"/v1/oversight/{path}", **why)
    for report in (await regulator.get("/v1/oversight/reports"))["data"]:
        assert await regulator.get(f"/v1/oversight/reports/{report['name']}")
    exported = await regulator.send("GET", "/v1/oversight/events/export?format=csv&reason=case+7")
    assert exported.status_code == 200, exported.text


async def _go_on(stage: Stage) -> None:
    """Pay the claim, allocate, report an outage, cancel, ask the record, and end a key."""
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
    await _ask_everything(cast.regulator, ids)
    assert (await cast.buyer.send("DELETE", f"/v1/keys/{ids['key_id']}")).status_code in {200, 204}


async def test_the_service_seals_the_record_and_the_auditor_verifies_it(url: str, tmp_path: Path) -> None:
    database = await Database.connect(_as(url, "exchange_app"), connections_min=1)
    settings = Settings(data_dir=tmp_path)
    async with database.transaction() as connection:
        await insert_audit_records(connection, [AuditRecord(code="KNEW", event_at_us=0)])
        signer = await begin(connection, settings)
    assert signer is not None
    sealer = Sealer(database, CheckpointFolder.of(settings))
    sealer.signer = signer
    while await sealer.turn(at_once=True):
        pass
    await sealer.publish()
    await database.close()
    command = ["audit", "verify", "--database-url", _as(url, "exchange_auditor"), "--data-dir", str(tmp_path)]
    command += ["--verifier", str(signer.verifier)]
    said = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert said.exit_code == 0, said.output
    assert "are as they were sealed" in said.stdout


async def test_the_whole_exchange_runs_as_the_service(url: str, tmp_path: Path) -> None:
    """From registering to the paid claim and a second start; a right that is lacking would be a failure.

    What regulators ask is read by the auditor's role.
    """
    reads = _as(url, "exchange_auditor")
    async with staged(_as(url, "exchange_app"), tmp_path, oversight_database_url=reads) as stage:
        await _go_on(stage)
        async with stage.house.exchange.database.transaction() as connection:
            assert await connection.fetchval("SELECT current_user") == "exchange_app"
            assert await check(connection) == []
    async with served(_as(url, "exchange_app"), tmp_path, NOW_US + 9 * US_PER_HOUR) as house:
        assert (await house.operator.get("/v1/participants"))["data"]


async def test_several_processes_run_as_who_leads_and_who_serves(
    url: str, server: EmbeddedPostgres, redis_url: str, tmp_path: Path
) -> None:
    """The same on a second database of the server, by two processes whose roles share the tables."""
    administrator = await Database.connect(_as(url, "postgres"), connections_min=1)
    async with administrator.connection() as connection:
        await connection.execute("CREATE DATABASE fleet")
    await administrator.close()
    fleet_url = url.replace("/exchange?", "/fleet?")
    _grant(fleet_url)
    assert await migrate(_as(fleet_url, "exchange_owner"))
    _grant(fleet_url)
    clock = ManualClock(NOW_US)
    leads = Settings(
        database_url=_as(fleet_url, "exchange_engine"), redis_url=redis_url, data_dir=tmp_path, role="engine"
    )
    engine = await Exchange.open(leads, clock)
    try:
        gateway_url = _as(fleet_url, "exchange_gateway")
        async with served(gateway_url, tmp_path, clock=clock, role="gateway", redis_url=redis_url) as house:
            await eventually(house.exchange.is_ready, bool)
            stage = await set_scene(house)
            await _go_on(stage)
            # What follows the record, beside requests, logs its faults only.
            report = "/v1/oversight/reports/stacking"
            await eventually(lambda: stage.cast.regulator.get(report), lambda told: told["summed_until"])
            async with engine.database.transaction() as connection:
                assert await check(connection) == []
    finally:
        await engine.close()
    log = server.log_path.read_text(encoding="utf-8")
    faults = [line for line in log.splitlines() if "@fleet " in line and "ERROR:" in line]
    # What was under way beside requests when a process ended was taken back by that process.
    assert [line for line in faults if not line.endswith(TAKEN_BACK)] == []


@pytest.mark.parametrize(
    "role,tables",
    [
        (
            "exchange_gateway",
            ["journal", "trade", "orders", "order_hold", "partition_head", "partition_term"],
        ),
        (
            "exchange_engine",
            ["trade_group", "programme", "programme_version", "claim", "claim_step", "audit_key"],
        ),
    ],
)
async def test_who_serves_makes_no_trade_and_who_leads_decides_nothing_else(
    url: str, role: str, tables: list[str]
) -> None:
    for table in tables:
        assert await _refused(url, role, f"INSERT INTO {table} SELECT * FROM {table}")  # noqa: S608 - our own


async def test_the_service_spends_signatures_forgets_them_and_hears(url: str) -> None:
    database = await Database.connect(_as(url, "exchange_app"), connections_min=1)
    signature = Signature.of(signed(head_with(), created_s=1), KEY_ID)
    assert [await nonces.spend(database, 1, signature) for _ in range(2)] == [True, False]
    await nonces.drop_old(database)
    assert await nonces.spend(database, 1, signature)
    notices = Notices(database)
    await notices.start()
    assert notices.is_listening
    await notices.stop()
    await database.close()


async def test_every_table_is_insert_only_by_trigger_and_by_grant_or_by_neither(url: str) -> None:
    database = await Database.connect(url, connections_min=1)
    async with database.connection() as connection:
        rows = await connection.fetch("""
            SELECT relname,
                EXISTS (
                    SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgfoid = 'refuse_change'::regproc
                ) AS guarded,
                has_table_privilege('exchange_app', c.oid, 'SELECT') AS reads,
                has_any_column_privilege('exchange_app', c.oid, 'INSERT') AS inserts,
                has_table_privilege('exchange_app', c.oid, 'UPDATE, TRUNCATE, TRIGGER') AS changes,
                has_table_privilege('exchange_app', c.oid, 'DELETE') AS deletes,
                pg_get_userbyid(relowner) AS owner
            FROM pg_class AS c
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace""")
    await database.close()
    tables = {row["relname"]: row for row in rows}
    assert {name for name, row in tables.items() if row["guarded"]} == INSERT_ONLY
    assert {name for name, row in tables.items() if not row["changes"]} == INSERT_ONLY | {
        "ask_load",  # kept by a trigger, as its owner
        "ledger_account",  # its balances likewise
        "programme_use",  # likewise
        "request_nonce",  # a signature is used once, then forgotten
        "schema_migration",
    }
    forgotten = {"request_nonce", "console_session", "console_login", "process"}
    assert {name for name, row in tables.items() if row["deletes"]} == forgotten
    assert {name for name, row in tables.items() if not row["inserts"]} == {
        "ask_load",
        "programme_use",
        "schema_migration",
    }
    assert all(row["reads"] for row in rows)
    assert {row["owner"] for row in rows} == {"exchange_owner"}


SERVICE_ROLES = {
    "exchange_app",
    "exchange_engine",
    "exchange_gateway",
    "exchange_auditor",
    "exchange_backup",
}
TAKEN_BACK = "ERROR:  canceling statement due to user request"


async def _attacks(url: str) -> list[str]:
    """Return many ways to change each insert-only table, and each partition of one."""
    database = await Database.connect(url, connections_min=1)
    async with database.connection() as connection:
        rows = await connection.fetch("""
            SELECT relname AS table, tgname AS trigger, attname AS column, inhparent::regclass::text AS whole
            FROM pg_class AS c
            JOIN pg_trigger ON tgrelid = c.oid AND tgfoid = 'refuse_change'::regproc
            JOIN pg_attribute ON attrelid = c.oid AND attnum = 2
            LEFT JOIN pg_inherits ON inhrelid = c.oid""")
    await database.close()
    guarded = {row["table"] for row in rows}
    assert guarded >= INSERT_ONLY | {"audit_record_other"}
    assert len(guarded - INSERT_ONLY) == 1 + MONTHS
    found = []
    for row in rows:
        table, trigger, column, whole = row
        found += [
            f"UPDATE {table} SET {column} = {column}",  # noqa: S608 - names read from the catalogue
            f"DELETE FROM {table}",  # noqa: S608 - as above
            f"TRUNCATE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER {trigger}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TRIGGER {trigger} ON {table}",
            f"CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_change()",
            f"ALTER TABLE {table} ADD COLUMN mine INTEGER",
            f"ALTER TABLE {table} DROP COLUMN {column}",
            f"ALTER TABLE {table} OWNER TO CURRENT_USER",
            f"ALTER TABLE {table} RENAME TO mine",
            f"CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
            f"DROP TABLE {table}",
        ]
        if whole is not None:
            found += [
                f"ALTER TABLE {whole} DETACH PARTITION {table}",
                f"INSERT INTO {table} (code, event_at) VALUES ('XXXX', now())",  # noqa: S608 - as above
            ]
    return [
        *found,
        "INSERT INTO audit_record (id, code, event_at) OVERRIDING SYSTEM VALUE VALUES (1, 'XXXX', now())",
        "INSERT INTO audit_record (code, event_at, xact_id) VALUES ('XXXX', now(), '1')",
        "ALTER FUNCTION make_audit_months OWNER TO CURRENT_USER",
    ]


@pytest.mark.parametrize("role", sorted(SERVICE_ROLES))
async def test_no_role_of_the_service_changes_what_happened_and_each_try_is_in_the_log(
    url: str, server: EmbeddedPostgres, role: str
) -> None:
    attacks = await _attacks(url)
    log_before = server.log_path.stat().st_size
    succeeded = []
    database = await Database.connect(_as(url, role), connections_min=1)
    async with database.connection() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        for attack in attacks:
            try:
                await connection.execute(attack)
            except Exception as error:  # noqa: BLE001 - told apart by its name
                if type(error).__name__ == "InsufficientPrivilegeError":
                    continue
            succeeded.append(attack)
    await database.close()
    assert succeeded == []
    with server.log_path.open(encoding="utf-8") as log:
        log.seek(log_before)
        lines = log.read().splitlines()
    said = [line.partition(f" {role}@exchange ")[2] for line in lines]
    refused = [
        statement.partition("STATEMENT:  ")[2]
        for error, statement in itertools.pairwise(filter(None, said))
        if "ERROR:  " in error and ("permission denied" in error or "must be owner" in error)
    ]
    assert refused == attacks


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
        "SELECT * FROM console_session",
        "SELECT * FROM console_login",
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


async def test_the_auditor_can_rebuild_everything_from_the_record_alone(url: str) -> None:
    command = ("oversight", "rebuild", "--database-url", _as(url, "exchange_auditor"))
    told = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert (told.exit_code, told.stdout.splitlines()[-1]) == (
        ExitCode.DONE,
        "what is stored is what the record says",
    )
