"""Goal: what was to be withdrawn when nobody is there any more is, whatever the database does first.

Method: the whole exchange in one process; the look at what is live fails a few times, each time otherwise.
How connections ask for it is with `test_stream_ends`.
"""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from exchange.orders import store as order_store
from exchange.orders import withdrawals
from exchange.orders.models import OrderStatus
from exchange.participants.models import ParticipantKind
from tests.market_world import open_market

DEADLINE_S = 30.0


async def test_a_withdrawal_outlives_a_database_that_is_lost_slow_or_contended(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = order_store.live_among
    failures = [
        ConnectionResetError("now"),
        asyncpg.QueryCanceledError("now"),
        asyncpg.LockNotAvailableError("now"),
        asyncpg.DeadlockDetectedError("now"),
    ]

    async def fail_at_first(*asked: Any) -> Any:
        if failures:
            raise failures.pop()
        return await look_up(*asked)

    monkeypatch.setattr(withdrawals, "RETRY_S", 0.001)
    monkeypatch.setattr(order_store, "live_among", fail_at_first)
    async with open_market(database_url, tmp_path) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        mine, other = [await world.ask(provider, world.product(), price=200) for _ in range(2)]
        async with asyncio.timeout(DEADLINE_S):
            await world.exchange.withdrawals.withdraw(
                provider, {mine.client_order_id}, "cancel_on_disconnect"
            )
        assert failures == []
        found = {each.id: each.status for each in await world.exchange.orders.page(provider, limit=10)}
    assert found == {mine.id: OrderStatus.CANCELLED, other.id: OrderStatus.RESTING}
