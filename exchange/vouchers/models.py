"""Vouchers and what they pay.

A voucher is money of its programme's own asset: its balances are its ledger accounts', so nothing here is
stored twice. For every voucher, always: face = available + held + committed + captured + claimed + paid +
reduced + recovered + expired + revoked. `exchange.claims.models` says what a claim does to the five parts
from captured to recovered: reduced is what a claim did not get, recovered what was paid and came back. Those
two, what expired and what was revoked are the issuer's budget again, still count as issued, and are never the
buyer's.

A suspended voucher pays for no new order; what orders hold of it, or of one that is revoked or expired, goes
on under them. What they give free of one that is over goes to the issuer with the next hour, and the
voucher's history tells its buyer.

Money is integer fen; `*_us` is venue time in microseconds, `*_hour` whole hours, both since the Unix epoch,
UTC.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import CnyText, ParticipantIdText, ProgrammeIdText
from exchange.programmes.models import CapUse, RulesVersion

VoucherWish = Literal["auto", "none"] | tuple[int, ...]
"""What an order asks for: the buyer's best vouchers, none, or these ones and no others."""


class VoucherStatus(StrEnum):
    """active <-> suspended -> exhausted | expired | revoked. Exhausted is read from balances, not stored."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    REVOKED = "revoked"


class UsableVoucher(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A voucher as an order meets it, its account locked.

    `versions` are all rules of its programme: an order is judged by those in force when its money is set
    aside, whichever the voucher was issued under.
    """

    voucher_id: int
    programme_id: int
    buyer_id: int
    versions: tuple[RulesVersion, ...]
    status: VoucherStatus
    expires_at_us: int
    account_id: int
    escrow_account_id: int
    available_fen: int
    used: CapUse = CapUse()


class WalletRow(msgspec.Struct, frozen=True, gc=False):
    """A voucher as it is stored, with what is free of it, before its rules are looked up.

    `version_last` tells whether the rules that the reader has in memory are all there are.
    `group_subject_id` is the company's trade group, or itself where it has none.
    """

    id: int
    programme_id: int
    buyer_id: int
    status: VoucherStatus
    expires_at_us: int
    account_id: int
    escrow_account_id: int
    version_last: int
    group_subject_id: int
    available_fen: int


class VoucherRefusal(msgspec.Struct, frozen=True, gc=False):
    """Why a voucher that an order names cannot pay for it."""

    voucher_id: int
    code: str
    detail: str


class Share(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one programme pays of an order, fixed when its money is set aside; stored with the order's terms.

    Only `rate_bps` may fall afterwards, when the order becomes smaller.
    `programme_version` is the version of the rules it is held under, `mask_hex` has the bit that an ask must
    have for that version to pay. `rate_bps` is the share of each eligible fill, what stacking leaves of the
    programme's own rate. Of what a price exceeds `price_cap_ticks` by, it pays nothing; nor, where
    `list_cap_bps` is set, of what it exceeds that part of the provider's list price by. A `reimbursed` share
    is paid by the buyer at first, and claimed by it afterwards. Where it is `capped_by_use`, what it sets
    aside counts against the programme's yearly cap.
    """

    programme_id: int
    programme_version: int
    rate_bps: int
    mask_hex: str
    price_cap_ticks: int | None = None
    list_cap_bps: int | None = None
    reimbursed: bool = False
    capped_by_use: bool = False

    @property
    def mask(self) -> int:
        """The bit of the version among the eligibility bits of asks."""
        return int(self.mask_hex, 16)


class FundedShare(msgspec.Struct, frozen=True, kw_only=True):
    """A share and the vouchers of its programme that pay it, in spending order, with what each sets aside.

    The parts are positive, and sum to `placed_fen`: what the share comes to at the order's limit, as far as
    the vouchers and the programme's yearly cap cover it.
    """

    share: Share
    parts: tuple[tuple[UsableVoucher, int], ...]

    @property
    def placed_fen(self) -> int:
        """What is set aside for the share."""
        return sum(fen for _, fen in self.parts)


class VoucherChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What pays for an order beside its buyer: shares in spending order, each of another programme.

    When there are `refusals` the order asked for something that cannot be, and nothing is chosen.
    """

    shares: tuple[FundedShare, ...] = ()
    refusals: tuple[VoucherRefusal, ...] = ()


class Capture(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One voucher's part of one delivered hour of one lease: a line of a claim to come.

    `programme_version` is the version of the rules it was held under, `provider_id` who delivered. Who may
    claim it is `claimant_id`: the provider, or where those rules say reimburse the voucher's buyer; the
    database refuses anybody else.
    """

    lease_id: int
    delivery_hour: int
    voucher_id: int
    programme_id: int
    programme_version: int
    provider_id: int
    claimant_id: int
    amount_fen: int


class Balances(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the face of a voucher is now, in fen; the ten parts sum to the face."""

    available_fen: int = 0
    held_fen: int = 0
    committed_fen: int = 0
    captured_fen: int = 0
    claimed_fen: int = 0
    paid_fen: int = 0
    reduced_fen: int = 0
    recovered_fen: int = 0
    expired_fen: int = 0
    revoked_fen: int = 0


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher with its balances. `status` is as stored; `rules.status_now` gives the one to show.

    `programme_version` is the version it was issued under; what it pays of an order is said by the one in
    force then.
    """

    id: int
    programme_id: int
    programme_code: str
    programme_version: int
    issuer_id: int
    buyer_id: int
    buyer_name: str
    face_fen: int
    status: VoucherStatus
    issued_at_us: int
    expires_at_us: int
    balances: Balances


class ExpiredVoucher(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A voucher that the expiry sweep closed, or one closed before whose released holds it took back."""

    voucher_id: int
    programme_id: int
    buyer_id: int
    returned_fen: int


class LockedVoucher(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A voucher that can take a step now, it and its account locked."""

    voucher_id: int
    programme_id: int
    buyer_id: int
    status: VoucherStatus
    step_count: int
    account_id: int
    budget_account_id: int
    asset: str
    available_fen: int
    expires_at_us: int


class VoucherStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of a voucher; `returned_fen` went to its issuer's budget account with it."""

    voucher_id: int
    number: int
    from_status: VoucherStatus
    to_status: VoucherStatus
    actor_role: Literal["issuer", "exchange"]
    actor_id: int
    returned_fen: int
    reason: str
    stepped_at_us: int


class StepPlace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a step stands among those of all vouchers, by time; what a cursor holds."""

    stepped_at_us: int
    voucher_id: int
    number: int


class NewVoucherStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer does with a voucher of its programmes, and why."""

    to: Literal["suspended", "active", "revoked"]
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class NewVoucher(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer posts to issue a voucher."""

    programme_id: ProgrammeIdText
    buyer_id: ParticipantIdText
    amount_cny: CnyText


class VoucherView(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher as its buyer and its issuer see it; `programme_version` is what it was issued under."""

    id: str
    programme_id: str
    programme_code: str
    programme_version: int
    buyer_id: str
    buyer_name: str
    status: VoucherStatus
    face_cny: str
    available_cny: str
    held_cny: str
    committed_cny: str
    captured_cny: str
    claimed_cny: str
    paid_cny: str
    reduced_cny: str
    recovered_cny: str
    expired_cny: str
    revoked_cny: str
    issued_at: str
    expires_at: str


class VoucherStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a voucher's history. `returned_cny` went back to its issuer with it.

    `reason_code` is of a reason that the exchange itself gave, null for a person's.
    """

    voucher_id: str
    number: int
    from_status: VoucherStatus
    to_status: VoucherStatus
    actor_role: Literal["issuer", "exchange"]
    actor_id: str
    returned_cny: str
    reason: str
    reason_code: str | None
    stepped_at: str
