"""Goal: a chore is done again whatever became of it, and the log says so once. Method: work that fails."""

import asyncio
import logging

import pytest

from exchange.kit.chores import Chore
from exchange.kit.clock import monotonic_s
from exchange.kit.database import ConnectionLost
from exchange.kit.errors import Unavailable

DEADLINE_S = 30.0
LONG_S = 3_600.0
SHORT_S = 0.001


class Work:
    """Work that fails with what is given, in turn, and is then done; `done` is set the `count`th time."""

    def __init__(self, *failures: Exception, count: int = 1) -> None:
        self.failures = list(failures)
        self.count = count
        self.done = asyncio.Event()
        self.next_s: float | None = SHORT_S

    async def __call__(self) -> float | None:
        """Do it once."""
        if self.failures:
            raise self.failures.pop(0)
        self.count -= 1
        if not self.count:
            self.done.set()
        return self.next_s

    async def until_done(self) -> None:
        """Wait for it."""
        async with asyncio.timeout(DEADLINE_S):
            await self.done.wait()


def away() -> ConnectionLost:
    return ConnectionLost("gone", outcome="not_applied")


async def test_a_chore_goes_on_after_whatever_befell_it_and_tells_once_what_has_to_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    work = Work(away(), away(), Unavailable(), LookupError("a fault"), away(), count=3)
    chore = Chore("test", work, undone="the floor is not swept", period_s=LONG_S, retry_s=SHORT_S)
    chore.start()
    await work.until_done()
    work.failures = [away()]
    work.count, work.done = 1, asyncio.Event()
    await work.until_done()
    await chore.stop()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    lost = ("WARNING", "the floor is not swept yet: gone")
    assert told == [lost, ("ERROR", "the floor is not swept"), lost]
    assert "a fault" in caplog.text


@pytest.mark.parametrize("failure", [None, away(), LookupError("a fault")], ids=["done", "away", "fault"])
async def test_each_time_is_waited_for(failure: Exception | None) -> None:
    """The other waits are so long that a test which met them would never end."""
    waits = {"period_s": LONG_S, "retry_s": LONG_S, "fault_s": LONG_S}
    waits[{"NoneType": "period_s", "ConnectionLost": "retry_s"}.get(type(failure).__name__, "fault_s")] = (
        SHORT_S
    )
    work = Work(*([] if failure is None else [failure]), count=2 if failure is None else 1)
    work.next_s = None
    chore = Chore("test", work, undone="the floor is not swept", **waits)
    chore.start()
    await work.until_done()
    await chore.stop()


async def test_a_chore_begins_only_after_its_first_wait_ends_wherever_it_is_and_can_begin_anew() -> None:
    work = Work()
    chore = Chore("test", work, undone="the floor is not swept", first_s=LONG_S)
    await chore.stop()  # before it ever began
    chore.start()
    began_s = monotonic_s()
    await chore.stop()
    assert monotonic_s() - began_s < DEADLINE_S
    assert not work.done.is_set()
    at_once = Chore("test", work, undone="the floor is not swept")
    at_once.start()
    await work.until_done()
    await at_once.stop()
    work.count, work.done = 1, asyncio.Event()
    at_once.start()
    await work.until_done()
    await at_once.stop()


async def test_a_chore_that_is_hurried_is_done_at_once_and_once_more_where_it_is_being_done() -> None:
    work = Work()
    chore = Chore("test", work, undone="the floor is not swept", first_s=None, period_s=None)
    work.next_s = None
    chore.start()
    await asyncio.sleep(0)
    assert not work.done.is_set()
    chore.hurry()
    await work.until_done()
    work.count, work.done = 1, asyncio.Event()
    chore.hurry()
    await work.until_done()
    await chore.stop()


async def test_a_chore_that_was_hurried_while_it_fails_waits_for_its_retry() -> None:
    work = Work(away())
    chore = Chore("test", work, undone="the floor is not swept", first_s=None, period_s=None, retry_s=LONG_S)
    chore.start()
    chore.hurry()
    async with asyncio.timeout(DEADLINE_S):
        while work.failures:  # noqa: ASYNC110 - work that fails tells nobody
            await asyncio.sleep(SHORT_S)
    for _ in range(3):
        chore.hurry()
        await asyncio.sleep(SHORT_S)
    assert not work.done.is_set()
    await chore.stop()
    again = Chore("test", work, undone="the floor is not swept", first_s=None, period_s=None, retry_s=SHORT_S)
    work.failures, work.next_s = [away()], None
    again.start()
    again.hurry()
    again.hurry()
    async with asyncio.timeout(DEADLINE_S):
        while work.failures:  # noqa: ASYNC110 - as above
            await asyncio.sleep(SHORT_S)
    await work.until_done()
    await again.stop()
