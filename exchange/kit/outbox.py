"""The outbox: what must be told to the world, written in the transaction of what happened.

A relay reads rows in the order of their ids, publishes, and deletes. It may publish a row twice, never none.
"""

import itertools
from collections.abc import Sequence

import msgspec

from exchange.kit.bundle import Writer
from exchange.kit.database import Connection

_INSERT = (
    "INSERT INTO outbox (partition_id, sequence, payload, created_at) VALUES ($1, $2, $3, clock_timestamp())"
)

# Ids are drawn before commits, so a smaller id may become visible after a greater one. A row is therefore
# settled only when its transaction is older than all that are under way and could still add an id below it.
_READ = """
SELECT id, partition_id, sequence, payload,
    age(xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid) AS is_settled
FROM outbox
WHERE id > $1
ORDER BY id LIMIT $2"""

_DELETE = "DELETE FROM outbox WHERE id <= $1"


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message to the world: `sequence` orders it within its partition."""

    id: int
    partition_id: int
    sequence: int
    payload: bytes


async def insert_outbox(connection: Writer, partition_id: int, sequence: int, payload: bytes) -> None:
    """Add a message; it leaves with the transaction's commit."""
    await connection.execute(_INSERT, partition_id, sequence, payload)


async def read_outbox(connection: Connection, after_id: int, limit: int) -> tuple[Sequence[OutboxRow], bool]:
    """Return up to `limit` messages with ids above `after_id`, in order, and whether more are there.

    No later read finds one among them: reading ends before a message that another could still come before.
    Known limit: a writing transaction that stays open, in any database here, holds back what follows.
    """
    rows = await connection.fetch(_READ, after_id, limit)
    settled = [
        OutboxRow(
            id=row["id"],
            partition_id=row["partition_id"],
            sequence=row["sequence"],
            payload=row["payload"],
        )
        for row in itertools.takewhile(lambda row: row["is_settled"], rows)
    ]
    return settled, len(settled) < len(rows) or len(rows) == limit


async def delete_outbox(connection: Connection, through_id: int) -> None:
    """Delete the messages up to and with `through_id`, which must have come from `read_outbox`."""
    await connection.execute(_DELETE, through_id)
