"""What the feed reads at start, and for a reader's own orders: one typed function for each named query."""

from collections.abc import Collection

from exchange.feed.bars import Bar, RunBar
from exchange.feed.models import MinuteVolume, TapeTrade
from exchange.feed.spot import SpotTrades
from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.orders.models import Step
from matching.codec import decode_events

QUERIES = load_queries("exchange.feed")

_MINUTE_US = 60_000_000


async def heads(connection: Connection) -> dict[int, int]:
    """Return the last sequence of every partition."""
    rows = await connection.fetch(QUERIES.heads)
    return {row["partition_id"]: row["last_sequence"] for row in rows}


async def last_trades(connection: Connection, limit: int) -> dict[str, list[TapeTrade]]:
    """Return each product's latest trades, oldest first; the oldest sequence may be told in part."""
    tape: dict[str, list[TapeTrade]] = {}
    for row in await connection.fetch(QUERIES.last_trades, limit):
        trades = tape.setdefault(row["product_id"], [])
        before = trades[-1] if trades else None
        is_same = before is not None and before.sequence == row["sequence"]
        trades.append(
            TapeTrade(
                partition_id=row["partition_id"],
                sequence=row["sequence"],
                number=before.number + 1 if before is not None and is_same else 1,
                traded_at_us=to_us(row["traded_at"]),
                price_ticks=row["price_ticks"],
                quantity_gpus=row["quantity_gpus"],
                starts_hour=row["starts_hour"],
                hours=row["ends_hour"] - row["starts_hour"],
                aggressor=row["aggressor"],
            )
        )
    return tape


async def minute_volumes(connection: Connection) -> dict[str, list[MinuteVolume]]:
    """Return what traded in each minute of the last day that has trades, oldest first."""
    volumes: dict[str, list[MinuteVolume]] = {}
    for row in await connection.fetch(QUERIES.minute_volumes):
        volumes.setdefault(row["product_id"], []).append(
            MinuteVolume(
                minute=to_us(row["minute"]) // _MINUTE_US,
                trades=row["trades"],
                gpu_hours=row["gpu_hours"],
                notional_fen=row["notional_fen"],
                low_ticks=row["low_ticks"],
                high_ticks=row["high_ticks"],
                open_ticks=row["open_ticks"],
            )
        )
    return volumes


async def bars_by_trade(connection: Connection, days: int) -> dict[str, list[RunBar]]:
    """Return each product's bars of the hours of trade, from some days before the latest trade's."""
    return _run_bars(await connection.fetch(QUERIES.bars_by_trade, days))


async def bars_by_delivery(connection: Connection, days: int) -> dict[str, list[RunBar]]:
    """Return each product's bars of runs of delivery hours, from some days before the latest trade's."""
    return _run_bars(await connection.fetch(QUERIES.bars_by_delivery, days))


def _run_bars(rows: list[Record]) -> dict[str, list[RunBar]]:
    bars: dict[str, list[RunBar]] = {}
    for row in rows:
        bar = Bar(
            first=(row["first_sequence"], row["first_id"]),
            last=(row["last_sequence"], row["last_id"]),
            open_ticks=row["open_ticks"],
            close_ticks=row["close_ticks"],
            high_ticks=row["high_ticks"],
            low_ticks=row["low_ticks"],
            gpu_hours=row["gpu_hours"],
            notional_fen=row["notional_fen"],
            trades=row["trades"],
        )
        bars.setdefault(row["product_id"], []).append(
            RunBar(starts_hour=row["starts_hour"], ends_hour=row["ends_hour"], bar=bar)
        )
    return bars


async def spot_trades(connection: Connection, days: int, spot_hours: int) -> list[SpotTrades]:
    """Return the spot trades of every product, from some days before the latest trade's."""
    return [
        SpotTrades(
            product_id=row["product_id"],
            hour=row["hour"],
            price_ticks=row["price_ticks"],
            gpu_hours=row["gpu_hours"],
            trades=row["trades"],
            buyers=tuple(row["buyers"]),
            providers=tuple(row["providers"]),
        )
        for row in await connection.fetch(QUERIES.spot_trades, days, spot_hours)
    ]


async def steps(
    connection: Connection, partition_id: int, after_sequence: int, through_sequence: int, limit: int
) -> list[Step]:
    """Return what a partition committed between two sequences, oldest first."""
    rows = await connection.fetch(QUERIES.steps, partition_id, after_sequence, through_sequence, limit)
    return [
        Step(row["sequence"], row["product_id"], to_us(row["event_at"]), decode_events(row["events"]))
        for row in rows
    ]


async def live_orders_of_participant(connection: Connection, participant_id: int, limit: int) -> list[Record]:
    """Return a participant's live orders, newest first."""
    return await connection.fetch(QUERIES.live_orders_of_participant, participant_id, limit)


async def words_of_orders(connection: Connection, order_ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """Return the client order ids of some orders, and why they ended: "" for those that have not."""
    rows = await connection.fetch(QUERIES.words_of_orders, list(order_ids))
    return {row["id"]: (row["client_order_id"], row["reason"]) for row in rows}


async def trade_ids(
    connection: Connection,
    partition_id: int,
    participant_ids: Collection[int],
    *,
    sequences: tuple[int, int],
    times_us: tuple[int, int],
) -> dict[int, list[int]]:
    """Return the ids of some participants' trades by sequence, in the order in which they were made.

    From the first to the last of both `sequences` and venue `times_us`.
    """
    first_at, last_at = map(from_us, times_us)
    found: dict[int, list[int]] = {}
    for row in await connection.fetch(
        QUERIES.trade_ids, partition_id, *sequences, list(participant_ids), first_at, last_at
    ):
        found.setdefault(row["sequence"], []).append(row["id"])
    return found
