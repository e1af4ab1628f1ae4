"""Goal: what runs beside the market leaves it the machine. Method: a clock and meters of our own."""

import pytest

from exchange.kit import courtesy
from exchange.kit.courtesy import (
    BUSY_SHARE,
    IDLE_SHARE_MIN,
    LOOK_S,
    REST_S_MAX,
    REST_S_MIN,
    RUSH_FACTOR,
    Courtesy,
)

CORES = 4


class Machine:
    """Time passes while somebody sleeps; of it `process` cores are used by us, and `idle` cores by nobody."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.used_s = 5.0
        self.idle_s: float | None = 70.0
        self.process = 0.0
        self.idle = float(CORES)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now_s += seconds
        self.used_s += seconds * self.process
        if self.idle_s is not None:
            self.idle_s += seconds * self.idle


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(courtesy, "monotonic_s", lambda: machine.now_s)
    monkeypatch.setattr(courtesy, "process_s", lambda: machine.used_s)
    monkeypatch.setattr(courtesy, "idle_s", lambda: machine.idle_s)
    monkeypatch.setattr("os.cpu_count", lambda: CORES)
    return machine


async def test_rests_are_long_while_the_process_is_busy_and_short_again_after_it(machine: Machine) -> None:
    rests = Courtesy(machine.sleep)
    for process in (0.0, BUSY_SHARE * 1.01, 1.0, BUSY_SHARE * 0.99, 0.0):
        machine.process = process
        await rests.rest(0.1)
    assert machine.slept == pytest.approx([0.1, 0.1, 0.1 * RUSH_FACTOR, 0.1 * RUSH_FACTOR, 0.1])


async def test_rests_are_long_while_others_want_the_cores(machine: Machine) -> None:
    rests = Courtesy(machine.sleep)
    for idle in (CORES, CORES * IDLE_SHARE_MIN * 0.99, 0.0, CORES * IDLE_SHARE_MIN * 1.01, CORES):
        machine.idle = idle
        await rests.rest(LOOK_S * 1.1)
    assert machine.slept == pytest.approx(
        [LOOK_S * 1.1 * each for each in (1, 1, RUSH_FACTOR, RUSH_FACTOR, 1)]
    )


async def test_what_is_too_short_to_tell_changes_nothing(machine: Machine) -> None:
    rests = Courtesy(machine.sleep)
    machine.idle = 0.0
    await rests.rest(LOOK_S * 0.6)
    assert not rests.is_rush
    await rests.rest(LOOK_S * 0.6)
    assert rests.is_rush


async def test_a_machine_that_does_not_tell_is_taken_by_the_process_alone(machine: Machine) -> None:
    machine.idle_s = None
    rests = Courtesy(machine.sleep)
    await rests.rest(1.0)
    assert not rests.is_rush
    machine.process = 1.0
    await rests.rest(1.0)
    assert rests.is_rush


async def test_a_rest_is_never_too_short_to_look_nor_too_long_to_come_back(machine: Machine) -> None:
    rests = Courtesy(machine.sleep)
    machine.process = 1.0
    await rests.rest(0.0)
    assert rests.is_rush
    await rests.rest(60.0)
    await rests.rest(0.001, least_s=30.0)
    assert machine.slept == [REST_S_MIN, REST_S_MAX, 30.0]
