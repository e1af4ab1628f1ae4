"""A participant's own orders for a reader that begins: as they stand, or what has happened since it left.

Everything is read in one snapshot of the database, so what is told is as of one sequence of each partition,
and what the hub gives after that follows without a gap.

What happened is read from the journal, which holds everybody's steps: so a reader that has missed more than
`RESUMED_STEPS_MAX` of a partition, or `RESUMED_NEWS_MAX` of its own, gets a snapshot instead.
"""

from collections.abc import Mapping
from typing import Final

from exchange.feed import rules, store
from exchange.feed.journal import with_names
from exchange.feed.models import OrderNews, PartitionNews, PartitionOrders
from exchange.feed.news import news_by_participant
from exchange.kit.database import Connection, Database

SNAPSHOT_ORDERS_MAX: Final = 1000
RESUMED_STEPS_MAX: Final = 10_000
RESUMED_NEWS_MAX: Final = 5_000
STEPS_READ_AT_ONCE: Final = 500


async def own_orders(
    database: Database, participant_id: int, after: Mapping[int, int]
) -> list[PartitionOrders | PartitionNews]:
    """Return for each partition what happened `after` a sequence, or where none is named the live orders."""
    async with database.transaction(isolation="repeatable_read") as connection:
        heads = await store.heads(connection)
        news: dict[int, PartitionNews] = {}
        not_resumed: dict[int, str] = {}
        for partition_id, since in after.items():
            found = await _news(connection, participant_id, partition_id, since, heads.get(partition_id, 0))
            if isinstance(found, str):
                not_resumed[partition_id] = found
            else:
                news[partition_id] = found
        rows = await store.live_orders_of_participant(connection, participant_id, SNAPSHOT_ORDERS_MAX + 1)
    kept = rows[:SNAPSHOT_ORDERS_MAX]
    return [
        news.get(partition_id)
        or PartitionOrders(
            partition_id=partition_id,
            sequence=sequence,
            orders=[
                rules.own_order(dict(row.items())) for row in kept if row["partition_id"] == partition_id
            ],
            is_complete=len(kept) == len(rows),
            not_resumed=not_resumed.get(partition_id),
        )
        for partition_id, sequence in heads.items()
    ]


async def _news(
    connection: Connection, participant_id: int, partition_id: int, since: int, head: int
) -> PartitionNews | str:
    """Return what happened since a sequence, or why that is not told."""
    if since > head:
        return "ahead"
    if head - since > RESUMED_STEPS_MAX:
        return "too_many"
    told: list[OrderNews] = []
    last = since
    while last < head:
        steps = await store.steps(connection, partition_id, last, head, STEPS_READ_AT_ONCE)
        if not steps:
            raise LookupError(f"the journal of partition {partition_id} ends at {last}, before its head")
        for step in await with_names(connection, partition_id, steps, [participant_id]):
            own = news_by_participant(
                step.product_id,
                step.event_at_us,
                step.events,
                participant_id.__eq__,
                step.client_order_id,
                step.trade_ids,
                step.cause,
            )
            told += own.get(participant_id, ())
        if len(told) > RESUMED_NEWS_MAX:
            return "too_many"
        last = steps[-1].sequence
    return PartitionNews(partition_id=partition_id, after=since, sequence=head, news=told)
