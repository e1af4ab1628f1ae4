"""What may be done with a claim, by whom, and what it means line by line. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from exchange.claims.models import (
    ActorRole,
    Claim,
    ClaimantKind,
    ClaimLineView,
    ClaimOutcome,
    ClaimStatus,
    ClaimView,
    Draw,
    DrawView,
    Evidence,
    EvidenceView,
    Line,
    NextStep,
    Opened,
    Step,
    StepView,
)
from exchange.kit import own_reasons
from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.errors import Faults, Forbidden, Refusal
from exchange.kit.fields import format_cny, format_hour, is_blank
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind

CLAIMANT_KINDS: Final = (ParticipantKind.PROVIDER, ParticipantKind.BUYER)
"""Who may claim."""

_S = ClaimStatus
_CLAIMANT: Final = frozenset({ActorRole.CLAIMANT})
_ISSUER: Final = frozenset({ActorRole.ISSUER})

STEPS: Final[Mapping[tuple[ClaimStatus, ClaimStatus], frozenset[ActorRole]]] = {
    (_S.OPEN, _S.SUBMITTED): _CLAIMANT,
    (_S.SUBMITTED, _S.IN_AUDIT): _ISSUER | {ActorRole.EXCHANGE},
    (_S.IN_AUDIT, _S.QUERIED): _ISSUER,
    (_S.QUERIED, _S.IN_AUDIT): _CLAIMANT,
    (_S.SUBMITTED, _S.APPROVED): _ISSUER,
    (_S.SUBMITTED, _S.REDUCED): _ISSUER,
    (_S.SUBMITTED, _S.REJECTED): _ISSUER,
    (_S.IN_AUDIT, _S.APPROVED): _ISSUER,
    (_S.IN_AUDIT, _S.REDUCED): _ISSUER,
    (_S.IN_AUDIT, _S.REJECTED): _ISSUER,
    (_S.APPROVED, _S.PAID): _ISSUER,
    (_S.REDUCED, _S.PAID): _ISSUER,
    (_S.PAID, _S.CLOSED): _ISSUER,
    (_S.PAID, _S.CLAWBACK_OPEN): _ISSUER,
    (_S.CLOSED, _S.CLAWBACK_OPEN): _ISSUER,
    (_S.CLAWBACK_OPEN, _S.RECOVERED): _CLAIMANT,
    (_S.CLAWBACK_OPEN, _S.WRITTEN_OFF): _ISSUER,
}
"""(from, to) -> who may. The database has the same table, `claim_step_allowed`; a test compares the two."""

AGREEING: Final = frozenset({_S.SUBMITTED, _S.APPROVED, _S.PAID, _S.CLOSED, _S.RECOVERED})
"""Steps to these grant what was asked and need no reason; all others do."""

WITH_AMOUNT: Final = frozenset({_S.REDUCED, _S.CLAWBACK_OPEN})

AUDIT_CODES: Final[Mapping[ClaimStatus, str]] = {
    _S.OPEN: "CLMO",
    _S.SUBMITTED: "CLMS",
    _S.IN_AUDIT: "CLMU",
    _S.QUERIED: "CLMQ",
    _S.APPROVED: "CLMA",
    _S.REDUCED: "CLMD",
    _S.REJECTED: "CLMR",
    _S.PAID: "CLMP",
    _S.CLOSED: "CLMC",
    _S.CLAWBACK_OPEN: "CLMB",
    _S.RECOVERED: "CLMV",
    _S.WRITTEN_OFF: "CLMW",
}
"""The code of the audit record of a step, by where it leads."""

PROVABLE: Final = frozenset({_S.OPEN, _S.SUBMITTED, _S.IN_AUDIT, _S.QUERIED})
"""States in which a claimant may attach evidence: until it is decided."""

_DRAW_NUMBERS: Final = 10_000
_DRAW_DIGITS: Final = 15


def claimant_kind_of(principal: Principal) -> ClaimantKind:
    """Return as what a principal claims, or raise `Forbidden` where it never can."""
    if principal.kind == ParticipantKind.PROVIDER:
        return "provider"
    if principal.kind == ParticipantKind.BUYER:
        return "buyer"
    raise Forbidden(detail="only a provider, or a company that is reimbursed, claims what vouchers paid")


def role_of(claim: Claim, participant_id: int) -> ActorRole | None:
    """Return as whom a participant may act on a claim, None for a stranger."""
    if participant_id == claim.claimant_id:
        return ActorRole.CLAIMANT
    return ActorRole.ISSUER if participant_id == claim.issuer_id else None


def nothing_to_claim(opened: Opened) -> str:
    """Return why a claim could not be opened, and when one can, in words."""
    if not opened.waiting_count:
        return "nothing captured under this programme is left to claim"
    said = (
        "the rules that they were held under limit in how many claims contracts may be; those whose last "
        f"claim waits until they are wholly delivered and settled: {opened.waiting_count}"
    )
    if opened.first_ends_hour is not None:
        said += f", the first after {format_hour(opened.first_ends_hour)}"
    return said


def steps_of(role: ActorRole) -> frozenset[ClaimStatus]:
    """Return where a role's steps lead, from wherever."""
    return frozenset(to for (_, to), roles in STEPS.items() if role in roles)


def next_steps(status: ClaimStatus) -> list[ClaimStatus]:
    """Return where a claim in a state can go."""
    return [to for from_status, to in STEPS if from_status is status]


def amount_max_fen(claim: Claim, to: ClaimStatus) -> int:
    """Return the most that a step of `WITH_AMOUNT` can be about: a reduction leaves less than was claimed."""
    return claim.amount_fen - 1 if to is _S.REDUCED else claim.approved_fen or 0


def find_step_faults(
    to: ClaimStatus, reason: object, *, has_amount: bool, faults: Faults, reason_pointer: str = "/reason"
) -> None:
    """Record a reason or an amount that a step lacks, or an amount that does not go with it."""
    if to not in AGREEING and isinstance(reason, str) and is_blank(reason):
        faults.add(reason_pointer, "required", f"a step to {to.value} needs a reason", reason)
    if to in WITH_AMOUNT and not has_amount and "/amount_cny" not in faults:
        faults.add("/amount_cny", "required", f"a step to {to.value} needs an amount")
    elif to not in WITH_AMOUNT and has_amount:
        faults.add("/amount_cny", "not_applicable", f"a step to {to.value} has no amount of its own")


def drawn_number(seed: bytes, claim_id: int) -> int:
    """Return the number of 0 to 9,999 that a seed gives a claim: the same for whoever computes it."""
    digest = hashlib.sha256(seed + encode_id("clm", claim_id).encode()).hexdigest()
    return int(digest[:_DRAW_DIGITS], 16) % _DRAW_NUMBERS


def spread(total_fen: int, weights_fen: Sequence[int]) -> list[int]:
    """Share an amount out over lines in proportion to theirs: largest remainder, ties to the earlier line.

    The parts sum exactly to `total_fen`, and none is above its line's weight where the total is not above
    their sum.
    """
    whole_fen = sum(weights_fen)
    parts = [total_fen * weight // whole_fen for weight in weights_fen]
    left = total_fen - sum(parts)
    by_remainder = sorted(
        range(len(weights_fen)), key=lambda index: -(total_fen * weights_fen[index] % whole_fen)
    )
    for index in by_remainder[:left]:
        parts[index] += 1
    return parts


def view_of_evidence(evidence: Evidence) -> EvidenceView:
    """Return what is attached to a claim as those who see the claim see it."""
    return EvidenceView(
        id=encode_id("evd", evidence.id),
        claim_id=encode_id("clm", evidence.claim_id),
        name=evidence.name,
        content_type=evidence.content_type,
        size_bytes=evidence.size_bytes,
        sha256=evidence.sha256.hex(),
        attached_by=encode_id("par", evidence.attached_by_id),
        attached_at=format_rfc3339(evidence.attached_at_us),
    )


def _views_of_next_steps(claim: Claim) -> list[NextStep]:
    """Return the steps that can be taken; a claim of one fen cannot be reduced."""
    return [
        NextStep(
            to=to,
            by=sorted(STEPS[claim.status, to] - {ActorRole.EXCHANGE}),
            needs_reason=to not in AGREEING,
            amount_max_cny=format_cny(amount_max_fen(claim, to)) if to in WITH_AMOUNT else None,
        )
        for to in next_steps(claim.status)
        if to not in WITH_AMOUNT or amount_max_fen(claim, to)
    ]


def view_of_claim(claim: Claim) -> ClaimView:
    """Return a claim as its claimant and its issuer see it."""
    return ClaimView(
        id=encode_id("clm", claim.id),
        programme_id=encode_id("prg", claim.programme_id),
        programme_version=claim.programme_version,
        claimant_id=encode_id("par", claim.claimant_id),
        claimant_name=claim.claimant_name,
        claimant_kind=claim.claimant_kind,
        amount_cny=format_cny(claim.amount_fen),
        approved_cny=None if claim.approved_fen is None else format_cny(claim.approved_fen),
        clawback_cny=None if claim.clawback_fen is None else format_cny(claim.clawback_fen),
        status=claim.status,
        next_steps=_views_of_next_steps(claim),
        reason=claim.reason,
        reason_code=own_reasons.code_of(claim.reason),
        line_count=claim.line_count,
        draw=None if claim.draw is None else _view_of_draw(claim.draw),
        opened_at=format_rfc3339(claim.opened_at_us),
        submitted_at=_time(claim.submitted_at_us),
        decided_at=_time(claim.decided_at_us),
        paid_at=_time(claim.paid_at_us),
    )


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else format_rfc3339(at_us)


def _view_of_draw(draw: Draw) -> DrawView:
    return DrawView(
        sample_bps=draw.sample_bps, seed=draw.seed.hex(), number=draw.number, is_drawn=draw.is_drawn
    )


def view_of_step(step: Step) -> StepView:
    """Return a step as those who see the claim see it."""
    return StepView(
        number=step.number,
        from_status=step.from_status,
        to_status=step.to_status,
        actor_role=step.actor_role,
        actor_id=encode_id("par", step.actor_id),
        amount_cny=format_cny(step.amount_fen),
        reason=step.reason,
        reason_code=own_reasons.code_of(step.reason),
        stepped_at=format_rfc3339(step.stepped_at_us),
    )


def view_of_line(line: Line) -> ClaimLineView:
    """Return a line of a claim as its claimant and its issuer see it."""
    return ClaimLineView(
        lease_id=encode_id("lse", line.lease_id),
        starts_at=format_hour(line.delivery_hour),
        voucher_id=encode_id("vch", line.voucher_id),
        programme_version=line.programme_version,
        provider_id=encode_id("par", line.provider_id),
        amount_cny=format_cny(line.amount_fen),
        reduced_cny=format_cny(line.reduced_fen),
        recovered_cny=format_cny(line.recovered_fen),
    )


def view_of_outcome(programme_id: int, outcome: Claim | Refusal) -> ClaimOutcome:
    """Return what became of one programme of a batch."""
    named = encode_id("prg", programme_id)
    if isinstance(outcome, Claim):
        return ClaimOutcome(programme_id=named, claim=view_of_claim(outcome))
    return ClaimOutcome(programme_id=named, code=outcome.code, detail=outcome.detail)
