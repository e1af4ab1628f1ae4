"""Goal: the picture of a book is right where it is easily wrong. Method: books made by hand, as text."""

from io import StringIO

from rich.console import Console

from exchange.cli.book_screen import bar, line, picture
from exchange.client import OrderBook
from exchange.feed.book_models import BookOrder, BookSnapshot, FreeHours
from exchange.feed.book_text import book_line, checksum, order_line

FIRST = "2026-02-26T00:00:00Z"


def ask(reference: int, price: str, starts_at: str, ends_at: str, gpus: int = 2) -> BookOrder:
    free = [FreeHours(starts_at=starts_at, ends_at=ends_at, gpus=gpus)]
    return BookOrder(reference=reference, side="sell", price_cny_per_gpu_hour=price, free=free, min_hours=1)


def book_of(*orders: BookOrder) -> OrderBook:
    book = OrderBook("a.b.c")
    told = checksum(book_line(FIRST, "open"), map(order_line, orders))
    assert book.apply(
        BookSnapshot(
            channel="book:a.b.c",
            partition=1,
            sequence=orders[-1].reference if orders else 0,
            first_hour_at=FIRST,
            phase="open",
            checksum=told,
            orders=list(orders),
        )
    )
    return book


def text_of(book: OrderBook) -> str:
    written = StringIO()
    Console(file=written, width=120).print(picture(book, []))
    return written.getvalue()


def test_bars_go_from_the_cheapest_to_the_dearest() -> None:
    assert [bar(price, 100, 170) for price in (100, 109, 110, 169, 170)] == [0, 0, 1, 6, 7]
    assert bar(100, 100, 100) == 0


def test_each_hour_has_a_bar_or_a_dot_and_the_best_order_stands_first() -> None:
    text = text_of(
        book_of(
            ask(1, "10.00", FIRST, "2026-02-26T02:00:00Z"),
            ask(2, "9.50", "2026-02-26T01:00:00Z", "2026-02-26T03:00:00Z", gpus=7),
        )
    )
    rows = [each for each in text.splitlines() if each.startswith("02-2") and "·" in each]
    assert [row[:11] for row in rows] == ["02-26 00:00", "02-27 00:00", "02-28 00:00"]
    assert rows[0][11:].split()[0] == "██▁▁▁▁·"
    assert "cheapest hour 9.50, dearest 10.00" in text
    assert text.index("\n9.50 ") < text.index("\n10.00 ")


def test_an_empty_book_and_one_that_is_awaited_say_so() -> None:
    assert "nothing rests in this book" in text_of(book_of())
    assert "waiting for the book" in text_of(OrderBook("a.b.c"))
    assert line(book_of()) == "0  open  0 orders  ask none  bid none"
