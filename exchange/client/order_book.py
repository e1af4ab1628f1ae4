"""A product's public book, kept from the channel `book:<product>`, and what can be read off it.

Give every event to `apply`. While the book `is_whole` it is exactly the committed book at `sequence`. An
event that does not follow the one before, or a checksum that does not fit, ends that: ask for a new snapshot,
and until one comes that is as new as anything heard of, nothing else is taken in. What is told twice, or
late, is passed over. So a book that lost, doubled or reordered messages is never taken for a whole one.

Prices are decimal CNY per GPU-hour as they are told, times RFC 3339. Known limit: hours and levels are
counted anew for each question, in time that grows with the orders.
"""

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final

import msgspec

from exchange.client.problems import Unreachable
from exchange.feed.book_models import BookChecksum, BookDelta, BookOrder, BookSnapshot
from exchange.feed.book_text import book_line, checksum, order_line
from exchange.feed.models import CalendarHourView
from exchange.kit.clock import hour_of, parse_rfc3339
from exchange.kit.fields import format_hour

BookEvent = BookSnapshot | BookDelta | BookChecksum
SELL: Final = "sell"


class BookLevel(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs of one price in an hour, and with all better ones."""

    price_cny_per_gpu_hour: str
    quantity_gpus: int
    cumulative_gpus: int


class HourLevels(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of the book for one delivery hour, best first.

    A bid counts with all it still wants wherever its window has the hour.
    """

    asks: list[BookLevel]
    bids: list[BookLevel]


class OrderBook:
    """The book of a product; not whole before its first snapshot."""

    def __init__(self, product: str) -> None:
        self.product = product
        self.is_whole = False
        self.sequence = 0
        self.first_hour_at = ""
        self.phase = ""
        self.orders: dict[int, BookOrder] = {}
        """What rests, by reference."""
        self._heard = 0
        self._lines: dict[int, str] = {}

    def apply(self, event: BookEvent) -> bool:
        """Take in an event of this book's channel; return whether the book is whole after it."""
        is_news = event.sequence >= self._heard
        self._heard = max(self._heard, event.sequence)
        if isinstance(event, BookSnapshot):
            if is_news:
                self._begin(event)
        elif isinstance(event, BookDelta):
            if self.is_whole and event.sequence > self.sequence:
                self._follow(event)
        elif self.is_whole and event.sequence > self.sequence:
            self.is_whole = False
        elif self.is_whole and event.sequence == self.sequence:
            self.is_whole = event.checksum == self.checksum()
        return self.is_whole

    def begin_anew(self) -> None:
        """Wait for a snapshot, whatever its sequence: another exchange may be there now."""
        self.is_whole = False
        self._heard = 0

    def checksum(self) -> str:
        """Return the checksum of the book as it is kept."""
        first = book_line(self.first_hour_at, self.phase)
        return checksum(first, (self._lines[reference] for reference in sorted(self._lines)))

    def best_ask(self, hour_at: str | None = None) -> BookOrder | None:
        """Return the cheapest ask, of all or of those with something free in an hour; of these the oldest."""
        asks = (order for order in self.orders.values() if order.side == SELL and _gpus_in(order, hour_at))
        return min(asks, key=lambda order: (_fen(order), order.reference), default=None)

    def best_bid(self, hour_at: str | None = None) -> BookOrder | None:
        """Return the dearest bid, of all or of those whose window has an hour; of these the oldest."""
        bids = (order for order in self.orders.values() if order.side != SELL and _gpus_in(order, hour_at))
        return min(bids, key=lambda order: (-_fen(order), order.reference), default=None)

    def levels(self, hour_at: str) -> HourLevels:
        """Return the prices of a delivery hour, best first."""
        asks = self._gpus_by_price(hour_at, lambda order: order.side == SELL)
        bids = self._gpus_by_price(hour_at, lambda order: order.side != SELL)
        return HourLevels(asks=_levels(asks, is_rising=True), bids=_levels(bids, is_rising=False))

    def calendar(self, hours: int, starts_at: str | None = None) -> list[CalendarHourView]:
        """Return price and free GPUs of `hours` delivery hours, from the first one for sale unless told."""
        first = _hour(starts_at or self.first_hour_at)
        free = [0] * hours
        asked: list[BookOrder | None] = [None] * hours
        bidden: list[BookOrder | None] = [None] * hours
        # Best first: the first that has an hour is the one that is shown.
        for order in sorted(self.orders.values(), key=_fen):
            if order.side == SELL:
                for starts_hour, ends_hour, gpus in _spans(order):
                    for place in range(max(starts_hour - first, 0), min(ends_hour - first, hours)):
                        free[place] += gpus
                        asked[place] = asked[place] or order
            else:
                for starts_hour, ends_hour, _ in _spans(order):
                    for place in range(max(starts_hour - first, 0), min(ends_hour - first, hours)):
                        bidden[place] = order
        return [
            CalendarHourView(
                starts_at=format_hour(first + place),
                ask_cny_per_gpu_hour=None if ask is None else ask.price_cny_per_gpu_hour,
                bid_cny_per_gpu_hour=None if bid is None else bid.price_cny_per_gpu_hour,
                free_gpus=gpus,
            )
            for place, (ask, bid, gpus) in enumerate(zip(asked, bidden, free, strict=True))
        ]

    def _begin(self, event: BookSnapshot) -> None:
        self.sequence = event.sequence
        self.first_hour_at, self.phase = event.first_hour_at, event.phase
        self.orders = {order.reference: order for order in event.orders}
        self._lines = {order.reference: order_line(order) for order in event.orders}
        self.is_whole = event.checksum == self.checksum()

    def _follow(self, event: BookDelta) -> None:
        if event.prev_sequence != self.sequence:
            self.is_whole = False
            return
        self.sequence = event.sequence
        self.phase = event.phase or self.phase
        if event.first_hour_at is not None:
            self.first_hour_at = event.first_hour_at
            for order in [each for each in self.orders.values() if _starts_before(each, event.first_hour_at)]:
                self._put(_without_hours_before(order, event.first_hour_at))
        for reference in event.removed:
            self.orders.pop(reference, None)
            self._lines.pop(reference, None)
        for order in event.changes:
            self._put(order)
        if event.checksum is not None:
            self.is_whole = event.checksum == self.checksum()

    def _put(self, order: BookOrder) -> None:
        self.orders[order.reference] = order
        self._lines[order.reference] = order_line(order)

    def _gpus_by_price(self, hour_at: str, is_of_side: Callable[[BookOrder], bool]) -> dict[str, int]:
        gpus: dict[str, int] = {}
        for order in self.orders.values():
            if is_of_side(order) and (here := _gpus_in(order, hour_at)):
                price = order.price_cny_per_gpu_hour
                gpus[price] = gpus.get(price, 0) + here
        return gpus


def _starts_before(order: BookOrder, hour_at: str) -> bool:
    # Times on the hour, in UTC and in one form, sort as text.
    if order.free is None:
        return (order.starts_at or "") < hour_at
    return bool(order.free) and order.free[0].starts_at < hour_at


def _without_hours_before(order: BookOrder, hour_at: str) -> BookOrder:
    if order.free is None:
        return msgspec.structs.replace(order, starts_at=hour_at)
    free = [
        msgspec.structs.replace(each, starts_at=max(each.starts_at, hour_at))
        for each in order.free
        if each.ends_at > hour_at
    ]
    return msgspec.structs.replace(order, free=free)


def _gpus_in(order: BookOrder, hour_at: str | None) -> int:
    """Return what an order has or wants in an hour, or at most in any."""
    if order.free is None:
        is_in = hour_at is None or (order.starts_at or "") <= hour_at < (order.ends_at or "")
        return (order.quantity_gpus or 0) if is_in else 0
    return max(
        (each.gpus for each in order.free if hour_at is None or each.starts_at <= hour_at < each.ends_at),
        default=0,
    )


def _spans(order: BookOrder) -> Iterable[tuple[int, int, int]]:
    """Return (first hour, hour after the last, GPUs) of each stretch in which an order has or wants any."""
    if order.free is None:
        return [(_hour(order.starts_at), _hour(order.ends_at), order.quantity_gpus or 0)]
    return [(_hour(each.starts_at), _hour(each.ends_at), each.gpus) for each in order.free]


def _levels(gpus: dict[str, int], *, is_rising: bool) -> list[BookLevel]:
    prices = sorted(gpus, key=_fen_of, reverse=not is_rising)
    return [
        BookLevel(price_cny_per_gpu_hour=price, quantity_gpus=gpus[price], cumulative_gpus=cumulative)
        for price, cumulative in zip(prices, accumulate(gpus[price] for price in prices), strict=True)
    ]


def _fen(order: BookOrder) -> int:
    return _fen_of(order.price_cny_per_gpu_hour)


def _fen_of(price: str) -> int:
    # Prices are told with two decimals, always.
    return int(price.replace(".", ""))


def _hour(text: str | None) -> int:
    at_us = parse_rfc3339(text or "")
    if at_us is None:
        raise Unreachable(f"the exchange gave {text!r} as an hour")
    return hour_of(at_us)
