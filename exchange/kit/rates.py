"""Rate limits by the generic cell rate algorithm (GCRA), and the limiter for one process.

A policy of quota q and window w lets q come at once and regains them evenly over w seconds. One number per
caller says it all: the time at which the caller's whole quota is back. Times are microseconds times q, so
that no division rounds and the sum is exact.

Invariants:
- what is let through in any span of t seconds costs at most q * (1 + t / w);
- all claims of a request are granted or none, and one that is not granted costs nothing;
- memory is bounded: a caller that was silent for a window has its whole quota back and is forgotten, and
  where more than `CALLERS_MAX` are active those that are new share one quota.

`RateLimiter` is what the rest knows; for several processes `exchange.kit.rates_redis` does the same sums in
Redis. Known limit: a `MemoryLimiter` counts for its own process.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from exchange.kit.clock import US_PER_SECOND, monotonic_us

CALLERS_MAX: Final = 100_000
"""Callers that one policy remembers in one window; 13 MB."""

Caller = int | str
_OTHERS: Final = "others"


class Policy(NamedTuple):
    """A limit: `quota` at once, regained over `window_s` seconds. `name` is told to callers."""

    name: str
    quota: int
    window_s: int


Claim = tuple[Policy, Caller]
"""What a request asks of one policy: to count against a caller."""


class Decision(NamedTuple):
    """Whether a request may come in.

    `debts` are what each claim's caller has used and not regained, in microseconds * quota.
    `refused_by` is the policy that says no, and `retry_after_s` when it would say yes; None where it never
    would, because the request costs more than the quota.
    """

    claims: Sequence[Claim]
    debts: list[int]
    refused_by: Policy | None = None
    retry_after_s: int | None = None


class RateLimiter(Protocol):
    """Counts what callers send."""

    @property
    def is_shared(self) -> bool:
        """Whether what other processes let in counts too, at this moment."""

    async def take(self, claims: Sequence[Claim], cost: int = 1, again: int = 0) -> Decision:
        """Count `cost` against every claim, or against none where one of them has not that much left.

        A refusal tells when `cost` and `again` will be there together: what a new try has to pay besides.
        """


class _Meter:
    """One policy's callers: for each the time, in microseconds * quota, at which its quota is whole again.

    Two generations: what was not touched for a whole window is whole again, so the older one is dropped when
    the younger has lasted a window, and nothing is ever searched for what to forget.
    """

    __slots__ = ("_callers_max", "_older_full_at", "bound", "full_at", "quota", "turns_at_us", "window_us")

    def __init__(self, policy: Policy, callers_max: int) -> None:
        self.quota = policy.quota
        self.window_us = policy.window_s * US_PER_SECOND
        self.bound = self.quota * self.window_us
        self.full_at: dict[Caller, int] = {}
        self._callers_max = callers_max
        self._older_full_at: dict[Caller, int] = {}
        self.turns_at_us = 0

    @property
    def callers(self) -> int:
        """How many entries are remembered."""
        return len(self.full_at) + len(self._older_full_at)

    def __contains__(self, caller: Caller) -> bool:
        """Whether a caller may owe anything."""
        return caller in self.full_at or caller in self._older_full_at or self._is_crowded()

    def place(self, caller: Caller, now_us: int) -> tuple[Caller, int]:
        """Return under which name a caller is counted now, and its debt in units of `window_us` a request."""
        if now_us >= self.turns_at_us:
            late = now_us >= self.turns_at_us + self.window_us
            self._older_full_at = {} if late else self.full_at
            self.full_at = {}
            self.turns_at_us = now_us + self.window_us
        full_at = self.full_at.get(caller)
        if full_at is None:
            if self._is_crowded():
                caller = _OTHERS
            full_at = self.full_at.get(caller) or self._older_full_at.get(caller, 0)
        debt = full_at - now_us * self.quota
        return caller, debt if debt > 0 else 0  # noqa: FURB136 - max() takes five times as long

    def _is_crowded(self) -> bool:
        return len(self.full_at) >= self._callers_max


class MemoryLimiter:
    """A `RateLimiter` for one process; `take_now` is the same without waiting."""

    def __init__(self, now_us: Callable[[], int] = monotonic_us, *, callers_max: int = CALLERS_MAX) -> None:
        self._now_us = now_us
        self._callers_max = callers_max
        self._meters: dict[str, _Meter] = {}

    @property
    def is_shared(self) -> bool:
        """Never: what other processes let in is not known here."""
        return False

    @property
    def callers(self) -> int:
        """How many entries are remembered."""
        return sum(meter.callers for meter in self._meters.values())

    async def take(self, claims: Sequence[Claim], cost: int = 1, again: int = 0) -> Decision:
        """Count `cost` against every claim, or against none where one of them has not that much left."""
        return self.take_now(claims, cost, again)

    def take_now(self, claims: Sequence[Claim], cost: int = 1, again: int = 0) -> Decision:
        """Do what `take` says. A cost of 0 only looks, and is refused where nothing is left."""
        now_us = self._now_us()
        debts = []
        counted = []
        for policy, caller in claims:
            meter = self._meters.get(policy.name)
            if meter is None:
                meter = self._meter(policy)
            full_at = meter.full_at.get(caller)
            if full_at is None or now_us >= meter.turns_at_us:
                caller, debt = meter.place(caller, now_us)  # noqa: PLW2901 - in a crowd it counts under another
            else:
                debt = full_at - now_us * meter.quota
                if debt < 0:  # noqa: PLR1730 - max() takes five times as long
                    debt = 0
            debt += cost * meter.window_us
            if debt > meter.bound - (0 if cost else meter.window_us):
                return refusal(claims, self.debts(claims), policy, max(cost, 1) + again)
            debts.append(debt)
            counted.append((meter.full_at, caller, now_us * meter.quota + debt))
        if cost:
            for table, who, full_at in counted:
                table[who] = full_at
        return Decision(claims, debts)

    def debts(self, claims: Sequence[Claim]) -> list[int]:
        """Return what each claim's caller has used and not regained, as `Decision.debts`."""
        now_us = self._now_us()
        return [self._meter_of(policy).place(caller, now_us)[1] for policy, caller in claims]

    def owe(self, claim: Claim, debt: int) -> None:
        """Let a claim's caller have used so much, in the same unit, whatever was counted of it.

        In a crowd it is counted with the others, as it was.
        """
        policy, caller = claim
        now_us = self._now_us()
        meter = self._meter_of(policy)
        counted, _ = meter.place(caller, now_us)
        if counted == caller:
            meter.full_at[caller] = now_us * meter.quota + debt

    def give_back(self, claims: Sequence[Claim]) -> None:
        """Undo a `take_now` of 1 that was granted."""
        now_us = self._now_us()
        for policy, caller in claims:
            meter = self._meter_of(policy)
            counted, debt = meter.place(caller, now_us)
            if debt:
                meter.full_at[counted] = now_us * meter.quota + max(0, debt - meter.window_us)

    def may_owe(self, policy: Policy, caller: Caller) -> bool:
        """Whether a caller may have used anything of its quota: False is certain, and cheap."""
        meter = self._meters.get(policy.name)
        return meter is not None and caller in meter

    def _meter_of(self, policy: Policy) -> _Meter:
        return self._meters.get(policy.name) or self._meter(policy)

    def _meter(self, policy: Policy) -> _Meter:
        meter = self._meters[policy.name] = _Meter(policy, self._callers_max)
        return meter


def refusal(claims: Sequence[Claim], debts: list[int], refusing: Policy, cost: int) -> Decision:
    """Return a policy's no, and when so much as `cost` will be there, by the debts as they stand."""
    retry_after_s: int | None = None
    for (policy, _), debt in zip(claims, debts, strict=True):
        if policy is refusing and cost <= policy.quota:
            excess = debt + (cost - policy.quota) * policy.window_s * US_PER_SECOND
            retry_after_s = max(1, -(-excess // (policy.quota * US_PER_SECOND)))
    return Decision(claims, debts, refusing, retry_after_s)
