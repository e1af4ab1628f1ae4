"""`check_book`: everything that must hold of a book between two commands, each worked out anew.

Costs time in proportion to the book; with `uncrossed` each resting bid is matched again. For tests, recovery
and operators, not for every command.
"""

from collections.abc import Iterable
from typing import TypeVar

from matching.book import OrderBook
from matching.index import BLOCK_MAX, UNIFORM_FACTOR, Block, Indexed, RestingIndex
from matching.live import (
    LiveAsk,
    LiveBid,
    LiveOrder,
    capacity,
    due_hour,
    is_ask,
    is_bid,
    same_group,
    takes_whole,
)
from matching.trades import match_bid
from matching.units import SPAN_SHIFT, BookCorrupt
from matching.walk import Working

T = TypeVar("T", bound=Indexed)


def check_book(book: OrderBook, *, uncrossed: bool = True) -> None:
    """Raise BookCorrupt, naming the order and the rule, where the book contradicts itself."""
    asks = 0
    for order_id, order in book.orders.items():
        _require(order_id == order.order_id == order.order.order_id, order, "is filed under another id")
        _require(order.participant == order.order.participant, order, "belongs to another")
        _require(order.block > 0, order, "does not rest")
        _require(order.sequence <= book.sequence, order, "is from the future")
        _check_pairs(book, order)
        if is_ask(order):
            asks += 1
            _check_ask(book, order)
        elif is_bid(order):
            _check_bid(book, order)
    _check_index(book.asks, asks)
    _check_index(book.bids, len(book.orders) - asks)
    _check_supply(book)
    for block in book.asks.ladder:
        for ask in block.orders.values():
            _require(book.orders.get(ask.order_id) is ask, ask, "is indexed but not live")
            _require(ask.price_ticks == block.price_ticks, ask, "stands at another price")
    for bid in book.bids:
        _require(book.orders.get(bid.order_id) is bid, bid, "is indexed but not live")
        _require(book.bids.blocks[bid.block].price_ticks == bid.price_ticks, bid, "stands at another price")
        if uncrossed:
            _require(match_bid(Working(book), bid, bid.gpus) is None, bid, "could trade")


def _require(holds: bool, order: LiveOrder, rule: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise BookCorrupt(f"order {order.order_id} {rule}")


def _check_pairs(book: OrderBook, order: LiveOrder) -> None:
    for other_id in order.prevented or ():
        other = book.orders.get(other_id)
        if other is None or other.prevented is None or order.order_id not in other.prevented:
            raise BookCorrupt(f"order {order.order_id} is paired with {other_id}, which does not know it")
        bid, ask = (order, other) if is_bid(order) else (other, order)
        if not is_bid(bid) or not is_ask(ask) or not same_group(bid.order, ask.order):
            raise BookCorrupt(f"orders {order.order_id} and {other_id} are no self-trade pair")


def _check_ask(book: OrderBook, ask: LiveAsk) -> None:
    profile = capacity(ask)
    runs = profile.runs()
    lot_gpus = book.product.lot_gpus
    _require(len(profile.edges) == len(profile.free) + 1 and bool(runs), ask, "has a broken profile")
    _require(all(starts < ends for starts, ends, _ in runs), ask, "has an empty run")
    _require(all(a != b for a, b in zip(profile.free, profile.free[1:], strict=False)), ask, "has split runs")
    _require(
        all(0 <= gpus <= ask.quantity_gpus for gpus in profile.free), ask, "has more or less than it offers"
    )
    _require(not any(gpus % lot_gpus for gpus in profile.free), ask, "has a broken lot")
    _require(profile.gpu_hours == sum((b - a) * gpus for a, b, gpus in runs), ask, "has a wrong sum")
    _require(ask.remaining_gpu_hours == profile.gpu_hours, ask, "has another sum than its profile")
    _require(profile.edges[0] == max(ask.order.starts_hour, book.hour), ask, "starts elsewhere")
    _require(profile.edges[-1] == ask.order.ends_hour, ask, "ends elsewhere")
    window = (ask.starts_hour, ask.ends_hour)
    _require(window == (profile.edges[0], profile.edges[-1]), ask, "has another window than its profile")
    flat = ask.profile is None
    _require(not flat or ask.hours == ask.ends_hour - ask.starts_hour, ask, "has a wrong length")
    _require(
        ask.spans == _spans(book, [hour for a, b, gpus in runs if gpus for hour in range(a, b)]),
        ask,
        "has stale spans",
    )
    starts = [
        hour
        for hour in range(profile.edges[0], profile.edges[-1] - ask.order.min_hours + 1)
        if profile.room(hour, hour + ask.order.min_hours)
    ]
    _require(bool(starts), ask, "has nothing to sell")
    due = starts[-1] + 1
    due = min(due, ask.order.expire_hour or due)
    _require(book.hour < due == due_hour(ask), ask, "has a wrong due hour, or is overdue")


def _check_bid(book: OrderBook, bid: LiveBid) -> None:
    order = bid.order
    _require(0 < bid.gpus <= bid.quantity_gpus, bid, "wants nothing, or more than it did")
    _require(not bid.gpus % book.product.lot_gpus, bid, "has a broken lot")
    whole = bid.gpus == bid.quantity_gpus
    _require(whole or not takes_whole(order), bid, "takes all or nothing but took part")
    first, end = bid.starts_hour, bid.ends_hour
    _require(book.hour <= first and first + order.hours <= end, bid, "has no start")
    _require(order.earliest_hour <= first, bid, "starts too early")
    _require(end <= order.latest_hour, bid, "ends too late")
    every = max(order.earliest_hour, book.hour) == first and end == order.latest_hour
    _require(every or end - first == order.hours, bid, "has lost starts")
    _require(every or not whole or bid.quantity_gpus < order.quantity_gpus, bid, "is pinned without a fill")
    _require(bid.spans == _spans(book, range(first, end)), bid, "has stale spans")
    _require(due_hour(bid) > book.hour, bid, "is overdue")


def _check_supply(book: OrderBook) -> None:
    if book.supply is None:
        return
    end_hour = max((ask.ends_hour for ask in book.asks), default=book.hour) + 1
    free = [0] * (end_hour - book.hour)
    for ask in book.asks:
        for starts_hour, ends_hour, gpus in capacity(ask).runs():
            for hour in range(starts_hour, ends_hour):
                free[hour - book.hour] += gpus
    if book.supply.origin_hour != book.hour or book.supply.free(book.hour, end_hour) != free:
        raise BookCorrupt("the supply is not what the asks have free")


def _spans(book: OrderBook, hours: Iterable[int]) -> int:
    spans = 0
    for hour in hours:
        spans |= 1 << ((hour >> SPAN_SHIFT) - (book.hour >> SPAN_SHIFT))
    return spans


def _check_index(index: RestingIndex[T], count: int) -> None:
    total = 0
    newest: dict[int, Block[T]] = {}
    for place, block in enumerate(index.ladder):
        if index.ranks[place] != index.better * block.price_ticks or index.blocks[block.number] is not block:
            raise BookCorrupt(f"block {place} is filed under another price or number")
        newest.setdefault(block.price_ticks, block)
        cover = 0
        for sequence, order in block.orders.items():
            cover |= order.spans
            if sequence != order.sequence or order.block != block.number:
                raise BookCorrupt(f"block {place} has an order that is another's")
        sequences = list(block.orders)
        if cover & ~block.cover or (cover != block.cover and not 0 < block.gone <= len(sequences)):
            raise BookCorrupt(f"block {place} has a stale cover")
        if not 0 < len(sequences) <= block.size_max <= BLOCK_MAX * UNIFORM_FACTOR or sequences != sorted(
            sequences
        ):
            raise BookCorrupt(f"block {place} has the wrong size or order")
        total += len(sequences)
    ages = [(rank, -next(iter(block.orders))) for rank, block in zip(index.ranks, index.ladder, strict=True)]
    if total != count or len(index.blocks) != len(index.ladder) or ages != sorted(set(ages)):
        raise BookCorrupt("the index is out of order or incomplete")
    if any(newest.get(price_ticks) is not block for price_ticks, block in index.newest.items()):
        raise BookCorrupt("the index would put an order into an old block")
