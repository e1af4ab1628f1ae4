"""Trying again, where that is safe: what has one effect however often it is sent.

Whoever calls `persist` says so by calling it: reads, requests under an Idempotency-Key or a
`client_order_id`, and those that leave things as the first one did. Tried again is what may come out
otherwise the next time: a connection that was lost, and an answer that says so itself (503, 429 after its
Retry-After, 409 while the first one is still worked on). Waits double from `WAIT_S_MIN` to `WAIT_S_MAX`, each
shortened by chance, so that many clients do not come back at one moment. Nothing is begun after the deadline.

The last failure is raised. It says what came of the last attempt alone: where one before it may have had its
effect, its outcome becomes `unknown`, unless it judges the thing itself (`JUDGED`). A `Doubt` tells of such
an attempt, where the last answer has to be read in its light (`exchange.client.reconciling`).
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
JUDGED: Final = frozenset({402, 404, 409, 422})
"""What says how the thing stands, or what became of it under its id, where it does not say to come again.

So it knows of every attempt at what goes under an id. A cancel has none: that the order is over (409) is
true, and may be what an attempt before did.
"""

T = TypeVar("T")
Failure = TypeVar("Failure", ApiProblem, Unreachable, ApiProblem | Unreachable)


class Doubt:
    """Whether some attempt at one thing may have had its effect though no answer says so."""

    def __init__(self) -> None:
        self.is_there = False


async def persist(attempt: Callable[[], Awaitable[T]], patience_s: float, doubt: Doubt | None = None) -> T:
    """Return what an attempt gives, after as many as it takes and `patience_s` allow.

    `doubt` hears of attempts before the last one that may have had their effect.
    """
    doubt = Doubt() if doubt is None else doubt
    ends_s = monotonic_s() + patience_s
    wait_s = WAIT_S_MIN
    while True:
        try:
            return await attempt()
        except (ApiProblem, Unreachable) as failure:
            least_s = failure.retry_after_s if isinstance(failure, ApiProblem) else 0.0
            # Half of it at least: a server that comes up needs the time.
            pause_s = max(least_s, wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            if not is_worth_another(failure) or monotonic_s() + pause_s >= ends_s:
                told = doubted(failure) if doubt.is_there else failure
                if told is failure:
                    raise
                raise told from failure
            doubt.is_there |= failure.outcome == "unknown"
        await asyncio.sleep(pause_s)
        wait_s = min(2 * wait_s, WAIT_S_MAX)


def is_worth_another(failure: ApiProblem | Unreachable) -> bool:
    """Whether the same request may come out otherwise."""
    if isinstance(failure, Unreachable):
        return failure.is_lost
    return failure.problem.retryable and failure.problem.status in AGAIN


def doubted(failure: Failure) -> Failure:
    """Return what a failure says after an attempt in doubt: itself where it knows of every attempt."""
    return failure if _knows(failure) else failure.in_doubt()


def _knows(failure: ApiProblem | Unreachable) -> bool:
    """Whether a failure tells what is known of every attempt, and not of the last one alone."""
    if isinstance(failure, ApiProblem) and failure.problem.status in JUDGED:
        return not failure.problem.retryable
    return failure.outcome in {"applied", "unknown"}
