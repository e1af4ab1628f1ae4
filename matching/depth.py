"""Market views: pure reads of a book between two commands.

Prices are asks' own prices, for a buyer without masks of its own unless masks are given: capacity reserved
for others is left out. Known limit: the free GPUs of `calendar` visit every ask.
"""

from collections.abc import Iterable

import msgspec

from matching.book import OrderBook
from matching.commands import PlaceOrder
from matching.engine import decide
from matching.events import OrderRejected, RejectReason, Traded
from matching.live import capacity, live_bid
from matching.order import Bid
from matching.trades import match_bid
from matching.units import HORIZON_HOURS, NOTIONAL_MAX
from matching.walk import Match, Working


class CalendarHour(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivery hour: its cheapest ask, the dearest bid that could use it, free GPUs; price 0 is none."""

    hour: int
    ask_price_ticks: int
    bid_price_ticks: int
    free_gpus: int


class DepthLevel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs to be had at one price."""

    price_ticks: int
    quantity_gpus: int


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
    """Return each hour of [from_hour, to_hour); the window lies between the book's hour and its horizon.

    An ask counts for every hour in which it has something free, whatever `min_hours` and masks say.
    """
    if not book.hour <= from_hour < to_hour <= book.hour + HORIZON_HOURS:
        raise ValueError(f"[{from_hour}, {to_hour}) is not within the horizon from hour {book.hour}")
    window = (1 << (to_hour - book.hour)) - (1 << (from_hour - book.hour))
    changes = [0] * (to_hour - from_hour + 1)
    offers: list[tuple[int, int]] = []
    for ask in book.asks:
        if ask.starts_hour < to_hour and ask.ends_hour > from_hour:
            profile = capacity(ask)
            offers.append((profile.mask(book.hour), ask.price_ticks))
            for starts_hour, ends_hour, gpus in profile.runs():
                if starts_hour < to_hour and ends_hour > from_hour:
                    changes[max(starts_hour, from_hour) - from_hour] += gpus
                    changes[min(ends_hour, to_hour) - from_hour] -= gpus
    asked = _first_prices(offers, window)
    needs = (
        ((1 << (bid.ends_hour - book.hour)) - (1 << (bid.starts_hour - book.hour)), bid.price_ticks)
        for bid in book.bids
    )
    bidden = _first_prices(needs, window)
    hours: list[CalendarHour] = []
    free_gpus = 0
    for hour in range(from_hour, to_hour):
        free_gpus += changes[hour - from_hour]
        hours.append(
            CalendarHour(
                hour=hour,
                ask_price_ticks=asked.get(hour - book.hour, 0),
                bid_price_ticks=bidden.get(hour - book.hour, 0),
                free_gpus=free_gpus,
            )
        )
    return tuple(hours)


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


def _first_prices(priced: Iterable[tuple[int, int]], window: int) -> dict[int, int]:
    """Return, by hour of the window, the price of the first mask that has it; stops when all have one."""
    prices: dict[int, int] = {}
    for mask, price_ticks in priced:
        here = mask & window
        if not here:
            continue
        window ^= here
        while here:
            prices[(here & -here).bit_length() - 1] = price_ticks
            here &= here - 1
        if not window:
            break
    return prices
