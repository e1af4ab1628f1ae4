"""Helpers for tests of the ledger: owners with money, transfers, and what accounts read."""

from exchange.kit.auth import Principal, Scope
from exchange.kit.database import Connection, Database
from exchange.ledger import service
from exchange.ledger.models import (
    CNY,
    CashAccounts,
    Purpose,
    Transfer,
    TransferKind,
    TransferReason,
)
from exchange.participants.models import EXCHANGE_ID, NewParticipant, Ownership, ParticipantKind
from exchange.participants.service import create_participant

AT_US = 1_800_000_000_000_000
PROGRAMME = "prg_0000000000001"


def operator(*scopes: Scope) -> Principal:
    return Principal(
        key_id=1,
        participant_id=EXCHANGE_ID,
        kind="operator",
        name="exchange",
        trade_group_id=None,
        scopes=frozenset(scopes or Scope),
    )


async def new_provider(database: Database, name: str) -> int:
    new = NewParticipant(
        kind=ParticipantKind.PROVIDER, name=name, region="guizhou", ownership=Ownership.PRIVATE
    )
    async with database.transaction() as connection:
        return (await create_participant(connection, None, new, AT_US)).id


async def cash_of(database: Database, participant_id: int, deposit_fen: int = 0) -> CashAccounts:
    async with database.transaction() as connection:
        if deposit_fen:
            await service.deposit(connection, operator(), participant_id, deposit_fen, "", AT_US)
        return (await service.AccountDirectory().cash_of(connection, [participant_id]))[participant_id]


def transfer(
    kind: TransferKind, debit_id: int, credit_id: int, amount_fen: int, asset: str = CNY
) -> Transfer:
    reasons = {
        TransferKind.POSTED: TransferReason.TRADE,
        TransferKind.PENDING: TransferReason.HOLD,
        TransferKind.POST_PENDING: TransferReason.TRADE,
        TransferKind.VOID_PENDING: TransferReason.HOLD_RELEASE,
    }
    return Transfer(
        group_id=7,
        kind=kind,
        reason=reasons[kind],
        asset=asset,
        debit_account_id=debit_id,
        credit_account_id=credit_id,
        amount_fen=amount_fen,
        subject_id=7,
    )


async def sums(connection: Connection, participant_id: int) -> dict[Purpose, tuple[int, int, int, int]]:
    return {
        balance.purpose: (
            balance.debits_pending_fen,
            balance.debits_posted_fen,
            balance.credits_pending_fen,
            balance.credits_posted_fen,
        )
        for balance in await service.balances(connection, participant_id, limit=100)
    }
