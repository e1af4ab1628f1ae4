"""The ledger's tables: one typed function for each named query of queries.sql.

`ledger_transfer` is insert-only, and inserting into it is the only way to change a balance: triggers of
migrations/0003_ledger.sql see to both.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

import msgspec

from exchange.kit.bundle import Read, Writer
from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.kit.rows import json_rows
from exchange.ledger import rules
from exchange.ledger.models import (
    AccountKey,
    Available,
    Balance,
    Difference,
    Purpose,
    StatementFilter,
    StatementLine,
    Transfer,
    TransferKind,
    TransferReason,
)

QUERIES = load_queries("exchange.ledger")
ROWS_AT_A_TIME: Final = 1_000
"""How many rows of a long answer are here at once."""


async def insert_transfers(connection: Writer, transfers: Sequence[Transfer], at_us: int) -> None:
    """Insert transfers; the database moves the balances with them."""
    await connection.execute(QUERIES.insert_transfers, json_rows(transfers), from_us(at_us))


_available: Final = msgspec.json.Decoder(list[Available])


def lock_available(account_ids: Collection[int]) -> Read[Available]:
    """Ask to lock accounts and for what each can still use. Unknown ids are absent from the answer."""
    return Read(QUERIES.lock_available, (list(account_ids),), _available)


async def free_cash(connection: Connection, participant_id: int) -> int:
    """Return what a participant can use of its cash; nothing is locked."""
    available_fen: int | None = await connection.fetchval(QUERIES.free_cash, participant_id)
    return available_fen or 0


async def cash_accounts(
    connection: Connection, participant_ids: Collection[int]
) -> list[tuple[int, Purpose, int, bool]]:
    """Return (participant id, purpose, account id, settled) of the participants' open CNY accounts."""
    rows = await connection.fetch(QUERIES.cash_accounts, list(participant_ids))
    return [(row["participant_id"], Purpose(row["purpose"]), row["id"], row["settled"]) for row in rows]


async def exchange_accounts(connection: Connection, exchange_id: int) -> dict[Purpose, int]:
    """Return the ids of the exchange's fee account and of the outside world's, by purpose."""
    rows = await connection.fetch(QUERIES.exchange_accounts, exchange_id)
    return {Purpose(row["purpose"]): row["id"] for row in rows}


async def insert_accounts(
    connection: Connection, keys: Sequence[AccountKey], at_us: int, *, allows_overdraft: bool
) -> None:
    """Open the accounts that are not open yet."""
    await connection.execute(QUERIES.insert_accounts, *_columns(keys), allows_overdraft, from_us(at_us))


async def accounts_by_key(connection: Connection, keys: Sequence[AccountKey]) -> dict[AccountKey, int]:
    """Return the ids of those accounts that are open."""
    rows = await connection.fetch(QUERIES.accounts_by_key, *_columns(keys))
    return {
        AccountKey(row["participant_id"], row["asset"], Purpose(row["purpose"]), row["reference"]): row["id"]
        for row in rows
    }


def _columns(keys: Sequence[AccountKey]) -> tuple[list[int], list[str], list[Purpose], list[int]]:
    return (
        [key.participant_id for key in keys],
        [key.asset for key in keys],
        [key.purpose for key in keys],
        [key.reference for key in keys],
    )


async def insert_asset(connection: Connection, code: str, at_us: int) -> None:
    """Store a new asset."""
    await connection.execute(QUERIES.insert_asset, code, from_us(at_us))


async def accounts_after(
    connection: Connection, participant_id: int, after_id: int, limit: int
) -> list[Balance]:
    """Return a page of a participant's accounts in the order of their ids."""
    return [
        Balance(
            account_id=row["id"],
            asset=row["asset"],
            purpose=Purpose(row["purpose"]),
            reference=row["reference"],
            debits_pending_fen=row["debits_pending_fen"],
            debits_posted_fen=row["debits_posted_fen"],
            credits_pending_fen=row["credits_pending_fen"],
            credits_posted_fen=row["credits_posted_fen"],
        )
        for row in await connection.fetch(QUERIES.accounts_after, participant_id, after_id, limit)
    ]


async def statement_before(
    connection: Connection, participant_id: int, wanted: StatementFilter, limit: int
) -> list[StatementLine]:
    """Return a page of a participant's transfers, newest first."""
    rows = await connection.fetch(
        QUERIES.statement_before,
        participant_id,
        wanted.account_id,
        wanted.asset,
        wanted.reason,
        wanted.before_id,
        limit,
    )
    return [
        StatementLine(
            transfer_id=row["id"],
            kind=TransferKind(row["kind"]),
            reason=TransferReason(row["reason"]),
            asset=row["asset"],
            debit_account_id=row["debit_account_id"],
            debit_purpose=_purpose(row["debit_purpose"]),
            credit_account_id=row["credit_account_id"],
            credit_purpose=_purpose(row["credit_purpose"]),
            amount_fen=row["amount_fen"],
            subject_id=row["subject_id"],
            delivery_hour=row["delivery_hour"],
            created_at_us=to_us(row["created_at"]),
        )
        for row in rows
    ]


def _purpose(text: str | None) -> Purpose | None:
    return None if text is None else Purpose(text)


async def last_transfer_of(connection: Connection, account_id: int) -> int:
    """Return the newest transfer of a locked account that has at least one."""
    return int(await connection.fetchval(QUERIES.last_transfer_of, account_id))


async def transfer_span(connection: Connection) -> tuple[int, int] | None:
    """Return the first and the last id of a transfer, None where there is none."""
    row = await connection.fetchrow(QUERIES.transfer_span)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


async def account_marks(connection: Connection, accounts: int) -> list[int]:
    """Return ids between which there are so many accounts."""
    return [row["id"] for row in await connection.fetch(QUERIES.account_marks, accounts)]


async def fold_transfers(
    connection: Connection, transfer_ids: tuple[int, int], account_ids: tuple[int, int]
) -> list[Record]:
    """Return what transfers (first and last id) add up to, by account (after the first id) and asset."""
    return await connection.fetch(QUERIES.fold_transfers, *transfer_ids, *account_ids)


async def stored_sums(connection: Connection, account_ids: tuple[int, int]) -> AsyncIterator[Record]:
    """Give the sums of the accounts after the first id, up to the last, in the order of their ids."""
    async for row in connection.cursor(QUERIES.stored_sums, *account_ids, prefetch=ROWS_AT_A_TIME):
        yield row


async def asset_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the assets in which credits and debits are apart."""
    async for row in connection.cursor(QUERIES.asset_differences, prefetch=ROWS_AT_A_TIME):
        for each in rules.not_zero(
            row["asset"],
            (row["credits_posted_fen"], row["credits_pending_fen"]),
            (row["debits_posted_fen"], row["debits_pending_fen"]),
        ):
            yield each


async def overdrawn_accounts(connection: Connection) -> AsyncIterator[Difference]:
    """Give the accounts that may not be overdrawn and are."""
    async for row in connection.cursor(QUERIES.overdrawn_accounts, prefetch=ROWS_AT_A_TIME):
        yield rules.overdrawn(row["account_id"], row["available_fen"])


async def hold_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the accounts in which what is set aside is not what orders hold."""
    async for row in connection.cursor(QUERIES.hold_differences, prefetch=ROWS_AT_A_TIME):
        for each in rules.not_held(
            row["account_id"],
            (row["debits_pending_fen"], row["held_from_fen"]),
            (row["credits_pending_fen"], row["held_for_fen"]),
        ):
            yield each


async def closed_order_holds(connection: Connection) -> AsyncIterator[Difference]:
    """Give the orders that are over and still hold something."""
    async for row in connection.cursor(QUERIES.closed_order_holds, prefetch=ROWS_AT_A_TIME):
        yield rules.held_when_closed(row["order_id"], row["open_fen"])


async def escrow_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the escrow accounts that do not have what leases still have to pay out of them."""
    async for row in connection.cursor(QUERIES.escrow_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_leased(row["account_id"], row["escrow_fen"], row["leased_fen"])


async def commitment_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the holds whose committed part is not what leases were given."""
    async for row in connection.cursor(QUERIES.commitment_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_committed(row["order_id"], row["voucher_id"], row["committed_fen"], row["leased_fen"])


async def trade_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the trades whose price is not what their leases were given."""
    async for row in connection.cursor(QUERIES.trade_differences, prefetch=ROWS_AT_A_TIME):
        for each in rules.not_funded(
            row["trade_id"],
            (row["notional_fen"], row["funded_fen"]),
            (row["voucher_fen"], row["voucher_funded_fen"]),
            (row["reimbursable_fen"], row["reimbursed_funded_fen"]),
        ):
            yield each


async def capture_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the leases of which other hours were captured than their money says."""
    async for row in connection.cursor(QUERIES.capture_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.captures_not_funded(
            row["lease_id"], row["voucher_id"], row["captures_fen"], row["captured_fen"]
        )


async def voucher_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the vouchers whose account is not what must be left of them."""
    async for row in connection.cursor(QUERIES.voucher_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_what_is_left(row["voucher_id"], row["balance_fen"], row["left_fen"])


async def receivable_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the claimants whose receivable is not what was captured for them and is not claimed."""
    async for row in connection.cursor(QUERIES.receivable_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_captured(row["participant_id"], row["asset"], row["balance_fen"], row["captured_fen"])


async def claimed_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the claimants whose claimed money is not what their open claims come to."""
    async for row in connection.cursor(QUERIES.claimed_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_in_claims(row["participant_id"], row["asset"], row["balance_fen"], row["claims_fen"])


async def use_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the yearly uses of programmes that are not what orders took of their vouchers."""
    async for row in connection.cursor(QUERIES.use_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_used(
            row["programme_id"], row["subject_id"], row["year"], row["used_fen"], row["taken_fen"]
        )


async def issued_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the programmes that issued something else than their vouchers' faces."""
    async for row in connection.cursor(QUERIES.issued_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_in_vouchers(row["programme_id"], row["issued_fen"], row["faces_fen"])


async def budget_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the programmes whose budget account is not what must be left of the budget."""
    async for row in connection.cursor(QUERIES.budget_differences, prefetch=ROWS_AT_A_TIME):
        yield rules.not_left(row["programme_id"], row["balance_fen"], row["left_fen"])


async def income_by_hour(
    connection: Connection, participant_id: int, starts_hour: int, ends_hour: int
) -> list[tuple[int, int, int]]:
    """What delivered hours brought a participant: (hour, cash, receivables)."""
    return [
        (row["delivery_hour"], row["cash_fen"], row["receivable_fen"])
        for row in await connection.fetch(QUERIES.income_by_hour, participant_id, starts_hour, ends_hour)
    ]
