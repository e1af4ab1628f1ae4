"""Applications: companies apply, issuers decide one by one, the venue decides what the rules leave to it.

The life is told in `models`. An approval issues its voucher in the same transaction, by the
functions that issue one directly. All run inside the caller's transaction; none commits.

Locks: whatever may issue takes the programme first, then applications in order of ids; a step that issues
nothing takes its application alone. Under the programme's lock budget, caps and rules stand still.

Allocation by score is in `allocation`.
"""

from collections.abc import Sequence

import msgspec

from exchange.applications import store
from exchange.applications.models import (
    ApplicantRole,
    Application,
    ApplicationStatus,
    ApplicationStep,
    WantedStep,
)
from exchange.applications.rules import (
    AUDIT_CODES,
    STEPS,
    find_blank_fault,
    find_step_faults,
    goes_at_once,
    role_of,
    steps_of,
    window_objections,
)
from exchange.kit import own_reasons
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict, Fault, Faults, Forbidden, InvalidInput, NotFound
from exchange.kit.fields import format_cny
from exchange.kit.ids import ID_MAX, new_id
from exchange.participants.models import EXCHANGE_ID, ParticipantKind
from exchange.participants.service import get_participant, key_root
from exchange.programmes.models import Programme
from exchange.programmes.service import get_programme
from exchange.programmes.steps import lock_visible_programme
from exchange.vouchers.issue_rules import issue_objections, needs_committee, refuse_if_any
from exchange.vouchers.rules import sight_of
from exchange.vouchers.service import company_standings, issue_vouchers, objections_to

_S = ApplicationStatus
_DECIDED = frozenset({_S.APPROVED, _S.REJECTED, _S.WITHDRAWN})


async def apply(
    connection: Connection,
    principal: Principal,
    programme_id: int,
    amount_fen: int,
    purpose: str,
    now_us: int,
) -> Application:
    """Submit an application of the principal, a buyer; it is approved at once where the rules say so.

    Raises `Forbidden` (wrong_role), `NotFound`, `InvalidInput` for a blank purpose, and `Conflict` naming all
    for which it could not be granted now: buyer_not_eligible, programme_not_open, no_window_open,
    yearly_cap_exceeded, budget_exhausted.
    """
    if principal.kind != ParticipantKind.BUYER:
        raise Forbidden("wrong_role", "only a buyer applies for vouchers")
    faults = Faults()
    find_blank_fault(faults, "/purpose", purpose)
    faults.raise_if_any()
    programme = await lock_visible_programme(connection, principal, programme_id, now_us)
    buyer = await get_participant(connection, principal.participant_id)
    rules = programme.rules
    standings = await company_standings(connection, {programme.id: rules}, [buyer.id], now_us)
    standing = standings[programme.id, buyer.id]
    objections = issue_objections(programme, buyer, standing, amount_fen, now_us)
    refuse_if_any([*objections, *window_objections(rules, now_us)])
    application = Application(
        id=new_id(),
        programme_id=programme_id,
        programme_code=programme.code,
        programme_version=programme.version.number,
        issuer_id=programme.issuer_id,
        buyer_id=buyer.id,
        buyer_name=buyer.name,
        amount_fen=amount_fen,
        purpose=purpose,
        submitted_at_us=now_us,
    )
    await store.insert_application(connection, application)
    detail: dict[str, object] = {
        "programme_id": programme_id,
        "programme_version": application.programme_version,
        "amount_fen": amount_fen,
    }
    await insert_audit_records(connection, [_record("APPS", application, principal, now_us, detail)])
    if rules.allocation == "scored" or not goes_at_once(rules, standing, amount_fen):
        return application
    below_cny = format_cny(rules.review.auto_below_fen or 0)
    reason = own_reasons.text("below_review", below_cny=below_cny)
    return await _grant(connection, None, programme, application, amount_fen, reason, now_us)


async def take_step(
    connection: Connection, principal: Principal, application_id: int, wanted: WantedStep, now_us: int
) -> Application:
    """Approve, reject or withdraw an application; an approval may bring it to its committee first.

    Raises `NotFound` for a stranger, `Forbidden` where the step is never the principal's, `InvalidInput` for
    a missing reason or more than was asked, and `Conflict`: state_conflict, allocated_by_score,
    second_key_needed, or what keeps the voucher from being issued now.
    """
    seen, role = await _find(connection, principal, application_id)
    to = wanted.to_status
    if to not in _DECIDED & steps_of(role):
        raise Forbidden(detail=f"an application's {role.value} does not bring it to {to.value}")
    faults = Faults()
    find_step_faults(to, wanted.reason, has_amount=wanted.amount_fen is not None, faults=faults)
    faults.raise_if_any()
    if to is _S.APPROVED:
        return await _approve(connection, principal, seen, wanted, now_us)
    application = await _lock(connection, application_id, to, role)
    stepped = stepped_to(application, to, wanted.reason, now_us)
    await record_steps(connection, principal, role, [(application, stepped)], now_us)
    return stepped


async def _approve(
    connection: Connection, principal: Principal, seen: Application, wanted: WantedStep, now_us: int
) -> Application:
    programme = await lock_visible_programme(connection, principal, seen.programme_id, now_us)
    application = await _lock(connection, seen.id, _S.APPROVED, ApplicantRole.ISSUER)
    if programme.rules.allocation == "scored" and application.status is not _S.IN_COMMITTEE:
        detail = "the programme's applications are granted by score: score it, then allocate"
        raise Conflict("allocated_by_score", detail)
    most_fen = application.approved_fen or application.amount_fen
    amount_fen = wanted.amount_fen or most_fen
    if amount_fen > most_fen:
        which = "was asked" if application.approved_fen is None else "the first key approved"
        detail = f"must be at most {format_cny(most_fen)}, which {which}"
        fault = Fault("/amount_cny", "out_of_range", detail, format_cny(amount_fen))
        raise InvalidInput(detail=f"{fault.pointer} {detail}", errors=[fault])
    if application.status is _S.IN_COMMITTEE:
        await _must_be_another_key(connection, principal, application)
    buyer = await get_participant(connection, application.buyer_id)
    refuse_if_any(await objections_to(connection, programme, buyer, amount_fen, now_us))
    if application.status is _S.SUBMITTED and needs_committee(programme.rules, amount_fen):
        stepped = stepped_to(application, _S.IN_COMMITTEE, wanted.reason, now_us, approved_fen=amount_fen)
        await record_steps(connection, principal, ApplicantRole.ISSUER, [(application, stepped)], now_us)
        return stepped
    return await _grant(connection, principal, programme, application, amount_fen, wanted.reason, now_us)


async def _must_be_another_key(
    connection: Connection, principal: Principal, application: Application
) -> None:
    steps = await store.steps_of_application(connection, application.id, 0, application.step_count)
    approved_by = [step.key_id for step in steps if step.to_status is _S.IN_COMMITTEE and step.key_id]
    root_id = await key_root(connection, principal.key_id)
    if any([await key_root(connection, key_id) == root_id for key_id in approved_by]):
        detail = (
            "this key, or one of the same root, approved it before: an amount as large needs a second key of "
            "the issuer, which the first one did not make"
        )
        raise Conflict("second_key_needed", detail)


async def _grant(
    connection: Connection,
    principal: Principal | None,
    programme: Programme,
    application: Application,
    amount_fen: int,
    reason: str,
    now_us: int,
) -> Application:
    """Issue the voucher of a locked application and approve it; without a principal as the venue itself."""
    grants = [(application.buyer_id, amount_fen)]
    [voucher] = await issue_vouchers(connection, principal, programme, grants, now_us)
    stepped = stepped_to(
        application, _S.APPROVED, reason, now_us, approved_fen=amount_fen, voucher_id=voucher.id
    )
    role = ApplicantRole.EXCHANGE if principal is None else ApplicantRole.ISSUER
    await record_steps(connection, principal, role, [(application, stepped)], now_us)
    return stepped


async def score_application(
    connection: Connection, principal: Principal, application_id: int, score: int, reason: str, now_us: int
) -> Application:
    """Give a submitted application a score, in place of an earlier one.

    Raises `NotFound` for a stranger, `Forbidden` for its company, `InvalidInput` for a blank reason,
    `Conflict` where it is decided or its programme does not allocate by score.
    """
    seen, role = await _find(connection, principal, application_id)
    if role is not ApplicantRole.ISSUER:
        raise Forbidden(detail="only a programme's issuer scores its applications")
    faults = Faults()
    find_blank_fault(faults, "/reason", reason)
    faults.raise_if_any()
    programme = await get_programme(connection, seen.programme_id, now_us, principal)
    if programme.rules.allocation != "scored":
        raise Conflict(detail="the programme does not allocate by score")
    application = await _lock(connection, application_id, _S.SUBMITTED, role)
    stepped = stepped_to(application, _S.SUBMITTED, reason, now_us, score=score)
    await record_steps(connection, principal, role, [(application, stepped)], now_us)
    return stepped


async def list_applications(
    connection: Connection,
    principal: Principal,
    *,
    programme_id: int | None = None,
    status: ApplicationStatus | None = None,
    application_id: int | None = None,
    before_id: int = ID_MAX,
    limit: int,
) -> list[Application]:
    """Return the applications a principal may see (`rules.sight_of`), newest first."""
    sight = sight_of(principal, ParticipantKind.BUYER)
    if sight is None:
        return []
    return await store.page_of_applications(
        connection,
        buyer_id=sight.party_id,
        issuer_id=sight.issuer_id,
        programme_id=programme_id,
        status=status,
        application_id=application_id,
        before_id=before_id,
        limit=limit,
    )


async def get_application(connection: Connection, principal: Principal, application_id: int) -> Application:
    """Return one application that the principal may see, or raise `NotFound`."""
    found = await list_applications(connection, principal, application_id=application_id, limit=1)
    if not found:
        raise NotFound(detail="there is no such application")
    return found[0]


async def list_steps(
    connection: Connection, principal: Principal, application_id: int, *, after: int = 0, limit: int
) -> Sequence[ApplicationStep]:
    """Return the history of a visible application, in order, after the step of a number."""
    await get_application(connection, principal, application_id)
    return await store.steps_of_application(connection, application_id, after, limit)


async def _find(
    connection: Connection, principal: Principal, application_id: int
) -> tuple[Application, ApplicantRole]:
    """Return an application as it is before any lock, and as whom the principal may act on it."""
    application = await get_application(connection, principal, application_id)
    role = role_of(application, principal.participant_id)
    if role is None:
        raise NotFound(detail="there is no such application")
    return application, role


async def _lock(
    connection: Connection, application_id: int, to: ApplicationStatus, role: ApplicantRole
) -> Application:
    """Return an application, locked, if a role may bring it to a state now."""
    application = await store.lock_application(connection, application_id)
    if application is None:
        raise NotFound(detail="there is no such application")
    if role not in STEPS.get((application.status, to), ()):
        what = "be scored" if to is _S.SUBMITTED else f"become {to.value}"
        raise Conflict(detail=f"the application is {application.status.value}, and cannot {what}")
    return application


def stepped_to(
    application: Application,
    to: ApplicationStatus,
    reason: str,
    now_us: int,
    *,
    approved_fen: int | None = None,
    voucher_id: int | None = None,
    score: int | None = None,
) -> Application:
    """Return an application after a step."""
    return msgspec.structs.replace(
        application,
        status=to,
        step_count=application.step_count + 1,
        reason=reason,
        approved_fen=approved_fen,
        voucher_id=voucher_id,
        score=application.score if score is None else score,
        decided_at_us=now_us if to in _DECIDED else None,
    )


async def record_steps(
    connection: Connection,
    principal: Principal | None,
    role: ApplicantRole,
    pairs: Sequence[tuple[Application, Application]],
    now_us: int,
) -> None:
    """Store a step of each of some locked applications, as (before, after), and themselves after it."""
    if not pairs:
        return
    steps = [
        ApplicationStep(
            application_id=after.id,
            number=after.step_count,
            from_status=before.status,
            to_status=after.status,
            actor_role=role,
            actor_id=EXCHANGE_ID if principal is None else principal.participant_id,
            key_id=None if principal is None else principal.key_id,
            amount_fen=after.approved_fen,
            score=after.score if after.status is _S.SUBMITTED else None,
            reason=after.reason,
            stepped_at_us=now_us,
        )
        for before, after in pairs
    ]
    await store.insert_application_steps(connection, steps, now_us)
    await store.save_applications(connection, [after for _, after in pairs], now_us)
    records = []
    for (before, after), step in zip(pairs, steps, strict=True):
        told = {"number": step.number, "from": before.status, "reason": step.reason}
        facts = {"amount_fen": step.amount_fen, "score": step.score, "voucher_id": after.voucher_id}
        known = {name: value for name, value in facts.items() if value is not None}
        detail = {"programme_id": after.programme_id, **told, **known}
        records.append(_record(AUDIT_CODES[after.status], after, principal, now_us, detail))
    await insert_audit_records(connection, records)


def _record(
    code: str, application: Application, principal: Principal | None, now_us: int, detail: dict[str, object]
) -> AuditRecord:
    return AuditRecord(
        code=code,
        event_at_us=now_us,
        actor_participant_id=EXCHANGE_ID if principal is None else principal.participant_id,
        key_id=None if principal is None else principal.key_id,
        participant_id=application.buyer_id,
        subject_id=application.id,
        detail=detail,
    )
