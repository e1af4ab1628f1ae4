"""Vouchers, what they pay, and the claims on their issuer.

A voucher is money of its programme's own asset: its balances are its ledger accounts', so nothing here is
stored twice. For every voucher, always: face = available + held + committed + captured + claimed + paid +
expired.

Money is integer fen; `*_us` is venue time in microseconds, `*_hour` whole hours, both since the Unix epoch,
UTC.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import CnyText, IdText
from exchange.vouchers.programme_models import RequiredOrigin

VoucherWish = Literal["auto", "none"] | tuple[int, ...]
"""What an order asks for: the buyer's best vouchers, none, or these ones and no others."""

ID_MAX: Final = 2**63 - 1
"""Above every id: where a list that shows the newest first begins."""

REASON_CHARACTERS_MAX: Final = 500


class VoucherStatus(StrEnum):
    """active <-> suspended -> exhausted | expired | revoked. Exhausted is read from balances, not stored."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ClaimStatus(StrEnum):
    """submitted -> approved | rejected; approved -> paid."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAID = "paid"


class UsableVoucher(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A voucher as an order meets it, its account locked. `mask` is the bit of its programme."""

    voucher_id: int
    programme_id: int
    programme_version: int
    buyer_id: int
    rate_bps: int
    mask: int
    origin_required: RequiredOrigin
    status: VoucherStatus
    expires_at_us: int
    account_id: int
    escrow_account_id: int
    available_fen: int


class VoucherRefusal(msgspec.Struct, frozen=True, gc=False):
    """Why a voucher that an order names cannot pay for it."""

    voucher_id: int
    code: str
    detail: str


class VoucherChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The vouchers an order pays with, in spending order, all of one version of one programme.

    `mask` is what an ask must be for the programme to pay; 0, with rate 0, where no voucher pays. When there
    are `refusals` the order asked for something that cannot be, and nothing is chosen.
    """

    programme_id: int | None = None
    programme_version: int | None = None
    mask: int = 0
    rate_bps: int = 0
    vouchers: tuple[UsableVoucher, ...] = ()
    refusals: tuple[VoucherRefusal, ...] = ()

    @property
    def available_fen(self) -> int:
        """What the chosen vouchers can pay at most."""
        return sum(voucher.available_fen for voucher in self.vouchers)


class Capture(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One voucher's part of one delivered hour of one lease: a line of a claim to come.

    `programme_version` is the version of the rules it was held under, by which a claim on it is judged.
    """

    lease_id: int
    delivery_hour: int
    voucher_id: int
    programme_id: int
    programme_version: int
    provider_id: int
    amount_fen: int


class Balances(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the face of a voucher is now, in fen; the seven parts sum to the face."""

    available_fen: int
    held_fen: int
    committed_fen: int
    captured_fen: int
    claimed_fen: int
    paid_fen: int
    expired_fen: int


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher with its balances. `status` is as stored; `rules.status_now` gives the one to show."""

    id: int
    programme_id: int
    programme_code: str
    programme_version: int
    issuer_id: int
    buyer_id: int
    rate_bps: int
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


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's demand on an issuer for captured voucher money. `line_count` is 0 once rejected."""

    id: int
    programme_id: int
    asset: str
    issuer_id: int
    provider_id: int
    amount_fen: int
    status: ClaimStatus
    reason: str
    line_count: int
    submitted_at_us: int
    decided_at_us: int | None
    paid_at_us: int | None


class NewVoucher(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer posts to issue a voucher."""

    programme_id: IdText
    buyer_id: IdText
    amount_cny: CnyText


class NewClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider posts to claim all it has captured under a programme and not claimed yet."""

    programme_id: IdText


class NewRejection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an issuer rejects a claim."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]


class VoucherView(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher as its buyer and its issuer see it."""

    id: str
    programme_id: str
    programme_code: str
    programme_version: int
    buyer_id: str
    rate_bps: int
    status: VoucherStatus
    face_cny: str
    available_cny: str
    held_cny: str
    committed_cny: str
    captured_cny: str
    claimed_cny: str
    paid_cny: str
    expired_cny: str
    issued_at: str
    expires_at: str


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as its provider and its issuer see it."""

    id: str
    programme_id: str
    provider_id: str
    amount_cny: str
    status: ClaimStatus
    reason: str
    line_count: int
    submitted_at: str
    decided_at: str | None
    paid_at: str | None


class ClaimLineView(msgspec.Struct, frozen=True, kw_only=True):
    """One delivered hour of one lease, paid in part by one voucher, under a version of its programme."""

    lease_id: str
    starts_at: str
    voucher_id: str
    programme_version: int
    amount_cny: str
