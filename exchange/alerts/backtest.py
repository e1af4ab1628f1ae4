"""What other rules would have found in the record as it is stored. Reads, and stores nothing.

Detectors need to have seen what came before: reading begins with the record where one is enabled that counts
from there, else as long before the time that is asked for as the longest window of the rules; what is found
before that time is not told. The journal's chain is no matter of
thresholds, so `record_break` is left out.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

import msgspec

from exchange.alerts import store
from exchange.alerts.detection import KINDS, Detection
from exchange.alerts.models import DetectorResult, Finding
from exchange.alerts.reading import look, read_steps
from exchange.alerts.thresholds import AlertRules, AlertRulesVersion
from exchange.kit.clock import US_PER_HOUR
from exchange.kit.database import Connection

RECORDS_AT_ONCE: Final = 1_000
PER_ORDERS: Final = 10_000


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have found."""

    records: int
    orders: int
    detectors: list[DetectorResult]
    findings: list[Finding]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """How many record numbers were passed, of all there are; and with the last turn what was found."""

    read: int
    all: int
    result: BacktestResult | None = None


async def turns(
    connection: Connection, rules: AlertRules, from_us: int | None, until_us: int | None
) -> AsyncGenerator[Turn, None]:
    """Read the record from one venue time to another, all of it where they are None, by some rules.

    After each turn of `RECORDS_AT_ONCE` whoever asks may rest. The last one has the result.
    """
    versions = (AlertRulesVersion(version=1, effective_from_us=0, rules=rules),)
    last_id = (
        await store.last_record_id(connection)
        if until_us is None
        else await store.last_record_before(connection, until_us)
    )
    first_id = await store.first_record_at(connection, _begins_us(rules, from_us)) or last_id + 1
    await store.walk_indexes(connection)
    detection, findings = Detection(), list[Finding]()
    read_id, records, orders = first_id - 1, 0, 0
    while read_id < last_id:
        steps, read_id = await read_steps(connection, read_id, last_id, RECORDS_AT_ONCE)
        found = await look(detection, steps, versions)
        told = [each for each in steps if _is_within(each.event_at_us, from_us, until_us)]
        records += len(told)
        orders += sum(each.code == "NEWO" for each in told)
        findings += [each for each in found if _is_within(each.found_at_us, from_us, until_us)]
        yield Turn(read=read_id - first_id + 1, all=last_id - first_id + 1)
    passed = max(last_id - first_id + 1, 0)
    result = BacktestResult(
        records=records,
        orders=orders,
        detectors=[_result(kind.name, rules, findings, orders) for kind in KINDS],
        findings=findings,
    )
    yield Turn(read=passed, all=passed, result=result)


async def backtest(
    connection: Connection,
    rules: AlertRules,
    from_us: int | None,
    until_us: int | None,
    progress: Callable[[int, int], None] = lambda _read, _all: None,
) -> BacktestResult:
    """Do the same at once; `progress` hears of how many record numbers were passed, of all there are."""
    async for turn in turns(connection, rules, from_us, until_us):
        if turn.result is not None:
            return turn.result
        progress(turn.read, turn.all)
    raise AssertionError("the last turn has the result")


def _is_within(at_us: int, from_us: int | None, until_us: int | None) -> bool:
    return (from_us is None or at_us >= from_us) and (until_us is None or at_us < until_us)


def _result(detector: str, rules: AlertRules, findings: Sequence[Finding], orders: int) -> DetectorResult:
    own = [each for each in findings if each.detector == detector]
    return DetectorResult(
        detector=detector,
        enabled=getattr(rules, detector).enabled,
        alerts=len(own),
        participants=len({each for one in own for each in one.participant_ids}),
        alerts_per_10000_orders=round(len(own) * PER_ORDERS / orders, 2) if orders else None,
    )


def _begins_us(rules: AlertRules, from_us: int | None) -> int:
    if from_us is None or any(kind.counts_all and getattr(rules, kind.name).enabled for kind in KINDS):
        return 0
    return max(0, from_us - longest_window_us(rules))


def longest_window_us(rules: AlertRules) -> int:
    """Return the longest time over which any detector remembers, by these rules."""
    hours = [
        value
        for thresholds in msgspec.structs.asdict(rules).values()
        for name, value in msgspec.structs.asdict(thresholds).items()
        if name.endswith("_hours") and isinstance(value, int)
    ]
    return max(hours) * US_PER_HOUR
