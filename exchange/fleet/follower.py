"""The books of partitions that other processes lead: read-only, and a moment behind.

A gateway answers about calendar, depth and what an order would do from these. They begin as a leader's do,
with stored books and the journal after them, and go on by the steps that the relay tells, each after its
commit and in order. Where steps were passed over, the journal is read on from where the books stand; where
that does not fit, they are built anew.

Invariants: a book is what its events make of it through some committed sequence of its partition, and does
not go back. Nothing is locked, and nothing here can keep a leader waiting.

A partition that cannot be read is tried again by itself, and keeps no other from being followed.

Known limits: a gateway holds every book in memory, as a leader does, and no orders beside them. A product
that was listed after this process began is not known to it: restart gateways with their engines.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.database import ConnectionLost, unhurried
from exchange.kit.errors import Unavailable
from exchange.kit.tasks import end
from exchange.orders.partition import read_books, read_on
from exchange.orders.preview_models import RestingAsk
from exchange.orders.reading import list_prices_of_asks
from matching.book import OrderBook, apply
from matching.order import Ask

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exchange.kit.database import Connection, Database
    from exchange.orders.models import Step
    from matching.product import Product

RETRY_S: Final = 0.2
RETRY_FAULT_S: Final = 5.0

_log = logging.getLogger(__name__)


class _Followed(msgspec.Struct, kw_only=True):
    """A partition: its books and where they stand. While `is_reading`, its task brings them on."""

    partition_id: int
    products: Mapping[str, Product]
    books: dict[str, OrderBook] | None = None
    sequence: int = 0
    latest_sequence: int = 0
    is_behind: bool = True
    is_reading: bool = False
    wake: asyncio.Event = msgspec.field(default_factory=asyncio.Event)


class Follower:
    """The books of some partitions. `start` once the relay tells this; `stop` at the end."""

    def __init__(self, database: Database, products: Mapping[int, Mapping[str, Product]]) -> None:
        """Follow partitions, by their ids, with the products of each."""
        self.misfits = 0
        """How often a step did not fit its book, and the books were built anew: a fault of ours."""
        self._database = database
        self._followed = {
            partition_id: _Followed(partition_id=partition_id, products=own)
            for partition_id, own in products.items()
        }
        self._partition_of = {
            product_id: partition_id for partition_id, own in products.items() for product_id in own
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Build the books; raises what the database does, and `BookCorrupt`."""
        for followed in self._followed.values():
            await self._read_on(followed)
        self._tasks = [
            asyncio.create_task(self._run(each), name=f"follower-{each.partition_id}")
            for each in self._followed.values()
        ]

    async def stop(self) -> None:
        """Follow no more."""
        await end(self._tasks)

    def book(self, product_id: str) -> OrderBook:
        """The book of a product, to read and not to keep; raises `Unavailable` while it is being built."""
        return self._books(self._partition_of[product_id])[product_id]

    def sequence(self, partition_id: int) -> int:
        """Through which sequence a partition's books are known."""
        return self._followed[partition_id].sequence

    def is_ready(self, partition_id: int) -> bool:
        """Whether there are books of a partition."""
        return self._followed[partition_id].books is not None

    async def asks(self, partition_id: int, order_ids: Collection[int]) -> dict[int, RestingAsk]:
        """Some asks that rest in a partition's books, as they do when this is called."""
        if not order_ids:
            return {}
        orders = {
            order_id: book.orders[order_id].order
            for book in self._books(partition_id).values()
            for order_id in order_ids
            if order_id in book.orders
        }
        async with self._database.connection() as connection:
            list_prices = await list_prices_of_asks(connection, order_ids)
        return {
            order_id: RestingAsk(order.participant, order.is_mask, list_prices[order_id])
            for order_id, order in orders.items()
            if isinstance(order, Ask)
        }

    def take(self, partition_id: int, step: Step) -> None:
        """Apply a step, where it is the next one; find out what was missed, where it comes later."""
        followed = self._followed.get(partition_id)
        if followed is None:
            return
        followed.latest_sequence = max(followed.latest_sequence, step.sequence)
        if followed.is_reading or step.sequence <= followed.sequence:
            return
        if followed.books is None or step.sequence > followed.sequence + 1:
            self._fall_behind(followed)
            return
        try:
            book = followed.books[step.product_id]
            for event in step.events:
                apply(book, event)
        except Exception:  # noqa: BLE001 - the books are of no use now, and the feed must go on
            _log.exception("step %d does not fit the books of partition %d", step.sequence, partition_id)
            self.misfits += 1
            followed.books = None
            self._fall_behind(followed)
        else:
            followed.sequence = step.sequence

    def miss(self) -> None:
        """Read on from the journal: steps were passed over."""
        for followed in self._followed.values():
            self._fall_behind(followed)

    def _fall_behind(self, followed: _Followed) -> None:
        followed.is_behind = True
        followed.wake.set()

    def _books(self, partition_id: int) -> dict[str, OrderBook]:
        books = self._followed[partition_id].books
        if books is None:
            raise Unavailable("rebuilding", "the books are being rebuilt")
        return books

    async def _run(self, followed: _Followed) -> None:
        while True:
            await followed.wake.wait()
            followed.wake.clear()
            while followed.is_behind:
                try:
                    await self._read_on(followed)
                except ConnectionLost as error:
                    _log.warning("the books wait for the database: %s", error)
                    await asyncio.sleep(RETRY_S)
                except Exception:  # noqa: BLE001 - logged; without books nobody is told of the market
                    _log.exception("the books of partition %d are not built", followed.partition_id)
                    await asyncio.sleep(RETRY_FAULT_S)

    async def _read_on(self, followed: _Followed) -> None:
        """Bring a partition's books to everything that was committed before, and was told of meanwhile."""
        followed.is_reading = True
        try:
            while followed.is_behind or followed.sequence < followed.latest_sequence:
                followed.is_behind = False
                async with self._database.transaction(isolation="repeatable_read") as connection:
                    await unhurried(connection)
                    await _read(connection, followed)
        except BaseException:
            # Some of it may have been applied: how far is not known.
            followed.books = None
            followed.is_behind = True
            raise
        finally:
            followed.is_reading = False


async def _read(connection: Connection, followed: _Followed) -> None:
    partition_id = followed.partition_id
    if followed.books is None:
        followed.books, followed.sequence = await read_books(connection, partition_id, followed.products)
    else:
        followed.sequence = await read_on(connection, partition_id, followed.books, followed.sequence)
