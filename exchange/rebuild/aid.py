"""Programmes, vouchers, claims, applications rebuilt from their steps and what vouchers paid. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from exchange.applications.models import ApplicationStatus
from exchange.applications.rules import AUDIT_CODES as APPLICATION_CODES
from exchange.claims.models import ClaimStatus
from exchange.claims.rules import AUDIT_CODES as CLAIM_CODES
from exchange.claims.rules import spread
from exchange.kit.clock import US_PER_DAY
from exchange.rebuild.models import (
    ApplicationRow,
    CaptureRow,
    ClaimRow,
    Mismatch,
    ProgrammeRow,
    Recorded,
    UseRow,
    VersionRow,
    VoucherRow,
    YearUseRow,
)
from exchange.rebuild.money import Money
from exchange.rebuild.trading import Trading
from exchange.vouchers.rules import calendar_year

_PROGRAMME_STEPS: Mapping[str, str] = {"POPN": "open", "PEXH": "exhausted", "PCLO": "closed"}
_VOUCHER_STEPS: Mapping[str, str] = {
    "VRES": "active",
    "VSUS": "suspended",
    "VREV": "revoked",
    "VEXP": "expired",
}
_CLAIM_STEPS = {code: status for status, code in CLAIM_CODES.items() if status is not ClaimStatus.OPEN}
_APPLICATION_STEPS = {code: status for status, code in APPLICATION_CODES.items()}
OF_AID: Final = (
    "PRGM",
    *_PROGRAMME_STEPS,
    "VISS",
    *_VOUCHER_STEPS,
    *CLAIM_CODES.values(),
    "APPS",
    *APPLICATION_CODES.values(),
)
"""The steps of programmes, vouchers, claims and applications."""
_CLAIM_MOVES: Mapping[ClaimStatus, tuple[str, ...]] = {
    ClaimStatus.SUBMITTED: ("claim_submission",),
    ClaimStatus.REJECTED: ("claim_return",),
    ClaimStatus.PAID: ("claim_redemption", "claim_payment"),
    ClaimStatus.RECOVERED: ("clawback_return", "clawback_payment"),
}
"""The transfers of a step of a claim, each of the amount that the step is about."""
_DECIDED = (ApplicationStatus.APPROVED, ApplicationStatus.REJECTED, ApplicationStatus.WITHDRAWN)

Line = tuple[int, int, int]
"""A lease, an hour, a voucher."""


class Aid:
    """Follows the steps of all that issuers pay with, in the order in which they were written."""

    def __init__(self, paid: Mapping[Line, CaptureRow], validity_days: Mapping[tuple[int, int], int]) -> None:
        """Begin with what vouchers paid, and for how many days each version of its rules makes one good."""
        self.captures = paid
        self.programmes: dict[int, ProgrammeRow] = {}
        self.versions: dict[tuple[int, int], VersionRow] = {}
        self.year_uses: dict[tuple[int, int, int], YearUseRow] = defaultdict(YearUseRow)
        self.vouchers: dict[int, VoucherRow] = {}
        self.claims: dict[int, ClaimRow] = {}
        self.applications: dict[int, ApplicationRow] = {}
        self.contradictions: list[Mismatch] = []
        self._due_fen: Counter[tuple[str, int]] = Counter()
        """What must have moved, by reason and by what it was for."""
        self._validity_days = validity_days
        self._lines: dict[int, list[CaptureRow]] = {}

    def follow(self, step: Recorded) -> None:
        """Take a step in; those of other things are passed over.

        Raises ValueError or KeyError for one that cannot have been, after what was done before it.
        """
        code = step.code
        if code == "PRGM":
            self._rule(step)
        elif code in _PROGRAMME_STEPS:
            self._step_programme(step)
        elif code == "VISS":
            self._issue(step)
        elif code in _VOUCHER_STEPS:
            voucher = self.vouchers[step.subject_id]
            voucher.status = _VOUCHER_STEPS[code]
            voucher.step_count += 1
            reason = "voucher_revocation" if voucher.status == "revoked" else "voucher_expiry"
            self._due_fen[reason, step.subject_id] += step.detail["returned_fen"]
        elif code == CLAIM_CODES[ClaimStatus.OPEN]:
            self._open(step)
        elif code in _CLAIM_STEPS:
            self._step_claim(step, _CLAIM_STEPS[code])
        elif code == "APPS":
            self._apply(step)
        elif code in _APPLICATION_STEPS:
            self._step_application(step, _APPLICATION_STEPS[code])

    def _rule(self, step: Recorded) -> None:
        """Make a programme, or give one another version of its rules."""
        told = step.detail
        programme = self.programmes.get(step.subject_id)
        number_due = 1 if programme is None else programme.version_last + 1
        if told["version"] != number_due:
            raise ValueError(f"version {told['version']} of the rules, {number_due} was due")
        self.versions[step.subject_id, number_due] = VersionRow(
            effective_from=told["effective_from_us"],
            effective_until=told["effective_until_us"],
            rules=told["rules"],
        )
        if programme is None:
            self.programmes[step.subject_id] = ProgrammeRow(
                issuer_id=step.participant_id,
                code=told["code"],
                status=told["status"],
                budget_fen=told["budget_fen"],
                version_last=told["version"],
                created_at=step.at_us,
            )
            if told["status"] != "draft":
                self._budget(step.subject_id, told["budget_fen"])
            return
        programme.version_last = told["version"]
        budget_before_fen, programme.budget_fen = (
            programme.budget_fen,
            told.get("budget_fen", programme.budget_fen),
        )
        if programme.status != "draft":
            self._budget(step.subject_id, programme.budget_fen - budget_before_fen)

    def _step_programme(self, step: Recorded) -> None:
        programme = self.programmes[step.subject_id]
        programme.status = _PROGRAMME_STEPS[step.code]
        programme.step_count += 1
        if step.detail["from"] == "draft" and programme.status == "open":
            self._budget(step.subject_id, programme.budget_fen)
        self._budget(step.subject_id, -step.detail["returned_fen"])

    def _budget(self, programme_id: int, fen: int) -> None:
        """Note what must have come into a programme's budget, or gone out of it."""
        reason = "programme_budget" if fen > 0 else "programme_budget_return"
        self._due_fen[reason, programme_id] += abs(fen)

    def _issue(self, step: Recorded) -> None:
        programme_id, version = step.detail["programme_id"], step.detail["programme_version"]
        face_fen, buyer_id = step.detail["face_fen"], step.participant_id
        _must_be_new(self.vouchers, step)
        self.vouchers[step.subject_id] = VoucherRow(
            programme_id=programme_id,
            programme_version=version,
            buyer_id=buyer_id,
            face_fen=face_fen,
            issued_at=step.at_us,
            expires_at=step.at_us + self._validity_days[programme_id, version] * US_PER_DAY,
        )
        self._due_fen["voucher_issue", step.subject_id] += face_fen
        self.programmes[programme_id].issued_fen += face_fen
        self.year_uses[programme_id, buyer_id, calendar_year(step.at_us)].issued_fen += face_fen

    def _open(self, step: Recorded) -> None:
        told = step.detail
        _must_be_new(self.claims, step)
        self.claims[step.subject_id] = ClaimRow(
            programme_id=told["programme_id"],
            programme_version=told["programme_version"],
            claimant_id=step.participant_id,
            amount_fen=told["amount_fen"],
            opened_at=step.at_us,
        )
        lines = [self.captures[line] for line in sorted(_lines_of(told["lines"]))]
        for line in lines:
            line.claim_id = step.subject_id
        self._lines[step.subject_id] = lines

    def _step_claim(self, step: Recorded, to: ClaimStatus) -> None:
        claim, told = self.claims[step.subject_id], step.detail
        _must_follow(claim.step_count, told["number"])
        claim.status, claim.step_count, claim.reason = to.value, told["number"], told["reason"]
        for reason in _CLAIM_MOVES.get(to, ()):
            self._due_fen[reason, step.subject_id] += told["amount_fen"]
        if to is ClaimStatus.SUBMITTED:
            claim.submitted_at = step.at_us
        elif to in (ClaimStatus.APPROVED, ClaimStatus.REDUCED):
            claim.decided_at, claim.approved_fen = step.at_us, told["amount_fen"]
            self._reduce(step.subject_id, claim.amount_fen - told["amount_fen"])
        elif to is ClaimStatus.REJECTED:
            claim.decided_at = step.at_us
            for line in self._lines.pop(step.subject_id):
                line.claim_id = None
        elif to is ClaimStatus.PAID:
            claim.paid_at = step.at_us
        elif to is ClaimStatus.CLAWBACK_OPEN:
            claim.clawback_fen = told["amount_fen"]
        elif to is ClaimStatus.RECOVERED:
            self._recover(step.subject_id, told["amount_fen"])

    def _reduce(self, claim_id: int, cut_fen: int) -> None:
        self._due_fen["claim_reduction", claim_id] += cut_fen
        lines = self._lines[claim_id]
        for line, fen in zip(lines, spread(cut_fen, [each.amount_fen for each in lines]), strict=True):
            line.reduced_fen = fen

    def _recover(self, claim_id: int, back_fen: int) -> None:
        lines = self._lines[claim_id]
        weights_fen = [line.amount_fen - line.reduced_fen for line in lines]
        for line, fen in zip(lines, spread(back_fen, weights_fen), strict=True):
            line.recovered_fen = fen

    def _apply(self, step: Recorded) -> None:
        _must_be_new(self.applications, step)
        self.applications[step.subject_id] = ApplicationRow(
            programme_id=step.detail["programme_id"],
            programme_version=step.detail["programme_version"],
            buyer_id=step.participant_id,
            amount_fen=step.detail["amount_fen"],
            submitted_at=step.at_us,
        )

    def _step_application(self, step: Recorded, to: ApplicationStatus) -> None:
        application, told = self.applications[step.subject_id], step.detail
        _must_follow(application.step_count, told["number"])
        application.status, application.step_count = to.value, told["number"]
        application.reason = told["reason"]
        application.score = told.get("score", application.score)
        application.approved_fen = told.get("amount_fen")
        application.voucher_id = told.get("voucher_id")
        application.decided_at = step.at_us if to in _DECIDED else None

    def end(self, money: Money) -> None:
        """Note whatever moved of an issuer's money that no step says, or a step says and did not move."""
        for reason, subject_id in sorted({*self._due_fen, *money.moved_fen}):
            due_fen, moved_fen = self._due_fen[reason, subject_id], money.moved_fen[reason, subject_id]
            if due_fen != moved_fen:
                of = f"{reason} of {subject_id}"
                self.contradictions.append(
                    Mismatch(
                        table="ledger_transfer",
                        of=of,
                        column="amount_fen",
                        stored=moved_fen,
                        rebuilt=due_fen,
                    )
                )

    def paid(self, money: Money) -> Mapping[int, set[int]]:
        """Return which programmes paid or reimburse a part of each lease."""
        found: dict[int, set[int]] = defaultdict(set)
        for lease_id, voucher_id in money.funding:
            if voucher_id in self.vouchers:
                found[lease_id].add(self.vouchers[voucher_id].programme_id)
        return found

    def uses(self, trading: Trading, money: Money) -> Mapping[tuple[int, int, int], UseRow]:
        """Return what orders use of programmes whose cap counts that, by company and by trade group."""
        used: dict[tuple[int, int, int], UseRow] = defaultdict(UseRow)
        back_fen: dict[tuple[int, int], int] = defaultdict(int)
        for (lease_id, voucher_id), part in money.funding.items():
            trade = trading.trades.get(lease_id)
            if trade is not None:
                back_fen[trade.bid_order_id, voucher_id] += part.returned_fen
        for (order_id, voucher_id), placed_fen in trading.placed_fen.items():
            voucher = self.vouchers.get(voucher_id)
            if voucher is None or voucher.programme_id not in trading.shares_counted(order_id):
                continue
            order, place = trading.orders[order_id], (order_id, voucher_id)
            used_fen = placed_fen - money.released_fen[place] - back_fen[place]
            for subject_id in {order.participant_id, trading.groups[order_id] or order.participant_id}:
                used[voucher.programme_id, subject_id, calendar_year(order.created_at)].used_fen += used_fen
        return {key: row for key, row in used.items() if row.used_fen}


def _must_be_new(known: Mapping[int, object], step: Recorded) -> None:
    if step.subject_id in known:
        raise ValueError("there is such a one already")


def _must_follow(step_count: int, number: int) -> None:
    if number != step_count + 1:
        raise ValueError(f"step {number}, {step_count + 1} was due")


def _lines_of(runs: list[list[int]]) -> Iterator[Line]:
    """Yield the lines that a claim names in runs: lease, voucher, first hour, the one after the last."""
    for lease_id, voucher_id, first_hour, until_hour in runs:
        for hour in range(first_hour, until_hour):
            yield lease_id, hour, voucher_id
