"""Trying again, where that is safe: what has one effect however often it is sent.

Whoever calls `persist` says so by calling it: reads, requests under an Idempotency-Key or a
`client_order_id`, and those that leave things as the first one did. Tried again is what may come out
otherwise the next time: a connection that was lost, and an answer that says so itself (503, 429 after its
Retry-After, 409 while the first one is still worked on). Waits double from `WAIT_S_MIN` to `WAIT_S_MAX`, each
shortened by chance, so that many clients do not come back at one moment. Nothing is begun after the deadline,
and the last failure is raised as it was.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from exchange.client.problems import ApiProblem, Unreachable
from exchange.kit.clock import monotonic_s

PATIENCE_S: Final = 30.0
WAIT_S_MIN: Final = 0.1
WAIT_S_MAX: Final = 5.0
AGAIN: Final = frozenset({409, 429, 503})

T = TypeVar("T")


async def persist(attempt: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Return what an attempt gives, after as many as it takes and `patience_s` allow."""
    ends_s = monotonic_s() + patience_s
    wait_s = WAIT_S_MIN
    while True:
        try:
            return await attempt()
        except (ApiProblem, Unreachable) as failure:
            if not is_worth_another(failure):
                raise
            least_s = failure.retry_after_s if isinstance(failure, ApiProblem) else 0.0
            # Half of it at least: a server that comes up needs the time.
            pause_s = max(least_s, wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            if monotonic_s() + pause_s >= ends_s:
                raise
        await asyncio.sleep(pause_s)
        wait_s = min(2 * wait_s, WAIT_S_MAX)


def is_worth_another(failure: ApiProblem | Unreachable) -> bool:
    """Whether the same request may come out otherwise."""
    if isinstance(failure, Unreachable):
        return failure.is_lost
    return failure.problem.retryable and failure.problem.status in AGAIN
