"""The leases of partitions: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.queries import load_queries

if TYPE_CHECKING:
    from exchange.kit.database import Connection

QUERIES = load_queries("exchange.fleet")


class LeaseRow(msgspec.Struct, frozen=True, gc=False):
    """A partition's lease: who holds it, in which epoch, and for how long it is over (negative: held)."""

    partition_id: int
    holder: str
    epoch: int
    over_s: float


async def take_lease(
    connection: Connection, partition_id: int, holder: str, seconds: float, *, by_force: bool
) -> bool:
    """Take a lease that is over, or any by force; False where another process holds it."""
    row = await connection.fetchrow(QUERIES.take_lease, partition_id, holder, seconds, by_force)
    return row is not None


async def renew_lease(
    connection: Connection, partition_id: int, holder: str, epoch: int, seconds: float
) -> bool:
    """Hold a lease for longer; False where another process has taken it."""
    row = await connection.fetchrow(QUERIES.renew_lease, partition_id, holder, epoch, seconds)
    return row is not None


async def end_lease(connection: Connection, partition_id: int, holder: str) -> None:
    """Let another process take the lease, where it is still ours."""
    await connection.execute(QUERIES.end_lease, partition_id, holder)


async def leases(connection: Connection) -> list[LeaseRow]:
    """Every partition's lease."""
    return [
        LeaseRow(row["partition_id"], row["holder"], row["epoch"], row["over_s"])
        for row in await connection.fetch(QUERIES.leases)
    ]
