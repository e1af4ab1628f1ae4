"""What a regulator may ask of the trades and orders. Every question is itself recorded before it is answered.

The record (code QURY) is committed in a transaction of its own, so it stands even where the answer never
arrives. Pages and exports walk the trades by (venue time, id): a row's place never changes, so a cursor is
stable under inserts.

Known limit: with several partitions a trade can be committed a moment after one of another partition with a
later time. Who pages oldest first up to the present may miss it: ask with a `traded_until` gone by.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.clock import Clock, us_of
from exchange.kit.database import Connection, Database, Record
from exchange.kit.errors import Faults, NotFound, Unavailable
from exchange.oversight import rules, store
from exchange.oversight.export import WRITERS
from exchange.oversight.models import (
    ExportFormat,
    OrderLife,
    Place,
    RowOrder,
    TradeFilter,
    TradeRow,
)

EXPORTS_AT_ONCE: Final = 4
"""Each holds a connection of the pool for as long as its reader takes."""
CHUNK_ROWS: Final = 250


class OversightService:
    """The regulators' read-only view of the venue."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._exports = asyncio.Semaphore(EXPORTS_AT_ONCE)

    async def filter_of(self, given: Mapping[str, Any], faults: Faults) -> TradeFilter:
        """Return what a query's parameters mean; raises `InvalidInput` with everything wrong with them."""
        wanted = rules.read_query(given, faults)
        async with self._database.connection() as connection:
            found = await store.resolve_names(connection, wanted)
        rules.check_names(given, found, faults)
        faults.raise_if_any()
        return rules.filter_of(wanted, found)

    async def record(self, principal: Principal, what: str, asked: Mapping[str, object]) -> None:
        """Write down who asks what."""
        record = AuditRecord(
            code="QURY",
            event_at_us=self._clock.now_us(),
            actor_participant_id=principal.participant_id,
            key_id=principal.key_id,
            participant_id=principal.participant_id,
            trade_group_id=principal.trade_group_id,
            detail={"query": what, **{name: value for name, value in asked.items() if value is not None}},
        )
        async with self._database.transaction() as connection:
            await insert_audit_records(connection, [record])

    async def page(
        self, wanted: TradeFilter, order: RowOrder, after: Place | None, limit: int
    ) -> list[tuple[Place, TradeRow]]:
        """Return up to `limit` trades after a place, each with its own place."""
        async with self._database.transaction() as connection:
            await store.plan_each_time(connection)
            return [
                (Place(us_of(row["traded_at"]), row["id"]), rules.trade_row(row))
                async for row in _trades(connection, wanted, order, after, limit, limit)
            ]

    async def export(
        self, wanted: TradeFilter, order: RowOrder, file_format: ExportFormat
    ) -> AsyncGenerator[bytes, None]:
        """Return the chunks of a file of every trade that fits, as of the moment its first row is read.

        The export has begun when this returns: whoever does not read it to its end must close it. Raises
        `Unavailable` at once while `EXPORTS_AT_ONCE` others run.
        """
        chunks = self._chunks(wanted, order, file_format)
        await anext(chunks)
        return chunks

    async def _chunks(
        self, wanted: TradeFilter, order: RowOrder, file_format: ExportFormat
    ) -> AsyncGenerator[bytes, None]:
        # Nothing is awaited between the look and the take: a semaphore that is free is had at once.
        if self._exports.locked():
            raise Unavailable(
                "overloaded", f"{EXPORTS_AT_ONCE} exports are running; ask again when one has ended"
            )
        head, write = WRITERS[file_format]
        async with self._exports, self._database.transaction(isolation="repeatable_read") as connection:
            await store.plan_each_time(connection)
            yield b""  # begun
            if head:
                yield head
            chunk: list[TradeRow] = []
            async for row in _trades(connection, wanted, order, None, None, CHUNK_ROWS):
                chunk.append(rules.trade_row(row))
                if len(chunk) == CHUNK_ROWS:
                    yield write(chunk)
                    chunk.clear()
            if chunk:
                yield write(chunk)

    async def order_life(self, order_id: int) -> OrderLife:
        """Return an order with every step it took and its trades; raises `NotFound`."""
        async with self._database.transaction(isolation="repeatable_read") as connection:
            order = await store.order_by_id(connection, order_id)
            if order is None:
                raise NotFound(detail="no such order")
            return OrderLife(
                order=rules.order_facts(order),
                steps=[rules.order_step(row) for row in await store.steps_of_order(connection, order_id)],
                trades=[rules.trade_row(row) for row in await store.trades_of_order(connection, order_id)],
            )


def _trades(
    connection: Connection,
    wanted: TradeFilter,
    order: RowOrder,
    after: Place | None,
    limit: int | None,
    rows_at_once: int,
) -> AsyncIterator[Record]:
    read = store.trades_oldest_first if order is RowOrder.OLDEST_FIRST else store.trades_newest_first
    return read(connection, wanted, after, limit, rows_at_once)
