"""Goal: a wall clock that is set by five seconds, either way, moves no time of the venue back, and no limit.

Method: the exchange by the system's clock, and a wall that the test sets: at first two seconds before a full
hour, so that it jumps over the hour and back. Eight traders trade meanwhile; their history is then held
against the journal, which must be in the order of its times. Limits and switches run by a clock that nobody
sets: they are tried beside it.
"""

import time
from functools import partial
from pathlib import Path

import pytest

from exchange.kit import clock as clocks
from exchange.kit.clock import US_PER_SECOND, ManualClock, SystemClock, hour_of, monotonic_s, us_of_hour
from tests.e2e.served import NOW_US, eventually, problem, served
from tests.e2e.stage import Stage, join_all
from tests.e2e.test_faults import way_to
from tests.history.trading import check_what_is_left, trading

JUMP_S = 5
ANSWERS = 120
QUOTA = 15
SWITCH_S = 2


class Wall:
    """The wall clock of this process, set at will.

    By itself it only creeps, a thousandth as fast as time: how far it is from the hour must not depend on how
    fast the machine trades.
    """

    def __init__(self) -> None:
        self._begun_ns = time.monotonic_ns()
        self.set_us = us_of_hour(hour_of(NOW_US) + 1) - 2 * US_PER_SECOND

    def now_us(self) -> int:
        """Where it stands."""
        return self.set_us + (time.monotonic_ns() - self._begun_ns) // 1_000_000

    def jump(self, seconds: int) -> None:
        """Set it forward, or back."""
        self.set_us += seconds * US_PER_SECOND


class WallClock(ManualClock):
    """Venue time by the wall, as `exchange serve` has it; nobody drives it by hand."""

    def __init__(self) -> None:
        super().__init__(0)
        self._system = SystemClock()

    def now_us(self) -> int:
        """Return wall time; never less than before."""
        return self._system.now_us()

    def hour(self) -> int:
        """Return the hour that it is in."""
        return self._system.hour()

    async def wait_until_hour(self, hour: int) -> None:
        """Return when `hour` has begun."""
        await self._system.wait_until_hour(hour)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(clocks, "wall_now_us", wall.now_us)
    return wall


async def test_the_wall_clock_jumps_to_and_fro_under_load(
    database_url: str, tmp_path: Path, wall: Wall
) -> None:
    """Injected: the wall is set 5 s forward, over a full hour, and 5 s back again, several times.

    Must hold: events' times never go back, an hour that has begun is sold no more, every answer fits.
    """
    hour = hour_of(wall.now_us())
    async with served(database_url, tmp_path, clock=WallClock()) as house:
        async with trading(way_to(house), house.operator.key, lambda: house.clock.hour() + 1) as under_way:
            for jump_s in (JUMP_S, -JUMP_S, JUMP_S, -JUMP_S, -JUMP_S):
                await under_way.traffic.until(ANSWERS)
                wall.jump(jump_s)
                assert house.clock.hour() in {hour, hour + 1}
            assert house.clock.hour() == hour + 1 > hour_of(wall.now_us())
            await under_way.traffic.until(ANSWERS)
        checker = await check_what_is_left(under_way.history, database_url)
    # That no trade sells an hour that has begun is a constraint of the table.
    times_us = [entry.event_at_us for entry in checker.journal.entries]
    assert times_us[0] < us_of_hour(hour + 1) <= times_us[-1]


async def test_limits_do_not_come_back_by_the_wall(database_url: str, tmp_path: Path, wall: Wall) -> None:
    """Injected: the wall is set 5 s forward where a key has used up its limit.

    Must hold: it gets nothing more for that.
    """
    async with served(
        database_url, tmp_path, clock=WallClock(), rate_key=(QUOTA, 3600), rate_participant=None
    ) as house:
        issuer = await house.join("issuer", ["read"])
        for _ in range(QUOTA):
            assert (await issuer.send("GET", "/v1/participants/me")).status_code == 200
        for jump_s in (JUMP_S, -JUMP_S, -JUMP_S):
            problem(await issuer.send("GET", "/v1/participants/me"), 429, "rate_limited")
            wall.jump(jump_s)


async def test_a_switch_fires_neither_sooner_nor_never(database_url: str, tmp_path: Path, wall: Wall) -> None:
    """Injected: the wall is set 5 s forward, then 10 s back, where a dead man's switch is set.

    Must hold: no jump fires it, and the seconds that pass do.
    """
    async with served(database_url, tmp_path, clock=WallClock()) as house:
        cast = await join_all(house)
        stage, provider = Stage(house, cast, cast), cast.provider
        for jump_s in (JUMP_S, -2 * JUMP_S):
            ask = stage.order("sell", f"guarded-{jump_s}", (50, 60))
            path = f"/v1/orders/{(await provider.post('/v1/orders', ask))['id']}"
            set_s = monotonic_s()
            await provider.post("/v1/orders/cancel-all-after", {"timeout_s": SWITCH_S}, 200)
            wall.jump(jump_s)
            found = await provider.get(path)
            assert found["status"] == "resting" or monotonic_s() - set_s >= SWITCH_S
            await eventually(partial(provider.get, path), lambda order: bool(order["status"] == "cancelled"))
            assert monotonic_s() - set_s >= SWITCH_S
