"""What oversight reads: one typed function for each named query.

It writes what is derived from the record and nothing else: books as they stood, and summaries.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import date, datetime
from typing import Any

from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.orders.journal import journal_row
from exchange.orders.models import JournalRow
from exchange.oversight.arguments import moment, narrowing, paging
from exchange.oversight.event_models import EventFilter
from exchange.oversight.models import Found, Place, TradeFilter, Wanted
from exchange.oversight.report_models import Span

QUERIES = load_queries("exchange.oversight")

_NAMES = (
    *("product", "accelerator", "hub", "participant", "buyer", "provider", "trade_group", "programme"),
    *("region", "order_id"),
)


async def plan_each_time(connection: Connection) -> None:
    """Let the planner see the filters of every statement of this transaction."""
    await connection.execute(QUERIES.plan_each_time)


async def plan_once(connection: Connection) -> None:
    """Let the rest of this transaction use plans that are made once."""
    await connection.execute(QUERIES.plan_once)


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
        wanted.region,
        wanted.order_id,
    )
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    return Found(
        product_ids=tuple(row["product_ids"]),
        group_member_ids=tuple(row["group_member_ids"]),
        region_member_ids=tuple(row["region_member_ids"]),
        is_known={name: row[name] for name in _NAMES},
    )


def _narrowing_events(wanted: EventFilter) -> tuple[Any, ...]:
    return (
        moment(wanted.from_us),
        moment(wanted.until_us),
        wanted.product_ids,
        wanted.participant_id,
        wanted.group_member_ids,
        wanted.region_member_ids,
        wanted.order_id,
        wanted.side,
        wanted.code,
        wanted.price_ticks_min,
        wanted.price_ticks_max,
        wanted.programme_id,
        wanted.is_voucher_funded,
    )


async def trade_ids_newest_first(
    connection: Connection, wanted: TradeFilter, after: Place | None, limit: int
) -> list[int]:
    """Return the ids of trades before a place, newest first."""
    rows = await connection.fetch(QUERIES.trade_ids_newest_first, *paging(wanted, after, limit))
    return [row["id"] for row in rows]


async def trade_ids_oldest_first(
    connection: Connection, wanted: TradeFilter, after: Place | None, limit: int
) -> list[int]:
    """Return the ids of trades after a place, oldest first."""
    rows = await connection.fetch(QUERIES.trade_ids_oldest_first, *paging(wanted, after, limit))
    return [row["id"] for row in rows]


async def trades_by_ids(connection: Connection, trade_ids: Collection[int]) -> dict[int, Record]:
    """Return some trades by their ids."""
    rows = await connection.fetch(QUERIES.trades_by_ids, list(trade_ids))
    return {row["id"]: row for row in rows}


async def trades_newest_first(
    connection: Connection, wanted: TradeFilter, after: Place | None, limit: int | None, rows_at_once: int
) -> AsyncIterator[Record]:
    """Yield trades by a server-side cursor, `rows_at_once` at a time; needs a transaction."""
    async for row in connection.cursor(
        QUERIES.trades_newest_first, *paging(wanted, after, limit), prefetch=rows_at_once
    ):
        yield row


async def trades_oldest_first(
    connection: Connection, wanted: TradeFilter, after: Place | None, limit: int | None, rows_at_once: int
) -> AsyncIterator[Record]:
    """Yield trades by a server-side cursor, `rows_at_once` at a time; needs a transaction."""
    async for row in connection.cursor(
        QUERIES.trades_oldest_first, *paging(wanted, after, limit), prefetch=rows_at_once
    ):
        yield row


async def count_trades(connection: Connection, wanted: TradeFilter) -> int:
    """Return how many trades fit a filter."""
    found: int = await connection.fetchval(QUERIES.count_trades, *narrowing(wanted))
    return found


async def events_newest_first(
    connection: Connection, wanted: EventFilter, after: int | None, limit: int | None, rows_at_once: int
) -> AsyncIterator[Record]:
    """Yield records by a server-side cursor, `rows_at_once` at a time; needs a transaction."""
    arguments = (*_narrowing_events(wanted), after, limit)
    async for row in connection.cursor(QUERIES.events_newest_first, *arguments, prefetch=rows_at_once):
        yield row


async def events_oldest_first(
    connection: Connection, wanted: EventFilter, after: int | None, limit: int | None, rows_at_once: int
) -> AsyncIterator[Record]:
    """Yield records by a server-side cursor, `rows_at_once` at a time; needs a transaction."""
    arguments = (*_narrowing_events(wanted), after, limit)
    async for row in connection.cursor(QUERIES.events_oldest_first, *arguments, prefetch=rows_at_once):
        yield row


async def count_events(connection: Connection, wanted: EventFilter) -> int:
    """Return how many records fit a filter."""
    found: int = await connection.fetchval(QUERIES.count_events, *_narrowing_events(wanted))
    return found


async def order_by_id(connection: Connection, order_id: int) -> Record | None:
    """Return an order with its owner, or None."""
    return await connection.fetchrow(QUERIES.order_by_id, order_id)


async def steps_of_order(connection: Connection, order_id: int, since: datetime) -> list[Record]:
    """Return every audit record of an order that came at that time."""
    return await connection.fetch(QUERIES.steps_of_order, order_id, since)


async def trades_of_order(connection: Connection, order_id: int) -> list[Record]:
    """Return the trades of an order, oldest first."""
    return await connection.fetch(QUERIES.trades_of_order, order_id)


async def trade_by_id(connection: Connection, trade_id: int) -> Record | None:
    """Return a trade with how far its hours are settled, or None."""
    return await connection.fetchrow(QUERIES.trade_by_id, trade_id)


async def steps_of_trade(connection: Connection, trade_id: int, since: datetime) -> list[Record]:
    """Return every audit record of a trade that was made at that time, and of its lease."""
    return await connection.fetch(QUERIES.steps_of_trade, trade_id, since)


async def funding_of_trade(connection: Connection, trade_id: int) -> list[Record]:
    """Return where a trade's money came from, cash first."""
    return await connection.fetch(QUERIES.funding_of_trade, trade_id)


async def outages_of_trade(connection: Connection, trade_id: int) -> list[Record]:
    """Return the hours of a trade that were reported as failed."""
    return await connection.fetch(QUERIES.outages_of_trade, trade_id)


async def captures_of_trade(connection: Connection, trade_id: int) -> list[Record]:
    """Return what vouchers paid for a trade's delivered hours."""
    return await connection.fetch(QUERIES.captures_of_trade, trade_id)


async def voucher_by_id(connection: Connection, voucher_id: int) -> Record | None:
    """Return a voucher with its programme and buyer, or None."""
    return await connection.fetchrow(QUERIES.voucher_by_id, voucher_id)


async def steps_of_voucher(connection: Connection, voucher_id: int) -> list[Record]:
    """Return every step of a voucher."""
    return await connection.fetch(QUERIES.steps_of_voucher, voucher_id)


async def movements_of_voucher(
    connection: Connection, account_ids: Collection[int], after_id: int, limit: int
) -> list[Record]:
    """Return what moved on some accounts after a transfer, oldest first."""
    return await connection.fetch(QUERIES.movements_of_voucher, list(account_ids), after_id, limit)


async def partition_head(connection: Connection, partition_id: int) -> Record | None:
    """Return where a partition stands and when its journal begins; None before its first leader."""
    return await connection.fetchrow(QUERIES.partition_head, partition_id)


async def last_mark(connection: Connection, partition_id: int, sequence: int) -> Record | None:
    """Return a partition's last mark at or before a sequence."""
    return await connection.fetchrow(QUERIES.last_mark, partition_id, sequence)


async def sequence_at(
    connection: Connection, partition_id: int, at_us: int, head_sequence: int
) -> int | None:
    """Return the last command of a partition at or before a time."""
    found: int | None = await connection.fetchval(
        QUERIES.sequence_at, partition_id, from_us(at_us), head_sequence
    )
    return found


async def stored_books(
    connection: Connection, product_ids: Collection[str], sequence: int
) -> dict[str, bytes]:
    """Return the latest stored books of some products at or before a mark; none of one that has none yet."""
    rows = await connection.fetch(QUERIES.stored_books, list(product_ids), sequence)
    return {row["product_id"]: row["book"] for row in rows}


async def commands_between(
    connection: Connection,
    partition_id: int,
    after_sequence: int,
    through_sequence: int,
    product_id: str | None = None,
) -> list[JournalRow]:
    """Return a partition's journal between two sequences, oldest first; of one product, or of all."""
    return [
        journal_row(row)
        for row in await connection.fetch(
            QUERIES.commands_between, partition_id, after_sequence, through_sequence, product_id
        )
    ]


async def claim_marking(connection: Connection, partition_id: int) -> bool:
    """Whether this transaction may mark the books of a partition."""
    may: bool = await connection.fetchval(QUERIES.claim_marking, partition_id)
    return may


async def insert_mark(
    connection: Connection, partition_id: int, last: JournalRow, books: Mapping[str, bytes]
) -> None:
    """Store a mark after a command, with the encoded books that changed since the one before it."""
    await connection.execute(
        QUERIES.insert_mark,
        partition_id,
        last.sequence,
        from_us(last.event_at_us),
        last.hash,
        list(books),
        list(books.values()),
    )


async def names_of_participants(connection: Connection, participant_ids: Collection[int]) -> dict[int, str]:
    """Return the names of some participants."""
    rows = await connection.fetch(QUERIES.names_of_participants, list(participant_ids))
    return {row["id"]: row["name"] for row in rows}


async def client_ids_of_orders(connection: Connection, order_ids: Collection[int]) -> dict[int, str]:
    """Return the client order ids of some orders."""
    rows = await connection.fetch(QUERIES.client_ids_of_orders, list(order_ids))
    return {row["id"]: row["client_order_id"] for row in rows}


async def questions(
    connection: Connection, participant_id: int | None, before_id: int, limit: int
) -> list[Record]:
    """Return questions before a record's id, newest first, with their answers."""
    return await connection.fetch(QUERIES.questions, participant_id, before_id, limit)


async def time_of_command(connection: Connection, partition_id: int, sequence: int) -> int | None:
    """Return when a command of a partition was committed; None where there is no such one."""
    event_at = await connection.fetchval(QUERIES.time_of_command, partition_id, sequence)
    return None if event_at is None else to_us(event_at)


async def claim_position(connection: Connection) -> Record | None:
    """Return how far the record is summed up, locked; None while another process goes on from there."""
    return await connection.fetchrow(QUERIES.claim_position)


async def hold_position(connection: Connection) -> str:
    """Return up to which transaction the record is summed up, and let nobody go on."""
    xact: str = await connection.fetchval(QUERIES.hold_position)
    return xact


async def read_position(connection: Connection) -> Record | None:
    """Return how far the record is summed up."""
    return await connection.fetchrow(QUERIES.read_position)


async def move_position(connection: Connection, from_xact: str, until_xact: str) -> None:
    """Say that the record is summed up until before a transaction."""
    await connection.execute(QUERIES.move_position, from_xact, until_xact)


async def sum_trades(connection: Connection, from_xact: str, until_xact: str) -> None:
    """Add the trades of some transactions."""
    await connection.execute(QUERIES.sum_trades, from_xact, until_xact)


async def clear_trades(connection: Connection) -> None:
    """Begin that summary anew."""
    await connection.execute(QUERIES.clear_trades)


async def all_trades(connection: Connection) -> list[Record]:
    """Return every row of that summary."""
    return await connection.fetch(QUERIES.all_trades)


async def sum_bids(connection: Connection, from_xact: str, until_xact: str) -> None:
    """Add the bids that ended of some transactions."""
    await connection.execute(QUERIES.sum_bids, from_xact, until_xact)


async def clear_bids(connection: Connection) -> None:
    """Begin that summary anew."""
    await connection.execute(QUERIES.clear_bids)


async def all_bids(connection: Connection) -> list[Record]:
    """Return every row of that summary."""
    return await connection.fetch(QUERIES.all_bids)


async def sum_refusals(connection: Connection, from_xact: str, until_xact: str) -> None:
    """Add the vouchers that could not pay of some transactions."""
    await connection.execute(QUERIES.sum_refusals, from_xact, until_xact)


async def clear_refusals(connection: Connection) -> None:
    """Begin that summary anew."""
    await connection.execute(QUERIES.clear_refusals)


async def all_refusals(connection: Connection) -> list[Record]:
    """Return every row of that summary."""
    return await connection.fetch(QUERIES.all_refusals)


async def sum_programmes(connection: Connection, from_xact: str, until_xact: str) -> None:
    """Add the movements of programmes' money of some transactions."""
    await connection.execute(QUERIES.sum_programmes, from_xact, until_xact)


async def clear_programmes(connection: Connection) -> None:
    """Begin that summary anew."""
    await connection.execute(QUERIES.clear_programmes)


async def all_programmes(connection: Connection) -> list[Record]:
    """Return every row of that summary."""
    return await connection.fetch(QUERIES.all_programmes)


async def sum_capacity(connection: Connection, from_xact: str, until_xact: str) -> None:
    """Add the GPU-hours held, delivered, failed and idle of some transactions."""
    await connection.execute(QUERIES.sum_capacity, from_xact, until_xact)


async def clear_capacity(connection: Connection) -> None:
    """Begin that summary anew."""
    await connection.execute(QUERIES.clear_capacity)


async def all_capacity(connection: Connection) -> list[Record]:
    """Return every row of that summary."""
    return await connection.fetch(QUERIES.all_capacity)


async def trades_by(connection: Connection, span: Span) -> list[Record]:
    """Return trades by parties, places and programmes, in a span of days."""
    return await connection.fetch(QUERIES.trades_by, span.from_day, span.until_day, span.by)


async def bids_by(connection: Connection, span: Span) -> list[Record]:
    """Return bids that ended, by their buyers' size, in a span of days."""
    return await connection.fetch(QUERIES.bids_by, span.from_day, span.until_day, span.by)


async def refusals_by(connection: Connection, span: Span) -> list[Record]:
    """Return vouchers that could not pay, by why and whose, in a span of days."""
    return await connection.fetch(QUERIES.refusals_by, span.from_day, span.until_day, span.by)


async def programmes_by(connection: Connection, span: Span) -> list[Record]:
    """Return money of programmes, by whose it was, in a span of days."""
    return await connection.fetch(QUERIES.programmes_by, span.from_day, span.until_day, span.by)


async def issued_before(connection: Connection, day: date) -> dict[int, int]:
    """Return what each programme had issued, less what came back, before a day."""
    rows = await connection.fetch(QUERIES.issued_before, day)
    return {row["programme_id"]: row["amount_fen"] for row in rows}


async def capacity_by(connection: Connection, span: Span, now_us: int) -> list[Record]:
    """Return GPU-hours by day of delivery; of asks that still stand, idle up to the hour that runs."""
    return await connection.fetch(
        QUERIES.capacity_by, span.from_day, span.until_day, span.by, from_us(now_us)
    )
