"""Goal: processes that share Redis limit together, as one process does, and go on without Redis.

Method: any history, by a clock driven by hand, is decided by a `MemoryLimiter` and by limiters on a real
server, taking turns. Where Redis decides everything, each decision, debt and time to wait must be the same.
Where they let in ahead of it, refusals must be right, grants within the bound, and in the end Redis must have
counted what was let in, all of it once. Then the server is killed, stopped, emptied and begun anew under
requests.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit import rates_ahead
from exchange.kit.clock import US_PER_SECOND
from exchange.kit.rates import Claim, MemoryLimiter, Policy
from exchange.kit.rates_redis import KEPT_S, KEY_PREFIX, RedisLimiter, _Asked
from exchange.kit.redis import Redis, RedisRefused
from tests.hypothesis_profiles import examples
from tests.redis_servers import RedisServer

AT_US = 1_800_000_000_000_000
DEADLINE_S = 60.0

_numbers = itertools.count(1)


@asynccontextmanager
async def limiters(
    server: RedisServer,
    number: int,
    now_us: Callable[[], int] | None = None,
    *,
    timeout_s: float = DEADLINE_S,
) -> AsyncIterator[list[RedisLimiter]]:
    """Give limiters of so many processes, patient ones: a busy machine is no lost server."""
    servers = [Redis.at(server.url) for _ in range(number)]
    opened = [RedisLimiter(each, now_us=now_us, timeout_s=timeout_s) for each in servers]
    try:
        yield opened
    finally:
        for limiter, each in zip(opened, servers, strict=True):
            await limiter.close()
            await each.close()


@contextmanager
def redis_decides() -> Iterator[None]:
    """Let nothing in ahead of Redis."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rates_ahead, "KNOWN_S", -1.0)
        yield


policies = st.builds(
    Policy,
    st.just(""),
    st.integers(1, 12) | st.sampled_from([40_000, 10**9, 2 * 10**9]) | st.integers(1, 2**31 - 1),
    st.integers(1, 5) | st.sampled_from([3599, 3600]) | st.integers(1, 3600),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Policy, Policy, list[tuple[int, int, int, int, bool]]]:
    """Two policies, and requests near their bounds: waits, costs, what is added, callers, claims."""
    pair = draw(policies), draw(policies)
    waits: list[st.SearchStrategy[int]] = [st.integers(0, 300_000)]
    costs: list[st.SearchStrategy[int]] = [st.integers(0, 14), st.integers(0, 1000)]
    for policy in pair:
        waits.append(st.integers(0, 2 * policy.window_s * US_PER_SECOND))
        costs.append(st.integers(max(0, policy.quota - 2), policy.quota + 1))
        costs.append(st.integers(0, policy.quota))
    step = st.tuples(st.one_of(waits), st.one_of(costs), st.integers(0, 3), st.integers(0, 3), st.booleans())
    return (
        pair[0]._replace(name="key"),
        pair[1]._replace(name="participant"),
        draw(st.lists(step, max_size=40)),
    )


@examples(200)
@given(history=histories())
async def test_any_history_has_the_decisions_of_one_process(
    redis_server: RedisServer, history: tuple[Policy, Policy, list[tuple[int, int, int, int, bool]]]
) -> None:
    first, second, steps = history
    run = next(_numbers)
    now = [AT_US]
    alone = MemoryLimiter(lambda: now[0])
    with redis_decides():
        async with limiters(redis_server, 2, lambda: now[0]) as together:
            for place, (passed_us, cost, again, caller, both) in enumerate(steps):
                now[0] += passed_us
                claims: list[Claim] = [(first, f"{run}-{caller}")]
                if both:
                    claims.append((second, f"{run}-{caller // 2}"))
                expected = alone.take_now(claims, cost, again)
                assert await together[place % 2].take(claims, cost, again) == expected
            assert all(limiter.is_shared for limiter in together)


ample = st.builds(
    Policy, st.just(""), st.integers(1, 5000) | st.sampled_from([64, 128, 40_000, 10**9]), st.integers(1, 5)
)
"""Of which little is used most of the time."""
rush = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1_000, 100_000, 10 * US_PER_SECOND]),  # what passes before
        st.sampled_from([1, 1, 1, 2, 30, 500]),  # the cost
        st.integers(0, 1),  # the process
        st.integers(0, 1),  # the key; both are of one participant
        st.sampled_from([1, 2, 8]),  # so often
    ),
    max_size=12,
)


@examples(60)
@given(key=ample, participant=ample, steps=rush)
async def test_ahead_of_redis_refusals_are_right_grants_are_bounded_and_all_is_counted(
    redis_server: RedisServer, key: Policy, participant: Policy, steps: list[tuple[int, ...]]
) -> None:
    key, participant = key._replace(name="key"), participant._replace(name="participant")
    run = next(_numbers)
    now = [AT_US]
    truth = MemoryLimiter(lambda: now[0])
    everything: list[Claim] = [(participant, f"{run}"), (key, f"{run}-0"), (key, f"{run}-1")]
    async with limiters(redis_server, 2, lambda: now[0]) as together:
        for passed_us, cost, process, caller, times in steps:
            for limiter in together if passed_us else ():
                await limiter.settle()  # what is told later is regained later
            now[0] += passed_us
            claims: list[Claim] = [(key, f"{run}-{caller}"), (participant, f"{run}")]
            for _ in range(times):
                decision = await together[process].take(claims, cost)
                debts = truth.debts(claims)
                for claim, debt in zip(claims, debts, strict=True):
                    policy, _ = claim
                    window_us = policy.window_s * US_PER_SECOND
                    after = debt + cost * window_us
                    if decision.refused_by is None:
                        ahead = len(together) * (policy.quota // rates_ahead.AHEAD_PARTS)
                        assert after <= (policy.quota + ahead) * window_us
                        truth.owe(claim, after)
                    elif decision.refused_by is policy:
                        assert after > policy.quota * window_us
        assert all(limiter.is_shared for limiter in together)
    async with limiters(redis_server, 1, lambda: now[0]) as [asker]:
        counted = [(await asker.take([claim], 0)).debts[0] for claim in everything]
    assert counted == truth.debts(everything)


async def test_who_is_far_from_the_limit_waits_for_redis_only_once(redis_server: RedisServer) -> None:
    claims: list[Claim] = [(Policy("key", 6_400, 3600), next(_numbers))]
    async with limiters(redis_server, 2) as [first, second]:
        await first.take(claims)
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            for _ in range(100):
                with pytest.raises(StopIteration):  # it has ended, and waited for nothing
                    first.take(claims).send(None)
            waits = asyncio.create_task(first.take(claims))
            await asyncio.sleep(0)
            assert not waits.done(), "a part in 64 is let in ahead, and no more"
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        await waits
        told = await second.take(claims, 0)
        assert -(-told.debts[0] // (3600 * US_PER_SECOND)) == 102


@given(policy=policies.filter(lambda each: each.quota < 100), counts=st.lists(st.integers(1, 30), max_size=8))
async def test_requests_that_come_together_are_decided_one_by_one(
    redis_server: RedisServer, policy: Policy, counts: list[int]
) -> None:
    claims: list[Claim] = [(policy._replace(name="burst"), next(_numbers))]
    alone = MemoryLimiter(lambda: AT_US)
    async with limiters(redis_server, 1, lambda: AT_US) as [limiter]:
        for count in counts:
            found = await asyncio.gather(*(limiter.take(claims) for _ in range(count)))
            assert found == [alone.take_now(claims) for _ in range(count)]


async def test_two_processes_share_one_budget_by_the_clock_of_redis(redis_server: RedisServer) -> None:
    policy = Policy("shared", 100, 3600)
    async with limiters(redis_server, 2) as together:
        found = await asyncio.gather(
            *(together[number % 2].take([(policy, next(_numbers))]) for number in range(4)),
            *(together[number % 2].take([(policy, "one")]) for number in range(300)),
        )
    granted = [decision for decision in found[4:] if decision.refused_by is None]
    # 100 at once; another is regained in 36 s.
    assert len(granted) in {100, 101}
    refused = [decision for decision in found if decision.refused_by is not None]
    assert {decision.retry_after_s for decision in refused} <= set(range(30, 37))


async def test_who_is_silent_is_forgotten_by_redis_itself(redis_url: str) -> None:
    client = Redis.at(redis_url)
    limiter = RedisLimiter(client)
    policy = Policy("key", 10, 2)
    await limiter.take([(policy, 7)], 0)
    assert await client.run("KEYS", "*") == []
    await limiter.take([(policy, 7)])
    [key] = await client.run("KEYS", "*")
    assert key == f"{KEY_PREFIX}:key:10/2:7".encode()
    assert 0 < await client.run("PTTL", key) <= (policy.window_s + KEPT_S) * 1000
    await limiter.close()
    await client.close()


async def test_a_clock_that_is_set_back_neither_forgets_a_debt_nor_keeps_it_for_ever(
    redis_server: RedisServer,
) -> None:
    claims: list[Claim] = [(Policy("back", 4, 1), next(_numbers))]
    now = [AT_US]
    async with limiters(redis_server, 1, lambda: now[0]) as [limiter]:
        assert (await limiter.take(claims, 4)).refused_by is None
        now[0] -= 3_600 * US_PER_SECOND
        refused = await limiter.take(claims)
        assert refused.refused_by is not None
        assert refused.retry_after_s == 1
        now[0] += 3_601 * US_PER_SECOND
        assert (await limiter.take(claims, 3)).refused_by is None
        now[0] -= 3_600 * US_PER_SECOND
        assert (await limiter.take(claims)).refused_by is None
        now[0] += 3_600 * US_PER_SECOND
        # The hour that passes for the second time gives nothing back.
        assert (await limiter.take(claims)).refused_by is not None


async def until_shared(limiter: RedisLimiter) -> None:
    """Wait until Redis counts again."""
    async with asyncio.timeout(DEADLINE_S):
        while not limiter.is_shared:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.01)


async def test_without_redis_each_process_limits_by_itself_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    policy = Policy("key", 5, 3600)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        async with limiters(server, 2) as together:
            await together[0].take([(policy, 1)])
            server.kill()
            # Many at once while it is found out, all answered.
            lost = await asyncio.gather(*(each.take([(policy, 2)]) for each in together for _ in range(8)))
            assert sum(decision.refused_by is None for decision in lost) == 10
            assert not any(each.is_shared for each in together)
            server.start()
            for each in together:
                await until_shared(each)
            # It has begun anew and knows neither debts nor scripts.
            again = await asyncio.gather(*(each.take([(policy, 2)]) for each in together for _ in range(8)))
            assert sum(decision.refused_by is None for decision in again) == 5


async def test_a_flushed_redis_counts_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    policy = Policy("key", 5, 3600)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        async with limiters(server, 1) as [limiter]:
            await limiter.take([(policy, 1)], 5)
            client = Redis.at(server.url)
            await client.run("FLUSHALL")
            await client.run("SCRIPT", "FLUSH")
            await client.close()
            assert (await limiter.take([(policy, 1)], 5)).refused_by is None
            assert (await limiter.take([(policy, 1)])).refused_by is policy
            assert limiter.is_shared


async def test_a_redis_that_hangs_is_given_up_and_nobody_waits_for_it_twice(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    policy = Policy("key", 5, 3600)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        async with limiters(server, 1, timeout_s=1.0) as [limiter]:
            await limiter.take([(policy, 1)])
            os.kill(server.pid, signal.SIGSTOP)
            try:
                assert (await limiter.take([(policy, 1)], 4)).refused_by is None
                assert not limiter.is_shared
                answered = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(answered.set_result, None)
                decision = await limiter.take([(policy, 1)])
                # Decided without giving anything else its turn.
                assert not answered.done()
                assert decision.refused_by is policy
            finally:
                os.kill(server.pid, signal.SIGCONT)
            await until_shared(limiter)


async def test_a_redis_that_comes_and_goes_gives_no_quota_anew(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    claims: list[Claim] = [(Policy("key", 640, 3600), 1)]
    granted = 0

    async def use_up(limiter: RedisLimiter) -> None:
        nonlocal granted
        while (await limiter.take(claims, 10)).refused_by is None:
            granted += 10

    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        async with limiters(server, 1, timeout_s=0.5) as [limiter]:
            await limiter.take(claims)
            for _ in range(3):
                os.kill(server.pid, signal.SIGSTOP)
                try:
                    await use_up(limiter)
                finally:
                    os.kill(server.pid, signal.SIGCONT)
                await until_shared(limiter)
                await limiter.take(claims)  # Redis tells of what it knows, which is less
                await limiter.settle()
    assert granted <= 640


async def test_a_redis_that_is_full_counts_nothing_until_it_has_room(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    policy = Policy("key", 5, 3600)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        client = Redis.at(server.url)
        async with limiters(server, 1) as [limiter]:
            await limiter.take([(policy, 1)])
            await client.run("CONFIG", "SET", "maxmemory", "1")
            found = [await limiter.take([(policy, 2)]) for _ in range(8)]
            assert sum(decision.refused_by is None for decision in found) == 5
            with pytest.raises(RedisRefused):
                await limiter._run([_Asked([(policy, 3)], 1)])
            assert not limiter.is_shared
            await client.run("CONFIG", "SET", "maxmemory", "256mb")
            await until_shared(limiter)
            assert (await limiter.take([(policy, 2)], 5)).refused_by is None
        await client.close()


async def test_a_caller_that_redis_cannot_be_told_of_is_counted_here_and_everybody_is_answered(
    redis_server: RedisServer,
) -> None:
    policy = Policy("key", 5, 3600)
    callers = [f"{next(_numbers)}", "\ud800"]  # half a character has no bytes
    async with limiters(redis_server, 1) as [limiter]:
        async with asyncio.timeout(DEADLINE_S):
            found = await asyncio.gather(*(limiter.take([(policy, each)]) for each in callers * 6))
            assert sum(decision.refused_by is None for decision in found) == 10
            assert limiter.is_shared
            granted = [(await limiter.take([(policy, callers[0])])).refused_by is None for _ in range(6)]
        assert granted == [True] * 5 + [False]
