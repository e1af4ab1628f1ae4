"""Goal: a task that is to end does, even where a cancellation gets lost. Method: tasks that lose some."""

import asyncio

from exchange.kit.tasks import end


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
