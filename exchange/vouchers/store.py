"""The voucher tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.database import from_us, to_us
from exchange.kit.queries import load_queries
from exchange.vouchers.models import (
    ID_MAX,
    Balances,
    Capture,
    UsableVoucher,
    Voucher,
    VoucherStatus,
)
from exchange.vouchers.programme_models import Programme, ProgrammeRules, ProgrammeStatus
from exchange.vouchers.programme_rules import rate_of
from exchange.vouchers.rules import programme_mask

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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
        version=row["version"],
        effective_from_us=to_us(row["effective_from"]),
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
        rate_bps=rate_of(_RULES.decode(row["rules"])),
        face_fen=row["face_fen"],
        status=VoucherStatus(row["status"]),
        issued_at_us=to_us(row["issued_at"]),
        expires_at_us=to_us(row["expires_at"]),
        balances=Balances(**{name: row[name] for name in Balances.__struct_fields__}),
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
        programme.version,
        from_us(programme.effective_from_us),
        msgspec.json.encode(programme.rules).decode(),
    )
    return ordinal


async def page_of_programmes(
    connection: Connection, before_id: int = ID_MAX, limit: int | None = None
) -> list[Programme]:
    """Return programmes created before one, newest first; without a limit, all."""
    return [_programme(row) for row in await connection.fetch(QUERIES.page_of_programmes, before_id, limit)]


async def programme_by_id(connection: Connection, programme_id: int) -> Programme | None:
    """One programme."""
    row = await connection.fetchrow(QUERIES.programme_by_id, programme_id)
    return None if row is None else _programme(row)


async def lock_programme(connection: Connection, programme_id: int) -> Programme | None:
    """One programme; nobody else issues under it until this transaction ends."""
    row = await connection.fetchrow(QUERIES.lock_programme, programme_id)
    return None if row is None else _programme(row)


async def year_use_fen(connection: Connection, programme_id: int, participant_id: int, year: int) -> int:
    """Return what a company was issued under a programme in a year."""
    return await connection.fetchval(QUERIES.year_use_fen, programme_id, participant_id, year) or 0


async def insert_voucher(
    connection: Connection,
    voucher: Voucher,
    *,
    account_id: int,
    escrow_account_id: int,
    year: int,
    cap_fen: int,
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


async def usable_vouchers(connection: Connection, buyer_ids: Collection[int]) -> list[UsableVoucher]:
    """Every voucher of some buyers, with its account locked in order of account ids."""
    return [
        UsableVoucher(
            voucher_id=row["id"],
            programme_id=row["programme_id"],
            programme_version=row["programme_version"],
            buyer_id=row["buyer_id"],
            rate_bps=rate_of(rules := _RULES.decode(row["rules"])),
            mask=programme_mask(row["ordinal"]),
            origin_required=rules.capacity.origin,
            status=VoucherStatus(row["status"]),
            expires_at_us=to_us(row["expires_at"]),
            account_id=row["account_id"],
            escrow_account_id=row["escrow_account_id"],
            available_fen=row["available_fen"],
        )
        for row in await connection.fetch(QUERIES.usable_vouchers, list(buyer_ids))
    ]


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


async def lock_due_vouchers(connection: Connection, now_us: int) -> list[Record]:
    """Vouchers past their expiry that are still current or have money free, accounts locked."""
    return await connection.fetch(QUERIES.lock_due_vouchers, from_us(now_us))


async def mark_expired(connection: Connection, voucher_ids: Collection[int]) -> set[int]:
    """Close those of some vouchers that were current, and return which."""
    return {row["id"] for row in await connection.fetch(QUERIES.mark_expired, list(voucher_ids))}


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
        [capture.amount_fen for capture in captures],
        from_us(at_us),
    )
