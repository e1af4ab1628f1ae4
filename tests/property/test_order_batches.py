"""Goal: a batch comes to what its orders would come to one by one, and sending it again to the same.

Method: random lists of asks, bids and orders with faults on the whole exchange, by twins: one pair of a
provider and a buyer sends its lists whole, another sends the same orders alone, each pair on a product of its
own. Outcomes must be equal but for what names them; then both lists are sent again.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.kit.auth import Principal
from exchange.kit.errors import Faults, Refusal
from exchange.orders.models import NewOrder, OrderView, PlacedOrder
from matching.order import Side
from tests.market_world import MarketWorld, open_market

CASH_FEN = 20_000
NAMES = ("id", "client_order_id", "product", "created_at", "updated_at", "sequence", "fills")
ORDERS = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.integers(0, 12),
            "quantity_gpus": st.integers(1, 4),
            "price": st.sampled_from([0, 99, 100, 100, 101, 102, 130]),
            "window": st.sampled_from([(0, 4), (0, 4), (0, 4), (1, 3), (-1, 3)]),
            "time_in_force": st.sampled_from(["gtc", "gtc", "gtc", "ioc", "gtd"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("batches"))) as opened:
        yield opened


class Twin:
    """A provider and a buyer on a product of their own."""

    def __init__(self, world: MarketWorld, product: str, provider: Principal, buyer: Principal) -> None:
        self.world = world
        self.product = product
        self.owners = {Side.SELL: provider, Side.BUY: buyer}

    def orders(self, side: Side, fields: list[dict[str, Any]]) -> list[NewOrder]:
        """Return the orders of a list; those of one number have one client order id."""
        return [
            self.world.order(
                side,
                self.product,
                client_order_id=f"{each['number']}",
                **{name: value for name, value in each.items() if name != "number"},
            )
            for each in fields
        ]

    async def send(self, side: Side, orders: list[NewOrder], *, at_once: bool) -> list[Any]:
        """Send orders, and return what came of them without what names them."""
        place_all = self.world.exchange.orders.place_all
        owner = self.owners[side]
        if at_once:
            outcomes = await place_all(owner, [(order, Faults()) for order in orders])
        else:
            outcomes = [(await place_all(owner, [(order, Faults())]))[0] for order in orders]
        return [plain(outcome) for outcome in outcomes]

    async def end(self) -> None:
        """Withdraw what is left."""
        for owner in self.owners.values():
            await self.world.exchange.orders.cancel_all(owner)


def plain(outcome: PlacedOrder | Refusal) -> Any:
    """Return an outcome without ids, times and sequences."""
    if isinstance(outcome, Refusal):
        errors = [(fault.pointer, fault.code, fault.detail) for fault in outcome.errors]
        return outcome.code, outcome.status, outcome.outcome, errors, outcome.headers
    view: OrderView = outcome.view
    fills = [msgspec.structs.replace(fill, trade_id="") for fill in view.fills]
    shown = {name: getattr(view, name) for name in view.__struct_fields__ if name not in NAMES}
    return outcome.replayed, shown, fills


async def twins(world: MarketWorld) -> list[Twin]:
    """Let two pairs of traders join, each for a product of its own with the same facts."""
    alike: dict[tuple[int, str], list[str]] = {}
    for product in sorted(world.exchange.products.values(), key=lambda each: each.id):
        if product.lot_gpus == 1:
            facts = (product.collar_bps, product.origin)
            alike.setdefault(facts, []).append(product.id)
    products = next(found for found in alike.values() if len(found) >= 2)
    return [Twin(world, product, *(await world.traders(CASH_FEN))) for product in products[:2]]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(asks=ORDERS, bids=ORDERS)
async def test_a_batch_is_its_orders_one_by_one(
    world: MarketWorld, asks: list[dict[str, Any]], bids: list[dict[str, Any]]
) -> None:
    whole, single = await twins(world)
    sent = []
    for side, fields in ((Side.SELL, asks), (Side.BUY, bids)):
        orders = (whole.orders(side, fields), single.orders(side, fields))
        sent.append((side, *orders))
        assert await whole.send(side, orders[0], at_once=True) == await single.send(
            side, orders[1], at_once=False
        )
    for side, of_whole, of_single in sent:
        assert await whole.send(side, of_whole, at_once=False) == await single.send(
            side, of_single, at_once=True
        )
    money = [await world.free_fen(twin.owners[Side.BUY]) for twin in (whole, single)]
    assert money[0] == money[1]
    for twin in (whole, single):
        await twin.end()
        assert await world.free_fen(twin.owners[Side.BUY]) >= money[0]


async def test_the_books_of_both_twins_are_sound(world: MarketWorld) -> None:
    assert await world.differences() == []
    await world.exchange.orders.verify()
