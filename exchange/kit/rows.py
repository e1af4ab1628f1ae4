"""Rows as text: JSON that a statement takes many of at once, and bytes in it."""

from collections.abc import Sequence
from typing import Final

import msgspec

_json: Final = msgspec.json.Encoder()


def json_rows(rows: Sequence[object]) -> str:
    """Return structs as a JSON array, for a statement that reads them with json_to_recordset.

    One text parameter for many rows of many columns: a fifth of the client's cost of as many arrays, and one
    statement can take the rows of several tables. Bytes must be hex text (`hex_text`), times be sent apart.
    """
    return _json.encode(rows).decode()


def hex_text(data: bytes) -> str:
    """Return bytes as PostgreSQL reads them from text."""
    return "\\x" + data.hex()


def bytes_of(text: str) -> bytes:
    """Return the bytes that PostgreSQL wrote as text, in JSON say."""
    return bytes.fromhex(text[2:])
