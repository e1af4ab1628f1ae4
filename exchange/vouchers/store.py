"""The voucher tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.bundle import Read
from exchange.kit.database import from_us, to_us
from exchange.kit.ids import ID_MAX
from exchange.kit.queries import load_queries
from exchange.programmes.judgement import Standing
from exchange.vouchers.models import (
    Balances,
    Capture,
    LockedVoucher,
    StepPlace,
    Voucher,
    VoucherStatus,
    VoucherStep,
    WalletRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.database import Connection, Record

QUERIES = load_queries("exchange.vouchers")


def _voucher(row: Record) -> Voucher:
    return Voucher(
        id=row["id"],
        programme_id=row["programme_id"],
        programme_code=row["programme_code"],
        programme_version=row["programme_version"],
        issuer_id=row["issuer_id"],
        buyer_id=row["buyer_id"],
        buyer_name=row["buyer_name"],
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


async def standings(
    connection: Connection,
    programme_ids: Collection[int],
    buyer_ids: Collection[int],
    *,
    year: int,
    year_from_us: int,
    year_until_us: int,
    counts_spend: bool,
) -> Mapping[tuple[int, int], Standing]:
    """How companies stand under programmes in a calendar year, by (programme, company).

    `spent_fen` is 0 unless counted.
    """
    rows = await connection.fetch(
        QUERIES.standings,
        list(programme_ids),
        list(buyer_ids),
        year,
        from_us(year_from_us),
        from_us(year_until_us),
        counts_spend,
    )
    return {
        (row["programme_id"], row["company_id"]): Standing(
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


_wallet: Final = msgspec.json.Decoder(list[WalletRow])


def lock_wallets(buyer_ids: Collection[int], named_ids: Collection[int]) -> Read[WalletRow]:
    """Ask for vouchers of some buyers that can still pay or are named, accounts locked in order of ids."""
    return Read(QUERIES.lock_wallets, (list(buyer_ids), list(named_ids)), _wallet)


def vouchers_of_buyer(buyer_id: int) -> Read[WalletRow]:
    """Ask for every voucher of a buyer in the same form, nothing locked."""
    return Read(QUERIES.vouchers_of_buyer, (buyer_id,), _wallet)


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
