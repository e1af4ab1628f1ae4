"""PostgreSQL: one pool a process, transactions, and the errors that callers may handle.

Only this module, `migrate` and `silence` know asyncpg. Times cross as exact microseconds: `to_us`, `from_us`.

Invariants:

- A session keeps nothing between two uses: no SET without LOCAL, no session advisory lock, no LISTEN. So a
  connection goes back to the pool without a round trip to clean it. What must keep something has a connection
  beside the pool (`alone`).
- What changes anything goes through `transaction`. So `ConnectionLost` can say whether it was done: only a
  loss during COMMIT leaves that unknown.
- A connection on which a loss showed is closed at once, never lent again: the server's last word can come
  before the end of the stream, and until then asyncpg takes the connection for a good one.
- A server that is gone without a word is lost as well, over TCP and after a while, and so is one that is
  there and does not answer: `exchange.kit.silence`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from exchange.kit.clock import datetime_of, us_of
from exchange.kit.silence import WatchedConnection, rest, watch
from exchange.kit.tasks import in_time

Record: TypeAlias = asyncpg.Record
if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    LoneConnection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = PoolConnectionProxy  # generic in its stubs only
    LoneConnection = asyncpg.Connection

UniqueViolation: Final = asyncpg.UniqueViolationError
CheckViolation: Final = asyncpg.CheckViolationError
ForeignKeyViolation: Final = asyncpg.ForeignKeyViolationError
ExclusionViolation: Final = asyncpg.ExclusionViolationError
SerializationFailure: Final = asyncpg.SerializationError
Deadlock: Final = asyncpg.DeadlockDetectedError
LockTimeout: Final = asyncpg.LockNotAvailableError
RefusedChange: Final = asyncpg.IntegrityConstraintViolationError
"""A trigger's refusal to change an insert-only table; all the violations above are of this class too."""

from_us = datetime_of


def to_us(moment: datetime) -> int:
    """Return a time of a row in microseconds since the epoch.

    The first and the last time that a datetime has are infinities to the server, and come back without a
    zone; they are the times they were.
    """
    return us_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]

ACQUIRE_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
LOCK_TIMEOUT = "5s"
UNDO_TIMEOUT_S = 5.0
ANSWER_GRACE_S = 5.0
"""By how much a server may be late to say that a statement took too long."""
CLOSE_TIMEOUT_S = 15.0
STATEMENTS_CACHED = 512
STATEMENT_LIFETIME_S = 10

Answer = TypeVar("Answer")
Outcome: TypeAlias = Literal["not_applied", "unknown"]

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    # What asyncpg says when a connection that was terminated is used before its end was seen.
    asyncpg.InternalClientError,
    ConnectionError,
)
_MAY_BE_LOST = (*_LOST, asyncpg.PostgresError, asyncpg.InterfaceError)


class ConnectionLost(Exception):
    """The database cannot be reached. `outcome` tells of the transaction: not_applied or unknown."""

    def __init__(self, detail: str, *, outcome: Outcome) -> None:
        """Keep what happened, without address or password."""
        super().__init__(detail)
        self.outcome = outcome


class StatementTimeout(Exception):
    """A statement took longer than `Database.connect` allows; nothing of its transaction was done."""


UNANSWERED: Final = (ConnectionLost, StatementTimeout, LockTimeout, Deadlock)
"""Why a question has no answer for now: the database is lost, slow or contended. No fault of the asker's."""


class PoolUsage(NamedTuple):
    """How many connections there are, how many of them are lent, and how many there may be."""

    open: int
    lent: int
    most: int


class _Transaction(Protocol):
    """The statements around a transaction, as asyncpg's `Transaction` has them."""

    async def start(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class Database:
    """A pool of connections to one database."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        connect: Callable[[], Awaitable[LoneConnection]],
        answer_timeout_s: float,
    ) -> None:
        """Take a pool made by `connect`, how it connects, and when a lent connection is given up."""
        self._answer_timeout_s = answer_timeout_s
        self._pool = pool
        self._connect = connect
        self._endings: set[asyncio.Task[None]] = set()
        self._alone: set[LoneConnection] = set()
        self._is_given_up = False

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        connections_min: int = 2,
        connections_max: int = 20,
        application_name: str = "compute-exchange",
        statement_timeout_s: int = 0,
        idle_transaction_s: int = 0,
    ) -> Self:
        """Open a pool. ConnectionLost where the server does not answer or does not let us in.

        A statement that takes longer than `statement_timeout_s` raises `StatementTimeout`; 0 is no limit.
        Where the server does not say so soon after, or has not answered to COMMIT for as long, the connection
        is cut off and lost. A transaction in which nothing is asked for `idle_transaction_s` is ended, with
        its connection: what a process holds that has stopped, another one may need.
        """
        settings = {
            "timezone": "UTC",
            "jit": "off",
            "bytea_output": "hex",
            "application_name": application_name,
            # Nobody here holds a lock for long; who waits longer had better fail and say so.
            "lock_timeout": LOCK_TIMEOUT,
            "statement_timeout": f"{statement_timeout_s}s",
            "idle_in_transaction_session_timeout": f"{idle_transaction_s}s",
            # A statement whose caller has hung up ends, and lets go of its locks.
            "client_connection_check_interval": "1s",
        }
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=min(connections_min, connections_max),
                max_size=connections_max,
                timeout=CONNECT_TIMEOUT_S,
                # A connection is kept however often it is used, and keeps its statements for a while. Not for
                # ever: how one is done is settled while the tables are small, and they grow.
                statement_cache_size=STATEMENTS_CACHED,
                max_cached_statement_lifetime=STATEMENT_LIFETIME_S,
                max_queries=2**62,
                reset=_keep_session,
                server_settings=settings,
                connection_class=WatchedConnection,
            )
        except (OSError, asyncpg.PostgresError) as error:
            raise _not_let_in(error) from error
        return cls(
            pool,
            lambda: asyncpg.connect(
                url, timeout=CONNECT_TIMEOUT_S, server_settings=settings, connection_class=WatchedConnection
            ),
            statement_timeout_s and statement_timeout_s + ANSWER_GRACE_S,
        )

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[LoneConnection]:
        """Open a connection beside the pool, for what a session must keep; it is cut at the block's end.

        ConnectionLost where none is to be had, or where it is lost.
        """
        try:
            self._check_not_given_up("not_applied")
            connection = await self._connect()
        except (OSError, asyncpg.PostgresError) as error:
            raise _not_let_in(error) from error
        self._alone.add(connection)
        try:
            yield connection
        except _MAY_BE_LOST as error:
            if not _is_loss(error, connection):
                raise
            raise _lost(connection, "not_applied") from error
        finally:
            self._alone.discard(connection)
            connection.terminate()

    @asynccontextmanager
    async def connection(self, *, after_commit: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection outside of any transaction, for statements that change nothing.

        Losing it, or getting none, leaves nothing applied. With `after_commit`, for what is read to answer a
        request whose transaction has been committed, it leaves the request's outcome unknown.
        """
        outcome: Outcome = "unknown" if after_commit else "not_applied"
        connection = await self.acquire(outcome)
        watch(connection, self._answer_timeout_s)
        try:
            yield connection
        except asyncpg.QueryCanceledError as error:
            raise StatementTimeout(str(error)) from error
        except _MAY_BE_LOST as error:
            if not _is_loss(error, connection):
                raise
            raise _lost(connection, outcome) from error
        finally:
            rest(connection)
            await self._pool.release(connection)

    async def ask(self, question: Callable[[Connection], Awaitable[Answer]], *, within_s: float) -> Answer:
        """Return the answer to what changes nothing, or to one statement that is seen for itself.

        ConnectionLost where no answer comes in time: on a line that has fallen silent none ever would.
        """

        async def ask() -> Answer:
            async with self.connection() as connection:
                return await question(connection)

        try:
            return await in_time(ask(), within_s)
        except TimeoutError as error:
            raise ConnectionLost(
                f"the database has not answered within {within_s:g} s", outcome="unknown"
            ) from error

    @asynccontextmanager
    async def snapshot(self, *, after_commit: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection as `connection` does, but all its statements see the database at one moment."""
        outcome: Outcome = "unknown" if after_commit else "not_applied"

        async def lend() -> tuple[Connection, _Transaction]:
            connection = await self.acquire(outcome)
            return connection, connection.transaction(isolation="repeatable_read", readonly=True)

        try:
            async with self.transaction_on(lend, is_kept=False) as connection:
                yield connection
        except ConnectionLost as lost:  # what became of its COMMIT is all the same
            raise ConnectionLost(str(lost), outcome=outcome) from lost

    @property
    def usage(self) -> PoolUsage:
        """How the pool stands."""
        size = self._pool.get_size()
        return PoolUsage(size, size - self._pool.get_idle_size(), self._pool.get_max_size())

    def transaction(
        self, *, isolation: Isolation = "read_committed"
    ) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection in a transaction: committed at the block's end, rolled back on an exception."""

        async def lend() -> tuple[Connection, _Transaction]:
            connection = await self.acquire("not_applied")
            return connection, connection.transaction(isolation=isolation)

        return self.transaction_on(lend, is_kept=False)

    @asynccontextmanager
    async def transaction_on(
        self,
        lend: Callable[[], Awaitable[tuple[Connection, "_Transaction"]]],
        *,
        is_kept: bool,
    ) -> AsyncIterator[Connection]:
        """Run the block in what `lend` gives. The pool gets it back, but who keeps it does once committed."""
        outcome: Outcome = "not_applied"
        connection, transaction = await lend()
        watch(connection, self._answer_timeout_s)
        is_open = is_over = False
        try:
            await transaction.start()
            is_open = True
            yield connection
            if not is_closed(connection):  # where it is, commit only raises and nothing is sent
                outcome = "unknown"
            is_open = False
            watch(connection, self._answer_timeout_s)  # again, where the statements were `unhurried`
            await transaction.commit()
            is_over = True
        except asyncpg.QueryCanceledError as error:
            raise StatementTimeout(str(error)) from error
        except _MAY_BE_LOST as error:
            if not _is_loss(error, connection):
                raise
            raise _lost(connection, outcome) from error
        finally:
            rest(connection)
            if is_over and not is_kept:
                await self._pool.release(connection)
            elif not is_over:
                await self.undo(connection, transaction if is_open else None)

    async def undo(self, connection: Connection, transaction: "_Transaction | None") -> None:
        """Roll back what is open, and give the connection back to the pool."""
        # In a task of its own: who is cancelled may be cancelled again at every await until it ends, and a
        # connection must not go back in its transaction.
        ending = asyncio.create_task(self._undo(connection, transaction))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)

    async def close(self) -> None:
        """Wait for lent connections and close all; those not given back in `CLOSE_TIMEOUT_S` are cut off."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def give_up(self) -> None:
        """Cut every connection: whoever waits for the server, or asks for it, is told that it is lost.

        For a process that has to end while the server does not answer, and has not hung up either.
        """
        self._is_given_up = True
        self._pool.terminate()
        for connection in self._alone:
            connection.terminate()

    def _check_not_given_up(self, outcome: Outcome) -> None:
        if self._is_given_up:
            raise ConnectionLost("the database was given up", outcome=outcome)

    async def _undo(self, connection: Connection, transaction: "_Transaction | None") -> None:
        """Do what `undo` says.

        Without a transaction its BEGIN or COMMIT did not go through, and who knows what it left behind. Then,
        and where rolling back fails, the connection is closed: whatever ended the transaction still stands.
        Rolling back waits until the statement under way was cancelled, and PostgreSQL ignores a cancel that
        comes before the statement does: so it has a time limit.
        """
        is_clean = is_closed(connection)
        if not is_clean and transaction is not None:
            with suppress(*_MAY_BE_LOST, OSError):  # TimeoutError is an OSError
                async with asyncio.timeout(UNDO_TIMEOUT_S):
                    await transaction.rollback()
                is_clean = True
        if not is_clean and not is_closed(connection):
            connection.terminate()
        await self._pool.release(connection)

    async def acquire(self, outcome: Outcome) -> Connection:
        """Borrow a connection; ConnectionLost with that outcome where none is to be had."""
        self._check_not_given_up(outcome)
        try:
            return await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except (*_LOST, OSError) as error:  # TimeoutError is an OSError
            raise ConnectionLost("no connection to the database is to be had", outcome=outcome) from error


async def take_process_number(connection: Connection) -> int:
    """Return a number that no process has taken in the last 65,536 starts, for `ids.use_number`."""
    number: int = await connection.fetchval("SELECT nextval('process_number')")
    return number


async def unhurried(connection: Connection) -> None:
    """Let the statements of the transaction that is open take as long as they need, and us between them."""
    await connection.execute(
        "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'"
    )
    rest(connection)


def _not_let_in(error: Exception) -> ConnectionLost:
    return ConnectionLost(f"the database does not let us in: {error}", outcome="not_applied")


def _is_loss(error: BaseException, connection: Connection | LoneConnection) -> bool:
    """Tell whether an error is the end of its connection, not of a statement or a misuse of ours."""
    if isinstance(error, _LOST):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return getattr(error, "severity_en", None) in {"FATAL", "PANIC"}
    return isinstance(error, asyncpg.InterfaceError) and is_closed(connection)


def _lost(connection: Connection | LoneConnection, outcome: Outcome) -> ConnectionLost:
    """Close a lost connection, so that the pool does not lend it again, and return what to raise."""
    if not is_closed(connection):
        connection.terminate()
    return ConnectionLost("the connection to the database was lost", outcome=outcome)


def is_closed(connection: Connection | LoneConnection) -> bool:
    """Tell whether a lent connection is closed; the pool takes one that breaks back at once."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def _keep_session(_connection: object) -> None:
    """Stand in for the pool's clean-up query: there is nothing to clean, see the module's invariants."""


def constraint_name(error: BaseException) -> str | None:
    """Return the name of the constraint that a violation broke, None for any other error."""
    name = getattr(error, "constraint_name", None)
    return name if isinstance(name, str) else None
