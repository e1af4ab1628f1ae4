"""Goal: summaries are what a plain reading of the tables says, for any market and any way of following it.

Method: random command lists of `tests.property.test_market_money` on the whole exchange, claims paid and
vouchers revoked besides; the record is followed some transactions at a time by several followers at once.
After every list each summary is compared with `tests.plain_reports`, and recomputed from the record.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.kit.database import Database
from exchange.oversight.summaries import CUBES, Summaries, _sums, recompute
from tests.market_world import MarketWorld, open_market
from tests.plain_reports import PLAIN
from tests.property.test_market_money import COMMANDS, Example, Reference

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("market"))) as opened:
        yield opened


async def follow(database: Database, records_max: int = 7) -> None:
    """Sum up everything that is committed by now, with two followers beside the exchange's own."""
    async with database.transaction() as connection:
        now_xact = await connection.fetchval("SELECT pg_current_xact_id()::TEXT")
    followers = [Summaries(database, records_max=records_max) for _ in range(2)]
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await asyncio.gather(*(each.turn() for each in followers))
            async with database.connection() as connection:
                is_behind = await connection.fetchval(
                    "SELECT EXISTS (SELECT FROM audit_record AS record, report_position AS position"
                    " WHERE record.xact_id >= position.xact_id AND record.xact_id < $1::TEXT::XID8)",
                    now_xact,
                )
            if not is_behind:
                return
            await asyncio.sleep(0.001)


async def check(database: Database) -> None:
    """Compare each summary with the plain one, and with its own recomputation."""
    async with database.snapshot() as connection:
        for cube in CUBES:
            kept = _sums(cube, await cube.rows(connection))
            assert kept == await PLAIN[cube.name](connection), cube.name
    async with database.transaction() as connection:
        assert await recompute(connection) == []


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(commands=COMMANDS, records_max=st.integers(1, 30))
async def test_summaries_are_a_plain_recomputation(
    world: MarketWorld, commands: list[tuple[str, Any]], records_max: int
) -> None:
    example = Example(world, Reference(world))
    await example.begin()
    for number, (command, argument) in enumerate(commands):
        await example.run(command, argument)
        if number % 4 == 0:
            await follow(world.database, records_max)
    await follow(world.database, records_max)
    await check(world.database)
