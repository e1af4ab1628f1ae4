"""Goal: the database itself refuses to sell an hour of a GPU twice, whatever a program tells it.

Method: leases are inserted by SQL beside an ask, past the book; a plain count by hour says which must be
refused.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.kit.database import CheckViolation, Connection, constraint_name
from exchange.kit.ids import decode_id, new_id
from tests.market_rows import insert_order
from tests.market_world import MarketWorld, open_market

GPUS = 4
HOURS = 8
LEASES = st.lists(
    st.tuples(st.integers(1, GPUS), st.integers(-1, HOURS - 1), st.integers(1, HOURS)), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("oversell"))) as opened:
        yield opened


class RolledBackError(Exception):
    """Ends an example without a trace."""


INSERT_TRADE = """
    INSERT INTO trade
    SELECT $1, ask.partition_id, 1, ask.product_id, bid.id, ask.id, bid.participant_id, ask.participant_id,
        'buy', $3::integer, $4::integer, $4::integer + $5::integer, 1, $3::integer::bigint * $5::integer, 0,
        0, '{}', 0, ask.created_at
    FROM orders AS ask, orders AS bid WHERE ask.id = $2 AND bid.id = $6"""
INSERT_LEASE = """
    INSERT INTO lease
    SELECT $1, partition_id, product_id, $2, participant_id, participant_id, $3::integer, $4::integer,
        $4::integer + $5::integer, 1, 0, $4::integer, 0, 0, created_at
    FROM orders WHERE id = $2"""


async def insert(
    connection: Connection, orders: tuple[int, int], base_hour: int, lease: tuple[int, int, int]
) -> None:
    gpus, start, hours = lease
    ask_id, bid_id = orders
    facts = (new_id(), ask_id, gpus, base_hour + start, hours)
    await connection.execute(INSERT_TRADE, *facts, bid_id)
    await connection.execute(INSERT_LEASE, *facts)


@settings(max_examples=60, deadline=None)
@given(leases=LEASES)
async def test_the_database_refuses_just_what_would_sell_an_hour_twice(
    world: MarketWorld, leases: list[tuple[int, int, int]]
) -> None:
    provider, buyer = await world.traders(1)
    product = world.product()
    ask = await world.ask(provider, product, quantity_gpus=GPUS, window=(1, HOURS + 1))
    ask_id = decode_id("ord", ask.id)
    assert ask_id is not None
    sold = [0] * HOURS
    with pytest.raises(RolledBackError):
        async with world.database.transaction() as connection:
            bid_id = await insert_order(
                connection,
                buyer.participant_id,
                product_id=product,
                side="buy",
                starts_hour=world.first_hour,
                ends_hour=world.first_hour + HOURS + 2,
            )
            for gpus, start, hours in leases:
                inside = start >= 0 and start + hours <= HOURS
                fits = inside and all(sold[hour] + gpus <= GPUS for hour in range(start, start + hours))
                try:
                    async with connection.transaction():
                        await insert(connection, (ask_id, bid_id), world.first_hour + 1, (gpus, start, hours))
                except CheckViolation as error:
                    assert constraint_name(error) == "lease_within_ask"  # noqa: PT017
                    assert not fits
                else:
                    assert fits
                    for hour in range(start, start + hours):
                        sold[hour] += gpus
            raise RolledBackError
