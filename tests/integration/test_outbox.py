"""Goal: a message leaves with its commit, in order, never skipped. Method: real, overlapping transactions."""

import pytest

from exchange.kit.database import Database
from exchange.kit.outbox import delete_outbox, insert_outbox, read_outbox


async def test_a_message_is_read_in_order_after_its_commit_and_deleted_through_its_id(
    database: Database,
) -> None:
    for sequence in range(1, 6):
        async with database.transaction() as connection:
            await insert_outbox(connection, 1, sequence, b"payload %d" % sequence)
    async with database.connection() as connection:
        first, has_more = await read_outbox(connection, 0, 3)
        assert has_more
        rest, has_more = await read_outbox(connection, first[-1].id, 100)
        assert not has_more
        await delete_outbox(connection, first[-1].id)
        left, _ = await read_outbox(connection, 0, 100)
    assert [row.payload for row in [*first, *rest]] == [b"payload %d" % sequence for sequence in range(1, 6)]
    assert list(left) == list(rest)


async def test_a_rolled_back_message_is_never_read(database: Database) -> None:
    with pytest.raises(LookupError):
        async with database.transaction() as connection:
            await insert_outbox(connection, 1, 1, b"never")
            raise LookupError
    async with database.connection() as connection:
        assert await read_outbox(connection, 0, 10) == ([], False)


async def test_no_message_is_skipped_when_a_smaller_id_commits_after_a_greater_one(
    database: Database,
) -> None:
    async with database.connection() as reader:
        async with database.transaction() as slow:
            await insert_outbox(slow, 1, 1, b"slow")
            async with database.transaction() as fast:
                await insert_outbox(fast, 2, 1, b"fast")
            assert await read_outbox(reader, 0, 10) == ([], True)  # the slow one's id is smaller
        rows, has_more = await read_outbox(reader, 0, 10)
        assert ([row.payload for row in rows], has_more) == ([b"slow", b"fast"], False)


async def test_reading_ends_before_a_message_that_an_older_transaction_may_still_precede(
    database: Database,
) -> None:
    async with database.connection() as reader, database.transaction() as first_begun:
        await first_begun.execute("SELECT pg_current_xact_id()")  # begun, and older than what follows
        async with database.transaction() as early:
            await early.execute("SELECT pg_current_xact_id()")
            async with database.transaction() as late:
                await insert_outbox(late, 1, 1, b"smaller id, later transaction")
            await insert_outbox(early, 2, 1, b"greater id, earlier transaction")
        assert await read_outbox(reader, 0, 10) == ([], True)
