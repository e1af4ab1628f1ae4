"""Orders that must leave their books although nobody waits for it: tried until it is done.

They are named by their client order ids, so what an amendment put in the place of one is found with it, also
where that comes while the one is withdrawn: it is looked under the same names until nothing is found.

Invariants: a withdrawal that has begun goes on while its partition rebuilds or the database is out of reach,
until every order it is about is live no more; `close` waits for those under way. An order whose outcome was
unknown is looked for again for a while, because its commit may still come.

Known limit: a withdrawal lives in its process. What must survive that is a dead man's switch's business.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exchange.kit.clock import monotonic_s
from exchange.kit.database import UNANSWERED
from exchange.kit.errors import Unavailable
from exchange.orders import store
from exchange.orders.models import CancelRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping

    from exchange.kit.auth import Principal
    from exchange.kit.database import Database
    from exchange.orders.leader import Leader

RETRY_S: Final = 0.2
UNCLEAR_S: Final = 10.0
"""How long an order of unknown outcome may still come; longer than a partition is waited for."""
LOOK_AGAIN_S: Final = 0.5
AMENDED_S: Final = 0.01
"""Before what was replaced while it was withdrawn is cancelled again."""
AT_ONCE: Final = 512
"""Cancels handed to a partition together: what it commits together."""
CLOSE_S: Final = 10.0

_log = logging.getLogger(__name__)


class Withdrawals:
    """Withdraws orders; `close` before the partitions are stopped."""

    def __init__(self, database: Database, leaders: Mapping[int, Leader]) -> None:
        self._database = database
        self._leaders = leaders
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Let work go on by itself, whoever began it."""
        task = asyncio.create_task(_logged(work), name="withdrawal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def withdraw(
        self, owner: Principal, names: Collection[str], cause: str, *, unclear: Collection[str] = ()
    ) -> None:
        """Return when none of an owner's orders under these client order ids is live.

        `unclear` are those that may still come. `cause` stands in the audit trail beside each order that this
        withdraws.
        """
        await _insist(lambda: self._cancel_live(owner, {*names, *unclear}, cause))
        deadline_s = monotonic_s() + UNCLEAR_S
        while unclear and monotonic_s() < deadline_s and not self._closing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._closing.wait()
            await _insist(lambda: self._cancel_live(owner, unclear, cause))

    async def live(self, owner: Principal, names: Collection[str]) -> set[str]:
        """Return under which of some client order ids an owner has a live order; raises `UNANSWERED`."""
        return {name for _, _, name in await self._live(owner, names)}

    async def close(self) -> None:
        """Wait for what is under way, and give up what does not end in time.

        What is only looked for, in case it still comes, is looked for once more.
        """
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            _log.error("a withdrawal did not end before the exchange did")
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _live(self, owner: Principal, names: Collection[str]) -> list[tuple[int, int, str]]:
        async with self._database.connection() as connection:
            return await store.live_among(connection, owner.participant_id, names)

    async def _cancel_live(self, owner: Principal, names: Collection[str], cause: str) -> None:
        if not names:
            return
        is_again = False
        while found := await self._live(owner, names):
            if is_again:
                await asyncio.sleep(AMENDED_S)  # somebody amends as fast as this cancels
            is_again = True
            by_partition: dict[int, list[CancelRequest]] = {}
            for order_id, partition_id, _ in found:
                request = CancelRequest(
                    order_id=order_id,
                    participant_id=owner.participant_id,
                    key_id=owner.key_id,
                    cause=cause,
                )
                by_partition.setdefault(partition_id, []).append(request)
            await asyncio.gather(*(self._cancel_in(*each) for each in by_partition.items()))

    async def _cancel_in(self, partition_id: int, requests: list[CancelRequest]) -> None:
        # One that has ended meanwhile, or was replaced, is refused, which is not read: the next look tells.
        for first in range(0, len(requests), AT_ONCE):
            some = requests[first : first + AT_ONCE]
            await asyncio.gather(*self._leaders[partition_id].enqueue(some))


async def _insist(attempt: Callable[[], Awaitable[None]]) -> None:
    """Try until it is done; what is withdrawn already is found withdrawn."""
    tries = 1
    while True:
        try:
            await attempt()
        except (Unavailable, *UNANSWERED) as error:
            if tries == 1:
                _log.warning("orders are not withdrawn yet, which is tried on: %s", error)
            tries += 1
            await asyncio.sleep(RETRY_S)
        else:
            if tries > 1:
                _log.warning("orders are withdrawn now, after %d tries", tries)
            return


async def _logged(work: Coroutine[object, object, None]) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - logged; nobody waits for it
        _log.exception("orders were not withdrawn")
