"""Trades as files: CSV and NDJSON in chunks, written row by row so that nothing piles up.

CSV is RFC 4180 (CRLF, quotes doubled) in UTF-8 with a header row. A text cell that a spreadsheet would run as
a formula (it begins with = + - @, a tab or a carriage return) is written with an apostrophe before it. NDJSON
is exact. A reader knows that an export is whole by the end of the answer's chunked body.
"""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from exchange.oversight.models import ExportFormat, TradeRow

COLUMNS: Final = TradeRow.__struct_fields__
MEDIA_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.NDJSON: "application/x-ndjson",
}
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_encoder: Final = msgspec.json.Encoder()


def safe_cell(value: str | int | None) -> str | int:
    """Return a value as a CSV cell that no spreadsheet takes for a formula; null is empty."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def csv_bytes(rows: Sequence[Sequence[str | int | None]]) -> bytes:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(map(safe_cell, row) for row in rows)
    return text.getvalue().encode()


def _csv_of(rows: Sequence[TradeRow]) -> bytes:
    return csv_bytes([msgspec.structs.astuple(row) for row in rows])


def _ndjson_of(rows: Sequence[TradeRow]) -> bytes:
    return b"".join(_encoder.encode(row) + b"\n" for row in rows)


WRITERS: Final[dict[ExportFormat, tuple[bytes, Callable[[Sequence[TradeRow]], bytes]]]] = {
    ExportFormat.CSV: (csv_bytes([COLUMNS]), _csv_of),
    ExportFormat.NDJSON: (b"", _ndjson_of),
}
"""By format: what stands before the first row, and rows to bytes."""
