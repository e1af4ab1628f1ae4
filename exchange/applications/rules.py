"""Who may do what with an application, when one may be made, and who is granted by score. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from exchange.applications.models import (
    AdmissionView,
    Allocation,
    AllocationView,
    ApplicantRole,
    Application,
    ApplicationStatus,
    ApplicationStep,
    ApplicationStepView,
    ApplicationView,
    Asked,
    Decision,
    NextApplicationStep,
)
from exchange.kit import own_reasons
from exchange.kit.clock import format_rfc3339, parse_rfc3339
from exchange.kit.errors import Fault, Faults
from exchange.kit.fields import format_cny, is_blank
from exchange.kit.ids import encode_id
from exchange.participants.models import Participant
from exchange.programmes.judgement import Standing, Verdict, buyer_verdicts, cap_left_fen
from exchange.programmes.models import Programme, ProgrammeRules
from exchange.vouchers.eligibility_models import RuleAnswer
from exchange.vouchers.issue_rules import amount_objections, closed_objections, issue_objections

_S = ApplicationStatus
_BUYER: Final = frozenset({ApplicantRole.BUYER})
_ISSUER: Final = frozenset({ApplicantRole.ISSUER})

STEPS: Final[Mapping[tuple[ApplicationStatus, ApplicationStatus], frozenset[ApplicantRole]]] = {
    (_S.SUBMITTED, _S.SUBMITTED): _ISSUER,
    (_S.SUBMITTED, _S.IN_COMMITTEE): _ISSUER,
    (_S.SUBMITTED, _S.APPROVED): _ISSUER | {ApplicantRole.EXCHANGE},
    (_S.SUBMITTED, _S.REJECTED): _ISSUER,
    (_S.SUBMITTED, _S.WITHDRAWN): _BUYER,
    (_S.IN_COMMITTEE, _S.APPROVED): _ISSUER,
    (_S.IN_COMMITTEE, _S.REJECTED): _ISSUER,
    (_S.IN_COMMITTEE, _S.WITHDRAWN): _BUYER,
}
"""(from, to) -> who may; from submitted to submitted a score is given. The database has the same table,
`application_step_allowed`; a test compares the two."""

_ASKED: Final[Mapping[ApplicationStatus, Asked]] = {
    _S.APPROVED: "approved",
    _S.REJECTED: "rejected",
    _S.WITHDRAWN: "withdrawn",
}

AUDIT_CODES: Final[Mapping[ApplicationStatus, str]] = {
    _S.SUBMITTED: "APPX",
    _S.IN_COMMITTEE: "APPC",
    _S.APPROVED: "APPA",
    _S.REJECTED: "APPR",
    _S.WITHDRAWN: "APPW",
}
"""The code of the audit record of a step, by where it leads; a submission's is APPS."""


def role_of(application: Application, participant_id: int) -> ApplicantRole | None:
    """Return as whom a participant may act on an application, None for a stranger."""
    if participant_id == application.buyer_id:
        return ApplicantRole.BUYER
    return ApplicantRole.ISSUER if participant_id == application.issuer_id else None


def steps_of(role: ApplicantRole) -> frozenset[ApplicationStatus]:
    """Return where a role's steps lead, from wherever."""
    return frozenset(to for (_, to), roles in STEPS.items() if role in roles)


def find_step_faults(to: ApplicationStatus, reason: object, *, has_amount: bool, faults: Faults) -> None:
    """Record a reason that a step lacks, or an amount that does not go with it."""
    if to is _S.REJECTED and isinstance(reason, str) and is_blank(reason):
        faults.add("/reason", "required", "a step to rejected needs a reason", reason)
    if to is not _S.APPROVED and has_amount:
        faults.add("/amount_cny", "not_applicable", f"a step to {to.value} has no amount of its own")


def find_blank_fault(faults: Faults, pointer: str, text: object) -> None:
    """Record a text that says nothing."""
    if isinstance(text, str) and text and is_blank(text):
        faults.add(pointer, "required", "must not be blank", text)


def open_window(rules: ProgrammeRules, now_us: int) -> bool:
    """Whether one of the windows of some rules is open: from `opens_at` on, before `closes_at`."""
    return any(_us(each.opens_at) <= now_us < _us(each.closes_at) for each in rules.windows)


def _us(text: str) -> int:
    at_us = parse_rfc3339(text)
    if at_us is None:
        raise AssertionError(f"stored rules name {text!r} as a time")
    return at_us


def window_objections(rules: ProgrammeRules, now_us: int) -> Iterator[Fault]:
    """Yield that no window is open where one must be."""
    if not rules.windows or open_window(rules, now_us):
        return
    coming = sorted(opens_us for each in rules.windows if (opens_us := _us(each.opens_at)) > now_us)
    when = f"the next one opens at {format_rfc3339(coming[0])}" if coming else "there is none to come"
    yield Fault("/rules/windows", "no_window_open", f"no window for applications is open now, and {when}")


def admission_of(
    programme: Programme, buyer: Participant, standing: Standing, now_us: int, *, applies: bool
) -> AdmissionView:
    """Return whether a company could be granted a voucher of a programme now, and of how much.

    It is by the objections to issuing one, and where the company still `applies`, to applying: an amount has
    none exactly where the company is admitted and the amount is at most what is told.
    """
    rules = programme.rules
    verdicts = list(buyer_verdicts(rules, buyer, standing, now_us))
    if applies and rules.windows:
        closed = next(window_objections(rules, now_us), None)
        detail = "a window for applications is open now" if closed is None else closed.detail
        verdicts.append(Verdict("/windows", closed is None, detail))
    for each in amount_objections(programme, standing, 1, now_us):
        rule = "/cap_per_year_fen" if each.code == "yearly_cap_exceeded" else "/budget_fen"
        verdicts.append(Verdict(rule, False, each.detail))  # noqa: FBT003  (a struct's field)
    shut = next(closed_objections(programme, now_us), None)
    is_admitted = shut is None and all(each.holds for each in verdicts)
    cap_fen = cap_left_fen(rules, standing)
    left_fen = programme.unissued_fen if cap_fen is None else min(programme.unissued_fen, cap_fen)
    most_fen = left_fen if is_admitted else 0
    at_once_fen = 0
    if rules.allocation != "scored" and rules.review.auto_below_fen is not None:
        at_once_fen = min(most_fen, rules.review.auto_below_fen - 1 - standing.group_issued_fen)
    return AdmissionView(
        programme_id=encode_id("prg", programme.id),
        programme_version=programme.version.number,
        is_admitted=is_admitted,
        closed_because=None if shut is None else shut.detail,
        amount_max_cny=format_cny(most_fen),
        at_once_max_cny=format_cny(at_once_fen) if at_once_fen > 0 else None,
        rules=[RuleAnswer(rule=each.rule, holds=each.holds, detail=each.detail) for each in verdicts],
    )


def goes_at_once(rules: ProgrammeRules, standing: Standing, amount_fen: int) -> bool:
    """Whether the rules leave an application of this amount to the venue.

    All that the company and its trade group were issued in the year counts, so an amount cannot be split.
    """
    below_fen = rules.review.auto_below_fen
    return below_fen is not None and standing.group_issued_fen + amount_fen < below_fen


def by_score(applications: Iterable[Application]) -> list[Application]:
    """Return scored applications in the order in which they are granted: best score, then first come."""
    return sorted(applications, key=lambda each: (-(each.score or 0), each.submitted_at_us, each.id))


def allocate(
    programme: Programme,
    applications: Iterable[Application],
    companies: Mapping[int, Participant],
    standings: Mapping[int, Standing],
    now_us: int,
) -> list[Decision]:
    """Decide scored applications, best first: each is granted whole, or turned down by what is in its way.

    `standings` are the companies' as the books have them before; what is granted on the way counts for the
    company, its trade group and the budget. One that does not fit leaves its room to those behind it.
    """
    granted: Counter[int] = Counter()
    group_granted: Counter[tuple[int, int]] = Counter()
    decisions = []
    for application in by_score(applications):
        company = companies[application.buyer_id]
        group = (0, company.id) if company.trade_group_id is None else (company.trade_group_id, 0)
        standing = standings[company.id]
        standing = msgspec.structs.replace(
            standing,
            issued_fen=standing.issued_fen + granted[company.id],
            group_issued_fen=standing.group_issued_fen + group_granted[group],
        )
        objections = tuple(issue_objections(programme, company, standing, application.amount_fen, now_us))
        if not objections:
            granted[company.id] += application.amount_fen
            group_granted[group] += application.amount_fen
            issued_fen = programme.issued_fen + application.amount_fen
            programme = msgspec.structs.replace(programme, issued_fen=issued_fen)
        decisions.append(Decision(application, objections))
    return decisions


def _views_of_next_steps(status: ApplicationStatus) -> list[NextApplicationStep]:
    return [
        NextApplicationStep(to=asked, by=role, needs_reason=to is _S.REJECTED)
        for to, asked in _ASKED.items()
        for role in STEPS.get((status, to), ())
        if role is not ApplicantRole.EXCHANGE
    ]


def view_of_application(application: Application) -> ApplicationView:
    """Return an application as its company and its programme's issuer see it."""
    decided_us = application.decided_at_us
    return ApplicationView(
        id=encode_id("app", application.id),
        programme_id=encode_id("prg", application.programme_id),
        programme_code=application.programme_code,
        programme_version=application.programme_version,
        buyer_id=encode_id("par", application.buyer_id),
        buyer_name=application.buyer_name,
        amount_cny=format_cny(application.amount_fen),
        approved_cny=None if application.approved_fen is None else format_cny(application.approved_fen),
        purpose=application.purpose,
        status=application.status,
        next_steps=_views_of_next_steps(application.status),
        score=application.score,
        reason=application.reason,
        reason_code=own_reasons.code_of(application.reason),
        voucher_id=None if application.voucher_id is None else encode_id("vch", application.voucher_id),
        submitted_at=format_rfc3339(application.submitted_at_us),
        decided_at=None if decided_us is None else format_rfc3339(decided_us),
    )


def view_of_step(step: ApplicationStep, *, shows_key: bool) -> ApplicationStepView:
    """Return a step of an application, with the key it was taken with for those who may know it."""
    return ApplicationStepView(
        number=step.number,
        from_status=step.from_status,
        to_status=step.to_status,
        actor_role=step.actor_role,
        actor_id=encode_id("par", step.actor_id),
        key_id=encode_id("key", step.key_id) if shows_key and step.key_id is not None else None,
        amount_cny=None if step.amount_fen is None else format_cny(step.amount_fen),
        score=step.score,
        reason=step.reason,
        reason_code=own_reasons.code_of(step.reason),
        stepped_at=format_rfc3339(step.stepped_at_us),
    )


def view_of_allocation(allocation: Allocation) -> AllocationView:
    """Return the outcomes of an allocation as its issuer sees them."""
    return AllocationView(
        programme_id=encode_id("prg", allocation.programme_id),
        approved_cny=format_cny(allocation.approved_fen),
        unissued_cny=format_cny(allocation.unissued_fen),
        data=[view_of_application(each) for each in allocation.applications],
    )


def total_fen(decisions: Sequence[Decision]) -> int:
    """Return what an allocation grants in all."""
    return sum(each.application.amount_fen for each in decisions if not each.objections)
