"""Whether a programme can issue a voucher of an amount to a company now, and all that is in the way. Pure.

Issuing directly, applying, approving and allocating all ask here, so they cannot disagree. Objections come in
order of precedence: who the company is, whether the programme is open, the cap of the year, the budget.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from exchange.kit import own_reasons
from exchange.kit.errors import Conflict, Fault
from exchange.kit.fields import format_cny
from exchange.participants.models import Participant
from exchange.programmes.judgement import Standing, buyer_verdicts, cap_left_fen, in_force
from exchange.programmes.models import Programme, ProgrammeRules, ProgrammeStatus
from exchange.vouchers.rules import calendar_year

ISSUING: Final = frozenset({ProgrammeStatus.OPEN, ProgrammeStatus.EXHAUSTED})
"""States in which a programme may issue; of an exhausted one the budget says that nothing is left."""


def issue_objections(
    programme: Programme, buyer: Participant, standing: Standing, amount_fen: int, now_us: int
) -> Iterator[Fault]:
    """Yield what keeps a programme from issuing a voucher of an amount to a company now."""
    for verdict in buyer_verdicts(programme.rules, buyer, standing, now_us):
        if not verdict.holds:
            yield Fault(f"/rules{verdict.rule}", "buyer_not_eligible", verdict.detail)
    yield from closed_objections(programme, now_us)
    yield from amount_objections(programme, standing, amount_fen, now_us)


def closed_objections(programme: Programme, now_us: int) -> Iterator[Fault]:
    """Yield why a programme issues nothing at all now."""
    if programme.status not in ISSUING:
        detail = f"the programme is {programme.status.value}"
    elif in_force([programme.version], now_us) is None:
        detail = "no rules of the programme are in force now"
    else:
        return
    yield Fault("/programme_id", "programme_not_open", detail)


def amount_objections(
    programme: Programme, standing: Standing, amount_fen: int, now_us: int
) -> Iterator[Fault]:
    """Yield what of the cap of the year and of the budget an amount goes beyond."""
    rules = programme.rules
    left_fen = cap_left_fen(rules, standing)
    if left_fen is not None and amount_fen > left_fen:
        whom = "this buyer's trade group" if rules.cap_basis == "group" else "this buyer"
        detail = own_reasons.text(
            "yearly_cap_exceeded",
            cap_cny=format_cny(rules.cap_per_year_fen or 0),
            left_cny=format_cny(left_fen),
            whom=whom,
            year=calendar_year(now_us),
        )
        yield Fault("/amount_cny", "yearly_cap_exceeded", detail, format_cny(amount_fen))
    left_fen = programme.budget_fen - programme.issued_fen
    if amount_fen > left_fen:
        budget_cny, left_cny = format_cny(programme.budget_fen), format_cny(left_fen)
        detail = own_reasons.text("budget_exhausted", budget_cny=budget_cny, left_cny=left_cny)
        yield Fault("/amount_cny", "budget_exhausted", detail, format_cny(amount_fen))


def needs_committee(rules: ProgrammeRules, amount_fen: int) -> bool:
    """Whether an amount is granted by two keys of the issuer only."""
    return rules.review.committee_above_fen is not None and amount_fen > rules.review.committee_above_fen


PRECEDENCE: Final = (
    "buyer_not_eligible",
    "programme_not_open",
    "no_window_open",
    "yearly_cap_exceeded",
    "budget_exhausted",
)
"""Codes of objections, the gravest first."""


def in_words(objections: Sequence[Fault]) -> str:
    """Return objections for people, in one sentence."""
    words = "; ".join(fault.detail for fault in objections)
    if objections[0].code == "buyer_not_eligible":
        return own_reasons.text("buyer_not_eligible", rules=words)
    return words


def refuse_if_any(objections: Sequence[Fault]) -> None:
    """Raise `Conflict` with the code of the gravest of some objections, and with all of them."""
    in_order = sorted(objections, key=lambda fault: PRECEDENCE.index(fault.code))
    if in_order:
        raise Conflict(in_order[0].code, in_words(in_order), errors=in_order)
