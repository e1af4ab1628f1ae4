"""Eight traders under way, and what must hold of everything they were told once they have stopped."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from exchange.kit.clock import hour_of, wall_now_us
from exchange.kit.database import Database
from exchange.orders.partition import verify
from exchange.products.service import load_products
from tests.history.check import Checker, check_history
from tests.history.journal import read_journal
from tests.history.record import History
from tests.history.stage import Operator
from tests.history.traffic import Traffic
from tests.plain_http import Line
from tests.stored_state import assert_sound

SEED: Final = 7
PARTITION: Final = 1


class Trading(msgspec.Struct):
    """Traffic under way, and its history."""

    traffic: Traffic
    history: History


@asynccontextmanager
async def trading(
    line: Callable[[], Line], key: str, first_hour: Callable[[], int], *, seed: int = SEED
) -> AsyncIterator[Trading]:
    """Let eight traders trade meanwhile; none has an answer to wait for in the end."""
    history = History()
    with Operator(line(), key) as operator:
        traders, products = await operator.traders(), await operator.products()
    traffic = Traffic(history, traders, line, first_hour, products, seed=seed)
    async with traffic.running():
        yield Trading(traffic, history)


async def check_what_is_left(history: History, database_url: str) -> Checker:
    """Hold a history against what is stored; check the books against their journal, and all the money."""
    database = await Database.connect(database_url, connections_min=1)
    try:
        async with database.transaction() as connection:
            products = {each.id: each.book_product() for each in await load_products(connection)}
            await verify(connection, PARTITION, products)
        await assert_sound(database, with_orders=True)
        return check_history(history, await read_journal(database))
    finally:
        await database.close()


def next_hour() -> int:
    """Return the first hour for sale by the wall clock."""
    return hour_of(wall_now_us()) + 1
