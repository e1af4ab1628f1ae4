"""Goal: once a refresh has ended, the registry knows what was committed before it, however many refresh.

Method: two refreshes, the first of which reads before a programme is made and gets its answer after the
second.
"""

import asyncio
from typing import cast

from exchange.kit.database import Connection, Database, Record
from exchange.participants.models import ParticipantKind
from exchange.programmes.registry import ProgrammeRegistry
from tests.voucher_world import VoucherWorld


class LateConnection:
    """A connection whose answer is kept back until it is let through."""

    def __init__(self, connection: Connection) -> None:
        """Ask through a real connection."""
        self._connection = connection
        self.has_read, self.let_through = asyncio.Event(), asyncio.Event()

    async def fetch(self, query: str, *arguments: object) -> list[Record]:
        """Read at once, answer late."""
        rows: list[Record] = await self._connection.fetch(query, *arguments)
        self.has_read.set()
        await self.let_through.wait()
        return rows


async def test_a_late_answer_does_not_make_the_registry_forget(database: Database) -> None:
    world = VoucherWorld(database)
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    await world.programme(issuer, provider)
    registry = ProgrammeRegistry()
    async with database.connection() as first, database.connection() as second:
        late = LateConnection(first)
        older = asyncio.create_task(registry.refresh(cast("Connection", late)))
        await late.has_read.wait()
        newest = await world.programme(issuer, provider)
        await registry.refresh(second)
        late.let_through.set()
        await older
    assert registry.programmes[newest.id].versions == (newest.version,)
