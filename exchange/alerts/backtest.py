"""What other rules would have found in the record as it is stored. Reads, and stores nothing.

Detectors need to have seen what came before: reading begins as long before the time that is asked for as the
longest window of the rules, and what is found there is not told. The journal's chain is no matter of
thresholds, so `record_break` is left out.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from exchange.alerts import store
from exchange.alerts.detection import KINDS, Detection
from exchange.alerts.models import Finding
from exchange.alerts.reading import look, read_steps
from exchange.alerts.thresholds import AlertRules, AlertRulesVersion
from exchange.kit.clock import US_PER_HOUR
from exchange.kit.database import Connection

RECORDS_AT_ONCE: Final = 1_000
PER_ORDERS: Final = 10_000


class DetectorResult(msgspec.Struct, frozen=True, kw_only=True):
    """How often one detector would have spoken; `alerts_per_10000_orders` is rounded to two decimals."""

    detector: str
    enabled: bool
    alerts: int
    participants: int
    alerts_per_10000_orders: float | None


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have found."""

    records: int
    orders: int
    detectors: list[DetectorResult]
    findings: list[Finding]


async def backtest(
    connection: Connection,
    rules: AlertRules,
    from_us: int | None,
    until_us: int | None,
    progress: Callable[[int, int], None] = lambda _read, _all: None,
) -> BacktestResult:
    """Read the record from one venue time to another, all of it where they are None, by some rules.

    `progress` hears of how many record numbers were passed, of all there are.
    """
    versions = (AlertRulesVersion(version=1, effective_from_us=0, rules=rules),)
    last_id = await store.last_record_id(connection)
    if until_us is not None:
        last_id = (await store.first_record_at(connection, until_us) or last_id + 1) - 1
    warm_us = 0 if from_us is None else max(0, from_us - longest_window_us(rules))
    first_id = await store.first_record_at(connection, warm_us) or last_id + 1
    await store.walk_indexes(connection)
    detection, findings = Detection(), list[Finding]()
    read_id, records, orders = first_id - 1, 0, 0
    while read_id < last_id:
        steps, read_id = await read_steps(connection, read_id, last_id, RECORDS_AT_ONCE)
        found = await look(detection, steps, versions)
        told = [each for each in steps if from_us is None or each.event_at_us >= from_us]
        records += len(told)
        orders += sum(each.code == "NEWO" for each in told)
        findings += [each for each in found if from_us is None or each.found_at_us >= from_us]
        progress(read_id - first_id + 1, last_id - first_id + 1)
    return BacktestResult(
        records=records,
        orders=orders,
        detectors=[_result(kind.name, rules, findings, orders) for kind in KINDS],
        findings=findings,
    )


def _result(detector: str, rules: AlertRules, findings: Sequence[Finding], orders: int) -> DetectorResult:
    own = [each for each in findings if each.detector == detector]
    return DetectorResult(
        detector=detector,
        enabled=getattr(rules, detector).enabled,
        alerts=len(own),
        participants=len({each for one in own for each in one.participant_ids}),
        alerts_per_10000_orders=round(len(own) * PER_ORDERS / orders, 2) if orders else None,
    )


def longest_window_us(rules: AlertRules) -> int:
    """Return the longest time over which any detector remembers, by these rules."""
    hours = [
        value
        for thresholds in msgspec.structs.asdict(rules).values()
        for name, value in msgspec.structs.asdict(thresholds).items()
        if name.endswith("_hours") and isinstance(value, int)
    ]
    return max(hours) * US_PER_HOUR
