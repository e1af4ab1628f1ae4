"""`check_book`: everything that must hold of a book between two commands, each worked out anew.

Costs time in proportion to the book; with `uncrossed` each resting bid is matched again. For tests, recovery
and operators, not for every command.
"""

from typing import TypeVar

from matching.book import OrderBook
from matching.index import BLOCK_MAX, Indexed, RestingIndex, ask_key, bid_key
from matching.live import LiveAsk, LiveBid, LiveOrder, same_group
from matching.units import BookCorrupt
from matching.walk import Working, match_bid

T = TypeVar("T", bound=Indexed)


def check_book(book: OrderBook, *, uncrossed: bool = True) -> None:
    """Raise BookCorrupt, naming the order and the rule, where the book contradicts itself."""
    asks = 0
    for order_id, order in book.orders.items():
        _require(order_id == order.order_id == order.order.order_id, order, "is filed under another id")
        _require(
            book.owned.get(order.participant, {}).get(order_id) is order, order, "is unknown to its owner"
        )
        _require(order.rested, order, "does not rest")
        _require(order.sequence <= book.sequence, order, "is from the future")
        _check_pairs(book, order)
        if isinstance(order, LiveAsk):
            asks += 1
            _check_ask(book, order)
        else:
            _check_bid(book, order)
    if sum(len(owned) for owned in book.owned.values()) != len(book.orders) or not all(book.owned.values()):
        raise BookCorrupt("owners and orders differ in number")
    _check_index(book.asks, asks)
    _check_index(book.bids, len(book.orders) - asks)
    for ask in book.asks:
        _require(book.orders.get(ask.order_id) is ask, ask, "is indexed but not live")
    for bid in book.bids:
        _require(book.orders.get(bid.order_id) is bid, bid, "is indexed but not live")
        if uncrossed:
            _require(match_bid(Working(book), bid, bid.remaining_gpus) is None, bid, "could trade")


def _require(holds: bool, order: LiveOrder, rule: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise BookCorrupt(f"order {order.order_id} {rule}")


def _check_pairs(book: OrderBook, order: LiveOrder) -> None:
    for other_id in order.prevented or ():
        other = book.orders.get(other_id)
        if other is None or other.prevented is None or order.order_id not in other.prevented:
            raise BookCorrupt(f"order {order.order_id} is paired with {other_id}, which does not know it")
        bid, ask = (order, other) if isinstance(order, LiveBid) else (other, order)
        if not isinstance(bid, LiveBid) or not isinstance(ask, LiveAsk) or not same_group(bid, ask):
            raise BookCorrupt(f"orders {order.order_id} and {other_id} are no self-trade pair")


def _check_ask(book: OrderBook, ask: LiveAsk) -> None:
    profile = ask.profile
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
    _require(profile.edges[0] == max(ask.order.starts_hour, book.hour), ask, "starts elsewhere")
    _require(profile.edges[-1] == ask.order.ends_hour, ask, "ends elsewhere")
    _require(ask.key == ask_key(ask.order.price_ticks, ask.sequence), ask, "has a wrong key")
    _require(ask.mask == profile.mask(book.hour), ask, "has a stale mask")
    starts = [
        hour
        for hour in range(profile.edges[0], profile.edges[-1] - ask.min_hours + 1)
        if profile.room(hour, hour + ask.min_hours)
    ]
    _require(bool(starts), ask, "has nothing to sell")
    due_hour = starts[-1] + 1
    _require(ask.due_hour == min(due_hour, ask.order.expire_hour or due_hour), ask, "has a wrong due hour")
    _require(ask.due_hour > book.hour, ask, "is overdue")


def _check_bid(book: OrderBook, bid: LiveBid) -> None:
    _require(0 < bid.remaining_gpus <= bid.quantity_gpus, bid, "wants nothing, or more than it did")
    _require(not bid.remaining_gpus % book.product.lot_gpus, bid, "has a broken lot")
    _require(
        not bid.whole or bid.remaining_gpus == bid.quantity_gpus, bid, "takes all or nothing but took part"
    )
    _require(book.hour <= bid.earliest_hour <= bid.last_start_hour, bid, "has no start")
    _require(bid.order.earliest_hour <= bid.earliest_hour, bid, "starts too early")
    _require(bid.last_start_hour + bid.hours <= bid.order.latest_hour, bid, "ends too late")
    mask = sum(1 << (hour - book.hour) for hour in range(bid.earliest_hour, bid.last_start_hour + 1))
    _require(bid.mask == mask, bid, "has a stale mask")
    _require(bid.key == bid_key(bid.order.limit_ticks, bid.sequence), bid, "has a wrong key")
    due_hour = bid.last_start_hour + 1
    _require(bid.due_hour == min(due_hour, bid.order.expire_hour or due_hour), bid, "has a wrong due hour")
    _require(bid.due_hour > book.hour, bid, "is overdue")


def _check_index(index: RestingIndex[T], count: int) -> None:
    items: list[T] = []
    for place, block in enumerate(index.blocks):
        if not 0 < len(block.items) <= BLOCK_MAX or block.keys != [item.key for item in block.items]:
            raise BookCorrupt(f"block {place} has wrong keys or size")
        if index.firsts[place] != block.keys[0]:
            raise BookCorrupt(f"block {place} is filed under another key")
        cover = 0
        for item in block.items:
            cover |= item.mask
        if cover != block.cover:
            raise BookCorrupt(f"block {place} has a stale cover")
        items.extend(block.items)
    keys = [item.key for item in items]
    if len(keys) != count or len(index.firsts) != len(index.blocks) or keys != sorted(set(keys)):
        raise BookCorrupt("the index is out of order or incomplete")
