"""Goal: a job with alternatives goes where it is filled whole most cheaply now, else to the highest limit.

Method: small books by hand.
"""

import pytest

from exchange.replay.cheapest import cheapest_alternative, cost_now_ticks
from exchange.replay.plan import Alternative, PlannedBid
from matching.book import OrderBook
from matching.commands import AdvanceHour, PlaceOrder
from matching.engine import execute
from matching.order import Ask
from matching.product import Product

HOUR = 400_000


def book_of(name: str, *asks: tuple[int, int]) -> OrderBook:
    """Return a book with asks of (GPUs, price) over the next day."""
    book = OrderBook(Product(name, 1, 80_000, 300))
    execute(book, AdvanceHour(sequence=1, hour=HOUR))
    for number, (gpus, price) in enumerate(asks, start=2):
        ask = Ask(
            order_id=number,
            participant=9,
            trade_group=0,
            product=name,
            quantity_gpus=gpus,
            starts_hour=HOUR + 1,
            ends_hour=HOUR + 25,
            price_ticks=price,
        )
        execute(book, PlaceOrder(sequence=number, order=ask))
    return book


def job(quantity_gpus: int, **limits: int) -> PlannedBid:
    return PlannedBid(
        order_id="job",
        buyer="b",
        submitted_at_us=0,
        quantity_gpus=quantity_gpus,
        hours=3,
        earliest_hour=HOUR + 1,
        latest_hour=HOUR + 10,
        alternatives=tuple(Alternative(product_id=name, limit_ticks=limit) for name, limit in limits.items()),
    )


@pytest.mark.parametrize(
    "wanted, expected",
    [
        (job(2, dear=900, cheap=900), "cheap"),
        (job(6, dear=900, cheap=900), "dear"),  # only this one has so many
        (job(2, dear=900, cheap=299), "dear"),  # the other's limit is below its asks
        (job(99, dear=800, cheap=900), "cheap"),  # nobody has so many: the higher limit
        (job(99, dear=900, cheap=900), "dear"),  # and between equal limits the first
    ],
)
def test_the_cheapest_product_that_can_fill_the_whole_job_is_chosen(
    wanted: PlannedBid, expected: str
) -> None:
    books = {"dear": book_of("dear", (8, 500)), "cheap": book_of("cheap", (4, 300))}
    before = {name: book.sequence for name, book in books.items()}
    assert cheapest_alternative(wanted, books.__getitem__).product_id == expected
    assert {name: book.sequence for name, book in books.items()} == before, "asking changes nothing"


def test_the_cost_is_that_of_every_ask_it_would_take() -> None:
    book = book_of("mixed", (2, 300), (4, 500))
    wanted = job(3, mixed=900)
    assert cost_now_ticks(wanted, wanted.alternatives[0], book) == 3 * (2 * 300 + 500)
    assert cost_now_ticks(job(7, mixed=900), wanted.alternatives[0], book) is None
