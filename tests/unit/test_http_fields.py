"""Goal: money, hours and identifiers in text are read exactly, and the rest is refused with the right words.

Method: round trips as properties, and lists of what must not pass.
"""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.clock import us_of_hour
from exchange.kit.errors import Faults
from exchange.kit.fields import (
    FEN_MAX,
    ClientText,
    CnyText,
    TimeText,
    exact,
    format_cny,
    format_hour,
    is_blank,
    money_fen,
    time_us,
    typed_id,
    whole_hour,
)
from exchange.kit.ids import ID_MAX, encode_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\t\n",
        "\u200b",
        "\u200b\u200d\ufeff",
        "\u00ad\u2060",
        "\u3000\u00a0",
        "\u2800\u3164",
        "\ufe0f",
    ],
)
def test_a_text_with_nothing_to_see_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}.{text}")


@pytest.mark.parametrize("text", ["x", "训练", "\u200b否", "👩\u200d💻", "é", "-"])
def test_a_text_with_anything_to_see_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@given(st.integers(1, FEN_MAX))
def test_money_comes_back_and_passes_the_type(fen: int) -> None:
    faults = Faults()
    assert money_fen(faults, "/amount_cny", format_cny(fen)) == fen
    assert not faults
    msgspec.convert(format_cny(fen), CnyText)


@pytest.mark.parametrize("text,fen", [("1", 100), ("0.5", 50), ("0.05", 5), ("12.35", 1235), ("12.3", 1230)])
def test_money_forms(text: str, fen: int) -> None:
    assert money_fen(Faults(), "/amount_cny", text) == fen


@pytest.mark.parametrize(
    "text,code",
    [
        ("", "bad_amount"),
        (".5", "bad_amount"),
        ("5.", "bad_amount"),
        ("01", "bad_amount"),
        ("1.234", "bad_amount"),
        ("-1", "bad_amount"),
        ("+1", "bad_amount"),
        ("1e3", "bad_amount"),
        ("1,000", "bad_amount"),
        ("1.2.3", "bad_amount"),
        (" 1", "bad_amount"),
        ("1\n", "bad_amount"),
        ("１", "bad_amount"),
        ("NaN", "bad_amount"),
        ("0", "not_positive"),
        ("0.00", "not_positive"),
        ("10000000000000", "out_of_range"),
        ("9" * 5000, "out_of_range"),
    ],
)
def test_what_is_not_money(text: str, code: str) -> None:
    faults = Faults()
    assert money_fen(faults, "/amount_cny", text) is None
    assert [(fault.pointer, fault.code) for fault in faults.faults] == [("/amount_cny", code)]


def test_money_is_written_with_two_decimals_and_its_sign() -> None:
    assert [format_cny(fen) for fen in (0, 5, 100, 1235, -5, -1235)] == [
        "0.00",
        "0.05",
        "1.00",
        "12.35",
        "-0.05",
        "-12.35",
    ]


@given(st.integers(0, 2_000_000))
def test_an_hour_comes_back_and_passes_the_type(hour: int) -> None:
    faults = Faults()
    text = format_hour(hour)
    assert whole_hour(faults, "/starts_at", text) == hour
    assert time_us(faults, "/starts_at", text) == us_of_hour(hour)
    assert not faults
    msgspec.convert(text, TimeText)


@pytest.mark.parametrize(
    "text,code",
    [
        ("2026-11-23T09:00:00.000001Z", "not_on_the_hour"),
        ("2026-11-23T09:30:00Z", "not_on_the_hour"),
        ("2026-11-23T09:00:00+05:30", "not_on_the_hour"),
        ("2026-11-23T09:00:00", "bad_time"),
        ("2026-11-23", "bad_time"),
        ("2026-02-30T09:00:00Z", "bad_time"),
        ("2026-11-23T24:00:00Z", "bad_time"),
        ("now", "bad_time"),
        ("", "bad_time"),
        ("2" * 5000, "bad_time"),
    ],
)
def test_what_is_not_a_whole_hour(text: str, code: str) -> None:
    faults = Faults()
    assert whole_hour(faults, "/starts_at", text) is None
    assert [fault.code for fault in faults.faults] == [code]


@given(st.integers(1, ID_MAX))
def test_an_id_comes_back_under_its_own_prefix_only(value: int) -> None:
    faults = Faults()
    assert typed_id(faults, "/programme_id", "prg", encode_id("prg", value)) == value
    assert not faults
    assert typed_id(faults, "/programme_id", "prg", encode_id("vch", value)) is None
    assert [fault.code for fault in faults.faults] == ["bad_id"]


@pytest.mark.parametrize("absent", [None, msgspec.UNSET])
def test_a_field_that_is_absent_or_at_fault_is_passed_over(absent: msgspec.UnsetType | None) -> None:
    faults = Faults()
    assert money_fen(faults, "/a", absent) is None
    assert whole_hour(faults, "/b", absent) is None
    assert typed_id(faults, "/c", "prg", absent) is None
    assert not faults


def test_an_exact_pattern_takes_no_line_feed_at_the_end() -> None:
    assert re.search("^[a-z]+$", "abc\n")
    assert not re.search(exact("[a-z]+"), "abc\n")
    assert re.search(exact("a|b"), "b")
    assert not re.search(exact("a|b"), "ab")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("a\n", ClientText)
