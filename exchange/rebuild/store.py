"""The record to rebuild from, and what is stored to compare with. All of it is streamed; needs a transaction.

`STORED` has the tables that are compared, each with how many of its first columns say which row it is.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.orders.journal import journal_row
from exchange.orders.models import JournalRow
from exchange.rebuild.models import AccountName, Moved, Recorded

QUERIES = load_queries("exchange.rebuild")
ROWS_AT_ONCE: Final = 2_000

_DETAIL: Final = msgspec.json.Decoder(dict[str, Any])


def _until(at_us: int | None) -> object:
    return None if at_us is None else from_us(at_us)


async def account_names(connection: Connection) -> dict[int, AccountName]:
    """Return the name of every account, by its id."""
    rows = await connection.fetch(QUERIES.account_names)
    return {row["id"]: AccountName(*list(row.values())[1:]) for row in rows}


async def validity_days(connection: Connection) -> dict[tuple[int, int], int]:
    """Return for how many days vouchers are good, by programme and version of its rules."""
    rows = await connection.fetch(QUERIES.validity_days)
    return {(row["programme_id"], row["version"]): row["validity_days"] for row in rows}


async def row_counts(connection: Connection) -> dict[str, int]:
    """Return about how many rows each table of the record has."""
    return {row["relname"]: row["about"] for row in await connection.fetch(QUERIES.row_counts)}


async def books_stored(connection: Connection) -> list[tuple[int, str, int]]:
    """Return the partition, product and sequence of every stored book."""
    return [tuple(row.values()) for row in await connection.fetch(QUERIES.books_stored)]


async def record(connection: Connection, codes: list[str], at_us: int | None) -> AsyncIterator[Recorded]:
    """Yield the steps with some codes up to a time."""
    async for row in connection.cursor(QUERIES.record, codes, _until(at_us), prefetch=ROWS_AT_ONCE):
        yield Recorded(
            id=row["id"],
            code=row["code"],
            at_us=to_us(row["event_at"]),
            partition_id=row["partition_id"],
            sequence=row["sequence"],
            event_index=row["event_index"],
            participant_id=row["participant_id"] or 0,
            trade_group_id=row["trade_group_id"],
            key_id=row["key_id"] or 0,
            product_id=row["product_id"] or "",
            order_id=row["order_id"] or 0,
            trade_id=row["trade_id"] or 0,
            subject_id=row["subject_id"] or 0,
            detail=_DETAIL.decode(row["detail"]),
        )


async def journal(connection: Connection, at_us: int | None) -> AsyncIterator[tuple[int, JournalRow]]:
    """Yield each partition's journal up to a time, with the partition."""
    async for row in connection.cursor(QUERIES.journal, _until(at_us), prefetch=ROWS_AT_ONCE):
        yield (
            row["partition_id"],
            journal_row(row),
        )


async def transfers(connection: Connection, at_us: int | None) -> AsyncIterator[Moved]:
    """Yield every transfer up to a time."""
    async for row in connection.cursor(QUERIES.transfers, _until(at_us), prefetch=ROWS_AT_ONCE):
        yield Moved(*row.values())


async def stored_books(connection: Connection) -> AsyncIterator[Record]:
    """Yield every stored book."""
    async for row in connection.cursor(QUERIES.stored_books, prefetch=10):
        yield row


class StoredTable(msgspec.Struct, frozen=True):
    """A table that the record adds up to."""

    name: str
    keys: int
    query: str


STORED: Final = (
    StoredTable("ledger_account", 1, QUERIES.stored_ledger_account),
    StoredTable("orders", 1, QUERIES.stored_orders),
    StoredTable("resting", 1, QUERIES.stored_resting),
    StoredTable("order_hold", 2, QUERIES.stored_order_hold),
    StoredTable("trade", 1, QUERIES.stored_trade),
    StoredTable("lease", 1, QUERIES.stored_lease),
    StoredTable("ask_load", 3, QUERIES.stored_ask_load),
    StoredTable("lease_funding", 2, QUERIES.stored_lease_funding),
    StoredTable("voucher_capture", 3, QUERIES.stored_voucher_capture),
    StoredTable("programme", 1, QUERIES.stored_programme),
    StoredTable("programme_version", 2, QUERIES.stored_programme_version),
    StoredTable("programme_year_use", 3, QUERIES.stored_programme_year_use),
    StoredTable("programme_use", 3, QUERIES.stored_programme_use),
    StoredTable("voucher", 1, QUERIES.stored_voucher),
    StoredTable("claim", 1, QUERIES.stored_claim),
    StoredTable("application", 1, QUERIES.stored_application),
    StoredTable("trade_group", 1, QUERIES.stored_trade_group),
    StoredTable("participant", 1, QUERIES.stored_participant),
    StoredTable("list_price", 3, QUERIES.stored_list_price),
    StoredTable("alert_rules", 1, QUERIES.stored_alert_rules),
    StoredTable("partition_head", 1, QUERIES.stored_partition_head),
)
"""`resting` is the live orders of `orders` once more, as the books should have them."""
