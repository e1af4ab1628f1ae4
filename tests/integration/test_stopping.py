"""Goal: a process ends when it is told to, and goes on until then, whatever has fallen silent.

Method: lines to the database that fall silent and are never closed, under one process and under engines, with
the limits of time made short; a rebuild that a lock keeps from ending; parts that fail to stop.
"""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from exchange import app
from exchange.app import Exchange
from exchange.cli.serve import Stopped, opened
from exchange.fleet import engine as engines
from exchange.fleet import leases
from exchange.fleet.leases import PartitionLease
from exchange.fleet.roles import LedByTurns
from exchange.kit import database as database_kit
from exchange.kit.clock import ManualClock
from exchange.kit.database import Database
from exchange.kit.errors import Unavailable
from exchange.kit.settings import Settings
from exchange.orders.models import CancelAllRequest, Request
from exchange.participants.models import ParticipantKind
from tests.integration.fleets import Fleet, eventually, is_leading
from tests.market_world import MarketWorld, sequencers
from tests.silent_line import SilentLine, silent_line
from tests.voucher_world import NOW_US

GIVE_UP_S: Final = 1.0
STOPPED_S: Final = 25.0
"""Far more than a stop takes, and far less than for ever."""
SAID_AT_START: Final = (
    pytest.param(b"pg_advisory_lock", marks=pytest.mark.long),  # waits for as long as a line may be silent
    *(b"process_number", b'LISTEN "', b"INSERT INTO partition_head"),
)
"""What only a certain step of a start says: migrations, the way to the books, notices, a term of leading."""
CHORES: Final = {"alerts", "sealer", "report-summaries", "process-report", "audit-months", "switches-1"}


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Fleet:
    return Fleet(database_url, redis_url, tmp_path)


@pytest.fixture
def short_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "GIVE_UP_S", GIVE_UP_S)
    monkeypatch.setattr(leases, "ANSWER_S", 0.5)


def tasks_named(names: set[str]) -> set[str]:
    return names & {task.get_name() for task in asyncio.all_tasks()}


def nothing_to_cancel() -> Request:
    return CancelAllRequest(participant_id=1, key_id=1)


async def closed(exchange: Exchange) -> None:
    async with asyncio.timeout(STOPPED_S):
        await exchange.close()


@pytest.mark.usefixtures("short_of_time")
@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "idle"])
async def test_one_process_stops_on_a_database_that_has_fallen_silent(
    database_url: str, tmp_path: Path, *, is_busy: bool
) -> None:
    async with silent_line(database_url, tmp_path) as line:
        clock = ManualClock(NOW_US)
        exchange = await Exchange.open(Settings(database_url=line.url, data_dir=tmp_path), clock)
        world = MarketWorld(exchange, clock)
        provider = await world.join(ParticipantKind.PROVIDER)
        await world.ask(provider, world.product())
        line.silent.set()
        asked = [asyncio.ensure_future(world.ask(provider, world.product()))] if is_busy else []
        # What has failed to authenticate and what keys were used for is written at the end, where it can be.
        exchange.watched.failures.add("192.0.2.1", None)
        exchange.relay.tell(1, [])
        await asyncio.sleep(0)
        await closed(exchange)
        assert not tasks_named({*CHORES, "relay", "lease-1", "sequencer-1", "notices"})
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, Exception)
            assert getattr(answer, "outcome", None) in {"not_applied", "unknown"}


@pytest.mark.usefixtures("short_of_time")
async def test_an_engine_stops_on_a_database_that_has_fallen_silent_and_another_leads(
    fleet: Fleet, database_url: str, tmp_path: Path
) -> None:
    async with silent_line(database_url, tmp_path) as line:
        silent = await fleet.open("engine", database_url=line.url)
        await eventually(lambda: bool(tasks_named({"intake-1"})))  # its start's transaction is over
        asked = asyncio.ensure_future(silent.partitions.leaders[1].submit(nothing_to_cancel()))
        line.silent.set()
        async with fleet.engine() as other:
            await eventually(lambda: is_leading(other))
            await closed(silent)
            assert is_leading(other)
    await asyncio.gather(asked, return_exceptions=True)


@pytest.mark.parametrize("said", SAID_AT_START)
async def test_a_start_that_a_silent_database_keeps_ends_when_it_is_told_to(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(database_kit, "UNDO_TIMEOUT_S", 0.5)
    monkeypatch.setattr(database_kit, "CLOSE_TIMEOUT_S", 0.5)
    before, stopping = asyncio.all_tasks(), asyncio.Event()
    async with silent_line(database_url, tmp_path) as line, asyncio.timeout(STOPPED_S):
        line.silent_at = said
        opening = asyncio.create_task(opened(Settings(database_url=line.url, data_dir=tmp_path), stopping))
        await line.silent.wait()
        stopping.set()
        with pytest.raises(Stopped):
            await opening
        left = {str(task) for task in asyncio.all_tasks() - before}
        assert not {each for each in left if SilentLine.__name__ not in each}


async def test_a_start_that_is_over_when_it_is_told_to_stop_is_an_exchange(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = asyncio.Event()
    open_really = Exchange.open

    async def open_and_stop(settings: Settings) -> Exchange:
        exchange = await open_really(settings)
        stopping.set()
        return exchange

    monkeypatch.setattr(Exchange, "open", open_and_stop)
    exchange = await opened(Settings(database_url=database_url, data_dir=tmp_path), stopping)
    assert not exchange.troubles()
    await closed(exchange)


async def test_an_engine_that_had_to_give_a_term_up_stands_by_and_leads_again(
    fleet: Fleet, database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are gone without a word, new ones are well: so it hears that another has the lease."""
    monkeypatch.setattr(leases, "ANSWER_S", 0.5)
    monkeypatch.setattr(engines, "STOP_S", 0.5)
    async with (
        silent_line(database_url, tmp_path) as line,
        fleet.opened("engine", database_url=line.url) as engine,
    ):
        await eventually(lambda: bool(tasks_named({"intake-1"})))
        line.mute()
        asked = asyncio.ensure_future(led(engine).submit(nothing_to_cancel()))
        other = PartitionLease(database, 1, "another")
        assert await other.take(by_force=True)
        await eventually(lambda: not led(engine).is_leading)
        with pytest.raises(Unavailable) as refused:
            await asked
        assert refused.value.outcome == "unknown"
        assert not engine.ended.is_set()
        await other.end()
        await eventually(lambda: is_leading(engine))
        await led(engine).submit(nothing_to_cancel())


def led(exchange: Exchange) -> engines.Engine:
    assert isinstance(exchange.partitions, LedByTurns)
    return exchange.partitions.leaders[1]


async def test_a_stop_does_not_wait_for_books_that_are_being_rebuilt(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.kit.database.LOCK_TIMEOUT", "0")
    async with fleet.engine() as engine:
        await eventually(lambda: is_leading(engine))
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM partition_head FOR UPDATE")
        engine = await fleet.open("engine")
        await eventually(lambda: led(engine).is_leading)
        async with asyncio.timeout(STOPPED_S):
            while not await connection.fetchval(  # noqa: ASYNC110 - only the database knows who waits
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            ):
                await asyncio.sleep(0.01)
            await engine.close()
        assert await PartitionLease(database, 1, "another").take(), "it gave the lease up"


async def test_a_cancellation_that_nobody_asked_for_ends_the_engine_aloud(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(_lease: PartitionLease) -> bool:
        raise asyncio.CancelledError

    monkeypatch.setattr(PartitionLease, "take", cancelled)
    async with asyncio.timeout(STOPPED_S), fleet.engine() as engine:
        await engine.ended.wait()


async def test_a_part_that_fails_to_stop_leaves_no_other_running(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = await Exchange.open(
        Settings(database_url=database_url, data_dir=tmp_path), ManualClock(NOW_US)
    )
    try:
        assert tasks_named(CHORES) == CHORES
        with monkeypatch.context() as planted:

            async def fail() -> None:
                raise LookupError("planted")

            for part in (exchange._failures_chore, exchange.operations):
                planted.setattr(part, "stop", fail)
            with pytest.raises(LookupError, match="planted"):
                await exchange.stop_chores()
        assert tasks_named(CHORES) == {"process-report"}
        assert sequencers(exchange)[1].is_ready
    finally:
        await exchange.close()
