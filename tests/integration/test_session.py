"""Goal: a writer's own session keeps a transaction's promises. Method: real ones, some of them cut off."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from exchange.kit import session as sessions
from exchange.kit.database import CheckViolation, Connection, ConnectionLost, Database, is_closed
from exchange.kit.session import Session

TABLES = """
CREATE TABLE thing (id BIGINT PRIMARY KEY, amount_fen BIGINT CHECK (amount_fen > 0));
INSERT INTO thing VALUES (1, 1);
"""
AMOUNT = "SELECT amount_fen FROM thing"
PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def things(empty_database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(empty_database_url, connections_min=1)
    async with database.connection() as connection:
        await connection.execute(TABLES)
    yield database
    await database.close()


@pytest.fixture
async def session(things: Database) -> AsyncIterator[Session]:
    opened = Session(things, is_next_near=lambda: True)
    yield opened
    await opened.close()


async def _add(connection: Connection, fen: int) -> None:
    await connection.execute("UPDATE thing SET amount_fen = amount_fen + $1", fen)


async def _amount(database: Database) -> int:
    async with database.connection() as connection:
        amount: int = await connection.fetchval(AMOUNT)
    return amount


async def _end(database: Database, pid: int) -> None:
    async with database.connection() as connection:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)


async def test_each_transaction_is_committed_by_itself_on_one_connection(
    things: Database, session: Session
) -> None:
    pids, transactions = set(), set()
    for expected in range(2, 8):
        async with session.transaction() as connection:
            await _add(connection, 1)
            pids.add(await connection.fetchval(PID))
            transactions.add(await connection.fetchval("SELECT pg_current_xact_id()::text"))
        assert await _amount(things) == expected
    assert (len(pids), len(transactions)) == (1, 6)


async def test_between_transactions_nothing_is_locked_or_seen_as_it_was(
    things: Database, session: Session
) -> None:
    async with session.transaction() as connection:
        await _add(connection, 1)
    async with things.transaction() as other:
        await other.execute("SET LOCAL lock_timeout = '1s'")
        await _add(other, 10)
    async with session.transaction() as connection:
        assert await connection.fetchval(AMOUNT) == 12


async def test_what_fails_is_undone_and_the_next_transaction_is_sound(
    things: Database, session: Session
) -> None:
    async with session.transaction() as connection:
        await _add(connection, 1)
    with pytest.raises(CheckViolation):
        async with session.transaction() as connection:
            await _add(connection, 1)
            await _add(connection, -100)
    assert await _amount(things) == 2
    async with session.transaction() as connection:
        await _add(connection, 1)
    assert await _amount(things) == 3


async def test_a_failure_that_was_passed_over_is_not_taken_for_a_commit(
    things: Database, session: Session
) -> None:
    with pytest.raises(RuntimeError, match="rolled back"):
        async with session.transaction() as connection:
            await _add(connection, 1)
            with pytest.raises(CheckViolation):
                await _add(connection, -100)
    assert await _amount(things) == 1
    async with session.transaction() as connection:
        await _add(connection, 1)
    assert await _amount(things) == 2


@pytest.mark.parametrize("is_within", [False, True])
async def test_a_connection_that_is_ended_is_replaced(
    things: Database, session: Session, *, is_within: bool
) -> None:
    async with session.transaction() as connection:
        pid = await connection.fetchval(PID)
    if is_within:
        with pytest.raises(ConnectionLost) as lost:
            async with session.transaction() as connection:
                await _add(connection, 1)
                await _end(things, pid)
                await _add(connection, 1)
        assert lost.value.outcome == "not_applied"
    else:
        await _end(things, pid)
        async with asyncio.timeout(60):
            while not is_closed(connection):  # noqa: ASYNC110 - the end of a stream signals nobody
                await asyncio.sleep(0.001)
    async with session.transaction() as connection:
        await _add(connection, 5)
        assert await connection.fetchval(PID) != pid
    assert await _amount(things) == 6


async def test_who_is_cancelled_leaves_no_transaction_behind(things: Database, session: Session) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with session.transaction() as connection:
            await _add(connection, 1)
            begun.set()
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with session.transaction() as connection:
        await _add(connection, 5)
    assert await _amount(things) == 6


async def test_a_session_does_not_meet_the_undoing_of_its_last_transaction(
    things: Database, session: Session
) -> None:
    undoing = asyncio.Event()

    async def fail() -> None:
        async with session.transaction() as connection:
            await _add(connection, 1)
            undoing.set()
            raise KeyError  # and the next that it waits for is the end of its undoing

    async with session.transaction() as connection:
        await _add(connection, 1)
    failing = asyncio.create_task(fail())
    await undoing.wait()
    failing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await failing
    with pytest.raises(CheckViolation):
        async with session.transaction() as connection:
            await _add(connection, 1)
            await _add(connection, -100)
    assert await _amount(things) == 2


@pytest.mark.parametrize(
    "setting", ["default_transaction_isolation = 'repeatable read'", "bytea_output = 'escape'"]
)
async def test_what_a_database_is_set_to_does_not_matter(empty_database_url: str, setting: str) -> None:
    other = await Database.connect(empty_database_url, connections_min=1)
    async with other.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET {setting}")
    await other.close()
    things = await Database.connect(empty_database_url, connections_min=1)
    session = Session(things, is_next_near=lambda: True)
    for _ in range(2):
        async with session.transaction() as connection:
            assert await connection.fetchval("SHOW transaction_isolation") == "read committed"
            assert await connection.fetchval("SELECT json_build_array('\\x5c'::bytea)->>0") == "\\x5c"
    await session.close()
    await things.close()


async def test_a_connection_that_was_long_silent_is_not_trusted(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = set()
    for limit_s in (1000.0, 1000.0, -1.0):
        monkeypatch.setattr(sessions, "KEPT_IDLE_S", limit_s)
        async with session.transaction() as connection:
            pids.add(await connection.fetchval(PID))
    assert len(pids) == 2


async def test_work_is_counted_now_and_then(
    things: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CHAINED_MAX", 3)
    statuses = []
    for _ in range(8):
        async with session.transaction() as connection:
            await _add(connection, 1)
        async with things.connection() as other:
            statuses.append(
                await other.fetchval(
                    "SELECT state FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state LIKE 'idle%'"
                    " AND datname = current_database() AND query LIKE 'COMMIT%'"
                )
            )
    assert statuses == [*["idle in transaction"] * 3, "idle"] * 2


async def test_closing_gives_the_connection_back(things: Database, session: Session) -> None:
    async with session.transaction() as connection:
        await _add(connection, 1)
    await session.close()
    async with things.connection() as other:
        left = await other.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        )
    assert left == 0
    async with session.transaction() as connection:
        await _add(connection, 1)
    assert await _amount(things) == 3
