"""Which process leads a partition: a lease in PostgreSQL, by the database's clock.

The clocks of hosts never matter: who takes, renews and judges a lease asks one clock. A lease says who may
try to lead. That only one leader can write is said by the head's epoch, which each term begins anew: a
process that was stopped and goes on after its lease was over writes nothing.

A database that does not answer a question about leases in `ANSWER_S` is lost, as far as that goes: whoever
waited for it would never learn that another process leads.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

from exchange.fleet import store
from exchange.kit.chores import Chore

if TYPE_CHECKING:
    from exchange.fleet.store import LeaseRow
    from exchange.kit.chores import Work
    from exchange.kit.database import Database

LEASE_S: Final = 2.0
RENEW_S: Final = 0.5
POLL_S: Final = 0.25
ANSWER_S: Final = 5.0


def new_holder() -> str:
    """Return a name for a process that tells an operator where it is."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


def renewing(partition_id: int, renew: Work) -> Chore:
    """Return the chore that keeps a lease."""
    undone = f"the lease of partition {partition_id} is not renewed"
    return _often(f"lease-{partition_id}", renew, undone)


def _often(name: str, work: Work, undone: str) -> Chore:
    return Chore(name, work, undone=undone, period_s=RENEW_S, first_s=RENEW_S, retry_s=RENEW_S)


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
        return await self._database.ask(
            lambda line: store.take_lease(line, self.partition_id, self._holder, LEASE_S, by_force=by_force),
            within_s=ANSWER_S,
        )

    async def renew(self, epoch: int) -> bool:
        """Hold the lease for longer, and say in which epoch; tell whether it is still ours."""
        return await self._database.ask(
            lambda line: store.renew_lease(line, self.partition_id, self._holder, epoch, LEASE_S),
            within_s=ANSWER_S,
        )

    async def end(self) -> None:
        """Let another process take the lease at once."""
        await self._database.ask(
            lambda line: store.end_lease(line, self.partition_id, self._holder), within_s=ANSWER_S
        )


class LeaseWatch:
    """What a gateway knows of the leases: looked up every `RENEW_S`, between `start` and `stop`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases: dict[int, LeaseRow] = {}
        self._chore = _often("lease-watch", self._look, "the leases of partitions are not read")

    async def start(self) -> None:
        """Look, and go on looking."""
        await self._look()
        self._chore.start()

    async def stop(self) -> None:
        """Look no more."""
        await self._chore.stop()

    def over_s(self, partition_id: int) -> float:
        """Return for how long nobody has led a partition when last looked: 0 or less while somebody does."""
        lease = self._leases.get(partition_id)
        return float("inf") if lease is None else lease.over_s

    def is_led(self, partition_id: int) -> bool:
        """Whether, when last looked, somebody led a partition whose books were built."""
        lease = self._leases.get(partition_id)
        return lease is not None and lease.over_s <= 0 and lease.epoch > 0

    async def _look(self) -> None:
        self._leases = {
            lease.partition_id: lease for lease in await self._database.ask(store.leases, within_s=ANSWER_S)
        }
