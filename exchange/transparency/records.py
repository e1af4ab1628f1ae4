"""A record as the bytes that are hashed: what PostgreSQL's `record_send` makes of the columns of a form.

Four bytes of how many fields, then of each field the number of its type (four bytes), its length (four bytes,
-1 for null), and its value; numbers big-endian. The first field is the number of the form itself, an integer.
docs/oversight.md says it to the byte.

A form never changes once something was sealed by it: a record that gets another column gets another form, in
`FORMS` under the next number, and later blocks are sealed by that one. `COLUMNS` is the form in use, and a
test compares it with the table. A record's number and transaction come first, so their places are fixed.

Pure.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

FORM: Final = 1
COLUMNS: Final = (
    "id",
    "xact_id",
    "partition_id",
    "sequence",
    "event_index",
    "code",
    "event_at",
    "received_at",
    "actor_participant_id",
    "key_id",
    "participant_id",
    "trade_group_id",
    "product_id",
    "order_id",
    "trade_id",
    "subject_id",
    "detail",
)
FORMS: Final[Mapping[int, tuple[str, ...]]] = {FORM: COLUMNS}

EPOCH_2000_US: Final = 946_684_800_000_000
_PLACE: Final = struct.Struct(">24xq8xQ")
_ID: Final = slice(24, 32)
_XACT: Final = slice(40, 48)
_NUMBERS: Final = struct.Struct(">Ii")
_COUNT: Final = struct.Struct(">I")

_READERS: Final[Mapping[int, Callable[[bytes], Any]]] = {
    16: lambda raw: raw == b"\1",
    20: lambda raw: int.from_bytes(raw, "big", signed=True),
    21: lambda raw: int.from_bytes(raw, "big", signed=True),
    23: lambda raw: int.from_bytes(raw, "big", signed=True),
    25: bytes.decode,
    114: bytes.decode,
    1184: lambda raw: int.from_bytes(raw, "big", signed=True) + EPOCH_2000_US,
    5069: lambda raw: int.from_bytes(raw, "big"),
}
"""By PostgreSQL's number of the type: boolean, bigint, smallint, integer, text, json, timestamptz, xid8."""


class BadBytes(ValueError):
    """Not the bytes of a record."""


def select_list(form: int) -> str:
    """Return the fields of a form as SQL; KeyError where this program does not know it."""
    return ", ".join((f"{form}::INTEGER", *(f"audit_record.{column}" for column in FORMS[form])))


def place_of(canonical: bytes) -> tuple[int, int]:
    """Return a record's transaction and number, by which records are in order."""
    record_id, xact_id = _PLACE.unpack_from(canonical)
    return xact_id, record_id


def exchanged(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """Return two records each with the other's transaction and number."""
    return _moved(first, second), _moved(second, first)


def _moved(canonical: bytes, to: bytes) -> bytes:
    return (
        canonical[: _ID.start]
        + to[_ID]
        + canonical[_ID.stop : _XACT.start]
        + to[_XACT]
        + canonical[_XACT.stop :]
    )


def decoded(canonical: bytes) -> dict[str, Any]:
    """Return the fields of a record by name, times in microseconds since 1970, or raise `BadBytes`."""
    values: list[Any] = []
    try:
        (count,) = _COUNT.unpack_from(canonical)
        place = _COUNT.size
        for _ in range(count):
            type_number, length = _NUMBERS.unpack_from(canonical, place)
            place += _NUMBERS.size
            raw = canonical[place : place + max(length, 0)]
            place += len(raw)
            values.append(None if length < 0 else _READERS[type_number](raw))
        columns = FORMS[values[0]]
        fields = dict(zip(columns, values[1:], strict=True))
    except (struct.error, KeyError, ValueError, IndexError) as error:
        raise BadBytes("these are not the bytes of a record") from error
    if place != len(canonical):
        raise BadBytes("something follows the last field")
    return fields
