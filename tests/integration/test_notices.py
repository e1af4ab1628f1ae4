"""Goal: what another process commits is heard, and whatever may have gone unheard makes memories be dropped.

Method: triggers that notify, backends killed, and a line to the server that falls silent without closing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.kit import notices as module
from exchange.kit.clock import monotonic_s
from exchange.kit.database import Database
from exchange.kit.notices import Notices
from tests.silent_line import silent_line

DEADLINE_S = 60.0
TABLE = """
CREATE TABLE thing (id BIGINT);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('thing', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON thing FOR EACH ROW EXECUTE FUNCTION tell();
"""
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT'"


class Ear:
    """What was heard."""

    def __init__(self, notices: Notices) -> None:
        self.heard: list[str] = []
        self.lost = 0
        notices.on("thing", self.heard.append)
        notices.on_lost(self._lose)

    def _lose(self) -> None:
        self.lost += 1


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[tuple[Notices, Ear]]:
    notices = Notices(database)
    ear = Ear(notices)
    await notices.start()
    try:
        yield notices, ear
    finally:
        await notices.stop()


async def until(holds: Callable[[], bool]) -> None:
    deadline_s = monotonic_s() + DEADLINE_S
    while not holds():
        assert monotonic_s() < deadline_s
        await asyncio.sleep(0.005)


async def insert(database: Database, *ids: int) -> None:
    async with database.transaction() as connection:
        for each in ids:
            await connection.execute("INSERT INTO thing VALUES ($1)", each)


@pytest.fixture
async def things(empty_database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(empty_database_url, connections_min=1)
    async with database.connection() as connection:
        await connection.execute(TABLE)
    yield database
    await database.close()


async def test_what_is_committed_is_heard_in_order_and_what_is_rolled_back_is_not(things: Database) -> None:
    async with listening(things) as (notices, ear):
        assert notices.is_listening
        assert ear.lost == 1  # what was kept before has an unknown age
        with pytest.raises(LookupError):
            async with things.transaction() as connection:
                await connection.execute("INSERT INTO thing VALUES (0)")
                raise LookupError
        await insert(things, 1, 2)
        await insert(things, 3)
        await until(lambda: len(ear.heard) >= 3)
        assert ear.heard == ["1", "2", "3"]
    assert not notices.is_listening


async def test_a_connection_that_is_killed_is_told_and_replaced(things: Database) -> None:
    async with listening(things) as (notices, ear):
        for round_ in range(1, 4):
            lost = ear.lost
            async with things.connection() as connection:
                for row in await connection.fetch(LISTENERS):
                    await connection.execute("SELECT pg_terminate_backend($1)", row["pid"])
            await until(lambda lost=lost: ear.lost >= lost + 2)  # type: ignore[misc]  # once gone, once back
            await until(lambda: notices.is_listening)
            await insert(things, round_)
            await until(lambda round_=round_: str(round_) in ear.heard)  # type: ignore[misc]


async def test_a_server_that_cannot_be_reached_is_tried_again(
    things: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = things._connect

    async def refuse() -> object:
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(things, "_connect", refuse)
    async with listening(things) as (notices, ear):
        assert not notices.is_listening
        monkeypatch.setattr(things, "_connect", connect)
        await until(lambda: notices.is_listening)
        assert ear.lost


async def test_one_that_fails_to_take_a_notice_stops_no_other(things: Database) -> None:
    notices = Notices(things)

    def fail(payload: str) -> None:
        raise LookupError(payload)

    notices.on("thing", fail)
    ear = Ear(notices)
    await notices.start()
    try:
        with pytest.raises(RuntimeError, match="before start"):
            notices.on("thing", fail)
        await insert(things, 1, 2)
        await until(lambda: ear.heard == ["1", "2"])
    finally:
        await notices.stop()


async def test_a_line_that_falls_silent_is_trusted_no_more(
    things: Database, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BEAT_S", "TRUSTED_S", "BEAT_TIMEOUT_S"):
        monkeypatch.setattr(module, name, getattr(module, name) / 4)
    async with silent_line(empty_database_url, tmp_path) as line:
        database = await Database.connect(line.url, connections_min=0)
        async with listening(database) as (notices, ear):
            await insert(things, 1)
            await until(lambda: ear.heard == ["1"])
            lost = ear.lost
            line.silent.set()
            await insert(things, 2)
            await until(lambda: not notices.is_listening)
            await until(lambda: ear.lost > lost)
            assert ear.heard == ["1"]
            line.silent.clear()
            await until(lambda: notices.is_listening)
            await insert(things, 3)
            await until(lambda: ear.heard == ["1", "3"])
        await database.close()


async def test_a_line_that_falls_silent_before_it_listens_keeps_nobody_from_starting(
    things: Database, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEAT_TIMEOUT_S", 0.5)
    async with silent_line(empty_database_url, tmp_path) as line:
        database = await Database.connect(line.url, connections_min=0)
        line.silent_at = b"LISTEN"
        async with asyncio.timeout(DEADLINE_S), listening(database) as (notices, ear):
            assert line.silent.is_set()
            assert not notices.is_listening
            line.silent_at = None
            line.silent.clear()
            await until(lambda: notices.is_listening)
            await insert(things, 1)
            await until(lambda: ear.heard == ["1"])
        await database.close()
