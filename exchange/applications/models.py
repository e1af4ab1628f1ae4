"""Applications: what companies ask programmes for, and the steps they take.

submitted -> approved | rejected | withdrawn, or submitted -> in_committee -> approved | rejected | withdrawn.
A company withdraws its own; every other step is its programme's issuer's, but for those that the rules leave
to the venue (`ReviewRule.auto_below_fen`). Giving a submitted application a score is a step too. The database
checks each step, and keeps it.

Approving issues a voucher of the amount approved, which is at most what was asked, in the same transaction.
The rules in force when an application is submitted are on record with it; it is granted by those in force
when it is decided.

Known limit: an application that waits sets nothing of the budget or the cap aside.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from exchange.kit.errors import Fault
from exchange.kit.fields import CnyText, ProgrammeIdText
from exchange.vouchers.eligibility_models import RuleAnswer

REASON_CHARACTERS_MAX: Final = 500
SCORE_MAX: Final = 1_000

ReasonText = Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)]


Asked = Literal["approved", "rejected", "withdrawn"]
"""What can be asked of an application."""


class ApplicationStatus(StrEnum):
    """Where an application stands; the module's docstring has the way."""

    SUBMITTED = "submitted"
    IN_COMMITTEE = "in_committee"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ApplicantRole(StrEnum):
    """As whom somebody takes a step: the company, its programme's issuer, or the venue itself."""

    BUYER = "buyer"
    ISSUER = "issuer"
    EXCHANGE = "exchange"


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A company's wish for a voucher.

    `programme_version` was in force when it was submitted. `approved_fen` is what was approved, in a
    committee by the first of two keys; None before, and once it was turned down. `reason` is the last step's.
    """

    id: int
    programme_id: int
    programme_code: str
    programme_version: int
    issuer_id: int
    buyer_id: int
    buyer_name: str
    amount_fen: int
    purpose: str
    status: ApplicationStatus = ApplicationStatus.SUBMITTED
    step_count: int = 0
    score: int | None = None
    approved_fen: int | None = None
    voucher_id: int | None = None
    reason: str = ""
    submitted_at_us: int
    decided_at_us: int | None = None


class ApplicationStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of an application: `amount_fen` is what it approved, `score` what it gave.

    `key_id` is the API key it was taken with, None for the venue's own.
    """

    application_id: int
    number: int
    from_status: ApplicationStatus
    to_status: ApplicationStatus
    actor_role: ApplicantRole
    actor_id: int
    key_id: int | None
    amount_fen: int | None
    score: int | None
    reason: str
    stepped_at_us: int


class WantedStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step somebody asks for; `amount_fen` only with approved, None there for all that was asked."""

    to_status: ApplicationStatus
    reason: str = ""
    amount_fen: int | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What an allocation makes of one application: granted whole, or why not."""

    application: Application
    objections: tuple[Fault, ...] = ()


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What an allocation made of a programme's scored applications, in the order of its decisions."""

    programme_id: int
    approved_fen: int
    unissued_fen: int
    applications: tuple[Application, ...]


class NewApplication(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a company posts to apply for a voucher: how much, and what it needs the computing for."""

    programme_id: ProgrammeIdText
    amount_cny: CnyText
    purpose: Annotated[str, Meta(min_length=1, max_length=2_000)]


class NewApplicationStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next step of an application; `amount_cny` goes with approved only; without it, all is granted."""

    to: Asked
    reason: ReasonText = ""
    amount_cny: CnyText | None = None


class NewScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The score that an issuer gives an application, and why; a later score takes its place."""

    score: Annotated[int, Meta(ge=0, le=SCORE_MAX)]
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]


class NextApplicationStep(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of an application where it stands, and by whom.

    Of a large amount, approved brings it to its committee first. A programme that allocates by score approves
    none singly, but those in committee.
    """

    to: Asked
    by: ApplicantRole
    needs_reason: bool


class ApplicationView(msgspec.Struct, frozen=True, kw_only=True):
    """An application as its company and its programme's issuer see it; `reason` is that of its last step.

    `next_steps` are those that the two can take, whoever reads it.
    """

    id: str
    programme_id: str
    programme_code: str
    programme_version: int
    buyer_id: str
    buyer_name: str
    amount_cny: str
    approved_cny: str | None
    purpose: str
    status: ApplicationStatus
    next_steps: list[NextApplicationStep]
    score: int | None
    reason: str
    reason_code: str | None
    voucher_id: str | None
    submitted_at: str
    decided_at: str | None


class ApplicationStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an application's history. The company is not told of the issuer's keys."""

    number: int
    from_status: ApplicationStatus
    to_status: ApplicationStatus
    actor_role: ApplicantRole
    actor_id: str
    key_id: str | None
    amount_cny: str | None
    score: int | None
    reason: str
    reason_code: str | None
    stepped_at: str


class AdmissionView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a company could be granted a voucher now, by each rule that says something of it.

    `closed_because` is why the programme issues nothing at all now, null where it does. Without an objection,
    what is asked can be `amount_max_cny`, what the cap of the year and the budget leave; 0.00 with one. Up to
    `at_once_max_cny` an application is approved as it comes; null where each waits for its issuer.
    """

    programme_id: str
    programme_version: int
    is_admitted: bool
    closed_because: str | None
    amount_max_cny: str
    at_once_max_cny: str | None
    rules: list[RuleAnswer]


class AllocationView(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of an allocation in its order: approved, or rejected with the reason in words."""

    programme_id: str
    approved_cny: str
    unissued_cny: str
    data: list[ApplicationView]
