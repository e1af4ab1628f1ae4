"""One product's book as everybody may see it: a copy of the committed book, and what steps do to it.

Events are applied to the copy by the code of the engine, and only the orders that they name are shown anew,
so the view cannot differ from the book. An hour that passes shows anew what began before it. What several
steps changed may be told together, by one `delta`; until then the view, its snapshot and its checksum stay
what was told last.

A checksum is of lines that are kept, so it costs a copy of the book's text, some 60 bytes an order; the text
of a snapshot is made once for all who ask before the next change.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple, cast

import msgspec

from exchange.feed.book_models import (
    BOOK_CHANNEL,
    BookChecksum,
    BookDelta,
    BookOrder,
    BookSnapshot,
    FreeHours,
)
from exchange.feed.book_text import book_line, checksum, order_line
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import Step
from exchange.orders.rules import REQUIRE_BITS, RESERVE_BITS
from matching.book import OrderBook, apply
from matching.events import (
    Event,
    HourAdvanced,
    OrderAccepted,
    OrderRejected,
    PhaseChanged,
    SelfTradePrevented,
    Traded,
)
from matching.live import LiveBid, LiveOrder, capacity, is_ask
from matching.snapshot import restore, snapshot

CHECKSUM_EVERY: Final = 50
"""So many deltas after the last one that had a checksum, the next has one."""
PROGRAMME: Final = "programme"

_hour_text = lru_cache(maxsize=65_536)(format_hour)
_price_text = lru_cache(maxsize=65_536)(format_cny)
_encoder: Final = msgspec.json.Encoder()
_REQUIRED: Final = tuple(sorted(REQUIRE_BITS.items()))
_RESERVED: Final = tuple(sorted(RESERVE_BITS.items()))
_REQUIRE_ALL: Final = sum(REQUIRE_BITS.values())


class _Shown(NamedTuple):
    """An order as it was last told, and its line of the text."""

    order: BookOrder
    line: str


class BookView:
    """A public book as of `sequence`: that of the last change that its readers were told of."""

    def __init__(self, partition_id: int, book: OrderBook) -> None:
        """Begin with a copy of a committed book."""
        self.partition_id = partition_id
        self.product_id = book.product.id
        self.channel = f"{BOOK_CHANNEL}{self.product_id}"
        self.is_due = False
        """Whether its readers are to be told soon, or just are."""
        self.rests_until_s = 0.0
        """When they may be told again, by the clock of the event loop."""
        self.sequence = book.sequence
        self._book = restore(snapshot(book))
        self._shown: dict[int, _Shown] = {}
        self._named: dict[int, None] = {}
        self._hour, self._phase = book.hour, book.phase
        self._unchecked = 0
        self._text: str | None = None
        self._show(sorted(self._book.orders, key=lambda order_id: self._book.orders[order_id].sequence))

    def snapshot_text(self) -> str:
        """Return the encoded snapshot as of `sequence`."""
        if self._text is None:
            message = BookSnapshot(
                channel=self.channel,
                partition=self.partition_id,
                sequence=self.sequence,
                first_hour_at=_hour_text(self._hour),
                phase=self._phase,
                checksum=self.checksum(),
                orders=[shown.order for shown in self._shown.values()],
            )
            self._text = _encoder.encode(message).decode()
        return self._text

    def checksum_message(self) -> BookChecksum:
        """Return the checksum as of `sequence`."""
        return BookChecksum(
            channel=self.channel,
            partition=self.partition_id,
            sequence=self.sequence,
            checksum=self.checksum(),
        )

    def checksum(self) -> str:
        """Return the checksum of the book as it was last told."""
        first = book_line(_hour_text(self._hour), self._phase)
        return checksum(first, [shown.line for shown in self._shown.values()])

    @property
    def has_news(self) -> bool:
        """Whether there may be something to tell."""
        return bool(self._named) or self._book.hour != self._hour or self._book.phase is not self._phase

    def take(self, step: Step) -> None:
        """Apply a step; one that the book has already is passed over.

        Raises `BookCorrupt` where it does not fit, and what is then in here is of no use.
        """
        book = self._book
        if step.sequence > book.sequence:
            for event in step.events:
                apply(book, event)
            self._named.update(dict.fromkeys(_named(step.events)))

    def delta(self) -> BookDelta | None:
        """Return what the steps have changed since the last delta, if anything is to be seen."""
        book = self._book
        hour_passed, phase_changed = book.hour != self._hour, book.phase is not self._phase
        self._hour, self._phase = book.hour, book.phase
        if hour_passed:
            self._trim()
        removed, changes = self._show(self._named)
        self._named = {}
        if not removed and not changes and not hour_passed and not phase_changed:
            return None
        previous, self.sequence = self.sequence, book.sequence
        self._text = None
        self._unchecked += 1
        return BookDelta(
            channel=self.channel,
            partition=self.partition_id,
            prev_sequence=previous,
            sequence=self.sequence,
            phase=book.phase if phase_changed else None,
            first_hour_at=_hour_text(book.hour) if hour_passed else None,
            removed=removed,
            changes=changes,
            checksum=self._due_checksum(),
        )

    def _due_checksum(self) -> str | None:
        if self._unchecked < CHECKSUM_EVERY:
            return None
        self._unchecked = 0
        return self.checksum()

    def _trim(self) -> None:
        """Show anew what the hour has reached: readers do the same by themselves."""
        for order_id, order in self._book.orders.items():
            is_named = order_id in self._named
            if order_id in self._shown and order.starts_hour == self._book.hour and not is_named:
                told = _public(order)
                self._shown[order_id] = _Shown(told, order_line(told))

    def _show(self, order_ids: Iterable[int]) -> tuple[list[int], list[BookOrder]]:
        """Show orders as they are now; return the references of those that are gone, and what changed."""
        removed: list[int] = []
        changed: list[tuple[int, int, BookOrder]] = []
        for order_id in order_ids:
            order = self._book.orders.get(order_id)
            before = self._shown.get(order_id)
            now = _public(order) if order is not None and order.block else None
            if before is not None and (now is None or before.order.reference != now.reference):
                removed.append(before.order.reference)
                # A replacement under the same id stands behind all others.
                del self._shown[order_id]
            if now is not None and (before is None or before.order != now):
                changed.append((now.reference, order_id, now))
        # New ones stand behind all that were shown before, in the order of their references.
        changed.sort(key=itemgetter(0))
        for _, order_id, now in changed:
            self._shown[order_id] = _Shown(now, order_line(now))
        return removed, [now for _, _, now in changed]


def _named(events: Sequence[Event]) -> Iterable[int]:
    """Return the orders that events may have changed, each once, in their order."""
    named: dict[int, None] = {}
    for event in events:
        if isinstance(event, Traded):
            named[event.bid_order_id] = named[event.ask_order_id] = None
        elif isinstance(event, OrderAccepted):
            named[event.order.order_id] = None
        elif not isinstance(event, HourAdvanced | PhaseChanged | SelfTradePrevented | OrderRejected):
            named[event.order_id] = None
    return named


def _public(order: LiveOrder) -> BookOrder:
    """Show an order to the public."""
    price = _price_text(order.price_ticks)
    if is_ask(order):
        return BookOrder(
            reference=order.sequence,
            side="sell",
            price_cny_per_gpu_hour=price,
            free=[
                FreeHours(starts_at=_hour_text(starts_hour), ends_at=_hour_text(ends_hour), gpus=gpus)
                for starts_hour, ends_hour, gpus in capacity(order).runs()
                if gpus
            ],
            min_hours=order.order.min_hours,
            reserved_for=_of_mask(order.order.needs_mask, _RESERVED),
        )
    # Python cannot tell what is left by itself.
    return _public_bid(cast("LiveBid", order), price)


def _public_bid(order: LiveBid, price: str) -> BookOrder:
    needs = order.order.needs_mask
    requires = _of_mask(needs, _REQUIRED) or []
    if needs & ~_REQUIRE_ALL:
        requires.append(PROGRAMME)
    return BookOrder(
        reference=order.sequence,
        side="buy",
        price_cny_per_gpu_hour=price,
        quantity_gpus=order.gpus,
        hours=order.hours,
        starts_at=_hour_text(order.starts_hour),
        ends_at=_hour_text(order.ends_hour),
        fill=order.order.fill,
        placement=order.order.placement,
        requires=requires or None,
    )


def _of_mask(mask: int, names: Sequence[tuple[str, int]]) -> list[str] | None:
    return [name for name, bit in names if mask & bit] or None
