"""A list of rows that can be paged through and exported: trades, records.

`Listing` tells the service how such rows are read, counted and shown; everything else is the same for all.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeAlias, TypeVar

import msgspec

from exchange.kit.clock import us_of
from exchange.kit.database import Connection, Record
from exchange.oversight import event_rules, rules, store
from exchange.oversight.event_models import EventFilter, EventRow
from exchange.oversight.models import Place, RowOrder, TradeFilter, TradeRow

F = TypeVar("F")
P = TypeVar("P")
R = TypeVar("R", bound=msgspec.Struct)

Pager: TypeAlias = Callable[[Connection, F, RowOrder, P | None, int], Awaitable[list[Record]]]
Reader: TypeAlias = Callable[[Connection, F, P | None, int | None, int], AsyncIterator[Record]]


class Listing(msgspec.Struct, Generic[F, P, R], frozen=True):
    """How rows of a kind are read: by a filter `F`, after a place `P`, shown as `R`."""

    newest_first: "Reader[F, P]"
    oldest_first: "Reader[F, P]"
    count: Callable[[Connection, F], Awaitable[int]]
    place: Callable[[Record], P]
    view: Callable[[Record], R]
    row_type: type[R]
    pager: "Pager[F, P] | None" = None
    """How a page is read, where that is not by the cursor that files are read by."""

    def read(
        self,
        connection: Connection,
        wanted: F,
        order: RowOrder,
        after: P | None,
        limit: int | None,
        rows_at_once: int,
    ) -> AsyncIterator[Record]:
        """Yield rows after a place, in an order, by a server-side cursor; needs a transaction."""
        read = self.oldest_first if order is RowOrder.OLDEST_FIRST else self.newest_first
        return read(connection, wanted, after, limit, rows_at_once)

    async def page(
        self, connection: Connection, wanted: F, order: RowOrder, after: P | None, limit: int
    ) -> list[Record]:
        """Return up to `limit` rows after a place, in an order; needs a transaction."""
        await store.plan_each_time(connection)
        if self.pager is not None:
            return await self.pager(connection, wanted, order, after, limit)
        return [row async for row in self.read(connection, wanted, order, after, limit, limit)]


async def page_of_trades(
    connection: Connection, wanted: TradeFilter, order: RowOrder, after: Place | None, limit: int
) -> list[Record]:
    """Find a page's trades in their own table, planned for the filter, then read them with all about them.

    Trades are never changed, and none goes: what was found is read.
    """
    find = store.trade_ids_oldest_first if order is RowOrder.OLDEST_FIRST else store.trade_ids_newest_first
    trade_ids = await find(connection, wanted, after, limit)
    await store.plan_once(connection)
    trades = await store.trades_by_ids(connection, trade_ids)
    return [trades[each] for each in trade_ids]


TRADES: Listing[TradeFilter, Place, TradeRow] = Listing(
    store.trades_newest_first,
    store.trades_oldest_first,
    store.count_trades,
    lambda row: Place(us_of(row["traded_at"]), row["id"]),
    rules.trade_row,
    TradeRow,
    page_of_trades,
)
EVENTS: Listing[EventFilter, int, EventRow] = Listing(
    store.events_newest_first,
    store.events_oldest_first,
    store.count_events,
    lambda row: int(row["id"]),
    event_rules.event_row,
    EventRow,
)
