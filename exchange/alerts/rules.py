"""Reading what is asked of alerts, judging steps of their cases, and showing them. Pure."""

from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from exchange.alerts.models import (
    AlertDetail,
    AlertRecordView,
    AlertRulesView,
    AlertStatus,
    AlertStep,
    AlertStepView,
    AlertView,
    DetectorName,
    Figure,
    FigureView,
    Finding,
    NewAlertRules,
    NewBacktest,
    StoredRules,
    WouldBeAlert,
)
from exchange.alerts.thresholds import AlertRules
from exchange.kit import own_reasons
from exchange.kit.clock import US_PER_DAY, format_rfc3339, us_of
from exchange.kit.errors import Conflict, Faults
from exchange.kit.fields import format_cny, is_blank, time_us
from exchange.kit.ids import encode_id

_FIGURES: Final = msgspec.json.Decoder(list[Figure])
_FEN: Final = "_fen"
TIME_END_US: Final = 4_102_444_800_000_000
"""2100-01-01: no rules begin later."""

BACKTEST_DAYS_MAX: Final = 31
"""So many days are tried in one request; what came before, as far as the rules remember, is read as well."""

Kind = Literal["review", "close", "note"]
_NEXT: Final = {"review": AlertStatus.UNDER_REVIEW, "close": AlertStatus.CLOSED}
_FROM: Final = {"review": AlertStatus.OPEN, "close": AlertStatus.UNDER_REVIEW}
_REFUSED: Final = {
    "review": "only an alert that is open is taken under review",
    "close": "only an alert that is under review is closed",
}


class Row(Protocol):
    """A row of a table, read by column."""

    def __getitem__(self, column: str, /) -> Any:
        """Return a column's value."""


def status_after(status: AlertStatus, kind: Kind) -> AlertStatus:
    """Return the status after a step, or raise `Conflict` where the case does not allow it."""
    if kind == "note":
        return status
    if status is not _FROM[kind]:
        raise Conflict("alert_not_there", f"the alert is {status}: {_REFUSED[kind]}")
    return _NEXT[kind]


def find_blank_fault(faults: Faults, pointer: str, text: object) -> None:
    """Record a fault where a text has nothing to see."""
    if isinstance(text, str) and is_blank(text):
        faults.add(pointer, "required", "must say something", text)


def read_new_rules(new: NewAlertRules, now_us: int, faults: Faults) -> int:
    """Return the venue time from which new rules are in force; what is wrong with them goes to `faults`."""
    find_blank_fault(faults, "/reason", new.reason)
    from_us = time_us(faults, "/effective_from", new.effective_from)
    if from_us is not None and not now_us <= from_us < TIME_END_US:
        rule = "must not be in the past, nor after 2099: what was found by the rules of then stays as it is"
        faults.add("/effective_from", "out_of_range", rule, new.effective_from)
    return now_us if from_us is None else from_us


def _id(prefix: str, value: int | None) -> str | None:
    return None if value is None else encode_id(prefix, value)


def _number(name: str, value: int) -> str:
    return format_cny(value) if name.endswith(_FEN) else str(value)


def figure_view(figure: Figure) -> FigureView:
    """Show a figure, money as decimal CNY."""
    name = figure.name
    return FigureView(
        name=f"{name.removesuffix(_FEN)}_cny" if name.endswith(_FEN) else name,
        value=_number(name, figure.value),
        threshold=None if figure.threshold is None else _number(name, figure.threshold),
    )


def _view_fields(row: Row) -> dict[str, Any]:
    return {
        "id": encode_id("alr", row["id"]),
        "detector": DetectorName(row["detector"]),
        "rules_version": row["rules_version"],
        "severity": row["severity"],
        "status": AlertStatus(row["status"]),
        "participant_ids": [encode_id("par", each) for each in row["participant_ids"]],
        "trade_group_ids": [encode_id("grp", each) for each in row["trade_group_ids"]],
        "product": row["product_id"],
        "programme_id": _id("prg", row["programme_id"]),
        "begins_at": format_rfc3339(us_of(row["begins_at"])),
        "ends_at": format_rfc3339(us_of(row["ends_at"])),
        "found_at": format_rfc3339(us_of(row["found_at"])),
        "figures": [figure_view(each) for each in _FIGURES.decode(row["figures"])],
    }


def alert_view(row: Row) -> AlertView:
    """Show an alert in a list."""
    return AlertView(**_view_fields(row))


def would_be_alert(finding: Finding) -> WouldBeAlert:
    """Show what a back test found."""
    return WouldBeAlert(
        detector=DetectorName(finding.detector),
        severity=finding.severity,
        participant_ids=[encode_id("par", each) for each in finding.participant_ids],
        trade_group_ids=[encode_id("grp", each) for each in finding.trade_group_ids],
        product=finding.product_id,
        programme_id=_id("prg", finding.programme_id),
        begins_at=format_rfc3339(finding.begins_at_us),
        ends_at=format_rfc3339(finding.ends_at_us),
        found_at=format_rfc3339(finding.found_at_us),
        figures=[figure_view(each) for each in finding.figures],
    )


def read_span(new: NewBacktest, faults: Faults) -> tuple[int, int]:
    """Return from when until when a back test is to look; what is wrong with it goes to `faults`."""
    find_blank_fault(faults, "/reason", new.reason)
    from_us = time_us(faults, "/found_from", new.found_from)
    until_us = time_us(faults, "/found_until", new.found_until)
    if from_us is None or until_us is None:
        return 0, 0
    if until_us <= from_us:
        faults.add("/found_until", "out_of_range", "must be later than found_from", new.found_until)
    elif until_us - from_us > BACKTEST_DAYS_MAX * US_PER_DAY:
        rule = f"must be at most {BACKTEST_DAYS_MAX} days later than found_from"
        faults.add("/found_until", "out_of_range", rule, new.found_until)
    return from_us, until_us


def alert_detail(row: Row, rules: AlertRules, records: Sequence[Row], steps: Sequence[Row]) -> AlertDetail:
    """Show an alert with all it rests on, and its case."""
    return AlertDetail(
        **_view_fields(row),
        thresholds=msgspec.to_builtins(getattr(rules, row["detector"])),
        order_ids=[encode_id("ord", each) for each in row["order_ids"]],
        trade_ids=[encode_id("trd", each) for each in row["trade_ids"]],
        records=[_record_view(each) for each in records],
        steps=[_step_view(each) for each in steps],
    )


def _record_view(row: Row) -> AlertRecordView:
    return AlertRecordView(
        code=row["code"],
        event_at=format_rfc3339(us_of(row["event_at"])),
        partition=row["partition_id"],
        sequence=row["sequence"],
        event_index=row["event_index"],
        participant_id=_id("par", row["participant_id"]),
        product=row["product_id"],
        order_id=_id("ord", row["order_id"]),
        trade_id=_id("trd", row["trade_id"]),
        detail=msgspec.Raw(row["detail"].encode()),
    )


def _step_view(row: Row) -> AlertStepView:
    kinds: dict[str, Kind] = {AlertStatus.UNDER_REVIEW: "review", AlertStatus.CLOSED: "close"}
    return AlertStepView(
        number=row["number"],
        kind="note" if row["from_status"] == row["to_status"] else kinds[row["to_status"]],
        status=AlertStatus(row["to_status"]),
        actor_id=encode_id("par", row["actor_id"]),
        key_id=encode_id("key", row["key_id"]),
        text=row["text"],
        stepped_at=format_rfc3339(us_of(row["stepped_at"])),
    )


def step_of(row: Row, kind: Kind, *, text: str, actor_id: int, key_id: int, now_us: int) -> AlertStep:
    """Return the next step of an alert's case, or raise `Conflict`."""
    status = AlertStatus(row["status"])
    return AlertStep(
        number=row["step_count"] + 1,
        from_status=status,
        to_status=status_after(status, kind),
        actor_id=actor_id,
        key_id=key_id,
        text=text,
        stepped_at_us=now_us,
    )


def rules_view(stored: StoredRules) -> AlertRulesView:
    """Show a version of the rules."""
    return AlertRulesView(
        version=stored.version,
        effective_from=format_rfc3339(stored.effective_from_us),
        reason=stored.reason,
        reason_code=own_reasons.code_of(stored.reason),
        changed_by=encode_id("par", stored.changed_by),
        changed_at=format_rfc3339(stored.changed_at_us),
        rules=stored.rules,
    )
