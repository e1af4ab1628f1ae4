"""How a server is told to stop: at once, or after a while in which it says that it will.

What sends callers to a server learns from `/readyz` that it is to send no more: it asks every few seconds,
and mostly wants to hear it more than once. So SIGTERM, which supervisors send, first lets `/readyz` say no
for some seconds, while everything is answered as before. SIGINT, which people send, and a second SIGTERM stop
at once, as SIGTERM does before the server is up: nobody is sent to it then.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Stop:
    """Sets `stopping` when it is time: `listen` for signals, and once the server is up say how to `drain`."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.stopping = stopping
        self._drain_s = 0.0
        self._on_drain: Callable[[], None] | None = None

    def drain(self, drain_s: float, on_drain: Callable[[], None]) -> None:
        """From now on let a first SIGTERM call `on_drain`, and stop `drain_s` later."""
        self._drain_s, self._on_drain = drain_s, on_drain

    def listen(self) -> None:
        """Take SIGINT and SIGTERM."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.stopping.set)
        loop.add_signal_handler(signal.SIGTERM, self.ask)

    def ask(self) -> None:
        """Drain, where there is what to drain and it has not begun; else stop."""
        on_drain, self._on_drain = self._on_drain, None
        if on_drain is None or not self._drain_s:
            self.stopping.set()
            return
        _log.info(
            "stopping in %g s; until then /readyz says so (a second SIGTERM stops at once)", self._drain_s
        )
        on_drain()
        asyncio.get_running_loop().call_later(self._drain_s, self.stopping.set)
