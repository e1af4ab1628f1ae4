"""The programme tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.database import from_us, to_us
from exchange.kit.ids import ID_MAX
from exchange.kit.queries import load_queries
from exchange.programmes.models import Programme, ProgrammeRules, ProgrammeStatus, RulesVersion
from exchange.programmes.step_models import ProgrammeStep

if TYPE_CHECKING:
    from exchange.kit.database import Connection, Record

QUERIES = load_queries("exchange.programmes")
_RULES = msgspec.json.Decoder(ProgrammeRules)


def _programme(row: Record) -> Programme:
    return Programme(
        id=row["id"],
        issuer_id=row["issuer_id"],
        code=row["code"],
        name=row["name"],
        asset=row["asset"],
        status=ProgrammeStatus(row["status"]),
        step_count=row["step_count"],
        budget_fen=row["budget_fen"],
        issued_fen=row["issued_fen"],
        created_at_us=to_us(row["created_at"]),
        version_last=row["version_last"],
        version=_version(row),
    )


def _version(row: Record) -> RulesVersion:
    until = row["effective_until"]
    return RulesVersion(
        number=row["version"],
        ordinal=row["ordinal"],
        effective_from_us=to_us(row["effective_from"]),
        effective_until_us=None if until is None else to_us(until),
        rules=_RULES.decode(row["rules"]),
    )


async def insert_programme(connection: Connection, programme: Programme) -> None:
    """Store a new programme without its rules: `insert_version` must follow."""
    await connection.execute(
        QUERIES.insert_programme,
        programme.id,
        programme.issuer_id,
        programme.code,
        programme.name,
        programme.asset,
        programme.status.value,
        programme.budget_fen,
        from_us(programme.created_at_us),
    )


async def insert_version(
    connection: Connection, programme_id: int, version: RulesVersion, ordinal: int | None
) -> RulesVersion:
    """Store a version under a bit, a fresh one where None, and return it with it (its own is not read)."""
    until_us = version.effective_until_us
    taken: int = await connection.fetchval(
        QUERIES.insert_version,
        programme_id,
        version.number,
        ordinal,
        from_us(version.effective_from_us),
        None if until_us is None else from_us(until_us),
        msgspec.json.encode(version.rules).decode(),
    )
    return msgspec.structs.replace(version, ordinal=taken)


async def set_budget(connection: Connection, programme: Programme) -> None:
    """Bring a programme to the budget, state and step count it has here."""
    await connection.execute(
        QUERIES.set_budget, programme.id, programme.budget_fen, programme.status.value, programme.step_count
    )


async def insert_programme_step(connection: Connection, step: ProgrammeStep) -> None:
    """Store a step of a programme, which must follow it in this transaction."""
    await connection.execute(
        QUERIES.insert_programme_step,
        step.programme_id,
        step.number,
        step.from_status.value,
        step.to_status.value,
        step.actor_role,
        step.actor_id,
        step.returned_fen,
        step.reason,
        from_us(step.stepped_at_us),
    )


async def follow_programme_step(connection: Connection, step: ProgrammeStep) -> None:
    """Bring a programme to where the step just stored leads."""
    await connection.execute(
        QUERIES.follow_programme_step, step.programme_id, step.to_status.value, step.number
    )


async def steps_of_programme(
    connection: Connection, programme_id: int, after: int, limit: int
) -> list[ProgrammeStep]:
    """Return the steps of a programme after a number, in order."""
    return [
        ProgrammeStep(
            programme_id=row["programme_id"],
            number=row["number"],
            from_status=ProgrammeStatus(row["from_status"]),
            to_status=ProgrammeStatus(row["to_status"]),
            actor_role=row["actor_role"],
            actor_id=row["actor_id"],
            returned_fen=row["returned_fen"],
            reason=row["reason"],
            stepped_at_us=to_us(row["stepped_at"]),
        )
        for row in await connection.fetch(QUERIES.steps_of_programme, programme_id, after, limit)
    ]


async def all_versions(
    connection: Connection, programme_id: int | None = None, *, with_drafts: bool = False
) -> list[tuple[int, str, str, tuple[RulesVersion, ...]]]:
    """(id, code, name, versions in order) of one programme, or of all."""
    found: dict[int, tuple[str, str, list[RulesVersion]]] = {}
    for row in await connection.fetch(QUERIES.versions_of_programmes, programme_id, with_drafts):
        named = (row["code"], row["name"], list[RulesVersion]())
        found.setdefault(row["programme_id"], named)[2].append(_version(row))
    return [(each, code, name, tuple(kept)) for each, (code, name, kept) in found.items()]


async def page_of_programmes(
    connection: Connection,
    at_us: int,
    *,
    before_id: int = ID_MAX,
    code: str | None = None,
    with_drafts: bool = False,
    issuer_id: int | None = None,
    limit: int,
) -> list[Programme]:
    """Programmes created before one, newest first, with their rules at a time.

    Drafts are among them with `with_drafts`; without, only those of an issuer.
    """
    rows = await connection.fetch(
        QUERIES.page_of_programmes, before_id, limit, from_us(at_us), code, with_drafts, issuer_id
    )
    return [_programme(row) for row in rows]


async def programme_by_id(connection: Connection, programme_id: int, at_us: int) -> Programme | None:
    """One programme with its rules at a time."""
    row = await connection.fetchrow(QUERIES.programme_by_id, programme_id, from_us(at_us))
    return None if row is None else _programme(row)


async def lock_programme(connection: Connection, programme_id: int, at_us: int) -> Programme | None:
    """One programme; nobody else issues under it or changes it until this transaction ends."""
    await connection.execute(QUERIES.lock_programme, programme_id)
    return await programme_by_id(connection, programme_id, at_us)
