"""The arithmetic of balances. Pure.

Rule: an account that may not be overdrawn always has `available >= 0`; the database checks it at the end of
every statement that posts, so within one such statement the order of the transfers does not matter.
"""

from collections.abc import Sequence
from typing import Final

from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.ledger.models import (
    CNY,
    AccountView,
    Balance,
    Difference,
    DifferenceKind,
    Purpose,
    TransferReason,
)

SUBJECT_PREFIX: Final[dict[TransferReason, str]] = {
    TransferReason.DEPOSIT: "par",
    TransferReason.WITHDRAWAL: "par",
    TransferReason.HOLD: "ord",
    TransferReason.HOLD_RELEASE: "ord",
    TransferReason.TRADE: "trd",
    TransferReason.DELIVERY: "lse",
    TransferReason.FEE: "lse",
    TransferReason.DELIVERY_REFUND: "lse",
    TransferReason.PROGRAMME_BUDGET: "prg",
    TransferReason.VOUCHER_ISSUE: "vch",
    TransferReason.VOUCHER_EXPIRY: "vch",
    TransferReason.VOUCHER_REVOCATION: "vch",
    TransferReason.CLAIM_SUBMISSION: "clm",
    TransferReason.CLAIM_RETURN: "clm",
    TransferReason.CLAIM_REDUCTION: "clm",
    TransferReason.CLAIM_REDEMPTION: "clm",
    TransferReason.CLAIM_PAYMENT: "clm",
    TransferReason.CLAWBACK_RETURN: "clm",
    TransferReason.CLAWBACK_PAYMENT: "clm",
}
"""What `subject_id` names, by the reason of the transfer."""

_VOUCHER_PURPOSES: Final = frozenset({Purpose.VOUCHER, Purpose.VOUCHER_ESCROW})


def available_fen(balance: Balance) -> int:
    """Return what the owner can still use: credited, less debited, less set aside."""
    return balance.credits_posted_fen - balance.debits_posted_fen - balance.debits_pending_fen


def account_view(balance: Balance) -> AccountView:
    """Return an account as the API shows it."""
    of_voucher = balance.purpose in _VOUCHER_PURPOSES
    return AccountView(
        id=encode_id("acc", balance.account_id) if balance.account_id else None,
        asset=balance.asset,
        purpose=balance.purpose,
        voucher_id=encode_id("vch", balance.reference) if of_voucher else None,
        balance_cny=format_cny(posted_fen(balance)),
        available_cny=format_cny(available_fen(balance)),
        held_cny=format_cny(balance.debits_pending_fen),
        incoming_cny=format_cny(balance.credits_pending_fen),
    )


def with_cash(balances: Sequence[Balance]) -> list[Balance]:
    """Return balances with empty cash and escrow in front where they were never opened (account id 0)."""
    opened = {balance.purpose for balance in balances if balance.asset == CNY}
    return [
        *(empty(CNY, purpose) for purpose in (Purpose.CASH, Purpose.ESCROW) if purpose not in opened),
        *balances,
    ]


def empty(asset: str, purpose: Purpose) -> Balance:
    """Return the balance of an account that was never opened."""
    return Balance(
        account_id=0,
        asset=asset,
        purpose=purpose,
        reference=0,
        debits_pending_fen=0,
        debits_posted_fen=0,
        credits_pending_fen=0,
        credits_posted_fen=0,
    )


def posted_fen(balance: Balance) -> int:
    """Return what is in the account, including what is set aside to leave it."""
    return balance.credits_posted_fen - balance.debits_posted_fen


def not_the_fold(account_id: int, stored_fen: Sequence[int], folded_fen: Sequence[int]) -> Difference:
    """Say which of an account's four sums are not what its transfers add up to."""
    names = ("debits pending", "debits posted", "credits pending", "credits posted")
    parts = [
        f"{name} are {stored} fen, its transfers add up to {folded}"
        for name, stored, folded in zip(names, stored_fen, folded_fen, strict=True)
        if stored != folded
    ]
    subject = encode_id("acc", account_id)
    return Difference(kind=DifferenceKind.BALANCE_NOT_FOLD, subject=subject, detail="; ".join(parts))


def not_zero(asset: str, posted: int, pending: int) -> Difference:
    """Say by how much an asset's credits and debits are apart."""
    detail = f"credits less debits are {posted} fen posted and {pending} fen pending, not 0"
    return Difference(kind=DifferenceKind.ASSET_NOT_ZERO, subject=asset, detail=detail)


def overdrawn(account_id: int, available: int) -> Difference:
    """Say by how much an account is overdrawn."""
    detail = f"may not be overdrawn and is, by {-available} fen"
    return Difference(kind=DifferenceKind.OVERDRAWN, subject=encode_id("acc", account_id), detail=detail)


def not_held(account_id: int, debits: tuple[int, int], credits_: tuple[int, int]) -> Difference:
    """Say how an account's pending sums (first of each pair) differ from the open holds (second)."""
    detail = (
        f"{debits[0]} fen are set aside from it and orders hold {debits[1]}; "
        f"{credits_[0]} fen are set aside for it and orders hold {credits_[1]}"
    )
    subject = encode_id("acc", account_id)
    return Difference(kind=DifferenceKind.HOLD_NOT_PENDING, subject=subject, detail=detail)


def held_when_closed(order_id: int, open_fen: int) -> Difference:
    """Say what an order that is over still holds."""
    detail = f"the order is over and still holds {open_fen} fen"
    subject = encode_id("ord", order_id)
    return Difference(kind=DifferenceKind.HOLD_OF_CLOSED_ORDER, subject=subject, detail=detail)


def not_leased(account_id: int, escrow_fen: int, leased_fen: int) -> Difference:
    """Say how an escrow account differs from what leases still have to pay out of it."""
    detail = f"{escrow_fen} fen are in escrow and leases still have {leased_fen} to pay out of it"
    subject = encode_id("acc", account_id)
    return Difference(kind=DifferenceKind.ESCROW_NOT_LEASED, subject=subject, detail=detail)


def not_committed(order_id: int, voucher_id: int, committed: int, leased: int) -> Difference:
    """Say how an order's commitment, of cash or one voucher, differs from what its leases were given."""
    source = f"voucher {encode_id('vch', voucher_id)}" if voucher_id else "cash"
    detail = f"{committed} fen of its {source} are committed and the leases of its trades were given {leased}"
    subject = encode_id("ord", order_id)
    return Difference(kind=DifferenceKind.COMMITMENT_NOT_LEASED, subject=subject, detail=detail)


def not_captured(provider_id: int, asset: str, receivable: int, captured: int) -> Difference:
    """Say how a provider's receivable of a programme differs from its unclaimed captures."""
    detail = f"{receivable} fen of {asset} are receivable and its unclaimed captures come to {captured}"
    subject = encode_id("par", provider_id)
    return Difference(kind=DifferenceKind.RECEIVABLE_NOT_CAPTURED, subject=subject, detail=detail)


def not_in_claims(provider_id: int, asset: str, claimed: int, claims: int) -> Difference:
    """Say how a provider's claimed money of a programme differs from its open claims."""
    detail = f"{claimed} fen of {asset} are claimed and its undecided and unpaid claims come to {claims}"
    subject = encode_id("par", provider_id)
    return Difference(kind=DifferenceKind.CLAIMED_NOT_IN_CLAIMS, subject=subject, detail=detail)


def not_in_vouchers(programme_id: int, issued: int, faces: int) -> Difference:
    """Say how what a programme counts as issued differs from the faces of its vouchers."""
    detail = f"{issued} fen count as issued and the faces of its vouchers come to {faces}"
    subject = encode_id("prg", programme_id)
    return Difference(kind=DifferenceKind.ISSUED_NOT_IN_VOUCHERS, subject=subject, detail=detail)


def not_left(programme_id: int, balance: int, left: int) -> Difference:
    """Say how a programme's budget account differs from what must be left of its budget."""
    detail = (
        f"{balance} fen are in its budget account; "
        f"its budget less what it issued, plus what came back of vouchers, is {left}"
    )
    subject = encode_id("prg", programme_id)
    return Difference(kind=DifferenceKind.BUDGET_NOT_WHAT_IS_LEFT, subject=subject, detail=detail)
