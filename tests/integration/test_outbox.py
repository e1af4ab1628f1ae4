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
        first = await read_outbox(connection, 0, 3)
        rest = await read_outbox(connection, first[-1].id, 100)
        await delete_outbox(connection, first[-1].id)
        left = await read_outbox(connection, 0, 100)
    assert [row.payload for row in [*first, *rest]] == [b"payload %d" % sequence for sequence in range(1, 6)]
    assert list(left) == list(rest)


async def test_a_rolled_back_message_is_never_read(database: Database) -> None:
    with pytest.raises(LookupError):
        async with database.transaction() as connection:
            await insert_outbox(connection, 1, 1, b"never")
            raise LookupError
    async with database.connection() as connection:
        assert list(await read_outbox(connection, 0, 10)) == []


async def test_no_message_is_skipped_when_a_smaller_id_commits_after_a_greater_one(
    database: Database,
) -> None:
    async with database.connection() as reader:
        async with database.transaction() as slow:
            await insert_outbox(slow, 1, 1, b"slow")
            async with database.transaction() as fast:
                await insert_outbox(fast, 2, 1, b"fast")
            assert list(await read_outbox(reader, 0, 10)) == []  # the slow one's id is smaller
        assert [row.payload for row in await read_outbox(reader, 0, 10)] == [b"slow", b"fast"]
