"""Trades as files: CSV and NDJSON in chunks, written row by row so that nothing piles up.

CSV (`kit.csv_file`) has a header row; NDJSON is exact. A reader knows that an export is whole by the end of
the answer's chunked body.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from exchange.kit.csv_file import CSV_TYPE, csv_bytes
from exchange.oversight.models import ExportFormat, TradeRow

COLUMNS: Final = TradeRow.__struct_fields__
MEDIA_TYPES: Final = {
    ExportFormat.CSV: CSV_TYPE,
    ExportFormat.NDJSON: "application/x-ndjson",
}
_encoder: Final = msgspec.json.Encoder()


def _csv_of(rows: Sequence[TradeRow]) -> bytes:
    return csv_bytes([msgspec.structs.astuple(row) for row in rows])


def _ndjson_of(rows: Sequence[TradeRow]) -> bytes:
    return b"".join(_encoder.encode(row) + b"\n" for row in rows)


WRITERS: Final[dict[ExportFormat, tuple[bytes, Callable[[Sequence[TradeRow]], bytes]]]] = {
    ExportFormat.CSV: (csv_bytes([COLUMNS]), _csv_of),
    ExportFormat.NDJSON: (b"", _ndjson_of),
}
"""By format: what stands before the first row, and rows to bytes."""
