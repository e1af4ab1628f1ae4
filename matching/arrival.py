"""A new order meets the book: what it trades, and what becomes of the rest.

Two ways through the same matching. `try_order` changes nothing: it is what `decide` asks, and what a command
needs that may have to be taken back as a whole (post-only, fok, replacement). `enter_ask` and `enter_bid`
change the book while they tell the events: one pass, where deciding and then applying would look up every
order twice. They are a function a side, because Python reads an attribute three times as fast where it only
ever meets one type.
"""

from matching.admission import admit_ask, admit_bid
from matching.book import OrderBook
from matching.events import (
    CancelReason,
    Event,
    ExpireReason,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRested,
    RejectReason,
)
from matching.live import LiveOrder, is_ask, is_bid, last_start, live
from matching.order import Ask, Bid, TimeInForce
from matching.trades import expired, sell, try_bid
from matching.walk import Working, selling

# Reading a member off its class is slow, and every command asks.
_GTC = TimeInForce.GTC
_IOC = TimeInForce.IOC
_FOK = TimeInForce.FOK
_IMMEDIATE_REMAINDER = CancelReason.IMMEDIATE_REMAINDER
_NOT_FILLED_WHOLE = CancelReason.NOT_FILLED_WHOLE


def enter_ask(book: OrderBook, order: Ask, sequence: int) -> tuple[Event, ...] | None:
    """Let an ask in, changing the book, and return the events.

    None, and nothing changed, where it is refused, or may have to be taken back and is therefore tried first.
    """
    ask = admit_ask(book, order, sequence)
    if type(ask) is RejectReason:
        return None
    bids = book.bids.ladder
    if order.time_in_force is _GTC and not (bids and bids[-1].price_ticks >= ask.price_ticks):
        # What most orders do: there is nobody to trade with, and the whole order rests.
        order_id = ask.order_id
        gpus = ask.gpus
        book.orders[order_id] = ask
        book.asks.insert(ask)
        return (
            OrderAccepted(sequence, order),
            OrderRested(sequence, order_id, ask.participant, gpus, gpus * ask.hours),
        )
    if order.post_only or order.time_in_force is _FOK:
        return None
    events: list[Event] = [OrderAccepted(sequence, order)]
    sell(selling(book, ask, None, direct=True), ask, sequence, events)
    return _settle(book, ask, sequence, events)


def enter_bid(book: OrderBook, order: Bid, sequence: int) -> tuple[Event, ...] | None:
    """Let a bid in, as `enter_ask` does an ask."""
    bid = admit_bid(book, order, sequence)
    if type(bid) is RejectReason:
        return None
    asks = book.asks.ladder
    if order.time_in_force is _GTC and not (asks and asks[-1].price_ticks <= bid.price_ticks):
        order_id = bid.order_id
        gpus = bid.gpus
        book.orders[order_id] = bid
        book.bids.insert(bid)
        return (
            OrderAccepted(sequence, order),
            OrderRested(sequence, order_id, bid.participant, gpus, gpus * bid.hours),
        )
    if order.post_only or order.time_in_force is _FOK:
        return None
    events: list[Event] = [OrderAccepted(sequence, order)]
    try_bid(Working(book, None, None, None, True), bid, bid.gpus, sequence, events)  # noqa: FBT003
    return _settle(book, bid, sequence, events)


def _settle(book: OrderBook, arriving: LiveOrder, sequence: int, events: list[Event]) -> tuple[Event, ...]:
    """Let what an arriving order did not trade rest or die, and return its events."""
    if arriving.remaining_gpus:
        last = _remainder(arriving, sequence)
        events.append(last)
        # Most orders that cross are filled: this one is filed now, if self-trade prevention has not done it.
        filed = arriving.order_id in book.orders
        if type(last) is OrderRested:
            if not filed:
                book.add(arriving)
            book.rest(arriving)
        elif filed:
            book.remove(arriving)
    return tuple(events)


def try_order(book: OrderBook, arriving: LiveOrder, replaced: LiveOrder | None) -> list[Event] | None:
    """Return the events of an admitted order, or None where it is post-only and would trade."""
    order = arriving.order
    sequence = arriving.sequence
    offered = arriving.remaining_gpu_hours
    events: list[Event] = [OrderAccepted(sequence, order)]
    if is_ask(arriving):
        withdrawn = replaced if replaced is not None and is_ask(replaced) else None
        sell(selling(book, arriving, withdrawn, direct=False), arriving, sequence, events)
    elif is_bid(arriving):
        arriving.gpus = try_bid(Working(book), arriving, arriving.gpus, sequence, events)
    if order.post_only and arriving.remaining_gpu_hours != offered:
        return None
    if order.time_in_force is _FOK and arriving.remaining_gpu_hours and type(order) is Ask:
        # The whole rectangle was not wanted: nothing of this trial happened.
        del events[1:]
        arriving = live(order, sequence, book.hour)
    if arriving.remaining_gpus:
        events.append(_remainder(arriving, sequence))
    return events


def _remainder(order: LiveOrder, sequence: int) -> OrderRested | OrderCancelled | OrderExpired:
    """Tell whether what an arriving order did not trade rests or dies."""
    gpus = order.remaining_gpus
    gpu_hours = order.remaining_gpu_hours
    time_in_force = order.order.time_in_force
    if time_in_force is _IOC or time_in_force is _FOK:
        reason = _IMMEDIATE_REMAINDER if time_in_force is _IOC else _NOT_FILLED_WHOLE
        return OrderCancelled(sequence, order.order_id, order.participant, reason, gpus, gpu_hours)
    if order.profile is not None and last_start(order) < 0:
        return expired(sequence, order, ExpireReason.TOO_SHORT_TO_SELL, gpus, gpu_hours)
    return OrderRested(sequence, order.order_id, order.participant, gpus, gpu_hours)
