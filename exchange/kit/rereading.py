"""What a process keeps in memory is read again once it has changed anywhere.

A trigger tells of each change at its commit (`kit.notices`); the rows are then read by a task beside the
requests, all changes that came meanwhile in one go. Where notices may have gone unheard everything is read.

Invariant: what was committed before the notices began to listen, or was told of, is read in the end, however
often the database is lost in between. Known limit: until then, some milliseconds, the old is still in use: a
process that must see its own change at once reads it itself, as before.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from exchange.kit.chores import Chore
from exchange.kit.database import Connection, Database
from exchange.kit.notices import Notices

RETRY_S: Final = 0.2


class Rereader:
    """Keeps one memory up to date. Made before `notices` start; its `chore` starts after and stops before."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        channel: str,
        read: Callable[[Connection, str | None], Awaitable[None]],
    ) -> None:
        """`read` takes in what a notice's payload names, or everything (None)."""
        self._database = database
        self._read = read
        self._changed: set[str] = set()
        self._is_all_unknown = False
        self.chore = Chore(
            f"rereading-{channel}",
            self._read_changed,
            undone=f"what changed ({channel}) is not read",
            period_s=None,
            first_s=None,
            retry_s=RETRY_S,
        )
        notices.on(channel, self._hear)
        notices.on_lost(self._lose)

    def _hear(self, payload: str) -> None:
        self._changed.add(payload)
        self.chore.hurry()

    def _lose(self) -> None:
        self._is_all_unknown = True
        self.chore.hurry()

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
