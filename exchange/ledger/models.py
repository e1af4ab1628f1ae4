"""What the ledger speaks of: accounts, transfers between two of them, and how a balance reads.

Amounts are positive integer fen; the direction is in the two accounts. An account's four sums follow
TigerBeetle's model: what was debited and credited, each pending (set aside) and posted (moved). Ids are
63-bit integers, times microseconds of venue time.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from exchange.kit.fields import CnyText, ParticipantIdText, exact

CNY: Final = "CNY"
"""The asset that is money. Every voucher programme is an asset of its own beside it."""

NOTE_MAX: Final = 500

AssetText = Annotated[
    str,
    msgspec.Meta(pattern=exact(r"CNY|prg_[0-9a-z]{13}"), description="CNY, or the prg_ id of a programme"),
]
"""The name of an asset."""


class TransferKind(StrEnum):
    """What a transfer does to its two accounts."""

    POSTED = "posted"
    """Moves the amount."""
    PENDING = "pending"
    """Sets the amount aside: the debited account can no longer use it, the credited one cannot use it yet."""
    POST_PENDING = "post_pending"
    """Moves an amount that was set aside between the same two accounts, all of it or a part."""
    VOID_PENDING = "void_pending"
    """Gives back an amount that was set aside, all of it or a part."""


class TransferReason(StrEnum):
    """Why money moved; `Transfer.subject_id` is the order, trade, lease, voucher or claim it speaks of."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    HOLD = "hold"
    HOLD_RELEASE = "hold_release"
    TRADE = "trade"
    DELIVERY = "delivery"
    FEE = "fee"
    DELIVERY_REFUND = "delivery_refund"
    PROGRAMME_BUDGET = "programme_budget"
    PROGRAMME_BUDGET_RETURN = "programme_budget_return"
    VOUCHER_ISSUE = "voucher_issue"
    VOUCHER_EXPIRY = "voucher_expiry"
    VOUCHER_REVOCATION = "voucher_revocation"
    CLAIM_SUBMISSION = "claim_submission"
    CLAIM_RETURN = "claim_return"
    CLAIM_REDUCTION = "claim_reduction"
    CLAIM_REDEMPTION = "claim_redemption"
    CLAIM_PAYMENT = "claim_payment"
    CLAWBACK_RETURN = "clawback_return"
    CLAWBACK_PAYMENT = "clawback_payment"


class Purpose(StrEnum):
    """What an account is for. Only `external` and `programme_source`, where value enters, may be negative."""

    CASH = "cash"
    ESCROW = "escrow"
    FEES = "fees"
    EXTERNAL = "external"
    PROGRAMME_SOURCE = "programme_source"
    BUDGET = "budget"
    REDEEMED = "redeemed"
    VOUCHER = "voucher"
    VOUCHER_ESCROW = "voucher_escrow"
    RECEIVABLE = "receivable"
    CLAIMED = "claimed"


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of the ledger; `group_id` is shared by the transfers that are one all-or-none set."""

    group_id: int
    kind: TransferKind
    reason: TransferReason
    asset: str
    debit_account_id: int
    credit_account_id: int
    amount_fen: int
    subject_id: int
    delivery_hour: int | None = None


class CashAccounts(msgspec.Struct, frozen=True, gc=False):
    """A participant's two CNY accounts: money it can use, and money that waits for delivery."""

    cash_id: int
    escrow_id: int


class AccountKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """What makes an account unique. `reference` tells apart the accounts of one purpose, such as vouchers."""

    participant_id: int
    asset: str
    purpose: Purpose
    reference: int = 0


class Available(msgspec.Struct, frozen=True, gc=False):
    """What an account can still use, in fen."""

    id: int
    available_fen: int


class Balance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account and its four sums, in fen."""

    account_id: int
    asset: str
    purpose: Purpose
    reference: int
    debits_pending_fen: int
    debits_posted_fen: int
    credits_pending_fen: int
    credits_posted_fen: int


class StatementLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One transfer as an owner of either account sees it; a side that is somebody else's shows no account."""

    transfer_id: int
    kind: TransferKind
    reason: TransferReason
    asset: str
    debit_account_id: int | None
    debit_purpose: Purpose | None
    credit_account_id: int | None
    credit_purpose: Purpose | None
    amount_fen: int
    subject_id: int
    delivery_hour: int | None
    created_at_us: int


class StatementFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which lines of a statement are wanted, newest first; None means any. `before_id` continues a page."""

    account_id: int | None = None
    asset: str | None = None
    reason: TransferReason | None = None
    before_id: int = 2**63 - 1


class DifferenceKind(StrEnum):
    """What a check of the books can find wrong."""

    BALANCE_NOT_FOLD = "balance_not_fold"
    TRANSFERS_OF_NO_ACCOUNT = "transfers_of_no_account"
    ASSET_NOT_ZERO = "asset_not_zero"
    OVERDRAWN = "overdrawn"
    HOLD_NOT_PENDING = "hold_not_pending"
    HOLD_OF_CLOSED_ORDER = "hold_of_closed_order"
    HOLD_NOT_OF_ORDER = "hold_not_of_order"
    ESCROW_NOT_LEASED = "escrow_not_leased"
    COMMITMENT_NOT_LEASED = "commitment_not_leased"
    TRADE_NOT_FUNDED = "trade_not_funded"
    CAPTURES_NOT_FUNDED = "captures_not_funded"
    VOUCHER_NOT_WHAT_IS_LEFT = "voucher_not_what_is_left"
    RECEIVABLE_NOT_CAPTURED = "receivable_not_captured"
    CLAIMED_NOT_IN_CLAIMS = "claimed_not_in_claims"
    ISSUED_NOT_IN_VOUCHERS = "issued_not_in_vouchers"
    USE_NOT_OF_ORDERS = "use_not_of_orders"
    BUDGET_NOT_WHAT_IS_LEFT = "budget_not_what_is_left"


class Difference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sum that is not what it must be. A healthy ledger has none.

    `subject` is the id of the account, order, trade, voucher, programme or provider (or the asset) that it
    belongs to, `measure` which of its sums; `detail` says the same in plain words.
    """

    kind: DifferenceKind
    subject: str
    measure: str
    stored_fen: int
    recomputed_fen: int
    detail: str


class CashMovement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A deposit or withdrawal as booked, with the money the participant can use after it."""

    transfer_id: int
    participant_id: int
    reason: TransferReason
    amount_fen: int
    available_fen: int
    note: str
    booked_at_us: int


class NewCashMovement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money an operator books in from outside (a deposit) or out (a withdrawal)."""

    participant_id: ParticipantIdText
    amount_cny: CnyText
    note: Annotated[str, msgspec.Meta(max_length=NOTE_MAX, description="such as the bank's reference")] = ""


class CashMovementView(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit or withdrawal as the API shows it; `id` is the transfer's in the participant's statement."""

    id: str
    participant_id: str
    reason: TransferReason
    amount_cny: str
    available_cny: str
    note: str
    created_at: str


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the API shows it. `balance` is all that is in it, `available` what is not set aside.

    `id` is null for cash or escrow that was never used. `voucher_id` stands with the accounts of one voucher.
    """

    id: str | None
    asset: str
    purpose: Purpose
    voucher_id: str | None
    balance_cny: str
    available_cny: str
    held_cny: str
    incoming_cny: str


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a statement. A side that is somebody else's is null."""

    id: str
    kind: TransferKind
    reason: TransferReason
    asset: str
    debit_account_id: str | None
    debit_purpose: Purpose | None
    credit_account_id: str | None
    credit_purpose: Purpose | None
    amount_cny: str
    subject_id: str
    delivery_starts_at: str | None
    created_at: str
