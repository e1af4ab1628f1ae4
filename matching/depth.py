"""Market views: pure reads of a book between two commands.

All go through the book's index. `depth`, `best_start` and `preview` are matches; their prices are asks' own,
for a buyer without masks of its own unless masks are given, so capacity reserved for others is left out.
`calendar` and `hour_book` know no buyer: an order counts for every hour in which it has or wants something,
whatever its masks and shortest piece say.

`calendar` looks for the first price of each hour, best order first, and stops when each hour has one; hours
without supply are not looked for. Its first call on a book counts every ask (`matching.supply`). Known limit:
an hour that only orders of the worst prices have costs a visit to every order of its 4-hour span; so does, of
the bids, an hour that no bid wants where others of its span are wanted.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from matching.book import OrderBook
from matching.commands import PlaceOrder
from matching.engine import decide
from matching.events import OrderRejected, RejectReason, Traded
from matching.index import RestingIndex
from matching.live import live_bid, stretches
from matching.order import Bid
from matching.trades import match_bid
from matching.units import HORIZON_HOURS, NOTIONAL_MAX, SPAN_SHIFT, spans_of
from matching.walk import Match, Working


class CalendarHour(msgspec.Struct, frozen=True, gc=False):
    """One delivery hour: its cheapest ask, the dearest bid that could use it, free GPUs; price 0 is none."""

    hour: int
    ask_price_ticks: int
    bid_price_ticks: int
    free_gpus: int


class DepthLevel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs to be had at one price."""

    price_ticks: int
    quantity_gpus: int


class HourLevel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs of one price, and with all better ones."""

    price_ticks: int
    quantity_gpus: int
    cumulative_gpus: int


class HourBook(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of the book for one delivery hour, best first."""

    asks: tuple[HourLevel, ...]
    bids: tuple[HourLevel, ...]


class BestStart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The start a flexible bid would get; `notional_ticks` is price x quantity x hours over its fills."""

    starts_hour: int
    quantity_gpus: int
    notional_ticks: int


class Preview(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a bid would fill now. `reason`: why it would be refused; `starts_hour` is 0 without fills."""

    reason: RejectReason | None
    starts_hour: int
    fills: tuple[Traded, ...]
    filled_gpus: int
    remaining_gpus: int
    notional_ticks: int


def calendar(book: OrderBook, from_hour: int, to_hour: int) -> tuple[CalendarHour, ...]:
    """Return each hour of [from_hour, to_hour); the window lies between the book's hour and its horizon."""
    if not book.hour <= from_hour < to_hour <= book.hour + HORIZON_HOURS:
        raise ValueError(f"[{from_hour}, {to_hour}) is not within the horizon from hour {book.hour}")
    free = book.kept_supply().free(from_hour, to_hour)
    asked = _first_prices(book, book.asks, from_hour, [gpus > 0 for gpus in free])
    bidden = _first_prices(book, book.bids, from_hour, [True] * len(free))
    return tuple(map(CalendarHour, range(from_hour, to_hour), asked, bidden, free))


def hour_book(book: OrderBook, hour: int, levels_max: int) -> HourBook:
    """Return the best price levels of both sides for one delivery hour, each with the sum so far.

    A bid counts with all it still wants where its window has the hour, whether or not its run will.
    """
    if not book.hour <= hour < book.hour + HORIZON_HOURS or levels_max <= 0:
        raise ValueError(f"no {levels_max} levels for hour {hour} of a book at hour {book.hour}")
    return HourBook(
        asks=_levels(book, book.asks, hour, levels_max), bids=_levels(book, book.bids, hour, levels_max)
    )


def depth(
    book: OrderBook, starts_hour: int, hours: int, quantity_gpus: int, is_mask: int = 0, needs_mask: int = 0
) -> tuple[DepthLevel, ...]:
    """Return what `quantity_gpus` for [starts_hour, starts_hour + hours) would be made of, cheapest first."""
    match = _match(book, starts_hour, starts_hour + hours, hours, quantity_gpus, is_mask, needs_mask)
    gpus: dict[int, int] = {}
    for ask, quantity in match[1] if match is not None else ():
        gpus[ask.price_ticks] = gpus.get(ask.price_ticks, 0) + quantity
    return tuple(DepthLevel(price_ticks=price, quantity_gpus=quantity) for price, quantity in gpus.items())


def best_start(
    book: OrderBook,
    earliest_hour: int,
    latest_hour: int,
    hours: int,
    quantity_gpus: int,
    is_mask: int = 0,
    needs_mask: int = 0,
) -> BestStart | None:
    """Return the run of `hours` inside the window that fills most, then costs least, then is earliest."""
    match = _match(book, earliest_hour, latest_hour, hours, quantity_gpus, is_mask, needs_mask)
    if match is None:
        return None
    return BestStart(
        starts_hour=match[0],
        quantity_gpus=sum(quantity for _, quantity in match[1]),
        notional_ticks=sum(quantity * ask.price_ticks for ask, quantity in match[1]) * hours,
    )


def preview(book: OrderBook, bid: Bid) -> Preview:
    """Return what placing the bid would fill now, by the code that would place it; nothing is placed."""
    events = decide(book, PlaceOrder(sequence=book.sequence + 1, order=bid))
    first = events[0]
    fills = tuple(event for event in events if isinstance(event, Traded))
    filled_gpus = sum(fill.quantity_gpus for fill in fills)
    return Preview(
        reason=first.reason if isinstance(first, OrderRejected) else None,
        starts_hour=fills[0].starts_hour if fills else 0,
        fills=fills,
        filled_gpus=filled_gpus,
        remaining_gpus=bid.quantity_gpus - filled_gpus,
        notional_ticks=sum(fill.price_ticks * fill.quantity_gpus * fill.hours for fill in fills),
    )


def _match(
    book: OrderBook,
    earliest_hour: int,
    latest_hour: int,
    hours: int,
    quantity_gpus: int,
    is_mask: int,
    needs_mask: int,
) -> Match | None:
    """Match a bid of nobody, at any price."""
    if not (book.hour <= earliest_hour and 0 < hours <= latest_hour - earliest_hour) or quantity_gpus <= 0:
        raise ValueError(
            f"no run of {hours} hours for {quantity_gpus} GPUs in [{earliest_hour}, {latest_hour})"
        )
    bid = Bid(
        order_id=0,
        participant=0,
        trade_group=0,
        product=book.product.id,
        quantity_gpus=quantity_gpus,
        hours=hours,
        earliest_hour=earliest_hour,
        latest_hour=min(latest_hour, book.hour + HORIZON_HOURS),
        limit_ticks=NOTIONAL_MAX,
        is_mask=is_mask,
        needs_mask=needs_mask,
    )
    return match_bid(Working(book), live_bid(bid, book.sequence + 1, book.hour), quantity_gpus)


class _Unpriced:
    """The hours of a window that have no price yet. Places are hours from `from_hour`.

    `starts` and `ends`: the longest stretches of places without a price, in order, so that an order costs a
    search and a step for each stretch that it meets, however long its window. `spans`: those that such places
    lie in; a span is so short that at most two stretches lie in it.
    """

    __slots__ = ("ends", "from_hour", "prices", "spans", "spans_from", "starts")

    def __init__(self, book_hour: int, from_hour: int, wanted: list[bool]) -> None:
        self.from_hour = from_hour
        self.prices = [0] * len(wanted)
        edges = [
            place
            for place, (before, here) in enumerate(pairwise((False, *wanted, False)))
            if before is not here
        ]
        self.starts = edges[::2]
        self.ends = edges[1::2]
        self.spans_from = book_hour >> SPAN_SHIFT
        self.spans = 0
        for start, end in zip(self.starts, self.ends, strict=True):
            self.spans |= self._spans(start, end)

    def price(self, starts_hour: int, ends_hour: int, price_ticks: int) -> None:
        """Give those of a window's hours that have no price yet this one."""
        starts = self.starts
        ends = self.ends
        place = max(starts_hour - self.from_hour, 0)
        end = min(ends_hour - self.from_hour, len(self.prices))
        first = bisect_right(ends, place)
        last = bisect_left(starts, end)
        if first >= last:
            return
        for i in range(first, last):
            here = max(starts[i], place)
            until = min(ends[i], end)
            self.prices[here:until] = [price_ticks] * (until - here)
        begin = starts[first]
        stop = ends[last - 1]
        left = [edge for edge in ((begin, place), (end, stop)) if edge[0] < edge[1]]
        starts[first:last] = [edge[0] for edge in left]
        ends[first:last] = [edge[1] for edge in left]
        self.spans &= ~self._spans(begin, stop)
        for i in range(max(first - 1, 0), min(first + len(left) + 1, len(starts))):
            self.spans |= self._spans(starts[i], ends[i])

    def _spans(self, start: int, end: int) -> int:
        first = (self.from_hour + start >> SPAN_SHIFT) - self.spans_from
        last = (self.from_hour + end - 1 >> SPAN_SHIFT) - self.spans_from
        return ((2 << (last - first)) - 1) << first


def _first_prices(book: OrderBook, index: RestingIndex[Any], from_hour: int, wanted: list[bool]) -> list[int]:
    """Return, for each wanted hour from `from_hour`, the price of the first order that has it; 0 for none."""
    if not index.ladder:
        return [0] * len(wanted)
    unpriced = _Unpriced(book.hour, from_hour, wanted)
    for block in reversed(index.ladder):
        if not unpriced.spans:
            break
        if not block.cover & unpriced.spans:
            continue
        for order in block.orders.values():
            if order.spans & unpriced.spans:
                for starts_hour, ends_hour in stretches(order):
                    unpriced.price(starts_hour, ends_hour, block.price_ticks)
    return unpriced.prices


def _levels(book: OrderBook, index: RestingIndex[Any], hour: int, levels_max: int) -> tuple[HourLevel, ...]:
    """Return the best levels of one side for an hour."""
    span = spans_of(hour, hour + 1, book.hour)
    gpus: dict[int, int] = {}
    for block in reversed(index.ladder):
        if not block.cover & span:
            continue
        price_ticks = block.price_ticks
        if len(gpus) == levels_max and price_ticks not in gpus:
            break
        for order in block.orders.values():
            if order.starts_hour <= hour < order.ends_hour:
                profile = order.profile
                here = order.gpus if profile is None else profile.room(hour, hour + 1)
                if here:
                    gpus[price_ticks] = gpus.get(price_ticks, 0) + here
    return tuple(
        HourLevel(price_ticks=price_ticks, quantity_gpus=quantity, cumulative_gpus=cumulative)
        for (price_ticks, quantity), cumulative in zip(gpus.items(), accumulate(gpus.values()), strict=True)
    )
