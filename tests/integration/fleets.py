"""Processes of several roles in one event loop, on a database and Redis of a test; a clock driven by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from exchange.app import Exchange
from exchange.fleet.roles import LedByTurns
from exchange.kit.clock import ManualClock
from exchange.kit.errors import Unavailable
from exchange.kit.settings import Role, Settings
from tests.market_world import MarketWorld
from tests.voucher_world import NOW_US

DEADLINE_S: Final = 60.0
T = TypeVar("T")


async def eventually(holds: Callable[[], bool]) -> None:
    """Return once a condition of several processes holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - several processes, one condition
            await asyncio.sleep(0.01)


async def answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the same again until it is answered: on a slow machine a little patience is not enough."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.01)


class Fleet:
    """What opens the processes. Each is closed at its block's end."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        self.clock = ManualClock(NOW_US)
        self._settings = Settings(database_url=database_url, redis_url=redis_url, data_dir=folder)

    async def open(self, role: Role, **more: Any) -> Exchange:
        """Open a process with more settings than its role, for the caller to close."""
        settings = msgspec.structs.replace(self._settings, role=role, **more)
        return await Exchange.open(settings, self.clock)

    @asynccontextmanager
    async def opened(self, role: Role, **more: Any) -> AsyncIterator[Exchange]:
        """Open a process with more settings than its role."""
        exchange = await self.open(role, **more)
        try:
            yield exchange
        finally:
            await exchange.close()

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Exchange]:
        """Open an engine, which leads where nobody does."""
        async with self.opened("engine") as exchange:
            yield exchange

    @asynccontextmanager
    async def market(self, **more: Any) -> AsyncIterator[MarketWorld]:
        """Open a gateway, to be traded at once an engine leads."""
        async with self.opened("gateway", **more) as exchange:
            await eventually(lambda: exchange.orders.is_ready)
            yield MarketWorld(exchange, self.clock)

    @asynccontextmanager
    async def market_with_engine(self) -> AsyncIterator[MarketWorld]:
        """Open both."""
        async with self.engine(), self.market() as world:
            yield world


def is_leading(exchange: Exchange) -> bool:
    """Whether an engine leads every partition, and takes requests."""
    assert isinstance(exchange.partitions, LedByTurns)
    return all(engine.is_ready for engine in exchange.partitions.leaders.values())
