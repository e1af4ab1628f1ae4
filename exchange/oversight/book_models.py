"""A book as it stood: who had which orders in it, and how it looked, hour by hour."""

from enum import StrEnum
from typing import Annotated

import msgspec

from exchange.kit.fields import TimeText
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit
from exchange.oversight.models import Asked

COLUMNS_DEFAULT = 168


class BookSide(StrEnum):
    """A side of the book."""

    ASKS = "asks"
    BIDS = "bids"


class BookQuery(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When, and what of it.

    After a command of the product's partition (`sequence`), or after the last one at or before a time (`at`),
    or after the last one of all. `columns` are delivery hours from the book's first one on.
    """

    at: TimeText | None = None
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    side: BookSide | None = None
    columns: Annotated[int, msgspec.Meta(ge=0, le=8784)] = COLUMNS_DEFAULT
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class FreeRun(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs that an ask still had free in each hour of a stretch."""

    starts_at: str
    ends_at: str
    free_gpus: int


class BookOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that rested in the book, with what was left of it.

    `trade_group_id` is its owner's as it was when the order came. A bid wants `remaining_gpus` over `hours`
    contiguous hours between `starts_at` and `ends_at`; of an ask `free` tells what is left hour by hour.
    `sequence` is that of its priority: of one price, the lower comes first.
    """

    order_id: str
    client_order_id: str
    side: str
    participant_id: str
    participant_name: str
    trade_group_id: str | None
    sequence: int
    price_cny_per_gpu_hour: str
    quantity_gpus: int
    remaining_gpus: int
    remaining_gpu_hours: int
    hours: int
    starts_at: str
    ends_at: str
    time_in_force: str
    free: list[FreeRun]


class BookColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery hour of the picture: cheapest ask, dearest bid, and the GPUs free at any price."""

    starts_at: str
    ask_cny_per_gpu_hour: str | None
    bid_cny_per_gpu_hour: str | None
    free_gpus: int


class BookThen(msgspec.Struct, frozen=True, kw_only=True):
    """A product's book after the command `sequence` of its partition, committed at `sequence_at`.

    `data` are orders, asks before bids, best first; `next_cursor` leads to more of the same book. `columns`
    stand on the first page only. `book_sequence` is the last command that was the product's own.
    """

    product: str
    partition: int
    sequence: int
    sequence_at: str | None
    book_sequence: int
    phase: str
    first_hour_at: str | None
    last_price_cny_per_gpu_hour: str | None
    asks: int
    bids: int
    columns: list[BookColumn]
    data: list[BookOrder]
    next_cursor: str | None = None


class BookRange(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when a product's book can be asked for: the commands of its partition, and their times.

    Null times: there was no command yet.
    """

    product: str
    partition: int
    first_sequence: int
    first_at: str | None
    last_sequence: int
    last_at: str | None
