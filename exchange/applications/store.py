"""The application tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.applications.models import ApplicantRole, Application, ApplicationStatus, ApplicationStep
from exchange.kit.database import from_us, to_us
from exchange.kit.ids import ID_MAX
from exchange.kit.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.kit.database import Connection, Record

QUERIES = load_queries("exchange.applications")


def _application(row: Record) -> Application:
    decided_at = row["decided_at"]
    same = {name: row[name] for name in Application.__struct_fields__ if name in row}
    return Application(
        **same
        | {
            "status": ApplicationStatus(row["status"]),
            "submitted_at_us": to_us(row["submitted_at"]),
            "decided_at_us": None if decided_at is None else to_us(decided_at),
        }
    )


async def insert_application(connection: Connection, application: Application) -> None:
    """Store an application as it is submitted."""
    await connection.execute(
        QUERIES.insert_application,
        application.id,
        application.programme_id,
        application.programme_version,
        application.buyer_id,
        application.amount_fen,
        application.purpose,
        from_us(application.submitted_at_us),
    )


async def page_of_applications(
    connection: Connection,
    *,
    before_id: int = ID_MAX,
    buyer_id: int | None = None,
    issuer_id: int | None = None,
    programme_id: int | None = None,
    status: ApplicationStatus | None = None,
    application_id: int | None = None,
    limit: int,
) -> list[Application]:
    """Applications submitted before one, newest first; None restricts nothing."""
    given = before_id, buyer_id, issuer_id, programme_id, status, application_id, limit
    return [_application(row) for row in await connection.fetch(QUERIES.page_of_applications, *given)]


async def lock_application(connection: Connection, application_id: int) -> Application | None:
    """One application, locked."""
    row = await connection.fetchrow(QUERIES.lock_application, application_id)
    return None if row is None else _application(row)


async def lock_scored_applications(connection: Connection, programme_id: int) -> list[Application]:
    """The scored applications of a programme that wait, locked in order of ids."""
    return [
        _application(row) for row in await connection.fetch(QUERIES.lock_scored_applications, programme_id)
    ]


async def insert_application_steps(
    connection: Connection, steps: Sequence[ApplicationStep], at_us: int
) -> None:
    """Store steps, at most one of each application; `save_applications` must follow. One statement."""
    names = ApplicationStep.__struct_fields__[:-1]
    columns = ([getattr(step, name) for step in steps] for name in names)
    await connection.execute(QUERIES.insert_application_steps, *columns, from_us(at_us))


async def save_applications(connection: Connection, applications: Sequence[Application], at_us: int) -> None:
    """Bring applications to where the steps just stored lead. One statement."""
    names = "id", "status", "step_count", "score", "approved_fen", "voucher_id", "reason"
    columns = ([getattr(each, name) for each in applications] for name in names)
    await connection.execute(QUERIES.save_applications, *columns, from_us(at_us))


async def steps_of_application(
    connection: Connection, application_id: int, after: int, limit: int
) -> list[ApplicationStep]:
    """Return the steps of an application after a number, in order."""
    return [
        ApplicationStep(
            **{name: row[name] for name in ApplicationStep.__struct_fields__ if name in row}
            | {
                "from_status": ApplicationStatus(row["from_status"]),
                "to_status": ApplicationStatus(row["to_status"]),
                "actor_role": ApplicantRole(row["actor_role"]),
                "stepped_at_us": to_us(row["stepped_at"]),
            }
        )
        for row in await connection.fetch(QUERIES.steps_of_application, application_id, after, limit)
    ]
