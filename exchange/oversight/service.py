"""What a regulator may ask of trades and records: pages and whole files.

Pages and exports walk the trades by (venue time, id) and the records by number: a row's place never changes,
so a cursor is stable under inserts. All is read from one database, which may be a replica of the one that the
exchange writes: then an answer is as old as the replica is behind.

Known limits: with several partitions a trade can be committed a moment after one of another partition with a
later time, and a record after one with a higher number. Who pages oldest first up to the present may miss it:
ask with an end gone by. Records of one product only are looked for among those of all in the time asked for.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from exchange.kit.database import Database, unhurried
from exchange.kit.errors import Faults, Unavailable
from exchange.oversight import event_rules, rules, store
from exchange.oversight.event_models import EventFilter
from exchange.oversight.export import FileForm
from exchange.oversight.listing import Listing
from exchange.oversight.models import Found, RowOrder, TradeFilter, Wanted

EXPORTS_AT_ONCE: Final = 4
"""Each holds a connection of the pool for as long as its reader takes."""
CHUNK_ROWS: Final = 250

F = TypeVar("F")
P = TypeVar("P")
R = TypeVar("R", bound=msgspec.Struct)


class Export:
    """A file in the making: `chunks` are its bytes, of `total` rows; `rows` have gone into them so far."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.total = 0
        self.rows = 0
        self.is_whole = False
        self.chunks: AsyncGenerator[bytes, None]


class OversightService:
    """The regulators' read-only view of the venue."""

    def __init__(self, *, reads: Database) -> None:
        """Answer from `reads`."""
        self._reads = reads
        self._exports = asyncio.Semaphore(EXPORTS_AT_ONCE)

    async def trade_filter(self, given: Mapping[str, Any], faults: Faults) -> TradeFilter:
        """Return which trades a query's parameters mean; raises `InvalidInput` with all that is wrong."""
        return rules.filter_of(*await self._resolve(given, faults))

    async def event_filter(self, given: Mapping[str, Any], faults: Faults) -> EventFilter:
        """Return which records a query's parameters mean; raises `InvalidInput` with all that is wrong."""
        return event_rules.event_filter_of(*await self._resolve(given, faults))

    async def _resolve(self, given: Mapping[str, Any], faults: Faults) -> tuple[Wanted, Found]:
        wanted = rules.read_query(given, faults)
        async with self._reads.connection() as connection:
            found = await store.resolve_names(connection, wanted)
        rules.check_names(given, found, faults)
        faults.raise_if_any()
        return wanted, found

    async def page(
        self, listing: Listing[F, P, R], wanted: F, order: RowOrder, after: P | None, limit: int
    ) -> list[tuple[P, R]]:
        """Return up to `limit` rows after a place, each with its own place."""
        async with self._reads.transaction() as connection:
            rows = await listing.page(connection, wanted, order, after, limit)
        return [(listing.place(row), listing.view(row)) for row in rows]

    async def export(self, listing: Listing[F, P, R], wanted: F, order: RowOrder, form: FileForm) -> Export:
        """Return a file of every row that fits, as of the moment at which they are counted.

        The export has begun when this returns: whoever does not read it to its end must close it. Raises
        `Unavailable` at once while `EXPORTS_AT_ONCE` others run.
        """
        # Nothing is awaited between the look and the take: a semaphore that is free is had at once.
        if self._exports.locked():
            raise Unavailable(
                "overloaded", f"{EXPORTS_AT_ONCE} exports are running; ask again when one has ended"
            )
        export = Export()
        export.chunks = self._chunks(listing, wanted, order, form, export)
        await anext(export.chunks)
        return export

    async def _chunks(
        self, listing: Listing[F, P, R], wanted: F, order: RowOrder, form: FileForm, export: Export
    ) -> AsyncGenerator[bytes, None]:
        async with self._exports, self._reads.transaction(isolation="repeatable_read") as connection:
            await unhurried(connection)
            await store.plan_each_time(connection)
            export.total = await listing.count(connection, wanted)
            yield b""  # begun
            writer = form.writer(listing.row_type)
            if head := writer.head():
                yield head
            chunk: list[R] = []
            async for row in listing.read(connection, wanted, order, None, None, CHUNK_ROWS):
                chunk.append(listing.view(row))
                if len(chunk) == CHUNK_ROWS:
                    # In a thread: a group of Parquet, and a piece of a ZIP, take a while.
                    written = await asyncio.to_thread(writer.rows, chunk)
                    export.rows += len(chunk)
                    chunk = []
                    if written:
                        yield written
            export.rows += len(chunk)
            if rest := (writer.rows(chunk) if chunk else b"") + writer.end():
                yield rest
        export.is_whole = True
