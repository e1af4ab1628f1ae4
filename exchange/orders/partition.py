"""A partition's memory: its books, its live orders, where it stands; and how all of it comes back.

Nothing here is truth: the journal, `orders` and `order_hold` are. `recover` builds the same memory from them
at start-up, after a commit that failed, and after one whose outcome is unknown; there is no second way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.orders import store
from exchange.orders.funding import cap_subjects
from exchange.orders.models import Head
from exchange.orders.rules import journal_hash
from exchange.settlement.models import CASH_VOUCHER_ID, FundedOrder, Hold, Terms
from exchange.settlement.service import live_holds
from matching.book import OrderBook, apply
from matching.codec import decode_events
from matching.invariants import check_book
from matching.order import Side
from matching.snapshot import SnapshotError, restore, snapshot
from matching.units import BookCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exchange.kit.database import Connection
    from exchange.orders.models import LiveOrder
    from matching.product import Product

GENESIS_HASH: Final = bytes(32)
_JOURNAL_PAGE_ROWS: Final = 5_000

_log = logging.getLogger(__name__)


class LiveOrders(Mapping[int, "LiveOrder"]):
    """The live orders of a partition by id, and those of each participant without a look at the others'."""

    def __init__(self, orders: Iterable[LiveOrder] = ()) -> None:
        self._orders: dict[int, LiveOrder] = {}
        self._of: dict[int, dict[int, LiveOrder]] = {}
        for order in orders:
            self[order.order_id] = order

    def __getitem__(self, order_id: int) -> LiveOrder:
        """Return an order; KeyError where no such one is live."""
        return self._orders[order_id]

    def __setitem__(self, order_id: int, order: LiveOrder) -> None:
        """Take an order in: a new one, whose participant never changes."""
        self._orders[order_id] = order
        self._of.setdefault(order.participant_id, {})[order_id] = order

    def __delitem__(self, order_id: int) -> None:
        """Let an order go; KeyError where no such one is live."""
        order = self._orders.pop(order_id)
        own = self._of[order.participant_id]
        del own[order_id]
        if not own:
            del self._of[order.participant_id]

    def __iter__(self) -> Iterator[int]:
        """Go through all ids, oldest first."""
        return iter(self._orders)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._orders)

    def of(self, participant_id: int) -> Iterable[LiveOrder]:
        """Return a participant's orders, oldest first; to be read before the next change."""
        return self._of.get(participant_id, {}).values()


class Partition(msgspec.Struct, kw_only=True):
    """What a leader knows. `books` is by product, `live` by order id; both change only through a `Batch`."""

    partition_id: int
    head: Head
    snapshot_sequence: int
    books: dict[str, OrderBook]
    live: LiveOrders


async def recover(
    connection: Connection, partition_id: int, products: Mapping[str, Product], head: Head
) -> Partition:
    """Rebuild a partition as of `head`: stored books, then the journal after them, then orders and holds.

    Stored books only save time: where they do not lead to the head, the whole journal does. Raises
    `BookCorrupt` when the journal's chain is broken, or books and orders disagree.
    """
    try:
        books, snapshot_sequence = await _stored_books(connection, partition_id, products)
        return await _recover_from(connection, partition_id, books, snapshot_sequence, head)
    except (BookCorrupt, SnapshotError) as error:
        _log.warning("the stored books of partition %d are not used: %s", partition_id, error)
    return await _recover_from(connection, partition_id, _new_books(products), 0, head)


async def read_books(
    connection: Connection, partition_id: int, products: Mapping[str, Product]
) -> tuple[dict[str, OrderBook], int]:
    """Return a partition's books as of its last commit, and its sequence: to read, for who does not lead it.

    Built as `recover` builds them, without orders and money. Run it in a repeatable read: nothing is locked.
    """
    try:
        books, sequence = await _stored_books(connection, partition_id, products)
        return books, await read_on(connection, partition_id, books, sequence)
    except (BookCorrupt, SnapshotError) as error:
        _log.warning("the stored books of partition %d are not used: %s", partition_id, error)
    books = _new_books(products)
    return books, await read_on(connection, partition_id, books, 0)


async def read_on(
    connection: Connection, partition_id: int, books: dict[str, OrderBook], sequence: int
) -> int:
    """Bring books that stand at a sequence to the last commit, and return its sequence.

    Raises `BookCorrupt`; whatever it raises, the books are then of no use.
    """
    head = await store.peek_head(connection, partition_id)
    if head is None:
        return sequence
    await _fold_journal(connection, partition_id, books, sequence, head)
    return head.last_sequence


def _new_books(products: Mapping[str, Product]) -> dict[str, OrderBook]:
    return {product_id: OrderBook(product) for product_id, product in products.items()}


async def _recover_from(
    connection: Connection, partition_id: int, books: dict[str, OrderBook], sequence: int, head: Head
) -> Partition:
    """Rebuild from books that stand at a sequence."""
    await _fold_journal(connection, partition_id, books, sequence, head)
    live = {order.order_id: order for order in await store.live_orders(connection, partition_id)}
    resting = {order_id for book in books.values() for order_id in book.orders}
    if resting != live.keys():
        differing = sorted(resting ^ live.keys())
        raise BookCorrupt(f"books and orders disagree about {len(differing)} orders, first {differing[0]}")
    await _attach_holds(connection, partition_id, live, books)
    return Partition(
        partition_id=partition_id,
        head=head,
        snapshot_sequence=sequence,
        books=books,
        live=LiveOrders(live.values()),
    )


async def _stored_books(
    connection: Connection, partition_id: int, products: Mapping[str, Product]
) -> tuple[dict[str, OrderBook], int]:
    """The stored books and the sequence they stand at; a product that has none starts empty."""
    stored = await store.read_snapshots(connection, partition_id)
    sequences = {sequence for sequence, _ in stored.values()}
    if len(sequences) > 1:
        raise BookCorrupt(f"the stored books stand at different sequences: {sorted(sequences)}")
    books = {
        product_id: restore(stored[product_id][1]) if product_id in stored else OrderBook(product)
        for product_id, product in products.items()
    }
    return books, max(sequences, default=0)


async def _fold_journal(
    connection: Connection,
    partition_id: int,
    books: dict[str, OrderBook],
    after_sequence: int,
    head: Head,
) -> None:
    """Apply the journal after `after_sequence` to the books, checking density and the chain of hashes."""
    sequence = after_sequence
    last_hash = None if after_sequence else GENESIS_HASH
    while sequence < head.last_sequence:
        rows = await store.read_journal(connection, partition_id, sequence, _JOURNAL_PAGE_ROWS)
        if not rows:
            break
        for row in rows:
            if row.sequence != sequence + 1:
                raise BookCorrupt(
                    f"journal of partition {partition_id}: {sequence} is followed by {row.sequence}"
                )
            fields = (row.sequence, row.product_id, row.event_at_us, row.command, row.events)
            if last_hash is not None and journal_hash(last_hash, *fields) != row.hash:
                raise BookCorrupt(f"journal of partition {partition_id}: hash of {row.sequence} does not fit")
            last_hash = row.hash
            sequence = row.sequence
            for event in decode_events(row.events):
                apply(books[row.product_id], event)
    if sequence != head.last_sequence or (last_hash is not None and last_hash != head.last_hash):
        raise BookCorrupt(
            f"journal of partition {partition_id} ends at {sequence}, its head at {head.last_sequence}"
        )


async def _attach_holds(
    connection: Connection, partition_id: int, live: dict[int, LiveOrder], books: dict[str, OrderBook]
) -> None:
    """Give the live orders their masks and bids their money."""
    holds: dict[int, list[Hold]] = {}
    for hold in await live_holds(connection, partition_id):
        holds.setdefault(hold.order_id, []).append(hold)
    for order in live.values():
        order.is_mask = books[order.product_id].orders[order.order_id].order.is_mask
        if order.side is Side.BUY:
            order.funded = funded_of(order, holds.get(order.order_id, []))


def funded_of(order: LiveOrder, holds: Sequence[Hold]) -> FundedOrder:
    """The money of a live bid, from its row and its holds in spending order; raises `BookCorrupt`."""
    cash = next((hold for hold in holds if hold.voucher_id == CASH_VOUCHER_ID), None)
    if cash is None:
        raise BookCorrupt(f"bid {order.order_id} is live without a cash hold")
    terms = order.terms
    return FundedOrder(
        order_id=order.order_id,
        buyer_id=order.participant_id,
        terms=Terms(
            limit_ticks=order.price_ticks,
            hours=order.hours,
            shares=terms.shares,
            only_eligible=terms.only_eligible,
        ),
        cash=cash,
        vouchers=[hold for hold in holds if hold.voucher_id != CASH_VOUCHER_ID],
        cap_subjects=cap_subjects(order.participant_id, order.trade_group_id),
        filled_notional_fen=order.filled_notional_fen,
        eligible_fen=order.eligible_fen,
    )


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` looked at and found in order."""

    commands: int
    books: int
    live_orders: int


async def verify(connection: Connection, partition_id: int, products: Mapping[str, Product]) -> Verified:
    """Check that the books a leader would start with are the fold of the whole journal, and sound.

    Folds every command since the first, whatever is stored; raises `BookCorrupt` naming what differs. Run it
    in a transaction: it holds the partition's head still while it reads.
    """
    head = await store.read_head(connection, partition_id)
    recovered = await recover(connection, partition_id, products, head)
    folded = _new_books(products)
    await _fold_journal(connection, partition_id, folded, 0, head)
    for product_id, book in recovered.books.items():
        check_book(book)
        if snapshot(book) != snapshot(folded[product_id]):
            raise BookCorrupt(f"the book of {product_id} is not the fold of its journal")
    return Verified(commands=head.last_sequence, books=len(folded), live_orders=len(recovered.live))


async def store_snapshot(connection: Connection, partition: Partition) -> None:
    """Store the books as they stand, so that the next start folds a shorter journal.

    Nothing is stored by a leader that leads no more.
    """
    books = {product_id: snapshot(book) for product_id, book in partition.books.items()}
    await store.put_snapshots(connection, partition.partition_id, partition.head, books)
    partition.snapshot_sequence = partition.head.last_sequence


async def latest_event_at_us(connection: Connection) -> int | None:
    """The latest venue time that was ever committed; None on a new database."""
    return await store.latest_event_at_us(connection)
