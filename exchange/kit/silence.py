"""A connection to PostgreSQL that notices when the other end, or the way to it, is gone without a word.

Nothing more comes then, and nothing says so. Whoever waits for an answer would wait for ever: the statement
itself was acknowledged long ago. So the kernel asks now and then whether the other host is there, and ends
the connection after `SILENCE_S` without a sign of it. asyncpg has no setting for that.

A server that is there and does not answer, stopped or with a disk that hangs, is not silent in this sense:
its host acknowledges. Nor does the server's own limit of a statement's time help: the server would
have to keep it, and a COMMIT has none. So who lends a connection has it watched: a timer looks whether what
was asked last is what it was when it looked before, and then cuts the connection off. Nothing is sent for
that; a time limit of asyncpg's own asks the server to cancel, over a new connection, and waits for its word.
It looks `LOOKS` times a period, so that a process which itself stood still has seen one look without an
answer, and the answer has come by the next.

Known limits: the kernel asks over TCP only, as a Unix socket ends with its server; by names of Linux. A
silence is seen when it has lasted a period, or up to 1 / `LOOKS` of one longer; one that asks nothing for so
long is taken for one that gets no answer.
"""

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection  # generic in its stubs only

SILENCE_S: Final = 20
PROBE_S: Final = 5
"""After how long without a word the other host is asked, and how often from then on."""
LOOKS: Final = 5

_log = logging.getLogger(__name__)


class WatchedConnection(_Connection):
    """Made by asyncpg, as its `connection_class`."""

    __slots__ = ("_look",)
    _protocol: Any  # no stub has it

    def __init__(self, protocol: Any, transport: asyncio.Transport, *more: Any) -> None:
        super().__init__(protocol, transport, *more)
        self._look: asyncio.TimerHandle | None = None
        wire = transport.get_extra_info("socket")
        if wire.family == socket.AF_UNIX:
            return
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_S)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_S)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)

    def watch(self, period_s: float) -> None:
        """Do what `watch` says."""
        if period_s and self._look is None:
            self._look_later(period_s, self._protocol.queries_count, LOOKS)

    def rest(self) -> None:
        """Do what `rest` says."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_later(self, period_s: float, asked: int, looks_left: int) -> None:
        again = asyncio.get_running_loop().call_later
        self._look = again(period_s / LOOKS, self._look_again, period_s, asked, looks_left)

    def _look_again(self, period_s: float, asked: int, looks_left: int) -> None:
        self._look = None
        if self.is_closed():
            return
        if (now := self._protocol.queries_count) != asked:
            self._look_later(period_s, now, LOOKS)
        elif looks_left > 1:
            self._look_later(period_s, asked, looks_left - 1)
        else:
            _log.error("the database has not answered within %g s: the connection is cut off", period_s)
            self.terminate()


def watch(lent: object, period_s: float) -> None:
    """Cut a pool's connection off where nothing comes of what was asked in a whole period, until `rest`.

    0 is no limit, and one that is watched already is watched as before.
    """
    if (wire := _wire(lent)) is not None:
        wire.watch(period_s)


def rest(lent: object) -> None:
    """Let what is asked of a pool's connection take as long as it needs."""
    if (wire := _wire(lent)) is not None:
        wire.rest()


def _wire(lent: object) -> WatchedConnection | None:
    """Return what a pool's stand-in stands for, None once that is lost or given back."""
    wire: WatchedConnection | None = getattr(lent, "_con", None)
    return wire
