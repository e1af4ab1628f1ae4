"""Programmes: created from posted rules, given further versions of them, listed.

Everyone with a key may read a programme; only an issuer makes one, and only its own issuer changes it.
Creation opens the programme's asset and the issuer's three accounts in it and books the whole budget, so that
no voucher can ever be issued beyond it. A version is never changed: a further one begins now or later, and
after all others.

Known limit: a programme's budget is set when it is made; further versions repeat it.
"""

import datetime as dt
from typing import Final

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.database import Connection, UniqueViolation
from exchange.kit.errors import Conflict, Faults, Forbidden, NotFound
from exchange.kit.fields import time_us
from exchange.kit.ids import decode_id, new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import AccountKey, Purpose, Transfer, TransferKind, TransferReason
from exchange.participants import service as participants
from exchange.participants.models import ParticipantKind
from exchange.products.service import load_products
from exchange.vouchers import store
from exchange.vouchers.facts import date_begins_us
from exchange.vouchers.models import ID_MAX
from exchange.vouchers.programme_models import (
    NewProgramme,
    NewVersion,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    RulesVersion,
)
from exchange.vouchers.programme_rules import DATE_MAX, Known, find_rule_faults
from exchange.vouchers.rules import asset_of

VERSION_FIRST: Final = 1
TIME_END_US: Final = date_begins_us(DATE_MAX + dt.timedelta(days=1))
"""Rules begin and end before this."""


async def create_programme(
    connection: Connection, principal: Principal, new: NewProgramme, now_us: int, faults: Faults | None = None
) -> Programme:
    """Store a programme, open for issuance while rules of it are in force, and book its budget.

    Refuses rules that cannot be evaluated or are not obeyed yet, with every fault at once; `faults` are those
    already found while the body was read. Raises `Forbidden` for anyone but an issuer, `Conflict` where the
    code is taken.
    """
    if principal.kind != ParticipantKind.ISSUER:
        raise Forbidden(detail="only an issuer makes a programme")
    faults = Faults() if faults is None else faults
    version = await _read_version(connection, new, VERSION_FIRST, now_us, now_us, faults)
    programme_id = new_id()
    programme = Programme(
        id=programme_id,
        ordinal=0,
        issuer_id=principal.participant_id,
        code=new.code,
        name=new.name,
        asset=asset_of(programme_id),
        status=ProgrammeStatus.OPEN,
        budget_fen=new.rules.budget_fen,
        issued_fen=0,
        created_at_us=now_us,
        version_last=VERSION_FIRST,
        version=version,
    )
    await ledger.create_asset(connection, programme.asset, now_us)
    try:
        ordinal = await store.insert_programme(connection, programme)
    except UniqueViolation as error:
        raise Conflict("already_exists", f"a programme with the code {new.code} exists already") from error
    await _book_budget(connection, programme, now_us)
    detail = {"code": new.code, "budget_fen": programme.budget_fen}
    await _record(connection, principal, programme, version, detail, now_us)
    return msgspec.structs.replace(programme, ordinal=ordinal)


async def add_version(
    connection: Connection,
    principal: Principal,
    programme_id: int,
    new: NewVersion,
    now_us: int,
    faults: Faults | None = None,
) -> RulesVersion:
    """Give a programme further rules, in force at once or from a later time on.

    What was held and issued before keeps the version it was held and issued under. Raises `NotFound`,
    `Forbidden` for anyone but the programme's issuer, and `InvalidInput` with every fault.
    """
    programme = await store.lock_programme(connection, programme_id, now_us)
    if programme is None:
        raise NotFound(detail="there is no such programme")
    if programme.issuer_id != principal.participant_id:
        raise Forbidden(detail="only a programme's issuer changes its rules")
    faults = Faults() if faults is None else faults
    [(_, _, _, _, versions)] = await store.all_versions(connection, programme_id)
    newest = versions[-1]
    if isinstance(new.rules, ProgrammeRules):
        _find_budget_fault(programme, new.rules, faults)
    least_us = max(now_us, newest.effective_from_us + 1)
    version = await _read_version(connection, new, newest.number + 1, now_us, least_us, faults)
    await store.insert_version(connection, programme_id, version)
    await _record(connection, principal, programme, version, {"code": programme.code}, now_us)
    return version


def _find_budget_fault(programme: Programme, rules: ProgrammeRules, faults: Faults) -> None:
    if rules.budget_fen != programme.budget_fen:
        rule = f"must stay {programme.budget_fen}: a change of the budget is not supported yet"
        faults.add("/rules/budget_fen", "not_supported_yet", rule, rules.budget_fen)


async def _read_version(
    connection: Connection, new: NewVersion, number: int, now_us: int, least_us: int, faults: Faults
) -> RulesVersion:
    """Return posted rules as a version that begins at `least_us` or later, or raise every fault."""
    if isinstance(new.rules, ProgrammeRules):  # not so where the rules themselves were at fault
        products = await load_products(connection)
        known = Known(
            accelerators={each.accelerator_id for each in products}, hubs={each.hub_code for each in products}
        )
        find_rule_faults(new.rules, faults, known)
        await _find_stranger_faults(connection, new.rules, faults)
    from_us = time_us(faults, "/effective_from", new.effective_from)
    until_us = time_us(faults, "/effective_until", new.effective_until)
    if new.effective_from is None:
        from_us = max(now_us, least_us)
    elif from_us is not None and from_us < least_us:
        rule = f"must not lie before {format_rfc3339(least_us)}: rules never change for what has been"
        faults.add("/effective_from", "in_past", rule, new.effective_from)
    _find_far_fault("/effective_from", new.effective_from, from_us, faults)
    _find_far_fault("/effective_until", new.effective_until, until_us, faults)
    if from_us is not None and until_us is not None and until_us <= from_us:
        rule = "must be later than the time from which the rules are in force"
        faults.add("/effective_until", "window_inverted", rule, new.effective_until)
    if faults or from_us is None:
        raise faults.refusal()
    return RulesVersion(
        number=number, effective_from_us=from_us, effective_until_us=until_us, rules=new.rules
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
        detail={**detail, "version": version.number, "effective_from_us": version.effective_from_us},
    )
    await insert_audit_records(connection, [record])


async def _find_stranger_faults(connection: Connection, rules: ProgrammeRules, faults: Faults) -> None:
    """Record every admitted provider that is not a provider of this exchange."""
    ids = {index: decode_id("par", text) for index, text in enumerate(rules.provider.admitted)}
    known = await participants.participants_by_ids(
        connection, {each for each in ids.values() if each is not None}
    )
    for index, participant_id in ids.items():
        if participant_id is None:
            continue
        found = known.get(participant_id)
        if found is None or found.kind is not ParticipantKind.PROVIDER:
            where = f"/rules/provider/admitted/{index}"
            faults.add(
                where, "not_a_provider", "is not a provider of this exchange", rules.provider.admitted[index]
            )


async def _book_budget(connection: Connection, programme: Programme, now_us: int) -> None:
    """Open the issuer's accounts in the programme's asset and put the whole budget in one of them."""
    issuer_id, asset = programme.issuer_id, programme.asset
    source_id = await ledger.open_account(
        connection, issuer_id, asset, Purpose.PROGRAMME_SOURCE, allows_overdraft=True, at_us=now_us
    )
    budget = AccountKey(issuer_id, asset, Purpose.BUDGET)
    redeemed = AccountKey(issuer_id, asset, Purpose.REDEEMED)
    opened = await ledger.ensure_accounts(connection, [budget, redeemed], now_us)
    transfer = Transfer(
        group_id=programme.id,
        kind=TransferKind.POSTED,
        reason=TransferReason.PROGRAMME_BUDGET,
        asset=asset,
        debit_account_id=source_id,
        credit_account_id=opened[budget],
        amount_fen=programme.budget_fen,
        subject_id=programme.id,
    )
    await ledger.post(connection, [transfer], now_us)


async def list_programmes(
    connection: Connection, at_us: int, *, before_id: int = ID_MAX, code: str | None = None, limit: int
) -> list[Programme]:
    """Return programmes created before one, newest first, with their rules at a time."""
    return await store.page_of_programmes(connection, at_us, before_id=before_id, code=code, limit=limit)


async def get_programme(connection: Connection, programme_id: int, at_us: int) -> Programme:
    """Return one programme with its rules at a time, or raise `NotFound`."""
    programme = await store.programme_by_id(connection, programme_id, at_us)
    if programme is None:
        raise NotFound(detail="there is no such programme")
    return programme


async def list_versions(connection: Connection, programme_id: int) -> tuple[RulesVersion, ...]:
    """Return every version of a programme's rules, oldest first, or raise `NotFound`."""
    found = await store.all_versions(connection, programme_id)
    if not found:
        raise NotFound(detail="there is no such programme")
    return found[0][4]
