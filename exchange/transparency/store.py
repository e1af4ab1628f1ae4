"""What the transparency log keeps and reads in the database: one typed function for each named query."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.transparency.models import Block, SealStanding
from exchange.transparency.records import select_list

QUERIES = load_queries("exchange.transparency")

LAST_XACT: Final = str(2**64 - 1)
"""Above every transaction there can be."""
_LIST: Final = "select_list"


def _block(row: Record) -> Block:
    return Block(
        first_position=row["first_position"],
        size=row["size"],
        from_xact=row["from_xact"],
        until_xact=row["until_xact"],
        form=row["form"],
        hashes=row["hashes"],
        root=row["root"],
        note=row["note"],
        sealed_at_us=to_us(row["sealed_at"]),
    )


async def claim_sealing(connection: Connection) -> bool:
    """Whether this transaction may seal."""
    may: bool = await connection.fetchval(QUERIES.claim_sealing)
    return may


async def canonical_records(
    connection: Connection, form: int, from_xact: str, until_xact: str
) -> list[bytes]:
    """Return the records of some transactions in a form, in the order in which they are sealed."""
    statement = QUERIES.canonical_records.replace(_LIST, select_list(form))
    return [row[0] for row in await connection.fetch(statement, from_xact, until_xact)]


async def walk_records(
    connection: Connection, form: int, from_xact: str, until_xact: str, records: int
) -> AsyncIterator[list[bytes]]:
    """Yield the same, some at a time, by a server-side cursor; needs a transaction."""
    statement = QUERIES.canonical_records.replace(_LIST, select_list(form))
    cursor = await connection.cursor(statement, from_xact, until_xact)
    while rows := await cursor.fetch(records):
        yield [row[0] for row in rows]


async def canonical_of_trade(connection: Connection, form: int, trade_id: int) -> list[bytes]:
    """Return the records of a trade in a form, in the order in which they are sealed."""
    statement = QUERIES.canonical_of_trade.replace(_LIST, select_list(form))
    return [row[0] for row in await connection.fetch(statement, trade_id)]


async def count_records(connection: Connection, from_xact: str, until_xact: str) -> int:
    """Return how many records some transactions have written."""
    count: int = await connection.fetchval(QUERIES.count_records, from_xact, until_xact)
    return count


async def count_before(connection: Connection, from_xact: str, place: tuple[int, int]) -> int:
    """Return how many records there are from a transaction on and before a record's place."""
    xact_id, record_id = place
    count: int = await connection.fetchval(QUERIES.count_before, from_xact, str(xact_id), record_id)
    return count


async def insert_block(connection: Connection, block: Block) -> None:
    """Add a block; raises `UniqueViolation` where one begins there already."""
    await connection.execute(
        QUERIES.insert_block,
        block.first_position,
        block.size,
        block.from_xact,
        block.until_xact,
        block.form,
        block.hashes,
        block.root,
        block.note,
        from_us(block.sealed_at_us),
    )


async def last_block(connection: Connection) -> Block | None:
    """Return the latest block without its hashes, None before the first."""
    row = await connection.fetchrow(QUERIES.last_block)
    return None if row is None else _block(row)


async def blocks_from(connection: Connection, position: int, limit: int) -> list[Block]:
    """Return blocks with their hashes that have a position or come after it."""
    return [_block(row) for row in await connection.fetch(QUERIES.blocks_from, position, limit)]


async def outlines_from(connection: Connection, position: int, limit: int) -> list[Block]:
    """Return blocks without their hashes that have a position or come after it."""
    return [_block(row) for row in await connection.fetch(QUERIES.outlines_from, position, limit)]


async def block_of_size(connection: Connection, size: int) -> Block | None:
    """Return the block that ends at a size, without its hashes."""
    row = await connection.fetchrow(QUERIES.block_of_size, size)
    return None if row is None else _block(row)


async def transactions_on_record(connection: Connection) -> tuple[int, int]:
    """Return the last transaction that is on record, 0 before the first, and the server's next one."""
    row = await connection.fetchrow(QUERIES.transactions_on_record)
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    return int(row["recorded"] or 0), int(row["next"])


async def block_of_transaction(connection: Connection, xact_id: int) -> Block | None:
    """Return the block that has a transaction's records, without its hashes; None where it is not sealed."""
    row = await connection.fetchrow(QUERIES.block_of_transaction, str(xact_id))
    return None if row is None else _block(row)


async def stored_hashes(connection: Connection, places: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the hashes of nodes, each by the leaf that completes it and its place among all stored ones."""
    rows = await connection.fetch(
        QUERIES.stored_hashes, [leaf for leaf, _ in places], [index for _, index in places]
    )
    return [row["hash"] for row in rows]


async def standing(connection: Connection, counted_max: int) -> SealStanding:
    """Return how far the log goes, and how many records it has not yet, counted to a limit."""
    row = await connection.fetchrow(QUERIES.standing, counted_max)
    if row is None:
        raise AssertionError("what is joined to one row is one row at least")
    sealed_at = row["sealed_at"]
    return SealStanding(
        size=row["size"],
        sealed_at_us=None if sealed_at is None else to_us(sealed_at),
        unsealed_records=row["unsealed_records"],
    )


async def keys(connection: Connection) -> list[Record]:
    """Return the keys of the log, the latest last."""
    return await connection.fetch(QUERIES.keys)


async def lock_keys(connection: Connection) -> None:
    """Let nobody else add a key until the transaction ends."""
    await connection.execute(QUERIES.lock_keys)


async def wait_to_seal(connection: Connection) -> None:
    """Let nobody seal until the transaction ends; waits for whoever does."""
    await connection.execute(QUERIES.wait_to_seal)


async def insert_key(
    connection: Connection,
    origin: str,
    public_key: bytes,
    begun_at_us: int,
    endorsement: bytes | None = None,
    acceptance: bytes | None = None,
    after: tuple[int, bytes] | None = None,
) -> None:
    """Add a key; with the signatures between it and the one before, where one is.

    `after` is of one in the place of a lost key: size and digest of the last checkpoint before it.
    """
    after_size, after_digest = after or (None, None)
    await connection.execute(
        QUERIES.insert_key,
        origin,
        public_key,
        endorsement,
        acceptance,
        from_us(begun_at_us),
        after_size,
        after_digest,
    )
