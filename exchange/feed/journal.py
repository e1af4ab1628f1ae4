"""The journal as the feed reads it: steps, with the words that stand in other tables put to them.

Events name orders and participants by number only, and of what was withdrawn they say that it was asked for.
A client order id, the ids of trades and what asked are looked up, and only for the participants that will be
told.
"""

from collections.abc import Collection, Sequence

import msgspec

from exchange.feed import store
from exchange.feed.news import owners_of
from exchange.kit.database import Connection
from exchange.orders.models import Step
from matching.events import CancelReason, Event, OrderAccepted, OrderCancelled, Traded


def owners_among(steps: Sequence[Step]) -> set[int]:
    """Return whose orders some steps are about."""
    return {owner for step in steps for event in step.events for owner in owners_of(event)}


async def with_names(
    connection: Connection, partition_id: int, steps: Sequence[Step], owners: Collection[int]
) -> list[Step]:
    """Return steps as their leader would have told them, as far as it concerns some participants.

    Both statements are left out where there is nothing to name.
    """
    wanted = frozenset(owners)
    named = {
        order_id
        for step in steps
        for event in step.events
        for order_id in _without_words(event)
        if not wanted.isdisjoint(owners_of(event))
    }
    words = await store.words_of_orders(connection, named) if named else {}
    trade_ids: dict[int, list[int]] = {}
    traded = [step for step in steps if any(_is_trade_of(event, wanted) for event in step.events)]
    if traded:
        trade_ids = await store.trade_ids(
            connection,
            partition_id,
            wanted,
            sequences=(traded[0].sequence, traded[-1].sequence),
            times_us=(traded[0].event_at_us, traded[-1].event_at_us),
        )
    return [_named(step, words, trade_ids.get(step.sequence, []), wanted) for step in steps]


def _without_words(event: Event) -> tuple[int, ...]:
    """Return the order of which an event does not say what it is called, or what withdrew it."""
    if isinstance(event, OrderAccepted):
        return (event.order.order_id,)
    if isinstance(event, OrderCancelled) and event.reason is CancelReason.REQUESTED:
        return (event.order_id,)
    return ()


def _is_trade_of(event: object, owners: frozenset[int]) -> bool:
    return isinstance(event, Traded) and not owners.isdisjoint((event.buyer, event.seller))


def _named(
    step: Step, words: dict[int, tuple[str, str]], trade_ids: Sequence[int], owners: frozenset[int]
) -> Step:
    # Ids of trades grow in the order in which the trades were made.
    ids = iter(trade_ids)
    client_order_id, cause = "", ""
    for event in step.events:
        for order_id in _without_words(event):
            name, reason = words.get(order_id, ("", ""))
            if isinstance(event, OrderAccepted):
                client_order_id = name
            elif reason != CancelReason.REQUESTED:
                cause = reason
    return msgspec.structs.replace(
        step,
        client_order_id=client_order_id,
        cause=cause,
        trade_ids=tuple(
            next(ids, 0) if _is_trade_of(event, owners) else 0
            for event in step.events
            if isinstance(event, Traded)
        ),
    )
