"""Goal: an allocation by score grants what a clerk with a sorted pile and three sums would.

Method: Hypothesis draws a budget, a cap of a company or of its group, what was issued before, and a pile of
scored applications of a few companies; a plain model decides the same pile, and sums are taken of the result.
"""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from exchange.applications.models import Application
from exchange.applications.rules import allocate
from exchange.participants.models import Participant
from exchange.programmes.judgement import Standing
from exchange.programmes.models import BuyerRule, Programme, ProgrammeStatus
from tests.voucher_facts import AT_US, buyer, rules_of, version_of

COMPANIES: dict[int, Participant] = {
    1: buyer(id=1, trade_group_id=50),
    2: buyer(id=2, trade_group_id=50),
    3: buyer(id=3),
    4: buyer(id=4, founded_on=dt.date(1990, 1, 1)),  # too old
    50: buyer(id=50),  # of no group, and has the number of one
}
GROUP_OF = {1: "a", 2: "a", 3: "c", 4: "d", 50: "e"}
Wish = tuple[int, int, int, int]


def programme(budget_fen: int, issued_fen: int, cap_fen: int | None, basis: str) -> Programme:
    """Return a programme for companies of at most five years."""
    rules = rules_of(
        allocation="scored",
        budget_fen=budget_fen,
        cap_per_year_fen=cap_fen,
        cap_basis=basis,
        buyer=BuyerRule(max_age_years=5),
    )
    return Programme(
        id=7, issuer_id=8, step_count=0, code="p", name="p", asset="p", status=ProgrammeStatus.OPEN,
        budget_fen=budget_fen, issued_fen=issued_fen, created_at_us=0, version_last=1,
        version=version_of(rules),
    )  # fmt: skip


def pile(wishes: list[Wish]) -> list[Application]:
    """Return (company, fen, score, minutes) as applications; ids run against the times."""
    return [
        Application(
            id=1_000 - number,
            programme_id=7,
            programme_code="p",
            programme_version=1,
            issuer_id=8,
            buyer_id=company,
            buyer_name="x",
            amount_fen=fen,
            purpose="x",
            score=score,
            submitted_at_us=AT_US + minutes,
        )
        for number, (company, fen, score, minutes) in enumerate(wishes)
    ]


@given(
    budget_fen=st.integers(1, 60),
    issued=st.dictionaries(st.sampled_from(sorted(COMPANIES)), st.integers(1, 6)),
    cap_fen=st.none() | st.integers(1, 25),
    by_group=st.booleans(),
    wishes=st.lists(
        st.tuples(
            st.sampled_from(sorted(COMPANIES)), st.integers(1, 20), st.integers(0, 3), st.integers(0, 2)
        ),
        max_size=12,
    ),
)
def test_an_allocation_is_what_a_sorted_pile_and_three_sums_give(
    *, budget_fen: int, issued: dict[int, int], cap_fen: int | None, by_group: bool, wishes: list[Wish]
) -> None:
    before_fen = min(sum(issued.values()), budget_fen)

    def of_group(sums: dict[int, int], company: int) -> int:
        return sum(fen for each, fen in sums.items() if GROUP_OF[each] == GROUP_OF[company])

    standings = {
        company: Standing(
            issued_fen=issued.get(company, 0),
            group_issued_fen=of_group(issued, company),
            spent_fen=0,
            is_with_provider=False,
        )
        for company in COMPANIES
    }
    plan = programme(budget_fen, before_fen, cap_fen, "group" if by_group else "entity")
    applications = pile(wishes)
    decisions = allocate(plan, applications, COMPANIES, standings, AT_US)

    left_fen, sums, expected = budget_fen - before_fen, dict(issued), []
    ordered = sorted(applications, key=lambda each: each.id)
    ordered.sort(key=lambda each: each.submitted_at_us)
    ordered.sort(key=lambda each: each.score or 0, reverse=True)
    for each in ordered:
        company, fen = each.buyer_id, each.amount_fen
        used_fen = of_group(sums, company) if by_group else sums.get(company, 0)
        fits = company != 4 and fen <= left_fen and (cap_fen is None or used_fen + fen <= cap_fen)
        if fits:
            left_fen -= fen
            sums[company] = sums.get(company, 0) + fen
        expected.append((each.id, fits))
    assert [(each.application.id, not each.objections) for each in decisions] == expected
    assert all(each.objections[0].detail for each in decisions if each.objections)
