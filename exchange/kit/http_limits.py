"""Who may send how much: budgets of keys, participants and addresses, and what answers say of them.

A request with a key counts against its key and its participant: cancels against budgets of their own
(`opt=requires(...) | cancels()`), so that a flood of orders never stops a cancel; everything else against the
common ones. A request that needs no key counts against its address (an IPv6 one's /64). A failed
authentication counts against its address too, in a budget of its own; where that is used up, only keys that
have opened this process before are looked at, so guessing reads no database and compares no secret, and
traders behind the same address go on.

A batch of n counts n: the route counts 1 when it comes in, and its handler the others (`charge`) before it
does anything. The headers are those of draft-ietf-httpapi-ratelimit-headers-10.

Known limits: a path that does not exist is counted after it was answered, so a flood of these costs its
sender the connection and the address's budget, not the first answer. Addresses are counted by each process.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

import msgspec

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_SECOND
from exchange.kit.errors import RateLimited
from exchange.kit.meters import Counts
from exchange.kit.rates import Claim, Decision, MemoryLimiter, Policy, RateLimiter

_IPV6_PREFIX_BITS: Final = 64
_CANCELS: Final = "exchange_cancels"
_UNLIMITED: Final = "exchange_unlimited"
_DECISION: Final = "exchange.decision"

Rate = tuple[int, int]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The limits, each (quota, seconds in which it comes back); None is no limit."""

    key: Rate | None = None
    participant: Rate | None = None
    cancels: Rate | None = None
    """Cancels of a key; its participant has twice as many."""
    address: Rate | None = None
    """Requests without a key."""
    failures: Rate | None = None
    """Failed authentications of an address."""


def cancels() -> dict[str, Any]:
    """Declare that a route counts against the budget for withdrawing orders, beside `requires(...)`."""
    return {_CANCELS: True}


def unlimited() -> dict[str, Any]:
    """Count a route against nothing: what watches the exchange must always get through."""
    return {_UNLIMITED: True}


def is_unlimited(declared: dict[str, Any]) -> bool:
    """Whether a route counts against nothing."""
    return _UNLIMITED in declared


class Budget:
    """Policies that are counted together, and how answers tell of them. Without any, nobody is limited.

    One of a name that begins with "key" limits each key, any other each participant or address.
    """

    __slots__ = ("_scales", "_template", "of_callers", "policies", "told")

    def __init__(self, *named: tuple[str, Rate | None, int]) -> None:
        """Take names, limits, and how many times the limit holds."""
        self.policies = tuple(
            Policy(name, rate[0] * times, rate[1]) for name, rate, times in named if rate is not None
        )
        self.of_callers = tuple((each, each.name.startswith("key")) for each in self.policies)
        told = ", ".join(f'"{each.name}";q={each.quota};w={each.window_s}' for each in self.policies)
        self.told = told.encode()
        self._template = ", ".join(f'"{each.name}";r=%d;t=%d' for each in self.policies).encode()
        self._scales = tuple(
            (each.quota, each.window_s * US_PER_SECOND, each.quota * US_PER_SECOND) for each in self.policies
        )

    def __bool__(self) -> bool:
        return bool(self.policies)

    def standing(self, decision: Decision) -> bytes:
        """Return what the callers of a decision have left, and the seconds until all of it is back."""
        numbers: list[int] = []
        for (quota, request, second), debt in zip(self._scales, decision.debts, strict=True):
            numbers.append(quota - -(-debt // request))
            numbers.append(-(-debt // second))
        return self._template % tuple(numbers)


@lru_cache(maxsize=4096)
def caller_of(address: str) -> str:
    """Return what an address counts as: itself, or the /64 that an IPv6 host can choose from at will."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_PREFIX_BITS), strict=False))


def address_of(scope: Any) -> str:
    """Return where a request comes from."""
    client = scope.get("client")
    return client[0] if client else ""


class Limits:
    """The budgets. `shared` counts keys and participants; addresses are counted in this process."""

    def __init__(self, rates: Rates | None = None, shared: RateLimiter | None = None) -> None:
        self.refused: Counts[str] = Counts()
        """Requests refused, by the name of the policy."""
        rates = rates or Rates()
        self._local = MemoryLimiter()
        self._shared = self._local if shared is None else shared
        self._orders = Budget(("key", rates.key, 1), ("participant", rates.participant, 1))
        self._cancels = Budget(("key-cancels", rates.cancels, 1), ("participant-cancels", rates.cancels, 2))
        self._address = Budget(("address", rates.address, 1))
        self._failures = Budget(("failures", rates.failures, 1))

    @property
    def is_shared(self) -> bool:
        """Whether what keys and participants send to other processes counts too, at this moment."""
        return self._shared.is_shared

    async def admit(self, scope: Any, principal: Principal, declared: dict[str, Any]) -> None:
        """Count a request with a key, or raise `RateLimited`."""
        budget = self._cancels if _CANCELS in declared else self._orders
        if budget.policies:
            decision = await self._count(principal, budget, 1)
            if decision.refused_by is not None:
                self._raise_if_refused(budget, decision, {})
            scope[_DECISION] = budget, decision

    async def charge(self, scope: Any, principal: Principal, cost: int) -> None:
        """Count the n - 1 further steps of a request of n before any is done, or raise `RateLimited`."""
        budget = self._orders
        if budget.policies and cost > 0:
            decision = await self._count(principal, budget, cost, again=1)
            scope.pop(_DECISION, None)  # a refusal tells of the budgets itself, and of what they are now
            self._raise_if_refused(budget, decision, {})
            scope[_DECISION] = budget, decision

    async def _count(self, principal: Principal, budget: Budget, cost: int, again: int = 0) -> Decision:
        key_id, participant_id = principal.key_id, principal.participant_id
        claims: list[Claim] = [
            (policy, key_id if is_of_key else participant_id) for policy, is_of_key in budget.of_callers
        ]
        if self._shared is self._local:
            return self._local.take_now(claims, cost, again)
        return await self._shared.take(claims, cost, again)

    def admit_address(self, scope: Any, declared: dict[str, Any], cost: int = 1) -> None:
        """Count a request that needs no key, or one that costs as several; raises `RateLimited`."""
        if self._address and not is_unlimited(declared):
            decision = self._take(self._address, address_of(scope), cost)
            scope.pop(_DECISION, None)
            self._raise_if_refused(self._address, decision, {})
            scope[_DECISION] = self._address, decision

    def is_worth_answering(self, scope: Any) -> bool:
        """Count a request for a path that does not exist; False where the address has sent too many."""
        return not self._address or self._take(self._address, address_of(scope), 1).refused_by is None

    def may_fail(self, address: str) -> bool:
        """Whether the address may fail to authenticate once more."""
        if not self._failures or not self._local.may_owe(self._failures.policies[0], caller_of(address)):
            return True
        return self._take(self._failures, address, 0).refused_by is None

    def count_failure(self, address: str) -> bool:
        """Count a failed authentication; False where the address may not fail again, which counts nothing."""
        return not self._failures or self._take(self._failures, address, 1).refused_by is None

    def give_failure_back(self, address: str) -> None:
        """Undo a `count_failure` that was counted before it was known, and did not come."""
        caller = caller_of(address)
        self._local.give_back([(policy, caller) for policy in self._failures.policies])

    def refuse_failures(self, address: str) -> None:
        """Raise `RateLimited` where the address may not fail again; its connection ends with that."""
        decision = self._take(self._failures, address, 0)
        self._raise_if_refused(self._failures, decision, {"Connection": "close"})

    def add_headers(self, scope: Any, headers: list[tuple[bytes, bytes]]) -> None:
        """Add what an answer says of the budgets that its request was counted against."""
        decided = scope.get(_DECISION)
        if decided is not None:
            budget, decision = decided
            headers.append((b"ratelimit-policy", budget.told))
            headers.append((b"ratelimit", budget.standing(decision)))

    def _take(self, budget: Budget, address: str, cost: int) -> Decision:
        caller = caller_of(address)
        return self._local.take_now([(policy, caller) for policy in budget.policies], cost)

    def _raise_if_refused(self, budget: Budget, decision: Decision, headers: dict[str, str]) -> None:
        policy = decision.refused_by
        if policy is None:
            return
        self.refused.add(policy.name)
        after_s = decision.retry_after_s
        rule = f"the limit {policy.name} is {policy.quota} at once, regained over {policy.window_s} s"
        headers = {
            "RateLimit-Policy": budget.told.decode(),
            "RateLimit": budget.standing(decision).decode(),
            **headers,
        }
        if after_s is None:
            detail = f"{rule}: this asks for more than that"
            raise RateLimited(detail=detail, retryable=False, headers=headers)
        headers["Retry-After"] = str(after_s)
        raise RateLimited(detail=f"{rule}; come back in {after_s} s", headers=headers)
