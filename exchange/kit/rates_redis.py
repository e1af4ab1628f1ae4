"""Rate limits that several processes share: the sums of `exchange.kit.rates`, done in Redis.

One Lua script decides, by Redis's own clock, so it does not matter whose clock is right. Requests that come
while the last call is under way go with the next one, each still granted or refused by itself: what a call
costs is shared as well.

Who is far from a limit does not wait for that: `exchange.kit.rates_ahead` lets it in, and Redis is told
within `TOLD_WITHIN_S`.

A caller's debt stands as whole requests and the rest of one in microseconds * quota, at a time. Lua has only
doubles, exact below 2**53, and a product of a window's microseconds (below 2**32) with a quota (below 2**31)
is more: `regained` multiplies in two halves of 16 bits, none of whose sums reaches 2**49.

Invariants:
- what Redis decides it decides as `exchange.kit.rates` says: by the same clock any history has the same
  decisions as in a `MemoryLimiter`. What was let in ahead of it is counted there, as long as calls succeed;
- nobody is refused who has not used the quota up, and beyond it each process lets in at most what `Ahead`
  may: a part in 64, of quotas below that nothing;
- a key expires by itself once its caller was silent for the window and a minute, so that a clock set back
  forgets no debt;
- Redis that does not answer in `TIMEOUT_S` costs the requests under way so much once. Until it answers again,
  which is tried beside the requests, each process counts for itself, on from what it knew, and limits as
  before. So it does for requests whose call failed in any other way: every request is answered.

Known limits: what Redis forgets when it is lost, or was not told of then, is forgotten. A call that was given
up may have been counted besides. Policies need quotas below 2**31 and windows up to an hour.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from exchange.kit.clock import US_PER_SECOND
from exchange.kit.rates import Claim, Decision, MemoryLimiter, Policy, refusal
from exchange.kit.rates_ahead import Ahead
from exchange.kit.redis import Redis, RedisLost, RedisRefused
from exchange.kit.resp import Word
from exchange.kit.tasks import end

TOLD_WITHIN_S: Final = 0.1
TIMEOUT_S: Final = 1.0
RETRY_S: Final = 0.5
REQUESTS_AT_ONCE_MAX: Final = 500
KEPT_S: Final = 60
KEY_PREFIX: Final = "exchange:rate"

SCRIPT: Final = """
local now_us = tonumber(ARGV[1])
if not now_us then
    local time = redis.call('TIME')
    now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local kept_ms = tonumber(ARGV[2])

-- passed_us * quota, as whole requests of window_us and a rest.
local function regained(passed_us, quota, window_us)
    local low = passed_us % 65536
    local part = (passed_us - low) / 65536 * quota
    local over = part % window_us
    local left = over * 65536 + low * quota
    local rest = left % window_us
    return (part - over) / window_us * 65536 + (left - rest) / window_us, rest
end

local function debt_of(key, quota, window_us)
    local text = redis.call('GET', key)
    if not text then return now_us, 0, 0 end
    local at_us, whole, rest = string.match(text, '^(%d+) (%d+) (%d+)$')
    at_us, whole, rest = tonumber(at_us), tonumber(whole), tonumber(rest)
    local passed_us = now_us - at_us
    if passed_us <= 0 then return at_us, whole, rest end
    if passed_us >= window_us then return now_us, 0, 0 end
    local requests, fraction = regained(passed_us, quota, window_us)
    whole, rest = whole - requests, rest - fraction
    if rest < 0 then whole, rest = whole - 1, rest + window_us end
    if whole < 0 then return now_us, 0, 0 end
    return now_us, whole, rest
end

local answers, key, arg = {}, 1, 3
while arg <= #ARGV do
    -- What was let in already is counted whatever is left.
    local cost, claims, is_let_in = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), ARGV[arg + 2] == '1'
    arg = arg + 3
    local refused_by, states = 0, {}
    for claim = 1, claims do
        local quota, window_us = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
        local at_us, whole, rest = debt_of(KEYS[key], quota, window_us)
        local used = whole + math.max(cost, 1)
        local is_over = used > quota or (used == quota and rest > 0)
        if refused_by == 0 and is_over and not is_let_in then refused_by = claim end
        states[claim] = {KEYS[key], at_us, whole, rest, window_us}
        key, arg = key + 1, arg + 2
    end
    answers[#answers + 1] = refused_by
    for claim = 1, claims do
        local name, at_us, whole, rest, window_us = unpack(states[claim])
        if refused_by == 0 and cost > 0 then
            whole = whole + cost
            local text = string.format('%.0f %.0f %.0f', at_us, whole, rest)
            redis.call('SET', name, text, 'PX', string.format('%.0f', window_us / 1000 + kept_ms))
        end
        answers[#answers + 1] = whole
        answers[#answers + 1] = rest
    end
end
return answers
"""

_LOST: Final = (RedisLost, RedisRefused, TimeoutError)

_PROBE: Final[Claim] = (Policy("probe", 1000, 1), "redis")

_log = logging.getLogger(__name__)


class _Asked(msgspec.Struct, frozen=True):
    """A request that waits for its decision; or what was let in already, which nobody waits for."""

    claims: Sequence[Claim]
    cost: int
    again: int = 0
    answer: asyncio.Future[Decision] | None = None


class RedisLimiter:
    """A `RateLimiter` whose counts are shared by all processes on one Redis; `close` at the end."""

    def __init__(
        self, redis: Redis, *, now_us: Callable[[], int] | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Count in `redis`, by its own clock unless `now_us` gives another."""
        self._redis = redis
        self._timeout_s = timeout_s
        self._now_us = now_us
        self._local = MemoryLimiter() if now_us is None else MemoryLimiter(now_us)
        self._ahead = Ahead(self._local)
        self._asked: deque[_Asked] = deque()
        self._telling: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._sending: asyncio.Task[None] | None = None
        self._seeking: asyncio.Task[None] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether what other processes let in counts too, at this moment."""
        return not self._is_lost

    async def take(self, claims: Sequence[Claim], cost: int = 1, again: int = 0) -> Decision:
        """Count `cost` against every claim, or against none where one of them has not that much left."""
        if self._is_lost:
            return self._local.take_now(claims, cost, again)
        decision = self._ahead.take(claims, cost, again)
        if decision is not None:
            if self._telling is None:
                self._telling = asyncio.get_running_loop().call_later(TOLD_WITHIN_S, self._tell)
            return decision
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(claims, cost, again, answer))
        self._begin_to_send()
        return await answer

    async def settle(self) -> None:
        """Tell what was let in, and answer what was asked."""
        if self._telling is not None:
            self._telling.cancel()
            self._tell()
        if self._sending is not None:
            await asyncio.wait([self._sending])

    async def close(self) -> None:
        """Settle, and look for the server no more."""
        await self.settle()
        await end([self._seeking])

    def _tell(self) -> None:
        self._telling = None
        if not self._is_lost:
            self._begin_to_send()

    def _begin_to_send(self) -> None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="rate-limits")

    async def _send(self) -> None:
        try:
            while asked := self._next():
                await self._decide(asked)
        finally:
            self._sending = None

    def _next(self) -> list[_Asked]:
        """Return what goes with the next call: what was let in, and then who waits."""
        is_due = self._telling is None or self._asked
        owed = self._ahead.owed(REQUESTS_AT_ONCE_MAX) if is_due else []
        count = min(len(self._asked), REQUESTS_AT_ONCE_MAX - len(owed))
        return [
            *(_Asked(claims, cost) for claims, cost in owed),
            *(self._asked.popleft() for _ in range(count)),
        ]

    async def _decide(self, asked: Sequence[_Asked]) -> None:
        """Answer some requests: by Redis, or where it does not answer by what this process has counted."""
        try:
            async with asyncio.timeout(self._timeout_s):
                numbers = iter(await self._run(asked))
            decisions = [_decision(each, numbers) for each in asked]
        except _LOST as error:
            self._lose(error)
            self._decide_here([*asked, *self._asked])
            self._asked.clear()
        except Exception:  # noqa: BLE001 - logged; whoever asked must not wait for ever
            _log.exception("%d requests are counted by this process alone", len(asked))
            self._ahead.forget()
            self._decide_here(asked)
        else:
            for each, decision in zip(asked, decisions, strict=True):
                self._ahead.hear(each.claims, decision.debts, told=each.cost if each.answer is None else 0)
                if each.answer is not None and not each.answer.done():
                    each.answer.set_result(decision)

    def _decide_here(self, asked: Sequence[_Asked]) -> None:
        for each in asked:
            if each.answer is not None and not each.answer.done():
                each.answer.set_result(self._local.take_now(each.claims, each.cost, each.again))

    async def _run(self, requests: Sequence[_Asked]) -> list[int]:
        keys: list[Word] = []
        args: list[Word] = ["" if self._now_us is None else self._now_us(), KEPT_S * 1000]
        for each in requests:
            args += each.cost, len(each.claims), int(each.answer is None)
            for policy, caller in each.claims:
                # With its terms in the name, a limit that an operator changes begins anew.
                keys.append(f"{KEY_PREFIX}:{policy.name}:{policy.quota}/{policy.window_s}:{caller}")
                args += policy.quota, policy.window_s * US_PER_SECOND
        numbers: list[int] = await self._redis.script(SCRIPT, keys, args)
        return numbers

    def _lose(self, error: BaseException) -> None:
        _log.warning("limits are counted by each process for itself until Redis answers: %r", error)
        self._is_lost = True
        self._ahead.forget()
        self._seeking = asyncio.create_task(self._seek(), name="rate-limits-redis")

    async def _seek(self) -> None:
        """Try until Redis counts: one that is full answers, and counts nothing."""
        while self._is_lost:
            await asyncio.sleep(RETRY_S)
            with suppress(*_LOST):
                async with asyncio.timeout(self._timeout_s):
                    await self._run([_Asked([_PROBE], 1)])
                self._is_lost = False
        _log.warning("limits are shared by all processes again")


def _decision(asked: _Asked, numbers: Iterator[int]) -> Decision:
    """Read one request's part of the script's answer."""
    refused_by = next(numbers)
    debts = [next(numbers) * policy.window_s * US_PER_SECOND + next(numbers) for policy, _ in asked.claims]
    if not refused_by:
        return Decision(asked.claims, debts)
    policy, _ = asked.claims[refused_by - 1]
    return refusal(asked.claims, debts, policy, max(asked.cost, 1) + asked.again)
