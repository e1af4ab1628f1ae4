"""The check of the books: every balance from its transfers, every sum that stands for another from that one.

Every balance is folded anew from its transfers, every asset must net to zero, nothing may be overdrawn; what
is set aside must be exactly what live orders hold, what is in escrow exactly what leases have yet to pay, a
trade's price what its lease was given, a voucher what is left of its face, and every programme's money where
its vouchers, captures and claims say.

Invariants:
- all questions are asked of one snapshot, so money may move meanwhile; nothing is locked, nothing written,
  so a role that may only read can ask them;
- memory does not grow with the transfers nor with the differences: transfers are added up by PostgreSQL,
  `TRANSFERS_AT_A_TIME` at once, and the sums of `ACCOUNTS_AT_A_TIME` accounts are kept here.

Known limits: with more accounts the transfers are read once for each so many; other questions are a statement
each, for which PostgreSQL uses its work_mem and then the disk. The snapshot holds back vacuum for as long as
the check takes: some seconds for a million transfers. What a live order must hold by its terms is not known
here: `exchange.orders.hold_check` asks that as well.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Final, TypeAlias

from exchange.kit.database import Connection
from exchange.ledger import rules, store
from exchange.ledger.models import Difference

TRANSFERS_AT_A_TIME: Final = 25_000
ACCOUNTS_AT_A_TIME: Final = 200_000
FOLD_SHARE: Final = 0.75
"""How much of the whole the balances are, for the bar: about what they take."""
_BEFORE_ALL: Final = -(2**63)
_AFTER_ALL: Final = 2**63 - 1

Question: TypeAlias = Callable[[Connection], AsyncIterator[Difference]]
Progress: TypeAlias = Callable[[str, float], None]
"""Told what is looked at, and which share of the whole is done."""


def _untold(_what: str, _share: float) -> None:
    """Tell nobody."""


async def balance_differences(
    connection: Connection, progress: Progress = _untold
) -> AsyncIterator[Difference]:
    """Give the sums of accounts that are not what their transfers add up to, in the order of the accounts."""
    marks = [_BEFORE_ALL, *await store.account_marks(connection, ACCOUNTS_AT_A_TIME), _AFTER_ALL]
    span = await store.transfer_span(connection)
    for number, account_ids in enumerate(pairwise(marks)):
        fold: dict[tuple[int, str], list[int]] = {}
        first, last = span or (1, 0)
        for block in range(first, last + 1, TRANSFERS_AT_A_TIME):
            done = (number + (block - first) / (last + 1 - first)) / (len(marks) - 1)
            progress("balances", FOLD_SHARE * done)
            transfer_ids = (block, min(block + TRANSFERS_AT_A_TIME - 1, last))
            for account_id, asset, *parts in await store.fold_transfers(
                connection, transfer_ids, account_ids
            ):
                sums = fold.setdefault((account_id, asset), [0, 0, 0, 0])
                for position, part in enumerate(parts):
                    sums[position] += part
        async for account_id, asset, *stored in store.stored_sums(connection, account_ids):
            folded = fold.pop((account_id, asset), [0, 0, 0, 0])
            if stored != folded:
                for each in rules.not_the_fold(account_id, stored, folded):
                    yield each
        for (account_id, asset), folded in sorted(fold.items()):
            for each in rules.of_no_account(account_id, asset, folded):
                yield each


BALANCES: Final[Sequence[Question]] = (
    balance_differences,
    store.asset_differences,
    store.overdrawn_accounts,
)
"""Within the ledger itself."""
HOLDS: Final[Sequence[Question]] = (store.hold_differences, store.closed_order_holds)
"""Between the ledger and the holds of orders."""
LEASES: Final[Sequence[Question]] = (
    store.escrow_differences,
    store.commitment_differences,
    store.trade_differences,
    store.capture_differences,
    store.voucher_differences,
    store.use_differences,
)
"""Between the ledger, the holds of orders, trades, vouchers and the money of leases."""
PROGRAMMES: Final[Sequence[Question]] = (
    store.issued_differences,
    store.budget_differences,
    store.receivable_differences,
    store.claimed_differences,
)
"""Between the ledger and the budgets, vouchers, captures and claims of programmes."""
EVERYTHING: Final[Sequence[Question]] = (*BALANCES, *HOLDS, *LEASES, *PROGRAMMES)


async def differences(
    connection: Connection, questions: Sequence[Question] = EVERYTHING, progress: Progress = _untold
) -> AsyncIterator[Difference]:
    """Give everything that is wrong, as it is found.

    Opens the snapshot itself; in a transaction of the caller's, money that moves meanwhile must not be seen,
    so it is one of repeatable reads or its caller is alone.
    """
    async with _snapshot(connection):
        for number, question in enumerate(questions):
            if question is balance_differences:
                found = balance_differences(connection, progress)
            else:
                share = FOLD_SHARE + (1 - FOLD_SHARE) * number / len(questions)
                progress(question.__name__.removesuffix("_differences").replace("_", " "), share)
                found = question(connection)
            async for each in found:
                yield each
        progress("done", 1)


@asynccontextmanager
async def _snapshot(connection: Connection) -> AsyncIterator[None]:
    if connection.is_in_transaction():
        yield
    else:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield
