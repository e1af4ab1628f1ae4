"""Rate limits by the generic cell rate algorithm (GCRA), in the memory of one process.

A policy of quota q and window w lets q come at once and regains them evenly over w seconds. One number per
caller says it all: the time at which the caller's whole quota is back. Times are microseconds times q, so
that no division rounds and the sum is exact.

Invariants:
- what is let through in any span of t seconds costs at most q * (1 + t / w);
- all claims of a request are granted or none, and one that is not granted costs nothing;
- memory is bounded: a caller that was silent for a window has its whole quota back and is forgotten, and
  where more than `CALLERS_MAX` are active those that are new share one quota.

`RateLimiter` is what the rest knows; for several processes the same sums can be done in Redis, one script a
request, under the key `<policy>:<caller>`. Known limit: each process counts for itself until then.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from exchange.kit.clock import US_PER_SECOND, monotonic_us

CALLERS_MAX: Final = 100_000
"""Callers that one policy remembers in one window; about 10 MB."""

Caller = int | str
_OTHERS: Final = "others"


class Policy(NamedTuple):
    """A limit: `quota` at once, regained over `window_s` seconds. `name` is told to callers."""

    name: str
    quota: int
    window_s: int


class Claim(NamedTuple):
    """What a request asks of one policy: to count against a caller."""

    policy: Policy
    caller: Caller


class Standing(NamedTuple):
    """Where a caller stands with a policy: what is left, and the seconds until everything is back."""

    policy: Policy
    remaining: int
    reset_s: int


class Decision(NamedTuple):
    """Whether a request may come in.

    `refused_by` is the policy that says no, and `retry_after_s` when it would say yes; None where it never
    would, because the request costs more than the quota.
    """

    standings: tuple[Standing, ...]
    refused_by: Policy | None = None
    retry_after_s: int | None = None


class RateLimiter(Protocol):
    """Counts what callers send."""

    async def take(self, claims: Sequence[Claim], cost: int = 1) -> Decision:
        """Count `cost` against every claim, or against none where one of them has not that much left."""


class _Meter:
    """One policy's callers: for each the time, in microseconds * quota, at which its quota is whole again.

    Two generations: what was not touched for a whole window is whole again, so the older one is dropped when
    the younger has lasted a window, and nothing is ever searched for what to forget.
    """

    __slots__ = ("_callers_max", "_full_at", "_older_full_at", "_turns_at_us", "quota", "window_us")

    def __init__(self, policy: Policy, callers_max: int) -> None:
        self.quota = policy.quota
        self.window_us = policy.window_s * US_PER_SECOND
        self._callers_max = callers_max
        self._full_at: dict[Caller, int] = {}
        self._older_full_at: dict[Caller, int] = {}
        self._turns_at_us = 0

    @property
    def callers(self) -> int:
        """How many entries are remembered."""
        return len(self._full_at) + len(self._older_full_at)

    def debt(self, caller: Caller, now_us: int) -> int:
        """Return what the caller has used and not regained, in units of `window_us` per request."""
        if now_us >= self._turns_at_us:
            self._turn(now_us)
        full_at = self._full_at.get(caller)
        if full_at is None:
            if len(self._full_at) >= self._callers_max:
                caller = _OTHERS
            full_at = self._full_at.get(caller) or self._older_full_at.get(caller, 0)
        debt = full_at - now_us * self.quota
        return max(0, debt)

    def set_debt(self, caller: Caller, now_us: int, debt: int) -> None:
        """Store a caller's debt."""
        if len(self._full_at) >= self._callers_max and caller not in self._full_at:
            caller = _OTHERS
        self._full_at[caller] = now_us * self.quota + debt

    def _turn(self, now_us: int) -> None:
        late = now_us >= self._turns_at_us + self.window_us
        self._older_full_at = {} if late else self._full_at
        self._full_at = {}
        self._turns_at_us = now_us + self.window_us


class MemoryLimiter:
    """A `RateLimiter` for one process; `take_now` is the same without waiting."""

    def __init__(self, now_us: Callable[[], int] = monotonic_us, *, callers_max: int = CALLERS_MAX) -> None:
        self._now_us = now_us
        self._callers_max = callers_max
        self._meters: dict[str, _Meter] = {}

    @property
    def callers(self) -> int:
        """How many entries are remembered."""
        return sum(meter.callers for meter in self._meters.values())

    async def take(self, claims: Sequence[Claim], cost: int = 1) -> Decision:
        """Count `cost` against every claim, or against none where one of them has not that much left."""
        return self.take_now(claims, cost)

    def take_now(self, claims: Sequence[Claim], cost: int = 1) -> Decision:
        """Do what `take` says. A cost of 0 only looks, and is refused where nothing is left."""
        now_us = self._now_us()
        found = []
        for policy, caller in claims:
            meter = self._meters.get(policy.name) or self._meter(policy)
            debt = meter.debt(caller, now_us)
            after = debt + cost * meter.window_us
            bound = meter.quota * meter.window_us
            if after > bound or (cost == 0 and debt + meter.window_us > bound):
                return self._refusal(claims, policy, cost, now_us)
            found.append((meter, after))
        standings = []
        for (policy, caller), (meter, after) in zip(claims, found, strict=True):
            if cost:
                meter.set_debt(caller, now_us, after)
            standings.append(_standing(policy, meter, after))
        return Decision(tuple(standings))

    def _meter(self, policy: Policy) -> _Meter:
        meter = self._meters[policy.name] = _Meter(policy, self._callers_max)
        return meter

    def _refusal(self, claims: Sequence[Claim], refusing: Policy, cost: int, now_us: int) -> Decision:
        standings = []
        retry_after_s: int | None = None
        for policy, caller in claims:
            meter = self._meters.get(policy.name) or self._meter(policy)
            debt = meter.debt(caller, now_us)
            standings.append(_standing(policy, meter, debt))
            if policy is refusing and cost <= policy.quota:
                excess = debt + (max(cost, 1) - policy.quota) * meter.window_us
                retry_after_s = max(1, -(-excess // (policy.quota * US_PER_SECOND)))
        return Decision(tuple(standings), refusing, retry_after_s)


def _standing(policy: Policy, meter: _Meter, debt: int) -> Standing:
    remaining = meter.quota - -(-debt // meter.window_us)
    return Standing(policy, remaining, -(-debt // (meter.quota * US_PER_SECOND)))
