"""Goal: a tier for large orders is not had by placing large and making small, nor is anything lost by it.

Method: the cases one by one that `tests/property/test_reduced_bids.py` searches: a share that falls in place
and outlives a restart and a rebuild of the record, a bid whose own part would outgrow what it set aside, one
that has traded at the rate before, and one that no programme would pay any more.
"""

from pathlib import Path
from typing import Any

import pytest

from exchange.kit.auth import Principal
from exchange.kit.errors import Conflict
from exchange.kit.ids import decode_id
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Condition, Fact, ProviderRule, RateTier
from exchange.rebuild.service import compare, rebuild
from tests.market_world import MarketWorld, open_market

LARGE = RateTier(bps=5_000, when=(Condition(fact=Fact.QUANTITY_GPUS, at_least=10),))
SMALL = RateTier(bps=700, when=(Condition(fact=Fact.QUANTITY_GPUS, at_most=4),))
ALWAYS = RateTier(bps=1_000)
BID = {"price": 100, "vouchers": "auto", "fill": "all_or_none"}


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> Any:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


async def funded(world: MarketWorld, *tiers: RateTier, combine: str = "max") -> tuple[Principal, Principal]:
    """Return a provider, and a buyer with cash and a voucher of these tiers."""
    provider, buyer = await world.traders(100_000)
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, ProviderRule(), rate_tiers=tiers, combine=combine)
    await world.issue(issuer, programme, buyer, 50_000)
    return provider, buyer


def rates(bid: OrderView) -> list[int]:
    return [share.rate_bps for share in bid.shares or ()]


async def test_a_share_that_falls_outlives_a_restart_and_is_in_the_record(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await funded(world, ALWAYS, LARGE)
        large = await world.bid(buyer, world.product(), quantity_gpus=20, **BID)
        assert rates(large) == [5_000]
        small = await world.amend(buyer, large, quantity_gpus=9)
        assert (small.id, small.priority, rates(small)) == (large.id, "kept", [1_000])
        assert small.held is not None
        assert [each.held_cny for each in small.held.vouchers] == ["3.60"]
    async with open_market(database_url, tmp_path) as again:
        await again.ask(provider, again.product(), price=100, quantity_gpus=9)
        over = await again.exchange.orders.get(buyer, decode_id("ord", large.id) or 0)
        assert (over.status, rates(over)) == ("filled", [1_000])
        assert [fill.voucher_cny for fill in over.fills] == ["3.60"]
        async with again.database.snapshot() as connection:
            rebuilt = await rebuild(connection)
            assert rebuilt.contradictions == []
            assert [each async for each in compare(connection, rebuilt)] == []


async def test_a_bid_whose_own_part_would_outgrow_its_hold_is_placed_anew(world: MarketWorld) -> None:
    _, buyer = await funded(world, ALWAYS, LARGE)
    fields = {**BID, "voucher_policy": "only_eligible"}
    large = await world.bid(buyer, world.product(), quantity_gpus=10, **fields)
    assert large.held is not None
    assert large.held.cash_cny == "20.00"
    smaller = await world.amend(buyer, large, quantity_gpus=9)
    assert (smaller.priority, smaller.replaces, rates(smaller)) == ("lost", large.id, [1_000])
    assert smaller.held is not None
    assert smaller.held.cash_cny == "32.40"
    much = await world.bid(buyer, world.product(), quantity_gpus=10, **fields)
    assert (await world.amend(buyer, much, quantity_gpus=2)).priority == "kept"


async def test_what_traded_at_the_rate_before_stays_and_the_rest_is_placed_anew(world: MarketWorld) -> None:
    provider, buyer = await funded(world, SMALL, ALWAYS, combine="first")
    bid = await world.bid(buyer, world.product(), quantity_gpus=8, **{**BID, "fill": "partial"})
    assert rates(bid) == [1_000]
    await world.ask(provider, world.product(), price=100, quantity_gpus=2)
    same = await world.amend(buyer, bid, quantity_gpus=5)
    assert (same.priority, rates(same)) == ("kept", [1_000])
    rest = await world.amend(buyer, same, quantity_gpus=4)
    assert (rest.priority, rest.quantity_gpus, rates(rest)) == ("lost", 2, [700])
    old = await world.exchange.orders.get(buyer, decode_id("ord", bid.id) or 0)
    assert [fill.voucher_cny for fill in old.fills] == ["0.80"]
    kept = await world.bid(buyer, world.product(), quantity_gpus=8, **{**BID, "fill": "partial"})
    await world.exchange.orders.cancel(buyer, decode_id("ord", rest.id) or 0)
    await world.ask(provider, world.product(), price=100, quantity_gpus=3)
    over = await world.amend(buyer, kept, quantity_gpus=3)
    assert (over.reason, over.priority, rates(over)) == ("reduced_to_nothing", "kept", [1_000])


async def test_a_bid_that_nobody_would_pay_any_more_is_judged_as_a_new_one(world: MarketWorld) -> None:
    _, buyer = await funded(world, LARGE)
    large = await world.bid(buyer, world.product(), quantity_gpus=10, **BID)
    small = await world.amend(buyer, large, quantity_gpus=2)
    assert (small.priority, small.shares) == ("lost", None)
    strict = await world.bid(
        buyer, world.product(), quantity_gpus=10, **{**BID, "voucher_policy": "only_eligible"}
    )
    with pytest.raises(Conflict) as refused:
        await world.amend(buyer, strict, quantity_gpus=2)
    assert (refused.value.code, refused.value.outcome) == ("no_usable_voucher", "not_applied")
    stands = await world.exchange.orders.get(buyer, decode_id("ord", strict.id) or 0)
    assert (stands.status, stands.quantity_gpus, rates(stands)) == ("resting", 10, [5_000])
