"""The order book of one product, and `apply`, which changes it as an event tells.

The book's own methods are all that changes it: `apply` calls them for an event, and the single pass of
`matching.arrival` calls the same ones for an order that arrives, while it tells the events.

`orders` holds every live order by id; `asks` and `bids` index the resting ones. Between the acceptance of an
order and its rest or end the book is in the middle of a command. After every command no resting bid could
trade (uncrossed). Replaying events through `apply` needs no matching code and gives the same book. A fresh
book stands at hour 0. `supply` follows the resting asks from the first time that it is asked for.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from matching.events import (
    Event,
    HourAdvanced,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrderRested,
    PhaseChanged,
    SelfTradePrevented,
    Traded,
)
from matching.index import RestingIndex
from matching.live import LiveAsk, LiveBid, LiveOrder, capacity, is_ask, is_bid, live, pair
from matching.order import Ask
from matching.product import Phase, Product
from matching.profile import Profile
from matching.supply import CountedIndex, Supply
from matching.units import SPAN_SHIFT, BookCorrupt, spans_of


class OrderBook:
    """One product's live orders, hour, phase and last price (0 before the first trade)."""

    __slots__ = (
        "asks",
        "bids",
        "hour",
        "last_price_ticks",
        "orders",
        "phase",
        "product",
        "sequence",
        "supply",
    )

    def __init__(self, product: Product, hour: int = 0) -> None:
        self.product = product
        self.hour = hour
        self.phase = Phase.OPEN
        self.last_price_ticks = 0
        self.sequence = 0
        self.orders: dict[int, LiveOrder] = {}
        self.asks: RestingIndex[LiveAsk] = RestingIndex(-1)
        self.bids: RestingIndex[LiveBid] = RestingIndex(1)
        self.supply: Supply | None = None

    def kept_supply(self) -> Supply:
        """Return the free GPUs by hour, counted the first time and kept from then on."""
        if self.supply is None:
            self.supply = Supply(self.hour)
            self.asks = CountedIndex(self.asks, self.supply)
        return self.supply

    def add(self, order: LiveOrder) -> None:
        """Take an accepted or restored order in; it is not in the index yet."""
        order_id = order.order_id
        if self.orders.setdefault(order_id, order) is not order:
            raise BookCorrupt(f"order {order_id} is already live")

    def rest(self, order: LiveOrder) -> None:
        """Put a live order into the index."""
        if order.block:
            raise BookCorrupt(f"order {order.order_id} already rests")
        index: RestingIndex[Any] = self.asks if type(order.order) is Ask else self.bids
        index.insert(order)

    def remove(self, order: LiveOrder) -> None:
        """Take an order out of everything that knows it."""
        order_id = order.order_id
        del self.orders[order_id]
        if order.block:
            index: RestingIndex[Any] = self.asks if type(order.order) is Ask else self.bids
            index.remove(order)
        if order.prevented is not None:
            for other_id in order.prevented:
                other = self.orders[other_id].prevented
                if other is not None:
                    del other[order_id]

    def fill(self, bid: LiveBid, ask: LiveAsk, starts_hour: int, quantity_gpus: int) -> int:
        """Carry out one fill, take out whoever is done with, and return the ask's GPU-hours left.

        An order that arrives may not be filed yet.
        """
        hours = bid.hours
        profile = ask.profile
        whole = ask.hours == hours and ask.starts_hour == starts_hour
        if profile is None and whole and 0 < quantity_gpus <= ask.gpus:
            # The whole window: all hours stay equal.
            gpus = ask.gpus - quantity_gpus
            ask.gpus = gpus
            left = gpus * hours
        else:
            profile = ask.profile = capacity(ask)
            sold_out = profile.carve(starts_hour, starts_hour + hours, quantity_gpus)
            left = profile.gpu_hours
            if sold_out and left:
                self.renew_spans(ask, profile)
        if self.supply is not None and ask.block:
            self.supply.change(starts_hour, starts_hour + hours, -quantity_gpus)
        if not left and (ask.block or ask.order_id in self.orders):
            self.remove(ask)
        wanted = bid.gpus - quantity_gpus
        bid.gpus = wanted
        if not wanted:
            if bid.block or bid.order_id in self.orders:
                self.remove(bid)
        elif bid.ends_hour - bid.starts_hour != hours:
            bid.starts_hour = starts_hour
            bid.ends_hour = starts_hour + hours
            bid.spans = spans_of(starts_hour, starts_hour + hours, self.hour)
            if bid.block:
                self.bids.shrink(bid)
        return left

    def renew_spans(self, ask: LiveAsk, profile: Profile) -> None:
        """Note in which spans an ask still has something, after hours have sold out."""
        spans = 0
        for starts_hour, ends_hour in profile.stretches():
            spans |= spans_of(starts_hour, ends_hour, self.hour)
        if spans != ask.spans:
            ask.spans = spans
            if ask.block:
                self.asks.shrink(ask)

    def order(self, order_id: int) -> LiveOrder:
        """Return a live order; raises BookCorrupt for an id that is not live."""
        found = self.orders.get(order_id)
        if found is None:
            raise BookCorrupt(f"order {order_id} is not live")
        return found


def apply(book: OrderBook, event: Event) -> None:
    """Change the book as the event tells; raises BookCorrupt where the two do not fit."""
    _APPLY[type(event)](book, event)
    book.sequence = event.sequence


def apply_all(book: OrderBook, events: Sequence[Event]) -> None:
    """Apply the events of one command."""
    for event in events:
        _APPLY[type(event)](book, event)
    if events:
        book.sequence = events[-1].sequence


def _accepted(book: OrderBook, event: OrderAccepted) -> None:
    book.add(live(event.order, event.sequence, book.hour))


def _rested(book: OrderBook, event: OrderRested) -> None:
    book.rest(book.order(event.order_id))


def _traded(book: OrderBook, event: Traded) -> None:
    ask = book.orders.get(event.ask_order_id)
    bid = book.orders.get(event.bid_order_id)
    if ask is None or bid is None or not is_ask(ask) or not is_bid(bid):
        raise BookCorrupt(f"orders {event.bid_order_id} and {event.ask_order_id} are no live bid and ask")
    quantity = event.quantity_gpus
    starts_hour = event.starts_hour
    hours = event.hours
    if (
        bid.hours != hours
        or not bid.starts_hour <= starts_hour <= bid.ends_hour - hours
        or bid.gpus - quantity != event.bid_remaining_gpus
        or event.bid_remaining_gpus < 0
        or book.fill(bid, ask, starts_hour, quantity) != event.ask_remaining_gpu_hours
    ):
        raise BookCorrupt(f"trade of {event.bid_order_id} and {event.ask_order_id} does not fit the book")
    book.last_price_ticks = event.price_ticks


def _reduced(book: OrderBook, event: OrderReduced) -> None:
    order = book.order(event.order_id)
    less = order.quantity_gpus - event.quantity_gpus
    if book.supply is not None and is_ask(order):
        book.supply.drop(order)
    order.quantity_gpus = event.quantity_gpus
    if order.profile is None:
        order.gpus -= less
    elif is_ask(order):
        order.profile.withdraw(less)
        book.renew_spans(order, order.profile)
    if book.supply is not None and is_ask(order):
        book.supply.add(order)
    if order.remaining_gpu_hours != event.remaining_gpu_hours or order.remaining_gpus <= 0:
        raise BookCorrupt(f"reduction of {event.order_id} does not fit the book")


def _left(book: OrderBook, event: OrderCancelled | OrderExpired | OrderReplaced) -> None:
    order = book.order(event.order_id)
    if order.remaining_gpu_hours != event.remaining_gpu_hours:
        raise BookCorrupt(f"order {event.order_id} leaves with another remainder than it has")
    book.remove(order)


def _rejected(_book: OrderBook, _event: OrderRejected) -> None:
    """Nothing but the sequence changes."""


def _prevented(book: OrderBook, event: SelfTradePrevented) -> None:
    bid = book.order(event.bid_order_id)
    ask = book.order(event.ask_order_id)
    if not is_ask(ask) or not is_bid(bid):
        raise BookCorrupt(f"orders {event.bid_order_id} and {event.ask_order_id} are no bid and ask")
    pair(bid, ask)


def _advanced(book: OrderBook, event: HourAdvanced) -> None:
    hour = event.hour
    if hour <= book.hour:
        raise BookCorrupt(f"hour {hour} is not after {book.hour}")
    passed = (hour >> SPAN_SHIFT) - (book.hour >> SPAN_SHIFT)
    book.hour = hour
    uneven: list[tuple[LiveAsk, Profile]] = []
    for order in book.orders.values():
        order.spans >>= passed
        if order.starts_hour < hour:
            # What is past its last hour stands empty until it expires, by the same command.
            order.starts_hour = min(hour, order.ends_hour)
            if order.profile is not None and is_ask(order):
                order.profile.trim(hour)
                uneven.append((order, order.profile))
            elif is_ask(order):
                order.hours = order.ends_hour - order.starts_hour
    book.asks.rebase(passed)
    book.bids.rebase(passed)
    if book.supply is not None:
        book.supply.advance(hour)
    for ask, profile in uneven:
        # Of the span that the hour is in, what was free may have passed.
        book.renew_spans(ask, profile)


def _phase(book: OrderBook, event: PhaseChanged) -> None:
    book.phase = event.phase


_APPLY: dict[type[Event], Callable[[OrderBook, Any], None]] = {
    cast("type[Event]", OrderAccepted): _accepted,
    cast("type[Event]", OrderRested): _rested,
    cast("type[Event]", Traded): _traded,
    cast("type[Event]", OrderReduced): _reduced,
    cast("type[Event]", OrderReplaced): _left,
    cast("type[Event]", OrderCancelled): _left,
    cast("type[Event]", OrderExpired): _left,
    cast("type[Event]", OrderRejected): _rejected,
    cast("type[Event]", SelfTradePrevented): _prevented,
    cast("type[Event]", HourAdvanced): _advanced,
    cast("type[Event]", PhaseChanged): _phase,
}
