"""Dead man's switches: a participant's live orders are withdrawn unless it is heard of again in time.

One switch a participant, whichever of its keys set it; setting it again puts it off, 0 takes it away. It runs
by the wall clock, because what it guards against (a client that has died, a line that is cut) happens there,
however fast venue time passes.

Known limit: a switch lives in the memory of its process and survives nothing: a restart takes it away and
leaves the orders. Where a partition cannot be reached when it fires, it tries until it is done.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.database import ConnectionLost
from exchange.kit.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exchange.kit.auth import Principal

RETRY_SECONDS: Final = 0.2
CAUSE: Final = "cancel_all_after"

_log = logging.getLogger(__name__)


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Let it not happen."""


def call_later(delay_s: float, callback: Callable[[], None]) -> Timer:
    """Call back once some seconds of real time have passed."""
    return asyncio.get_running_loop().call_later(delay_s, callback)


class Switch(msgspec.Struct, frozen=True):
    """A switch that is set: when it fires by the wall clock, unless it is put off."""

    fires_at_us: int
    timer: Timer


class Switches:
    """The switches of this process; `close` before what `cancel_all` needs is taken down."""

    def __init__(
        self,
        cancel_all: Callable[[Principal], Awaitable[object]],
        *,
        later: Callable[[float, Callable[[], None]], Timer] = call_later,
    ) -> None:
        """Fire by `cancel_all`; `later` says when that is."""
        self._cancel_all = cancel_all
        self._later = later
        self._set: dict[int, Switch] = {}
        self._firing: set[asyncio.Task[None]] = set()

    def set(self, principal: Principal, timeout_s: int) -> int | None:
        """Set, put off or (with 0) take away a participant's switch; return when it fires, in wall time."""
        before = self._set.pop(principal.participant_id, None)
        if before is not None:
            before.timer.cancel()
        if not timeout_s:
            return None
        switch = Switch(
            fires_at_us=wall_now_us() + timeout_s * US_PER_SECOND,
            timer=self._later(timeout_s, lambda: self._fire(principal)),
        )
        self._set[principal.participant_id] = switch
        return switch.fires_at_us

    async def close(self) -> None:
        """Take all switches away, and let those that have fired end."""
        for switch in self._set.values():
            switch.timer.cancel()
        self._set.clear()
        for task in self._firing:
            task.cancel()
        await asyncio.gather(*self._firing, return_exceptions=True)

    def _fire(self, principal: Principal) -> None:
        del self._set[principal.participant_id]
        task = asyncio.create_task(self._cancel(principal), name=f"switch-{principal.participant_id}")
        self._firing.add(task)
        task.add_done_callback(self._firing.discard)

    async def _cancel(self, principal: Principal) -> None:
        _log.warning("the dead man's switch of participant %d fires", principal.participant_id)
        while True:
            try:
                await self._cancel_all(principal)
            except (Unavailable, ConnectionLost) as error:
                _log.warning("the orders of %d are not withdrawn yet: %s", principal.participant_id, error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - logged; nobody waits for this task
                _log.exception("the orders of participant %d were not withdrawn", principal.participant_id)
                return
            else:
                return
