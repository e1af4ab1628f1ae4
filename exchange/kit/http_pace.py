"""How fast an address may go on: what it sends too fast is read later, and nothing of it is lost.

Two paces an address: of bytes, and of requests that are refused before anybody looks at what they say (no
such path, a bad key, too large, no JSON, over a limit). Whoever exceeds one is not read from until its turn
comes, one connection after the other, so that a flood costs its sender time and not the others. A refusal
itself is told at once: only the next request waits. A connection that keeps its pace is never held, whatever
others of its address do; a new one waits as the next in turn would, so connecting again gains nothing.

Invariants: a hold ends by itself within `HOLD_S_MAX`; time in which we do not read counts against no
deadline; memory is bounded by `ADDRESSES_MAX`, beyond which those that owe nothing are forgotten, then all.

Known limit: who opens connections and asks nothing is bounded by how many there may be, and pays for each
no more than we do; a packet filter before the exchange can count them, and this cannot.
"""

from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

from exchange.kit.clock import US_PER_SECOND, monotonic_us

HOLD_S_MAX: Final = 30.0
ADDRESSES_MAX: Final = 20_000

Rate = tuple[int, int]


class Pace:
    """So much at once from each address, regained evenly over seconds; `rate` None is as fast as can be."""

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._free_at_us: dict[str, int] = {}

    def count(self, address: str, cost: int) -> float:
        """Count what came, and return for how many seconds no more of it is to be read: 0.0 mostly."""
        if self._rate is None:
            return 0.0
        at_once, window_s = self._rate
        now_us = monotonic_us()
        free_at_us = (
            max(self._free_at_us.get(address, 0), now_us) + cost * window_s * US_PER_SECOND // at_once
        )
        if len(self._free_at_us) >= ADDRESSES_MAX and address not in self._free_at_us:
            self._forget(now_us)
        self._free_at_us[address] = free_at_us
        return self._wait_s(free_at_us, now_us, window_s)

    def wait_s(self, address: str) -> float:
        """Return for how many seconds a new connection of an address is not read from."""
        free_at_us = self._free_at_us.get(address)
        if free_at_us is None or self._rate is None:
            return 0.0
        return self._wait_s(free_at_us, monotonic_us(), self._rate[1])

    def _wait_s(self, free_at_us: int, now_us: int, window_s: int) -> float:
        return min(max(0, free_at_us - now_us - window_s * US_PER_SECOND) / US_PER_SECOND, HOLD_S_MAX)

    def _forget(self, now_us: int) -> None:
        owing = {who: at_us for who, at_us in self._free_at_us.items() if at_us > now_us}
        self._free_at_us = owing if len(owing) < ADDRESSES_MAX else {}


class HeldFlow(FlowControl):
    """A connection's flow that can also be held: it reads where neither its request nor its pace says no."""

    is_held = False

    def pause_reading(self) -> None:
        """Read no more for now: the request at hand has enough."""
        if not self.read_paused:
            self.read_paused = True
            if not self.is_held:
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless the connection is held."""
        if self.read_paused:
            self.read_paused = False
            if not self.is_held:
                self._transport.resume_reading()

    def hold(self) -> None:
        """Read nothing until `release`."""
        if not self.is_held:
            self.is_held = True
            if not self.read_paused and not self._transport.is_closing():
                self._transport.pause_reading()

    def pause_anyway(self) -> None:
        """Read nothing more, though reading has begun behind the hold."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self) -> None:
        """Read on, unless the request at hand has enough."""
        if self.is_held:
            self.is_held = False
            if not self.read_paused and not self._transport.is_closing():
                self._transport.resume_reading()
