"""Reads the lines of a CSV or CSV.gz file one at a time, each on its own.

A line that cannot be read is a `LineFault` with its number and field, and the next line is read as if
nothing had happened: one physical line is one row, so an unclosed quote cannot swallow its neighbours.
Columns are found by the names in the first line, in any order; further columns are ignored. Limits: a value
cannot hold a line break; a compressed file that ends early or is damaged ends the reading there (as a fault
of the line it happened in); lines longer than 64 KiB are faults.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from exchange.replay.models import LineFault

LINE_BYTES_MAX: Final = 64 * 1024
VALUE_SHOWN_MAX: Final = 60

Row = TypeVar("Row")


class FileFaultError(Exception):
    """A file that cannot be read at all: missing, or its first line lacks a needed column."""


class FieldFaultError(Exception):
    """Raised by a row's parser: the field, the rule it breaks and its value."""

    def __init__(self, field: str, rule: str, value: str) -> None:
        super().__init__(field, rule, value)
        self.field, self.rule, self.value = field, rule, value


def read_rows(
    path: Path, required: Collection[str], parse: Callable[[int, Mapping[str, str]], Row]
) -> Iterator[Row | LineFault]:
    """Yield what `parse(line number, values by column)` makes of each line, or the fault of that line.

    A required column `a|b` is there when either is.
    """
    lines = _numbered_lines(path)
    first = next(lines, None)
    if first is None:
        raise FileFaultError(f"{path}: the file is empty; its first line must name the columns")
    columns = _columns(path, first[1], required)
    for number, line in lines:
        try:
            yield parse(number, _values(columns, line))
        except FieldFaultError as fault:
            shown = (
                fault.value if len(fault.value) <= VALUE_SHOWN_MAX else fault.value[:VALUE_SHOWN_MAX] + "..."
            )
            yield LineFault(file=path.name, line=number, field=fault.field, rule=fault.rule, value=shown)


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, bytes); damage in the middle of the file is a last line that no parser accepts."""
    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(LINE_BYTES_MAX + 1):
                number += 1
                if len(line) > LINE_BYTES_MAX:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(LINE_BYTES_MAX)
                    yield number, b"\x00line longer than 64 KiB"
                    continue
                stripped = line.rstrip(b"\r\n")
                if stripped:
                    yield number, stripped
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if number == 0:
            raise FileFaultError(f"{path}: cannot be read as gzip: {error}") from error
        yield number + 1, f"\x00{error}".encode()
    except OSError as error:
        raise FileFaultError(f"{path}: {error.strerror or error}") from error


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # GzipFile reads as a BinaryIO does
    return path.open("rb")


def _columns(path: Path, line: bytes, required: Collection[str]) -> list[str]:
    try:
        columns = _split(line.removeprefix(b"\xef\xbb\xbf"))
    except FieldFaultError as fault:
        raise FileFaultError(f"{path}:1: {fault.rule}") from fault
    missing = [name for name in required if not set(name.split("|")) & set(columns)]
    if missing:
        raise FileFaultError(
            f"{path}:1: the columns {', '.join(missing)} are missing; it has {', '.join(columns)}"
        )
    return columns


def _values(columns: list[str], line: bytes) -> dict[str, str]:
    values = _split(line)
    if len(values) != len(columns):
        raise FieldFaultError("", f"must have {len(columns)} values", f"{len(values)} values")
    return dict(zip(columns, values, strict=True))


def _split(line: bytes) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise FieldFaultError("", "must be UTF-8", line[:VALUE_SHOWN_MAX].decode(errors="replace")) from error
    if "\x00" in text:
        raise FieldFaultError("", "must be readable text", text.replace("\x00", ""))
    try:
        return [value.strip() for value in next(csv.reader([text], strict=True))]
    except csv.Error as error:
        raise FieldFaultError("", f"must be one line of CSV ({error})", text) from error
