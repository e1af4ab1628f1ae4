"""Claims: captured voucher money put to its issuer for payment, and the steps they take.

open -> submitted -> in_audit <-> queried; a submitted claim that was not drawn for audit, or one in audit, is
approved | reduced | rejected; approved or reduced -> paid -> closed; a paid or closed one -> clawback_open ->
recovered | written_off. The database checks each step, and keeps it.

Where the money is: an open claim's captures are captured still; from submitting to payment its amount is
claimed; what a reduction cuts goes back to the issuer's budget account and is `reduced` for good; a rejection
makes all of it captured again, free to be claimed anew. A clawback that is recovered is cash from claimant to
issuer, and that part of the vouchers is `recovered`, not paid, the issuer's budget again; one that is written
off moves nothing: what was paid stays paid. What goes back to the budget account counts as issued all the
same.

Who claims is said by the rules an hour was held under, and kept by the database with the capture: its
provider; or, where the mode is reimburse and the company paid in full, the buyer. A reimbursed claim is the
one way in which a voucher becomes a buyer's cash; nothing of a provider's claim ever reaches the buyer.

A contract is a lease. Of what was held under rules with `max_claims_per_contract` no lease has lines in more
claims than that, rejected ones aside: its last claim waits until the lease is wholly settled, and takes all.
Later rules change nothing of it, in either direction.

Known limit: a clawback is recovered whole or not at all, and only by its claimant: the exchange takes no cash
from anybody unasked.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import CnyText, ProgrammeIdText

REASON_CHARACTERS_MAX: Final = 500
ID_MAX: Final = 2**63 - 1
"""Above every id: where a list that shows the newest first begins."""

EVIDENCE_BYTES_MAX: Final = 10 * 1024 * 1024
EVIDENCE_COUNT_MAX: Final = 100
"""Most files of one claim."""

BATCH_MAX: Final = 100
"""Most programmes of one batch of claims."""

ReasonText = Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)]


class ClaimStatus(StrEnum):
    """Where a claim stands; the module's docstring has the way."""

    OPEN = "open"
    SUBMITTED = "submitted"
    IN_AUDIT = "in_audit"
    QUERIED = "queried"
    APPROVED = "approved"
    REDUCED = "reduced"
    REJECTED = "rejected"
    PAID = "paid"
    CLOSED = "closed"
    CLAWBACK_OPEN = "clawback_open"
    RECOVERED = "recovered"
    WRITTEN_OFF = "written_off"


class ActorRole(StrEnum):
    """As whom somebody takes a step: the one who claims, the programme's issuer, or the venue itself."""

    CLAIMANT = "claimant"
    ISSUER = "issuer"
    EXCHANGE = "exchange"


ClaimantKind = Literal["provider", "buyer"]
"""Who claims: the provider who delivered, or in reimburse mode the buyer who paid."""


class Draw(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The draw of one claim for audit: drawn where `number` (`rules.drawn_number`) is below `sample_bps`."""

    sample_bps: int
    seed: bytes
    number: int

    @property
    def is_drawn(self) -> bool:
        """Whether the claim must be audited."""
        return self.number < self.sample_bps


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A demand of a claimant's on an issuer for captured voucher money. `line_count` is 0 once rejected.

    `approved_fen` is what is or was to be paid, `clawback_fen` what of it is or was demanded back; both None
    until then. `reason` is the last step's. `step_count` is how many steps it has taken.
    """

    id: int
    programme_id: int
    programme_version: int
    asset: str
    issuer_id: int
    claimant_id: int
    claimant_name: str
    claimant_kind: ClaimantKind
    amount_fen: int
    approved_fen: int | None
    clawback_fen: int | None
    status: ClaimStatus
    step_count: int
    reason: str
    line_count: int
    draw: Draw | None
    opened_at_us: int
    submitted_at_us: int | None
    decided_at_us: int | None
    paid_at_us: int | None


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of a claim, as it stands in its history; `amount_fen` is what it was about."""

    number: int
    from_status: ClaimStatus
    to_status: ClaimStatus
    actor_role: ActorRole
    actor_id: int
    amount_fen: int
    reason: str
    stepped_at_us: int


class WantedStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step somebody asks for; `amount_fen` only with reduced (what is paid) and clawback_open."""

    to_status: ClaimStatus
    reason: str = ""
    amount_fen: int | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a new claim is made of; `amount_fen` is None where it is not made, because nothing is free for it.

    `waiting_count` leases have something captured that this claim leaves out: they give it once they are
    wholly settled, after `first_ends_hour` at the earliest.
    """

    amount_fen: int | None
    line_count: int
    waiting_count: int
    first_ends_hour: int | None


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivered hour of one lease, paid in part by one voucher, and what became of that part.

    `provider_id` is who delivered it, whoever claims.
    """

    lease_id: int
    delivery_hour: int
    voucher_id: int
    programme_version: int
    provider_id: int
    amount_fen: int
    reduced_fen: int
    recovered_fen: int


class ClaimTerms(msgspec.Struct, frozen=True, gc=False):
    """What the rules a claim is judged by say of claims: how many are audited, which evidence they need."""

    audit_sample_bps: int
    evidence: tuple[str, ...]


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something attached to a claim to prove it; `content` is None where only the facts were asked for."""

    id: int
    claim_id: int
    name: str
    content_type: str
    size_bytes: int
    sha256: bytes
    attached_by_id: int
    attached_at_us: int
    content: bytes | None = None


class NewClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider or a company posts to claim all that is its own under a programme and not claimed yet.

    With `submit` false the claim stays open, for evidence to be attached before it is submitted.
    """

    programme_id: ProgrammeIdText
    submit: bool = True


class NewClaimBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a claimant posts to claim under several programmes at once; none named: all with something."""

    programme_ids: Annotated[tuple[ProgrammeIdText, ...], Meta(max_length=BATCH_MAX)] = ()
    submit: bool = True


class NewStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next step of a claim. `amount_cny` goes with reduced (what will be paid) and clawback_open only."""

    to: ClaimStatus
    reason: ReasonText = ""
    amount_cny: CnyText | None = None


class NewRejection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an issuer rejects a claim."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]


class DrawView(msgspec.Struct, frozen=True, kw_only=True):
    """A draw for audit, which anyone can do again: the seed is in hex, the number of 0 to 9999.

    The number is the first 15 hex digits of SHA-256 of the seed's bytes followed by the claim's id as text,
    modulo 10,000; a claim is drawn where it is below `sample_bps`.
    """

    sample_bps: int
    seed: str
    number: int
    is_drawn: bool


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """Where a claim can go from where it stands, and who takes it there.

    A step that `needs_reason` is refused without one. A step with `amount_max_cny` is about an amount of its
    own, above zero and at most this; to others none is given.
    """

    to: ClaimStatus
    by: list[ActorRole]
    needs_reason: bool
    amount_max_cny: str | None


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as its claimant and its issuer see it; `reason` is that of its last step.

    `claimant_kind` is buyer where a company that paid in full is reimbursed. `next_steps` are those that its
    claimant and its issuer can take, whoever reads it.
    """

    id: str
    programme_id: str
    programme_version: int
    claimant_id: str
    claimant_name: str
    claimant_kind: ClaimantKind
    amount_cny: str
    approved_cny: str | None
    clawback_cny: str | None
    status: ClaimStatus
    next_steps: list[NextStep]
    reason: str
    reason_code: str | None
    line_count: int
    draw: DrawView | None
    opened_at: str
    submitted_at: str | None
    decided_at: str | None
    paid_at: str | None


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a claim's history. `amount_cny` is what it was about: claimed, to be paid, demanded back.

    `reason_code` is of a reason that the exchange itself gave, null for a person's.
    """

    number: int
    from_status: ClaimStatus
    to_status: ClaimStatus
    actor_role: ActorRole
    actor_id: str
    amount_cny: str
    reason: str
    reason_code: str | None
    stepped_at: str


class ClaimLineView(msgspec.Struct, frozen=True, kw_only=True):
    """One delivered hour of one lease, paid in part by one voucher, under a version of its programme.

    `provider_id` is who delivered it.
    """

    lease_id: str
    starts_at: str
    voucher_id: str
    programme_version: int
    provider_id: str
    amount_cny: str
    reduced_cny: str
    recovered_cny: str


class EvidenceView(msgspec.Struct, frozen=True, kw_only=True):
    """What is attached to a claim; the bytes are at the path of its id. `sha256` is in hex."""

    id: str
    claim_id: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    attached_by: str
    attached_at: str


class ClaimOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one programme of a batch: its claim, or why there is none (`code` as in problems)."""

    programme_id: str
    claim: ClaimView | None = None
    code: str | None = None
    detail: str | None = None


class ClaimBatchView(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of a batch of claims, in its order."""

    data: list[ClaimOutcome]
