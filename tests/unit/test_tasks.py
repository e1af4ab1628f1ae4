"""Goal: a task that is to end does, even where a cancellation gets lost, and none is waited for too long.

Method: tasks that lose cancellations, or have much to undo.
"""

import asyncio

import pytest

from exchange.kit.tasks import end, in_time

DEADLINE_S = 30.0
LONG_S = 3_600.0


async def test_a_cancellation_that_gets_lost_is_repeated() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    async def fails() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ZeroDivisionError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    await end([*tasks, None])
    assert lost == 3
    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), ZeroDivisionError)


async def test_work_is_waited_for_no_longer_than_it_may_take() -> None:
    undoing = 0

    async def slow_to_undo() -> None:
        nonlocal undoing
        try:
            await asyncio.sleep(LONG_S)
        finally:
            undoing += 1
            await asyncio.shield(asyncio.sleep(2 * DEADLINE_S))

    async def quick() -> int:
        return 5

    async def fails() -> None:
        raise ZeroDivisionError

    async with asyncio.timeout(DEADLINE_S):
        assert await in_time(quick(), LONG_S) == 5
        with pytest.raises(ZeroDivisionError):
            await in_time(fails(), LONG_S)
        with pytest.raises(TimeoutError):
            await in_time(slow_to_undo(), 0.01)
        assert undoing == 1
        waiting = asyncio.create_task(in_time(slow_to_undo(), LONG_S))
        await asyncio.sleep(0.01)
        await end([waiting])
        assert (waiting.cancelled(), undoing) == (True, 2)
