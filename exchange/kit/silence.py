"""A connection to PostgreSQL that notices when the other end, or the way to it, is gone without a word.

Nothing more comes then, and nothing says so. Whoever waits for an answer would wait for ever: the statement
itself was acknowledged long ago. So the kernel asks now and then whether the other host is there, and ends
the connection after `SILENCE_S` without a sign of it. asyncpg has no setting for that.

Known limits: over TCP only, as a Unix socket ends with its server; by names of Linux. A server that is there
and does not answer, stopped or out of its mind, is not silent in this sense, unless it was sent more than
its host takes in unread.
"""

import asyncio
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


class WatchedConnection(_Connection):
    """Made by asyncpg, as its `connection_class`."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: asyncio.Transport, *more: Any) -> None:
        super().__init__(protocol, transport, *more)
        wire = transport.get_extra_info("socket")
        if wire.family == socket.AF_UNIX:
            return
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_S)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_S)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)
