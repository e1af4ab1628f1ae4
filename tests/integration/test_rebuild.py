"""Goal: whoever changes what is stored, or the record itself, is found by rebuilding; and nobody else.

Method: a market in which most things have happened, once; then every column of every table that the record
adds up to is falsified past its guards in a row of its own, and must be told by table, row, column, as it is
stored and as it was; rows are taken away and invented; books are changed by a byte. Of the record itself rows
are taken away and changed at random: something must be told each time. The command, as a role that may only
read, and as of a time gone by.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.alerts.models import NewAlertRules
from exchange.alerts.service import add_rules
from exchange.alerts.thresholds import default_rules
from exchange.applications.models import ApplicationStatus
from exchange.claims.models import ClaimStatus
from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.clock import format_rfc3339
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Faults, Refusal
from exchange.oversight.marks import Marking
from exchange.participants.models import ParticipantKind
from exchange.rebuild.models import Mismatch, Rebuilt
from exchange.rebuild.service import CODES, compare, plain, rebuild
from exchange.rebuild.store import STORED, StoredTable, row_counts
from exchange.vouchers.models import VoucherStatus
from matching.order import Side
from matching.product import Phase
from tests.market_world import open_market
from tests.record_market import RecordMarket
from tests.voucher_market import number_of

MARK_EVERY = 4


class Stage:
    """The market's database once its exchange has stopped, and a time before the end."""

    def __init__(self, database: Database, url: str, before_us: int) -> None:
        self.database = database
        self.url = url
        self.before_us = before_us


CLAIM_PATHS = (
    ("in_audit", "queried", "in_audit", "approved", "paid", "closed", "clawback_open", "recovered"),
    ("reduced", "paid", "clawback_open", "written_off"),
    ("rejected",),
    ("approved",),
    (),
)
"""One for each claim in turn, until all were taken."""


async def trade(market: RecordMarket) -> None:
    """Place orders of all kinds, amend some and withdraw one."""
    ask = {"quantity_gpus": 4, "window": (0, 8)}
    bid = {"window": (0, 6), "hours": 4, "vouchers": "auto"}
    await market.place(Side.SELL, [(who, {**ask, "percent": 10 - who}) for who in range(3)])
    await market.place(Side.BUY, [(who, {**bid, "percent": 30, "quantity_gpus": 3}) for who in range(3)])
    await market.place(Side.BUY, [(0, {**bid, "percent": 0}), (1, {**bid, "percent": 1, "quantity_gpus": 3})])
    await market.place(Side.SELL, [(0, {**ask, "percent": 10_000})])
    for fields in ({"quantity_gpus": 2}, {"percent": 3}, {"percent": 10**9}):
        await market.amend(0, fields)
    await market.place(Side.BUY, [(2, {"percent": 0}), (2, {"percent": 30, "quantity_gpus": 10**6})])
    owner, order = market.orders[-1]
    await market.cancel(owner, number_of("ord", order.id))
    await market.set_phase(1, Phase.HALTED)
    await market.place(Side.BUY, [(2, {"product": 1, "percent": 20})])


async def aid(market: RecordMarket) -> None:
    """Apply and decide, change budgets, step vouchers and programmes."""
    for number, who, fen, steps in (
        (0, 0, 200, ()),
        (0, 1, 900, ("approved", "approved")),
        (0, 2, 400, ("rejected",)),
        (0, 2, 400, ("withdrawn",)),
        (1, 0, 400, ("submitted",)),
    ):
        await market.apply(number, who, fen)
        for to in steps:
            await market.decide(0, ApplicationStatus(to), 700)
    await market.allocate()
    voucher_ids = sorted(await market.vouchers())
    for to in (VoucherStatus.SUSPENDED, VoucherStatus.ACTIVE, VoucherStatus.REVOKED):
        await market.step_voucher(voucher_ids[-1], to)
    await market.change_budget(2, 0)
    await market.change_budget(2, 7_000)


async def claim(market: RecordMarket, paths: list[tuple[str, ...]]) -> None:
    """Claim everything, each claim along the next of the paths."""
    claimants = {each.participant_id: each for each in (*market.providers, *market.buyers)}
    for number in range(3):
        for claimant in claimants.values():
            opened = await market.claim(number, claimant, submits=False)
            if isinstance(opened, Refusal):
                continue
            for to in ("submitted", *(paths.pop(0) if paths else ())):
                by = {"submitted": claimant, "recovered": claimant}.get(to, market.issuer)
                if (to, opened.status) == ("in_audit", ClaimStatus.QUERIED):
                    by = claimant
                fen = 1 + opened.amount_fen // 2 if to in ("reduced", "clawback_open") else None
                stepped = await market.step_claim(opened.id, ClaimStatus(to), by, fen)
                assert not isinstance(stepped, Refusal), (to, stepped)
                opened = stepped


async def live(market: RecordMarket) -> int:
    """Let everything happen, and return a time at which some of it had."""
    world = market.world
    await market.begin(random.Random(3))
    for number in range(3):
        await market.change_budget(number, 7_000)
    await market.move_cash(0, 10, out=True)
    regulator = await world.join(ParticipantKind.REGULATOR)
    async with world.database.transaction() as connection:
        new = NewAlertRules(reason="case 7", rules=default_rules())
        await add_rules(connection, regulator, new, world.now_us, Faults())
    before_us = 0
    paths = list(CLAIM_PATHS)
    for _ in range(4):
        await trade(market)
        await aid(market)
        before_us = before_us or world.clock.now_us()
        await market.fail_hour(0, 2)
        await world.pass_hours(7)
        await claim(market, paths)
    assert paths == []
    await market.restart_programme(2, market.rules(random.Random(4), 2))
    await world.pass_hours(24 * 5, at_once=True)
    # Something still rests, and holds cash and vouchers.
    await market.issue(0, market.buyers[2], 500)
    await market.place(Side.SELL, [(0, {"quantity_gpus": 4, "window": (0, 8), "percent": 40})])
    await market.place(Side.BUY, [(2, {"window": (0, 6), "hours": 4, "vouchers": "auto", "percent": 0})])
    return before_us


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_market(module_database_url, tmp_path_factory.mktemp("market")) as world:
        before_us = await live(RecordMarket(world))
        for partition_id in {product.partition_id for product in world.exchange.products.values()}:
            products = {each.id: each.book_product() for each in world.exchange.products.values()}
            marking = Marking(world.database, {partition_id: products}, every=MARK_EVERY)
            while await marking.mark(partition_id):
                pass
        async with world.database.connection() as connection:
            rows = await connection.fetch("SELECT DISTINCT code FROM audit_record")
            assert set(CODES) - {row["code"] for row in rows} == set()
    database = await Database.connect(module_database_url, connections_min=1)
    yield Stage(database, module_database_url, before_us)
    await database.close()


async def all_differences(connection: Connection) -> list[Mismatch]:
    """Rebuild, and return everything that is told."""
    rebuilt = await rebuild(connection)
    return [*rebuilt.contradictions, *[each async for each in compare(connection, rebuilt)]]


async def lay_bare(connection: Connection, *tables: str) -> None:
    """Put copies without any guards in the places of tables, until the transaction is undone."""
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} RENAME TO {table}_true")
        await connection.execute(f"CREATE TABLE {table} AS SELECT * FROM {table}_true")  # noqa: S608 - ours


def real_name(table: StoredTable) -> str:
    return "orders" if table.name == "resting" else table.name


FALSIFIED = {
    "integer": "coalesce({0}, 0) + 1",
    "bigint": "coalesce({0}, 0) + 1",
    "text": "{0} || 'x'",
    "bytea": "set_byte({0}, 0, get_byte({0}, 0) # 1)",
    "timestamp with time zone": "coalesce({0}, '2026-01-01T00:00:00Z') + INTERVAL '1 microsecond'",
    "json": "'{{\"false\": 1}}'::json",
    "jsonb": "{0} || '{{\"budget_fen\": 1}}'::jsonb",
    "bigint[]": "array_append({0}, 7::bigint)",
    "text[]": "array_append({0}, 'x')",
    "date": "coalesce({0}, '2026-01-01') + 1",
}


async def test_any_column_of_any_row_that_is_falsified_is_told(stage: Stage) -> None:
    draw = random.Random(1)
    async with stage.database.transaction() as connection:
        rebuilt = await rebuild(connection)
        assert [each async for each in compare(connection, rebuilt)] == []
        for table in STORED:
            if table.name == "resting":
                continue  # columns of orders, which are told as theirs
            rows = [dict(row) for row in await connection.fetch(table.query)]
            assert rows, table.name
            names = list(rows[0])
            types = {
                row["column_name"]: row["data_type"]
                for row in await connection.fetch(
                    "SELECT attname AS column_name, format_type(atttypid, NULL) AS data_type"
                    " FROM pg_attribute WHERE attrelid = $1::TEXT::REGCLASS AND attnum > 0",
                    real_name(table),
                )
            }
            for name in names[table.keys :]:
                # The text of a denial, an end or a reason that is not there stays so.
                chosen = draw.choice([row for row in rows if row[name] is not None or types[name] != "text"])
                key = {each: chosen[each] for each in names[: table.keys]}
                found = await _found_after(connection, table, rebuilt, name, types[name], key)
                told = [each for each in found if each.table == table.name]
                assert [(each.of, each.column) for each in told] == [
                    (", ".join(map(str, key.values())), name)
                ], (table.name, name)
                assert told[0].rebuilt == plain(chosen[name], name)
                assert {each.table for each in found} <= {table.name, "resting"}


async def _found_after(
    connection: Connection,
    table: StoredTable,
    rebuilt: Rebuilt,
    name: str,
    kind: str,
    key: dict[str, Any],
) -> list[Mismatch]:
    undone = connection.transaction()
    await undone.start()
    await lay_bare(connection, table.name)
    where = " AND ".join(f"{each} = ${number}" for number, each in enumerate(key, start=1))
    changed = FALSIFIED[kind].format(name)
    await connection.execute(
        f"UPDATE {table.name} SET {name} = {changed} WHERE {where}",  # noqa: S608 - ours
        *key.values(),
    )
    found = [each async for each in compare(connection, rebuilt)]
    await undone.rollback()
    return found


async def test_rows_that_are_another_one_and_changed_books_are_told(stage: Stage) -> None:
    async with stage.database.transaction() as connection:
        rebuilt = await rebuild(connection)
        for table in STORED:
            if table.name == "resting":
                continue
            undone = connection.transaction()
            await undone.start()
            await lay_bare(connection, table.name)
            key = (await _columns(connection, table))[0]
            changed = "{0} || 'x'" if table.name in ("book", "list_price") else "-{0}"
            await connection.execute(
                f"UPDATE {table.name} SET {key} = {changed.format(key)}"  # noqa: S608 - ours
                f" WHERE ctid = (SELECT min(ctid) FROM {table.name})"
            )
            found = [each async for each in compare(connection, rebuilt)]
            told = [(each.column, each.stored is None) for each in found if each.table == table.name]
            assert told == [("", False), ("", True)], table.name
            await undone.rollback()
        for statement in (
            "UPDATE book_snapshot SET book = set_byte(book, 9, get_byte(book, 9) # 1)",
            "UPDATE book_history SET book = set_byte(book, 9, get_byte(book, 9) # 1)",
            "UPDATE book_history SET book = (SELECT book FROM book_history ORDER BY sequence LIMIT 1)",
        ):
            undone = connection.transaction()
            await undone.start()
            await lay_bare(connection, "book_snapshot", "book_history")
            await connection.execute(statement)
            found = [each async for each in compare(connection, rebuilt)]
            assert found, statement
            assert {each.table for each in found} == {"book"}
            await undone.rollback()


async def test_how_much_there_is_to_read_counts_every_month(stage: Stage) -> None:
    async with stage.database.transaction() as connection:
        await connection.execute("ANALYZE journal, ledger_transfer, audit_record")
        told = await row_counts(connection)
        for table, about in told.items():
            assert about == await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
    assert set(told) == {"journal", "ledger_transfer", "audit_record"}


async def _columns(connection: Connection, table: StoredTable) -> list[str]:
    return list(dict((await connection.fetch(table.query))[0]))


RECORD_FAULTS: dict[str, tuple[str, ...]] = {
    "journal": (
        "DELETE FROM journal WHERE ctid = $1",
        "UPDATE journal SET command = set_byte(command, 3, get_byte(command, 3) # 4) WHERE ctid = $1",
        "UPDATE journal SET events = set_byte(events, 0, get_byte(events, 0) # 4) WHERE ctid = $1",
        "UPDATE journal SET hash = set_byte(hash, 31, get_byte(hash, 31) # 1) WHERE ctid = $1",
        "UPDATE journal SET event_at = event_at + INTERVAL '1 second' WHERE ctid = $1",
        "INSERT INTO journal SELECT * FROM journal WHERE ctid = $1",
    ),
    "ledger_transfer": (
        "DELETE FROM ledger_transfer WHERE ctid = $1",
        "UPDATE ledger_transfer SET amount_fen = amount_fen + 1 WHERE ctid = $1",
        "UPDATE ledger_transfer SET subject_id = subject_id + 1 WHERE ctid = $1",
        "UPDATE ledger_transfer SET debit_account_id = credit_account_id WHERE ctid = $1",
        "INSERT INTO ledger_transfer SELECT * FROM ledger_transfer WHERE ctid = $1",
    ),
}


async def test_a_record_from_which_a_row_is_gone_or_changed_contradicts_itself_or_what_is_stored(
    stage: Stage,
) -> None:
    draw = random.Random(2)
    async with stage.database.transaction() as connection:
        for table, statements in RECORD_FAULTS.items():
            for statement in statements:
                assert await _differences_after(connection, table, statement, draw), statement
        for code in CODES:
            for statement in (
                "DELETE FROM audit_record WHERE ctid = $1",
                "INSERT INTO audit_record SELECT * FROM audit_record WHERE ctid = $1",
            ):
                # Of an amendment that was refused before the book nothing but its own record tells.
                where = f"code = '{code}' AND (sequence IS NOT NULL OR NOT detail::jsonb ? 'amendment')"
                found = await _differences_after(connection, "audit_record", statement, draw, where)
                assert found, (code, statement)


async def _differences_after(
    connection: Connection, table: str, statement: str, draw: random.Random, where: str = "TRUE"
) -> list[Mismatch]:
    """Change a row that is drawn of those that fit, and return what is told."""
    undone = connection.transaction()
    await undone.start()
    await lay_bare(connection, table)
    places = await connection.fetch(f"SELECT ctid FROM {table} WHERE {where}")  # noqa: S608 - ours
    await connection.execute(statement, draw.choice(places)["ctid"])
    found = await all_differences(connection)
    await undone.rollback()
    return found


def call(url: str, *options: str) -> Result:
    arguments = ("oversight", "rebuild", "--database-url", url, *options)
    return CliRunner().invoke(cli, arguments, env={"DATABASE_URL": None})


async def test_the_command_tells_what_differs_and_writes_what_was_at_a_time(
    stage: Stage, tmp_path: Path
) -> None:
    told = await asyncio.to_thread(call, stage.url)
    assert told.exit_code == ExitCode.DONE, told.output
    assert told.stdout.endswith("what is stored is what the record says\n")
    file = tmp_path / "then.ndjson"
    at = format_rfc3339(stage.before_us)
    told = await asyncio.to_thread(call, stage.url, "--at", at, "--write", str(file), "--json")
    assert told.exit_code == ExitCode.DONE, told.output
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    then = {table: [row for row in rows if row["table"] == table] for table in {row["table"] for row in rows}}
    assert json.loads(told.stdout)["rebuilt"]["orders"] == len(then["orders"])
    assert {row["status"] for row in then["orders"]} >= {"partially_filled", "filled", "cancelled"}
    assert all(row["next_settlement_hour"] * 3_600_000_000 > stage.before_us for row in then["lease"])
    assert "claim" not in then
    assert all(row["paid_fen"] == 0 for row in then["voucher_parts"])
    async with stage.database.connection() as connection:
        await connection.execute("ALTER TABLE orders RENAME TO orders_true")
        await connection.execute("CREATE TABLE orders AS SELECT * FROM orders_true")
        await connection.execute("UPDATE orders SET price_ticks = 7 WHERE id = (SELECT max(id) FROM orders)")
    try:
        told = await asyncio.to_thread(call, stage.url)
        assert told.exit_code == ExitCode.CHECK_FAILED
        assert "price_ticks: stored 7, by the record " in told.stdout
        assert told.stdout.endswith("2 differences\n")  # its book has it, too
    finally:
        async with stage.database.connection() as connection:
            await connection.execute("DROP TABLE orders")
            await connection.execute("ALTER TABLE orders_true RENAME TO orders")


async def test_a_time_that_is_none_and_a_file_that_cannot_be_written_are_told(stage: Stage) -> None:
    for options in (("--at", "yesterday"), ("--write", "/nowhere/at/all")):
        told = await asyncio.to_thread(call, stage.url, *options)
        assert told.exit_code == ExitCode.USAGE
        assert options[1] in told.stderr
