"""The ledger's tables: one typed function for each named query of queries.sql.

`ledger_transfer` is insert-only, and `insert_transfers` is the only statement that changes a balance.
"""

from collections.abc import Collection, Sequence

from exchange.kit.database import Connection, from_us
from exchange.kit.queries import load_queries
from exchange.ledger.models import AccountKey, Purpose, Transfer

QUERIES = load_queries("exchange.ledger")


async def insert_transfers(connection: Connection, transfers: Sequence[Transfer], at_us: int) -> None:
    """Insert transfers and move balances, in one statement."""
    await connection.execute(
        QUERIES.insert_transfers,
        [transfer.group_id for transfer in transfers],
        [transfer.kind for transfer in transfers],
        [transfer.reason for transfer in transfers],
        [transfer.asset for transfer in transfers],
        [transfer.debit_account_id for transfer in transfers],
        [transfer.credit_account_id for transfer in transfers],
        [transfer.amount_fen for transfer in transfers],
        [transfer.subject_id for transfer in transfers],
        [transfer.delivery_hour for transfer in transfers],
        from_us(at_us),
    )


async def lock_available(connection: Connection, account_ids: Collection[int]) -> dict[int, int]:
    """Lock accounts; return what each can still use, in fen. Unknown ids are absent."""
    rows = await connection.fetch(QUERIES.lock_available, list(account_ids))
    return {row["id"]: row["available_fen"] for row in rows}


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
