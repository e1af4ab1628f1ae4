"""Use cases of surveillance: alerts and their cases, and the rules. Each runs in its caller's transaction.

Whoever has the scope `audit` reads and writes notes; only a regulator takes an alert under review, closes it,
or changes the rules. The operator is among those who are watched, so its part is to explain, by notes.
"""

from typing import Final

from exchange.alerts import rules, store
from exchange.alerts.models import (
    AlertDetail,
    AlertFilter,
    AlertView,
    NewAlertRules,
    StoredRules,
)
from exchange.alerts.thresholds import default_rules
from exchange.kit import own_reasons
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.clock import us_of
from exchange.kit.database import Connection, Record
from exchange.kit.errors import Conflict, Faults, Forbidden, NotFound
from exchange.participants.models import EXCHANGE_ID, ParticipantKind

_CODES: Final[dict[rules.Kind, str]] = {"review": "ALRV", "close": "ALCL", "note": "ALNT"}
VERSIONS_MAX: Final = 1_000


async def begin(connection: Connection, now_us: int) -> None:
    """Store what surveillance needs, where it is not there: the shipped rules as version 1, and its position.

    Version 1 is in force from the beginning.
    """
    await store.make_position(connection)
    shipped = StoredRules(
        version=1,
        effective_from_us=0,
        reason=own_reasons.text("shipped_rules"),
        changed_by=EXCHANGE_ID,
        key_id=None,
        changed_at_us=0,
        rules=default_rules(),
    )
    if await store.insert_rules(connection, shipped):
        record = AuditRecord(
            code="ALRU",
            event_at_us=now_us,
            actor_participant_id=EXCHANGE_ID,
            participant_id=EXCHANGE_ID,
            subject_id=shipped.version,
            detail=_told(shipped),
        )
        await insert_audit_records(connection, [record])


def _told(stored: StoredRules) -> dict[str, object]:
    """Return what the record says of a version of the rules: all of it, so that it can be rebuilt."""
    return {
        "version": stored.version,
        "effective_from_us": stored.effective_from_us,
        "changed_at_us": stored.changed_at_us,
        "reason": stored.reason,
        "rules": stored.rules,
    }


async def list_alerts(
    connection: Connection, wanted: AlertFilter, before: tuple[int, int] | None, limit: int
) -> list[tuple[tuple[int, int], AlertView]]:
    """Return alerts before a place (time found in microseconds, id), newest first, each with its own."""
    return [
        ((us_of(row["found_at"]), row["id"]), rules.alert_view(row))
        for row in await store.alerts_before(connection, wanted, before, limit)
    ]


async def get_alert(connection: Connection, alert_id: int) -> AlertDetail:
    """Return an alert with what it rests on and its case; raises `NotFound`."""
    return await _detail(connection, await store.alert_by_id(connection, alert_id))


async def _detail(connection: Connection, row: Record | None) -> AlertDetail:
    if row is None:
        raise NotFound(detail="no such alert")
    stored = await store.rules_version(connection, row["rules_version"])
    if stored is None:
        raise AssertionError("an alert's rules are stored")
    records = await store.records_by_ids(connection, row["record_ids"])
    steps = await store.steps_of_alert(connection, row["id"])
    return rules.alert_detail(row, stored.rules, records, steps)


async def take_step(
    connection: Connection, principal: Principal, alert_id: int, kind: rules.Kind, text: str, now_us: int
) -> AlertDetail:
    """Take the next step of an alert's case and return the alert.

    Raises `NotFound`, `Forbidden` (wrong_role) where only a regulator may, and `Conflict` (alert_not_there).
    """
    row = await store.lock_alert(connection, alert_id)
    if row is None:
        raise NotFound(detail="no such alert")
    if kind != "note":
        must_be_regulator(principal)
    step = rules.step_of(
        row, kind, text=text, actor_id=principal.participant_id, key_id=principal.key_id, now_us=now_us
    )
    await store.insert_step(connection, alert_id, step)
    await store.set_status(connection, alert_id, step)
    detail = {"alert_id": alert_id, "number": step.number, "status": step.to_status, "text": text}
    await _record(connection, principal, _CODES[kind], alert_id, detail, now_us)
    return await get_alert(connection, alert_id)


async def list_rules(connection: Connection, before_version: int, limit: int) -> list[StoredRules]:
    """Return versions of the rules below a number, newest first."""
    return await store.rules_before(connection, before_version, limit)


async def add_rules(
    connection: Connection, principal: Principal, new: NewAlertRules, now_us: int, faults: Faults
) -> StoredRules:
    """Store a version of the rules; `faults` are those already found while the body was read.

    Raises `Forbidden` (wrong_role) for anyone but a regulator, and `InvalidInput` with every fault.
    """
    must_be_regulator(principal)
    from_us = rules.read_new_rules(new, now_us, faults)
    faults.raise_if_any()
    await store.lock_rules(connection)
    version = len(await store.rules_versions(connection)) + 1
    if version > VERSIONS_MAX:
        raise Conflict(detail=f"there are {VERSIONS_MAX} versions of the rules, which is all there can be")
    stored = StoredRules(
        version=version,
        effective_from_us=from_us,
        reason=new.reason,
        changed_by=principal.participant_id,
        key_id=principal.key_id,
        changed_at_us=now_us,
        rules=new.rules,
    )
    await store.insert_rules(connection, stored)
    await _record(connection, principal, "ALRU", version, _told(stored), now_us)
    return stored


def must_be_regulator(principal: Principal) -> None:
    """Raise `Forbidden` (wrong_role) for anyone but a regulator."""
    if principal.kind != ParticipantKind.REGULATOR:
        raise Forbidden(
            "wrong_role", "only a regulator reviews and closes alerts, and tries and changes their rules"
        )


async def _record(
    connection: Connection,
    principal: Principal,
    code: str,
    subject_id: int,
    detail: dict[str, object],
    now_us: int,
) -> None:
    record = AuditRecord(
        code=code,
        event_at_us=now_us,
        actor_participant_id=principal.participant_id,
        key_id=principal.key_id,
        participant_id=principal.participant_id,
        trade_group_id=principal.trade_group_id,
        subject_id=subject_id,
        detail=detail,
    )
    await insert_audit_records(connection, [record])
