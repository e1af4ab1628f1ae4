"""How far the audit trail can be read by transactions so that nothing comes in behind.

A record's number is given out before its commit, so a smaller one can come later; but once every transaction
before one is over, nothing of theirs can. Whoever keeps as its position the first transaction that it has not
read reads each record once, whenever it stops. Transactions are numbers as text.
"""

from typing import Final, NamedTuple

from exchange.kit.database import Connection

FIRST_XACT: Final = "0"
"""Before every transaction there can be."""
EPOCH_BITS: Final = 32
"""A transaction's number has its epoch above so many bits."""

_WHOLE: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::TEXT AS over_until,
    pg_snapshot_xmax(pg_current_snapshot()) < $1::TEXT::XID8 AS is_to_come, EXISTS (
    SELECT FROM audit_record
    WHERE xact_id >= $1::TEXT::XID8 AND xact_id < pg_snapshot_xmin(pg_current_snapshot())
) AS is_any, EXISTS (SELECT FROM audit_record WHERE xact_id >= $1::TEXT::XID8) AS is_waiting, (
    SELECT xact_id::TEXT FROM audit_record
    WHERE xact_id >= $1::TEXT::XID8 AND xact_id < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY audit_record.xact_id  -- the number, and not its text
    OFFSET $2 LIMIT 1
) AS enough_at"""


class Whole(NamedTuple):
    """Up to before which transaction to read on, None where nothing can be; and whether so many are there.

    `is_waiting` tells that there are records to come, of transactions that may not be over; `is_to_come` that
    what is asked for is after transactions which there have not been yet.
    """

    until_xact: str | None
    is_full: bool
    is_waiting: bool
    is_to_come: bool


async def whole_until(connection: Connection, from_xact: str, records: int) -> Whole:
    """Return up to where to read from a transaction on, about so many records at a time.

    A transaction is read whole, so there may be more of them.
    """
    row = await connection.fetchrow(_WHOLE, from_xact, records - 1)
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    enough_at = row["enough_at"]
    over_until = row["over_until"] if row["is_any"] else None
    return Whole(
        over_until if enough_at is None else str(int(enough_at) + 1),
        is_full=enough_at is not None,
        is_waiting=row["is_waiting"],
        is_to_come=row["is_to_come"],
    )
