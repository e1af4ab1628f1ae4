"""Money rebuilt from the ledger's transfers: balances, and what was set aside, committed and paid. Pure.

A transfer names two accounts, and an account's name says whose it is and which voucher's; so transfers alone
tell what every order held, where every lease's money went, and what each voucher paid of which hour.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from exchange.kit.ids import decode_id
from exchange.rebuild.models import AccountName, AccountRow, FundingRow, Key, Mismatch, Moved


class Paid(msgspec.Struct, frozen=True, gc=False):
    """What a voucher paid of an hour, and into whose receivable."""

    programme_id: int
    claimant_id: int
    amount_fen: int


class Money:
    """The fold of all transfers, in any order."""

    def __init__(self, names: Mapping[int, AccountName]) -> None:
        """Begin with empty accounts."""
        self.names = names
        self.accounts: dict[int, AccountRow] = defaultdict(AccountRow)
        self.placed_fen: Counter[tuple[int, int]] = Counter()
        """Set aside, by order and voucher (0: cash)."""
        self.released_fen: Counter[tuple[int, int]] = Counter()
        self.funding: dict[tuple[int, int], FundingRow] = defaultdict(FundingRow)
        """By lease and voucher (0: cash)."""
        self.paid: dict[tuple[int, int, int], Paid] = {}
        """By lease, hour and voucher."""
        self.fees_fen: Counter[int] = Counter()
        """Taken of the hours of each lease."""
        self.expired_fen: Counter[int] = Counter()
        self.revoked_fen: Counter[int] = Counter()
        self.contradictions: list[Mismatch] = []
        self.moved_fen: Counter[tuple[str, int]] = Counter()
        """By reason and by the voucher, claim or programme it speaks of, where an issuer's money moved."""
        self._cash_due: set[tuple[int, str, int, int]] = set()

    def move(self, moved: Moved) -> None:
        """Take a transfer in."""
        debit, credit = self.accounts[moved.debit_account_id], self.accounts[moved.credit_account_id]
        if moved.kind != "posted":
            pending_fen = moved.amount_fen if moved.kind == "pending" else -moved.amount_fen
            debit.debits_pending_fen += pending_fen
            credit.credits_pending_fen += pending_fen
        if moved.kind in ("posted", "post_pending"):
            debit.debits_posted_fen += moved.amount_fen
            credit.credits_posted_fen += moved.amount_fen
        payer, payee = (self.names.get(each) for each in (moved.debit_account_id, moved.credit_account_id))
        if payer is None or payee is None or {payer.asset, payee.asset} != {moved.asset}:
            of = str(moved.id)
            self.contradictions.append(
                Mismatch(table="ledger_transfer", of=of, column="asset", stored=moved.asset, rebuilt=None)
            )
            return
        self._follow(moved, payer, payee)

    def _follow(self, moved: Moved, payer: AccountName, payee: AccountName) -> None:
        """Say what a transfer between two known accounts was for."""
        part = moved.subject_id, payer.reference
        if moved.reason == "hold":
            self.placed_fen[part] += moved.amount_fen
        elif moved.reason == "hold_release":
            self.released_fen[part] += moved.amount_fen
        elif moved.reason == "trade":
            self.funding[part].committed_fen += moved.amount_fen
        elif moved.reason == "delivery_refund":
            self.funding[part].returned_fen += moved.amount_fen
        elif moved.reason in ("delivery", "fee"):
            self.funding[part].captured_fen += moved.amount_fen
            self.fees_fen[moved.subject_id] += moved.amount_fen * (moved.reason == "fee")
            if payer.purpose == "voucher_escrow":
                programme_id = decode_id("prg", moved.asset) or 0
                hour = moved.delivery_hour or 0
                paid = Paid(programme_id, payee.participant_id, moved.amount_fen)
                self.paid[moved.subject_id, hour, payer.reference] = paid
        elif moved.reason in ("deposit", "withdrawal"):
            self._cash_due.add((moved.id, moved.reason, moved.amount_fen, moved.subject_id))
        else:
            self.moved_fen[moved.reason, moved.subject_id] += moved.amount_fen
            if moved.reason == "voucher_expiry":
                self.expired_fen[payer.reference] += moved.amount_fen
            elif moved.reason == "voucher_revocation":
                self.revoked_fen[payer.reference] += moved.amount_fen

    def account_for(self, transfer_id: int, reason: str, amount_fen: int, participant_id: int) -> None:
        """Note that cash which came in or went out is on record; ValueError where no such did."""
        due = transfer_id, reason, amount_fen, participant_id
        if due not in self._cash_due:
            raise ValueError("no such cash came in or went out, or it is on record already")
        self._cash_due.discard(due)

    def end(self) -> None:
        """Note all cash that came in or went out and is not on record."""
        for transfer_id, reason, amount_fen, _ in sorted(self._cash_due):
            told = f"{reason} of {amount_fen}"
            of = f"transfer {transfer_id}"
            self.contradictions.append(
                Mismatch(table="audit_record", of=of, column="", stored=None, rebuilt=told)
            )

    def account_rows(self) -> dict[Key, msgspec.Struct]:
        """Return the balances of every account that there is, or that a transfer names."""
        return {(each,): self.accounts[each] for each in sorted({*self.names, *self.accounts})}
