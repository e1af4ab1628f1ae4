"""Statements: what a programme, a claimant's receivables and the claims were at a moment.

They are folded from rows that are only ever added, transfers and steps of claims, never from balances as they
are now: asked again, a moment that has passed gives the same answer, once what was under way at it has
committed: a row is stamped as its transaction does its work, and is seen some seconds later at most.
"""

import msgspec

from exchange.claims.models import ClaimStatus
from exchange.ledger.models import TransferReason


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that moved in a programme's asset for one reason, of one claimant where it concerns one."""

    programme_id: int
    programme_code: str
    claimant_id: int | None
    reason: TransferReason
    amount_fen: int


class ClaimThen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A claim as its last step up to a moment left it; `step_fen` is what that step was about."""

    id: int
    programme_id: int
    claimant_id: int
    amount_fen: int
    status: ClaimStatus
    step_fen: int
    reason: str
    opened_at_us: int
    stepped_at_us: int


class ProgrammeStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A programme at a moment.

    budget = unissued + issued, and issued = with_buyers + receivable + claimed + paid + reduced + recovered +
    expired + revoked, where paid is what was redeemed and has not come back. With buyers is what is free,
    held or escrowed of vouchers, not what companies have to claim. Budget is what was booked less what went
    back to its source: a closed programme has nothing unissued.
    """

    as_of: str
    programme_id: str
    programme_code: str
    budget_cny: str
    unissued_cny: str
    issued_cny: str
    with_buyers_cny: str
    receivable_cny: str
    claimed_cny: str
    paid_cny: str
    reduced_cny: str
    recovered_cny: str
    expired_cny: str
    revoked_cny: str


class BurnPoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a budget had gone at a moment: each figure is what had come at least so far.

    budget >= issued >= committed >= captured >= paid, where issued is without what expired or was revoked,
    committed what trades took of it, also what was delivered since, and captured what was delivered. Paid is
    what was redeemed and has not come back.
    """

    at: str
    budget_cny: str
    issued_cny: str
    committed_cny: str
    captured_cny: str
    paid_cny: str


class ReceivableStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider, or a company that is reimbursed, had of one programme at a moment.

    captured = receivable + claimed + paid + reduced + recovered.
    """

    as_of: str
    programme_id: str
    programme_code: str
    claimant_id: str
    captured_cny: str
    receivable_cny: str
    claimed_cny: str
    paid_cny: str
    reduced_cny: str
    recovered_cny: str


class ClaimStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A claim at a moment: its state then, and its last step. `step_cny` is what that step was about."""

    as_of: str
    claim_id: str
    programme_id: str
    claimant_id: str
    status: ClaimStatus
    amount_cny: str
    step_cny: str
    reason: str
    reason_code: str | None
    opened_at: str
    stepped_at: str
