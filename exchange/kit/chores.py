"""Chores: what a process does of itself beside requests, again and again until it stops.

Invariants: a chore goes on whatever became of it the last time; what has to wait (the database or Redis is
away, a book is being rebuilt) is a warning, once until it was done again, and anything else an error with its
trace. What is asked for by `hurry` is done after that: at once, or once a failure's wait is over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

from exchange.kit.database import ConnectionLost
from exchange.kit.errors import Unavailable
from exchange.kit.redis import RedisLost, RedisRefused
from exchange.kit.tasks import end

Work: TypeAlias = Callable[[], Awaitable[float | None]]
"""Do it once; return how many seconds to wait before the next time, None for as long as ever."""

RETRY_S: Final = 1.0

_log = logging.getLogger(__name__)


class Chore:
    """One chore. `start` begins it, `stop` ends it wherever it is; it can be started anew."""

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        undone: str,
        period_s: float | None = 0.0,
        first_s: float | None = 0.0,
        retry_s: float = RETRY_S,
        fault_s: float | None = None,
    ) -> None:
        """Do `work` `first_s` after the start, then every `period_s`; None: only when hurried.

        It is tried again `retry_s` after it had to wait, `fault_s` (or as well `retry_s`) after a fault.
        `undone` is what the log says where it was not done.
        """
        self._name = name
        self._work = work
        self._undone = undone
        self._period_s = period_s
        self._first_s = first_s
        self._retry_s = retry_s
        self._fault_s = retry_s if fault_s is None else fault_s
        self._hurried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hurry(self) -> None:
        """Do it now and not when its time comes; where it is being done, once more."""
        self._hurried.set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Do it no more."""
        await end([self._task])

    async def _run(self) -> None:
        wait_s, is_put_off, has_failed = self._first_s, False, False
        while True:
            if wait_s == 0.0 or has_failed:
                await asyncio.sleep(wait_s or 0.0)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._hurried.wait()
            self._hurried.clear()
            try:
                next_s = await self._work()
            except (ConnectionLost, RedisLost, RedisRefused, Unavailable) as error:
                if not is_put_off:
                    _log.warning("%s yet: %s", self._undone, error)
                wait_s, is_put_off, has_failed = self._retry_s, True, True
            except Exception:  # noqa: BLE001 - logged; it must be done the next time all the same
                _log.exception(self._undone)
                wait_s, has_failed = self._fault_s, True
            else:
                wait_s = self._period_s if next_s is None else next_s
                is_put_off = has_failed = False
