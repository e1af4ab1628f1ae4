"""Goal: a bid only ever counts asks that the rules it is held under admit, whatever rules came after.

Method: an ask rests, the programme gets other rules, and bids under the old and the new ones meet it on a
running exchange. Each world checks at its end that the books balance and the journal is whole.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.kit.auth import Principal
from exchange.kit.ids import encode_id
from exchange.orders.models import OrderStatus, OrderView
from exchange.participants.models import ParticipantKind
from exchange.participants.service import participants_by_ids
from exchange.programmes.models import (
    BuyerRule,
    CapacityRule,
    Programme,
    ProgrammeStatus,
    ProviderRule,
    RequiredOrigin,
)
from exchange.programmes.registry import ProgrammeRegistry
from exchange.programmes.rules import programme_mask
from tests.market_world import MarketWorld, open_market
from tests.voucher_facts import product as product_of

PRICE = 1_000
ELIGIBLE = {"vouchers": "auto", "voucher_policy": "only_eligible", "price": PRICE}
PREFER = {"vouchers": "auto", "voucher_policy": "prefer", "price": PRICE}


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


def version_of(bid: OrderView) -> int:
    """Return the version of the rules that a bid is held under."""
    (share,) = bid.shares or []
    return share.programme_version


def admitting(*providers: Principal) -> ProviderRule:
    return ProviderRule(admitted=tuple(encode_id("par", each.participant_id) for each in providers))


async def holder(world: MarketWorld, issuer: Principal, programme: Programme) -> Principal:
    """Return a new buyer with cash and a voucher."""
    buyer = await world.join(ParticipantKind.BUYER)
    await world.deposit(buyer, 100_000)
    await world.issue(issuer, programme, buyer, 5_000)
    return buyer


async def change(world: MarketWorld, issuer: Principal, programme: Programme, rule: ProviderRule) -> None:
    """Give a programme another rule on providers, and let the order path know of it as the route does."""
    await world.change(issuer, programme, provider=rule)
    async with world.database.connection() as connection:
        await world.exchange.programmes.refresh(connection)
    world.clock.advance_to_us(world.clock.now_us() + 1)
    world.now_us = world.clock.now_us()


def paid(bid: OrderView) -> list[str]:
    """Return what vouchers paid of each fill."""
    return [fill.voucher_cny for fill in bid.fills]


async def test_rules_that_remove_a_provider_reach_its_asks_that_rest(world: MarketWorld) -> None:
    issuer, removed, kept = [
        await world.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.PROVIDER, ParticipantKind.PROVIDER)
    ]
    plan = await world.programme(issuer, admitting(removed, kept))
    old, new, other = [await holder(world, issuer, plan) for _ in range(3)]
    product = world.product()
    resting = await world.bid(old, product, quantity_gpus=2, window=(0, 4), **ELIGIBLE)
    assert (resting.status, version_of(resting)) == (OrderStatus.RESTING, 1)
    await world.ask(removed, product, price=PRICE, window=(8, 12), quantity_gpus=9)
    await change(world, issuer, plan, admitting(kept))
    # Under the new rules: nothing where only eligible capacity will do, cash where it is preferred.
    only = await world.bid(new, product, window=(8, 12), **ELIGIBLE)
    assert (only.status, version_of(only), only.fills) == (OrderStatus.RESTING, 2, [])
    preferred = await world.bid(other, product, window=(8, 12), **PREFER)
    assert (preferred.status, version_of(preferred), paid(preferred)) == (
        OrderStatus.FILLED,
        2,
        ["0.00"],
    )
    # Under the old ones the provider is still admitted, with what it lists now too.
    await world.ask(removed, product, price=PRICE, window=(0, 4))
    (half,) = [each for each in await world.exchange.orders.page(old, limit=9) if each.id == resting.id]
    assert (half.status, paid(half)) == (OrderStatus.PARTIALLY_FILLED, ["12.00"])
    # And the provider that both admit serves both.
    await world.ask(kept, product, price=PRICE, window=(0, 12))
    (whole,) = [each for each in await world.exchange.orders.page(old, limit=9) if each.id == resting.id]
    assert (whole.status, paid(whole)) == (OrderStatus.FILLED, ["12.00", "12.00"])
    (now_filled,) = [each for each in await world.exchange.orders.page(new, limit=9) if each.id == only.id]
    assert (now_filled.status, paid(now_filled)) == (OrderStatus.FILLED, ["12.00"])


async def test_rules_of_another_rate_go_on_with_the_asks_that_rest(world: MarketWorld) -> None:
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    plan = await world.programme(issuer, provider)
    buyer = await holder(world, issuer, plan)
    product = world.product()
    await world.ask(provider, product, price=PRICE)
    version = await world.change(issuer, plan, evidence=("log",), buyer=BuyerRule(regions=("beijing",)))
    assert version.ordinal == plan.version.ordinal
    world.clock.advance_to_us(world.clock.now_us() + 1)
    bid = await world.bid(buyer, product, **ELIGIBLE)
    assert (bid.status, version_of(bid), paid(bid)) == (OrderStatus.FILLED, 2, ["12.00"])


async def test_asks_that_rest_are_listed_again_to_be_admitted_by_later_rules(world: MarketWorld) -> None:
    issuer, first, late = [
        await world.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.PROVIDER, ParticipantKind.PROVIDER)
    ]
    plan = await world.programme(issuer, first)
    buyer = await holder(world, issuer, plan)
    product = world.product()
    await world.ask(late, product, price=PRICE)
    await change(world, issuer, plan, admitting(first, late))
    bid = await world.bid(buyer, product, **ELIGIBLE)
    assert bid.status is OrderStatus.RESTING
    await world.ask(late, product, price=PRICE)
    (filled,) = await world.exchange.orders.page(buyer, limit=9)
    assert (filled.status, paid(filled)) == (OrderStatus.FILLED, ["12.00"])


async def test_asks_are_ready_for_rules_that_are_scheduled(world: MarketWorld) -> None:
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    plan = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    buyer = await holder(world, issuer, plan)
    await world.change(issuer, plan, provider=admitting(provider), effective_from="2026-02-25T08:00:00Z")
    async with world.database.connection() as connection:
        await world.exchange.programmes.refresh(connection)
    product = world.product()
    await world.ask(provider, product, price=PRICE, window=(0, 12))
    before = await world.bid(buyer, product, window=(4, 8), time_in_force="ioc", **ELIGIBLE)
    assert before.status is not OrderStatus.FILLED
    await world.pass_hours(2)
    after = await world.bid(buyer, product, window=(4, 8), **ELIGIBLE)
    assert (after.status, version_of(after), paid(after)) == (OrderStatus.FILLED, 2, ["12.00"])


async def test_a_draft_pays_for_nothing_until_it_is_opened(world: MarketWorld) -> None:
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    draft = await world.programme(issuer, provider, draft=True)
    assert draft.id not in world.exchange.programmes.programmes
    await world.step_programme(issuer, draft, ProgrammeStatus.OPEN, "approved")
    buyer = await holder(world, issuer, draft)
    product = world.product()
    # Nobody told the order path: the first batch that meets a voucher of the programme finds out.
    bid = await world.bid(buyer, product, **ELIGIBLE)
    assert bid.status is OrderStatus.RESTING
    await world.ask(provider, product, price=PRICE)
    (filled,) = await world.exchange.orders.page(buyer, limit=9)
    assert paid(filled) == ["12.00"]


async def test_an_ask_has_the_bits_of_all_rules_that_admit_it(world: MarketWorld) -> None:
    issuer, first, second = [
        await world.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.PROVIDER, ParticipantKind.PROVIDER)
    ]
    plan = await world.programme(issuer, first)
    domestic = CapacityRule(origin=RequiredOrigin.DOMESTIC)
    both = await world.change(issuer, plan, provider=admitting(first, second))
    dearer = await world.change(issuer, plan, provider=admitting(first, second), cap_per_year_fen=60_000)
    later = await world.change(
        issuer,
        plan,
        provider=admitting(second),
        capacity=domestic,
        effective_from="2026-03-01T00:00:00Z",
    )
    back = await world.change(issuer, plan)
    ordinals = [each.ordinal for each in (plan.version, both, dearer, later, back)]
    assert len(set(ordinals)) == 4
    assert both.ordinal == dearer.ordinal
    registry = ProgrammeRegistry()
    async with world.database.connection() as connection:
        await registry.refresh(connection)
        found = await participants_by_ids(connection, {first.participant_id, second.participant_id})
    one, two = [found[each.participant_id] for each in (first, second)]

    def bits(*versions: int) -> int:
        return sum(programme_mask(each) for each in set(versions))

    a, b, _, c, d = ordinals
    assert registry.ask_mask(one, product_of("domestic"), None) == bits(a, b, d)
    assert registry.ask_mask(two, product_of("domestic"), None) == bits(b, c)
    assert registry.ask_mask(two, product_of("foreign"), None) == bits(b)
