"""The nine programmes of exchange/programmes/examples: what each pays, worked out by hand."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from exchange.kit.errors import Faults
from exchange.kit.http_decode import decoder_of
from exchange.participants.models import Participant, SizeClass
from exchange.programmes.examples import EXAMPLES, example
from exchange.programmes.facts import Facts
from exchange.programmes.judgement import (
    Standing,
    buyer_verdicts,
    cap_left_fen,
    first_objection,
    order_verdicts,
    provider_verdicts,
)
from exchange.programmes.models import NewProgramme, ProgrammeRules
from exchange.programmes.rules import find_rule_faults, split_fen
from exchange.vouchers.choice import choose
from tests.voucher_facts import AT_US, buyer, facts, offer, provider, usable

OLD = buyer(founded_on=dt.date(2020, 1, 1), size_class=SizeClass.LARGE)
SMALL = buyer(founded_on=dt.date(2024, 1, 1), size_class=SizeClass.SMALL)
NEW = buyer(founded_on=dt.date(2025, 2, 26), size_class=SizeClass.MEDIUM)  # one year old tomorrow
ONE_YEAR = buyer(founded_on=dt.date(2025, 2, 25), size_class=SizeClass.MEDIUM)


def rules_of_example(name: str) -> ProgrammeRules:
    return decoder_of(NewProgramme).decode(example(name)).rules


def test_there_are_nine_examples_each_with_a_code_of_its_own() -> None:
    codes = {decoder_of(NewProgramme).decode(example(name)).code for name in EXAMPLES}
    assert len(codes) == len(EXAMPLES) == 9


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_rule_of_an_example_is_obeyed(name: str) -> None:
    faults = Faults()
    find_rule_faults(rules_of_example(name), faults)
    assert not faults.faults


@pytest.mark.parametrize(
    "name, order, share_cny",
    [
        # Beijing: 20 % of CNY 1m, of a company of three full years at least.
        ("beijing", facts(contract_fen=100_000_000, company=OLD), 200_000),
        ("beijing", facts(contract_fen=100_000_000, company=buyer(founded_on=dt.date(2023, 2, 25))), 200_000),
        ("beijing", facts(contract_fen=100_000_000, company=buyer(founded_on=dt.date(2023, 2, 26))), None),
        ("shanghai", facts(contract_fen=100_000_000, company=OLD), 300_000),
        # Shenzhen: half, 60 % under one year; a year old today is not under one.
        ("shenzhen", facts(contract_fen=100_000_000, company=OLD), 500_000),
        # All aid together is at most half, this programme's own 60 % too.
        ("shenzhen", facts(contract_fen=100_000_000, company=NEW), 500_000),
        ("shenzhen", facts(contract_fen=100_000_000, company=ONE_YEAR), 500_000),
        # Hangzhou: the highest of 20 %, 30 % domestic, 50 % small firms up to CNY 500,000.
        ("hangzhou", facts("foreign", contract_fen=100_000_000, company=OLD), 200_000),
        ("hangzhou", facts("domestic", contract_fen=100_000_000, company=OLD), 300_000),
        ("hangzhou", facts("domestic", contract_fen=50_000_000, company=SMALL), 250_000),
        ("hangzhou", facts("domestic", contract_fen=50_000_100, company=SMALL), 150_000.3),
        ("hangzhou", facts("foreign", contract_fen=50_000_100, company=SMALL), 100_000.2),
        ("hangzhou", facts("foreign", contract_fen=10_000, company=NEW), 20),
        ("henan", facts(contract_fen=100_000_000, company=OLD), 200_000),
        ("langfang", facts(contract_fen=100_000_000, company=OLD), 500_000),
        ("langfang", facts(contract_fen=100_000_000, company=SMALL), 600_000),
        ("wuhan", facts(contract_fen=333, company=OLD), 0.99),  # 99.9 fen, rounded down
        ("guizhou", facts(contract_fen=100_000_000, company=OLD), 300_000),
        ("domestic-chips", facts("domestic", contract_fen=100_000_000, company=OLD), 200_000),
        ("domestic-chips", facts("foreign", contract_fen=100_000_000, company=OLD), None),
    ],
)
def test_what_a_programme_pays_of_a_contract(name: str, order: Facts, share_cny: float | None) -> None:
    rules = rules_of_example(name)
    found = offer(rules, order)
    if share_cny is None:
        assert first_objection(order_verdicts(rules, order)) == found.objection
        assert found.objection is not None
    else:
        assert (found.objection, found.share_fen) == (None, round(share_cny * 100))


@pytest.mark.parametrize(
    "name, cap_cny",
    [
        ("beijing", 2_000_000),
        ("shenzhen", 10_000_000),
        ("hangzhou", 8_000_000),
        ("henan", 1_000_000),
        ("langfang", 1_000_000),
        ("shanghai", None),
        ("wuhan", None),
        ("guizhou", None),
    ],
)
def test_the_yearly_cap_of_a_programme(name: str, cap_cny: int | None) -> None:
    used = Standing(issued_fen=100, group_issued_fen=100, spent_fen=0, is_with_provider=False)
    left = cap_left_fen(rules_of_example(name), used)
    assert left == (None if cap_cny is None else cap_cny * 100 - 100)


@pytest.mark.parametrize(
    "name, company, standing, broken",
    [
        ("beijing", {"region": "beijing"}, {}, []),
        ("beijing", {"region": "tianjin"}, {}, ["/buyer/regions"]),
        ("shenzhen", {"region": "shenzhen"}, {"spent_fen": 50_000_000}, []),
        ("shenzhen", {"region": "shenzhen"}, {"spent_fen": 49_999_999}, ["/min_annual_spend_fen"]),
        (
            "shenzhen",
            {"region": "shenzhen"},
            {"spent_fen": 50_000_000, "is_with_provider": True},
            ["/buyer/exclude_providers"],
        ),
        ("guizhou", {"region": "guangdong"}, {}, []),
    ],
)
def test_who_is_issued_a_voucher(
    name: str, company: dict[str, Any], standing: dict[str, Any], broken: list[str]
) -> None:
    nothing = Standing(issued_fen=0, group_issued_fen=0, spent_fen=0, is_with_provider=False)
    where = msgspec.structs.replace(nothing, **standing)
    verdicts = buyer_verdicts(rules_of_example(name), buyer(**company), where, AT_US)
    assert [each.rule for each in verdicts if not each.holds] == broken


def test_henan_pays_at_home_and_half_of_it_comes_from_the_province() -> None:
    rules = rules_of_example("henan")
    assert first_objection(provider_verdicts(rules, provider(region="henan"), None)) is None
    assert first_objection(provider_verdicts(rules, provider(region="hebei"), None)) is not None
    shares = [share.bps for share in rules.funding_split]
    assert split_fen(rules.budget_fen, shares) == [2_500_000_000, 2_500_000_000]


def test_all_aid_together_stays_below_the_lowest_ceiling() -> None:
    order = facts("domestic", contract_fen=100_000_000, company=OLD)

    def paid(*names: str, company: Participant = OLD) -> list[tuple[str, int, int]]:
        """Return what pays of the order where a company has plenty of vouchers of some programmes."""
        wallet = [
            usable(number, rules_of_example(name), available_fen=10**9)
            for number, name in enumerate(names, 1)
        ]
        choice = choose(wallet, "auto", msgspec.structs.replace(order, company=company))
        return [
            (names[each.share.programme_id - 1], each.share.rate_bps, each.placed_fen)
            for each in choice.shares
        ]

    # Shanghai's 30 % and 20 % for domestic chips: exactly the half that the latter allows.
    assert paid("shanghai", "domestic-chips") == [
        ("shanghai", 3_000, 30_000_000),
        ("domestic-chips", 2_000, 20_000_000),
    ]
    # Shenzhen's half leaves nothing for others, and its 60 % of a new company's bill are a half too.
    assert paid("shenzhen", "domestic-chips") == [("shenzhen", 5_000, 50_000_000)]
    assert paid("shenzhen", company=NEW) == [("shenzhen", 5_000, 50_000_000)]
    # Its ceiling leaves it what the others do not fill.
    assert paid("domestic-chips", "shenzhen") == [
        ("domestic-chips", 2_000, 20_000_000),
        ("shenzhen", 3_000, 30_000_000),
    ]
    # Hangzhou does not stack: whichever expires first pays alone.
    assert paid("hangzhou", "domestic-chips") == [("hangzhou", 3_000, 30_000_000)]
    assert paid("domestic-chips", "hangzhou") == [("domestic-chips", 2_000, 20_000_000)]
