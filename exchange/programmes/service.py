"""Programmes: created from posted rules, given further versions of them, listed.

Everyone with a key may read a programme, but for drafts; only an issuer makes one, and only its own issuer
changes it. Opening books the whole budget (`steps`), so that no voucher can ever be issued beyond
it; a programme that is made no draft is open at once.

A version is never changed: a further one begins now or later, whatever else is scheduled, and from then on
all with a lower number are superseded. So a hole in the rules can be closed at any time; what is scheduled
then and still wanted is posted again.

The budget is the programme's: what the newest version that began when it was posted said. A version that
begins later repeats the budget it finds. Where the budget changes after that, the version that changes it
supersedes the scheduled one, so the rules in force always say the budget that there is.
"""

import datetime as dt
from typing import Final

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.clock import date_begins_us, format_rfc3339
from exchange.kit.database import Connection, UniqueViolation
from exchange.kit.errors import Conflict, Faults, Forbidden, NotFound
from exchange.kit.fields import time_us
from exchange.kit.ids import ID_MAX, decode_id, new_id
from exchange.kit.names import check_name
from exchange.ledger import service as ledger
from exchange.participants import service as participants
from exchange.participants.models import ParticipantKind
from exchange.products.service import load_products
from exchange.programmes import store
from exchange.programmes.models import (
    VERSIONS_MAX,
    NewProgramme,
    NewVersion,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    RulesVersion,
)
from exchange.programmes.reach import Known
from exchange.programmes.rules import (
    DATE_MAX,
    admit_alike,
    asset_of,
    find_rule_faults,
    may_see,
    sees_all_drafts,
)
from exchange.programmes.steps import book_budget, change_budget, lock_own_programme

VERSION_FIRST: Final = 1
TIME_END_US: Final = date_begins_us(DATE_MAX + dt.timedelta(days=1))
"""Rules begin and end before this."""


async def create_programme(
    connection: Connection, principal: Principal, new: NewProgramme, now_us: int, faults: Faults | None = None
) -> Programme:
    """Store a programme, open for issuance while rules of it are in force, its budget booked; or a draft.

    Refuses rules that cannot be evaluated or are not obeyed yet, with every fault at once; `faults` are those
    already found while the body was read. Raises `Forbidden` for anyone but an issuer, `Conflict` where the
    code is taken.
    """
    if principal.kind != ParticipantKind.ISSUER:
        raise Forbidden(detail="only an issuer makes a programme")
    faults = Faults() if faults is None else faults
    check_name(faults, "/name", new.name)
    version = await _read_version(connection, new, VERSION_FIRST, now_us, faults)
    programme_id = new_id()
    programme = Programme(
        id=programme_id,
        issuer_id=principal.participant_id,
        code=new.code,
        name=new.name,
        asset=asset_of(programme_id),
        status=ProgrammeStatus.DRAFT if new.draft else ProgrammeStatus.OPEN,
        step_count=0,
        budget_fen=new.rules.budget_fen,
        issued_fen=0,
        created_at_us=now_us,
        version_last=VERSION_FIRST,
        version=version,
    )
    await ledger.create_asset(connection, programme.asset, now_us)
    try:
        await store.insert_programme(connection, programme)
    except UniqueViolation as error:
        raise Conflict("already_exists", f"a programme with the code {new.code} exists already") from error
    version = await store.insert_version(connection, programme_id, version, None)
    if not new.draft:
        await book_budget(connection, programme, now_us)
    detail = {"code": new.code, "budget_fen": programme.budget_fen, "status": programme.status}
    await _record(connection, principal, programme, version, detail, now_us)
    return msgspec.structs.replace(programme, version=version)


async def add_version(
    connection: Connection,
    principal: Principal,
    programme_id: int,
    new: NewVersion,
    now_us: int,
    faults: Faults | None = None,
) -> RulesVersion:
    """Give a programme further rules, in force at once or from a later time on, and with them its budget.

    What was held and issued before keeps the version it was held and issued under. Only rules that are in
    force at once may change the budget, never below what is issued. Raises `NotFound`, `Forbidden` for anyone
    but the programme's issuer, `Conflict` (too_many_versions), and `InvalidInput` with every fault.
    """
    programme = await lock_own_programme(connection, principal, programme_id, now_us, "changes its rules")
    faults = Faults() if faults is None else faults
    [(_, _, _, versions)] = await store.all_versions(connection, programme_id, with_drafts=True)
    newest = versions[-1]
    if newest.number >= VERSIONS_MAX:
        rule = f"the programme has {VERSIONS_MAX} versions, and can have no more: start another one"
        raise Conflict("too_many_versions", rule)
    version = await _read_version(connection, new, newest.number + 1, now_us, faults, programme)
    ordinal = newest.ordinal if admit_alike(newest.rules, version.rules) else None
    version = await store.insert_version(connection, programme_id, version, ordinal)
    detail: dict[str, object] = {"code": programme.code}
    if version.rules.budget_fen != programme.budget_fen:
        await change_budget(connection, programme, version.rules.budget_fen, now_us)
        detail |= {"budget_fen": version.rules.budget_fen, "budget_before_fen": programme.budget_fen}
    await _record(connection, principal, programme, version, detail, now_us)
    return version


def _find_budget_fault(
    programme: Programme, rules: ProgrammeRules, faults: Faults, *, begins_later: bool
) -> None:
    if rules.budget_fen == programme.budget_fen:
        return
    code, stays = "not_applicable", f"must stay {programme.budget_fen}"
    if programme.status is ProgrammeStatus.CLOSED:
        rule = f"{stays}: the programme is closed"
    elif begins_later:
        rule = f"{stays} in rules that begin later: the budget changes with rules in force at once"
    elif rules.budget_fen < programme.issued_fen:
        code, rule = "out_of_range", f"must be at least {programme.issued_fen}: so much is issued"
    else:
        return
    faults.add("/rules/budget_fen", code, rule, rules.budget_fen)


async def _read_version(
    connection: Connection,
    new: NewVersion,
    number: int,
    now_us: int,
    faults: Faults,
    programme: Programme | None = None,
) -> RulesVersion:
    """Return posted rules as a version that begins now or later, without its bit, or raise every fault.

    `programme` is the one that has versions already.
    """
    if isinstance(new.rules, ProgrammeRules):  # not so where the rules themselves were at fault
        find_rule_faults(new.rules, faults, Known(products=await load_products(connection)))
        await _find_stranger_faults(connection, new.rules, faults)
    from_us = time_us(faults, "/effective_from", new.effective_from)
    until_us = time_us(faults, "/effective_until", new.effective_until)
    if new.effective_from is None:
        from_us = now_us
    elif from_us is not None and from_us < now_us:
        rule = f"must not lie before {format_rfc3339(now_us)}: rules never change for what has been"
        faults.add("/effective_from", "in_past", rule, new.effective_from)
    _find_far_fault("/effective_from", new.effective_from, from_us, faults)
    _find_far_fault("/effective_until", new.effective_until, until_us, faults)
    if from_us is not None and until_us is not None and until_us <= from_us:
        rule = "must be later than the time from which the rules are in force"
        faults.add("/effective_until", "window_inverted", rule, new.effective_until)
    if programme is not None and isinstance(new.rules, ProgrammeRules):
        begins_later = from_us is not None and from_us > now_us
        _find_budget_fault(programme, new.rules, faults, begins_later=begins_later)
    if faults or from_us is None:
        raise faults.refusal()
    return RulesVersion(
        number=number, ordinal=0, effective_from_us=from_us, effective_until_us=until_us, rules=new.rules
    )


def _find_far_fault(pointer: str, text: str | None, at_us: int | None, faults: Faults) -> None:
    """Record a time so late that hardly a version could follow it."""
    if at_us is not None and text is not None and at_us >= TIME_END_US:
        faults.add(pointer, "out_of_range", f"must not lie after {DATE_MAX}", text)


async def _record(
    connection: Connection,
    principal: Principal,
    programme: Programme,
    version: RulesVersion,
    detail: dict[str, object],
    now_us: int,
) -> None:
    record = AuditRecord(
        code="PRGM",
        event_at_us=now_us,
        actor_participant_id=principal.participant_id,
        key_id=principal.key_id,
        participant_id=principal.participant_id,
        subject_id=programme.id,
        detail={
            **detail,
            "version": version.number,
            "effective_from_us": version.effective_from_us,
            "effective_until_us": version.effective_until_us,
            "rules": version.rules,
        },
    )
    await insert_audit_records(connection, [record])


async def _find_stranger_faults(connection: Connection, rules: ProgrammeRules, faults: Faults) -> None:
    """Record every admitted provider that is not a provider of this exchange."""
    ids = {index: decode_id("par", text) for index, text in enumerate(rules.provider.admitted)}
    known = await participants.participants_by_ids(
        connection, {each for each in ids.values() if each is not None}
    )
    provider = rules.provider
    if known and not any(
        provider.ownership in ("any", each.ownership)
        and (not provider.regions or each.region in provider.regions)
        for each in known.values()
    ):
        rule = "can never be paid: none of them has the ownership and is of the regions that are asked for"
        faults.add("/rules/provider/admitted", "not_applicable", rule)
    for index, participant_id in ids.items():
        if participant_id is None:
            continue
        found = known.get(participant_id)
        if found is None or found.kind is not ParticipantKind.PROVIDER:
            where = f"/rules/provider/admitted/{index}"
            faults.add(
                where, "not_a_provider", "is not a provider of this exchange", rules.provider.admitted[index]
            )


async def list_programmes(
    connection: Connection,
    at_us: int,
    *,
    before_id: int = ID_MAX,
    code: str | None = None,
    viewer: Principal | None = None,
    limit: int,
) -> list[Programme]:
    """Return programmes created before one that `viewer` may see, newest first, with rules at a time."""
    return await store.page_of_programmes(
        connection,
        at_us,
        before_id=before_id,
        code=code,
        with_drafts=sees_all_drafts(viewer),
        issuer_id=None if viewer is None else viewer.participant_id,
        limit=limit,
    )


async def get_programme(
    connection: Connection, programme_id: int, at_us: int, viewer: Principal | None = None
) -> Programme:
    """Return one programme that `viewer` may see, with its rules at a time, or raise `NotFound`."""
    programme = await store.programme_by_id(connection, programme_id, at_us)
    if programme is None or not may_see(programme, viewer):
        raise NotFound(detail="there is no such programme")
    return programme


async def list_versions(
    connection: Connection, programme_id: int, viewer: Principal | None = None
) -> tuple[RulesVersion, ...]:
    """Return every version of a programme's rules, oldest first, or raise `NotFound`, as `get_programme`."""
    await get_programme(
        connection, programme_id, 0, viewer
    )  # whether it may be seen is the same at all times
    [(_, _, _, versions)] = await store.all_versions(connection, programme_id, with_drafts=True)
    return versions
