"""Which process leads a partition: a lease in PostgreSQL, by the database's clock.

The clocks of hosts never matter: who takes, renews and judges a lease asks one clock. A lease says who may
try to lead. That only one leader can write is said by the head's epoch, which each term begins anew: a
process that was stopped and goes on after its lease was over writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

from exchange.fleet import store
from exchange.kit.database import ConnectionLost
from exchange.kit.tasks import end

if TYPE_CHECKING:
    from exchange.fleet.store import LeaseRow
    from exchange.kit.database import Database

LEASE_S: Final = 2.0
RENEW_S: Final = 0.5
POLL_S: Final = 0.25

_log = logging.getLogger(__name__)


def new_holder() -> str:
    """Return a name for a process that tells an operator where it is."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


class PartitionLease:
    """A process's claim to one partition. Every method raises `ConnectionLost`.

    Each is one statement outside of any transaction: what a lost one did is seen by the next, and two round
    trips less twice a second are worth having.
    """

    def __init__(self, database: Database, partition_id: int, holder: str) -> None:
        self.partition_id = partition_id
        self._database = database
        self._holder = holder

    async def take(self, *, by_force: bool = False) -> bool:
        """Take the lease where nobody holds it, or whoever does; tell whether it is ours."""
        async with self._database.connection() as connection:
            return await store.take_lease(
                connection, self.partition_id, self._holder, LEASE_S, by_force=by_force
            )

    async def renew(self, epoch: int) -> bool:
        """Hold the lease for longer, and say in which epoch; tell whether it is still ours."""
        async with self._database.connection() as connection:
            return await store.renew_lease(connection, self.partition_id, self._holder, epoch, LEASE_S)

    async def end(self) -> None:
        """Let another process take the lease at once."""
        async with self._database.connection() as connection:
            await store.end_lease(connection, self.partition_id, self._holder)


class LeaseWatch:
    """What a gateway knows of the leases: looked up every `RENEW_S`, between `start` and `stop`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases: dict[int, LeaseRow] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look, and go on looking."""
        await self._look()
        self._task = asyncio.create_task(self._look_for_ever(), name="lease-watch")

    async def stop(self) -> None:
        """Look no more."""
        await end([self._task])

    def over_s(self, partition_id: int) -> float:
        """Return for how long nobody has led a partition when last looked: 0 or less while somebody does."""
        lease = self._leases.get(partition_id)
        return float("inf") if lease is None else lease.over_s

    def is_led(self, partition_id: int) -> bool:
        """Whether, when last looked, somebody led a partition whose books were built."""
        lease = self._leases.get(partition_id)
        return lease is not None and lease.over_s <= 0 and lease.epoch > 0

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._look()
            except ConnectionLost as error:
                _log.warning("the leases of partitions cannot be read: %s", error)
            except Exception:  # noqa: BLE001 - logged; a watch that has ended would go unnoticed
                _log.exception("the leases of partitions were not read")

    async def _look(self) -> None:
        async with self._database.connection() as connection:
            self._leases = {lease.partition_id: lease for lease in await store.leases(connection)}
