"""All connections of a server together: how many there may be, how long each waits, how fast each is read.

Invariants:
- there are at most `connections_max` connections, WebSockets included, and from one address that is no
  trusted proxy at most `connections_per_address_max`;
- a head comes whole within `head_s`; a body within `body_s` and a second more for each
  `body_bytes_per_s` of it; what is sent is taken within `reader_s`; else the connection is cut. So
  is one that was closed and whose other side does not take the last of it;
- a WebSocket is pinged every `ping_s`, and cut where the other side does not answer within as much again;
- who sends faster than its pace is read later (`http_pace`), a trusted proxy apart. What comes over a
  WebSocket is read by its own protocol and counts for no pace here: its session slows it (`feed.stream`).

Deadlines are looked at for all connections together (`Wire.look`), a few times per deadline, so a request
costs no timer. One that is due is noticed up to two looks later. `http_connection` is the side of each.
"""

import asyncio
from typing import Final, Protocol

import msgspec

from exchange.kit.auth import IpNetwork, is_within
from exchange.kit.http_limits import caller_of
from exchange.kit.http_pace import Pace, Rate
from exchange.kit.meters import Counts

LOOK_S_MAX: Final = 1.0
LOOKS_PER_DEADLINE: Final = 4


class WireLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long, and how many; see the module."""

    head_s: float = 10.0
    body_s: float = 30.0
    body_bytes_per_s: int = 16 * 1024
    reader_s: float = 30.0
    ping_s: float = 20.0
    connections_max: int = 4_096
    connections_per_address_max: int = 1_024
    refusals: Rate | None = None
    """Requests of an address that are refused unread, (so many at once, seconds in which they come back)."""
    bytes: Rate | None = None
    """Bytes of an address, the same."""


class Connection(Protocol):
    """What is known here of a connection."""

    transport: asyncio.Transport
    counted_as: str
    is_paced: bool

    def look(self) -> None:
        """Cut the connection if its time is up."""

    def end_with_latest(self) -> None:
        """Answer the latest request with `Connection: close`."""


class Wire:
    """All connections of one server."""

    def __init__(self, limits: WireLimits | None = None, proxies: tuple[IpNetwork, ...] = ()) -> None:
        self.limits = limits or WireLimits()
        self.connections: set[Connection] = set()
        self.cut: Counts[str] = Counts()
        """Connections refused or cut, by the reason."""
        self.held: Counts[str] = Counts()
        """Connections read from later than they sent, by the pace that they exceeded."""
        self.now_s = 0.0
        self.is_stopping = False
        self.refusals, self.bytes = Pace(self.limits.refusals), Pace(self.limits.bytes)
        self._proxies = proxies
        self._by_address: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self.connections)

    @property
    def look_s(self) -> float:
        """How often `look` is due."""
        shortest_s = min(self.limits.head_s, self.limits.body_s, self.limits.reader_s)
        return min(LOOK_S_MAX, shortest_s / LOOKS_PER_DEADLINE)

    def stop(self) -> None:
        """Let every connection end with the answer that is under way on it, or that comes next."""
        self.is_stopping = True
        for connection in self.connections:
            connection.end_with_latest()

    async def watch(self) -> None:
        """Look at all connections, for ever."""
        while True:
            self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(self.look_s)

    def look(self, now_s: float) -> None:
        """Cut the connections whose time is up."""
        self.now_s = now_s
        for connection in list(self.connections):
            connection.look()

    def join(self, connection: Connection, address: str) -> bool:
        """Take a connection in; False where there are too many."""
        self.connections.add(connection)
        who = connection.counted_as = caller_of(address)
        count = self._by_address[who] = self._by_address.get(who, 0) + 1
        connection.is_paced = not (self._proxies and is_within(address, self._proxies))
        if len(self.connections) > self.limits.connections_max:
            return False
        return count <= self.limits.connections_per_address_max or not connection.is_paced

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        left = self._by_address[connection.counted_as] - 1
        if left:
            self._by_address[connection.counted_as] = left
        else:
            del self._by_address[connection.counted_as]
