"""Goal: a share that its rules can have given is passed, and any other is told, with what they allow.

Method: the shares that `choose` gives of random rules, orders and reference prices, judged after that price
has changed; then each term of a share changed by itself; and rules whose tiers ask for that price.
"""

import random
from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from exchange.products.models import ProductSpec
from exchange.programmes.facts import Facts
from exchange.programmes.judgement import rate_at_most, rate_of
from exchange.programmes.models import CapacityRule, Condition, Fact, ProgrammeRules, RateTier, RulesVersion
from exchange.vouchers.choice import choose
from exchange.vouchers.models import Share
from exchange.vouchers.share_check import share_faults
from tests.voucher_facts import facts, product, rules_of, usable, version_of

ORDERS = 400
"""Random orders; a fifth of them are paid by several programmes."""


def random_tiers(rng: random.Random) -> tuple[RateTier, ...]:
    """Return tiers of which some ask what the order comes to for certain, or at most."""

    def when() -> tuple[Condition, ...]:
        bound = rng.randint(1, 40) * 1_000
        return rng.choice(
            [
                (),
                (Condition(fact=Fact.CONTRACT_FEN, at_least=bound),),
                (Condition(fact=Fact.CONTRACT_FEN, at_most=bound),),
                (Condition(fact=Fact.QUANTITY_GPUS, at_least=rng.randint(1, 4)),),
            ]
        )

    return tuple(RateTier(bps=rng.randint(1, 6) * 500, when=when()) for _ in range(rng.randint(1, 4)))


def random_rules(rng: random.Random) -> ProgrammeRules:
    return rules_of(
        rate_tiers=random_tiers(rng),
        combine=rng.choice(["max", "first", "sum"]),
        stacking=rng.choice(["none", "higher_of", "ceiling", "ceiling", "ceiling"]),
        stacking_ceiling_bps=rng.choice([None, 2_000, 4_000]),
        price_cap=rng.choice(["none", "list", "reference"]),
        price_cap_above_bps=rng.choice([None, 500]),
        mode=rng.choice(["instant", "reimburse"]),
        cap_counts=rng.choice(["issued", "redeemed"]),
        cap_per_year_fen=rng.choice([None, 9_000]),
    )


def random_order(rng: random.Random) -> Facts:
    return facts(
        quantity_gpus=rng.randint(1, 4),
        price_ticks=rng.randint(1, 20) * 100,
        fills_whole=rng.random() < 0.7,
        product=at_reference(rng.randint(1, 20) * 100),
    )


def at_reference(ticks: int) -> ProductSpec:
    return product(reference_price_ticks=ticks)


def told(
    shares: Sequence[Share], versions: Mapping[int, Sequence[RulesVersion]], order: Facts
) -> list[tuple[int, int]]:
    return [(fault.share.programme_id, fault.allowed_bps) for fault in share_faults(shares, versions, order)]


def test_what_an_order_was_given_is_passed_whatever_the_reference_price_is_since() -> None:
    rng = random.Random(71)
    paid_by: dict[int, int] = {}
    for _ in range(ORDERS):
        order = random_order(rng)
        wallet = [usable(each, random_rules(rng), available_fen=rng.randint(1, 40_000)) for each in (1, 2, 3)]
        shares = [funded.share for funded in choose(wallet, "auto", order).shares]
        paid_by[len(shares)] = paid_by.get(len(shares), 0) + 1
        versions = {each.programme_id: each.versions for each in wallet}
        later = replace(order, product=at_reference(rng.randint(1, 20) * 100))
        assert told(shares, versions, later) == []
        # One that became smaller has less.
        assert told([replace(each, rate_bps=each.rate_bps // 2) for each in shares], versions, later) == []
        # More than all tiers together is no order's.
        for place, share in enumerate(shares):
            most = sum(tier.bps for tier in versions[share.programme_id][0].rules.rate_tiers)
            raised = [*shares[:place], replace(share, rate_bps=most + 1), *shares[place + 1 :]]
            assert share.programme_id in dict(told(raised, versions, later))
    assert min(paid_by[1], paid_by[2], paid_by[3]) > ORDERS / 100


def test_the_most_that_rules_give_is_no_less_than_at_any_reference_price() -> None:
    rng = random.Random(72)
    for _ in range(ORDERS):
        rules, order = random_rules(rng), random_order(rng)
        at_each = [
            rate_of(rules, replace(order, product=at_reference(ticks))) for ticks in range(1, 2_001, 33)
        ]
        at_each.append(rate_of(rules, replace(order, product=at_reference(order.price_ticks))))
        assert rate_at_most(rules, order) >= max(at_each)
        if rules.combine != "first":  # there a tier may hide one that fits at a lower price
            assert rate_at_most(rules, order) == max(at_each)


@pytest.mark.parametrize(
    "changes, allowed_bps",
    [
        ({"rate_bps": 3_001}, 3_000),
        ({"programme_version": 2}, 0),
        ({"programme_id": 2}, 0),
        ({"mask_hex": "3"}, 3_000),
        ({"price_cap_ticks": 900}, 3_000),
        ({"list_cap_bps": 10_000}, 3_000),
        ({"reimbursed": True}, 3_000),
        ({"capped_by_use": True}, 3_000),
    ],
)
def test_each_term_that_the_rules_do_not_give_is_told(changes: dict[str, object], allowed_bps: int) -> None:
    voucher = usable(1, rules_of())
    [funded] = choose([voucher], "auto", facts()).shares
    versions = {1: voucher.versions}
    assert told([funded.share], versions, facts()) == []
    changed = replace(funded.share, **changes)
    assert told([changed], versions, facts()) == [(changed.programme_id, allowed_bps)]


def test_rules_that_do_not_pay_for_the_order_or_beside_others_allow_nothing() -> None:
    order = facts()
    [funded] = choose([usable(1, rules_of())], "auto", order).shares
    for rules in (rules_of(capacity=CapacityRule(hubs=("beijing",))), rules_of(rate_tiers=TOO_LARGE)):
        assert told([funded.share], {1: [version_of(rules)]}, order) == [(1, 0)]
    two = [funded.share, replace(funded.share, programme_id=2)]
    alone, stacks = (
        version_of(rules_of()),
        version_of(rules_of(stacking="ceiling", stacking_ceiling_bps=5_000)),
    )
    assert told(two, {1: [alone], 2: [stacks]}, order) == [(1, 0), (2, 2_000)]
    assert told(two, {1: [stacks], 2: [stacks]}, order) == [(2, 2_000)]


TOO_LARGE = (RateTier(bps=3_000, when=(Condition(fact=Fact.QUANTITY_GPUS, at_least=2),)),)
