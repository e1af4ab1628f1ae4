"""Pages of lists: `{data, next_cursor}`, stable under inserts because a cursor names the last row seen.

A cursor is opaque to callers: base64url of JSON, marked with the list it belongs to. It grants nothing (every
query is bounded by the caller's participant), so it is not signed. One that cannot be read is refused, and so
is one with a part that no row can have: a list names the kind of each part, and no query ever meets a number
or text that its column cannot hold.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from exchange.kit.clock import is_time_us
from exchange.kit.errors import Fault, Faults, InvalidInput
from exchange.kit.fields import Readable

T = TypeVar("T")
Row = TypeVar("Row")

LIMIT_MAX: Final = 1000
LIMIT_DEFAULT: Final = 100

Limit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="how many rows at most, 1 to 1000")]
CursorText = Annotated[str, msgspec.Meta(max_length=400, description="next_cursor of the page before")]
CursorPart = int | str


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class Part(Enum):
    """What a part of a cursor is, by the column that its list is sorted by."""

    ID = auto()
    """BIGINT."""
    HOUR = auto()
    """INTEGER: hours since the epoch."""
    TIME_US = auto()
    """TIMESTAMPTZ, as microseconds since the epoch."""
    SLUG = auto()
    """TEXT."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is null on the last."""

    data: list[T]
    next_cursor: str | None = None


def as_it_is(row: T) -> T:
    """Show a row that is a view already."""
    return row


def page_of(
    list_name: str,
    found: Sequence[Row],
    limit: int,
    place: Callable[[Row], tuple[CursorPart, ...]],
    view: Callable[[Row], T],
) -> Page[T]:
    """Return the page of `limit` rows, of which one more was asked for: where it was found, there is a next.

    `place` are a row's sort values, which its list goes on after.
    """
    page = found[:limit]
    next_cursor = encode_cursor(list_name, *place(page[-1])) if len(found) > limit else None
    return Page([view(each) for each in page], next_cursor)


def place_in(
    list_name: str, cursor: Readable, kind: Part, *, otherwise: int, faults: Faults | None = None
) -> int:
    """Return the number that a list sorted by one goes on after; without a cursor, from where it begins.

    Of a cursor that is none of this list, raises `InvalidInput`, or tells `faults` where they are given.
    """
    parts = parts_in(list_name, cursor, faults, kind)
    return otherwise if parts is None else int(parts[0])


def parts_in(
    list_name: str, cursor: Readable, faults: Faults | None, *kinds: Part
) -> tuple[CursorPart, ...] | None:
    """Return the values that a list goes on after, None from its beginning; otherwise as `place_in`."""
    if not isinstance(cursor, str):
        return None
    try:
        return decode_cursor(list_name, cursor, *kinds)
    except InvalidInput as refusal:
        if faults is None:
            raise
        faults.extend(refusal.errors)
        return None


def encode_cursor(list_name: str, *after: CursorPart) -> str:
    """Return the cursor that continues the list `list_name` after the row with these sort values."""
    return base64.urlsafe_b64encode(msgspec.json.encode([list_name, *after])).rstrip(b"=").decode()


def decode_cursor(list_name: str, cursor: str, *kinds: Part) -> tuple[CursorPart, ...]:
    """Return the sort values in a cursor of this list, one of each of `kinds`, or raise `InvalidInput`."""
    try:
        parts = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[CursorPart]
        )
    except (msgspec.DecodeError, binascii.Error, ValueError):
        parts = []
    fits = len(parts) == len(kinds) + 1 and parts[0] == list_name
    if not fits or not all(_fits(part, kind) for part, kind in zip(parts[1:], kinds, strict=True)):
        detail = "must be the next_cursor of a page of the same list"
        fault = Fault("?cursor", "bad_cursor", detail, cursor[:100])
        raise InvalidInput("invalid_query", f"?cursor {detail}", errors=[fault])
    return tuple(parts[1:])


def _fits(part: CursorPart, kind: Part) -> bool:
    if isinstance(part, str):
        return kind is Part.SLUG and "\0" not in part
    if kind is Part.TIME_US:
        return is_time_us(part)
    bits = {Part.ID: 63, Part.HOUR: 31}.get(kind)
    return bits is not None and -(2**bits) <= part < 2**bits
