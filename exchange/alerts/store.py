"""The queries of surveillance: one typed function for each named query."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from exchange.alerts.models import AlertFilter, AlertStep, Finding, StoredRules
from exchange.alerts.thresholds import AlertRules
from exchange.kit.database import Connection, LoneConnection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.kit.rows import hex_text, json_rows

QUERIES: Final = load_queries("exchange.alerts")


def _rules(row: Record) -> StoredRules:
    return StoredRules(
        version=row["version"],
        effective_from_us=to_us(row["effective_from"]),
        reason=row["reason"],
        changed_by=row["changed_by"],
        key_id=row["key_id"],
        changed_at_us=to_us(row["changed_at"]),
        rules=msgspec.json.decode(row["rules"], type=AlertRules),
    )


async def rules_versions(connection: Connection) -> list[StoredRules]:
    """Return every version of the rules, oldest first."""
    return [_rules(row) for row in await connection.fetch(QUERIES.rules_versions)]


async def rules_before(connection: Connection, version: int, limit: int) -> list[StoredRules]:
    """Return versions of the rules below a number, newest first."""
    return [_rules(row) for row in await connection.fetch(QUERIES.rules_before, version, limit)]


async def rules_version(connection: Connection, version: int) -> StoredRules | None:
    """Return one version of the rules, or None."""
    row = await connection.fetchrow(QUERIES.rules_version, version)
    return None if row is None else _rules(row)


async def lock_rules(connection: Connection) -> None:
    """Let no other caller add a version until this transaction ends."""
    await connection.execute(QUERIES.lock_rules)


async def insert_rules(connection: Connection, new: StoredRules) -> bool:
    """Store a version of the rules, unless it is there; whether it was not."""
    done = await connection.execute(
        QUERIES.insert_rules,
        new.version,
        msgspec.json.encode(new.rules).decode(),
        from_us(new.effective_from_us),
        new.reason,
        new.changed_by,
        new.key_id,
        from_us(new.changed_at_us),
    )
    return done.endswith(" 1")


async def alerts_before(
    connection: Connection, wanted: AlertFilter, before: tuple[int, int] | None, limit: int
) -> list[Record]:
    """Return alerts before a place (time found in microseconds, id), newest first."""
    return await connection.fetch(
        QUERIES.alerts_before,
        wanted.status,
        wanted.detector,
        wanted.severity,
        wanted.participant_id,
        wanted.product_id,
        wanted.programme_id,
        None if wanted.found_from_us is None else from_us(wanted.found_from_us),
        None if wanted.found_until_us is None else from_us(wanted.found_until_us),
        None if before is None else from_us(before[0]),
        None if before is None else before[1],
        limit,
    )


async def alert_by_id(connection: Connection, alert_id: int) -> Record | None:
    """Return an alert, or None."""
    return await connection.fetchrow(QUERIES.alert_by_id, alert_id)


async def lock_alert(connection: Connection, alert_id: int) -> Record | None:
    """Return an alert, locked, or None."""
    return await connection.fetchrow(QUERIES.lock_alert, alert_id)


async def steps_of_alert(connection: Connection, alert_id: int) -> list[Record]:
    """Return every step of an alert's case, in order."""
    return await connection.fetch(QUERIES.steps_of_alert, alert_id)


async def insert_step(connection: Connection, alert_id: int, step: AlertStep) -> None:
    """Store a step; `set_status` must follow."""
    await connection.execute(
        QUERIES.insert_step,
        alert_id,
        step.number,
        step.from_status,
        step.to_status,
        step.actor_id,
        step.key_id,
        step.text,
        from_us(step.stepped_at_us),
    )


async def set_status(connection: Connection, alert_id: int, step: AlertStep) -> None:
    """Let an alert's status follow its last step."""
    await connection.execute(QUERIES.set_status, alert_id, step.to_status, step.number)


async def records_by_ids(connection: Connection, record_ids: Sequence[int]) -> list[Record]:
    """Return steps of the record, in order."""
    return await connection.fetch(QUERIES.records_by_ids, list(record_ids))


async def insert_findings(connection: Connection, found: Sequence[tuple[int, Finding]]) -> None:
    """Store findings under ids; those whose facts raised an alert already are left out."""
    rows = [
        {"id": alert_id, "fingerprint": hex_text(each.fingerprint), **msgspec.structs.asdict(each)}
        for alert_id, each in found
    ]
    await connection.execute(QUERIES.insert_findings, json_rows(rows))


async def try_to_lead(connection: LoneConnection) -> bool:
    """Return whether this session is the one that reads the record, from now until it ends."""
    leads: bool = await connection.fetchval(QUERIES.try_to_lead)
    return leads


async def make_position(connection: Connection) -> None:
    """Begin to read the record, where nobody has."""
    await connection.execute(QUERIES.make_position)


async def lock_position(connection: Connection) -> int | None:
    """Return how far the record was read, locked; None while another process moves it."""
    found: int | None = await connection.fetchval(QUERIES.lock_position)
    return found


async def kept_state(connection: Connection) -> Record | None:
    """Return how far the record was read, and what was remembered where."""
    return await connection.fetchrow(QUERIES.kept_state)


async def set_position(connection: Connection, record_id: int) -> None:
    """Move how far the record was read."""
    await connection.execute(QUERIES.set_position, record_id)


async def keep_state(connection: Connection, record_id: int, state: bytes, form: int) -> None:
    """Move how far the record was read, with what is remembered there."""
    await connection.execute(QUERIES.keep_state, record_id, state, form)


async def last_record_id(connection: Connection) -> int:
    """Return the newest committed record's id, 0 where there is none."""
    found: int = await connection.fetchval(QUERIES.last_record_id)
    return found


async def writers(connection: Connection) -> frozenset[str]:
    """Return the transactions that may hold an id of a record which is not committed yet."""
    return frozenset(row["virtualtransaction"] for row in await connection.fetch(QUERIES.writers))


async def first_record_at(connection: Connection, at_us: int) -> int:
    """Return the first record of a venue time or later, 0 where there is none."""
    found: int = await connection.fetchval(QUERIES.first_record_at, from_us(at_us))
    return found


async def last_record_before(connection: Connection, at_us: int) -> int:
    """Return the last record before a venue time, 0 where there is none."""
    found: int = await connection.fetchval(QUERIES.last_record_before, from_us(at_us))
    return found


async def walk_indexes(connection: Connection) -> None:
    """Let the statements of this transaction go from row to row by index."""
    await connection.execute(QUERIES.walk_indexes)


async def records(
    connection: Connection, after_id: int, through_id: int, codes: Sequence[str], limit: int
) -> list[Record]:
    """Return what detectors read of the record, in order."""
    return await connection.fetch(QUERIES.records, after_id, through_id, list(codes), limit)


async def heads(connection: Connection) -> list[Record]:
    """Return where every partition's journal stands by its head."""
    return await connection.fetch(QUERIES.heads)


async def chains(connection: Connection) -> dict[int, tuple[int, bytes]]:
    """Return, by partition, the last sequence found whole and its hash."""
    links = msgspec.json.decode(await connection.fetchval(QUERIES.chains), type=dict[int, tuple[int, str]])
    return {partition_id: (sequence, bytes.fromhex(text)) for partition_id, (sequence, text) in links.items()}


async def set_chains(connection: Connection, links: Mapping[int, tuple[int, bytes]]) -> None:
    """Move how far the journals were found whole."""
    written = {partition_id: (sequence, last.hex()) for partition_id, (sequence, last) in links.items()}
    await connection.execute(QUERIES.set_chains, msgspec.json.encode(written).decode())


async def journal_after(
    connection: Connection, partition_id: int, after_sequence: int, through_sequence: int, limit: int
) -> list[Record]:
    """Return rows of a partition's journal, in order."""
    return await connection.fetch(
        QUERIES.journal_after, partition_id, after_sequence, through_sequence, limit
    )
