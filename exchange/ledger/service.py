"""The ledger's use cases. All run inside the caller's transaction; none commits.

`post` is the only way money moves. After it raised, PostgreSQL has given up the transaction: the caller rolls
back (or to its own savepoint), and nothing of the call remains.

Speed: post once per transaction where possible. PostgreSQL checks an account row's own foreign keys again
when a transaction changes the row a second time, which doubles the cost of the second call.
"""

from collections.abc import Collection, Sequence
from typing import Final

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal, Scope
from exchange.kit.bundle import Read, Writer, read_each
from exchange.kit.clock import wall_now_us
from exchange.kit.database import CheckViolation, Connection, UniqueViolation, constraint_name
from exchange.kit.errors import Conflict, NotEnoughMoney
from exchange.kit.fields import format_cny
from exchange.kit.ids import new_id
from exchange.ledger import checking, store
from exchange.ledger.models import (
    CNY,
    AccountKey,
    Available,
    Balance,
    CashAccounts,
    CashMovement,
    Difference,
    Purpose,
    StatementFilter,
    StatementLine,
    Transfer,
    TransferKind,
    TransferReason,
)
from exchange.participants.models import EXCHANGE_ID
from exchange.participants.service import get_participant

# Whoever can reach the database acts as the exchange itself, and the audit trail says so.
EXCHANGE_ITSELF: Final = Principal(
    key_id=0,
    participant_id=EXCHANGE_ID,
    kind="operator",
    name="exchange",
    trade_group_id=None,
    scopes=frozenset(Scope),
)
_NOT_OVERDRAWN: Final = "ledger_account_not_overdrawn"


async def post(connection: Writer, transfers: Sequence[Transfer], at_us: int) -> None:
    """Book transfers, all or none, and move the balances they touch; an empty list does nothing.

    What counts is the sum of the call: money that comes in and goes out in one call needs no order. Raises
    `NotEnoughMoney` (insufficient_funds) when an account would be overdrawn; resolving more than was set
    aside, an unknown account or a wrong asset is a broken invariant and raises the database's error. In a
    `Bundle` nothing is known before the bundle runs, which then raises the database's error.
    """
    if not transfers:
        return
    try:
        await store.insert_transfers(connection, transfers, at_us)
    except CheckViolation as error:
        if constraint_name(error) == _NOT_OVERDRAWN:
            raise NotEnoughMoney(
                detail="an account's available balance does not cover the transfers"
            ) from error
        raise


async def available_for_update(connection: Connection, account_ids: Collection[int]) -> dict[int, int]:
    """Lock accounts in the order of their ids until the transaction ends; return the fen each can use.

    The ids may be of any assets. Unknown ids are absent from the answer.
    """
    [rows] = await read_each(connection, lock_available(account_ids))
    return {row.id: row.available_fen for row in rows}


def lock_available(account_ids: Collection[int]) -> Read[Available]:
    """Return the statement of `available_for_update`, to be run together with others."""
    return store.lock_available(account_ids)


async def free_cash(connection: Connection, participant_id: int) -> int:
    """Return the fen of its cash that a participant can use at this moment; nothing is locked."""
    return await store.free_cash(connection, participant_id)


class AccountDirectory:
    """Finds accounts by owner and opens what is missing. One per process.

    Ids never change, so they are remembered; but only when their row was committed by an earlier transaction,
    because a row of the caller's own transaction may yet be rolled back.
    """

    def __init__(self) -> None:
        self._cash: dict[int, CashAccounts] = {}
        self._exchange: dict[Purpose, int] = {}

    async def cash_of(
        self, connection: Connection, participant_ids: Collection[int]
    ) -> dict[int, CashAccounts]:
        """Return the CNY accounts of existing participants, opened where missing; safe under concurrency."""
        known = self._cash
        found = {each: known[each] for each in participant_ids if each in known}
        missing = sorted({each for each in participant_ids if each not in found})
        if missing:
            found |= await self._read(connection, missing)
            unopened = [each for each in missing if each not in found]
            if unopened:
                keys = [
                    AccountKey(each, CNY, use) for each in unopened for use in (Purpose.CASH, Purpose.ESCROW)
                ]
                await store.insert_accounts(connection, keys, wall_now_us(), allows_overdraft=False)
                found |= await self._read(connection, unopened)
        return found

    async def _read(self, connection: Connection, participant_ids: list[int]) -> dict[int, CashAccounts]:
        by_purpose: dict[int, dict[Purpose, int]] = {}
        unsettled: set[int] = set()
        for participant_id, purpose, account_id, settled in await store.cash_accounts(
            connection, participant_ids
        ):
            by_purpose.setdefault(participant_id, {})[purpose] = account_id
            if not settled:
                unsettled.add(participant_id)
        found = {
            participant_id: CashAccounts(ids[Purpose.CASH], ids[Purpose.ESCROW])
            for participant_id, ids in by_purpose.items()
            if len(ids) == len((Purpose.CASH, Purpose.ESCROW))
        }
        self._cash.update((each, accounts) for each, accounts in found.items() if each not in unsettled)
        return found

    async def fees_id(self, connection: Connection) -> int:
        """Return the account that collects the exchange's fees."""
        return await self._exchange_account(connection, Purpose.FEES)

    async def external_id(self, connection: Connection) -> int:
        """Return the account that stands for the outside world, the other side of deposits."""
        return await self._exchange_account(connection, Purpose.EXTERNAL)

    async def _exchange_account(self, connection: Connection, purpose: Purpose) -> int:
        if not self._exchange:
            self._exchange = await store.exchange_accounts(connection, EXCHANGE_ID)
        return self._exchange[purpose]


async def ensure_accounts(
    connection: Connection, keys: Collection[AccountKey], at_us: int, *, allows_overdraft: bool = False
) -> dict[AccountKey, int]:
    """Return the ids of accounts by key, opened where missing; at most three statements for any number."""
    wanted = sorted(set(keys))
    found = await store.accounts_by_key(connection, wanted) if wanted else {}
    missing = [key for key in wanted if key not in found]
    if missing:
        await store.insert_accounts(connection, missing, at_us, allows_overdraft=allows_overdraft)
        found |= await store.accounts_by_key(connection, missing)
    return found


async def open_account(
    connection: Connection,
    participant_id: int,
    asset: str,
    purpose: Purpose,
    reference: int = 0,
    *,
    allows_overdraft: bool = False,
    at_us: int,
) -> int:
    """Return the id of an account, opened when it is not open yet."""
    key = AccountKey(participant_id, asset, purpose, reference)
    return (await ensure_accounts(connection, [key], at_us, allows_overdraft=allows_overdraft))[key]


async def create_asset(connection: Connection, code: str, at_us: int) -> None:
    """Add an asset, such as a voucher programme's `prg_...`; raises `Conflict` when it exists."""
    try:
        await store.insert_asset(connection, code, at_us)
    except UniqueViolation as error:
        raise Conflict("already_exists", f"the asset {code} exists already") from error


async def deposit(
    connection: Connection, actor: Principal, participant_id: int, amount_fen: int, note: str, now_us: int
) -> CashMovement:
    """Book money that came in from outside; operators only. Raises `NotFound` for an unknown participant."""
    return await _move_cash(
        connection, actor, TransferReason.DEPOSIT, participant_id, amount_fen, note, now_us
    )


async def withdraw(
    connection: Connection, actor: Principal, participant_id: int, amount_fen: int, note: str, now_us: int
) -> CashMovement:
    """Book money that goes out; operators only. Raises `NotEnoughMoney` beyond what is available."""
    return await _move_cash(
        connection, actor, TransferReason.WITHDRAWAL, participant_id, amount_fen, note, now_us
    )


async def _move_cash(
    connection: Connection,
    actor: Principal,
    reason: TransferReason,
    participant_id: int,
    amount_fen: int,
    note: str,
    now_us: int,
) -> CashMovement:
    actor.must_have(Scope.OPERATE)
    participant = await get_participant(connection, participant_id)
    directory = AccountDirectory()
    cash_id = (await directory.cash_of(connection, [participant_id]))[participant_id].cash_id
    external_id = await directory.external_id(connection)
    available_fen = (await available_for_update(connection, [cash_id, external_id]))[cash_id]
    incoming = reason is TransferReason.DEPOSIT
    if not incoming and amount_fen > available_fen:
        asked, available = format_cny(amount_fen), format_cny(available_fen)
        raise NotEnoughMoney(detail=f"{asked} CNY were asked for, {available} CNY are available")
    transfer = Transfer(
        group_id=new_id(),
        kind=TransferKind.POSTED,
        reason=reason,
        asset=CNY,
        debit_account_id=external_id if incoming else cash_id,
        credit_account_id=cash_id if incoming else external_id,
        amount_fen=amount_fen,
        subject_id=participant_id,
    )
    await post(connection, [transfer], now_us)
    transfer_id = await store.last_transfer_of(connection, cash_id)
    record = AuditRecord(
        code="CASH",
        event_at_us=now_us,
        actor_participant_id=actor.participant_id,
        key_id=actor.key_id,
        participant_id=participant_id,
        trade_group_id=participant.trade_group_id,
        subject_id=transfer_id,
        detail={"reason": reason, "amount_fen": amount_fen, "note": note},
    )
    await insert_audit_records(connection, [record])
    return CashMovement(
        transfer_id=transfer_id,
        participant_id=participant_id,
        reason=reason,
        amount_fen=amount_fen,
        available_fen=available_fen + (amount_fen if incoming else -amount_fen),
        note=note,
        booked_at_us=now_us,
    )


async def balances(
    connection: Connection, participant_id: int, *, after_id: int = 0, limit: int
) -> list[Balance]:
    """Return a participant's accounts in the order of their ids, after an account id."""
    return await store.accounts_after(connection, participant_id, after_id, limit)


async def statement(
    connection: Connection, participant_id: int, wanted: StatementFilter, limit: int
) -> list[StatementLine]:
    """Return a participant's transfers, newest first; none where the filter names another's account."""
    return await store.statement_before(connection, participant_id, wanted, limit)


async def income_by_hour(
    connection: Connection, participant_id: int, starts_hour: int, ends_hour: int
) -> list[tuple[int, int, int]]:
    """Return (hour, cash, receivables), in fen, that delivered hours of a span brought a participant."""
    return await store.income_by_hour(connection, participant_id, starts_hour, ends_hour)


async def check(connection: Connection) -> list[Difference]:
    """Recompute the books and return everything that is wrong; a healthy ledger gives an empty list.

    See `exchange.ledger.checking`, which also tells how far it has come and gives the differences one by one.
    """
    return await _all_of(connection, checking.EVERYTHING)


async def check_balances(connection: Connection) -> list[Difference]:
    """Return what is wrong within the ledger itself."""
    return await _all_of(connection, checking.BALANCES)


async def check_programmes(connection: Connection) -> list[Difference]:
    """Return where the ledger and the budgets, vouchers, captures and claims of programmes disagree."""
    return await _all_of(connection, checking.PROGRAMMES)


async def _all_of(connection: Connection, questions: Sequence[checking.Question]) -> list[Difference]:
    return [each async for each in checking.differences(connection, questions)]
