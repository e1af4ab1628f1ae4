"""Rests of what runs beside the market, in its process or on its machine: the market goes first.

Who reads the committed record works in turns, and rests after each for as long as it worked, or, in a rush,
for `RUSH_FACTOR` times as long, `REST_S_MAX` at most. So it takes half a core at most where there is time,
and where there is none a twentieth, more only where one turn takes over half a second: it falls behind in a
rush, and catches up after it.

A rush is when the process computed for half of the rest before, or when the machine's cores had little left
since the last look: PostgreSQL and other processes of the exchange share them.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final

from exchange.kit.clock import idle_s, monotonic_s, process_s

RUSH_FACTOR: Final = 19.0
BUSY_SHARE: Final = 0.5
"""Of a core, by this process, while the worker rests."""
IDLE_SHARE_MIN: Final = 0.2
"""Of all cores together."""
LOOK_S: Final = 0.1
"""The machine counts in hundredths of a second: less than this tells nothing."""
REST_S_MIN: Final = 0.02
REST_S_MAX: Final = 10.0


class Courtesy:
    """Rests of one worker; `sleep` is how it waits, so that it can be woken to stop."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._is_process_busy = self._is_machine_busy = False
        self._looked = (monotonic_s(), idle_s())

    @property
    def is_rush(self) -> bool:
        """Whether others want what a worker would take."""
        return self._is_process_busy or self._is_machine_busy

    async def rest(self, worked_s: float, least_s: float = REST_S_MIN) -> None:
        """Rest after work that took so long, `least_s` at least."""
        factor = RUSH_FACTOR if self.is_rush else 1.0
        began_s, used_s = monotonic_s(), process_s()
        await self._sleep(max(min(worked_s * factor, REST_S_MAX), least_s))
        self._is_process_busy = process_s() - used_s >= BUSY_SHARE * (monotonic_s() - began_s)
        self._look_at_machine()

    def _look_at_machine(self) -> None:
        (then_s, idle_then_s), now_s = self._looked, monotonic_s()
        if now_s - then_s < LOOK_S:
            return
        idle_now_s = idle_s()
        self._looked = now_s, idle_now_s
        if idle_then_s is not None and idle_now_s is not None:
            whole_s = (now_s - then_s) * (os.cpu_count() or 1)
            self._is_machine_busy = idle_now_s - idle_then_s < IDLE_SHARE_MIN * whole_s
