"""An admitted order meets the book: what it trades, and what becomes of the rest.

Two ways through the same matching. `try_order` changes nothing: it is what `decide` asks, and what a command
needs that may have to be taken back as a whole (post-only, fok, replacement). `enter_ask` and `enter_bid`
change the book while they tell the events: one pass, where deciding and then applying would look up every
order twice. They are a function a side, because Python reads an attribute three times as fast where it only
ever meets one type.
"""

from matching.book import OrderBook
from matching.events import (
    CancelReason,
    Event,
    ExpireReason,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRested,
)
from matching.live import LiveAsk, LiveOrder, live, live_ask, live_bid
from matching.order import Ask, Bid, Order, TimeInForce
from matching.trades import expired, sell, try_bid
from matching.walk import Working

# Reading a member off its class is slow, and every command asks.
_IOC = TimeInForce.IOC
_FOK = TimeInForce.FOK


def enter_ask(book: OrderBook, order: Ask, sequence: int) -> tuple[Event, ...] | None:
    """Let an admitted ask in, changing the book, and return the events.

    None, and nothing changed, where it crosses and is post-only or fok: its trades may have to be taken back,
    so it is tried first.
    """
    blocks = book.bids.blocks
    if (blocks and blocks[0].items[0].price_ticks >= order.price_ticks) or order.time_in_force is _IOC:
        if order.post_only or order.time_in_force is _FOK:
            return None
        return _meet(book, live_ask(order, sequence, book.hour), sequence)
    if order.time_in_force is _FOK:
        return None
    # What most orders do: there is nobody to trade with, and the whole order rests.
    ask = live_ask(order, sequence, book.hour)
    book.add(ask)
    ask.rested = True
    book.asks.insert(ask)
    return (
        OrderAccepted(sequence=sequence, order=order),
        OrderRested(
            sequence=sequence,
            order_id=ask.order_id,
            participant=ask.participant,
            remaining_gpus=ask.quantity_gpus,
            remaining_gpu_hours=ask.profile.gpu_hours,
        ),
    )


def enter_bid(book: OrderBook, order: Bid, sequence: int) -> tuple[Event, ...] | None:
    """Let an admitted bid in, as `enter_ask` does an ask."""
    blocks = book.asks.blocks
    if (blocks and blocks[0].items[0].price_ticks <= order.limit_ticks) or order.time_in_force is _IOC:
        if order.post_only or order.time_in_force is _FOK:
            return None
        return _meet(book, live_bid(order, sequence, book.hour), sequence)
    if order.time_in_force is _FOK:
        return None
    bid = live_bid(order, sequence, book.hour)
    book.add(bid)
    bid.rested = True
    book.bids.insert(bid)
    return (
        OrderAccepted(sequence=sequence, order=order),
        OrderRested(
            sequence=sequence,
            order_id=bid.order_id,
            participant=bid.participant,
            remaining_gpus=bid.quantity_gpus,
            remaining_gpu_hours=bid.quantity_gpus * bid.hours,
        ),
    )


def _meet(book: OrderBook, arriving: LiveOrder, sequence: int) -> tuple[Event, ...]:
    """Match an arriving order, changing the book, and let the rest of it rest or die."""
    events: list[Event] = [OrderAccepted(sequence=sequence, order=arriving.order)]
    working = Working(book, arriving if isinstance(arriving, LiveAsk) else None, direct=True)
    _match(working, arriving, sequence, events)
    if arriving.remaining_gpus:
        last = _remainder(arriving, sequence)
        events.append(last)
        # Most orders that cross are filled: this one is filed now, if self-trade prevention has not done it.
        filed = arriving.order_id in book.orders
        if isinstance(last, OrderRested):
            if not filed:
                book.add(arriving)
            book.rest(arriving)
        elif filed:
            book.remove(arriving)
    return tuple(events)


def try_order(book: OrderBook, order: Order, sequence: int, replaced: LiveOrder | None) -> list[Event] | None:
    """Return the events of an admitted order, or None where it is post-only and would trade."""
    arriving = live(order, sequence, book.hour)
    offered = arriving.remaining_gpu_hours
    events: list[Event] = [OrderAccepted(sequence=sequence, order=order)]
    if _crosses(book, order):
        if isinstance(arriving, LiveAsk):
            working = Working(book, arriving, replaced if isinstance(replaced, LiveAsk) else None)
        else:
            working = Working(book)
        _match(working, arriving, sequence, events)
        if order.post_only and arriving.remaining_gpu_hours != offered:
            return None
        if order.time_in_force is _FOK and arriving.remaining_gpu_hours and isinstance(order, Ask):
            # The whole rectangle was not wanted: nothing of this trial happened.
            del events[1:]
            arriving = live(order, sequence, book.hour)
    if arriving.remaining_gpus:
        events.append(_remainder(arriving, sequence))
    return events


def _crosses(book: OrderBook, order: Order) -> bool:
    """Whether the best order of the other side is within the order's limit; if not, the order just rests."""
    if isinstance(order, Ask):
        bid = book.bids.best()
        return bid is not None and bid.price_ticks >= order.price_ticks
    ask = book.asks.best()
    return ask is not None and ask.price_ticks <= order.limit_ticks


def _match(working: Working, arriving: LiveOrder, sequence: int, events: list[Event]) -> None:
    if isinstance(arriving, LiveAsk):
        sell(working, arriving, sequence, events)
    else:
        arriving.remaining_gpus = try_bid(working, arriving, arriving.remaining_gpus, sequence, events)


def _remainder(order: LiveOrder, sequence: int) -> OrderRested | OrderCancelled | OrderExpired:
    """Tell whether what an arriving order did not trade rests or dies."""
    gpus = order.remaining_gpus
    gpu_hours = order.remaining_gpu_hours
    time_in_force = order.order.time_in_force
    if time_in_force is _IOC or time_in_force is _FOK:
        return OrderCancelled(
            sequence=sequence,
            order_id=order.order_id,
            participant=order.participant,
            reason=CancelReason.IMMEDIATE_REMAINDER
            if time_in_force is _IOC
            else CancelReason.NOT_FILLED_WHOLE,
            remaining_gpus=gpus,
            remaining_gpu_hours=gpu_hours,
        )
    if isinstance(order, LiveAsk) and order.min_hours > 1 and not order.sellable():
        return expired(sequence, order, ExpireReason.TOO_SHORT_TO_SELL, gpus, gpu_hours)
    return OrderRested(
        sequence=sequence,
        order_id=order.order_id,
        participant=order.participant,
        remaining_gpus=gpus,
        remaining_gpu_hours=gpu_hours,
    )
