"""What oversight reads: one typed function for each named query. It writes nothing but audit records."""

from collections.abc import AsyncIterator
from typing import Any

from exchange.kit.database import Connection, Record, from_us
from exchange.kit.queries import load_queries
from exchange.oversight.models import Found, Place, TradeFilter, Wanted

QUERIES = load_queries("exchange.oversight")

_NAMES = ("product", "accelerator", "hub", "participant", "buyer", "provider", "trade_group", "programme")


async def plan_each_time(connection: Connection) -> None:
    """Let the planner see the filters of every statement of this transaction."""
    await connection.execute(QUERIES.plan_each_time)


async def resolve_names(connection: Connection, wanted: Wanted) -> Found:
    """Return what the names in a filter stand for."""
    row = await connection.fetchrow(
        QUERIES.resolve_names,
        wanted.product_id,
        wanted.accelerator_id,
        wanted.origin,
        wanted.hub_code,
        wanted.participant_id,
        wanted.buyer_id,
        wanted.provider_id,
        wanted.trade_group_id,
        wanted.programme_id,
    )
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    return Found(
        product_ids=tuple(row["product_ids"]),
        group_member_ids=tuple(row["group_member_ids"]),
        is_known={name: row[name] for name in _NAMES},
    )


def _arguments(wanted: TradeFilter, after: Place | None, limit: int | None) -> tuple[Any, ...]:
    return (
        None if wanted.traded_from_us is None else from_us(wanted.traded_from_us),
        None if wanted.traded_until_us is None else from_us(wanted.traded_until_us),
        wanted.product_ids,
        wanted.participant_id,
        wanted.group_member_ids,
        wanted.buyer_id,
        wanted.provider_id,
        wanted.aggressor,
        wanted.price_ticks_min,
        wanted.price_ticks_max,
        wanted.programme_id,
        wanted.is_voucher_funded,
        None if after is None else from_us(after.traded_at_us),
        None if after is None else after.trade_id,
        limit,
    )


async def trades_newest_first(
    connection: Connection, wanted: TradeFilter, after: Place | None, limit: int | None, rows_at_once: int
) -> AsyncIterator[Record]:
    """Yield trades by a server-side cursor, `rows_at_once` at a time; needs a transaction."""
    async for row in connection.cursor(
        QUERIES.trades_newest_first, *_arguments(wanted, after, limit), prefetch=rows_at_once
    ):
        yield row


async def trades_oldest_first(
    connection: Connection, wanted: TradeFilter, after: Place | None, limit: int | None, rows_at_once: int
) -> AsyncIterator[Record]:
    """Yield trades by a server-side cursor, `rows_at_once` at a time; needs a transaction."""
    async for row in connection.cursor(
        QUERIES.trades_oldest_first, *_arguments(wanted, after, limit), prefetch=rows_at_once
    ):
        yield row


async def order_by_id(connection: Connection, order_id: int) -> Record | None:
    """Return an order with its owner, or None."""
    return await connection.fetchrow(QUERIES.order_by_id, order_id)


async def steps_of_order(connection: Connection, order_id: int) -> list[Record]:
    """Return every audit record of an order."""
    return await connection.fetch(QUERIES.steps_of_order, order_id)


async def trades_of_order(connection: Connection, order_id: int) -> list[Record]:
    """Return the trades of an order, oldest first."""
    return await connection.fetch(QUERIES.trades_of_order, order_id)
