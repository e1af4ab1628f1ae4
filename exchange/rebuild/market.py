"""Books rebuilt from the journal: each command decided once more, and its recorded events applied. Pure.

What every event is to the audit trail is said here, too. What is checked on the way: sequences are dense,
each hash seals its row to the one before it, and the rules of matching, given the recorded command, decide
exactly the recorded events.

Known limit: a book's product is as the catalogue has it now. Where its reference price or collar was changed
since, a command that the collar refused then, or would now, is told as decided otherwise.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from exchange.orders.models import JournalRow
from exchange.orders.partition import GENESIS_HASH
from exchange.orders.rules import journal_hash
from exchange.rebuild.models import BookRow, HeadRow, Key, Mismatch, RestingRow
from matching.book import OrderBook, apply
from matching.codec import decode_command, decode_events
from matching.commands import Command, PlaceOrder
from matching.engine import decide
from matching.events import (
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    SelfTradePrevented,
    Traded,
)
from matching.live import is_bid
from matching.product import Product
from matching.snapshot import snapshot
from matching.units import BookCorrupt


class Match(msgspec.Struct, frozen=True, gc=False):
    """A fill as the journal tells it; `ask_mask` has the eligibility bits of the ask that was sold from."""

    product_id: str
    at_us: int
    event: Traded
    ask_mask: int


class Due(NamedTuple):
    """A step of an order that a command's event stands for; of none where a phase is set."""

    partition_id: int
    sequence: int
    event_index: int
    order_id: int
    code: str


class Markets:
    """All books, journal row by journal row, each partition's in the order of its sequences."""

    def __init__(self, products: Mapping[str, Product], stored: Collection[tuple[int, str, int]]) -> None:
        """Begin with empty books; `stored` names those to compare: partition, product and sequence."""
        self.books = {product_id: OrderBook(product) for product_id, product in products.items()}
        self.matches: dict[tuple[int, int, int], Match] = {}
        """By partition, sequence, and place among the command's events."""
        self.due: set[Due] = set()
        """The steps of orders that the audit trail must have, and it must have no others."""
        self.heads: dict[Key, HeadRow] = {}
        self.stood: dict[Key, BookRow] = {}
        """Books as they stood, by product and sequence."""
        self.contradictions: list[Mismatch] = []
        self._wanted: dict[tuple[int, int], list[str]] = defaultdict(list)
        for partition_id, product_id, sequence in stored:
            self._wanted[partition_id, sequence].append(product_id)
        self._lost: set[str] = set()

    def follow(self, partition_id: int, row: JournalRow) -> None:
        """Take the next row of a partition in."""
        head = self.heads.get((partition_id,), HeadRow(0, GENESIS_HASH.hex()))
        if row.sequence != head.last_sequence + 1:
            self._contradict(partition_id, row, "sequence", row.sequence, head.last_sequence + 1)
        fields = (row.sequence, row.product_id, row.event_at_us, row.command, row.events)
        sealed = journal_hash(bytes.fromhex(head.last_hash), *fields)
        if sealed != row.hash:
            self._contradict(partition_id, row, "hash", row.hash.hex(), sealed.hex())
        self.heads[partition_id,] = HeadRow(row.sequence, row.hash.hex())
        if row.product_id not in self._lost:
            self._carry_out(partition_id, row)
        for product_id in self._wanted.pop((partition_id, row.sequence), ()):
            digest = sha256(snapshot(self.books[product_id])).hexdigest()
            self.stood[product_id, row.sequence] = BookRow(digest)

    def _carry_out(self, partition_id: int, row: JournalRow) -> None:
        """Decide a command, compare, apply what is recorded; a book that it does not fit is left there."""
        try:
            book = self.books[row.product_id]
            events = decode_events(row.events)
            command = decode_command(row.command)
            decided = decide(book, command)
            if decided != events:
                self._contradict(partition_id, row, "events", _told(events), _told(decided))
            for index, event in enumerate(events):
                for order_id, code in steps_of(event, events, command):
                    self.due.add(Due(partition_id, row.sequence, index, order_id, code))
                if isinstance(event, Traded):
                    ask_mask = book.orders[event.ask_order_id].order.is_mask
                    match = Match(row.product_id, row.event_at_us, event, ask_mask)
                    self.matches[partition_id, row.sequence, index] = match
                apply(book, event)
        except (BookCorrupt, msgspec.DecodeError, KeyError, ValueError) as error:
            self._lost.add(row.product_id)
            self._contradict(partition_id, row, "events", f"{type(error).__name__}: {error}", None)

    def resting(self) -> dict[Key, msgspec.Struct]:
        """Return every live order as its book has it, by id."""
        return {
            (order.order_id,): RestingRow(
                product_id=product_id,
                participant_id=order.participant,
                price_ticks=order.price_ticks,
                quantity_gpus=order.quantity_gpus,
                open_gpus=order.gpus if is_bid(order) else None,
            )
            for product_id, book in self.books.items()
            for order in book.orders.values()
        }

    def _contradict(
        self, partition_id: int, row: JournalRow, column: str, stored: object, rebuilt: object
    ) -> None:
        of = f"{partition_id}/{row.sequence}"
        self.contradictions.append(
            Mismatch(table="journal", of=of, column=column, stored=stored, rebuilt=rebuilt)
        )


def steps_of(event: Event, events: Sequence[Event], command: Command) -> Iterator[tuple[int, str]]:
    """Yield (order id, code) of the steps that the audit trail has for an event of a command."""
    if isinstance(event, Traded):
        yield event.bid_order_id, "PARF" if event.bid_remaining_gpus else "FILL"
        yield event.ask_order_id, "PARF" if event.ask_remaining_gpu_hours else "FILL"
    elif isinstance(event, OrderReplaced):
        yield event.order_id, "REME"
        yield event.replacement_order_id, "NEWO"
    elif isinstance(event, OrderAccepted) and event is events[0]:
        yield event.order.order_id, "NEWO"  # of a replacement the event before it tells
    elif isinstance(event, OrderRejected):
        if isinstance(command, PlaceOrder):
            yield event.order_id, "NEWO"
        yield event.order_id, "REMO"
    elif isinstance(event, OrderReduced | OrderCancelled | OrderExpired):
        yield event.order_id, _CODES[type(event)]
    elif isinstance(event, SelfTradePrevented):
        yield event.bid_order_id, "STPV"


_CODES: Mapping[type[Event], str] = {OrderReduced: "REME", OrderCancelled: "CAME", OrderExpired: "EXPI"}


def _told(events: tuple[Event, ...]) -> list[str]:
    return [repr(event) for event in events]
