"""What is done to several processes under load, so often as is told; every scenario ends with all checks.

Used by the short tests (`tests/e2e/test_fleet_faults.py`) and by `make faults`. How long a takeover takes is
counted from the signal to when more new orders have been told to stand than can have been on their way: an
upper bound of when the standby traded first.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from exchange.kit.clock import monotonic_s
from tests.fleet import ServedProcess
from tests.history.check import Checker
from tests.history.fleet import TradedFleet, traded_fleet
from tests.history.trading import SEED, Trading, check_what_is_left, next_hour, trading
from tests.history.traffic import Traffic
from tests.redis_doors import Mischief, door_to
from tests.redis_servers import RedisServer

ANSWERS: Final = 150
"""Answers between one fault and the next."""


class Around(msgspec.Struct, frozen=True):
    """What a scenario runs on: an empty database, a Redis of its own, a folder."""

    database_url: str
    redis: RedisServer
    folder: Path
    seed: int = SEED


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was injected how often, and what was found in order after it."""

    injected: int
    requests: int
    unanswered: int
    effects: int
    epochs: int
    takeovers_s: list[float] = []


def fleet_of(around: Around) -> AbstractAsyncContextManager[TradedFleet]:
    """Start the processes with nothing between them and Redis."""
    url = around.redis.url
    return traded_fleet(around.database_url, url, around.folder, gateways_redis=url)


@asynccontextmanager
async def under_load(fleet: TradedFleet, around: Around) -> AsyncIterator[Trading]:
    """Let traders trade through both gateways."""
    async with trading(fleet.lines(), fleet.operator_key, next_hour, seed=around.seed) as under_way:
        await under_way.traffic.until(ANSWERS)
        yield under_way
        await under_way.traffic.until(ANSWERS)
        fleet.check_running()


async def leader_killed(around: Around, times: int) -> Outcome:
    """Kill -9 the engine that leads; it comes back as a standby."""
    around.redis.flush()
    async with fleet_of(around) as fleet:
        async with under_load(fleet, around) as under_way:
            took_s = await _kill_leaders(fleet, under_way.traffic, times)
        checker = await check_what_is_left(under_way.history, around.database_url)
    assert len(checker.journal.epochs) > times
    return _outcome(checker, times, took_s)


async def leader_stopped(around: Around, times: int, *, pause_s: float) -> Outcome:
    """SIGSTOP the engine that leads until another one does, and for a time at least; then SIGCONT."""
    around.redis.flush()
    async with fleet_of(around) as fleet:
        async with under_load(fleet, around) as under_way:
            took_s = await _stop_leaders(fleet, under_way.traffic, times, pause_s)
        checker = await check_what_is_left(under_way.history, around.database_url)
    assert len(checker.journal.epochs) > 2 * times
    return _outcome(checker, times, took_s)


async def redis_lost(around: Around, times: int) -> Outcome:
    """Flush Redis; then kill it and start it anew with nothing."""
    around.redis.flush()
    async with fleet_of(around) as fleet:
        async with under_load(fleet, around) as under_way:
            await _lose_redis(around.redis, under_way.traffic, times)
        checker = await check_what_is_left(under_way.history, around.database_url)
    return _outcome(checker, 2 * times)


async def one_after_the_other(
    around: Around, *, kills: int, stops: int, losses: int, pause_s: float
) -> Outcome:
    """Kill leaders, stop leaders, lose Redis: as the three above do, to one fleet under one load."""
    around.redis.flush()
    async with fleet_of(around) as fleet:
        async with under_load(fleet, around) as under_way:
            took_s = await _kill_leaders(fleet, under_way.traffic, kills)
            took_s += await _stop_leaders(fleet, under_way.traffic, stops, pause_s)
            await _lose_redis(around.redis, under_way.traffic, losses)
        checker = await check_what_is_left(under_way.history, around.database_url)
    assert len(checker.journal.epochs) > kills + 2 * stops
    return _outcome(checker, kills + stops + 2 * losses, took_s)


async def redis_cut_off(
    around: Around, times: int, *, pause_s: float, whom: Literal["gateways", "engines"]
) -> Outcome:
    """Drop every packet between Redis and the gateways, or the engines, for a time."""
    around.redis.flush()
    async with door_to(around.redis.port) as door:
        direct = around.redis.url
        engines, gateways = (direct, door.url) if whom == "gateways" else (door.url, direct)
        async with traded_fleet(
            around.database_url, engines, around.folder, gateways_redis=gateways
        ) as fleet:
            async with under_load(fleet, around) as under_way:
                for _ in range(times):
                    await under_way.traffic.until(ANSWERS)
                    door.close()
                    await asyncio.sleep(pause_s)  # so long nothing passes
                    door.open()
                    await _until_trading(under_way.traffic, monotonic_s())
            checker = await check_what_is_left(under_way.history, around.database_url)
    return _outcome(checker, times)


async def redis_cut_off_in_turn(around: Around, *, pause_s: float) -> Outcome:
    """Drop every packet between Redis and the gateways for a time, and then between it and the engines."""
    around.redis.flush()
    async with (
        door_to(around.redis.port) as gateways,
        door_to(around.redis.port) as engines,
        traded_fleet(around.database_url, engines.url, around.folder, gateways_redis=gateways.url) as fleet,
    ):
        async with under_load(fleet, around) as under_way:
            for door in (gateways, engines):
                await under_way.traffic.until(ANSWERS)
                door.close()
                await asyncio.sleep(pause_s)  # so long nothing passes
                door.open()
                await _until_trading(under_way.traffic, monotonic_s())
        checker = await check_what_is_left(under_way.history, around.database_url)
    return _outcome(checker, 2)


async def requests_disordered(around: Around, times: int) -> Outcome:
    """Double a tenth of the requests, the second time later, and hold back a tenth."""
    around.redis.flush()
    mischief = Mischief(around.seed)
    async with (
        door_to(around.redis.port, mischief) as door,
        traded_fleet(around.database_url, around.redis.url, around.folder, gateways_redis=door.url) as fleet,
    ):
        async with under_load(fleet, around) as under_way:
            await under_way.traffic.until(4 * ANSWERS * times)
        await door.finish()
        checker = await check_what_is_left(under_way.history, around.database_url)
    assert mischief.doubled
    assert mischief.delayed
    return _outcome(checker, mischief.doubled + mischief.delayed)


async def _until_trading(traffic: Traffic, since_s: float) -> float:
    """Wait for more new orders than can have been on their way; return how long it was since a time."""
    goal = traffic.committed + traffic.workers + 1
    while traffic.committed < goal:  # noqa: ASYNC110 - many workers, one count
        await asyncio.sleep(0.005)
    return monotonic_s() - since_s


async def _kill_leaders(fleet: TradedFleet, traffic: Traffic, times: int) -> list[float]:
    """Kill the leader so often; return how long each takeover took."""
    took_s = []
    for _ in range(times):
        await traffic.until(ANSWERS)
        took_s.append(await _kill(fleet, await fleet.leader(), traffic))
        await fleet.start_another()
    return took_s


async def _stop_leaders(fleet: TradedFleet, traffic: Traffic, times: int, pause_s: float) -> list[float]:
    """Stop the leader for a time so often; return how long each takeover took."""
    took_s = []
    for _ in range(times):
        await traffic.until(ANSWERS)
        stopped = await fleet.leader()
        pid = stopped.pid
        stopped.send(signal.SIGSTOP)
        stopped_s = monotonic_s()
        took_s.append(await _until_trading(traffic, stopped_s))
        assert (await fleet.leader()).pid != pid
        await asyncio.sleep(max(0.0, pause_s - (monotonic_s() - stopped_s)))  # so long it is stopped
        stopped.send(signal.SIGCONT)
        await traffic.until(ANSWERS)
        # It did not end, and stands by: it leads once the other is gone.
        await _kill(fleet, fleet.beside(stopped), traffic)
        assert (await fleet.leader()).pid == stopped.pid == pid
        await fleet.start_another()
    return took_s


async def _lose_redis(redis: RedisServer, traffic: Traffic, times: int) -> None:
    """Flush Redis, and kill it and start it anew, so often."""
    for _ in range(times):
        await traffic.until(ANSWERS)
        redis.flush()
        await _until_trading(traffic, monotonic_s())
        redis.kill()
        redis.start()  # here: it dies with the thread that starts it
        await _until_trading(traffic, monotonic_s())


async def _kill(fleet: TradedFleet, engine: ServedProcess, traffic: Traffic) -> float:
    """Kill -9 an engine; return after how many seconds another one traded."""
    fleet.kill(engine)
    return await _until_trading(traffic, monotonic_s())


def _outcome(checker: Checker, injected: int, takeovers_s: list[float] | None = None) -> Outcome:
    asked = checker.history.asked
    return Outcome(
        injected=injected,
        requests=len(asked),
        unanswered=sum(each.may_be_done for each in asked),
        effects=len(checker.effects),
        epochs=len(checker.journal.epochs),
        takeovers_s=takeovers_s or [],
    )
