"""Files of capacity, an ask a line: CSV or NDJSON to asks with what is wrong with each, as the bytes come.

CSV (RFC 4180, UTF-8, with or without a byte order mark) has a header of field names, in any order. A cell has
what the field has in JSON without its quotes; a list has blanks between its items; an empty cell is a field
that is not there. NDJSON has an order as `POST /v1/orders` takes it on each line. `side` may be left out.

Invariants: a line is numbered as an editor numbers it; blank lines are skipped and counted; what is wrong
with a line is a fault of that line, and the next one is read. What is wrong with a CSV's header is wrong with
the file, and raises.

Known limits: what is wrong is explained of the first `PROBLEMS_MAX` lines at fault only, as no more are told.
A cell has no line break in it; a line has at most `LINE_BYTES_MAX` bytes.
"""

from __future__ import annotations

import csv
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from exchange.kit.errors import Faults, Refusal
from exchange.kit.http_decode import decoder_of
from exchange.kit.http_faults import collect_item
from exchange.kit.http_kinds import JsonObject, fields_of, info_of
from exchange.kit.http_query import value_of
from exchange.orders.capacity_models import PROBLEMS_MAX, NewAsk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINE_BYTES_MAX: Final = 64 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
COLUMNS: Final = (
    "client_order_id",
    "product",
    "side",
    "quantity_gpus",
    "starts_at",
    "ends_at",
    "price_cny_per_gpu_hour",
    "min_hours",
    "reserved_for",
    "time_in_force",
    "expires_at",
    "post_only",
)
"""What a CSV may have: the fields of an ask."""
_LISTS: Final = frozenset({"reserved_for"})
_ASK: Final = info_of(NewAsk)


class FileForm(StrEnum):
    """How a file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


class Line(msgspec.Struct, frozen=True):
    """A line of a file: the ask on it, with holes (`UNSET`) where it is at fault, or none at all.

    As in `Decoder.decode_each`, `faults` takes what else is found wrong with it.
    """

    number: int
    ask: NewAsk | msgspec.UnsetType
    faults: Faults


class LineReader:
    """Reads one file: `feed` it bytes as they come, then `end` it; each gives the lines that are whole."""

    def __init__(self, form: FileForm) -> None:
        self._form = form
        self._rest = bytearray()
        self._number = 0
        self._columns: list[str] | None = None
        self._at_fault = 0

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Take some bytes; raises `InvalidInput` where the header of a CSV is at fault."""
        searched = len(self._rest)
        self._rest += piece
        whole = self._rest.rfind(b"\n", searched) + 1
        if not whole:
            return
        lines = bytes(self._rest[: whole - 1]).split(b"\n")
        del self._rest[:whole]
        for line in lines:
            yield from self._line(line)

    def end(self) -> Iterator[Line]:
        """Read what stands after the last line break; raises as `feed`."""
        yield from self._line(bytes(self._rest))
        self._rest.clear()

    def _line(self, line: bytes) -> Iterator[Line]:
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line.strip():
            return
        faults = Faults()
        text = _text_of(line, faults)
        if self._form is FileForm.CSV and self._columns is None:
            faults.raise_if_any()
            self._columns = _columns_of(text, self._number)
            return
        ask: NewAsk | msgspec.UnsetType = msgspec.UNSET
        explains = self._at_fault < PROBLEMS_MAX
        if not faults and self._columns is not None:
            ask = _from_cells(self._columns, text, faults, explains=explains)
        elif not faults:
            ask = _from_json(line, faults, explains=explains)
        self._at_fault += bool(faults)
        yield Line(self._number, ask, faults)


def _text_of(line: bytes, faults: Faults) -> str:
    if len(line) > LINE_BYTES_MAX:
        faults.add("", "too_long", f"must have at most {LINE_BYTES_MAX} bytes")
        return ""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        faults.add("", "invalid_text", f"is not UTF-8: byte {error.start} cannot be read")
        return ""


def _from_json(line: bytes, faults: Faults, *, explains: bool) -> NewAsk | msgspec.UnsetType:
    decoder = decoder_of(NewAsk)
    ask = decoder.decode_fast(line)
    if ask is not None:
        return ask
    if not explains:
        faults.add("", "wrong_type", "is not an order")
        return msgspec.UNSET
    try:
        return decoder.decode_with_holes(line, faults)
    except Refusal as refusal:
        if not faults:
            code = "duplicate_key" if refusal.code == "duplicate_key" else "wrong_type"
            faults.add("", code, refusal.detail)
        return msgspec.UNSET


def _cells_of(text: str) -> list[str] | None:
    """Return the cells of a line of CSV; None where it is none."""
    try:
        return [cell.strip() for cell in next(csv.reader([text], strict=True))]
    except csv.Error:
        return None


def _columns_of(text: str, number: int) -> list[str]:
    """Return the fields that a header names, or raise `InvalidInput` with all that is wrong with it."""
    faults = Faults()
    at = f"/lines/{number}"
    columns = [name.lower() for name in _cells_of(text) or ()]
    if not columns:
        faults.add(at, "not_csv", "must be a header of field names with commas between them")
    elif len(columns) == 1 and columns[0] not in COLUMNS:
        rule = "must name the fields with commas between them, as "
        faults.add(at, "not_csv", rule + ",".join(COLUMNS[:1] + COLUMNS[3:4]), text)
    else:
        for name in dict.fromkeys(columns):
            if name not in COLUMNS:
                faults.add(
                    f"{at}/{name}", "unknown_field", f"is not one of the columns {', '.join(COLUMNS)}", name
                )
            elif columns.count(name) > 1:
                faults.add(f"{at}/{name}", "duplicate", "stands twice in the header", name)
        for field in fields_of(NewAsk):
            if field.required and field.name not in columns:
                faults.add(f"{at}/{field.name}", "required", "is missing in the header")
    faults.raise_if_any()
    return columns


def _from_cells(
    columns: Sequence[str], text: str, faults: Faults, *, explains: bool
) -> NewAsk | msgspec.UnsetType:
    cells = _cells_of(text)
    if cells is None:
        faults.add("", "not_csv", "must be CSV on one line, each quote closed", text)
        return msgspec.UNSET
    if len(cells) != len(columns):
        rule = f"must have {len(columns)} cells, as the header has, not {len(cells)}"
        faults.add("", "not_csv", rule, text)
        return msgspec.UNSET
    values = JsonObject(
        [(name, _meant(name, cell)) for name, cell in zip(columns, cells, strict=True) if cell]
    )
    if explains:
        ask: NewAsk | msgspec.UnsetType = collect_item(values, NewAsk, faults, is_escaped="\0" in text)
        return ask
    try:
        return msgspec.convert(values, NewAsk)
    except msgspec.ValidationError as error:
        faults.add("", "wrong_type", str(error))
        return msgspec.UNSET


def _meant(name: str, cell: str) -> Any:
    """Return what a cell means for its field; a text without meaning stays one, which the field refuses."""
    if name in _LISTS:
        return cell.split()
    return value_of(cell.lower() if name == "post_only" else cell, _TYPES[name])


_TYPES: Final[dict[str, inspect.Type]] = {
    field.encode_name: field.type for field in (_ASK.fields if isinstance(_ASK, inspect.StructType) else ())
}
