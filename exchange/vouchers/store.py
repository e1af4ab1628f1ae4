"""The voucher tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.database import from_us, to_us
from exchange.kit.queries import load_queries
from exchange.vouchers.judgement import Standing
from exchange.vouchers.models import (
    ID_MAX,
    Balances,
    Capture,
    LockedVoucher,
    Voucher,
    VoucherStatus,
    VoucherStep,
)
from exchange.vouchers.programme_models import Programme, ProgrammeRules, ProgrammeStatus, RulesVersion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.database import Connection, Record

QUERIES = load_queries("exchange.vouchers")
_RULES = msgspec.json.Decoder(ProgrammeRules)


def _programme(row: Record) -> Programme:
    return Programme(
        id=row["id"],
        ordinal=row["ordinal"],
        issuer_id=row["issuer_id"],
        code=row["code"],
        name=row["name"],
        asset=row["asset"],
        status=ProgrammeStatus(row["status"]),
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


async def insert_programme(connection: Connection, programme: Programme) -> int:
    """Store a new programme with its rules and return its ordinal (`programme.ordinal` is not read)."""
    ordinal: int = await connection.fetchval(
        QUERIES.insert_programme,
        programme.id,
        programme.issuer_id,
        programme.code,
        programme.name,
        programme.asset,
        programme.status.value,
        programme.budget_fen,
        from_us(programme.created_at_us),
        *_version_columns(programme.version),
    )
    return ordinal


async def insert_version(connection: Connection, programme_id: int, version: RulesVersion) -> None:
    """Store a further version of a programme's rules."""
    await connection.execute(QUERIES.insert_version, programme_id, version.number, *_version_columns(version))


def _version_columns(version: RulesVersion) -> tuple[object, ...]:
    until_us = version.effective_until_us
    return (
        from_us(version.effective_from_us),
        None if until_us is None else from_us(until_us),
        msgspec.json.encode(version.rules).decode(),
    )


async def all_versions(
    connection: Connection, programme_id: int | None = None
) -> list[tuple[int, str, str, int, tuple[RulesVersion, ...]]]:
    """(id, code, name, ordinal, versions in order) of one programme, or of all but drafts."""
    found: dict[int, tuple[str, str, int, list[RulesVersion]]] = {}
    for row in await connection.fetch(QUERIES.versions_of_programmes, programme_id):
        named = (row["code"], row["name"], row["ordinal"], list[RulesVersion]())
        found.setdefault(row["programme_id"], named)[3].append(_version(row))
    return [(each, code, name, ordinal, tuple(kept)) for each, (code, name, ordinal, kept) in found.items()]


async def page_of_programmes(
    connection: Connection, at_us: int, *, before_id: int = ID_MAX, code: str | None = None, limit: int
) -> list[Programme]:
    """Programmes created before one, newest first, with their rules at a time."""
    rows = await connection.fetch(QUERIES.page_of_programmes, before_id, limit, from_us(at_us), code)
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


async def insert_voucher(
    connection: Connection,
    voucher: Voucher,
    *,
    account_id: int,
    escrow_account_id: int,
    year: int,
    cap_fen: int | None,
) -> None:
    """Store a voucher and count it against its programme's budget and the buyer's cap of the year."""
    await connection.execute(
        QUERIES.insert_voucher,
        voucher.id,
        voucher.programme_id,
        voucher.programme_version,
        voucher.buyer_id,
        voucher.face_fen,
        account_id,
        escrow_account_id,
        from_us(voucher.issued_at_us),
        from_us(voucher.expires_at_us),
        year,
        cap_fen,
    )


async def lock_vouchers(connection: Connection, buyer_ids: Collection[int]) -> list[Record]:
    """Every voucher of some buyers, with its account locked in order of account ids."""
    return await connection.fetch(QUERIES.usable_vouchers, list(buyer_ids))


async def vouchers_of_buyer(connection: Connection, buyer_id: int) -> list[Record]:
    """Every voucher of a buyer in the same form, nothing locked."""
    return await connection.fetch(QUERIES.vouchers_of_buyer, buyer_id)


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
    return [
        VoucherStep(
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
        for row in await connection.fetch(QUERIES.steps_of_voucher, voucher_id, after, limit)
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
