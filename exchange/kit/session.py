"""One writer's own connection, for transactions that follow each other closely.

Where the next transaction is known to be near, COMMIT begins it: a round trip less for each, and none to
borrow a connection. A transaction begun so holds no lock and no snapshot until its first statement.

Invariants: what `Database.transaction` promises. A connection on which anything went wrong goes back to the
pool, or is closed, and the next transaction takes another one.

Known limit: for one caller at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.kit.database import is_closed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from exchange.kit.database import Connection, Database

CHAINED_MAX: Final = 50
"""PostgreSQL counts a session's work, and knows when to analyse its tables, only between transactions."""


class Session:
    """Transactions of one writer on one connection, taken with the first of them; `close` gives it back."""

    def __init__(self, database: Database, *, is_next_near: Callable[[], bool]) -> None:
        """Ask `is_next_near` at each commit whether the next transaction follows at once."""
        self._database = database
        self._is_next_near = is_next_near
        self._connection: Connection | None = None
        self._is_begun = False
        self._chained = 0

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Lend the connection in a transaction: committed at the block's end, rolled back on an exception."""
        return self._database.transaction_on(self._lend, is_kept=True)

    async def close(self) -> None:
        """Give the connection back; the next transaction takes another one."""
        if self._connection is not None and not is_closed(self._connection):
            await self._database.undo(self._connection, self)
        self._connection = None

    async def start(self) -> None:
        """Begin, unless the last commit did."""
        if not self._is_begun:
            await self._own().execute("BEGIN")
            self._is_begun = True

    async def commit(self) -> None:
        """Commit, and begin the next transaction where it is near."""
        is_chained = self._chained < CHAINED_MAX and self._is_next_near()
        status = await self._own().execute("COMMIT AND CHAIN" if is_chained else "COMMIT")
        if status != "COMMIT":
            raise RuntimeError("a statement had failed: the transaction was rolled back, not committed")
        self._is_begun = is_chained
        self._chained = self._chained + 1 if is_chained else 0

    async def rollback(self) -> None:
        """Undo what is open."""
        if self._is_begun:
            await self._own().execute("ROLLBACK")
            self._is_begun = False

    async def _lend(self) -> tuple[Connection, Session]:
        # A connection that the pool has taken back, because of a failure, reads as closed too.
        if self._connection is None or is_closed(self._connection):
            self._connection = await self._database.acquire("not_applied")
            self._is_begun = False
        return self._connection, self

    def _own(self) -> Connection:
        if self._connection is None:
            raise AssertionError("a session has its connection before anything runs on it")
        return self._connection
