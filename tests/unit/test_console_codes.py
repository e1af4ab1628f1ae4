"""Goal: whatever code the exchange can send to the console has words there, in both languages.

Method: the product's own lists (enumerations, codes of errors, reasons and records) are held against the
message files as they are: a new code without words fails here. `test_console_messages` holds that both
languages have the same keys. Nobody keeps a list of the record's codes, so they are read off the sources.
"""

import json
import re
from enum import StrEnum
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.applications.models import ApplicationStatus
from exchange.claims.models import ActorRole, ClaimStatus
from exchange.kit import own_reasons
from exchange.kit.auth import Scope
from exchange.ledger.models import TransferKind, TransferReason
from exchange.orders.many_models import Cause
from exchange.orders.models import REPLACED, DenialReason, OrderStatus
from exchange.participants.models import Ownership, ParticipantKind, SizeClass
from exchange.products.models import Origin
from exchange.programmes.models import Fact, ProgrammeStatus
from exchange.settlement.models import LeaseStatus
from exchange.vouchers.models import VoucherStatus
from matching.events import CancelReason, ExpireReason, RejectReason
from matching.order import Side
from tests.unit.test_console_messages import CHINESE, SOURCES, messages

ROOT = Path(__file__).parents[2]
RECORD_CODE = re.compile(r"\"([A-Z]{4})\"")
NO_RECORD_CODES = {"DENY", "EVAL", "HEAD", "NFKC", "PATH", "PING", "POST", "TIME", "WHEN", "XADD"}
"""Four capitals that are something else: methods, headers, words of SQL and of Redis."""
RECORDED_ELSEWHERE = {"QURA", "QURY"}
"""The record of questions is shown as questions, not as steps."""


def words(folder: str) -> set[str]:
    return set(messages(SOURCES / folder / "en.json"))


@pytest.mark.parametrize(
    "codes,folder,prefix",
    [
        (ParticipantKind, ".", "kind."),
        (Side, ".", "side."),
        (OrderStatus, ".", "status."),
        (Origin, ".", "origin."),
        (TransferKind, "ledger", "transfer.kind."),
        (TransferReason, "ledger", "transfer."),
        (ClaimStatus, "claims", "claim."),
        (ApplicationStatus, "pages/vouchers", "application."),
        (ProgrammeStatus, "pages/vouchers", "programme."),
        (VoucherStatus, "pages/vouchers", "voucher."),
        (SizeClass, "pages/vouchers", "size."),
        (SizeClass, "pages/operations", "size."),
        (Ownership, "pages/operations", "ownership."),
        (Scope, "pages/operations", "scope."),
        (ActorRole, "pages/vouchers", "by."),
        (Fact, "pages/vouchers", "fact."),
        (LeaseStatus, "pages/leases", "status."),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value),
)
def test_every_value_has_its_words(codes: type[StrEnum], folder: str, prefix: str) -> None:
    missing = {f"{prefix}{code}" for code in codes} - words("i18n" if folder == "." else folder)
    assert missing == set()


ENDS = {
    OrderStatus.CANCELLED: {*map(str, chain(CancelReason, Cause)), REPLACED},
    OrderStatus.EXPIRED: {*map(str, ExpireReason)},
    OrderStatus.REJECTED: {*map(str, chain(DenialReason, RejectReason))},
}


def test_every_reason_of_an_order_has_its_words_and_no_word_is_of_another() -> None:
    assert words("orders") == set().union(*ENDS.values())


def test_the_document_has_every_end_of_an_order_in_the_same_words() -> None:
    section = (ROOT / "docs" / "matching.md").read_text("utf-8").partition("## How an order ends")[2]
    told = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+) \|$", section.partition("## ")[0], re.MULTILINE)
    said = messages(SOURCES / "orders" / "en.json")
    assert sorted(told) == sorted(
        (str(status), reason, said[reason]) for status, reasons in ENDS.items() for reason in reasons
    )


def test_every_reason_of_the_exchange_itself_is_told_in_chinese() -> None:
    told = messages(SOURCES / "api" / "reasons.zh.json")
    assert told.keys() == own_reasons.OWN_REASONS.keys()
    assert [code for code, text in told.items() if not CHINESE.search(text)] == []


figures = st.from_regex(r"[0-9]{1,6}(?:\.[0-9]{2})?", fullmatch=True)


@pytest.mark.parametrize("code", own_reasons.OWN_REASONS)
@given(data=st.data())
def test_a_reasons_code_is_read_off_its_words(code: str, data: st.DataObject) -> None:
    names = re.findall(r"\{(\w+)\}", own_reasons.OWN_REASONS[code])
    text = own_reasons.text(code, **{name: data.draw(figures) for name in names})
    assert own_reasons.code_of(text) == code
    # What is in the way of a voucher is told at once, the gravest first.
    assert own_reasons.code_of(f"{text}; {own_reasons.text('budget_issued')}") == code
    assert own_reasons.code_of(f"because {text}") is None


@pytest.mark.parametrize("reason", ["", "没有证据", "not worth it", "its time has passed, I think"])
def test_a_persons_reason_has_no_code(reason: str) -> None:
    assert own_reasons.code_of(reason) is None


def test_every_code_of_the_record_is_listed_and_has_its_words() -> None:
    used = {
        code
        for path in (ROOT / "exchange").rglob("*.py")
        for code in RECORD_CODE.findall(path.read_text(encoding="utf-8"))
    }
    source = (SOURCES / "pages" / "oversight" / "codes.ts").read_text(encoding="utf-8")
    listed = RECORD_CODE.findall(source.partition("export type Tone")[0])
    assert len(listed) == len(set(listed))
    assert set(listed) == used - NO_RECORD_CODES - RECORDED_ELSEWHERE
    assert used >= NO_RECORD_CODES | RECORDED_ELSEWHERE
    codes = {
        key.removeprefix("code.") for key in words("pages/oversight") if RECORD_CODE.search(f'"{key[5:]}"')
    }
    assert codes == set(listed)


def test_what_the_catalogue_names_in_english_is_named_in_chinese() -> None:
    names = json.loads((SOURCES / "api" / "names.zh.json").read_text(encoding="utf-8"))
    assert all(CHINESE.search(text) for text in names.values())


GUARD = re.compile(r"if \((?:\w+ \|\| )*isBusy\.value(?: \|\| \w+)*\) return;\s*isBusy\.value = true;")


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SOURCES.rglob("*.ts*")) if "isBusy.value = true" in path.read_text("utf-8")],
    ids=lambda path: path.relative_to(SOURCES).as_posix(),
)
def test_what_is_busy_begins_nothing_again(path: Path) -> None:
    """A button is drawn anew after its click: the second of two at once is kept out by what it would do."""
    source = path.read_text(encoding="utf-8")
    assert len(GUARD.findall(source)) == source.count("isBusy.value = true")
