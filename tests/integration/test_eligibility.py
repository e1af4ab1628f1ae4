"""Goal: what the eligibility check says of an order is what happens when the order is placed.

Method: ask, place the very order, compare; and read the reasons where nothing is paid.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.errors import Faults, Forbidden, InvalidInput
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import (
    BuyerRule,
    CapacityRule,
    Condition,
    ContractRule,
    Fact,
    RateTier,
    RequiredOrigin,
)
from exchange.vouchers.eligibility import ask
from exchange.vouchers.eligibility_models import EligibilityAnswer, EligibilityQuestion
from tests.market_world import MarketWorld, open_market


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


def question(product: str, **changes: object) -> EligibilityQuestion:
    asked = EligibilityQuestion(
        product=product, quantity_gpus=1, hours=4, price_cny_per_gpu_hour="10.00", vouchers="auto"
    )
    return msgspec.structs.replace(asked, **changes)


async def answer(world: MarketWorld, who: Principal, asked: EligibilityQuestion) -> EligibilityAnswer:
    async with world.database.connection() as connection:
        return await ask(connection, who, asked, world.exchange.programmes, world.now_us)


async def test_the_answer_is_what_the_order_then_sets_aside(world: MarketWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider, buyer = await world.traders(1_000_000)
    small = Condition(fact=Fact.CONTRACT_FEN, at_most=8_000)
    tiers = (RateTier(bps=5_000, when=(small,)), RateTier(bps=2_000))
    programme = await world.programme(issuer, provider, rate_tiers=tiers)
    for fen in (1_500, 9_000):
        await world.issue(issuer, programme, buyer, fen)
    product = world.product()
    for gpus, rate_bps, parts in ((1, 5_000, [1_500, 500]), (3, 2_000, [0, 2_400])):
        asked = question(product, quantity_gpus=gpus)
        told = await answer(world, buyer, asked)
        bid = await world.bid(buyer, product, price=1_000, quantity_gpus=gpus, vouchers="auto")
        assert bid.held is not None
        held = {each.voucher_id: each.held_cny for each in bid.held.vouchers}
        (first, *_) = told.programmes
        assert {each.voucher_id: each.amount_cny for each in first.vouchers if each.code is None} == held
        assert list(held.values()) == [format_cny(fen) for fen in parts if fen]
        assert told.subsidised
        assert (told.voucher_cny, told.reimbursable_cny) == (format_cny(sum(parts)), "0.00")
        (share,) = told.shares
        assert (share.rate_bps, share.amount_cny) == (rate_bps, format_cny(sum(parts)))
        assert [(share.programme_id, share.programme_version, share.rate_bps, share.mode)] == [
            (each.programme_id, each.programme_version, each.rate_bps, each.mode) for each in bid.shares or ()
        ]
        assert told.amount_cny == format_cny(gpus * 4_000)
        assert told.own_cny == format_cny(gpus * 4_000 - sum(parts))
        assert [each.holds for each in first.tiers] == [gpus == 1, True]


async def test_every_rule_is_told_of_every_programme(world: MarketWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider, buyer = await world.traders(1_000_000)
    pays_not = await world.programme(
        issuer,
        provider,
        capacity=CapacityRule(origin=RequiredOrigin.DOMESTIC),
        contract=ContractRule(max_hours=3, unaffiliated=True),
        buyer=BuyerRule(regions=("wuhan",)),
        min_annual_spend_fen=1,
        cap_per_year_fen=700,
    )
    told = await answer(world, buyer, question(world.product()))
    assert (told.subsidised, told.voucher_cny, told.own_cny) == (False, "0.00", "40.00")
    assert (told.shares, told.refusals) == ([], [])
    (only,) = told.programmes
    assert (only.programme_id, only.pays_for_order) == (encode_id("prg", pays_not.id), False)
    assert (only.cap_left_cny, only.vouchers) == ("7.00", [])
    assert {each.rule: each.holds for each in only.order_rules} == {
        "/capacity/origin": False,
        "/contract/max_hours": False,
        "/contract/unaffiliated": True,
        "/rate_tiers": True,
    }
    assert {each.rule: each.holds for each in only.buyer_rules} == {
        "/buyer/regions": False,
        "/min_annual_spend_fen": False,
    }


async def test_a_voucher_that_cannot_pay_says_why(world: MarketWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider, buyer = await world.traders(1_000_000)
    domestic = CapacityRule(origin=RequiredOrigin.DOMESTIC)
    programme = await world.programme(issuer, provider, capacity=domestic)
    voucher = await world.issue(issuer, programme, buyer, 100)
    name = encode_id("vch", voucher.id)
    told = await answer(world, buyer, question(world.product(), vouchers=[name]))
    (refused,) = told.refusals
    assert (refused.voucher_id, refused.code) == (name, "voucher_rule_not_met")
    assert told.programmes[0].vouchers == [refused]
    assert not told.subsidised
    paid = await answer(world, buyer, question(world.product(domestic=True), vouchers=[name]))
    assert (paid.subsidised, paid.voucher_cny, paid.refusals) == (True, "1.00", [])


async def test_only_buyers_ask_and_all_faults_are_told(world: MarketWorld) -> None:
    provider, buyer = await world.traders(1)
    with pytest.raises(Forbidden):
        await answer(world, provider, question(world.product()))
    found = Faults()
    found.add("/hours", "out_of_range", "must be at least 1")
    bad = question("no-such-product", price_cny_per_gpu_hour="0.00", vouchers=["vch_x"])
    with pytest.raises(InvalidInput) as caught:
        async with world.database.connection() as connection:
            await ask(connection, buyer, bad, world.exchange.programmes, world.now_us, found)
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [
        ("/hours", "out_of_range"),
        ("/vouchers/0", "bad_id"),
        ("/price_cny_per_gpu_hour", "not_positive"),
        ("/product", "unknown_product"),
    ]
