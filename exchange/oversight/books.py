"""The book of a product as it stood at any sequence or time, rebuilt from the record (`marks`)."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.kit.clock import Clock, format_rfc3339, us_of
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Faults, NotFound
from exchange.kit.fields import format_hour, time_us
from exchange.kit.http_pages import Part, decode_cursor, encode_cursor
from exchange.oversight import book_views, store
from exchange.oversight.book_models import BookQuery, BookRange, BookThen
from exchange.oversight.marks import book_at
from exchange.products.models import ProductSpec

REBUILT_AT_ONCE: Final = 2
"""A large book keeps a core busy for a while, which the market shares."""

_LIST: Final = "oversight-book"


def _place(cursor: str) -> tuple[int, int]:
    """Return after which command, and how many orders, a page goes on; raises `InvalidInput`."""
    sequence, seen = (int(part) for part in decode_cursor(_LIST, cursor, Part.ID, Part.ID))
    faults = Faults("invalid_query")
    if sequence < 0 or seen < 0:
        faults.add("?cursor", "bad_cursor", "must be the next_cursor of a page of the same list", cursor)
    faults.raise_if_any()
    return sequence, seen


class _Moment(msgspec.Struct, frozen=True):
    """A command of a partition, and when it was committed; 0 and None before the first."""

    sequence: int
    at_us: int | None


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

    async def then(self, product_id: str, query: BookQuery) -> BookThen:
        """Return a page of a product's book as it stood.

        Raises `NotFound` for the product, `InvalidInput` for a moment that has not been.
        """
        product = self.product(product_id)
        after = None if query.cursor is None else _place(query.cursor)
        async with self._rebuilding, self._reads.snapshot() as connection:
            moment = await self._moment(connection, product, query, None if after is None else after[0])
            book, _ = await book_at(connection, product.partition_id, product.book_product(), moment.sequence)
            orders = book_views.resting(book, query.side)
            begin = 0 if after is None else after[1]
            page = orders[begin : begin + query.limit]
            names = await store.names_of_participants(connection, {each.participant for each in page})
            client_ids = await store.client_ids_of_orders(connection, [each.order_id for each in page])
        end = begin + len(page)
        return BookThen(
            product=product_id,
            partition=product.partition_id,
            sequence=moment.sequence,
            sequence_at=None if moment.at_us is None else format_rfc3339(moment.at_us),
            book_sequence=book.sequence,
            phase=book.phase,
            first_hour_at=format_hour(book.hour) if book.hour else None,
            last_price_cny_per_gpu_hour=book_views.price_text(book.last_price_ticks),
            asks=sum(1 for _ in book.asks),
            bids=sum(1 for _ in book.bids),
            data=book_views.book_orders(page, names, client_ids),
            next_cursor=encode_cursor(_LIST, moment.sequence, end) if end < len(orders) else None,
            columns=book_views.columns(book, query.columns) if after is None else [],
        )

    async def _moment(
        self, connection: Connection, product: ProductSpec, query: BookQuery, continued: int | None
    ) -> _Moment:
        """Return the command after which the book is wanted; a page goes on with that of the one before."""
        head = await store.partition_head(connection, product.partition_id)
        last = 0 if head is None else int(head["last_sequence"])
        faults = Faults("invalid_query")
        at_us = time_us(faults, "?at", query.at)
        if query.at is not None and query.sequence is not None:
            faults.add("?sequence", "not_applicable", "goes without at", query.sequence)
        elif query.sequence is not None and query.sequence > last:
            faults.add("?sequence", "out_of_range", f"must be at most {last}, the last one", query.sequence)
        if at_us is not None and at_us > self._clock.now_us():
            faults.add("?at", "out_of_range", "must not be in the future", query.at)
        faults.raise_if_any()
        sequence = last if query.sequence is None else query.sequence
        if at_us is not None:
            sequence = await store.sequence_at(connection, product.partition_id, at_us, last) or 0
        elif query.sequence is None and continued is not None:
            sequence = min(continued, last)
        if continued is not None and sequence != continued:
            faults.add(
                "?cursor", "bad_cursor", "must be of a page of the book at the same moment", query.cursor
            )
            faults.raise_if_any()
        return _Moment(sequence, await store.time_of_command(connection, product.partition_id, sequence))
