"""The journal of a partition, carried out again by the reference book, and what became of each order.

`read_journal` reads what is stored; `Journal.tell` carries out each command in the order of sequences and
fails where the reference book has other events, then where orders and trades are not stored as the events
say. What is left is a `Story` an order: its state after each sequence that changed it.
"""

from collections import Counter
from typing import Any

import msgspec

from exchange.kit.database import Database
from exchange.products.service import load_products
from matching.codec import decode_command, decode_events
from matching.commands import Command, PlaceOrder, ReplaceOrder
from matching.events import (
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrderRested,
    Traded,
)
from matching.order import Bid, Order
from matching.product import Product
from tests.reference_book import ReferenceBook

LIVE = frozenset({"accepted", "resting", "partially_filled"})


STORED = (
    *("sequence", "status", "reason", "quantity_gpus", "filled_gpu_hours", "filled_notional_fen"),
    *("replaced_by_id", "filled_gpus"),
)
"""What `orders` holds and the events say too; the last for bids only."""


class Unfit(AssertionError):
    """What callers were told, or what is stored, is not what the journal says."""


class Entry(msgspec.Struct, frozen=True):
    """A row of the journal, read."""

    sequence: int
    product_id: str
    event_at_us: int
    command: Command
    events: tuple[Event, ...]
    epoch: int = 1


class FillSeen(msgspec.Struct, frozen=True):
    """A fill: GPUs in every hour from the start to the end, at a price."""

    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order stands after a sequence."""

    status: str
    quantity_gpus: int
    reason: str = ""
    fills: tuple[FillSeen, ...] = ()
    replaced_by: int | None = None

    @property
    def filled_gpus(self) -> int:
        """GPUs over all fills, which of a bid is what it has of its run."""
        return sum(fill.quantity_gpus for fill in self.fills)

    @property
    def filled_gpu_hours(self) -> int:
        """GPU-hours over all fills."""
        return sum(fill.quantity_gpus * (fill.ends_hour - fill.starts_hour) for fill in self.fills)

    @property
    def notional_fen(self) -> int:
        """The price of all fills."""
        return sum(
            fill.quantity_gpus * (fill.ends_hour - fill.starts_hour) * fill.price_ticks for fill in self.fills
        )


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the book, and its state after each sequence that changed it."""

    order: Order
    product_id: str
    sequence: int
    replaces: int | None = None
    states: list[tuple[int, State]] = []

    def change(self, sequence: int, **fields: Any) -> None:
        """Take in what an event did."""
        state = msgspec.structs.replace(self.last, **fields)
        if self.states[-1][0] == sequence:
            self.states[-1] = (sequence, state)
        else:
            self.states.append((sequence, state))

    @property
    def last(self) -> State:
        """Where the order stands at the end."""
        return self.states[-1][1]

    @property
    def ended_at(self) -> int | None:
        """The sequence that ended it."""
        return None if self.last.status in LIVE else self.states[-1][0]


class Journal:
    """Everything that one partition has committed: its journal, orders and trades."""

    def __init__(
        self,
        products: dict[str, Product],
        entries: list[Entry],
        orders: list[dict[str, Any]],
        trades: list[tuple[int, ...]],
    ) -> None:
        self.products, self.entries, self.trades = products, entries, trades
        self.orders = {row["id"]: row for row in orders}
        self.stories: dict[int, Story] = {}

    @property
    def epochs(self) -> set[int]:
        """The terms that have committed something."""
        return {entry.epoch for entry in self.entries}

    def tell(self) -> None:
        """Carry everything out again; raises `Unfit` where something else is stored."""
        books = {product_id: ReferenceBook(product) for product_id, product in self.products.items()}
        latest_us, epoch, sold = 0, 0, []
        for place, entry in enumerate(self.entries, start=1):
            if entry.sequence != place:
                raise Unfit(f"sequence {place} is not in the journal: {entry.sequence} is in its place")
            if entry.event_at_us < latest_us:
                raise Unfit(f"sequence {place} happened before the one before it")
            if entry.epoch < epoch:
                raise Unfit(f"sequence {place} is of epoch {entry.epoch}, and {epoch} had begun")
            latest_us, epoch = entry.event_at_us, entry.epoch
            events = books[entry.product_id].execute(entry.command)
            if events != entry.events:
                raise Unfit(f"{entry.command} came to {entry.events}, and by the reference book to {events}")
            self._follow(entry)
            sold += [event for event in events if isinstance(event, Traded)]
        self._check_orders()
        made = Counter(
            (each.bid_order_id, each.ask_order_id, each.quantity_gpus, each.starts_hour, each.price_ticks)
            for each in sold
        )
        if made != Counter(self.trades):
            raise Unfit(f"{len(self.trades)} trades are stored, and {len(sold)} others were made")

    def _follow(self, entry: Entry) -> None:
        command, sequence = entry.command, entry.sequence
        if isinstance(command, PlaceOrder) and isinstance(entry.events[0], OrderRejected):
            self._begin(entry, command.order, status="rejected", reason=entry.events[0].reason)
            return
        for event in entry.events:
            if isinstance(event, OrderAccepted):
                self._begin(entry, event.order, status="accepted")
            elif isinstance(event, Traded):
                self._trade(event)
            elif isinstance(event, OrderRested):
                filled = bool(self.stories[event.order_id].last.fills)
                status = "partially_filled" if filled else "resting"
                self.stories[event.order_id].change(sequence, status=status)
            elif isinstance(event, OrderReduced):
                self.stories[event.order_id].change(sequence, quantity_gpus=event.quantity_gpus)
            elif isinstance(event, OrderReplaced):
                by = event.replacement_order_id
                self.stories[event.order_id].change(
                    sequence, status="cancelled", reason="replaced", replaced_by=by
                )
            elif isinstance(event, OrderCancelled | OrderExpired):
                status = "cancelled" if isinstance(event, OrderCancelled) else "expired"
                self.stories[event.order_id].change(sequence, status=status, reason=event.reason)

    def _begin(self, entry: Entry, order: Order, **fields: Any) -> None:
        if order.order_id in self.stories:
            raise Unfit(f"order {order.order_id} was placed twice")
        replaces = entry.command.order_id if isinstance(entry.command, ReplaceOrder) else None
        self.stories[order.order_id] = Story(
            order=order,
            product_id=entry.product_id,
            sequence=entry.sequence,
            replaces=replaces,
            states=[(entry.sequence, State(quantity_gpus=order.quantity_gpus, **fields))],
        )

    def _trade(self, event: Traded) -> None:
        fill = FillSeen(
            event.quantity_gpus, event.starts_hour, event.starts_hour + event.hours, event.price_ticks
        )
        left = {
            event.bid_order_id: event.bid_remaining_gpus,
            event.ask_order_id: event.ask_remaining_gpu_hours,
        }
        for order_id, remaining in left.items():
            story = self.stories[order_id]
            status = "partially_filled" if remaining else "filled"
            story.change(event.sequence, status=status, fills=(*story.last.fills, fill))

    def _check_orders(self) -> None:
        in_book = {order_id for order_id, row in self.orders.items() if row["sequence"] is not None}
        if in_book != self.stories.keys():
            odd = sorted(in_book ^ self.stories.keys())
            raise Unfit(f"stored orders and those of the journal differ by {len(odd)}, first {odd[0]}")
        for order_id, story in self.stories.items():
            row, last = self.orders[order_id], story.last
            names = ["sequence", "status", "reason", "quantity_gpus", "filled_gpu_hours"]
            names += [
                "filled_notional_fen",
                "replaced_by_id",
                *(["filled_gpus"] * isinstance(story.order, Bid)),
            ]
            stored = [row[name] for name in names]
            told: list[object] = [story.sequence, last.status, last.reason, last.quantity_gpus]
            told += [last.filled_gpu_hours, last.notional_fen, last.replaced_by, last.filled_gpus]
            told = told[: len(names)]
            if stored != told:
                raise Unfit(f"order {order_id} is stored as {stored}, and by the journal is {told}")


async def read_journal(database: Database) -> Journal:
    """Read what a database holds; there must be one partition."""
    async with database.transaction(isolation="repeatable_read") as connection:
        products = {spec.id: spec.book_product() for spec in await load_products(connection)}
        rows = await connection.fetch(
            "SELECT partition_id, sequence, epoch, product_id, event_at, command, events FROM journal"
            " ORDER BY partition_id, sequence"
        )
        orders = await connection.fetch("SELECT * FROM orders")
        trades = await connection.fetch(
            "SELECT bid_order_id, ask_order_id, quantity_gpus, starts_hour, price_ticks FROM trade"
        )
    assert len({row["partition_id"] for row in rows}) == 1
    entries = [
        Entry(
            row["sequence"],
            row["product_id"],
            round(row["event_at"].timestamp() * 1_000_000),
            decode_command(row["command"]),
            decode_events(row["events"]),
            row["epoch"],
        )
        for row in rows
    ]
    return Journal(products, entries, [dict(row) for row in orders], [tuple(row) for row in trades])
