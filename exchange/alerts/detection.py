"""All detectors over one record: steps in, findings out, in the order of the record. Pure.

What comes out depends on the steps and the rules only, not on how the steps are cut into batches; `packed`
and `unpacked` carry everything over a restart. A detector that the rules in force switch off neither looks
nor remembers.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from exchange.alerts.detectors.aid import (
    BudgetUse,
    ExpiryBursts,
    OwnShareRefunds,
    VoucherPremiums,
    YoungGroups,
)
from exchange.alerts.detectors.base import Detector, Memory
from exchange.alerts.detectors.capacity import Hoarding, PaidNotRun, SubsidisedResale, Withholding
from exchange.alerts.detectors.placing import Layering, QuickCancels, SelfMatches, ThresholdSplitting
from exchange.alerts.detectors.wash import AffiliatedTrades, MatchedOrders, RoundTrips
from exchange.alerts.market import Market, OrderFacts
from exchange.alerts.models import Finding
from exchange.alerts.recorded import RecordedStep
from exchange.alerts.thresholds import AlertRulesVersion, in_force

KINDS: Final[tuple[type[Detector], ...]] = (
    AffiliatedTrades,
    MatchedOrders,
    RoundTrips,
    OwnShareRefunds,
    VoucherPremiums,
    PaidNotRun,
    SubsidisedResale,
    ThresholdSplitting,
    YoungGroups,
    ExpiryBursts,
    Hoarding,
    Withholding,
    QuickCancels,
    Layering,
    SelfMatches,
    BudgetUse,
)
FORM: Final = 2
"""The form in which memory is packed; another one is not read, and the record is read again instead."""


class _Packed(msgspec.Struct, array_like=True):
    orders: list[OrderFacts]
    memories: dict[str, Memory]


class Detection:
    """The detectors with what they remember."""

    def __init__(self) -> None:
        self._market = Market()
        self._detectors = [kind() for kind in KINDS]
        self._by_version: dict[int, dict[str, list[Detector]]] = {}

    def take(self, steps: Iterable[RecordedStep], versions: tuple[AlertRulesVersion, ...]) -> list[Finding]:
        """Look at the next steps of the record and return what they show."""
        findings: list[Finding] = []
        for step in steps:
            rules = in_force(versions, step.event_at_us)
            self._market.before(step)
            for detector in self._lookers(rules).get(step.code, ()):
                findings.extend(detector.take(step, self._market, rules))
            self._market.after(step)
        return findings

    def _lookers(self, version: AlertRulesVersion) -> dict[str, list[Detector]]:
        """Return, by the code of a step, the detectors that look at it under these rules."""
        known = self._by_version.get(version.version)
        if known is not None:
            return known
        found: dict[str, list[Detector]] = {}
        for detector in self._detectors:
            if getattr(version.rules, detector.name).enabled:
                for code in detector.codes:
                    found.setdefault(code, []).append(detector)
        self._by_version[version.version] = found
        return found

    def packed(self) -> bytes:
        """Return all that is remembered."""
        memories = {each.name: each.memory for each in self._detectors}
        return msgspec.msgpack.encode(_Packed(list(self._market.orders.values()), memories))

    def unpack(self, data: bytes) -> None:
        """Remember what was packed. `msgspec.DecodeError` for anything else."""
        packed = msgspec.msgpack.decode(data, type=_Packed)
        self._market.orders = {each.order_id: each for each in packed.orders}
        for detector in self._detectors:
            detector.memory = packed.memories.get(detector.name, Memory({}, {}))
