"""The whole book as bytes, and back.

Byte-stable: one book, one encoding, whatever path led to it. Orders stand in sequence order; indexes, masks
and due hours are worked out again. Self-trade pairs already told are part of the book, since they are told
once.
"""

from typing import Final

import msgspec

from matching.book import OrderBook
from matching.codec import WireOrder, from_wire, to_wire
from matching.live import LiveOrder, is_ask, is_bid, live_ask, live_bid, pair
from matching.order import Ask
from matching.product import Phase, Product
from matching.profile import Profile
from matching.units import spans_of

VERSION: Final = 1


class SnapshotError(ValueError):
    """The bytes are not a snapshot that this version reads."""


class _SavedOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    order: WireOrder
    sequence: int
    quantity_gpus: int
    # An ask: the edges of its runs, GPUs free in each. A bid: its first and last start, GPUs it wants.
    hours: list[int]
    gpus: list[int]
    # Of a bid: the asks of its own group it has been told of.
    prevented: list[int]


class _SavedBook(msgspec.Struct, frozen=True, gc=False):
    version: int
    product: Product
    hour: int
    phase: Phase
    last_price_ticks: int
    sequence: int
    orders: list[_SavedOrder]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[_SavedBook] = msgspec.msgpack.Decoder(_SavedBook)


def snapshot(book: OrderBook) -> bytes:
    """Return the book between two commands as bytes."""
    orders = sorted(book.orders.values(), key=lambda order: order.sequence)
    return _ENCODER.encode(
        _SavedBook(
            version=VERSION,
            product=book.product,
            hour=book.hour,
            phase=book.phase,
            last_price_ticks=book.last_price_ticks,
            sequence=book.sequence,
            orders=[_save(order) for order in orders],
        )
    )


def restore(data: bytes) -> OrderBook:
    """Return the book that `snapshot` was given; raises SnapshotError for anything else."""
    try:
        saved = _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    if saved.version != VERSION:
        raise SnapshotError(f"snapshot version {saved.version}, expected {VERSION}")
    book = OrderBook(saved.product, saved.hour)
    book.phase = saved.phase
    book.last_price_ticks = saved.last_price_ticks
    book.sequence = saved.sequence
    for entry in saved.orders:
        order = _load(book, entry)
        book.add(order)
        book.rest(order)
    for entry in saved.orders:
        for ask_order_id in entry.prevented:
            bid, ask = book.order(entry.order.order_id), book.order(ask_order_id)
            if is_bid(bid) and is_ask(ask):
                pair(bid, ask)
    return book


def _save(order: LiveOrder) -> _SavedOrder:
    if is_ask(order):
        prevented: list[int] = []
        if order.profile is None:
            hours, gpus = [order.starts_hour, order.ends_hour], [order.gpus]
        else:
            hours, gpus = order.profile.edges, order.profile.free
    else:
        hours, gpus = [order.starts_hour, order.ends_hour - order.hours], [order.gpus]
        # The order in which pairs were told means nothing; one order keeps the bytes stable.
        prevented = sorted(order.prevented or ())
    return _SavedOrder(to_wire(order.order), order.sequence, order.quantity_gpus, hours, gpus, prevented)


def _load(book: OrderBook, entry: _SavedOrder) -> LiveOrder:
    order = from_wire(entry.order)
    if type(order) is Ask:
        ask = live_ask(order, entry.sequence, order.starts_hour)
        ask.quantity_gpus = entry.quantity_gpus
        ask.gpus = entry.gpus[0]
        ask.starts_hour = entry.hours[0]
        ask.hours = ask.ends_hour - ask.starts_hour
        ask.spans = spans_of(ask.starts_hour, ask.ends_hour, book.hour)
        if len(entry.gpus) > 1:
            ask.profile = Profile.of_runs(entry.hours, entry.gpus)
            book.renew_spans(ask, ask.profile)
        return ask
    bid = live_bid(order, entry.sequence, order.earliest_hour)
    bid.quantity_gpus = entry.quantity_gpus
    (bid.gpus,) = entry.gpus
    bid.starts_hour = entry.hours[0]
    bid.ends_hour = entry.hours[1] + bid.hours
    bid.spans = spans_of(bid.starts_hour, bid.ends_hour, book.hour)
    return bid
