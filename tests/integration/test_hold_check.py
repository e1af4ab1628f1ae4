"""Goal: the check of the books works every live bid's holds out anew, and says which is not what it must be.

Method: bids that rest, are half filled, and are paid by two programmes are in order; then one field of an
order at a time is falsified behind the service's back, in a transaction that is undone.
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
