"""Rows as files: CSV, NDJSON or Parquet, as they are or in a ZIP, written piece by piece.

CSV (`kit.csv_file`) has a header row; NDJSON is exact; Parquet has typed columns and needs the extra
`parquet` of this package. A ZIP has the file as its one member. Whatever the form, what was written is handed
on at once and nothing piles up: Parquet keeps the rows of one group, `PARQUET_GROUP_ROWS`.

A reader knows that a CSV or NDJSON export is whole by the end of the answer's chunked body; a Parquet file or
a ZIP that was cut cannot be opened at all.
"""

import io
import types
import zipfile
from collections.abc import Sequence
from importlib import import_module, util
from typing import Any, Final, Generic, Protocol, TypeVar, get_args, get_type_hints

import msgspec

from exchange.kit.csv_file import CSV_TYPE, Cell, csv_bytes
from exchange.oversight.models import ExportFormat

ZIP_TYPE: Final = "application/zip"
PARQUET_GROUP_ROWS: Final = 5_000
MEDIA_TYPES: Final = {
    ExportFormat.CSV: CSV_TYPE,
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
}
EVERY_TYPE: Final = (*MEDIA_TYPES.values(), ZIP_TYPE)
_encoder: Final = msgspec.json.Encoder()

T = TypeVar("T", bound=msgspec.Struct)
T_contra = TypeVar("T_contra", bound=msgspec.Struct, contravariant=True)


def has_parquet() -> bool:
    """Whether the packages that write Parquet are installed."""
    return util.find_spec("pyarrow") is not None


class Writer(Protocol[T_contra]):
    """Turns rows into the bytes of a file, which `head` begins and `end` ends."""

    def head(self) -> bytes:
        """Return what stands before the first row."""

    def rows(self, rows: Sequence[T_contra]) -> bytes:
        """Return the next bytes; there may be none yet."""

    def end(self) -> bytes:
        """Return what is left."""


class _Csv(Generic[T]):
    def __init__(self, type_: type[T]) -> None:
        self._columns = type_.__struct_fields__

    def head(self) -> bytes:
        return csv_bytes([self._columns])

    def rows(self, rows: Sequence[T]) -> bytes:
        return csv_bytes([[_cell(value) for value in msgspec.structs.astuple(row)] for row in rows])

    def end(self) -> bytes:
        return b""


def _cell(value: Any) -> Cell:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    cell: Cell = value
    return cell


class _Ndjson(Generic[T]):
    def head(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[T]) -> bytes:
        return b"".join(_encoder.encode(row) + b"\n" for row in rows)

    def end(self) -> bytes:
        return b""


class _Drain(io.RawIOBase):
    """A file that is only written to, and gives away what was written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class _Parquet(Generic[T]):
    def __init__(self, type_: type[T]) -> None:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        self._arrow = arrow
        hints = get_type_hints(type_)
        self._schema = arrow.schema(
            [arrow.field(name, _arrow_type(arrow, hints[name])) for name in type_.__struct_fields__]
        )
        self._drain = _Drain()
        self._writer = parquet.ParquetWriter(self._drain, self._schema, compression="zstd")
        self._kept: list[T] = []

    def head(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[T]) -> bytes:
        self._kept.extend(rows)
        if len(self._kept) >= PARQUET_GROUP_ROWS:
            self._write_group()
        return self._drain.take()

    def end(self) -> bytes:
        if self._kept:
            self._write_group()
        self._writer.close()
        return self._drain.take()

    def _write_group(self) -> None:
        columns = zip(*map(msgspec.structs.astuple, self._kept), strict=True)
        arrays = [
            self._arrow.array([_cell_of_parquet(value) for value in column], type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._kept.clear()


def _cell_of_parquet(value: Any) -> Any:
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else value


def _arrow_type(arrow: types.ModuleType, hint: Any) -> Any:
    kinds = {str: arrow.string(), int: arrow.int64(), bool: arrow.bool_(), msgspec.Raw: arrow.string()}
    if hint == list[str]:
        return arrow.list_(arrow.string())
    # Optional: every column of Arrow takes nulls.
    of = next((each for each in get_args(hint) if each is not type(None)), hint)
    return kinds[of]


class _Zipped(Generic[T]):
    def __init__(self, inner: Writer[T], name: str) -> None:
        self._inner = inner
        self._drain = _Drain()
        self._zip = zipfile.ZipFile(self._drain, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        # A fixed date: the same rows are the same file.
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        self._member = self._zip.open(member, "w", force_zip64=True)

    def _write(self, data: bytes) -> bytes:
        self._member.write(data)
        return self._drain.take()

    def head(self) -> bytes:
        return self._write(self._inner.head())

    def rows(self, rows: Sequence[T]) -> bytes:
        return self._write(self._inner.rows(rows))

    def end(self) -> bytes:
        self._member.write(self._inner.end())
        self._member.close()
        self._zip.close()
        return self._drain.take()


class FileForm(msgspec.Struct, frozen=True):
    """How a file is written: `name` without an extension."""

    name: str
    format: ExportFormat
    is_zipped: bool

    @property
    def media_type(self) -> str:
        """The type of the answer's body."""
        return ZIP_TYPE if self.is_zipped else MEDIA_TYPES[self.format]

    @property
    def file_name(self) -> str:
        """The name under which to keep the file."""
        return f"{self.name}.zip" if self.is_zipped else f"{self.name}.{self.format}"

    def writer(self, type_: type[T]) -> Writer[T]:
        """Return what writes rows of a type; of Parquet only where `has_parquet`."""
        plain: Writer[T]
        if self.format is ExportFormat.CSV:
            plain = _Csv(type_)
        elif self.format is ExportFormat.NDJSON:
            plain = _Ndjson()
        else:
            plain = _Parquet(type_)
        return _Zipped(plain, f"{self.name}.{self.format}") if self.is_zipped else plain
