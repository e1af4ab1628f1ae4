"""Dead man's switches: a participant's live orders are withdrawn unless it is heard of again in time.

One switch a participant, whichever of its keys set it; setting it again puts it off, 0 takes it away. It
stands in the database, one row for each partition, and runs by the database's clock: what it guards against
(a client that has died, a line that is cut) happens in real time, however fast venue time passes, and every
process must agree on it. `Switches` sets it, in any process; the process that leads a partition fires what is
due there (`SwitchWatch`), each partition by itself: one whose books are being rebuilt delays no other.

Invariants:
- a switch that was answered for survives every process; one that came due while nobody led a partition fires
  once somebody does;
- it is taken away only after its cancel was committed, and only as it was seen: one that was set again
  meanwhile stays. Where taking it away fails, it is tried again without firing anew.

Known limits: it fires up to `POLL_S` late, later where the partition has to be reached first. A leader that
ends between the cancel and taking the switch away leaves it to the next one, which withdraws once more.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from exchange.kit.chores import Chore
from exchange.orders import store
from exchange.orders.many_models import Cause
from exchange.orders.models import CancelAllRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.auth import Principal
    from exchange.kit.database import Database
    from exchange.orders.many_models import DueSwitch
    from exchange.orders.models import Request
    from exchange.orders.outcomes import Outcome

POLL_S: Final = 0.25
RETRY_S: Final = 1.0
FIRED_AT_ONCE_MAX: Final = 500
CAUSE: Final = Cause.CANCEL_ALL_AFTER

_log = logging.getLogger(__name__)


class Leader(Protocol):
    """The writer of a partition, as far as switches need it."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""

    async def submit(self, request: Request) -> Outcome:
        """Queue a request and wait for its committed outcome."""


class Switches:
    """Sets the switches of participants in all partitions."""

    def __init__(self, database: Database, partition_ids: Collection[int]) -> None:
        self._database = database
        self._partition_ids = sorted(partition_ids)

    async def set(self, principal: Principal, timeout_s: int) -> int | None:
        """Set, put off or (with 0) take away a participant's switch; return when it fires, in wall time."""
        async with self._database.transaction() as connection:
            return await store.set_switch(
                connection, principal.participant_id, principal.key_id, self._partition_ids, timeout_s
            )


class SwitchWatch:
    """Fires the switches of the partitions that are led here; `stop` before their leaders stop."""

    def __init__(self, database: Database, leaders: Mapping[int, Leader]) -> None:
        self._database = database
        self._leaders = leaders
        self._fired: dict[int, list[DueSwitch]] = {each: [] for each in leaders}
        self._chores = [
            Chore(
                f"switches-{each}",
                partial(self.fire_due, each),
                undone="switches that may be due are not fired",
                period_s=POLL_S,
                retry_s=POLL_S,
                fault_s=RETRY_S,
            )
            for each in leaders
        ]

    def start(self) -> None:
        """Begin to look for what is due."""
        for chore in self._chores:
            chore.start()

    async def stop(self) -> None:
        """Look no more; what has fired is carried out, and taken away at the next start at the latest."""
        for chore in self._chores:
            await chore.stop()

    async def fire_due(self, partition_id: int) -> None:
        """Fire what is due in a partition that is led here, and take it away.

        Raises what kept one from it, once all were tried.
        """
        if not self._leaders[partition_id].is_ready:
            return
        async with self._database.connection() as connection:
            due = await store.due_switches(connection, [partition_id], FIRED_AT_ONCE_MAX)
        fired = self._fired[partition_id]
        new = [each for each in due if each not in fired]
        outcomes = await asyncio.gather(*(self._fire(each) for each in new), return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        self._fired[partition_id] = fired = [each for each in due if each in fired] + [
            each
            for each, outcome in zip(new, outcomes, strict=True)
            if not isinstance(outcome, BaseException)
        ]
        await self._take_away(fired)
        if failed:
            raise failed[0]

    async def _fire(self, due: DueSwitch) -> None:
        _log.warning(
            "the dead man's switch of participant %d fires in partition %d",
            due.participant_id,
            due.partition_id,
        )
        await self._leaders[due.partition_id].submit(
            CancelAllRequest(participant_id=due.participant_id, key_id=due.key_id, cause=CAUSE)
        )

    async def _take_away(self, fired: Sequence[DueSwitch]) -> None:
        if fired:
            async with self._database.transaction() as connection:
                await store.end_switches(connection, fired)
