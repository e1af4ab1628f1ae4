"""Goal: a file of capacity says of each line what the order on it would be told alone, however it is written.

Method: properties. Rows, good and bad, are written as CSV with the columns in any order and as NDJSON, with
either line break, blank lines between and a byte order mark or none, and fed in pieces cut anywhere. The
reference reads each row as a JSON body of its own.
"""

import csv
import io
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.errors import Faults, InvalidInput
from exchange.kit.http_decode import decoder_of
from exchange.orders.capacity_file import BYTE_ORDER_MARK, COLUMNS, FileForm, Line, LineReader
from exchange.orders.capacity_models import NewAsk

REQUIRED = ("client_order_id", "product", "quantity_gpus", "starts_at", "ends_at", "price_cny_per_gpu_hour")
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "client_order_id": st.sampled_from(["a-1", "b.2", "not one", "x" * 65]),
    "product": st.sampled_from(["nvidia-t4.zhangjiakou.pcie3", "Bad Name", '"quoted", with a comma']),
    "side": st.sampled_from(["sell", "buy", "both"]),
    "quantity_gpus": st.sampled_from([1, 64, 0, 2_000_000]),
    "starts_at": st.sampled_from(["2026-11-23T09:00:00Z", "tomorrow"]),
    "ends_at": st.sampled_from(["2026-11-24T09:00:00+08:00", "23/11/2026"]),
    "price_cny_per_gpu_hour": st.sampled_from(["12.35", "4", "4.205", "-1"]),
    "min_hours": st.sampled_from([1, 24, 0]),
    "reserved_for": st.sampled_from([["startup"], ["startup", "startup"], ["friends"]]),
    "time_in_force": st.sampled_from(["gtc", "gtd", "later"]),
    "expires_at": st.sampled_from(["2026-11-23T09:00:00Z", "never"]),
    "post_only": st.sampled_from([True, False]),
}
ROWS = st.fixed_dictionaries(
    {name: CELLS[name] for name in REQUIRED},
    optional={name: CELLS[name] for name in COLUMNS if name not in REQUIRED},
)


def alone(row: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    faults = Faults()
    return decoder_of(NewAsk).decode_with_holes(msgspec.json.encode(row), faults), faults.faults


def cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_csv(rows: list[dict[str, Any]], columns: list[str], line_break: str) -> list[str]:
    lines = []
    for values in [columns, *([cell(row[name]) if name in row else "" for name in columns] for row in rows)]:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(values)
        lines.append(text.getvalue() + line_break)
    return lines


def read(form: FileForm, body: bytes, cuts: list[int]) -> list[Line]:
    reader = LineReader(form)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    lines = [line for start, end in itertools.pairwise(edges) for line in reader.feed(body[start:end])]
    return [*lines, *reader.end()]


@given(
    rows=st.lists(ROWS, max_size=6),
    columns=st.permutations(COLUMNS),
    line_break=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", BYTE_ORDER_MARK]),
    blank_before=st.sets(st.integers(0, 6)),
    form=st.sampled_from(FileForm),
    ends_open=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_each_line_is_told_what_its_order_is_told_alone(
    rows: list[dict[str, Any]],
    columns: list[str],
    line_break: str,
    mark: bytes,
    blank_before: set[int],
    form: FileForm,
    cuts: list[int],
    *,
    ends_open: bool,
) -> None:
    is_csv = form is FileForm.CSV
    written = (
        as_csv(rows, columns, line_break)
        if is_csv
        else [msgspec.json.encode(row).decode() + line_break for row in rows]
    )
    lines: list[str] = []
    numbers: list[int] = []
    for place, line in enumerate(written):
        if place - is_csv in blank_before:
            lines.append(line_break)
        lines.append(line)
        numbers.append(len(lines))
    text = "".join(lines)
    found = read(form, mark + (text.rstrip("\r\n") if ends_open else text).encode(), cuts)
    assert [line.number for line in found] == numbers[is_csv:]
    for each, row in zip(found, rows, strict=True):
        ask, faults = alone(row)
        assert (each.ask, each.faults.faults) == (ask, faults)


HEAD = ",".join(REQUIRED)
GOOD = "a-1,nvidia-t4.zhangjiakou.pcie3,1,2026-11-23T09:00:00Z,2026-11-23T10:00:00Z,4.20"


@pytest.mark.parametrize(
    "line,code",
    [
        (GOOD + ",", "not_csv"),
        ("a-1,nvidia", "not_csv"),
        ('"a-1,nvidia', "not_csv"),
        ("x" * 70_000, "too_long"),
    ],
)
def test_what_is_no_line_of_the_csv_is_its_fault_and_the_next_is_read(line: str, code: str) -> None:
    found = read(FileForm.CSV, f"{HEAD}\n{line}\n{GOOD}".encode(), [])
    assert [each.number for each in found] == [2, 3]
    assert [(fault.pointer, fault.code) for fault in found[0].faults.faults] == [("", code)]
    assert found[0].ask is msgspec.UNSET
    assert not found[1].faults


def test_what_is_not_utf8_is_a_fault_of_its_line() -> None:
    found = read(FileForm.CSV, f"{HEAD}\n{GOOD}\n".encode() + "北京,".encode("gbk") + b"\n", [])
    assert [fault.code for fault in found[1].faults.faults] == ["invalid_text"]
    assert not found[0].faults


@pytest.mark.parametrize("line", ["[]", "7", "{", '{"side": "sell", "side": "sell"}', "null", "NaN"])
def test_what_is_no_order_is_a_fault_of_its_line(line: str) -> None:
    found = read(FileForm.NDJSON, f"{line}\n".encode(), [])
    assert found[0].faults


@pytest.mark.parametrize(
    "header,faults",
    [
        (HEAD.replace("product", "produkt"), {("produkt", "unknown_field"), ("product", "required")}),
        (HEAD + ",side,side", {("side", "duplicate")}),
        (HEAD.replace(",", ";"), {("", "not_csv")}),
        (
            "product,quantity_gpus",
            {(name, "required") for name in REQUIRED}
            - {("product", "required"), ("quantity_gpus", "required")},
        ),
        (HEAD + ",vouchers", {("vouchers", "unknown_field")}),
    ],
)
def test_a_bad_header_names_all_that_is_wrong_with_it(header: str, faults: set[tuple[str, str]]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(FileForm.CSV, f"\n{header}\n{GOOD}\n".encode(), [])
    errors = refused.value.errors
    found = {(fault.pointer.removeprefix("/lines/2").lstrip("/"), fault.code) for fault in errors}
    assert found == faults


def test_a_header_in_capitals_with_blanks_is_a_header() -> None:
    assert not read(FileForm.CSV, f"{HEAD.upper().replace(',', ' , ')}\n{GOOD}".encode(), [])[0].faults
