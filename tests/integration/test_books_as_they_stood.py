"""Goal: the book of a product at any sequence or time is the engine's own, and costs few rows.

Method: seeded runs of the real engine for three products of one partition, written to the real journal; what
the engine's books were at random sequences is kept as bytes and compared with what is rebuilt from marks and
journal. Marks are set by several processes at once, of which each is another one every time.
"""

import asyncio
import json
from random import Random

import pytest

from exchange.kit.database import Database
from exchange.oversight import store
from exchange.oversight.marks import Marking, book_at
from exchange.products.service import seed_catalogue
from matching.invariants import check_book
from matching.snapshot import snapshot
from matching.units import BookCorrupt
from tests.hypothesis_profiles import is_long
from tests.long_runs import PARTITION, LongRun, write
from tests.told_journal import AT_US

EVERY = 200


async def run_of(database: Database, *, seed: int, length: int, points: int) -> LongRun:
    """Trade three products of the catalogue."""
    async with database.transaction() as connection:
        await seed_catalogue(connection)
        rows = await connection.fetch("SELECT id FROM product ORDER BY id LIMIT 3")
    return LongRun([row["id"] for row in rows], seed=seed, length=length, points=points)


async def mark_all(database: Database, run: LongRun, every: int = EVERY) -> None:
    """Set every mark that is due, three processes at a time."""
    while True:
        markings = [Marking(database, {PARTITION: run.products}, every=every) for _ in range(3)]
        if not any(await asyncio.gather(*(each.mark(PARTITION) for each in markings))):
            return


async def test_every_book_at_every_point_is_the_engines(database: Database) -> None:
    length, points, every = (100_000, 1_000, 2_000) if is_long() else (2_500, 60, EVERY)
    run = await run_of(database, seed=11, length=length, points=points)
    for part in range(4):
        await write(database, run.lines[part * length // 4 : (part + 1) * length // 4])
        await mark_all(database, run, every)
    async with database.snapshot() as connection:
        marks = await connection.fetch("SELECT sequence FROM book_mark ORDER BY sequence")
        assert [row["sequence"] for row in marks] == list(range(every, length + 1, every))
        for (product_id, sequence), expected in run.then.items():
            book, _ = await book_at(connection, PARTITION, run.products[product_id], sequence)
            check_book(book)
            assert snapshot(book) == expected, (product_id, sequence)


async def test_a_time_means_the_last_command_until_then(database: Database) -> None:
    run = await run_of(database, seed=5, length=1_000, points=1)
    await write(database, run.lines)
    await mark_all(database, run)
    random = Random(5)
    last_us = run.lines[-1].at_us
    times = [AT_US - 1, last_us, last_us + 1, *(line.at_us for line in random.sample(run.lines, 100))]
    times += [random.randrange(AT_US, last_us) for _ in range(100)]
    async with database.snapshot() as connection:
        for at_us in times:
            found = await store.sequence_at(connection, PARTITION, at_us, len(run.lines))
            assert (found or 0) == run.sequence_at(at_us)


async def test_few_rows_are_read_however_long_the_journal(database: Database) -> None:
    run = await run_of(database, seed=7, length=2_500, points=1)
    await write(database, run.lines)
    await mark_all(database, run)
    async with database.transaction() as connection:
        await connection.execute("ANALYZE")
        rarest = list(run.products)[-1]
        plan = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {store.QUERIES.commands_between}",
            PARTITION,
            2_400,
            2_450,
            rarest,
        )
        scan = json.loads(plan)[0]["Plan"]
    assert scan["Node Type"] == "Index Scan"
    assert scan["Index Name"] == "journal_pkey"
    assert scan["Actual Rows"] + scan["Rows Removed by Filter"] == 50


async def test_a_journal_whose_chain_is_broken_is_not_marked(database: Database) -> None:
    run = await run_of(database, seed=3, length=EVERY + 1, points=1)
    await write(database, run.lines)
    async with database.transaction() as connection:
        await connection.execute("ALTER TABLE journal DISABLE TRIGGER journal_insert_only")
        await connection.execute("UPDATE journal SET event_at = event_at + '1 us' WHERE sequence = 100")
    with pytest.raises(BookCorrupt, match="broken at 100"):
        await Marking(database, {PARTITION: run.products}, every=EVERY).mark(PARTITION)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM book_mark") == 0
