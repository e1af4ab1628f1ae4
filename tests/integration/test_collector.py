"""Goal: a server may look for garbage seldom, because orders leave none that only the collector finds.

Method: place and cancel many orders on the whole exchange with the collector off, then let it look.
"""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.kit import collector
from tests.faults import quiet
from tests.market_world import open_market

ORDERS = 100


@pytest.fixture(autouse=True)
def collecting_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


async def test_orders_leave_no_cycles(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product = world.product()
        below = world.exchange.products[product].reference_price_ticks - 1
        await world.ask(provider, product, quantity_gpus=ORDERS)

        async def trade_and_rest() -> None:
            traded = await asyncio.gather(*(world.bid(buyer, product) for _ in range(ORDERS // 2)))
            resting = await asyncio.gather(
                *(world.bid(buyer, product, price=below) for _ in range(ORDERS // 2))
            )
            assert {each.status for each in traded} == {"filled"}
            assert {each.status for each in resting} == {"resting"}

        await trade_and_rest()
        await quiet(world.exchange)  # what is done beside orders may leave some
        gc.collect()
        gc.disable()
        await trade_and_rest()
        # A statement prepared anew leaves a few; an order none.
        assert gc.collect() < ORDERS


def test_what_stands_is_left_out_of_collections() -> None:
    before = gc.get_threshold()[0]
    assert gc.get_freeze_count() == 0
    collector.calm()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] > before
