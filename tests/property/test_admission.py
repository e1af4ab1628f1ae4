"""Goal: what a company is told before it applies is what applying then says, of every amount.

Method: Hypothesis draws a programme, what a company and its trade group were issued, and windows; the
objections that refuse an application are the oracle, at amounts around every bound that could matter.
"""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from exchange.applications.rules import admission_of, goes_at_once, window_objections
from exchange.kit.clock import format_rfc3339
from exchange.kit.errors import Faults
from exchange.kit.fields import money_fen
from exchange.programmes.judgement import Standing
from exchange.programmes.models import (
    ApplicationWindow,
    BuyerRule,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    ReviewRule,
)
from exchange.vouchers.issue_rules import issue_objections
from tests.voucher_facts import AT_US, buyer, rules_of, version_of

HOUR_US = 3_600_000_000


def fen_of(cny: str | None) -> int:
    """Return the fen of a text, 0 of none and of zero."""
    return (None if cny is None else money_fen(Faults(), "", cny)) or 0


@st.composite
def rules(draw: st.DrawFn) -> ProgrammeRules:
    """Return rules of small amounts, with or without each part that an application meets."""
    opens = draw(st.none() | st.integers(-3, 3))
    window = opens is not None and ApplicationWindow(
        opens_at=format_rfc3339(AT_US + opens * HOUR_US),
        closes_at=format_rfc3339(AT_US + (opens + 2) * HOUR_US),
    )
    allocation = draw(st.sampled_from(["window", "scored"] if window else ["first_come", "scored"]))
    auto_fen = None if allocation == "scored" else draw(st.none() | st.integers(1, 30))
    return rules_of(
        allocation=allocation,
        windows=(window,) if window else (),
        budget_fen=40,
        cap_per_year_fen=draw(st.none() | st.integers(1, 30)),
        cap_basis=draw(st.sampled_from(["entity", "group"])),
        cap_counts="issued",
        buyer=BuyerRule(max_age_years=draw(st.none() | st.sampled_from([1, 5]))),
        review=ReviewRule(auto_below_fen=auto_fen),
    )


@given(
    rules=rules(),
    status=st.sampled_from(ProgrammeStatus),
    issued_fen=st.integers(0, 40),
    own_fen=st.integers(0, 30),
    others_fen=st.integers(0, 10),
    founded=st.sampled_from([dt.date(2025, 6, 1), dt.date(2022, 6, 1), None]),
    begins_us=st.sampled_from([0, AT_US + 1]),
)
def test_what_is_told_before_is_what_applying_says(
    *,
    rules: ProgrammeRules,
    status: ProgrammeStatus,
    issued_fen: int,
    own_fen: int,
    others_fen: int,
    founded: dt.date | None,
    begins_us: int,
) -> None:
    programme = Programme(
        id=7, issuer_id=8, step_count=0, code="p", name="p", asset="p", status=status, budget_fen=40,
        issued_fen=issued_fen, created_at_us=0, version_last=1,
        version=version_of(rules, effective_from_us=begins_us),
    )  # fmt: skip
    standing = Standing(
        issued_fen=own_fen, group_issued_fen=own_fen + others_fen, spent_fen=0, is_with_provider=False
    )
    company = buyer(founded_on=founded)
    for applies in (True, False):
        told = admission_of(programme, company, standing, AT_US, applies=applies)
        most_fen, at_once_fen = fen_of(told.amount_max_cny), fen_of(told.at_once_max_cny)
        assert (told.closed_because is None and all(each.holds for each in told.rules)) == told.is_admitted
        for fen in range(1, 45):
            objections = list(issue_objections(programme, company, standing, fen, AT_US))
            if applies:
                objections += window_objections(rules, AT_US)
            assert (not objections) == (told.is_admitted and fen <= most_fen), (fen, objections, told)
            is_at_once = (
                not objections and rules.allocation != "scored" and goes_at_once(rules, standing, fen)
            )
            assert is_at_once == (fen <= at_once_fen), (fen, told)
