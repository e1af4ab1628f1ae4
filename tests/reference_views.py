"""Market views read off the reference book, ask by ask and hour by hour; the fast views held against them."""

from typing import Final

from matching.book import OrderBook
from matching.depth import Preview, best_start, calendar, depth
from matching.events import Event, OrderRejected, Traded
from matching.order import Bid
from matching.units import NOTIONAL_MAX
from tests.reference_book import ReferenceBook
from tests.reference_orders import Need

HOURS: Final = 12
"""Drawn orders lie within about so many hours of the book's hour."""

RUNS: Final = ((1, 0, 3), (2, 1, 6), (3, 2, 1))
"""Hours of the run, first hour after the book's, quantity in lots."""

SLACK_HOURS: Final = 4


def check_views(book: OrderBook, reference: ReferenceBook) -> None:
    """Compare calendar, depth and best start."""
    first = book.hour
    hours = calendar(book, first, first + HOURS)
    assert [found.hour for found in hours] == list(range(first, first + HOURS))
    for found in hours:
        hour = found.hour
        offers = [offer for offer in reference.offers if offer.free.get(hour, 0)]
        needs = [
            need.order.limit_ticks
            for need in reference.needs
            if need.starts[0] <= hour < need.starts[-1] + need.order.hours
        ]
        assert found.ask_price_ticks == min((offer.order.price_ticks for offer in offers), default=0)
        assert found.bid_price_ticks == max(needs, default=0)
        assert found.free_gpus == sum(offer.free[hour] for offer in offers)
    for run_hours, after, lots in RUNS:
        start = first + after
        quantity = lots * book.product.lot_gpus
        levels = depth(book, start, run_hours, quantity)
        _, expected = _fills(reference, [start], run_hours, quantity)
        assert [(level.price_ticks, level.quantity_gpus) for level in levels] == list(expected.items())
        latest = start + run_hours + SLACK_HOURS
        best = best_start(book, start, latest, run_hours, quantity)
        at, expected = _fills(reference, list(range(start, start + SLACK_HOURS + 1)), run_hours, quantity)
        notional = sum(price * gpus for price, gpus in expected.items()) * run_hours
        told = (best.starts_hour, best.quantity_gpus, best.notional_ticks) if best else (0, 0, 0)
        assert told == (at, sum(expected.values()), notional)


def check_preview(seen: Preview, events: tuple[Event, ...]) -> None:
    """Compare what was to be expected of a bid with what then happened to it."""
    trades = [event for event in events if isinstance(event, Traded)]
    first = events[0]
    assert seen.reason == (first.reason if isinstance(first, OrderRejected) else None)
    assert [_terms(fill) for fill in seen.fills] == [_terms(trade) for trade in trades]
    assert seen.filled_gpus == sum(trade.quantity_gpus for trade in trades)
    assert seen.starts_hour == (trades[0].starts_hour if trades else 0)
    assert seen.notional_ticks == sum(t.quantity_gpus * t.hours * t.price_ticks for t in trades)


def _terms(fill: Traded) -> tuple[int, int, int, int, int]:
    return fill.ask_order_id, fill.quantity_gpus, fill.starts_hour, fill.hours, fill.price_ticks


def _fills(
    reference: ReferenceBook, starts: list[int], hours: int, quantity: int
) -> tuple[int, dict[int, int]]:
    """Return the start that a bid of nobody at any price would get, and its GPUs by price, cheapest first."""
    bid = Bid(
        order_id=0,
        participant=0,
        trade_group=0,
        product=reference.product.id,
        quantity_gpus=quantity,
        hours=hours,
        earliest_hour=starts[0],
        latest_hour=starts[-1] + hours,
        limit_ticks=NOTIONAL_MAX,
    )
    found = reference.best_fills(
        Need(bid, reference.sequence + 1, quantity, quantity, starts), with_own_group=True
    )
    levels: dict[int, int] = {}
    for offer, gpus in found[1] if found else []:
        levels[offer.order.price_ticks] = levels.get(offer.order.price_ticks, 0) + gpus
    return (found[0] if found else 0), levels
