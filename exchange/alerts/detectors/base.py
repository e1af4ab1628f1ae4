"""What detectors are made of: evidence in sliding windows of venue time, and counters. Pure.

A detector is a fold: what it says depends on the steps it has seen and on nothing else, so that a batch more
or less, or a restart from its kept memory, changes nothing. Its memory is bounded: a window forgets what is
older than its span, keeps at most `EVIDENCE_KEPT` pieces, and there are at most `KEYS_KEPT` windows, of which
those that were touched least lately go first.

What has raised an alert is taken out of its window, so the next alert rests on other facts.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

import msgspec

from exchange.alerts.market import Market
from exchange.alerts.models import EVIDENCE_MAX, Figure, Finding
from exchange.alerts.recorded import RecordedStep
from exchange.alerts.thresholds import AlertRulesVersion, Severity
from exchange.kit.clock import US_PER_HOUR

EVIDENCE_KEPT: Final = 1_000
KEYS_KEPT: Final = 50_000
WHOLE_BPS: Final = 10_000


class Evidence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact in a window, with whatever numbers its detector compares; 0 where it has none."""

    at_us: int
    record_id: int
    participant_id: int = 0
    other_id: int = 0
    order_id: int = 0
    other_order_id: int = 0
    trade_id: int = 0
    gpu_hours: int = 0
    amount_fen: int = 0
    starts_hour: int = 0
    ends_hour: int = 0
    price_ticks: int = 0
    began_us: int = 0
    group_id: int = 0
    other_group_id: int = 0


class Memory(msgspec.Struct, array_like=True):
    """All that a detector remembers."""

    windows: dict[str, list[Evidence]]
    totals: dict[str, int]


class Detector(ABC):
    """The windows, counters and findings that all detectors share."""

    name: ClassVar[str]
    codes: ClassVar[tuple[str, ...]]
    """The steps that it looks at."""
    counts_all: ClassVar[bool] = False
    """Whether it counts from the beginning of the record, and not only within windows."""

    def __init__(self) -> None:
        self.memory = Memory({}, {})

    @abstractmethod
    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at one step and yield what it shows."""

    def add(self, key: str, evidence: Evidence, span_us: int, kept: int = EVIDENCE_KEPT) -> list[Evidence]:
        """Put evidence into a window and return what is in it, of the last `span_us` and at most `kept`."""
        windows = self.memory.windows
        window = windows.pop(key, None) or []
        window.append(evidence)
        gone = max(0, len(window) - kept)
        while window[gone].at_us <= evidence.at_us - span_us:
            gone += 1
        if gone:
            del window[:gone]
        # At the end of the dict: the order of keys is that in which they were touched.
        windows[key] = window
        if len(windows) > KEYS_KEPT:
            del windows[next(iter(windows))]
        return window

    def seen(self, key: str) -> Sequence[Evidence]:
        """Return what is in a window, of whatever age."""
        return self.memory.windows.get(key, ())

    def spend(self, key: str, used: Iterable[Evidence] | None = None) -> None:
        """Take out of a window what has raised an alert: all of it, or some."""
        if used is None:
            self.memory.windows.pop(key, None)
            return
        gone = {each.record_id for each in used}
        left = [each for each in self.seen(key) if each.record_id not in gone]
        if left:
            self.memory.windows[key] = left
        else:
            self.memory.windows.pop(key, None)

    def count(self, key: str, change: int) -> int:
        """Change a counter and return it; those at 0 are forgotten, and the oldest beyond the most kept."""
        totals = self.memory.totals
        total = totals.pop(key, 0) + change
        if total:
            totals[key] = total
            if len(totals) > KEYS_KEPT:
                del totals[next(iter(totals))]
        return total

    def found(
        self,
        step: RecordedStep,
        rules: AlertRulesVersion,
        evidence: Sequence[Evidence],
        figures: Iterable[Figure],
        *,
        product_id: str | None = None,
        programme_id: int | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding that rests on evidence, the step's own included where it is in there."""
        kept = evidence[-EVIDENCE_MAX:]
        thresholds = getattr(rules.rules, self.name)
        times = [each.at_us for each in evidence] + [each.began_us for each in evidence if each.began_us]
        return Finding(
            detector=self.name,
            rules_version=rules.version,
            severity=severity or thresholds.severity,
            participant_ids=_ids(each for one in evidence for each in (one.participant_id, one.other_id)),
            trade_group_ids=_ids(each for one in evidence for each in (one.group_id, one.other_group_id)),
            product_id=product_id,
            programme_id=programme_id,
            begins_at_us=min(times),
            ends_at_us=max(times),
            found_at_us=step.event_at_us,
            figures=tuple(figures),
            record_ids=_ids(each.record_id for each in kept),
            order_ids=_ids(each for one in kept for each in (one.order_id, one.other_order_id)),
            trade_ids=_ids(each.trade_id for each in kept),
        )


def _ids(found: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({each for each in found if each}))


def of_trade(step: RecordedStep, *, began_us: int = 0) -> Evidence:
    """Return a purchase as evidence: the buyer is its participant, the provider the other one."""
    trade = step.trade
    if trade is None:
        raise AssertionError("a purchase has a trade")
    return Evidence(
        at_us=step.event_at_us,
        record_id=step.record_id,
        participant_id=trade.buyer_id,
        other_id=trade.provider_id,
        order_id=trade.bid_order_id,
        other_order_id=trade.ask_order_id,
        trade_id=trade.trade_id,
        gpu_hours=trade.gpu_hours,
        amount_fen=trade.notional_fen,
        starts_hour=trade.starts_hour,
        ends_hour=trade.ends_hour,
        price_ticks=trade.price_ticks,
        began_us=began_us,
        group_id=trade.buyer_group_id or 0,
        other_group_id=trade.provider_group_id or 0,
    )


def of_step(
    step: RecordedStep,
    *,
    other_order_id: int = 0,
    trade_id: int = 0,
    gpu_hours: int = 0,
    amount_fen: int = 0,
    starts_hour: int = 0,
    ends_hour: int = 0,
    price_ticks: int = 0,
    began_us: int = 0,
) -> Evidence:
    """Return a step of one party as evidence."""
    return Evidence(
        at_us=step.event_at_us,
        record_id=step.record_id,
        participant_id=step.participant_id,
        order_id=step.order_id,
        other_order_id=other_order_id,
        trade_id=trade_id or step.trade_id,
        gpu_hours=gpu_hours,
        amount_fen=amount_fen,
        starts_hour=starts_hour,
        ends_hour=ends_hour,
        price_ticks=price_ticks,
        began_us=began_us,
        group_id=step.group_id or 0,
    )


def hours_us(hours: int) -> int:
    """Return hours in microseconds."""
    return hours * US_PER_HOUR


def overlap_hours(first: Evidence, starts_hour: int, ends_hour: int) -> int:
    """Return how many hours evidence and a window have in common."""
    return max(0, min(first.ends_hour, ends_hour) - max(first.starts_hour, starts_hour))
