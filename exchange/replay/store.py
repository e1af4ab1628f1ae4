"""The replay's queries, one typed function each. They read across domains for a report, and write nothing."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from exchange.kit.database import Connection, from_us
from exchange.kit.queries import load_queries

_queries: Final = load_queries(__package__)
_JOURNAL_PAGE_ROWS: Final = 5_000


class OrderCount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Orders of one side, status and reason. GPU-hours of a bid are of its run, of an ask of its window."""

    side: str
    status: str
    reason: str
    orders: int
    gpu_hours: int
    filled_gpu_hours: int


class AskSales(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an ask offered and what two tables say it sold."""

    order_id: int
    offered_gpu_hours: int
    filled_gpu_hours: int
    leased_gpu_hours: int


class TradeTotals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All fills together; `limit_fen` is what they would have cost at their bids' limits."""

    fills: int
    gpu_hours: int
    paid_fen: int
    limit_fen: int


class AssetNet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all balances of an asset come to."""

    asset: str
    posted_fen: int
    pending_fen: int


async def products_of_orders_since(connection: Connection, since_us: int) -> dict[str, str]:
    """Return the product of each order placed at or after a time, by client order id."""
    rows = await connection.fetch(_queries.products_of_orders_since, from_us(since_us))
    return {row["client_order_id"]: row["product_id"] for row in rows}


async def first_key_of_participant(connection: Connection, participant_id: int) -> int | None:
    """Return the oldest live key of a participant."""
    key_id: int | None = await connection.fetchval(_queries.first_key_of_participant, participant_id)
    return key_id


async def order_counts(connection: Connection) -> list[OrderCount]:
    """Return the orders, counted."""
    return [OrderCount(**row) for row in await connection.fetch(_queries.order_counts)]


async def sold_by_ask(connection: Connection) -> list[AskSales]:
    """Return each accepted ask's offer and sales."""
    return [
        AskSales(
            order_id=row["id"],
            offered_gpu_hours=row["offered_gpu_hours"],
            filled_gpu_hours=row["filled_gpu_hours"],
            leased_gpu_hours=row["leased_gpu_hours"],
        )
        for row in await connection.fetch(_queries.sold_by_ask)
    ]


async def trade_totals(connection: Connection) -> TradeTotals:
    """Return the fills, summed."""
    row = await connection.fetchrow(_queries.trade_totals)
    if row is None:
        raise AssertionError("an aggregate gives one row")
    return TradeTotals(**row)


async def runs_of_filled_bids(connection: Connection) -> dict[str, int]:
    """Return the hour at which each filled bid's run began, by client order id."""
    rows = await connection.fetch(_queries.runs_of_filled_bids)
    return {row["client_order_id"]: row["run_starts_hour"] for row in rows}


async def journal_events(connection: Connection) -> AsyncIterator[bytes]:
    """Yield the encoded events of every command, in order."""
    after = (0, 0)
    while rows := await connection.fetch(_queries.journal_events, *after, _JOURNAL_PAGE_ROWS):
        for row in rows:
            yield row["events"]
        after = (rows[-1]["partition_id"], rows[-1]["sequence"])


async def net_by_asset(connection: Connection) -> list[AssetNet]:
    """Return what each asset's balances come to."""
    return [AssetNet(**row) for row in await connection.fetch(_queries.net_by_asset)]
