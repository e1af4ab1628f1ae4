"""Goal: whoever reads the console in one language reads what the others do.

Method: every pair of message files, and the Chinese meanings of codes, read as JSON. That no key is missing
is the compiler's business; here is what it cannot see.
"""

import json
import re
from pathlib import Path

import msgspec
import pytest

from exchange.alerts.models import DetectorName
from exchange.alerts.thresholds import default_rules
from exchange.kit.error_codes import BOOK_CODES, ERROR_CODES
from exchange.oversight.report_definitions import KINDS

SOURCES = Path(__file__).parents[2] / "exchange" / "console" / "web" / "src"
ARGUMENT = re.compile(r"\{(\w+)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Names and patterns that are the same in every language.
SAME = re.compile(r"[\W\d]*|(?:[A-Z0-9/&._-]+\s*)+")

ONE_DID_NOTHING = re.compile(r"this (request|one) did nothing")


def messages(path: Path) -> dict[str, str]:
    read: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("english", sorted(SOURCES.rglob("en.json")), ids=lambda path: path.parent.name)
def test_both_languages_have_the_same_messages_with_the_same_arguments(english: Path) -> None:
    en, zh = messages(english), messages(english.with_name("zh.json"))
    assert en.keys() == zh.keys()
    different = [key for key in en if set(ARGUMENT.findall(en[key])) != set(ARGUMENT.findall(zh[key]))]
    assert different == []
    untold = [key for key, text in zh.items() if not CHINESE.search(text) and not SAME.fullmatch(text)]
    assert untold == []


def test_every_code_has_its_meaning_in_chinese() -> None:
    told = messages(SOURCES / "api" / "codes.zh.json")
    assert told.keys() - ERROR_CODES.keys() == set()
    assert ERROR_CODES.keys() - told.keys() == BOOK_CODES.keys()


def test_that_one_request_did_nothing_says_nothing_of_others_in_either_language() -> None:
    """One sent before under the same id may have had its effect: both languages leave room for that."""
    told = messages(SOURCES / "api" / "codes.zh.json")
    of_one = {code for code, text in ERROR_CODES.items() if ONE_DID_NOTHING.search(text)}
    assert of_one >= {"no_leader", "overloaded"}
    assert of_one == {code for code, text in told.items() if "本次请求未作任何处理" in text}


def test_every_report_column_detector_and_threshold_has_its_words() -> None:
    oversight = SOURCES / "pages" / "oversight"
    reports = json.loads((oversight / "reports.zh.json").read_text(encoding="utf-8"))
    assert reports["reports"].keys() == {kind.name.value for kind in KINDS.values()}
    columns = {column.name for kind in KINDS.values() for column in kind.columns}
    assert reports["columns"].keys() == columns
    words = messages(oversight / "en.json")
    assert words.keys() >= {f"col.{name}" for name in columns}
    for detector in DetectorName:
        assert words.keys() >= {f"detector.{detector}", f"detector_text.{detector}"}
    thresholds = {
        name.removesuffix("_fen")
        for each in msgspec.to_builtins(default_rules()).values()
        for name in each
        if name not in {"enabled", "severity"}
    }
    assert words.keys() >= {f"measure.{name}" for name in thresholds}
