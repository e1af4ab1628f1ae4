"""The steps of a programme's life, and what they do to the money of its budget. Called by use cases only.

Whatever changes a programme locks it first (`lock_own_programme`), and its accounts after that. While it is
open or exhausted, its budget account has what is not issued and what came back of vouchers. Closing sends
back to the source what was not issued; what comes back of vouchers later stays in the budget account.

Exhausted is a state that the exchange tells, not one that an issuer chooses: it comes with the last fen
issued, and goes with a raised budget.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.kit import own_reasons
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Forbidden, NotFound
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import AccountKey, Purpose, Transfer, TransferKind, TransferReason
from exchange.participants.models import EXCHANGE_ID
from exchange.programmes import store
from exchange.programmes.models import Programme, ProgrammeStatus
from exchange.programmes.rules import may_see
from exchange.programmes.step_models import ProgrammeStep

ISSUED_REASON: Final = own_reasons.text("budget_issued")
RAISED_REASON: Final = own_reasons.text("budget_raised")

_AUDIT_CODES: Final[Mapping[ProgrammeStatus, str]] = {
    ProgrammeStatus.OPEN: "POPN",
    ProgrammeStatus.EXHAUSTED: "PEXH",
    ProgrammeStatus.CLOSED: "PCLO",
}
"""The code of the audit record of a step, by where it leads."""


async def lock_visible_programme(
    connection: Connection, principal: Principal, programme_id: int, now_us: int
) -> Programme:
    """Lock a programme until the transaction ends and return it; `NotFound` where the principal sees none."""
    programme = await store.lock_programme(connection, programme_id, now_us)
    if programme is None or not may_see(programme, principal):
        raise NotFound(detail="there is no such programme")
    return programme


async def lock_own_programme(
    connection: Connection, principal: Principal, programme_id: int, now_us: int, does: str
) -> Programme:
    """Lock one of the principal's programmes until the transaction ends, and return it.

    Raises `NotFound` where there is none that it may see, and `Forbidden`, which says what only the issuer
    `does`, for one of another's.
    """
    programme = await lock_visible_programme(connection, principal, programme_id, now_us)
    if programme.issuer_id != principal.participant_id:
        raise Forbidden(detail=f"only a programme's issuer {does}")
    return programme


async def record_step(
    connection: Connection,
    principal: Principal | None,
    programme: Programme,
    to_status: ProgrammeStatus,
    reason: str,
    now_us: int,
) -> ProgrammeStep:
    """Store a step of a locked programme, which the caller's next statement must follow.

    Without a principal it is the exchange's own. Raises the database's error where the step does not begin
    where the programme stands.
    """
    closes = to_status is ProgrammeStatus.CLOSED
    step = ProgrammeStep(
        programme_id=programme.id,
        number=programme.step_count + 1,
        from_status=programme.status,
        to_status=to_status,
        actor_role="exchange" if principal is None else "issuer",
        actor_id=EXCHANGE_ID if principal is None else principal.participant_id,
        returned_fen=programme.unissued_fen if closes else 0,
        reason=reason,
        stepped_at_us=now_us,
    )
    await store.insert_programme_step(connection, step)
    record = AuditRecord(
        code=_AUDIT_CODES[to_status],
        event_at_us=now_us,
        actor_participant_id=None if principal is None else principal.participant_id,
        key_id=None if principal is None else principal.key_id,
        participant_id=programme.issuer_id,
        subject_id=programme.id,
        detail={"from": step.from_status, "reason": reason, "returned_fen": step.returned_fen},
    )
    await insert_audit_records(connection, [record])
    return step


async def change_budget(
    connection: Connection, programme: Programme, budget_fen: int, now_us: int
) -> Programme:
    """Give a locked programme the budget that its newest version says, and return it.

    It is at least what is issued, and the programme not closed. A draft has nothing booked. Otherwise the
    difference comes from the source or goes back to it, and the programme is exhausted or open as the new
    budget says.
    """
    changed = msgspec.structs.replace(programme, budget_fen=budget_fen)
    if programme.status is not ProgrammeStatus.DRAFT:
        to_status = ProgrammeStatus.OPEN if changed.unissued_fen else ProgrammeStatus.EXHAUSTED
        if to_status is not programme.status:
            reason = RAISED_REASON if changed.unissued_fen else ISSUED_REASON
            step = await record_step(connection, None, programme, to_status, reason, now_us)
            changed = msgspec.structs.replace(changed, status=to_status, step_count=step.number)
    await store.set_budget(connection, changed)
    if programme.status is not ProgrammeStatus.DRAFT:
        await move_budget(connection, programme, budget_fen - programme.budget_fen, now_us)
    return changed


async def book_budget(connection: Connection, programme: Programme, now_us: int) -> None:
    """Open the issuer's accounts in the programme's asset and put the whole budget in one of them."""
    issuer_id, asset = programme.issuer_id, programme.asset
    await ledger.open_account(
        connection, issuer_id, asset, Purpose.PROGRAMME_SOURCE, allows_overdraft=True, at_us=now_us
    )
    keys = [AccountKey(issuer_id, asset, purpose) for purpose in (Purpose.BUDGET, Purpose.REDEEMED)]
    await ledger.ensure_accounts(connection, keys, now_us)
    await move_budget(connection, programme, programme.budget_fen, now_us)


async def move_budget(connection: Connection, programme: Programme, amount_fen: int, now_us: int) -> None:
    """Move an amount from the programme's source to its budget account, a negative one back."""
    if not amount_fen:
        return
    source = AccountKey(programme.issuer_id, programme.asset, Purpose.PROGRAMME_SOURCE)
    budget = AccountKey(programme.issuer_id, programme.asset, Purpose.BUDGET)
    accounts = await ledger.ensure_accounts(connection, [source, budget], now_us)
    comes = amount_fen > 0
    transfer = Transfer(
        group_id=new_id(),
        kind=TransferKind.POSTED,
        reason=TransferReason.PROGRAMME_BUDGET if comes else TransferReason.PROGRAMME_BUDGET_RETURN,
        asset=programme.asset,
        debit_account_id=accounts[source if comes else budget],
        credit_account_id=accounts[budget if comes else source],
        amount_fen=abs(amount_fen),
        subject_id=programme.id,
    )
    await ledger.post(connection, [transfer], now_us)
