"""The rules of applications by hand: faults of programmes that say them, windows, thresholds."""

import pytest

from exchange.applications.models import ApplicationStatus
from exchange.applications.rules import (
    find_blank_fault,
    find_step_faults,
    goes_at_once,
    open_window,
    window_objections,
)
from exchange.kit.clock import parse_rfc3339
from exchange.kit.errors import Faults
from exchange.programmes.judgement import Standing
from exchange.programmes.models import ApplicationWindow, ProgrammeRules, ReviewRule
from exchange.programmes.rules import find_rule_faults
from exchange.vouchers.issue_rules import needs_committee
from tests.voucher_facts import rules_of

S = ApplicationStatus


def day(number: int) -> str:
    return f"2026-03-{number:02d}T00:00:00+08:00"


def us(text: str) -> int:
    at_us = parse_rfc3339(text)
    assert at_us is not None
    return at_us


def windows(*spans: tuple[int, int]) -> tuple[ApplicationWindow, ...]:
    return tuple(ApplicationWindow(opens_at=day(opens), closes_at=day(closes)) for opens, closes in spans)


def standing(issued_fen: int, others_fen: int = 0) -> Standing:
    """Return how a company stands that was issued so much in the year, others of its trade group so much."""
    return Standing(
        issued_fen=issued_fen, group_issued_fen=issued_fen + others_fen, spent_fen=0, is_with_provider=False
    )


def faults_of(rules: ProgrammeRules) -> list[tuple[str, str]]:
    faults = Faults()
    find_rule_faults(rules, faults)
    return [(fault.pointer.removeprefix("/rules"), fault.code) for fault in faults.faults]


@pytest.mark.parametrize(
    "rules, faults",
    [
        (rules_of(allocation="window", windows=windows((1, 2), (2, 3))), []),
        (rules_of(allocation="scored"), []),
        (rules_of(allocation="scored", windows=windows((1, 2))), []),
        (rules_of(windows=windows((1, 2))), [("/windows", "not_applicable")]),
        (rules_of(allocation="window"), [("/windows", "required")]),
        (
            rules_of(allocation="window", windows=windows((2, 2), (4, 3))),
            [("/windows/0/closes_at", "window_inverted"), ("/windows/1/closes_at", "window_inverted")],
        ),
        (rules_of(allocation="window", windows=windows((5, 9), (1, 6))), [("/windows/0", "overlap")]),
        (
            rules_of(allocation="window", windows=windows((1, 9), (2, 3), (4, 5), (9, 10))),
            [("/windows/1", "overlap"), ("/windows/2", "overlap")],
        ),
        (
            rules_of(
                allocation="window",
                windows=(
                    ApplicationWindow(opens_at="2026-02-30T00:00:00Z", closes_at=day(3)),
                    ApplicationWindow(opens_at=day(1), closes_at="2026-02-01T24:00:00Z"),
                ),
            ),
            [("/windows/0/opens_at", "bad_time"), ("/windows/1/closes_at", "bad_time")],
        ),
        (
            rules_of(
                allocation="window",
                windows=(
                    ApplicationWindow(opens_at="1950-01-01T00:00:00Z", closes_at="1960-01-01T00:00:00Z"),
                    ApplicationWindow(opens_at="1959-01-01T00:00:00Z", closes_at="1961-01-01T00:00:00Z"),
                ),
            ),
            [("/windows/1", "overlap")],
        ),
        (rules_of(review=ReviewRule(auto_below_fen=100, committee_above_fen=100)), []),
        (
            rules_of(review=ReviewRule(auto_below_fen=101, committee_above_fen=100)),
            [("/review/auto_below_fen", "out_of_range")],
        ),
        (
            rules_of(allocation="scored", review=ReviewRule(auto_below_fen=101, committee_above_fen=100)),
            [("/review/auto_below_fen", "not_applicable"), ("/review/committee_above_fen", "not_applicable")],
        ),
    ],
)
def test_rules_of_applications_that_contradict_each_other_are_faults(
    rules: ProgrammeRules, faults: list[tuple[str, str]]
) -> None:
    assert faults_of(rules) == faults


def test_a_window_is_open_from_its_first_moment_to_before_its_last() -> None:
    rules = rules_of(allocation="window", windows=windows((3, 4), (1, 2)))
    for text, is_open in [(1, True), (2, False), (3, True), (4, False)]:
        assert open_window(rules, us(day(text))) is is_open
        assert open_window(rules, us(day(text)) - 1) is not is_open
    assert list(window_objections(rules, us(day(1)))) == []
    [between] = window_objections(rules, us(day(2)))
    assert between.detail.endswith("the next one opens at 2026-03-02T16:00:00Z")
    [after] = window_objections(rules, us(day(4)))
    assert after.detail.endswith("there is none to come")
    assert list(window_objections(rules_of(), us(day(2)))) == []


def test_thresholds_are_below_and_above_and_not_at() -> None:
    rules = rules_of(review=ReviewRule(auto_below_fen=100, committee_above_fen=200))
    assert [goes_at_once(rules, standing(0), fen) for fen in (99, 100)] == [True, False]
    assert [goes_at_once(rules, standing(30), fen) for fen in (69, 70)] == [True, False]
    assert [goes_at_once(rules, standing(0, 30), fen) for fen in (69, 70)] == [True, False]
    assert [needs_committee(rules, fen) for fen in (200, 201)] == [False, True]
    assert not goes_at_once(rules_of(), standing(0), 1)
    assert not needs_committee(rules_of(), 10**15)


@pytest.mark.parametrize("text, pointers", [("\u200b \u2060", ["/purpose"]), ("训练", []), ("", [])])
def test_a_purpose_without_anything_to_see_is_blank(text: str, pointers: list[str]) -> None:
    faults = Faults()
    find_blank_fault(faults, "/purpose", text)
    assert [fault.pointer for fault in faults.faults] == pointers


@pytest.mark.parametrize(
    "to, reason, has_amount, pointers",
    [
        (S.APPROVED, "", True, []),
        (S.WITHDRAWN, "", False, []),
        (S.REJECTED, "x", False, []),
        (S.REJECTED, " ", True, ["/reason", "/amount_cny"]),
        (S.REJECTED, "\u200b\ufeff", False, ["/reason"]),
        (S.WITHDRAWN, "", True, ["/amount_cny"]),
    ],
)
def test_a_rejection_needs_a_reason_and_only_an_approval_has_an_amount(
    *, to: ApplicationStatus, reason: str, has_amount: bool, pointers: list[str]
) -> None:
    faults = Faults()
    find_step_faults(to, reason, has_amount=has_amount, faults=faults)
    assert [fault.pointer for fault in faults.faults] == pointers
