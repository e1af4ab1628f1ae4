"""Goal: callers learn what became of their transaction. Method: broken rules, killed backends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import asyncpg.connect_utils
import pytest

import exchange.kit.database
from exchange.kit.clock import parse_rfc3339, us_of_hour
from exchange.kit.database import (
    CheckViolation,
    ConnectionLost,
    Database,
    Deadlock,
    ForeignKeyViolation,
    SerializationFailure,
    StatementTimeout,
    UniqueViolation,
    constraint_name,
    from_us,
    to_us,
    unhurried,
)
from exchange.kit.embedded_postgres import EmbeddedPostgres

DEADLINE_S = 60.0
KILLS = 50
SLEEP = "SELECT pg_sleep(10)"

TABLES = """
CREATE TABLE thing (
    id BIGINT CONSTRAINT thing_key PRIMARY KEY,
    amount_fen BIGINT CONSTRAINT thing_positive CHECK (amount_fen > 0)
);
CREATE TABLE part (thing_id BIGINT CONSTRAINT part_of REFERENCES thing (id));
INSERT INTO thing VALUES (1, 1), (2, 1);
"""

DIE_AT_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON thing DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION die();
"""


@pytest.fixture
async def things(empty_database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(empty_database_url, connections_min=2)
    async with database.connection() as connection:
        await connection.execute(TABLES)
    yield database
    await database.close()


async def _amounts(database: Database) -> list[int]:
    async with database.connection() as connection:
        return [
            row["amount_fen"] for row in await connection.fetch("SELECT amount_fen FROM thing ORDER BY id")
        ]


async def test_a_transaction_is_committed_whole_or_rolled_back_whole(things: Database) -> None:
    async with things.transaction() as connection:
        await connection.execute("UPDATE thing SET amount_fen = 5")
    assert await _amounts(things) == [5, 5]
    with pytest.raises(LookupError):
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 6")
            raise LookupError
    assert await _amounts(things) == [5, 5]


async def test_a_cancelled_transaction_is_rolled_back_and_its_connection_serves_on(things: Database) -> None:
    async def work() -> None:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 9")
            await connection.execute(SLEEP)

    task = asyncio.create_task(work())
    await _wait_for_sleep(things)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _amounts(things) == [1, 1]


async def test_who_is_cancelled_at_every_await_leaves_no_transaction_behind(
    things: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(reached: asyncio.Event) -> None:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 9")
            reached.set()
            await connection.execute(SLEEP)

    for _ in range(10):
        reached = asyncio.Event()
        task = asyncio.create_task(work(reached))
        async with asyncio.timeout(DEADLINE_S):
            await reached.wait()  # so the sleeper before it has ended: its row was to be had
            await _wait_for_sleep(things)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
        assert task.cancelled()
    assert await _amounts(things) == [1, 1]
    await things.close()
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_cancel_that_never_arrives_ends_the_connection_and_its_statement(
    things: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(**_: object) -> None:
        """Stand in for the way of a cancel to the server."""

    async def work() -> None:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 9")
            await connection.execute("SELECT pg_sleep(600)")

    monkeypatch.setattr(asyncpg.connect_utils, "_cancel", lose)
    monkeypatch.setattr(exchange.kit.database, "UNDO_TIMEOUT_S", 0.1)
    task = asyncio.create_task(work())
    await _wait_for_sleep(things)
    task.cancel()
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(asyncio.CancelledError):
            await task
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 2")
    assert await _amounts(things) == [2, 2]


async def test_closing_does_not_wait_for_ever_for_who_keeps_a_connection(
    things: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange.kit.database, "CLOSE_TIMEOUT_S", 0.1)
    with pytest.raises(ConnectionLost):
        async with things.connection() as connection:
            async with asyncio.timeout(DEADLINE_S):
                await things.close()
            await connection.fetchval("SELECT 1")


async def test_a_refusal_stands_though_the_connection_was_lost_under_it(things: Database) -> None:
    with pytest.raises(LookupError):
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 6")
            await _kill(things, await connection.fetchval("SELECT pg_backend_pid()"))
            raise LookupError
    assert await _amounts(things) == [1, 1]


@pytest.mark.parametrize(
    "statement, violation, name",
    [
        ("INSERT INTO thing VALUES (1, 1)", UniqueViolation, "thing_key"),
        ("UPDATE thing SET amount_fen = 0", CheckViolation, "thing_positive"),
        ("INSERT INTO part VALUES (7)", ForeignKeyViolation, "part_of"),
    ],
)
async def test_a_broken_constraint_is_named(
    things: Database, statement: str, violation: type[Exception], name: str
) -> None:
    with pytest.raises(violation) as broken:
        async with things.transaction() as connection:
            await connection.execute(statement)
    assert constraint_name(broken.value) == name
    assert constraint_name(LookupError()) is None


async def test_a_serialization_failure_is_told(things: Database) -> None:
    with pytest.raises(SerializationFailure):
        async with things.transaction(isolation="repeatable_read") as slow:
            await slow.fetchval("SELECT 1")
            async with things.transaction() as fast:
                await fast.execute("UPDATE thing SET amount_fen = 2 WHERE id = 1")
            await slow.execute("UPDATE thing SET amount_fen = 3 WHERE id = 1")
    assert await _amounts(things) == [2, 1]


async def test_a_deadlock_is_told_to_one_and_the_other_commits(things: Database) -> None:
    barrier = asyncio.Barrier(2)

    async def work(first: int, second: int) -> None:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 4 WHERE id = $1", first)
            await barrier.wait()
            await connection.execute("UPDATE thing SET amount_fen = 4 WHERE id = $1", second)

    outcomes = await asyncio.gather(work(1, 2), work(2, 1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Deadlock]
    assert await _amounts(things) == [4, 4]


async def test_a_connection_lost_before_the_commit_leaves_nothing_and_the_pool_serves_on(
    things: Database,
) -> None:
    with pytest.raises(ConnectionLost) as lost:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 7")
            await _kill(things, await connection.fetchval("SELECT pg_backend_pid()"))
            await connection.execute("SELECT 1")
    assert lost.value.outcome == "not_applied"
    assert await _amounts(things) == [1, 1]


async def test_a_connection_lost_at_the_commit_leaves_the_outcome_unknown(things: Database) -> None:
    async with things.connection() as connection:
        await connection.execute(DIE_AT_COMMIT)
    with pytest.raises(ConnectionLost) as lost:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 7")
    assert lost.value.outcome == "unknown"
    assert await _amounts(things) == [1, 1]


async def test_a_connection_seen_lost_before_the_commit_was_sent_leaves_nothing(things: Database) -> None:
    with pytest.raises(ConnectionLost) as lost:
        async with things.transaction() as connection:
            await connection.execute("UPDATE thing SET amount_fen = 7")
            await _kill(things, await connection.fetchval("SELECT pg_backend_pid()"))
    assert lost.value.outcome == "not_applied"
    assert await _amounts(things) == [1, 1]


async def test_a_misused_connection_is_an_error_of_ours_not_a_lost_one(things: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError):
        async with things.transaction() as connection:
            await asyncio.gather(connection.fetchval("SELECT pg_sleep(0.1)"), connection.fetchval("SELECT 1"))
    assert await _amounts(things) == [1, 1]


async def test_a_stopped_server_is_said_to_be_lost_and_found_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    database = await Database.connect(server.start(), connections_min=1)
    await asyncio.to_thread(server.stop)
    with pytest.raises(ConnectionLost) as lost:
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")
    assert lost.value.outcome == "not_applied"
    await asyncio.to_thread(server.start)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await database.close()
    await asyncio.to_thread(server.stop)


async def test_backends_killed_under_running_statements_are_losses_and_nothing_else(
    things: Database, empty_database_url: str
) -> None:
    killer = await Database.connect(empty_database_url, connections_min=1, connections_max=1)
    stop = asyncio.Event()
    lost = 0

    async def work(number: int) -> None:
        nonlocal lost
        while not stop.is_set():
            try:
                if number % 2:
                    async with things.transaction() as connection:
                        await connection.execute("UPDATE thing SET amount_fen = amount_fen + 1 WHERE id = 1")
                else:
                    async with things.connection() as connection:
                        await connection.fetch("SELECT * FROM thing")
            except ConnectionLost as loss:
                lost += 1
                assert number % 2 or loss.outcome == "not_applied"  # noqa: PT017 - the others go on
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work(number)) for number in range(8)]
    for _ in range(KILLS):
        async with killer.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    stop.set()
    outcomes = await asyncio.gather(*workers, return_exceptions=True)
    await killer.close()
    assert outcomes == [None] * len(workers)
    assert lost > 0
    assert len(await _amounts(things)) == 2


@pytest.mark.parametrize("way", ["connection", "snapshot"])
@pytest.mark.parametrize("after_commit, outcome", [(False, "not_applied"), (True, "unknown")])
async def test_a_read_that_is_lost_has_applied_nothing_unless_it_follows_a_commit(
    things: Database, way: str, *, after_commit: bool, outcome: str
) -> None:
    lend = getattr(things, way)
    with pytest.raises(ConnectionLost) as lost:
        async with lend(after_commit=after_commit) as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert lost.value.outcome == outcome
    assert len(await _amounts(things)) == 2


async def test_a_snapshot_is_of_one_moment_and_changes_nothing(things: Database) -> None:
    async with things.snapshot() as looking:
        before = await looking.fetchval("SELECT count(*) FROM thing")
        async with things.transaction() as connection:
            await connection.execute("INSERT INTO thing VALUES (77, 1)")
        assert await looking.fetchval("SELECT count(*) FROM thing") == before
    async with things.snapshot() as looking:
        assert await looking.fetchval("SELECT count(*) FROM thing") == before + 1
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with things.snapshot() as looking:
            await looking.execute("INSERT INTO thing VALUES (78, 1)")


async def test_nobody_at_the_address_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost) as lost:
        await Database.connect(f"postgresql://exchange@/exchange?host={tmp_path}")
    assert lost.value.outcome == "not_applied"


async def test_a_session_is_in_utc_and_times_cross_to_the_microsecond(things: Database) -> None:
    us = us_of_hour(497_000) + 123_457
    async with things.connection() as connection:
        assert await connection.fetchval("SHOW timezone") == "UTC"
        assert await connection.fetchval("SHOW jit") == "off"
        back = await connection.fetchval("SELECT $1::timestamptz", from_us(us))
        microseconds = await connection.fetchval(
            "SELECT extract(epoch FROM $1::timestamptz) * 1000000", from_us(us)
        )
    assert to_us(back) == us
    assert int(microseconds) == us


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"])
async def test_the_last_and_the_first_time_cross_too(things: Database, text: str) -> None:
    us = parse_rfc3339(text)
    assert us is not None
    async with things.connection() as connection:
        assert to_us(await connection.fetchval("SELECT $1::timestamptz", from_us(us))) == us


async def _wait_for_sleep(database: Database) -> None:
    """Wait until a statement sleeps: a cancel that comes before the server has read it is ignored."""
    sleeps = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep')"
    )
    async with asyncio.timeout(DEADLINE_S), database.connection() as connection:
        while not await connection.fetchval(sleeps):
            continue


async def _kill(database: Database, pid: int) -> None:
    async with database.connection() as other:
        await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)


async def test_a_statement_that_takes_too_long_ends_unless_its_transaction_is_unhurried(
    empty_database_url: str,
) -> None:
    database = await Database.connect(empty_database_url, connections_min=1, statement_timeout_s=1)
    try:
        async with database.connection() as connection:
            await connection.execute("CREATE TABLE note (id INTEGER)")
        with pytest.raises(StatementTimeout):
            async with database.connection() as connection:
                await connection.execute(SLEEP)
        with pytest.raises(StatementTimeout):
            async with database.transaction() as connection:
                await connection.execute("INSERT INTO note VALUES (1)")
                await connection.execute(SLEEP)
        async with database.transaction() as connection:
            await unhurried(connection)
            await connection.execute("SELECT pg_sleep(1.2)")
            assert await connection.fetchval("SELECT count(*) FROM note") == 0
        async with database.connection() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "1s"
        assert (database.usage.lent, database.usage.most) == (0, 20)
    finally:
        await database.close()
