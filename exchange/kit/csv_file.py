"""CSV files: RFC 4180 (CRLF, quotes doubled) in UTF-8.

A cell of several texts has spaces between them. A text cell that a spreadsheet would run as a formula (it
begins with = + - @, a tab or a carriage return) is written with an apostrophe before it.
"""

import csv
import io
from collections.abc import Sequence
from typing import Final, TypeAlias

CSV_TYPE: Final = "text/csv; header=present"
"""The charset is added where it is sent, as to all text."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

Cell: TypeAlias = str | int | list[str] | None


def safe_cell(value: Cell) -> str | int:
    """Return a value as a CSV cell that no spreadsheet takes for a formula; null is empty."""
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def csv_bytes(rows: Sequence[Sequence[Cell]]) -> bytes:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(map(safe_cell, row) for row in rows)
    return text.getvalue().encode()
