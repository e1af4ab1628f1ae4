"""Alerts as they are found, kept and shown, and what is asked about them.

A `Finding` is what a detector says; an `Alert` is its row, with the status of its case; the views are the
answers. Money in figures is fen inside and decimal CNY outside, as the name of the figure ends in.
"""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from exchange.alerts.thresholds import AlertRules, Severity
from exchange.kit.fields import NameText, TimeText

EVIDENCE_MAX = 200
"""An alert names at most so many records, orders and trades, the latest; its figures count all."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class DetectorName(StrEnum):
    """The detectors, by the names of their thresholds in `AlertRules`."""

    AFFILIATED_TRADE = "affiliated_trade"
    MATCHED_ORDERS = "matched_orders"
    ROUND_TRIP = "round_trip"
    OWN_SHARE_REFUNDED = "own_share_refunded"
    VOUCHER_PREMIUM = "voucher_premium"
    PAID_NOT_RUN = "paid_not_run"
    SUBSIDISED_RESALE = "subsidised_resale"
    THRESHOLD_SPLITTING = "threshold_splitting"
    YOUNG_GROUP = "young_group"
    EXPIRY_BURST = "expiry_burst"
    HOARDING = "hoarding"
    WITHHOLDING = "withholding"
    QUICK_CANCELS = "quick_cancels"
    LAYERING = "layering"
    SELF_MATCH = "self_match"
    BUDGET_USE = "budget_use"
    RECORD_BREAK = "record_break"


class AlertStatus(StrEnum):
    """Where the case of an alert stands."""

    OPEN = "open"
    UNDER_REVIEW = "under_review"
    CLOSED = "closed"


class Figure(msgspec.Struct, frozen=True, array_like=True):
    """A measured number and, where it was compared with one, the threshold of the rules."""

    name: str
    value: int
    threshold: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector found, and the facts that it rests on; times in venue microseconds."""

    detector: str
    rules_version: int
    severity: Severity
    participant_ids: tuple[int, ...]
    trade_group_ids: tuple[int, ...] = ()
    product_id: str | None = None
    programme_id: int | None = None
    begins_at_us: int
    ends_at_us: int
    found_at_us: int
    figures: tuple[Figure, ...]
    record_ids: tuple[int, ...] = ()
    order_ids: tuple[int, ...] = ()
    trade_ids: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> bytes:
        """What tells its facts from all others: 32 bytes."""
        facts = (self.detector, self.participant_ids, self.product_id, self.programme_id, self.record_ids)
        told = msgspec.json.encode((*facts, self.figures if not self.record_ids else ()))
        return hashlib.sha256(told).digest()


class AlertStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an alert's case; from a status to the same one is a note."""

    number: int
    from_status: AlertStatus
    to_status: AlertStatus
    actor_id: int
    key_id: int
    text: str
    stepped_at_us: int


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts, as the table has it; None does not narrow."""

    status: str | None = None
    detector: str | None = None
    severity: str | None = None
    participant_id: int | None = None
    product_id: str | None = None
    programme_id: int | None = None
    found_from_us: int | None = None
    found_until_us: int | None = None


class FigureView(msgspec.Struct, frozen=True, kw_only=True):
    """A measured figure; its unit is the end of its name, `_cny` a decimal amount."""

    name: str
    value: str
    threshold: str | None


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in a list. `begins_at` and `ends_at` span its records."""

    id: str
    detector: DetectorName
    rules_version: int
    severity: Severity
    status: AlertStatus
    participant_ids: list[str]
    trade_group_ids: list[str]
    product: str | None
    programme_id: str | None
    begins_at: str
    ends_at: str
    found_at: str
    figures: list[FigureView]


class AlertRecordView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the record that an alert rests on; `sequence` is its journal's, where it is of an order."""

    code: str
    event_at: str
    partition: int | None
    sequence: int | None
    event_index: int
    participant_id: str | None
    product: str | None
    order_id: str | None
    trade_id: str | None
    detail: msgspec.Raw


class AlertStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a case: `review`, `close` or `note`, by whom and when."""

    number: int
    kind: Literal["review", "close", "note"]
    status: AlertStatus
    actor_id: str
    key_id: str
    text: str
    stepped_at: str


class AlertDetail(AlertView, frozen=True, kw_only=True):
    """An alert with the thresholds of its rules, what it rests on, and every step of its case."""

    thresholds: dict[str, bool | int | str | list[int]]
    order_ids: list[str]
    trade_ids: list[str]
    records: list[AlertRecordView]
    steps: list[AlertStepView]


class NewReview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an alert is taken under review; may be left out."""

    text: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note to an alert."""

    text: Text


class NewClosure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a review ends: what it came to."""

    reason: Text


class NewAlertRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of the rules, whole; in force at once unless it says from when."""

    rules: AlertRules
    reason: NameText
    effective_from: TimeText | None = None


class AlertRulesView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the rules: from when it is in force, who made it and why."""

    version: int
    effective_from: str
    reason: str
    reason_code: str | None
    changed_by: str
    changed_at: str
    rules: AlertRules


class StoredRules(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the rules as its row has it."""

    version: int
    effective_from_us: int
    reason: str
    changed_by: int
    key_id: int | None
    changed_at_us: int
    rules: AlertRules


class NewBacktest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules to try on the record: what they would have found from `found_from` until before `found_until`."""

    rules: AlertRules
    found_from: TimeText
    found_until: TimeText
    reason: NameText


class WouldBeAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that the rules would have raised; it is stored nowhere."""

    detector: DetectorName
    severity: Severity
    participant_ids: list[str]
    trade_group_ids: list[str]
    product: str | None
    programme_id: str | None
    begins_at: str
    ends_at: str
    found_at: str
    figures: list[FigureView]


class DetectorResult(msgspec.Struct, frozen=True, kw_only=True):
    """How often one detector would have spoken; `alerts_per_10000_orders` is rounded to two decimals."""

    detector: str
    enabled: bool
    alerts: int
    participants: int
    alerts_per_10000_orders: float | None


class BacktestView(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have found: by detector, and the first 1,000 alerts of `alerts_found`."""

    records: int
    orders: int
    detectors: list[DetectorResult]
    alerts_found: int
    alerts: list[WouldBeAlert]


class BacktestLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a back test under way: how much of the record was read. The last one has the result."""

    read: int
    all: int
    result: BacktestView | None
