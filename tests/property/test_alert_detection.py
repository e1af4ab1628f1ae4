"""Goal: what is found depends on the record only: not on batches, restarts, or the moment of looking.

Method: honest markets with planted abuse, cut at random places; at some of them all memory is packed, thrown
away and unpacked. The oracle is one look at the whole. Batches may also end in the middle of a commit.
"""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.alerts.detection import Detection
from exchange.alerts.detectors import base
from exchange.alerts.models import Finding
from exchange.alerts.recorded import RecordedStep
from exchange.alerts.thresholds import AlertRulesVersion, default_rules
from exchange.kit.clock import US_PER_HOUR
from tests.honest_market import PRODUCTS, HonestMarket
from tests.planted_abuse import PLANTS
from tests.surveillance import START_US, Tape, detect, merged, rules_of, with_thresholds


def record(seed: int, orders: int = 120) -> list[RecordedStep]:
    """Return a small market with a case of each kind of abuse in it."""
    rng, planted = Random(seed), Tape()
    for plant in PLANTS.values():
        product = rng.choice(list(PRODUCTS))
        plant(planted, rng, START_US + rng.randrange(200) * US_PER_HOUR, product, PRODUCTS[product])
    return merged(HonestMarket(seed, orders).write().steps, planted.steps)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_batches_and_restarts_change_nothing(seed: int, data: st.DataObject) -> None:
    steps = record(seed)
    whole = detect(steps)
    assert len({each.detector for each in whole}) >= 14
    cuts = sorted(data.draw(st.lists(st.integers(0, len(steps)), max_size=12), label="cuts"))
    packs = data.draw(st.lists(st.booleans(), min_size=len(cuts) + 1, max_size=len(cuts) + 1), label="packs")
    detection, found = Detection(), list[Finding]()
    for begin, end, is_packed in zip([0, *cuts], [*cuts, len(steps)], packs, strict=True):
        if is_packed:
            kept = detection.packed()
            detection = Detection()
            detection.unpack(kept)
            assert detection.packed() == kept
        found += detection.take(steps[begin:end], rules_of())
    assert found == whole


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 400))
def test_each_record_is_judged_by_the_rules_of_its_time(seed: int, hour: int) -> None:
    steps = record(seed)
    change_us = START_US + hour * US_PER_HOUR
    strict = with_thresholds("matched_orders", trades_min=1, severity="low")
    versions = (
        AlertRulesVersion(version=1, effective_from_us=0, rules=default_rules()),
        AlertRulesVersion(version=2, effective_from_us=change_us, rules=strict),
    )
    found = Detection().take(steps, versions)
    for each in found:
        assert each.rules_version == (2 if each.found_at_us >= change_us else 1)
    assert {each.severity for each in found if each.detector == "matched_orders"} <= {"low", "high"}
    before = [each for each in found if each.found_at_us < change_us]
    assert before == [each for each in detect(steps) if each.found_at_us < change_us]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_findings_rest_on_records_of_the_tape_and_say_when(seed: int) -> None:
    steps = record(seed)
    by_id = {each.record_id: each for each in steps}
    found = detect(steps)
    assert len({each.fingerprint for each in found}) == len(found)
    for each in found:
        rested = [by_id[record_id] for record_id in each.record_ids]
        assert rested
        assert each.found_at_us == max(one.event_at_us for one in rested)
        assert each.begins_at_us <= each.ends_at_us == each.found_at_us
        assert set(each.order_ids) <= {one.order_id for one in steps}
        assert set(each.trade_ids) <= {one.trade_id for one in steps}
        assert msgspec.json.decode(msgspec.json.encode(each), type=Finding) == each


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With small bounds, so that a short record reaches them; what is remembered stays usable."""
    monkeypatch.setattr(base, "KEYS_KEPT", 40)
    monkeypatch.setattr(base.Detector.add, "__defaults__", (10,))
    steps = record(7, orders=600)
    detection = Detection()
    for begin in range(0, len(steps), 100):
        detection.take(steps[begin : begin + 100], rules_of())
        for detector in detection._detectors:
            assert len(detector.memory.windows) <= 40
            assert len(detector.memory.totals) <= 40
            assert all(len(window) <= 100 for window in detector.memory.windows.values())
    again = Detection()
    again.unpack(detection.packed())
    assert again.packed() == detection.packed()
