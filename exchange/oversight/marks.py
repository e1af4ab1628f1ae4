"""Books as they stood: stored at marks, so that any moment is rebuilt from few commands.

A mark stands after every `MARK_EVERY` commands of a partition. With it the book of each product is stored
that had a command since the mark before; the book of any other is that of an earlier mark still. So the book
of a product at any sequence is a stored one and what at most `MARK_EVERY` journal rows after a mark did to
it; near the head those that are not marked yet come on top.

`Marking` follows the committed journal on its own. Its position is the last mark itself, stored in one
transaction with the books: it goes on where it stopped, and no mark stands without its books. Books are
folded in a thread, and never those that the leader trades with. What it reads it checks against the journal's
chain.

Known limit: a book is stored whole, some 40 bytes an order after compression: a product with 100,000 resting
orders that is busy all the time costs 4 MB for each `MARK_EVERY` commands of its partition.
"""

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from exchange.kit.chores import Chore
from exchange.kit.clock import monotonic_s
from exchange.kit.courtesy import Courtesy
from exchange.kit.database import Connection, Database, unhurried
from exchange.orders.models import JournalRow
from exchange.orders.partition import GENESIS_HASH
from exchange.orders.rules import journal_hash
from exchange.oversight import store
from matching.book import OrderBook, apply
from matching.codec import decode_events
from matching.product import Product
from matching.snapshot import restore, snapshot
from matching.units import BookCorrupt

MARK_EVERY: Final = 2_000
IDLE_S: Final = 1.0
RETRY_FAULT_S: Final = 30.0
_LEVEL: Final = 1
"""Of compression: the fastest, which halves a book already."""


class Marking:
    """Marks the books of some partitions as their journals grow; several processes may, one does."""

    def __init__(
        self,
        database: Database,
        products: Mapping[int, Mapping[str, Product]],
        *,
        every: int = MARK_EVERY,
    ) -> None:
        """Mark the books of `products`, by partition."""
        self._database = database
        self._products = products
        self._every = every
        self._chores = [
            Chore(
                f"book-marks-{partition_id}",
                partial(self._catch_up, partition_id, Courtesy()),
                undone=f"the books of partition {partition_id} are not marked",
                period_s=IDLE_S,
                fault_s=RETRY_FAULT_S,
            )
            for partition_id in products
        ]

    def start(self) -> None:
        """Begin to follow."""
        for chore in self._chores:
            chore.start()

    async def stop(self) -> None:
        """Follow no more; the next start goes on where this one stopped."""
        for chore in self._chores:
            await chore.stop()

    async def _catch_up(self, partition_id: int, courtesy: Courtesy) -> None:
        began_s = monotonic_s()
        while await self.mark(partition_id):
            await courtesy.rest(monotonic_s() - began_s)
            began_s = monotonic_s()

    async def mark(self, partition_id: int) -> bool:
        """Set the next mark of a partition, where its journal has come that far; whether it was set.

        Raises `BookCorrupt` where the journal's chain is broken.
        """
        async with self._database.transaction() as connection:
            await unhurried(connection)
            if not await store.claim_marking(connection, partition_id):
                return False
            head = await store.partition_head(connection, partition_id)
            if head is None:
                return False
            last = await store.last_mark(connection, partition_id, head["last_sequence"])
            after, chained = (last["sequence"], last["hash"]) if last else (0, GENESIS_HASH)
            through = after + self._every
            if head["last_sequence"] < through:
                return False
            rows = await store.commands_between(connection, partition_id, after, through)
            changed = {row.product_id for row in rows}
            stored = await store.stored_books(connection, changed, after)
            products = self._products[partition_id]
            books = await asyncio.to_thread(_fold, rows, after, chained, stored, products)
            await store.insert_mark(connection, partition_id, rows[-1], books)
        return True


def _fold(
    rows: Sequence[JournalRow],
    after: int,
    chained: bytes,
    stored: Mapping[str, bytes],
    products: Mapping[str, Product],
) -> dict[str, bytes]:
    """Return the encoded books of the products of some rows, as they stand after the last one."""
    books: dict[str, OrderBook] = {}
    for number, row in enumerate(rows, start=after + 1):
        fields = (row.sequence, row.product_id, row.event_at_us, row.command, row.events)
        chained = journal_hash(chained, *fields)
        if row.sequence != number or chained != row.hash:
            raise BookCorrupt(f"the journal is broken at {row.sequence}, where {number} is due")
        book = books.get(row.product_id)
        if book is None:
            book = books[row.product_id] = unpacked(stored.get(row.product_id), products[row.product_id])
        for event in decode_events(row.events):
            apply(book, event)
    return {product_id: zlib.compress(snapshot(book), _LEVEL) for product_id, book in books.items()}


def unpacked(stored: bytes | None, product: Product) -> OrderBook:
    """Return a stored book, the empty one of a product where none is stored."""
    return OrderBook(product) if stored is None else restore(zlib.decompress(stored))


async def book_at(
    connection: Connection, partition_id: int, product: Product, sequence: int
) -> tuple[OrderBook, int | None]:
    """Return a product's book as it stood after a command of its partition, and when it last changed.

    The time is None where nothing changed since the mark before. All statements must see one moment, in which
    the sequence was committed. Raises `BookCorrupt` where the journal does not lead there.
    """
    mark = await store.last_mark(connection, partition_id, sequence)
    after = 0 if mark is None else mark["sequence"]
    stored = await store.stored_books(connection, [product.id], after)
    rows = await store.commands_between(connection, partition_id, after, sequence, product.id)
    book = await asyncio.to_thread(_replayed, stored.get(product.id), product, rows)
    return book, rows[-1].event_at_us if rows else None


def _replayed(stored: bytes | None, product: Product, rows: Sequence[JournalRow]) -> OrderBook:
    book = unpacked(stored, product)
    for row in rows:
        for event in decode_events(row.events):
            apply(book, event)
    return book
