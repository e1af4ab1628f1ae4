"""Redis: commands on a pool of connections, scripts, and streams; one address a process.

The only module, with what else in kit needs it, that knows redis-py. Redis carries what several processes
tell each other; it may lose anything at any time, because nothing in it was ever acknowledged.

Invariants:

- A command is sent once. redis-py would send it again on another connection, and an entry appended twice is
  two entries. So `RedisLost` can say whether it was done: only a loss after it was sent leaves that unknown.
- A connection on which anything went wrong, or whose caller was cancelled, is closed and never lent again.
- What Redis refuses (`RedisRefused`: out of memory, a wrong kind of key) it has not done.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias

from redis import exceptions
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from exchange.kit.resp import WholeAnswers, Word, pack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from redis.asyncio.connection import AbstractConnection

Outcome: TypeAlias = Literal["not_applied", "unknown"]

CONNECTIONS_MAX: Final = 64
CONNECT_TIMEOUT_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 2.0
"""How long Redis may take over a command that does not block."""

BEGINNING: Final = "0-0"
"""The place before every entry of a stream."""
_SEQUENCE_MAX: Final = 2**64 - 1


class RedisLost(Exception):
    """Redis cannot be reached. `outcome` tells of the command: not_applied or unknown."""

    def __init__(self, detail: str, *, outcome: Outcome) -> None:
        """Keep what happened, without address or password."""
        super().__init__(detail)
        self.outcome = outcome


class RedisRefused(Exception):
    """Redis answered a command with an error, and did nothing."""


class Redis:
    """A pool of connections to one server. Made by `at`, which opens none; ended by `close`."""

    def __init__(self, factory: ConnectionPool) -> None:
        """Take what makes connections, made by `at`."""
        self.is_cut_off = False
        """Whether the server could not be reached when it was last asked."""
        self.streams_lost = 0
        """How often a reader found that its stream was lost."""
        self._factory = factory
        self._idle: list[AbstractConnection] = []
        self._lent_count = 0

    @classmethod
    def at(cls, url: str, *, connections_max: int = CONNECTIONS_MAX) -> Self:
        """Take an address (redis://, rediss:// or unix://); ValueError where it is none."""
        factory = ConnectionPool.from_url(
            url,
            max_connections=connections_max,
            # Ours are the only limits of time: redis-py's own are kept by asyncio.wait_for, which until
            # Python 3.12 can lose a cancellation.
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            parser_class=WholeAnswers,
        )
        try:
            factory.connection_class(**factory.connection_kwargs)
        except TypeError as error:  # it names an option of redis-py's that there is not
            raise ValueError(str(error)) from error
        return cls(factory)

    async def close(self) -> None:
        """Close every connection."""
        while self._idle:
            await self._idle.pop().disconnect()

    async def ping(self) -> None:
        """Ask whether the server is there; raises `RedisLost`."""
        await self.run("PING")

    async def run(self, *words: Word, block_s: float = 0.0) -> Any:
        """Run a command and return its answer, texts as bytes.

        A command that blocks must be told to end after `block_s`. Raises `RedisLost`, `RedisRefused`.
        """
        [answer] = await self.run_each(words, block_s=block_s)
        return answer

    async def run_each(self, *commands: Sequence[Word], block_s: float = 0.0) -> list[Any]:
        """Send commands together, and return the answer of each in their order.

        Each is carried out whether or not another one is; the first one refused is told. Raises `RedisLost`,
        `RedisRefused`.
        """
        answers: list[Any] = []
        refused: RedisRefused | None = None
        async with self._lent() as connection:
            try:
                # Our own limit: redis-py answers None where its own is over.
                async with asyncio.timeout(block_s + ANSWER_TIMEOUT_S):
                    await connection.send_packed_command([pack(commands)], check_health=False)
                    for _ in commands:
                        try:
                            answers.append(await connection.read_response(timeout=math.inf))
                        except exceptions.ResponseError as error:
                            refused = refused or RedisRefused(str(error))
                            answers.append(error)
            except exceptions.BusyLoadingError as error:
                raise self._lost(error, "not_applied") from error
            except (exceptions.RedisError, OSError) as error:  # TimeoutError is an OSError
                raise self._lost(error, "unknown") from error
        self.is_cut_off = False
        if refused is not None:
            raise refused
        return answers

    async def script(self, text: str, keys: Sequence[Word] = (), args: Sequence[Word] = ()) -> Any:
        """Run a Lua script, which the server keeps by its hash; raises as `run`."""
        told = (len(keys), *keys, *args)
        try:
            return await self.run("EVALSHA", sha1(text.encode(), usedforsecurity=False).hexdigest(), *told)
        except RedisRefused as refused:
            if not str(refused).startswith("NOSCRIPT") and "No matching script" not in str(refused):
                raise
        return await self.run("EVAL", text, *told)

    async def append(self, stream: str, data: bytes, *, keep_s: int | None = None) -> str:
        """Append an entry to a stream and return its id; the stream is dropped `keep_s` after its last one.

        Raises as `run`.
        """
        added = ("XADD", stream, "*", "data", data)
        if keep_s is None:
            return _text(await self.run(*added))
        answers = await self.run_each(added, ("EXPIRE", stream, keep_s))
        return _text(answers[0])

    async def trim(self, stream: str, first_id: str) -> None:
        """Drop the entries of a stream before one; raises as `run`."""
        await self.run("XTRIM", stream, "MINID", first_id)

    async def last_id(self, stream: str) -> str:
        """Return the id of the last entry that a stream ever had, `BEGINNING` where there is none.

        Raises `RedisLost`.
        """
        try:
            answer = await self.run("XINFO", "STREAM", stream)
        except RedisRefused:  # no such key
            return BEGINNING
        told = dict(zip(answer[::2], answer[1::2], strict=True))
        return _text(told[b"last-generated-id"])

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AbstractConnection]:
        """Lend a connection that is open; raises `RedisLost` with nothing sent."""
        try:
            connection = await self._usable() or await self._opened()
        except (exceptions.RedisError, OSError) as error:  # TimeoutError is an OSError
            raise self._lost(error, "not_applied") from error
        self._lent_count += 1
        is_whole = False
        try:
            yield connection
            is_whole = True
        finally:
            self._lent_count -= 1
            if is_whole:
                self._idle.append(connection)
            else:
                # An answer may still come: to the next command, if the connection were used again.
                await connection.disconnect(nowait=True)

    async def _usable(self) -> AbstractConnection | None:
        """Take an idle connection on which nothing has come, not even its end; close the others."""
        while self._idle:
            connection = self._idle.pop()
            try:
                if not await connection.can_read():
                    return connection
            except (exceptions.RedisError, OSError):
                pass
            await connection.disconnect(nowait=True)
        return None

    async def _opened(self) -> AbstractConnection:
        if self._lent_count >= self._factory.max_connections:
            raise exceptions.MaxConnectionsError
        connection: AbstractConnection = self._factory.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S + ANSWER_TIMEOUT_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # as above
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    def _lost(self, error: BaseException, outcome: Outcome) -> RedisLost:
        self.is_cut_off = True
        if isinstance(error, exceptions.ResponseError | exceptions.AuthenticationError):
            return RedisLost(f"Redis refuses connections: {error}", outcome=outcome)
        return RedisLost(f"Redis cannot be reached: {type(error).__name__}", outcome=outcome)


class Entry(NamedTuple):
    """One entry of a stream: its id, and what was appended."""

    id: str
    data: bytes


class Page(NamedTuple):
    """Entries in their order, and Redis' own time when they were read, in milliseconds since the epoch."""

    entries: list[Entry]
    now_ms: int


class StreamReader:
    """Reads a stream onwards from a place; for one caller at a time.

    A server that lost the stream counts its entries anew, by its clock. Where that left the ids behind the
    reader's place, entries would be passed over for ever: so a reader that got nothing looks, and begins
    anew. Entries that came before it looked can be passed over: they are lost, as anything in Redis may be.
    """

    def __init__(self, redis: Redis, stream: str, *, after: str = BEGINNING, entries_max: int) -> None:
        self.after = after
        """The place: the id of the last entry read."""
        self._redis = redis
        self._stream = stream
        self._entries_max = entries_max

    async def read(self, block_s: float) -> Page:
        """Return the next entries, none after `block_s`; raises `RedisLost`, `RedisRefused`."""
        answers, now = await self._redis.run_each(
            (
                *("XREAD", "COUNT", self._entries_max, "BLOCK", max(1, round(block_s * 1000))),
                *("STREAMS", self._stream, self.after),
            ),
            ("TIME",),
            block_s=block_s,
        )
        entries = [Entry(_text(id_), fields[1]) for id_, fields in answers[0][1]] if answers else []
        if entries:
            self.after = entries[-1].id
        elif self.after != BEGINNING and place_of(await self._redis.last_id(self._stream)) < place_of(
            self.after
        ):
            self.after = BEGINNING
            self._redis.streams_lost += 1
        return Page(entries, int(now[0]) * 1000 + int(now[1]) // 1000)


def place_of(entry_id: str) -> tuple[int, int]:
    """Return an entry's id so that ids compare as their entries come."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence)


def before(entry_id: str) -> str:
    """Return the place just before an entry, from which it is the next one."""
    ms, sequence = place_of(entry_id)
    if sequence:
        return f"{ms}-{sequence - 1}"
    return f"{ms - 1}-{_SEQUENCE_MAX}" if ms else BEGINNING


def _text(answer: bytes) -> str:
    return answer.decode()
