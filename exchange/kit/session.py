"""One writer's own connection, for transactions that follow each other closely.

Where the next transaction is known to be near, COMMIT begins it: a round trip less for each, and none to
borrow a connection. A transaction begun so holds no lock and no snapshot until its first statement.

Invariants: what `Database.transaction` promises. A transaction takes the connection out of the session, and
only its commit puts it back: so one on which anything went wrong, or is still being undone because the caller
was cancelled meanwhile, is never used again here.

Known limit: for one caller at a time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from exchange.kit.database import is_closed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from exchange.kit.database import Connection, Database

CHAINED_MAX: Final = 50
"""PostgreSQL counts a session's work, and knows when to analyse its tables, only between transactions."""
KEPT_IDLE_S: Final = 240.0
"""Below the pool's limit for its own: what stands between may forget a connection that is silent."""


class Session:
    """Transactions of one writer on one connection, taken with the first of them; `close` gives it back."""

    def __init__(self, database: Database, *, is_next_near: Callable[[], bool]) -> None:
        """Ask `is_next_near` at each commit whether the next transaction follows at once."""
        self.is_next_near = is_next_near
        self._database = database
        self._chain: _Chain | None = None

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Lend the connection in a transaction: committed at the block's end, rolled back on an exception."""
        return self._database.transaction_on(self._lend, is_kept=True)

    async def close(self) -> None:
        """Give the connection back; the next transaction takes another one."""
        chain = self._take()
        if chain is not None:
            await self._database.undo(chain.connection, chain)

    def keep(self, chain: _Chain) -> None:
        """Take a connection back whose transaction is committed."""
        self._chain = chain

    def _take(self) -> _Chain | None:
        """Return the connection that is kept, if there is a living one, and keep it no longer."""
        chain, self._chain = self._chain, None
        return None if chain is None or is_closed(chain.connection) else chain

    async def _lend(self) -> tuple[Connection, _Chain]:
        chain = self._take()
        if chain is not None and asyncio.get_running_loop().time() - chain.used_s > KEPT_IDLE_S:
            # Closed, because nobody knows whether it still is one.
            await self._database.undo(chain.connection, None)
            chain = None
        if chain is None:
            chain = _Chain(self, await self._database.acquire("not_applied"))
        return chain.connection, chain


class _Chain:
    """The statements around the transactions on one connection."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self.connection = connection
        self.used_s = 0.0
        self._session = session
        self._is_begun = False
        self._chained = 0

    async def start(self) -> None:
        """Begin, unless the last commit did."""
        if not self._is_begun:
            await self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            self._is_begun = True

    async def commit(self) -> None:
        """Commit, begin the next transaction where it is near, and go back to the session."""
        is_chained = self._chained < CHAINED_MAX and self._session.is_next_near()
        status = await self.connection.execute("COMMIT AND CHAIN" if is_chained else "COMMIT")
        if status != "COMMIT":
            raise RuntimeError("a statement had failed: the transaction was rolled back, not committed")
        self._is_begun = is_chained
        self._chained = self._chained + 1 if is_chained else 0
        self.used_s = asyncio.get_running_loop().time()
        self._session.keep(self)

    async def rollback(self) -> None:
        """Undo what is open."""
        if self._is_begun:
            await self.connection.execute("ROLLBACK")
            self._is_begun = False
