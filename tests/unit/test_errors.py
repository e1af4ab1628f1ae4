"""Goal: refusals say what they should, and no code is used that the list does not explain.

Method: faults collected by hand; and the syntax trees of the whole package searched for literal codes.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import exchange
from exchange.kit import errors
from exchange.kit.error_codes import BOOK_CODES, ERROR_CODES, FAULT_CODES, PROBLEM_CODES
from exchange.kit.errors import Fault, Faults, InvalidInput, MalformedInput, Refusal, Unavailable
from exchange.vouchers import choice
from matching.events import RejectReason

PACKAGE = Path(exchange.__file__).parent


def refusal_classes() -> list[type[Refusal]]:
    return [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Refusal)
    ]


def literal_codes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (kind of call, code) for every refusal and fault whose code stands in the source."""
    refusals = {cls.__name__ for cls in refusal_classes()}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        position = {"add": 1, "Fault": 1}.get(name, 0 if name in refusals else None)
        if position is None or len(node.args) <= position:
            continue
        argument = node.args[position]
        is_fault = name == "Fault" or (name == "add" and len(node.args) > 2)
        if (
            isinstance(argument, ast.Constant)
            and isinstance(argument.value, str)
            and (is_fault or name in refusals)
        ):
            yield ("fault" if is_fault else "problem"), argument.value


def test_who_may_come_back_is_told_when() -> None:
    assert errors.Unavailable().headers == {"Retry-After": "1"}
    assert errors.Unavailable(outcome="unknown").headers == {"Retry-After": "1"}
    assert errors.Unavailable(retryable=False).headers == {}
    later = errors.Unavailable("overloaded", headers={"Retry-After": "5", "X": "y"})
    assert later.headers == {"Retry-After": "5", "X": "y"}


def test_every_code_in_the_source_is_listed() -> None:
    used = {
        (str(path.relative_to(PACKAGE)), kind, code)
        for path in PACKAGE.rglob("*.py")
        for kind, code in literal_codes(ast.parse(path.read_text()))
    }
    assert len(used) > 20, "the search finds the codes it is for"
    lists = {"fault": FAULT_CODES, "problem": PROBLEM_CODES}
    assert sorted(entry for entry in used if entry[2] not in lists[entry[1]]) == []


def test_every_reason_why_a_voucher_cannot_pay_is_listed() -> None:
    """Those codes reach `VoucherRefusal` by a variable, so each is found where it is assigned or compared."""
    tree = ast.parse(Path(choice.__file__).read_text(encoding="utf-8"))
    words = {
        each.value
        for each in ast.walk(tree)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }
    reasons = {word for word in words if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)}
    assert {"voucher_expired", "voucher_not_stackable"} <= reasons
    assert reasons - set(FAULT_CODES) == set()


def test_every_reason_of_a_book_is_listed() -> None:
    assert set(RejectReason) <= set(FAULT_CODES)
    assert set(BOOK_CODES) <= set(RejectReason)


def test_the_default_codes_are_listed() -> None:
    assert {cls.default_code for cls in refusal_classes()} <= set(PROBLEM_CODES)


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_a_code_is_snake_case_with_one_sentence(code: str) -> None:
    assert code.replace("_", "").isalpha()
    assert code.islower()
    assert ERROR_CODES[code].endswith(".")
    assert "\n" not in ERROR_CODES[code]


def test_all_faults_are_raised_at_once() -> None:
    faults = Faults()
    faults.raise_if_any()
    faults.add("/a", "required", "is required")
    faults.add("/b", "out_of_range", "must be from 1 to 5", 9)
    with pytest.raises(InvalidInput) as caught:
        faults.raise_if_any()
    assert [fault.pointer for fault in caught.value.errors] == ["/a", "/b"]
    assert caught.value.errors[0].value is msgspec.UNSET
    assert caught.value.errors[1].value == 9
    assert caught.value.detail == "2 values break rules: /a is required"
    assert "/a" in faults
    assert "/c" not in faults


def test_a_doubled_key_makes_the_body_malformed() -> None:
    faults = Faults()
    faults.add("/a", "duplicate_key", "stands twice in the same object")
    with pytest.raises(MalformedInput) as caught:
        faults.raise_if_any()
    assert (caught.value.status, caught.value.code) == (400, "duplicate_key")


def test_faults_are_bounded_in_number_and_size() -> None:
    faults = Faults()
    for index in range(errors.FAULTS_MAX + 50):
        faults.add(f"/{index}", "pattern", "must be short", "x" * 5_000)
    assert len(faults) == errors.FAULTS_MAX
    assert faults.full
    assert all(len(str(fault.value)) <= errors.ECHO_CHARACTERS_MAX + 1 for fault in faults.faults)


@pytest.mark.parametrize(
    "value,echoed",
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (7, 7),
        pytest.param(10**5_000, "a very large number", id="huge"),
        ({"a": 1}, "an object"),
        ([1], "an array"),
        ("half \ud800", "half ?"),
    ],
)
def test_what_a_fault_repeats_can_always_be_encoded(value: object, echoed: object) -> None:
    fault = Fault("/x", "wrong_type", "must be else", errors.echo(value))
    assert fault.value == echoed
    msgspec.json.encode(fault)


def test_what_may_be_retried_says_so() -> None:
    assert Unavailable().retryable
    assert not Unavailable(retryable=False).retryable
    assert not InvalidInput().retryable
    assert Unavailable(outcome="unknown").outcome == "unknown"
