"""Ending tasks that run beside requests."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_S: Final = 0.1


async def end(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks and return once all have ended, however; those that are None are done with.

    A cancellation that meets a wake-up or a time limit can get lost in what the task awaits (redis-py's pool
    does so): so it is repeated until it is heard.
    """
    pending = {task for task in tasks if task is not None}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
