"""What a programme's rules say, rule by rule, on cases worked out by hand; and which rules are refused."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from exchange.kit.clock import date_begins_us
from exchange.kit.errors import Faults
from exchange.kit.ids import encode_id
from exchange.participants.models import Ownership, Participant, ParticipantKind, SizeClass
from exchange.programmes.facts import NUMBERS, WORDS, age_years, is_met
from exchange.programmes.judgement import (
    Standing,
    buyer_verdicts,
    cap_left_fen,
    first_objection,
    in_force,
    order_verdicts,
    price_cap_of,
    provider_verdicts,
    rate_of,
    tier_verdicts,
)
from exchange.programmes.models import (
    SUPPORTED_VALUES,
    BuyerRule,
    CapacityRule,
    Condition,
    ContractRule,
    Fact,
    FundingShare,
    ProgrammeRules,
    ProviderRule,
    RateTier,
    RequiredOrigin,
)
from exchange.programmes.reach import Known
from exchange.programmes.rules import admit_alike, find_rule_faults, split_fen
from tests.voucher_facts import AT_US, buyer, facts, offer, product, provider, rules_of, version_of

KNOWN = Known(
    products=(
        product("foreign"),
        product("domestic"),
        product("domestic", id="far-product", accelerator_id="huawei-ascend-910c", hub_code="gansu"),
    )
)
NOTHING_YET = Standing(issued_fen=0, group_issued_fen=0, spent_fen=0, is_with_provider=False)


def faults_of(rules: ProgrammeRules) -> list[tuple[str, str]]:
    faults = Faults()
    find_rule_faults(rules, faults, KNOWN)
    return [(fault.pointer, fault.code) for fault in faults.faults]


OTHER_VALUES: dict[str, object] = {
    "/transferable": True,
    "/cashable": True,
    "/resale_strips_subsidy": False,
}


def test_every_rule_that_is_not_obeyed_is_known_to_this_test() -> None:
    assert OTHER_VALUES.keys() == SUPPORTED_VALUES.keys()


@pytest.mark.parametrize(
    "fields, pointer",
    [
        ({"stacking_ceiling_bps": 5_000}, "/rules/stacking_ceiling_bps"),
        ({"stacking": "higher_of", "stacking_ceiling_bps": 5_000}, "/rules/stacking_ceiling_bps"),
        ({"cap_counts": "redeemed"}, "/rules/cap_counts"),
        ({"cap_basis": "group"}, "/rules/cap_basis"),
    ],
)
def test_a_rule_that_says_nothing_beside_the_others_is_refused(fields: dict[str, Any], pointer: str) -> None:
    assert faults_of(rules_of(**fields)) == [(pointer, "not_applicable")]


@pytest.mark.parametrize("pointer", OTHER_VALUES)
def test_a_rule_that_is_not_obeyed_is_refused_at_its_place(pointer: str) -> None:
    document = msgspec.json.decode(msgspec.json.encode(rules_of()))
    holder = document
    *path, last = pointer[1:].split("/")
    for part in path:
        holder = holder[part]
    holder[last] = OTHER_VALUES[pointer]
    assert faults_of(msgspec.convert(document, ProgrammeRules)) == [(f"/rules{pointer}", "not_supported_yet")]


def when(**fields: Any) -> tuple[RateTier, ...]:
    return (RateTier(bps=1), RateTier(bps=1, when=(Condition(**fields),)))


@pytest.mark.parametrize(
    "changes, faults",
    [
        ({}, []),
        (
            {"rate_tiers": when(fact=Fact.AGE_YEARS)},
            [("/rate_tiers/1/when/0", "required")],
        ),
        (
            {"rate_tiers": when(fact=Fact.AGE_YEARS, at_least=3, at_most=2)},
            [("/rate_tiers/1/when/0/at_most", "out_of_range")],
        ),
        (
            {"rate_tiers": when(fact=Fact.HOURS, is_one_of=("5",))},
            [("/rate_tiers/1/when/0/is_one_of", "not_applicable"), ("/rate_tiers/1/when/0", "required")],
        ),
        (
            {"rate_tiers": when(fact=Fact.ORIGIN, at_most=2)},
            [
                ("/rate_tiers/1/when/0/at_most", "not_applicable"),
                ("/rate_tiers/1/when/0/is_one_of", "required"),
            ],
        ),
        (
            {"rate_tiers": when(fact=Fact.SIZE_CLASS, is_one_of=("small", "tiny", "small"))},
            [
                ("/rate_tiers/1/when/0/is_one_of/2", "duplicate"),
                ("/rate_tiers/1/when/0/is_one_of/1", "not_one_of"),
            ],
        ),
        (
            {"rate_tiers": when(fact=Fact.HUB, is_one_of=("guizhou", "atlantis"))},
            [("/rate_tiers/1/when/0/is_one_of/1", "unknown_reference")],
        ),
        (
            {"rate_tiers": when(fact=Fact.ACCELERATOR, is_one_of=("abacus",))},
            [("/rate_tiers/1/when/0/is_one_of/0", "unknown_reference")],
        ),
        (
            {"capacity": CapacityRule(accelerators=("abacus",), hubs=("atlantis", "guizhou", "guizhou"))},
            [
                ("/capacity/hubs/2", "duplicate"),
                ("/capacity/accelerators/0", "unknown_reference"),
                ("/capacity/hubs/0", "unknown_reference"),
            ],
        ),
        (
            {"provider": ProviderRule(admitted=(encode_id("par", 1), "par_nobody", encode_id("par", 1)))},
            [("/provider/admitted/2", "duplicate"), ("/provider/admitted/1", "bad_id")],
        ),
        ({"price_cap_above_bps": 5}, [("/price_cap_above_bps", "not_applicable")]),
        ({"price_cap": "reference", "price_cap_above_bps": 5}, []),
        ({"price_cap": "list", "price_cap_above_bps": 5}, []),
        ({"price_cap": "list"}, []),
        ({"contract": ContractRule(signed_from="2026-02-30")}, [("/contract/signed_from", "bad_time")]),
        ({"contract": ContractRule(signed_from="2200-01-01")}, [("/contract/signed_from", "out_of_range")]),
        (
            {"funding_split": (FundingShare(source="city", bps=5_000), FundingShare(source="city", bps=1))},
            [("/funding_split", "out_of_range"), ("/funding_split", "duplicate")],
        ),
        (
            {"funding_split": (FundingShare(source="city", bps=5_000), FundingShare(source=" ", bps=5_000))},
            [("/funding_split/1/source", "bad_name")],
        ),
        ({"evidence": ("invoice", "contract", "invoice")}, [("/evidence/2", "duplicate")]),
    ],
)
def test_rules_that_cannot_be_evaluated_are_refused_all_at_once(
    changes: dict[str, object], faults: list[tuple[str, str]]
) -> None:
    assert faults_of(rules_of(**changes)) == [(f"/rules{pointer}", code) for pointer, code in faults]


def test_every_fact_has_one_reader() -> None:
    assert WORDS.keys() | NUMBERS.keys() == set(Fact)
    assert not WORDS.keys() & NUMBERS.keys()


@pytest.mark.parametrize(
    "condition, holds",
    [
        ({"fact": Fact.ORIGIN, "is_one_of": ("foreign",)}, True),
        ({"fact": Fact.ORIGIN, "is_one_of": ("domestic",)}, False),
        ({"fact": Fact.ACCELERATOR, "is_one_of": ("nvidia-t4",)}, True),
        ({"fact": Fact.HUB, "is_one_of": ("guizhou",)}, True),
        ({"fact": Fact.REGION, "is_one_of": ("beijing", "hangzhou")}, True),
        ({"fact": Fact.SIZE_CLASS, "is_one_of": ("micro",)}, False),
        ({"fact": Fact.SECTOR, "is_one_of": ("robots", "large-models")}, True),
        ({"fact": Fact.AGE_YEARS, "at_most": 1}, True),
        ({"fact": Fact.AGE_YEARS, "at_most": 0}, False),
        ({"fact": Fact.CONTRACT_FEN, "at_least": 10_000, "at_most": 10_000}, True),
        ({"fact": Fact.CONTRACT_FEN, "at_least": 10_001}, False),
        ({"fact": Fact.HOURS, "at_most": 9}, False),
        ({"fact": Fact.QUANTITY_GPUS, "at_least": 1}, True),
    ],
)
def test_a_condition_is_met_by_its_fact(condition: dict[str, Any], *, holds: bool) -> None:
    assert is_met(Condition(**condition), facts(fills_whole=True)) is holds


def test_at_least_is_met_by_what_is_certain_only() -> None:
    least_gpus = Condition(fact=Fact.QUANTITY_GPUS, at_least=1)
    least_fen = Condition(fact=Fact.CONTRACT_FEN, at_least=1)
    assert not is_met(least_gpus, facts())
    assert not is_met(least_fen, facts())
    assert is_met(least_gpus, facts(fills_whole=True))
    assert is_met(least_fen, facts(fills_whole=True))
    dear = facts(fills_whole=True, price_ticks=10_000_000)
    assert dear.certain_fen < dear.contract_fen
    assert not is_met(Condition(fact=Fact.CONTRACT_FEN, at_least=dear.certain_fen + 1), dear)
    assert is_met(Condition(fact=Fact.CONTRACT_FEN, at_least=dear.certain_fen), dear)
    assert not is_met(Condition(fact=Fact.CONTRACT_FEN, at_most=dear.contract_fen - 1), dear)


def test_a_company_without_the_fact_meets_no_condition_over_it() -> None:
    nobody = facts(company=buyer(founded_on=None, size_class=None, sectors=(), region=None))
    for condition in (
        Condition(fact=Fact.AGE_YEARS, at_least=0),
        Condition(fact=Fact.SIZE_CLASS, is_one_of=tuple(SizeClass)),
        Condition(fact=Fact.SECTOR, is_one_of=("large-models",)),
    ):
        assert not is_met(condition, nobody)


@pytest.mark.parametrize(
    "founded, today, years",
    [
        ((2025, 3, 1), (2026, 2, 28), 0),
        ((2025, 3, 1), (2026, 3, 1), 1),
        ((2024, 2, 29), (2025, 2, 28), 0),
        ((2024, 2, 29), (2025, 3, 1), 1),
        ((2024, 2, 29), (2028, 2, 29), 4),
    ],
)
def test_an_age_is_full_years_in_the_issuers_own_calendar(
    founded: tuple[int, int, int], today: tuple[int, int, int], years: int
) -> None:
    begins_us = date_begins_us(dt.date(*today))
    company = buyer(founded_on=dt.date(*founded))
    assert age_years(company, begins_us) == years
    assert age_years(company, begins_us + 86_399_999_999) == years


TIERS = (
    RateTier(bps=5_000, when=(Condition(fact=Fact.SIZE_CLASS, is_one_of=("micro", "small")),)),
    RateTier(bps=6_000, when=(Condition(fact=Fact.AGE_YEARS, at_most=0),)),
    RateTier(bps=2_000, when=(Condition(fact=Fact.ORIGIN, is_one_of=("domestic",)),)),
)
NEW_SMALL, OLD_LARGE = buyer(founded_on=dt.date(2025, 6, 1)), buyer(size_class=SizeClass.LARGE)


@pytest.mark.parametrize(
    "company, origin, first, highest, total",
    [
        (NEW_SMALL, "domestic", 5_000, 6_000, 10_000),  # 130 % is the whole bill
        (NEW_SMALL, "foreign", 5_000, 6_000, 10_000),
        (buyer(), "domestic", 5_000, 5_000, 7_000),
        (OLD_LARGE, "domestic", 2_000, 2_000, 2_000),
        (OLD_LARGE, "foreign", 0, 0, 0),
    ],
)
def test_tiers_are_combined_as_the_rules_say(
    company: Participant, origin: str, first: int, highest: int, total: int
) -> None:
    order = facts(origin, company=company)
    for combine, bps in (("first", first), ("max", highest), ("sum", total)):
        rules = rules_of(rate_tiers=TIERS, combine=combine)
        assert rate_of(rules, order) == bps
        assert (first_objection(order_verdicts(rules, order)) is None) == (bps > 0)


def test_each_tier_says_in_words_what_it_asks_and_what_is() -> None:
    told = list(tier_verdicts(rules_of(rate_tiers=(*TIERS, RateTier(bps=1_050))), facts()))
    assert [(each.rule, each.holds) for each in told] == [
        ("/rate_tiers/0", True),
        ("/rate_tiers/1", False),
        ("/rate_tiers/2", False),
        ("/rate_tiers/3", True),
    ]
    assert [each.detail for each in told] == [
        "50 %, size_class micro or small: it is small",
        "60 %, age_years at most 0: it is 1",
        "20 %, origin domestic: it is foreign",
        "10.5 %, without condition",
    ]


@pytest.mark.parametrize(
    "changes, broken",
    [
        ({"capacity": CapacityRule(origin=RequiredOrigin.DOMESTIC)}, "/capacity/origin"),
        ({"capacity": CapacityRule(accelerators=("huawei-ascend-910b3",))}, "/capacity/accelerators"),
        ({"capacity": CapacityRule(hubs=("gansu",))}, "/capacity/hubs"),
        ({"contract": ContractRule(signed_from="2026-02-26")}, "/contract/signed_from"),
        ({"contract": ContractRule(signed_from="2026-02-25")}, None),
        ({"contract": ContractRule(max_hours=9)}, "/contract/max_hours"),
        ({"contract": ContractRule(max_hours=10, unaffiliated=True)}, None),
    ],
)
def test_an_order_is_told_which_rule_it_breaks(changes: dict[str, object], broken: str | None) -> None:
    objection = first_objection(order_verdicts(rules_of(**changes), facts()))
    assert (None if objection is None else objection.rule) == broken


def test_a_price_cap_limits_what_is_shared_not_what_is_paid() -> None:
    rules = rules_of(price_cap="reference", price_cap_above_bps=1_000)
    assert price_cap_of(rules, product()) == 1_100
    assert price_cap_of(rules_of(), product()) is None
    assert price_cap_of(rules_of(price_cap="reference"), product(reference_price_ticks=999)) == 999
    assert offer(rules, facts(price_ticks=1_500)).share_fen == 3_300  # 30 % of 10 h at 11.00, not at 15.00
    assert offer(rules, facts(price_ticks=1_000)).share_fen == 3_000


@pytest.mark.parametrize(
    "rule, changes, broken",
    [
        (ProviderRule(), {}, []),
        (ProviderRule(admitted=(encode_id("par", 11),)), {}, []),
        (ProviderRule(admitted=(encode_id("par", 12),)), {}, ["/provider/admitted"]),
        (
            ProviderRule(ownership="private", regions=("henan",)),
            {},
            ["/provider/ownership", "/provider/regions"],
        ),
        (ProviderRule(ownership="private"), {"ownership": Ownership.PRIVATE}, []),
    ],
)
def test_a_provider_is_admitted_by_name_ownership_and_region(
    rule: ProviderRule, changes: dict[str, Any], broken: list[str]
) -> None:
    verdicts = provider_verdicts(rules_of(provider=rule), provider(**changes), None)
    assert [each.rule for each in verdicts if not each.holds] == broken


def test_a_cap_by_list_price_pays_only_who_has_one_and_says_so() -> None:
    rules = rules_of(price_cap="list")
    (unlisted,), (listed,) = [list(provider_verdicts(rules, provider(), ticks)) for ticks in (None, 950)]
    assert (unlisted.rule, unlisted.holds, listed.rule, listed.holds) == (
        *("/price_cap", False),
        *("/price_cap", True),
    )
    assert unlisted.detail == "the provider must have a list price of the product, and it has none"
    assert listed.detail.endswith("and it has 9.50 CNY per GPU-hour")
    assert not list(provider_verdicts(rules_of(price_cap="reference"), provider(), None))
    rules = rules_of(price_cap="list", price_cap_above_bps=250)
    (told,) = [each for each in order_verdicts(rules, facts()) if each.rule == "/price_cap"]
    assert (told.holds, told.detail.endswith("of at most that price and 2.5 % more")) == (True, True)


@pytest.mark.parametrize(
    "rule, changes, standing, broken",
    [
        (BuyerRule(), {"region": "elsewhere"}, {}, []),
        (BuyerRule(regions=("ningbo", "hangzhou"), size_classes=(SizeClass.SMALL,)), {}, {}, []),
        (BuyerRule(regions=("ningbo",)), {}, {}, ["/buyer/regions"]),
        (
            BuyerRule(regions=("ningbo",), size_classes=(SizeClass.LARGE,), sectors=("robots",)),
            {},
            {},
            ["/buyer/regions", "/buyer/size_classes", "/buyer/sectors"],
        ),
        (BuyerRule(sectors=("robots", "large-models")), {}, {}, []),
        (BuyerRule(max_age_years=1), {}, {}, []),
        (BuyerRule(max_age_years=1), {"founded_on": dt.date(2024, 2, 25)}, {}, ["/buyer/max_age_years"]),
        (BuyerRule(max_age_years=1), {"founded_on": None}, {}, ["/buyer/max_age_years"]),
        (BuyerRule(exclude_providers=True), {}, {"is_with_provider": True}, ["/buyer/exclude_providers"]),
        (BuyerRule(), {}, {"is_with_provider": True}, []),
        (BuyerRule(regions=("ningbo",)), {"kind": ParticipantKind.PROVIDER}, {}, ["/buyer"]),
    ],
)
def test_every_rule_that_keeps_a_buyer_out_is_named(
    rule: BuyerRule, changes: dict[str, object], standing: dict[str, Any], broken: list[str]
) -> None:
    where = msgspec.structs.replace(NOTHING_YET, **standing)
    verdicts = buyer_verdicts(rules_of(buyer=rule), buyer(**changes), where, AT_US)
    assert [each.rule for each in verdicts if not each.holds] == broken


def test_a_company_must_have_spent_enough_in_the_year() -> None:
    rules = rules_of(min_annual_spend_fen=50_000_000)  # Shenzhen: CNY 500,000
    for spent_fen, holds in ((49_999_999, False), (50_000_000, True)):
        standing = msgspec.structs.replace(NOTHING_YET, spent_fen=spent_fen)
        (verdict,) = buyer_verdicts(rules, buyer(), standing, AT_US)
        assert (verdict.rule, verdict.holds) == ("/min_annual_spend_fen", holds)


def test_a_yearly_cap_counts_the_company_or_its_group() -> None:
    standing = Standing(issued_fen=30, group_issued_fen=90, spent_fen=0, is_with_provider=False)
    assert cap_left_fen(rules_of(cap_per_year_fen=100), standing) == 70
    assert cap_left_fen(rules_of(cap_per_year_fen=100, cap_basis="group"), standing) == 10
    assert cap_left_fen(rules_of(cap_per_year_fen=80, cap_basis="group"), standing) == 0
    assert cap_left_fen(rules_of(), standing) is None


def test_the_newest_version_that_has_begun_is_in_force_until_its_end() -> None:
    versions = [
        version_of(rules_of(), 1, effective_from_us=10, effective_until_us=40),
        version_of(rules_of(), 2, effective_from_us=20, effective_until_us=30),
        version_of(rules_of(), 3, effective_from_us=35),
    ]
    found = [in_force(versions, at_us) for at_us in (9, 10, 19, 20, 29, 30, 34, 35, 99)]
    assert [None if each is None else each.number for each in found] == [None, 1, 1, 2, 2, None, None, 3, 3]


@pytest.mark.parametrize(
    "changes, alike",
    [
        ({}, True),
        ({"budget_fen": 1, "validity_days": 1, "rate_tiers": (RateTier(bps=1),)}, True),
        ({"buyer": BuyerRule(regions=("beijing",)), "price_cap_above_bps": 5}, True),
        ({"provider": ProviderRule(ownership="state")}, False),
        ({"capacity": CapacityRule(hubs=("guizhou",))}, False),
        ({"price_cap": "reference"}, False),
    ],
)
def test_rules_share_a_bit_where_they_admit_the_same_asks(
    changes: dict[str, Any],
    alike: bool,  # noqa: FBT001 - a case
) -> None:
    assert admit_alike(rules_of(), rules_of(**changes)) is alike


def test_a_budget_is_split_among_its_sources_to_the_fen() -> None:
    assert split_fen(5_000_000_001, [5_000, 5_000]) == [2_500_000_000, 2_500_000_001]  # Henan, 1:1
    assert split_fen(100, []) == []
    assert sum(split_fen(99, [3_333, 3_333, 3_334])) == 99
