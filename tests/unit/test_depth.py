"""Goal: market views say what is in the book. Method: small books to read it off; preview against placing."""

from hypothesis import given, settings

from matching.book import OrderBook
from matching.commands import Command, PlaceOrder
from matching.depth import DepthLevel, best_start, calendar, depth, preview
from matching.engine import execute
from matching.events import OrderRejected, Traded
from matching.order import Ask, Bid
from matching.product import Product
from matching.snapshot import snapshot
from tests.strategies import command_lists

HOUR = 1_000


def ask(order_id: int, gpus: int, first: int, end: int, price_ticks: int) -> PlaceOrder:
    order = Ask(
        order_id=order_id,
        participant=order_id,
        trade_group=0,
        product="p",
        quantity_gpus=gpus,
        starts_hour=HOUR + first,
        ends_hour=HOUR + end,
        price_ticks=price_ticks,
    )
    return PlaceOrder(sequence=order_id, order=order)


def bid(order_id: int, gpus: int, first: int, end: int, limit_ticks: int) -> PlaceOrder:
    order = Bid(
        order_id=order_id,
        participant=order_id,
        trade_group=0,
        product="p",
        quantity_gpus=gpus,
        hours=2,
        earliest_hour=HOUR + first,
        latest_hour=HOUR + end,
        limit_ticks=limit_ticks,
    )
    return PlaceOrder(sequence=order_id, order=order)


def book_of(*commands: Command) -> OrderBook:
    book = OrderBook(Product("p", 1, 0, 1), HOUR)
    for command in commands:
        execute(book, command)
    return book


BOOK = (ask(1, 4, 0, 4, 10), ask(2, 2, 2, 6, 8), ask(3, 5, 2, 6, 12), bid(4, 1, 1, 4, 5), bid(5, 1, 3, 5, 7))


def test_the_calendar_has_the_best_prices_and_the_free_gpus_of_each_hour() -> None:
    hours = calendar(book_of(*BOOK), HOUR, HOUR + 7)
    assert [(hour.ask_price_ticks, hour.bid_price_ticks, hour.free_gpus) for hour in hours] == [
        (10, 0, 4),
        (10, 5, 4),
        (8, 5, 11),
        (8, 7, 11),
        (8, 7, 7),
        (8, 0, 7),
        (0, 0, 0),
    ]


def test_depth_is_what_a_quantity_would_be_made_of() -> None:
    book = book_of(*BOOK)
    assert depth(book, HOUR + 2, 2, 7) == (
        DepthLevel(price_ticks=8, quantity_gpus=2),
        DepthLevel(price_ticks=10, quantity_gpus=4),
        DepthLevel(price_ticks=12, quantity_gpus=1),
    )
    assert depth(book, HOUR + 5, 2, 7) == ()


def test_the_best_start_fills_most_then_costs_least_then_is_earliest() -> None:
    book = book_of(*BOOK)
    best = best_start(book, HOUR, HOUR + 6, 2, 2)
    assert best is not None
    assert (best.starts_hour, best.quantity_gpus, best.notional_ticks) == (HOUR + 2, 2, 32)
    most = best_start(book, HOUR, HOUR + 6, 2, 11)
    assert most is not None
    assert (most.starts_hour, most.quantity_gpus) == (HOUR + 2, 11)
    assert best_start(book, HOUR + 6, HOUR + 9, 2, 1) is None


@settings(max_examples=60)
@given(command_lists())
def test_a_preview_is_what_placing_then_does_and_places_nothing(case: tuple[Product, list[Command]]) -> None:
    product, commands = case
    book = OrderBook(product)
    for command in commands:
        if not isinstance(command, PlaceOrder) or not isinstance(command.order, Bid):
            execute(book, command)
            continue
        before = snapshot(book)
        seen = preview(book, command.order)
        assert snapshot(book) == before
        events = execute(book, command)
        trades = [event for event in events if isinstance(event, Traded)]
        assert seen.filled_gpus == sum(trade.quantity_gpus for trade in trades)
        assert seen.notional_ticks == sum(t.quantity_gpus * t.hours * t.price_ticks for t in trades)
        assert (seen.reason is not None) == isinstance(events[0], OrderRejected)
