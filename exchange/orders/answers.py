"""How the callers of a sequencer get their outcomes: after the commit, and without holding up the next batch.

What an answer sets off (its response, the caller's next request) costs more than matching an order. So the
answers of a batch wait until the database is busy with the batch after it, and are then given together.

Invariants: each caller gets one answer, an outcome as it was committed or a refusal; an answer waits at most
`ANSWERED_WITHIN_S`. A caller that has gone away is passed over. Nobody waits for as long as a database is
away: see `Answers.told_in_time`.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from exchange.kit.clock import monotonic_s
from exchange.kit.errors import NOTHING_BY_THIS, Unavailable
from exchange.kit.meters import SECONDS, Histogram
from exchange.orders.models import Request
from exchange.orders.outcomes import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exchange.orders.outcomes import Outcome

ANSWERED_WITHIN_S: Final = 0.01
TOLD_WITHIN_S: Final = 10.0
"""How long callers wait while what came of their requests is asked of the database."""


class Answer(Protocol):
    """Who waits for an outcome: a future, or what stands for another process."""

    def done(self) -> bool:
        """Whether there is nobody to tell any more."""

    def set_result(self, outcome: Outcome, /) -> None:
        """Take the outcome as it was committed."""

    def set_exception(self, refusal: Unavailable, /) -> None:
        """Take the reason why this process gives no outcome."""


class Waiting(msgspec.Struct, kw_only=True):
    """A queued request and who waits for its outcome; or what refused it, which is then its outcome.

    `offset` is how far its stream is followed once it has had its effect, '' where it came from none. After
    `expires_s`, by `monotonic_s`, it may have none any more.
    """

    request: Request | Refused
    answer: Answer
    since_s: float = 0.0
    offset: str = ""
    expires_s: float = math.inf

    def due(self, now_s: float) -> Request | Refused:
        """What is to be done about it now."""
        if now_s <= self.expires_s or isinstance(self.request, Refused):
            return self.request
        detail = f"the request waited until nobody waits for its answer any more; {NOTHING_BY_THIS}"
        return Refused(refusal=Unavailable("too_late", detail))


def awaited(requests: Sequence[Request]) -> tuple[list[Waiting], list[asyncio.Future[Outcome]]]:
    """Requests of this process, and the futures that their outcomes will come to."""
    create_future, since_s = asyncio.get_running_loop().create_future, monotonic_s()
    answers: list[asyncio.Future[Outcome]] = [create_future() for _ in requests]
    waiting = [
        Waiting(request=request, answer=answer, since_s=since_s)
        for request, answer in zip(requests, answers, strict=True)
    ]
    return waiting, answers


def last_offset(waiting: Sequence[Waiting]) -> str:
    """How far a stream is followed once these have had their effects; '' where none came from one."""
    return next((each.offset for each in reversed(waiting) if each.offset), "")


class Answers:
    """The outcomes that are committed and not yet given."""

    def __init__(self) -> None:
        self.acknowledged_seconds = Histogram(SECONDS)
        """From queueing to the committed outcome's being given."""
        self._committed: deque[tuple[Waiting, Outcome]] = deque()

    def add(self, waiting: Sequence[Waiting], outcomes: Sequence[Outcome], *, is_urgent: bool) -> None:
        """Take committed outcomes in; give them at once, or with `give`, or when the time is up."""
        self._committed.extend(zip(waiting, outcomes, strict=True))
        if is_urgent:
            self.give()
        else:
            asyncio.get_running_loop().call_later(ANSWERED_WITHIN_S, self.give)

    def give(self) -> None:
        """Give what there is."""
        now_s = monotonic_s()
        while self._committed:
            waiting, outcome = self._committed.popleft()
            self.acknowledged_seconds.observe(now_s - waiting.since_s)
            if not waiting.answer.done():
                waiting.answer.set_result(outcome)

    @contextmanager
    def told_in_time(self, undecided: Sequence[Waiting], queue: deque[Waiting]) -> Iterator[None]:
        """Where the block takes longer than `TOLD_WITHIN_S`, tell callers what is known before it ends.

        `undecided` were tried, and may have their effect yet; what is in the queue was not, and is left out.
        Those of other processes are told by their own: here they keep their place in the stream.
        """
        timer = asyncio.get_running_loop().call_later(TOLD_WITHIN_S, _tell, undecided, queue)
        try:
            yield
        finally:
            timer.cancel()


def refuse(
    waiting: Iterable[Waiting], detail: str, outcome: Literal["not_applied", "unknown"] = "not_applied"
) -> None:
    """Tell callers that nothing was done, or that nobody knows."""
    for each in waiting:
        if not each.answer.done():
            each.answer.set_exception(Unavailable("not_committed", detail, outcome=outcome))


def refuse_queued(queue: deque[Waiting]) -> None:
    """Tell callers whose requests were never tried that the partition has stopped, and empty the queue."""
    refuse(queue, f"the partition has stopped; {NOTHING_BY_THIS}")
    queue.clear()


def _tell(undecided: Sequence[Waiting], queue: deque[Waiting]) -> None:
    why = "the database does not answer"
    refuse(
        (each for each in undecided if not each.offset),
        f"{why}; what came of the request is not known yet",
        outcome="unknown",
    )
    queued = list(queue)
    queue.clear()
    queue.extend(each for each in queued if each.offset)
    refuse((each for each in queued if not each.offset), f"{why}; {NOTHING_BY_THIS}")
