"""A claim as plain as can be: the model that tests compare the real one with."""

from fractions import Fraction

from exchange.kit.auth import Principal
from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotEnoughMoney, NotFound, Refusal
from exchange.vouchers.models import Capture

WAYS = [
    ("open", "submitted", "claimant"),
    ("submitted", "in_audit", "issuer"),
    ("in_audit", "queried", "issuer"),
    ("queried", "in_audit", "claimant"),
    *(
        (state, to, "issuer")
        for state in ("submitted", "in_audit")
        for to in ("approved", "reduced", "rejected")
    ),
    *((state, "paid", "issuer") for state in ("approved", "reduced")),
    ("paid", "closed", "issuer"),
    *((state, "clawback_open", "issuer") for state in ("paid", "closed")),
    ("clawback_open", "recovered", "claimant"),
    ("clawback_open", "written_off", "issuer"),
]
"""The life of a claim: from, to, whose step it is."""


class PlainClaim:
    """A claim in the model; `left_fen` is what of each line is neither reduced nor recovered."""

    def __init__(self, claimant: Principal, lines: list[Capture]) -> None:
        """Begin open."""
        self.claimant = claimant
        self.status = "open"
        self.lines = lines
        self.left_fen = [line.amount_fen for line in lines]
        self.clawback_fen = 0

    def take_off(self, fen: int) -> list[int]:
        """Take an amount off the lines by largest remainder, and return what of each."""
        exact = [Fraction(fen * part, sum(self.left_fen)) for part in self.left_fen]
        parts = [int(each) for each in exact]
        while sum(parts) < fen:
            rests = [each - part for each, part in zip(exact, parts, strict=True)]
            parts[rests.index(max(rests))] += 1
        self.left_fen = [left - part for left, part in zip(self.left_fen, parts, strict=True)]
        return parts

    def refusal_of(self, to: str, by: str, fen: int | None, cash_fen: int | None) -> type[Refusal] | None:
        """Return what refuses a step, None where nothing does; `cash_fen` is the payer's where it pays.

        `by` buyer or provider is a stranger of that kind.
        """
        if by in {"buyer", "provider"} or (by == "issuer" and self.status == "open"):
            return NotFound
        if all((to, by) != way[1:] for way in WAYS):
            return Forbidden
        lacks_or_has_amount = (fen is None) == (to in {"reduced", "clawback_open"})
        if not lacks_or_has_amount and (self.status, to, by) not in WAYS:
            return Conflict
        most_fen = sum(self.left_fen) - (to == "reduced")
        if lacks_or_has_amount or (fen is not None and not 0 < fen <= most_fen):
            return InvalidInput
        amount_fen = self.clawback_fen if to == "recovered" else sum(self.left_fen)
        return NotEnoughMoney if cash_fen is not None and amount_fen > cash_fen else None


def line_order(line: Capture) -> tuple[int, int, int]:
    """Return what the lines of a claim are sorted by."""
    return line.lease_id, line.delivery_hour, line.voucher_id
