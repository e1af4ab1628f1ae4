"""What other processes have changed: PostgreSQL's LISTEN, on one connection a process.

A process that keeps rows in memory subscribes to the channel on which a trigger tells, in the transaction of
the change itself, what has changed (`NOTIFY`); PostgreSQL hands it on at the commit. A connection that was
lost may have lost notices with it, so whoever subscribes is then told to drop what it keeps, and again when
the next connection listens: what was read meanwhile may have changed unheard.

Invariants:
- while `is_listening`, everything committed more than `TRUSTED_S` ago has been told: the server answered a
  question on this connection that was asked later. So a line that is cut without a word is trusted no longer
  than that. Where it is False, nothing kept in memory may be relied on beyond what its keeper allows by the
  clock alone;
- callbacks are called on the event loop, in commit order, once for each notice, or `on_lost` in its place.
  One that fails is logged and stops no other.

Known limits: a payload has at most 8,000 bytes. A pooler between us and PostgreSQL must not be one that lends
a connection by the transaction: LISTEN needs it whole.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from exchange.kit.clock import monotonic_s
from exchange.kit.database import ConnectionLost, Database, LoneConnection
from exchange.kit.tasks import end

BEAT_S: Final = 0.5
"""How often the server is asked for a sign of life."""
TRUSTED_S: Final = 2.0
"""How long its latest sign of life is good for."""
BEAT_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.2

OnNotice = Callable[[str], None]
OnLost = Callable[[], None]

_log = logging.getLogger(__name__)


class Notices:
    """The notices of a process. Subscribe first (`on`, `on_lost`), then `start`; `stop` at the end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._on_notice: dict[str, list[OnNotice]] = {}
        self._on_lost: list[OnLost] = []
        self._heard_s: float | None = None
        self._ended = asyncio.Event()
        self._tried = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_listening(self) -> bool:
        """Whether everything committed more than `TRUSTED_S` ago has been told."""
        return self._heard_s is not None and monotonic_s() - self._heard_s < TRUSTED_S

    def on(self, channel: str, callback: OnNotice) -> None:
        """Call back with the payload of each notice on a channel. RuntimeError once started."""
        if self._task is not None:
            raise RuntimeError("subscribe before start: what comes in between would go unheard")
        self._on_notice.setdefault(channel, []).append(callback)

    def on_lost(self, callback: OnLost) -> None:
        """Call back whenever notices may have gone unheard: drop what is kept in memory."""
        self._on_lost.append(callback)

    async def start(self) -> None:
        """Begin to listen; return when it does, or when the first try has failed and it goes on trying."""
        self._task = asyncio.create_task(self._run(), name="notices")
        await self._tried.wait()

    async def stop(self) -> None:
        """Listen no more."""
        self._is_stopping = True
        self._ended.set()
        await end([self._task])

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._listen()
            except (ConnectionLost, TimeoutError) as error:
                if not self._is_stopping:
                    _log.warning("notices are not heard: %s", str(error) or "no sign of life in time")
            except Exception:  # noqa: BLE001 - logged; caches that hear nothing must go on being dropped
                _log.exception("listening for notices failed")
            self._tried.set()
            await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        """Listen on one connection until it ends."""
        self._ended.clear()
        async with self._database.alone() as connection:
            try:
                connection.add_termination_listener(self._end)
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    for channel in self._on_notice:
                        await connection.add_listener(channel, self._hear)
                self._tell_lost()
                await self._beat(connection)
                raise ConnectionLost("the connection ended", outcome="not_applied")
            finally:
                if self._heard_s is not None:
                    self._heard_s = None
                    self._tell_lost()

    async def _beat(self, connection: LoneConnection) -> None:
        while not self._ended.is_set():
            asked_s = monotonic_s()
            async with asyncio.timeout(BEAT_TIMEOUT_S):
                await connection.execute("SELECT")
            self._heard_s = asked_s
            self._tried.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._ended.wait()

    def _end(self, _connection: object) -> None:
        self._heard_s = None
        self._ended.set()
        self._tell_lost()

    def _hear(self, _connection: object, _process_id: int, channel: str, payload: object) -> None:
        for callback in self._on_notice[channel]:
            _call(callback, str(payload))

    def _tell_lost(self) -> None:
        for callback in self._on_lost:
            _call(callback)


def _call(callback: Callable[..., Any], *arguments: str) -> None:
    try:
        callback(*arguments)
    except Exception:  # noqa: BLE001 - logged; the others must hear of it all the same
        _log.exception("a subscriber failed to take a notice")
