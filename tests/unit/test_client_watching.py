"""Goal: who watches a book has the server's, also where its sequence went back. Method: streams made up."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Self, cast

from exchange.client.order_book import OrderBook
from exchange.client.stream import OrderStream, StreamEvent
from exchange.client.watching import WatchCalls
from exchange.feed.book_models import BookDelta, BookSnapshot
from exchange.feed.book_text import book_line, checksum

PRODUCT = "a-product"
CHANNEL = f"book:{PRODUCT}"
FIRST_HOUR_AT = "2026-01-01T00:00:00Z"


def snapshot(sequence: int) -> BookSnapshot:
    """Return an empty book at a sequence."""
    return BookSnapshot(
        channel=CHANNEL,
        partition=1,
        sequence=sequence,
        first_hour_at=FIRST_HOUR_AT,
        phase="open",
        checksum=checksum(book_line(FIRST_HOUR_AT, "open"), ()),
        orders=[],
    )


def lost_then(sequence: int) -> BookDelta:
    """Return a delta that follows on another than the last one."""
    return BookDelta(channel=CHANNEL, partition=1, prev_sequence=sequence - 1, sequence=sequence)


class Told:
    """A stream that tells what it is given, and counts how often a book was asked for."""

    def __init__(self, events: Sequence[StreamEvent]) -> None:
        self.asked = 0
        self._events = events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tell no more."""

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Tell everything, and end."""
        for event in self._events:
            yield event

    async def resync(self, _channel: str) -> None:
        """Ask."""
        self.asked += 1


class Watching(WatchCalls):
    """Watches what is told here."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def stream(self, *_channels: str, **_options: Any) -> OrderStream:
        """Return what is told here."""
        return cast("OrderStream", self._told)


async def watched(told: Told) -> list[tuple[int, bool]]:
    """Return the sequence of each book that was yielded, and whether it was whole."""
    async with aclosing(Watching(told).watch_order_book(PRODUCT)) as books:
        return [(book.sequence, book.is_whole) async for book in books]


async def test_a_snapshot_is_the_book_also_where_it_is_older_than_what_was_heard() -> None:
    """Each refused snapshot was asked for again, at once and without end."""
    told = Told([snapshot(9), snapshot(5), snapshot(6)])
    assert await watched(told) == [(9, True), (5, True), (6, True)]
    assert told.asked == 0


async def test_what_does_not_follow_is_asked_for_once_and_its_snapshot_is_taken() -> None:
    told = Told([snapshot(3), lost_then(9), snapshot(4)])
    assert await watched(told) == [(3, True), (4, True)]
    assert told.asked == 1


def test_the_book_itself_keeps_what_it_heard_until_it_is_told_to_begin_anew() -> None:
    book = OrderBook(PRODUCT)
    assert book.apply(snapshot(9))
    assert not book.apply(lost_then(12))
    assert not book.apply(snapshot(9))
    book.begin_anew()
    assert book.apply(snapshot(9))
