"""Goal: the check of the books works every live bid's holds out anew, and says which is not what it must be.

Method: bids that rest, are half filled, and are paid by two programmes are in order; then one field of an
order or of its terms at a time is falsified behind the service's back, in a transaction that is undone.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.kit.ids import decode_id
from exchange.orders.hold_check import bid_differences
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import RateTier
from tests.market_world import MarketWorld, open_market


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


async def test_every_falsified_figure_of_a_bid_is_told(world: MarketWorld) -> None:
    provider, buyer = await world.traders(1_000_000)
    issuer = await world.join(ParticipantKind.ISSUER)
    for rate_bps in (3_000, 1_500):
        programme = await world.programme(
            issuer, provider, rate_tiers=(RateTier(bps=rate_bps),), stacking="ceiling"
        )
        await world.issue(issuer, programme, buyer, 3_000)
    product = world.product()
    cash = await world.bid(buyer, product, price=800, window=(6, 10))
    bid = await world.bid(buyer, product, price=1_001, quantity_gpus=3, vouchers="auto")
    strict = await world.bid(
        buyer, product, price=700, window=(6, 10), vouchers="auto", voucher_policy="only_eligible"
    )
    await world.ask(provider, product, price=999)
    assert await told(world, "SELECT 1") == []
    assert strict.shares is not None
    for falsified, order, measures in (
        ("UPDATE orders SET price_ticks = price_ticks + 1", cash, {"cash"}),
        ("UPDATE orders SET quantity_gpus = quantity_gpus + 1", bid, {"cash"}),
        ("UPDATE orders SET filled_notional_fen = filled_notional_fen + 1", bid, {"cash", "filled"}),
        ("UPDATE orders SET eligible_fen = '{0,0}'", bid, {"cash", "voucher"}),
        ("UPDATE orders SET price_ticks = price_ticks - 9", strict, {"cash", "voucher"}),
    ):
        found = await told(world, f"{falsified} WHERE id = {number_of(order)}")
        assert {subject for subject, _ in found} == {order.id}
        assert {measure.removeprefix("kept of ").split()[0] for _, measure in found} == measures


async def test_a_share_above_its_rules_is_told_though_its_hold_is_the_same(world: MarketWorld) -> None:
    """The voucher does not cover the share: so at a higher rate the hold still keeps all that it has."""
    provider, buyer = await world.traders(1_000_000)
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider, rate_tiers=(RateTier(bps=3_000),))
    await world.issue(issuer, programme, buyer, 1_000)
    bid = await world.bid(buyer, world.product(), price=1_000, window=(6, 10), vouchers="auto")
    assert bid.shares is not None
    share = f"share of programme {bid.shares[0].programme_id}"
    for falsified, expected in (
        ("terms", []),
        ("jsonb_set(terms::JSONB, '{shares,0,rate_bps}', '2999')::JSON", []),
        ("jsonb_set(terms::JSONB, '{shares,0,rate_bps}', '3001')::JSON", [share]),
        ("jsonb_set(terms::JSONB, '{shares,0,programme_version}', '2')::JSON", [share]),
        ("jsonb_set(terms::JSONB, '{shares,0,reimbursed}', 'true')::JSON", [share]),
    ):
        statement = f"UPDATE orders SET terms = {falsified} WHERE id = {number_of(bid)}"  # noqa: S608 - ours
        found = await told(world, statement)
        assert [measure for _, measure in found if measure.startswith("share")] == expected
    # Another reference price is no fault of the order's.
    assert await told(world, "UPDATE product SET reference_price_ticks = 1") == []


def number_of(order: OrderView) -> int:
    number = decode_id("ord", order.id)
    assert number is not None
    return number


async def told(world: MarketWorld, statement: str) -> list[tuple[str, str]]:
    """Return what is told once a statement was run, which is undone again."""
    async with world.database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(statement)
            return [(each.subject, each.measure) async for each in bid_differences(connection)]
        finally:
            await transaction.rollback()
