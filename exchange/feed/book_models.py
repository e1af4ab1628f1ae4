"""The public book as it is told: every resting order without its owner, and what became of it.

An order is known by its `reference`: the sequence of the command that put it into the book, which nobody else
ever has. It stays with the order until it leaves, and a larger one stands behind smaller ones of its price.
Prices are decimal CNY per GPU-hour, times RFC 3339 on the hour.
"""

from typing import Final

import msgspec

BOOK_CHANNEL: Final = "book:"


class FreeHours(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs that an ask has free in each hour of a stretch; stretches that touch differ in GPUs."""

    starts_at: str
    ends_at: str
    gpus: int


class BookOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A resting order. An ask has `free`, `min_hours` and `reserved_for`; a bid has all that follow.

    A bid wants `quantity_gpus` for a run of `hours` within [starts_at, ends_at). `requires` says what its
    sellers must be: domestic, state_owned, or admitted by a voucher programme (`programme`).
    """

    reference: int
    side: str
    price_cny_per_gpu_hour: str
    free: list[FreeHours] | None = None
    min_hours: int | None = None
    reserved_for: list[str] | None = None
    quantity_gpus: int | None = None
    hours: int | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    fill: str | None = None
    placement: str | None = None
    requires: list[str] | None = None


class BookSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot", tag_field="event"):
    """The book as of a sequence, its orders by their references; hours before `first_hour_at` are gone."""

    channel: str
    partition: int
    sequence: int
    first_hour_at: str
    phase: str
    checksum: str
    orders: list[BookOrder]


class BookDelta(
    msgspec.Struct, frozen=True, kw_only=True, tag="delta", tag_field="event", omit_defaults=True
):
    """What changed after `prev_sequence` and through `sequence`, to be done in the order of the fields.

    `first_hour_at`: hours before it fall off whatever is left. `removed`: references that are gone.
    `changes`: orders as they are now, new ones included. `checksum`: of the book after all that.
    """

    channel: str
    partition: int
    prev_sequence: int
    sequence: int
    phase: str | None = None
    first_hour_at: str | None = None
    removed: list[int] = []
    changes: list[BookOrder] = []
    checksum: str | None = None


class BookChecksum(msgspec.Struct, frozen=True, kw_only=True, tag="checksum", tag_field="event"):
    """What the checksum of the book is after a sequence, and all deltas told before."""

    channel: str
    partition: int
    sequence: int
    checksum: str
