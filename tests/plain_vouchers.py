"""Vouchers and programmes as plain as can be: the model that a whole exchange is compared with.

Written from the words of the rules, in fractions, and not from the exchange's code: shares are taken of exact
amounts and rounded down once, at the end. Money is fen, rates are fractions of one.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import floor

import msgspec

BPS = 10_000
PARTS = (
    "available",
    "held",
    "committed",
    "captured",
    "claimed",
    "paid",
    "reduced",
    "recovered",
    "expired",
    "revoked",
)
"""Where the face of a voucher can be."""

OVER = ("expired", "revoked")


class PlainRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of a programme says: whom it pays at, how much, and beside whom."""

    rate_bps: int
    admitted: frozenset[int]
    stacking: str = "none"
    ceiling_bps: int = BPS
    reimburses: bool = False
    price_cap: str = "none"
    cap_fen: int | None = None
    caps_group: bool = False
    caps_use: bool = False
    validity_days: int = 2

    @property
    def rate(self) -> Fraction:
        """What it pays of a price, within its own ceiling."""
        return Fraction(min(self.rate_bps, self.ceiling_bps), BPS)

    @property
    def ceiling(self) -> Fraction:
        """What all who pay beside it may pay together."""
        return Fraction(self.ceiling_bps, BPS)


class PlainProgramme:
    """A programme: its versions, of which the last is in force, and what it has issued."""

    def __init__(self, programme_id: int, rules: PlainRules, budget_fen: int) -> None:
        """Begin with one version."""
        self.id = programme_id
        self.versions = [rules]
        self.runs = [0]
        self.budget_fen = budget_fen
        self.issued_fen: Counter[int] = Counter()
        """By buyer."""
        self.used_fen: Counter[tuple[int, int]] = Counter()
        """By (year, company or group): what orders use of it."""

    @property
    def rules(self) -> PlainRules:
        """The rules in force."""
        return self.versions[-1]

    def change(self, rules: PlainRules) -> None:
        """Put further rules in force; those that admit the same asks as the ones before are of one run."""
        before, now = ((each.admitted, each.price_cap) for each in (self.rules, rules))
        self.runs.append(self.runs[-1] + (now != before))
        self.versions.append(rules)

    def admitting(self, provider_id: int) -> set[tuple[int, int]]:
        """Return (programme, run) of all rules there are that admit a provider."""
        pairs = zip(self.versions, self.runs, strict=True)
        return {(self.id, run) for rules, run in pairs if provider_id in rules.admitted}

    def cap_left_fen(self, year: int, buyer_id: int, group_id: int | None) -> int | None:
        """Return what a company's orders may still use this year; None where there is no such cap."""
        if self.rules.cap_fen is None or not self.rules.caps_use:
            return None
        subject_id = group_id if self.rules.caps_group and group_id else buyer_id
        return max(0, self.rules.cap_fen - self.used_fen[year, subject_id])


class PlainVoucher:
    """A voucher and where its face is."""

    def __init__(
        self, voucher_id: int, programme_id: int, buyer_id: int, face_fen: int, until_us: int
    ) -> None:
        """Begin with all of it free."""
        self.id = voucher_id
        self.programme_id = programme_id
        self.buyer_id = buyer_id
        self.face_fen = face_fen
        self.expires_at_us = until_us
        self.state = "active"
        self.parts: Counter[str] = Counter(available=face_fen)

    def move(self, source: str, target: str, fen: int) -> None:
        """Move a part of it."""
        self.parts[source] -= fen
        self.parts[target] += fen
        assert self.parts[source] >= 0, f"{source} of voucher {self.id} falls below nothing"

    def is_usable(self, now_us: int) -> bool:
        """Whether it can pay for a new order at all."""
        return self.state == "active" and self.expires_at_us > now_us and self.parts["available"] > 0

    def sweep(self, now_us: int) -> None:
        """Let an hour begin: it expires when its time has come, and one that is over keeps nothing free."""
        if self.state not in OVER and self.expires_at_us <= now_us:
            self.state = "expired"
        if self.state in OVER:
            self.move("available", self.state, self.parts["available"])


class PlainAid(msgspec.Struct, frozen=True, kw_only=True):
    """What one programme could pay of an order: `eligible_fen` is what its rate is of."""

    programme_id: int
    rules: PlainRules
    eligible_fen: int
    free_fen: int

    @property
    def alone_fen(self) -> int:
        """What it would pay if no other did."""
        return min(floor(self.rules.rate * self.eligible_fen), self.free_fen)


def shares_of(aids: Sequence[PlainAid]) -> list[tuple[PlainAid, Fraction]]:
    """Return who pays which part of an order, of programmes in spending order.

    One that asks for the higher of both leaves only the one that pays most. One that bears no other pays
    alone where it comes first, and not at all elsewhere. Those that stack pay in turn what their vouchers
    cover and the ceilings leave, in whole basis points; where just one of them pays, its whole rate.
    """
    if any(aid.rules.stacking == "higher_of" for aid in aids):
        most_fen = max(aid.alone_fen for aid in aids)
        paying = [next(aid for aid in aids if aid.alone_fen == most_fen)]
    elif aids and aids[0].rules.stacking == "none":
        paying = [aids[0]]
    else:
        return _stacked([aid for aid in aids if aid.rules.stacking == "ceiling"])
    return [(aid, aid.rules.rate) for aid in paying]


def _stacked(aids: Sequence[PlainAid]) -> list[tuple[PlainAid, Fraction]]:
    paying: list[tuple[PlainAid, Fraction]] = []
    for aid in aids:
        ceiling = min([aid.rules.ceiling, *(each.rules.ceiling for each, _ in paying)])
        room = ceiling - sum(rate for _, rate in paying)
        rate = min(aid.rules.rate, Fraction(aid.free_fen, aid.eligible_fen), room)
        whole = Fraction(floor(rate * BPS), BPS)
        if whole > 0:
            paying.append((aid, whole))
    return paying if len(paying) > 1 else [(aid, aid.rules.rate) for aid, _ in paying]
