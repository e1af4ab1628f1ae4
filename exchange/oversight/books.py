"""The book of a product as it stood at any sequence or time, rebuilt from the record (`marks`)."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.kit.clock import Clock, format_rfc3339, us_of
from exchange.kit.database import Database
from exchange.kit.errors import Faults, NotFound
from exchange.kit.fields import Readable, format_hour, time_us
from exchange.kit.http_pages import Part, encode_cursor, parts_in
from exchange.oversight import book_views, store
from exchange.oversight.book_models import BookQuery, BookRange, BookThen
from exchange.oversight.marks import book_at
from exchange.oversight.questions import was_given
from exchange.products.models import ProductSpec

REBUILT_AT_ONCE: Final = 2
"""A large book keeps a core busy for a while, which the market shares."""

_LIST: Final = "oversight-book"


class BookPlace(msgspec.Struct, frozen=True):
    """After which command a book is wanted, 0 before the first, and which page of its orders."""

    sequence: int
    seen: int | None
    """Orders on the pages before; None on the first."""


def _place_in(cursor: Readable, faults: Faults) -> BookPlace | None:
    """Return where a page goes on; None on the first, and where `faults` are told what is wrong."""
    parts = parts_in(_LIST, cursor, faults, Part.ID, Part.ID)
    if parts is None:
        return None
    sequence, seen = (int(part) for part in parts)
    if sequence >= 0 and seen >= 0:
        return BookPlace(sequence, seen)
    faults.add("?cursor", "bad_cursor", "must be the next_cursor of a page of the same list", cursor)
    return None


class BookHistory:
    """Answers how books stood, from a database that may be a replica."""

    def __init__(self, *, reads: Database, clock: Clock, products: Mapping[str, ProductSpec]) -> None:
        """Read from `reads` the books of `products`, by id."""
        self._reads = reads
        self._clock = clock
        self._products = products
        self._rebuilding = asyncio.Semaphore(REBUILT_AT_ONCE)

    def product(self, product_id: str) -> ProductSpec:
        """Return a product; raises `NotFound`."""
        product = self._products.get(product_id)
        if product is None:
            raise NotFound(detail="there is no product of this id; GET /v1/products lists them")
        return product

    async def range(self, product_id: str) -> BookRange:
        """Return from when to when a product's book can be asked for; raises `NotFound`."""
        product = self.product(product_id)
        async with self._reads.connection() as connection:
            head = await store.partition_head(connection, product.partition_id)
        last_sequence = head["last_sequence"] if head else 0
        return BookRange(
            product=product_id,
            partition=product.partition_id,
            first_sequence=min(1, last_sequence),
            first_at=format_rfc3339(us_of(head["first_event_at"])) if head and last_sequence else None,
            last_sequence=last_sequence,
            last_at=format_rfc3339(us_of(head["last_event_at"])) if head and last_sequence else None,
        )

    async def place(self, product_id: str, query: BookQuery, faults: Faults) -> BookPlace:
        """Return which book, and which page of it, a query means; it may have holes.

        A page goes on with the command of the one before. Raises `NotFound` for the product, `InvalidInput`
        with every fault, also those that were found before.
        """
        product = self.product(product_id)
        after = _place_in(query.cursor, faults)
        at_us = time_us(faults, "?at", query.at)
        if at_us is not None and at_us > self._clock.now_us():
            faults.add("?at", "out_of_range", "must not be in the future", query.at)
        async with self._reads.connection() as connection:
            head = await store.partition_head(connection, product.partition_id)
            last = 0 if head is None else int(head["last_sequence"])
            sequence = last if after is None else min(after.sequence, last)
            if was_given(query.sequence):
                sequence = query.sequence or 0
                if query.at is not None:
                    faults.add("?sequence", "not_applicable", "goes without at", sequence)
                elif sequence > last:
                    faults.add("?sequence", "out_of_range", f"must be at most {last}, the last one", sequence)
            elif at_us is not None:
                sequence = await store.sequence_at(connection, product.partition_id, at_us, last) or 0
        is_known = "?at" not in faults and "?sequence" not in faults
        if after is not None and is_known and sequence != after.sequence:
            faults.add(
                "?cursor", "bad_cursor", "must be of a page of the book at the same moment", query.cursor
            )
        faults.raise_if_any()
        return BookPlace(sequence, None if after is None else after.seen)

    async def then(self, product_id: str, place: BookPlace, query: BookQuery) -> BookThen:
        """Return a page of a product's book as it stood; raises `NotFound`."""
        product = self.product(product_id)
        async with self._rebuilding, self._reads.snapshot() as connection:
            book, _ = await book_at(connection, product.partition_id, product.book_product(), place.sequence)
            at_us = await store.time_of_command(connection, product.partition_id, place.sequence)
            orders = book_views.resting(book, query.side)
            begin = place.seen or 0
            page = orders[begin : begin + query.limit]
            names = await store.names_of_participants(connection, {each.participant for each in page})
            client_ids = await store.client_ids_of_orders(connection, [each.order_id for each in page])
        end = begin + len(page)
        return BookThen(
            product=product_id,
            partition=product.partition_id,
            sequence=place.sequence,
            sequence_at=None if at_us is None else format_rfc3339(at_us),
            book_sequence=book.sequence,
            phase=book.phase,
            first_hour_at=format_hour(book.hour) if book.hour else None,
            last_price_cny_per_gpu_hour=book_views.price_text(book.last_price_ticks),
            asks=sum(1 for _ in book.asks),
            bids=sum(1 for _ in book.bids),
            data=book_views.book_orders(page, names, client_ids),
            next_cursor=encode_cursor(_LIST, place.sequence, end) if end < len(orders) else None,
            columns=book_views.columns(book, query.columns) if place.seen is None else [],
        )
