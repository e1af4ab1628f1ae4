"""What a process keeps in memory is read again once it has changed anywhere.

A trigger tells of each change at its commit (`kit.notices`); the rows are then read by a task beside the
requests, all changes that came meanwhile in one go. Where notices may have gone unheard everything is read.

Invariant: what was committed before the notices began to listen, or was told of, is read in the end, however
often the database is lost in between. Known limit: until then, some milliseconds, the old is still in use: a
process that must see its own change at once reads it itself, as before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from exchange.kit.database import Connection, ConnectionLost, Database
from exchange.kit.notices import Notices
from exchange.kit.tasks import end

RETRY_S: Final = 0.2

_log = logging.getLogger(__name__)


class Rereader:
    """Keeps one memory up to date. Made before `notices` starts; `start` after it, `stop` before it."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        channel: str,
        read: Callable[[Connection, str | None], Awaitable[None]],
    ) -> None:
        """`read` takes in what a notice's payload names, or everything (None)."""
        self._database = database
        self._channel = channel
        self._read = read
        self._changed: set[str] = set()
        self._is_all_unknown = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        notices.on(channel, self._hear)
        notices.on_lost(self._lose)

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run(), name=f"rereading-{self._channel}")

    async def stop(self) -> None:
        """Read no more."""
        await end([self._task])

    def _hear(self, payload: str) -> None:
        self._changed.add(payload)
        self._wake.set()

    def _lose(self) -> None:
        self._is_all_unknown = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._read_changed()
            except ConnectionLost as error:
                _log.warning("what changed (%s) is not read yet: %s", self._channel, error)
                await asyncio.sleep(RETRY_S)
            except Exception:  # noqa: BLE001 - logged; what is told next must be read all the same
                _log.exception("what changed (%s) cannot be read", self._channel)
                await asyncio.sleep(RETRY_S)

    async def _read_changed(self) -> None:
        payloads: list[str | None] = [*sorted(self._changed)]
        if self._is_all_unknown:
            payloads = [None]
        self._changed, self._is_all_unknown = set(), False
        try:
            async with self._database.connection() as connection:
                for payload in payloads:
                    await self._read(connection, payload)
        except BaseException:
            self._lose()  # some of it may have been read: all of it will be
            raise
