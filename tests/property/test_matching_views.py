"""Goal: market views say what is in the book. Method: after each command they are read off the reference too.

The free GPUs of the calendar are kept while the book changes, so the first calendar is asked for before the
first order, and each further one is compared with that of a copy of the book, which counts them anew.
"""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings

from matching import index
from matching.book import OrderBook
from matching.commands import Command
from matching.depth import HourLevel, best_start, calendar, depth, hour_book
from matching.engine import execute
from matching.invariants import check_book
from matching.order import Bid
from matching.product import Product
from matching.snapshot import restore, snapshot
from matching.units import HORIZON_HOURS, NOTIONAL_MAX
from tests.interpreter import FAR
from tests.reference_book import ReferenceBook
from tests.reference_orders import Need
from tests.strategies import command_lists
from tests.tapes import tape

Case = tuple[Product, list[Command]]
REACH_HOURS = 14


def wants(need: Need, hour: int) -> bool:
    """Whether an hour lies in one of the runs that a bid could choose."""
    return any(start <= hour < start + need.order.hours for start in need.starts)


def levels(orders: Iterable[tuple[int, int]], sign: int, levels_max: int) -> tuple[HourLevel, ...]:
    """Return the levels of orders given as (price, GPUs)."""
    found = [(price, gpus) for price, gpus in orders if gpus]
    prices = sorted({price for price, _ in found}, key=lambda price: sign * price)[:levels_max]
    return tuple(
        HourLevel(
            price_ticks=price,
            quantity_gpus=sum(gpus for at, gpus in found if at == price),
            cumulative_gpus=sum(gpus for at, gpus in found if sign * at <= sign * price),
        )
        for price in prices
    )


def check_hours(book: OrderBook, reference: ReferenceBook, random: Random) -> None:
    """Compare the calendar and the book of each hour."""
    end_hour = book.hour + REACH_HOURS
    hours = calendar(book, book.hour, end_hour)
    for told in hours:
        hour = told.hour
        offers = [(offer.order.price_ticks, offer.free.get(hour, 0)) for offer in reference.offers]
        needs = [(need.order.limit_ticks, need.wanted) for need in reference.needs if wants(need, hour)]
        assert told.free_gpus == sum(gpus for _, gpus in offers)
        assert told.ask_price_ticks == min((price for price, gpus in offers if gpus), default=0)
        assert told.bid_price_ticks == max((price for price, _ in needs), default=0)
        levels_max = random.randint(1, 7)
        shown = hour_book(book, hour, levels_max)
        assert shown.asks == levels(offers, 1, levels_max)
        assert shown.bids == levels(needs, -1, levels_max)
    assert calendar(restore(snapshot(book)), book.hour, end_hour) == hours
    first = random.randrange(REACH_HOURS)
    last = random.randint(first, REACH_HOURS - 1)
    assert calendar(book, book.hour + first, book.hour + last + 1) == hours[first : last + 1]
    far_hour = book.hour + HORIZON_HOURS
    assert {hour.free_gpus for hour in calendar(book, far_hour - 3, far_hour)} == {0}


def check_matches(book: OrderBook, reference: ReferenceBook, random: Random) -> None:
    """Compare depth and best start of a need that is drawn."""
    hours = random.randint(1, 4)
    starts_hour = book.hour + random.randint(0, 5)
    ends_hour = starts_hour + hours + random.randint(0, 4)
    quantity = random.randint(1, 12) * book.product.lot_gpus
    is_mask, needs_mask = random.choice([(0, 0), (1, 0), (FAR, 0), (FAR | 1, 1), (0, FAR)])
    bid = Bid(
        order_id=0,
        participant=0,
        trade_group=0,
        product=book.product.id,
        quantity_gpus=quantity,
        hours=hours,
        earliest_hour=starts_hour,
        latest_hour=ends_hour,
        limit_ticks=NOTIONAL_MAX,
        is_mask=is_mask,
        needs_mask=needs_mask,
    )
    starts = list(range(starts_hour, ends_hour - hours + 1))
    need = Need(bid, reference.sequence + 1, quantity, quantity, starts)
    found = reference.best_fills(need, with_own_group=True)
    best = best_start(book, starts_hour, ends_hour, hours, quantity, is_mask, needs_mask)
    if found is None:
        assert best is None
        return
    start, fills = found
    cost = sum(gpus * offer.order.price_ticks for offer, gpus in fills) * hours
    assert best is not None
    assert (best.starts_hour, best.quantity_gpus) == (start, sum(gpus for _, gpus in fills))
    assert best.notional_ticks == cost
    expected: dict[int, int] = {}
    for offer, gpus in fills:
        expected[offer.order.price_ticks] = expected.get(offer.order.price_ticks, 0) + gpus
    shown = depth(book, start, hours, quantity, is_mask, needs_mask)
    assert [(level.price_ticks, level.quantity_gpus) for level in shown] == list(expected.items())


def run(product: Product, commands: list[Command], random: Random) -> None:
    """Compare all views after each command."""
    book, reference = OrderBook(product), ReferenceBook(product)
    for command in commands:
        execute(book, command)
        reference.execute(command)
        check_hours(book, reference, random)
        check_matches(book, reference, random)
    assert book.supply is not None
    check_book(book)


@settings(max_examples=60)
@given(command_lists())
def test_views_agree_with_the_reference_book(case: Case) -> None:
    run(*case, Random(len(case[1])))


@pytest.mark.parametrize("block_max", [1, 2, 16])
def test_views_of_many_blocks_agree_with_the_reference_book(
    block_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Books this small fill one block of the real size: small blocks are skipped, or stand next to each other.
    monkeypatch.setattr(index, "BLOCK_MAX", block_max)
    for seed in range(block_max * 100, block_max * 100 + 12):
        run(*tape(seed, 60), Random(seed))
