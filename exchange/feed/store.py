"""What the feed reads at start, and for a reader's own orders: one typed function for each named query."""

from exchange.feed.models import MinuteVolume, TapeTrade
from exchange.kit.database import Connection, Record, to_us
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
            )
        )
    return volumes


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
