"""Goal: a name can be seen, and no two names look alike but for letters of other scripts.

Method: each way of hiding something in a name, or of writing another one's name, by hand; and of all texts
that keys are keys of themselves, short enough for an index.
"""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.errors import Faults
from exchange.kit.names import KEY_LENGTH_MAX, check_name, name_key

NAME = "Guian State Compute"


def faults_of(name: str) -> list[tuple[str, str]]:
    faults = Faults()
    check_name(faults, "/name", name)
    return [(fault.pointer, fault.code) for fault in faults.faults]


@pytest.mark.parametrize(
    "name",
    [
        "   ",
        "\u3000",
        "\u200b",
        "\ufe0f",
        "a\nb",
        "a\x00",
        "a\u200bb",
        "\u202eevil",
        "a\u2028b",
        "a\u3164b",
        "a\u00adb",
        f"{NAME} ",
        f" {NAME}",
        f"{NAME}\u3000",
        "\U000e0041" + NAME,
        "\ufdfa" * 100,
    ],
)
def test_a_name_that_hides_something_is_refused(name: str) -> None:
    assert faults_of(name) == [("/name", "bad_name")]


@pytest.mark.parametrize(
    "name",
    [NAME, "x", "贵安国有算力", "杭州 一号", "Ärzte & Söhne GmbH", "🚀", "葛\U000e0100城", "नमस्ते", "ﬁrst"],
)
def test_names_of_any_script_are_taken(name: str) -> None:
    assert faults_of(name) == []


@pytest.mark.parametrize(
    "other",
    [
        "guian state compute",
        "Guian  State Compute",
        "Guian\u00a0State\u3000Compute",
        "Ｇｕｉａｎ Ｓｔａｔｅ Ｃｏｍｐｕｔｅ",
        "Guian State Com\ufe0fpute",
        "GUIAN STATE COMPUTE",
    ],
)
def test_names_that_look_alike_have_one_key(other: str) -> None:
    assert other != NAME
    assert name_key(other) == name_key(NAME)


@pytest.mark.parametrize(
    "one, other",
    [("Straße", "STRASSE"), ("é", "e\u0301"), ("ﬁ", "fi"), ("ﾃｽﾄ", "テスト"), ("e\ufe0f\u0301", "é")],
)
def test_one_text_written_in_two_ways_has_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_names_that_differ_have_keys_that_do() -> None:
    names = ["lab 1", "lab 2", "lab1", "贵安", "貴安", "é", "e"]
    assert len({name_key(name) for name in names}) == len(names)


@given(st.text(min_size=1, max_size=200))
def test_the_key_of_a_key_is_itself_and_one_of_a_good_name_fits_an_index(name: str) -> None:
    key = name_key(name)
    assert name_key(key) == key
    assert unicodedata.is_normalized("NFKC", key)
    if not faults_of(name):
        assert 1 <= len(key) <= KEY_LENGTH_MAX
