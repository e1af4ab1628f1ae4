"""What an issuer does with a programme after its making: opens a draft, closes what is open, with a reason.

A draft books its budget when it is opened. A closed programme issues nothing more and never reopens; its
vouchers live and pay on, under rules that may still be changed. All run inside the caller's transaction; none
commits.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict
from exchange.kit.fields import refuse_blank_reason
from exchange.programmes import store
from exchange.programmes.models import Programme, ProgrammeStatus
from exchange.programmes.service import get_programme
from exchange.programmes.step_models import ProgrammeStep
from exchange.programmes.steps import book_budget, lock_own_programme, move_budget, record_step

STEPS: Final[Mapping[ProgrammeStatus, ProgrammeStatus]] = {
    ProgrammeStatus.DRAFT: ProgrammeStatus.OPEN,
    ProgrammeStatus.OPEN: ProgrammeStatus.CLOSED,
    ProgrammeStatus.EXHAUSTED: ProgrammeStatus.CLOSED,
}
"""From where an issuer may bring a programme to where; the database has them too."""


async def step_programme(
    connection: Connection,
    principal: Principal,
    programme_id: int,
    to_status: ProgrammeStatus,
    reason: str,
    now_us: int,
) -> Programme:
    """Open or close a programme of the principal's.

    Raises `NotFound`, `Forbidden` for one of another's, `InvalidInput` for a blank reason, and `Conflict`
    where it cannot go there from where it stands.
    """
    refuse_blank_reason(reason, "says why, for everyone to read")
    programme = await lock_own_programme(connection, principal, programme_id, now_us, "opens or closes it")
    if STEPS.get(programme.status) is not to_status:
        stands = "a draft" if programme.status is ProgrammeStatus.DRAFT else programme.status.value
        raise Conflict(detail=f"the programme is {stands}, and cannot become {to_status.value}")
    step = await record_step(connection, principal, programme, to_status, reason, now_us)
    await store.follow_programme_step(connection, step)
    if to_status is ProgrammeStatus.OPEN:
        await book_budget(connection, programme, now_us)
    else:
        await move_budget(connection, programme, -step.returned_fen, now_us)
    return await get_programme(connection, programme_id, now_us, principal)


async def list_steps(
    connection: Connection, principal: Principal, programme_id: int, *, after: int = 0, limit: int, at_us: int
) -> Sequence[ProgrammeStep]:
    """Return the history of a programme that the principal may see, in order, after the step of a number."""
    await get_programme(connection, programme_id, at_us, principal)
    return await store.steps_of_programme(connection, programme_id, after, limit)
