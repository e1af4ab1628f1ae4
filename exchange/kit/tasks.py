"""Tasks that run beside requests, and each other: ending them, waiting no longer than one may take, turns."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

AGAIN_S: Final = 0.1
ITEMS_AT_ONCE: Final = 20
"""So many things of one request are read, or judged, before others have their turn: a few milliseconds."""

Result = TypeVar("Result")


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


async def in_time(work: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """Return what comes of work, or end it and raise TimeoutError where it takes longer.

    Unlike after `asyncio.timeout`, what a cancellation leaves to be undone is not waited for: where a server
    does not answer, that takes long as well.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            await end([task])
            if not task.cancelled():
                task.exception()  # seen, so that asyncio does not tell of it
