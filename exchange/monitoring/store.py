"""What processes say of themselves, and where everything stands: one typed function for each named query."""

from typing import Final

import msgspec

from exchange.kit.clock import format_rfc3339
from exchange.kit.database import Connection, Record, to_us
from exchange.kit.ids import encode_id
from exchange.kit.queries import load_queries
from exchange.kit.settings import Role
from exchange.monitoring.models import PhaseChangeView

QUERIES: Final = load_queries("exchange.monitoring")


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a process said last of itself, and how long ago; `report` as it was written."""

    name: str
    role: Role
    up_s: float
    seen_s_ago: float
    report: bytes


class PartitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a partition stands. `holder` is None where nobody has ever led it."""

    partition_id: int
    last_sequence: int
    last_event_at: str
    holder: str | None
    epoch: int
    holds_for_s: float
    marked_sequence: int


class FollowerRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far the record is read: the venue time of the last record, and how many came after."""

    read_until_at: str | None
    behind_records: int


async def tell_process(connection: Connection, name: str, role: Role, report: bytes) -> None:
    """Store what a process says of itself now."""
    await connection.execute(QUERIES.tell_process, name, role, report)


async def forget_process(connection: Connection, name: str) -> None:
    """Forget a process that stops."""
    await connection.execute(QUERIES.forget_process, name)


async def forget_processes(connection: Connection, seconds: float) -> None:
    """Forget processes that have said nothing for so long."""
    await connection.execute(QUERIES.forget_processes, seconds)


async def processes(connection: Connection) -> list[ProcessRow]:
    """Return every process that has said something of itself and not that it stops."""
    return [
        ProcessRow(
            name=row["name"],
            role=row["role"],
            up_s=row["up_s"],
            seen_s_ago=row["seen_s_ago"],
            report=bytes(row["report"]),
        )
        for row in await connection.fetch(QUERIES.processes)
    ]


async def partitions(connection: Connection) -> list[PartitionRow]:
    """Return every partition that was ever led."""
    return [
        PartitionRow(
            partition_id=row["partition_id"],
            last_sequence=row["last_sequence"],
            last_event_at=format_rfc3339(to_us(row["last_event_at"])),
            holder=row["holder"],
            epoch=row["epoch"] or 0,
            holds_for_s=row["holds_for_s"] or 0.0,
            marked_sequence=row["marked_sequence"] or 0,
        )
        for row in await connection.fetch(QUERIES.partitions)
    ]


async def alerts_position(connection: Connection, read_id: int) -> FollowerRow | None:
    """Return how far the record is read for alerts, by the store or its reader; None before the first."""
    return _follower(await connection.fetchrow(QUERIES.alerts_position, read_id))


async def summaries_position(connection: Connection, behind_max: int) -> FollowerRow | None:
    """Return how far the record is summed up; what came after is counted to a limit."""
    return _follower(await connection.fetchrow(QUERIES.summaries_position, behind_max))


async def database_state(connection: Connection) -> tuple[int, float]:
    """Return the bytes of the database, and for how many seconds its oldest transaction has been open."""
    row = await connection.fetchrow(QUERIES.database_state)
    if row is None:
        raise AssertionError("an aggregate has a row")
    return row["size_bytes"], row["oldest_transaction_s"]


async def phase_changes(connection: Connection, limit: int) -> list[PhaseChangeView]:
    """Return the last changes of products' phases, newest first."""
    return [
        PhaseChangeView(
            at=format_rfc3339(to_us(row["event_at"])),
            product=row["product_id"],
            phase=row["phase"],
            reason=row["reason"],
            participant=encode_id("par", row["actor_participant_id"]),
            participant_name=row["actor_name"],
            key=encode_id("key", row["key_id"]),
        )
        for row in await connection.fetch(QUERIES.phase_changes, limit)
    ]


def _follower(row: Record | None) -> FollowerRow | None:
    if row is None:
        return None
    at = row["event_at"]
    return FollowerRow(
        read_until_at=None if at is None else format_rfc3339(to_us(at)),
        behind_records=max(row["behind_records"], 0),
    )
