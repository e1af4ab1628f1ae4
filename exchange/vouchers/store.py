"""The voucher tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.database import from_us, to_us
from exchange.kit.queries import load_queries
from exchange.vouchers.application_models import (
    ApplicantRole,
    Application,
    ApplicationStatus,
    ApplicationStep,
)
from exchange.vouchers.judgement import Standing
from exchange.vouchers.models import (
    ID_MAX,
    Balances,
    Capture,
    LockedVoucher,
    StepPlace,
    Voucher,
    VoucherStatus,
    VoucherStep,
)
from exchange.vouchers.programme_models import Programme, ProgrammeRules, ProgrammeStatus, RulesVersion
from exchange.vouchers.programme_step_models import ProgrammeStep

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.database import Connection, Record

QUERIES = load_queries("exchange.vouchers")
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


def _voucher(row: Record) -> Voucher:
    return Voucher(
        id=row["id"],
        programme_id=row["programme_id"],
        programme_code=row["programme_code"],
        programme_version=row["programme_version"],
        issuer_id=row["issuer_id"],
        buyer_id=row["buyer_id"],
        face_fen=row["face_fen"],
        status=VoucherStatus(row["status"]),
        issued_at_us=to_us(row["issued_at"]),
        expires_at_us=to_us(row["expires_at"]),
        balances=Balances(**{name: row[name] for name in Balances.__struct_fields__}),
    )


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


def _locked(row: Record) -> LockedVoucher:
    return LockedVoucher(
        voucher_id=row["id"],
        programme_id=row["programme_id"],
        buyer_id=row["buyer_id"],
        status=VoucherStatus(row["status"]),
        step_count=row["step_count"],
        account_id=row["account_id"],
        budget_account_id=row["budget_account_id"],
        asset=row["asset"],
        available_fen=row["available_fen"],
        expires_at_us=to_us(row["expires_at"]),
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
    connection: Connection, programme_id: int | None = None
) -> list[tuple[int, str, str, tuple[RulesVersion, ...]]]:
    """(id, code, name, versions in order) of one programme, or of all but drafts."""
    found: dict[int, tuple[str, str, list[RulesVersion]]] = {}
    for row in await connection.fetch(QUERIES.versions_of_programmes, programme_id):
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


async def standings(
    connection: Connection,
    programme_ids: Collection[int],
    buyer_id: int,
    *,
    year: int,
    year_from_us: int,
    year_until_us: int,
    counts_spend: bool,
) -> Mapping[int, Standing]:
    """How a company stands under some programmes in a calendar year; `spent_fen` is 0 unless counted."""
    rows = await connection.fetch(
        QUERIES.standings,
        list(programme_ids),
        buyer_id,
        year,
        from_us(year_from_us),
        from_us(year_until_us),
        counts_spend,
    )
    return {
        row["programme_id"]: Standing(
            issued_fen=row["issued_fen"],
            group_issued_fen=row["group_issued_fen"],
            spent_fen=row["spent_fen"],
            is_with_provider=row["is_with_provider"],
        )
        for row in rows
    }


async def insert_vouchers(
    connection: Connection,
    vouchers: Sequence[Voucher],
    *,
    account_ids: Sequence[int],
    escrow_account_ids: Sequence[int],
    year: int,
    cap_fen: int | None,
) -> None:
    """Store vouchers issued together, counted against their programme's budget and the buyers' caps."""
    first = vouchers[0]
    await connection.execute(
        QUERIES.insert_vouchers,
        [voucher.id for voucher in vouchers],
        [voucher.buyer_id for voucher in vouchers],
        [voucher.face_fen for voucher in vouchers],
        account_ids,
        escrow_account_ids,
        first.programme_id,
        first.programme_version,
        from_us(first.issued_at_us),
        from_us(first.expires_at_us),
        year,
        cap_fen,
    )


async def lock_vouchers(
    connection: Connection, buyer_ids: Collection[int], named_ids: Collection[int]
) -> list[Record]:
    """The vouchers of some buyers that can still pay or are named, accounts locked in order of ids."""
    return await connection.fetch(QUERIES.usable_vouchers, list(buyer_ids), list(named_ids))


async def vouchers_of_buyer(connection: Connection, buyer_id: int) -> list[Record]:
    """Every voucher of a buyer in the same form, nothing locked."""
    return await connection.fetch(QUERIES.vouchers_of_buyer, buyer_id)


async def lock_uses(
    connection: Connection, programme_ids: Collection[int], subject_ids: Collection[int], year: int
) -> Mapping[tuple[int, int], int]:
    """Fen that companies and trade groups use of programmes in a year, locked until the transaction ends.

    By (programme, company or group); those that use nothing yet are absent.
    """
    return _uses(await connection.fetch(QUERIES.lock_uses, list(programme_ids), list(subject_ids), year))


async def uses(
    connection: Connection, programme_ids: Collection[int], subject_ids: Collection[int], year: int
) -> Mapping[tuple[int, int], int]:
    """The same, nothing locked."""
    return _uses(await connection.fetch(QUERIES.uses, list(programme_ids), list(subject_ids), year))


def _uses(rows: Sequence[Record]) -> Mapping[tuple[int, int], int]:
    return {(row["programme_id"], row["subject_id"]): row["used_fen"] for row in rows}


async def page_of_vouchers(
    connection: Connection,
    *,
    before_id: int = ID_MAX,
    buyer_id: int | None = None,
    issuer_id: int | None = None,
    programme_id: int | None = None,
    voucher_id: int | None = None,
    limit: int,
) -> list[Voucher]:
    """Vouchers issued before one, newest first; None restricts nothing."""
    rows = await connection.fetch(
        QUERIES.page_of_vouchers, before_id, buyer_id, issuer_id, programme_id, voucher_id, limit
    )
    return [_voucher(row) for row in rows]


async def lock_due_vouchers(connection: Connection, now_us: int) -> list[LockedVoucher]:
    """Vouchers that are over and still count as current or have money free, locked with their accounts."""
    return [_locked(row) for row in await connection.fetch(QUERIES.lock_due_vouchers, from_us(now_us))]


async def lock_voucher(connection: Connection, voucher_id: int, issuer_id: int) -> LockedVoucher | None:
    """One voucher of an issuer's programmes, it and its account locked."""
    row = await connection.fetchrow(QUERIES.lock_voucher, voucher_id, issuer_id)
    return None if row is None else _locked(row)


async def insert_steps(connection: Connection, steps: Sequence[VoucherStep], at_us: int) -> None:
    """Store steps, at most one of each voucher; `follow_steps` must follow. One statement."""
    await connection.execute(
        QUERIES.insert_steps,
        [step.voucher_id for step in steps],
        [step.number for step in steps],
        [step.from_status.value for step in steps],
        [step.to_status.value for step in steps],
        [step.actor_role for step in steps],
        [step.actor_id for step in steps],
        [step.returned_fen for step in steps],
        [step.reason for step in steps],
        from_us(at_us),
    )


async def follow_steps(connection: Connection, steps: Sequence[VoucherStep]) -> None:
    """Bring vouchers to where the steps just stored lead. One statement."""
    await connection.execute(
        QUERIES.follow_steps,
        [step.voucher_id for step in steps],
        [step.number for step in steps],
        [step.to_status.value for step in steps],
    )


async def steps_of_voucher(
    connection: Connection, voucher_id: int, after: int, limit: int
) -> list[VoucherStep]:
    """Return the steps of a voucher after a number, in order."""
    rows = await connection.fetch(QUERIES.steps_of_voucher, voucher_id, after, limit)
    return [_step(row) for row in rows]


async def page_of_steps(
    connection: Connection,
    before: StepPlace,
    *,
    buyer_id: int | None = None,
    issuer_id: int | None = None,
    limit: int,
) -> list[VoucherStep]:
    """Return steps of vouchers before one, newest first; None restricts nothing."""
    rows = await connection.fetch(
        QUERIES.page_of_steps,
        from_us(before.stepped_at_us),
        before.voucher_id,
        before.number,
        buyer_id,
        issuer_id,
        limit,
    )
    return [_step(row) for row in rows]


def _step(row: Record) -> VoucherStep:
    return VoucherStep(
        voucher_id=row["voucher_id"],
        number=row["number"],
        from_status=VoucherStatus(row["from_status"]),
        to_status=VoucherStatus(row["to_status"]),
        actor_role=row["actor_role"],
        actor_id=row["actor_id"],
        returned_fen=row["returned_fen"],
        reason=row["reason"],
        stepped_at_us=to_us(row["stepped_at"]),
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


async def insert_captures(connection: Connection, captures: Sequence[Capture], at_us: int) -> None:
    """Store the voucher parts of delivered hours. One statement."""
    await connection.execute(
        QUERIES.insert_captures,
        [capture.lease_id for capture in captures],
        [capture.delivery_hour for capture in captures],
        [capture.voucher_id for capture in captures],
        [capture.programme_id for capture in captures],
        [capture.programme_version for capture in captures],
        [capture.provider_id for capture in captures],
        [capture.claimant_id for capture in captures],
        [capture.amount_fen for capture in captures],
        from_us(at_us),
    )
