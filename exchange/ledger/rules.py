"""The arithmetic of balances. Pure.

Rule: an account that may not be overdrawn always has `available >= 0`; the database checks it at the end of
every statement that posts, so within one such statement the order of the transfers does not matter.
"""

from collections.abc import Iterable, Sequence
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
    Transfer,
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
    TransferReason.PROGRAMME_BUDGET_RETURN: "prg",
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

SUMS: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
"""The four sums of an account, in the order in which they are always told."""

_VOUCHER_PURPOSES: Final = frozenset({Purpose.VOUCHER, Purpose.VOUCHER_ESCROW})


def available_fen(balance: Balance) -> int:
    """Return what the owner can still use: credited, less debited, less set aside."""
    return balance.credits_posted_fen - balance.debits_posted_fen - balance.debits_pending_fen


def moved_accounts(transfers: Iterable[Transfer]) -> set[int]:
    """Return the ids of the accounts whose money some transfers move."""
    return {each for step in transfers for each in (step.debit_account_id, step.credit_account_id)}


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


def not_the_fold(account_id: int, stored_fen: Sequence[int], folded_fen: Sequence[int]) -> list[Difference]:
    """Say which of an account's four sums are not what its transfers add up to."""
    return [
        Difference(
            kind=DifferenceKind.BALANCE_NOT_FOLD,
            subject=encode_id("acc", account_id),
            measure=name,
            stored_fen=stored,
            recomputed_fen=folded,
            detail=f"{name.replace('_', ' ')} are {stored} fen, its transfers add up to {folded}",
        )
        for name, stored, folded in zip(SUMS, stored_fen, folded_fen, strict=True)
        if stored != folded
    ]


def of_no_account(account_id: int, asset: str, folded_fen: Sequence[int]) -> list[Difference]:
    """Say what the transfers add up to that name an account which there is not in their asset."""
    subject = encode_id("acc", account_id) if account_id > 0 else f"account {account_id}"
    return [
        Difference(
            kind=DifferenceKind.TRANSFERS_OF_NO_ACCOUNT,
            subject=subject,
            measure=name,
            stored_fen=0,
            recomputed_fen=folded,
            detail=f"transfers of {asset} add up to {folded} fen of {name.replace('_', ' ')},"
            f" and there is no such account of {asset}",
        )
        for name, folded in zip(SUMS, folded_fen, strict=True)
        if folded
    ]


def not_zero(asset: str, credits_fen: Sequence[int], debits_fen: Sequence[int]) -> list[Difference]:
    """Say by how much an asset's credits and debits are apart, posted (first of each) and pending."""
    return [
        Difference(
            kind=DifferenceKind.ASSET_NOT_ZERO,
            subject=asset,
            measure=measure,
            stored_fen=credited,
            recomputed_fen=debited,
            detail=f"{credited} fen are credited and {debited} debited, {measure}",
        )
        for measure, credited, debited in zip(("posted", "pending"), credits_fen, debits_fen, strict=True)
        if credited != debited
    ]


def overdrawn(account_id: int, available: int) -> Difference:
    """Say by how much an account is overdrawn."""
    return Difference(
        kind=DifferenceKind.OVERDRAWN,
        subject=encode_id("acc", account_id),
        measure="available",
        stored_fen=available,
        recomputed_fen=0,
        detail=f"may not be overdrawn and is, by {-available} fen",
    )


def not_held(account_id: int, debits: tuple[int, int], credits_: tuple[int, int]) -> list[Difference]:
    """Say how an account's pending sums (first of each pair) differ from the open holds (second)."""
    return [
        Difference(
            kind=DifferenceKind.HOLD_NOT_PENDING,
            subject=encode_id("acc", account_id),
            measure=measure,
            stored_fen=stored,
            recomputed_fen=held,
            detail=f"{stored} fen are set aside {side} it and orders hold {held}",
        )
        for measure, side, (stored, held) in (
            ("debits_pending", "from", debits),
            ("credits_pending", "for", credits_),
        )
        if stored != held
    ]


def held_when_closed(order_id: int, open_fen: int) -> Difference:
    """Say what an order that is over still holds."""
    return Difference(
        kind=DifferenceKind.HOLD_OF_CLOSED_ORDER,
        subject=encode_id("ord", order_id),
        measure="held",
        stored_fen=open_fen,
        recomputed_fen=0,
        detail=f"the order is over and still holds {open_fen} fen",
    )


def not_leased(account_id: int, escrow_fen: int, leased_fen: int) -> Difference:
    """Say how an escrow account differs from what leases still have to pay out of it."""
    return Difference(
        kind=DifferenceKind.ESCROW_NOT_LEASED,
        subject=encode_id("acc", account_id),
        measure="balance",
        stored_fen=escrow_fen,
        recomputed_fen=leased_fen,
        detail=f"{escrow_fen} fen are in escrow and leases still have {leased_fen} to pay out of it",
    )


def not_committed(order_id: int, voucher_id: int, committed: int, leased: int) -> Difference:
    """Say how an order's commitment, of cash or one voucher, differs from what its leases were given."""
    source = _source(voucher_id)
    return Difference(
        kind=DifferenceKind.COMMITMENT_NOT_LEASED,
        subject=encode_id("ord", order_id),
        measure=f"committed of {source}",
        stored_fen=committed,
        recomputed_fen=leased,
        detail=f"{committed} fen of its {source} are committed"
        f" and the leases of its trades were given {leased}",
    )


def not_funded(
    trade_id: int, whole: tuple[int, int], vouchers: tuple[int, int], reimbursed: tuple[int, int]
) -> list[Difference]:
    """Say how a trade's price, its vouchers' part and what is reimbursed differ from its lease's money.

    The first of each pair is the trade's.
    """
    return [
        Difference(
            kind=DifferenceKind.TRADE_NOT_FUNDED,
            subject=encode_id("trd", trade_id),
            measure=measure,
            stored_fen=stored,
            recomputed_fen=funded,
            detail=f"{words} {stored} fen and its lease was given {funded}",
        )
        for measure, words, (stored, funded) in (
            ("notional", "it costs", whole),
            ("voucher_part", "vouchers pay", vouchers),
            ("reimbursable", "to be reimbursed are", reimbursed),
        )
        if stored != funded
    ]


def captures_not_funded(lease_id: int, voucher_id: int, captured: int, funded: int) -> Difference:
    """Say how the captures of a voucher for a lease differ from what the lease's money counts as captured."""
    source = _source(voucher_id)
    return Difference(
        kind=DifferenceKind.CAPTURES_NOT_FUNDED,
        subject=encode_id("lse", lease_id),
        measure=f"captured of {source}",
        stored_fen=funded,
        recomputed_fen=captured,
        detail=f"{funded} fen of {source} count as captured, its captured hours come to {captured}",
    )


def not_what_is_left(voucher_id: int, balance: int, left: int) -> Difference:
    """Say how a voucher's account differs from what must be left of its face."""
    return Difference(
        kind=DifferenceKind.VOUCHER_NOT_WHAT_IS_LEFT,
        subject=encode_id("vch", voucher_id),
        measure="balance",
        stored_fen=balance,
        recomputed_fen=left,
        detail=f"{balance} fen are in its account;"
        f" its face less what leases took and what went back to the issuer is {left}",
    )


def not_captured(claimant_id: int, asset: str, receivable: int, captured: int) -> Difference:
    """Say how a claimant's receivable of a programme differs from its unclaimed captures."""
    return Difference(
        kind=DifferenceKind.RECEIVABLE_NOT_CAPTURED,
        subject=encode_id("par", claimant_id),
        measure=f"receivable of {asset}",
        stored_fen=receivable,
        recomputed_fen=captured,
        detail=f"{receivable} fen of {asset} are receivable and its unclaimed captures come to {captured}",
    )


def not_in_claims(claimant_id: int, asset: str, claimed: int, claims: int) -> Difference:
    """Say how a claimant's claimed money of a programme differs from its open claims."""
    return Difference(
        kind=DifferenceKind.CLAIMED_NOT_IN_CLAIMS,
        subject=encode_id("par", claimant_id),
        measure=f"claimed of {asset}",
        stored_fen=claimed,
        recomputed_fen=claims,
        detail=f"{claimed} fen of {asset} are claimed and its undecided and unpaid claims come to {claims}",
    )


def not_in_vouchers(programme_id: int, issued: int, faces: int) -> Difference:
    """Say how what a programme counts as issued differs from the faces of its vouchers."""
    return Difference(
        kind=DifferenceKind.ISSUED_NOT_IN_VOUCHERS,
        subject=encode_id("prg", programme_id),
        measure="issued",
        stored_fen=issued,
        recomputed_fen=faces,
        detail=f"{issued} fen count as issued and the faces of its vouchers come to {faces}",
    )


def not_used(programme_id: int, subject_id: int, year: int, used: int, taken: int) -> Difference:
    """Say how a yearly use of a programme differs from what orders took of its vouchers."""
    return Difference(
        kind=DifferenceKind.USE_NOT_OF_ORDERS,
        subject=encode_id("prg", programme_id),
        measure=f"used in {year} by {subject_id}",
        stored_fen=used,
        recomputed_fen=taken,
        detail=f"{used} fen count as used in {year} and the year's orders took {taken} of its vouchers",
    )


def not_left(programme_id: int, balance: int, left: int) -> Difference:
    """Say how a programme's budget account differs from what must be left of its budget."""
    return Difference(
        kind=DifferenceKind.BUDGET_NOT_WHAT_IS_LEFT,
        subject=encode_id("prg", programme_id),
        measure="budget",
        stored_fen=balance,
        recomputed_fen=left,
        detail=f"{balance} fen are in its budget account; "
        f"its budget less what it issued, plus what came back of vouchers, is {left}",
    )


def _source(voucher_id: int) -> str:
    return f"voucher {encode_id('vch', voucher_id)}" if voucher_id else "cash"
