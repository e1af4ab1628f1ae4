"""What a process lets in before those that it shares limits with know of it: little, far from the limits.

Where less than half of a quota was used a moment ago, as the shared count said, a request is let in by this
process's own count, and told a little later. So nobody waits for the shared count but the first request of a
caller, and whoever comes near a limit.

Invariants: nothing is refused here. What the shared count has not confirmed is at most a part in
`AHEAD_PARTS` of the quota, for each process and claim; of quotas below that it is nothing. What is counted
here is never made less by what the shared count says, which may have been lost and begun anew. Who is silent
for twice `KNOWN_S` is forgotten.

Known limit: where a call to the shared count fails, it never hears of what was let in and not told yet.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from exchange.kit.clock import US_PER_SECOND, monotonic_s
from exchange.kit.rates import Claim, Decision, MemoryLimiter

AHEAD_PARTS: Final = 64
KNOWN_S: Final = 1.0
"""How long what the shared count said of a caller is taken to hold, and at most twice as long."""

Claims = tuple[Claim, ...]


class Ahead:
    """Lets in by `counts`, which follow what the shared count says of each claim."""

    def __init__(self, counts: MemoryLimiter) -> None:
        self._counts = counts
        self._known: set[Claim] = set()
        self._known_before: set[Claim] = set()
        self._turns_s = 0.0
        self._unconfirmed: Counter[Claim] = Counter()
        self._owed: Counter[Claims] = Counter()
        """What was not told yet, by the claims of a request."""

    def take(self, claims: Sequence[Claim], cost: int, again: int) -> Decision | None:
        """Let a request in, or return None where the shared count has to decide, as always of a cost of 0."""
        if not cost:
            return None
        self._turn()
        for claim in claims:
            is_known = claim in self._known or claim in self._known_before
            if not is_known or self._unconfirmed[claim] + cost > claim[0].quota // AHEAD_PARTS:
                return None
        for (policy, _), debt in zip(claims, self._counts.debts(claims), strict=True):
            window_us = policy.window_s * US_PER_SECOND
            if 2 * (debt + cost * window_us) > policy.quota * window_us:
                return None
        for claim in claims:
            self._unconfirmed[claim] += cost
        self._owed[tuple(claims)] += cost
        return self._counts.take_now(claims, cost, again)

    def owed(self, most: int) -> list[tuple[Claims, int]]:
        """Return some of what is to be told now, as claims and what they cost together."""
        return [self._owed.popitem() for _ in range(min(len(self._owed), most))]

    def hear(self, claims: Sequence[Claim], debts: Sequence[int], *, told: int = 0) -> None:
        """Take in what the shared count says of a request's claims; `told` of it was let in here before."""
        self._turn()
        for claim, debt, own_debt in zip(claims, debts, self._counts.debts(claims), strict=True):
            self._unconfirmed[claim] -= told
            unconfirmed = self._unconfirmed[claim]
            if not unconfirmed:
                del self._unconfirmed[claim]
            shared_debt = debt + unconfirmed * claim[0].window_s * US_PER_SECOND
            self._counts.owe(claim, max(own_debt, shared_debt))
            self._known.add(claim)

    def _turn(self) -> None:
        """Forget whom the shared count has said nothing of for a while."""
        now_s = monotonic_s()
        if now_s >= self._turns_s:
            self._known_before = self._known if now_s < self._turns_s + KNOWN_S else set()
            self._known, self._turns_s = set(), now_s + KNOWN_S

    def forget(self) -> None:
        """Know nothing of the shared count: it is lost, and what it was not told it never will be."""
        for kept in (self._known, self._known_before, self._unconfirmed, self._owed):
            kept.clear()
