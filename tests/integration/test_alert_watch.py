"""Goal: the reader of the record misses nothing, says nothing twice, and goes on where it stopped.

Method: steps of a tape as real audit records, read by watches that are cut off anywhere, beside writers that
commit late or never; the oracle is one look at the tape in memory. Journals are broken by hand.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from exchange.alerts import service, store, watch
from exchange.alerts.journals import check_journals
from exchange.alerts.models import Finding
from exchange.alerts.reading import Horizon
from exchange.alerts.recorded import RecordedStep
from exchange.alerts.watch import AlertWatch
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.clock import ManualClock
from exchange.kit.database import Connection, Database, from_us
from exchange.orders.partition import GENESIS_HASH
from exchange.orders.rules import journal_hash
from tests.planted_abuse import PLANTS
from tests.sealed_world import sealed_world
from tests.streams import until
from tests.surveillance import DAY, HOUR, START_US, Tape, detect, merged

WITHOUT_TRADES = ("quick_cancels", "self_match", "withholding", "threshold_splitting")
"""Abuse whose steps need no rows of other tables."""
CLOCK = ManualClock(START_US + 30 * DAY)


@pytest.fixture
async def begun(database: Database) -> Database:
    async with database.transaction() as connection:
        await service.begin(connection, CLOCK.now_us())
        # Tapes number their records from 1 on; that of the shipped rules was the first.
        for statement in (
            "ALTER TABLE audit_record DISABLE TRIGGER audit_record_insert_only",
            "DELETE FROM audit_record",
            "ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_record_insert_only",
            "ALTER TABLE audit_record ALTER COLUMN id RESTART",
        ):
            await connection.execute(statement)
    return database


def tape_of(seed: int, cases: int = 3) -> list[RecordedStep]:
    rng, tape = Random(seed), Tape()
    for name in WITHOUT_TRADES:
        for _ in range(cases):
            PLANTS[name](tape, rng, START_US + rng.randrange(200) * HOUR, "t4.a", 420)
    # Applications need a programme's row; the rest of the tape does not.
    return merged(each for each in tape.steps if each.code != "APPS")


def record_of(step: RecordedStep) -> AuditRecord:
    return AuditRecord(
        code=step.code,
        event_at_us=step.event_at_us,
        participant_id=step.participant_id,
        trade_group_id=step.group_id,
        product_id=step.product_id,
        order_id=step.order_id or None,
        detail=step.detail,
    )


async def write(database: Database, steps: Sequence[RecordedStep]) -> None:
    async with database.transaction() as connection:
        await insert_audit_records(connection, [record_of(each) for each in steps])


async def read_out(reader: AlertWatch) -> None:
    """Let a watch read until there is no more, and nobody is waited for."""
    while await reader.turn() or reader._horizon.is_waiting:
        pass


def facts(found: Sequence[Finding]) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return sorted((each.detector, each.participant_ids, each.record_ids) for each in found)


async def stored(database: Database) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT detector, participant_ids, record_ids FROM alert")
    return sorted((row["detector"], tuple(row["participant_ids"]), tuple(row["record_ids"])) for row in rows)


@pytest.mark.parametrize("seed", range(4))
async def test_cut_off_anywhere_it_finds_what_one_look_finds(
    begun: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng, steps = Random(seed), tape_of(seed)
    expected = detect(steps)
    assert {each.detector for each in expected} == set(WITHOUT_TRADES)
    monkeypatch.setattr(watch, "KEPT_EVERY", 90)
    reader, place = AlertWatch(begun, CLOCK), 0
    insert = store.insert_findings

    async def fail(connection: Connection, found: Sequence[tuple[int, Finding]]) -> None:
        await insert(connection, found)
        if rng.random() < 0.4:
            raise RuntimeError("cut off before the commit")

    monkeypatch.setattr(store, "insert_findings", fail)
    while place < len(steps):
        size = rng.randint(1, 60)
        await write(begun, steps[place : place + size])
        place += size
        for _ in range(rng.randint(0, 3)):
            monkeypatch.setattr(watch, "RECORDS_AT_ONCE", rng.randint(1, 50))
            try:
                await reader.turn()
            except RuntimeError:
                if rng.random() < 0.5:
                    reader = AlertWatch(begun, CLOCK)
        if rng.random() < 0.2:
            await reader.keep()
        if rng.random() < 0.3:
            reader = AlertWatch(begun, CLOCK)
    monkeypatch.setattr(store, "insert_findings", insert)
    await read_out(reader)
    assert await stored(begun) == facts(expected)
    await read_out(AlertWatch(begun, CLOCK))
    assert await stored(begun) == facts(expected)


async def test_memory_in_another_form_is_made_again_from_the_record(
    begun: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = tape_of(9)
    half = len(steps) // 2
    await write(begun, steps[:half])
    reader = AlertWatch(begun, CLOCK)
    await read_out(reader)
    await reader.keep()
    async with begun.transaction() as connection:
        await connection.execute("UPDATE alert_position SET state = 'rubbish'")
    monkeypatch.setattr(watch._log, "disabled", True)
    await write(begun, steps[half:])
    await read_out(AlertWatch(begun, CLOCK))
    assert await stored(begun) == facts(detect(steps))


async def test_nothing_comes_in_behind_what_was_read(begun: Database) -> None:
    record = AuditRecord(code="NEWO", event_at_us=START_US)
    horizon = Horizon()
    async with begun.connection() as reading:
        assert await horizon.through(reading) == 0
        async with begun.transaction() as late:
            await insert_audit_records(late, [record])
            late_id = await late.fetchval("SELECT max(id) FROM audit_record")
            for _ in range(3):
                async with begun.transaction() as early:
                    await insert_audit_records(early, [record])
                assert await horizon.through(reading) < late_id
                assert horizon.is_waiting
        first = await horizon.through(reading)
        assert first >= late_id
        last_id = await reading.fetchval("SELECT max(id) FROM audit_record")
        while await horizon.through(reading) < last_id:
            pass
        with pytest.raises(RuntimeError):
            async with begun.transaction() as undone:
                await insert_audit_records(undone, [record])
                raise RuntimeError("undone")
        async with begun.transaction() as after:
            await insert_audit_records(after, [record])
        while await horizon.through(reading) <= last_id:
            pass


async def test_many_writers_at_once_are_all_read_in_order(begun: Database) -> None:
    steps = tape_of(4, cases=2)
    lanes = [steps[lane::6] for lane in range(6)]

    async def write_lane(lane: Sequence[RecordedStep]) -> None:
        for place in range(0, len(lane), 3):
            await write(begun, lane[place : place + 3])

    reader = AlertWatch(begun, CLOCK)
    writing = asyncio.gather(*(write_lane(lane) for lane in lanes))
    while not writing.done():
        await reader.turn()
    await writing
    await read_out(reader)
    async with begun.connection() as connection:
        rows = await connection.fetch("SELECT id, order_id, code FROM audit_record ORDER BY id")
    by_place = {(each.order_id, each.code): each for each in steps}
    in_order = [
        msgspec.structs.replace(by_place[row["order_id"], row["code"]], record_id=row["id"]) for row in rows
    ]
    assert await stored(begun) == facts(detect(in_order))


async def test_one_process_reads_and_the_next_takes_over(begun: Database) -> None:
    first, second = AlertWatch(begun, CLOCK), AlertWatch(begun, CLOCK)
    steps = tape_of(5)
    half = len(steps) // 2
    first.start()
    second.start()
    await write(begun, steps[:half])
    await _until(begun, half)
    # What a turn has committed others may see a moment before whoever took it counts it.
    await until(lambda: max(first.read_id, second.read_id) >= half)
    assert min(first.found, second.found) == 0
    leader, other = (first, second) if first.found else (second, first)
    await leader.stop()
    await write(begun, steps[half:])
    await _until(begun, len(steps))
    await until(lambda: other.read_id >= len(steps))
    assert other.found > 0
    await other.stop()
    assert await stored(begun) == facts(detect(steps))


async def _until(database: Database, record_id: int) -> None:
    async with asyncio.timeout(60):
        while True:
            async with database.connection() as connection:
                if await connection.fetchval("SELECT record_id FROM alert_position") >= record_id:
                    return
            await asyncio.sleep(0.01)


async def fill_journal(connection: Connection, count: int) -> None:
    """Write a whole chain of a partition, and its head."""
    last = GENESIS_HASH
    for sequence in range(1, count + 1):
        fields = (sequence, "t4.a", START_US + sequence, b"command", b"events")
        last = journal_hash(last, *fields)
        await connection.execute(
            "INSERT INTO journal (partition_id, epoch, sequence, product_id, event_at, command, events, hash)"
            " VALUES (1, 1, $1, $2, $3, $4, $5, $6)",
            sequence,
            "t4.a",
            from_us(START_US + sequence),
            b"command",
            b"events",
            last,
        )
    await connection.execute(
        "INSERT INTO partition_head (partition_id, epoch, last_sequence, last_hash, last_event_at)"
        " VALUES (1, 1, $1, $2, $3)",
        count,
        last,
        from_us(START_US + count),
    )


BREAKS = {
    "hash_break": "UPDATE journal SET events = 'eventz' WHERE sequence = 13",
    "hash_break of a time": "UPDATE journal SET event_at = event_at + interval '1us' WHERE sequence = 13",
    "sequence_gap": "DELETE FROM journal WHERE sequence = 13",
    "tail_missing": "DELETE FROM journal WHERE sequence > 23",
    "tail_missing whole": "DELETE FROM journal",
    "head_differs": "UPDATE partition_head SET last_hash = decode(repeat('ab', 32), 'hex')",
    "sequence_gap of two": "DELETE FROM journal WHERE sequence IN (13, 14)",
}


WHOLE_BEFORE = {"tail_missing": 23, "tail_missing whole": 0, "head_differs": 29}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_broken_journal_is_told_once(
    begun: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(watch, "JOURNAL_AT_ONCE", 7)
    async with begun.transaction() as connection:
        await fill_journal(connection, 30)
        await connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
        await connection.execute(BREAKS[name])
    for _ in range(2):
        await read_out(AlertWatch(begun, CLOCK))
    async with begun.connection() as connection:
        rows = await connection.fetch("SELECT detector, severity, figures FROM alert")
    assert [(row["detector"], row["severity"]) for row in rows] == [("record_break", "high")]
    kind = name.partition(" ")[0]
    assert f"{kind}_found_sequence" in rows[0]["figures"]
    [verdict] = await check_journals(begun)  # and so does who reads it again from its beginning
    assert verdict.fault is not None
    assert verdict.fault.kind == kind
    assert verdict.commands == WHOLE_BEFORE.get(name, 12)


SEAL_BREAKS = {
    "sealed_changed": "UPDATE audit_record SET key_id = 99 WHERE id = (SELECT max(id) FROM audit_record)",
    "sealed_changed by one more": (
        "INSERT INTO audit_record (id, xact_id, code, event_at) OVERRIDING SYSTEM VALUE"
        " SELECT -1, max(xact_id), 'KNEW', now() FROM audit_record"
    ),
    "seal_replaced": (
        "UPDATE audit_block SET note = replace(note, 'form 1', 'form 2')"
        " WHERE size = (SELECT max(size) FROM audit_block)"
    ),
    "seals_missing": "DELETE FROM audit_block WHERE first_position > 0",
}


@pytest.mark.parametrize("name", SEAL_BREAKS)
async def test_a_broken_seal_is_told_once(
    begun: Database, database_url: str, tmp_path: Path, name: str
) -> None:
    async with sealed_world(begun, database_url, tmp_path) as world:
        for _ in range(2):
            await world.write(Random(1), 6)
            await world.seal()
        if name == "seals_missing":
            await read_out(AlertWatch(begun, CLOCK))
            assert await stored(begun) == []
        await world.execute(
            "ALTER TABLE audit_record DISABLE TRIGGER ALL",
            "ALTER TABLE audit_block DISABLE TRIGGER ALL",
            SEAL_BREAKS[name],
        )
    for _ in range(2):
        await read_out(AlertWatch(begun, CLOCK))
    async with begun.connection() as connection:
        rows = await connection.fetch("SELECT detector, severity, figures FROM alert")
    assert [(row["detector"], row["severity"]) for row in rows] == [("record_break", "high")]
    assert f"{name.partition(' ')[0]}_found_position" in rows[0]["figures"]


async def test_a_whole_journal_is_no_alert_and_a_head_that_moves_back_is(begun: Database) -> None:
    async with begun.transaction() as connection:
        await fill_journal(connection, 30)
    reader = AlertWatch(begun, CLOCK)
    await read_out(reader)
    assert await stored(begun) == []
    assert [(each.commands, each.fault) for each in await check_journals(begun)] == [(30, None)]
    async with begun.transaction() as connection:
        await connection.execute(
            "UPDATE partition_head SET last_sequence = 20,"
            " last_hash = (SELECT hash FROM journal WHERE sequence = 20)"
        )
    await read_out(reader)
    async with begun.connection() as connection:
        [figures] = [row["figures"] for row in await connection.fetch("SELECT figures FROM alert")]
    assert "head_moved_back" in figures
