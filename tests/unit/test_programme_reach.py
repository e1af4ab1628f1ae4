"""Goal: rules that could never pay anybody are refused as they are stored, and no others.

Method: for each fact a tier that another rule closes, by hand; each of the two by itself is good.
"""

from typing import Any

import pytest

from exchange.kit.errors import Faults
from exchange.participants.models import SizeClass
from exchange.programmes.models import (
    BuyerRule,
    CapacityRule,
    Condition,
    ContractRule,
    Fact,
    ProgrammeRules,
    RateTier,
    RequiredOrigin,
)
from exchange.programmes.reach import Known
from exchange.programmes.rules import find_rule_faults
from tests.voucher_facts import product, rules_of

KNOWN = Known(
    products=(
        product("foreign"),
        product("domestic"),
        product("domestic", id="far-product", accelerator_id="huawei-ascend-910c", hub_code="gansu"),
    )
)
DOMESTIC = RequiredOrigin.DOMESTIC


def faults_of(rules: ProgrammeRules) -> list[tuple[str, str]]:
    faults = Faults()
    find_rule_faults(rules, faults, KNOWN)
    return [(fault.pointer, fault.code) for fault in faults.faults]


def when(**fields: Any) -> tuple[RateTier, ...]:
    return (RateTier(bps=1), RateTier(bps=1, when=(Condition(**fields),)))


NO_TIER_HOLDS: dict[Fact, tuple[dict[str, Any], dict[str, Any], str]] = {
    Fact.ORIGIN: ({"is_one_of": ("foreign",)}, {"capacity": CapacityRule(origin=DOMESTIC)}, "is_one_of"),
    Fact.ACCELERATOR: (
        {"is_one_of": ("nvidia-t4",)},
        {"capacity": CapacityRule(accelerators=("huawei-ascend-910b3",))},
        "is_one_of",
    ),
    Fact.HUB: ({"is_one_of": ("guizhou",)}, {"capacity": CapacityRule(hubs=("gansu",))}, "is_one_of"),
    Fact.REGION: ({"is_one_of": ("gizhou",)}, {"buyer": BuyerRule(regions=("guizhou",))}, "is_one_of"),
    Fact.SIZE_CLASS: (
        {"is_one_of": ("large",)},
        {"buyer": BuyerRule(size_classes=(SizeClass.SMALL,))},
        "is_one_of",
    ),
    Fact.AGE_YEARS: ({"at_least": 4}, {"buyer": BuyerRule(max_age_years=3)}, "at_least"),
    Fact.HOURS: ({"at_least": 25}, {"contract": ContractRule(max_hours=24)}, "at_least"),
}


@pytest.mark.parametrize("fact", NO_TIER_HOLDS)
def test_a_tier_that_another_rule_closes_is_refused(fact: Fact) -> None:
    asked, rule, member = NO_TIER_HOLDS[fact]
    rules = rules_of(rate_tiers=when(fact=fact, **asked), **rule)
    assert faults_of(rules) == [(f"/rules/rate_tiers/1/when/0/{member}", "not_applicable")]
    # By itself each of the two is a good rule, and so they are where some of it is admitted.
    assert faults_of(rules_of(rate_tiers=when(fact=fact, **asked))) == []
    assert faults_of(rules_of(**rule)) == []


@pytest.mark.parametrize(
    "capacity, faults",
    [
        (
            CapacityRule(origin=DOMESTIC, accelerators=("huawei-ascend-910b3", "nvidia-t4")),
            [("/accelerators/1", "not_applicable")],
        ),
        (CapacityRule(accelerators=("nvidia-t4",), hubs=("gansu",)), [("", "unknown_reference")]),
        (CapacityRule(accelerators=("nvidia-t4", "huawei-ascend-910c"), hubs=("gansu",)), []),
        (CapacityRule(origin=DOMESTIC, hubs=("guizhou",)), []),
    ],
)
def test_capacity_that_no_product_is_is_refused(
    capacity: CapacityRule, faults: list[tuple[str, str]]
) -> None:
    found = faults_of(rules_of(capacity=capacity))
    assert found == [(f"/rules/capacity{pointer}", code) for pointer, code in faults]
