"""A gateway's way to the engines: requests go in groups, outcomes come back under their numbers.

Whatever requests queued for a partition while the last group was on its way are the next group, one entry of
its stream. One task a partition sends, so that requests reach their engine in the order of their callers.

Invariants: each caller gets one answer within the patience: the outcome that was committed; `not_applied`
where the request certainly reached no stream; else `unknown`, and the same request may be sent again, as its
client order id or Idempotency-Key has one effect. A group is sent once: whether a lost one was taken is not
known, so its callers wait for what may come.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.fleet.codec import Unreadable, read_answers, write_letters, write_request
from exchange.fleet.streams import answers_stream, intake_stream
from exchange.kit.chores import Chore
from exchange.kit.clock import monotonic_s
from exchange.kit.errors import NOTHING_BY_THIS, Unavailable
from exchange.kit.meters import SECONDS, Histogram
from exchange.kit.redis import RedisLost, RedisRefused, StreamReader
from exchange.kit.tasks import end
from exchange.orders.outcomes import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exchange.kit.redis import Redis
    from exchange.orders.models import Request
    from exchange.orders.outcomes import Outcome

GROUP_REQUESTS_MAX: Final = 512
UNANSWERED_MAX: Final = 20_000
ENTRIES_AT_ONCE: Final = 64
BLOCK_S: Final = 1.0
RETRY_S: Final = 0.1
RETRY_FAULT_S: Final = 1.0
SWEEP_S: Final = 0.1
TRIM_S: Final = 0.5
_NOT_REACHED: Final = f"the engines cannot be reached; {NOTHING_BY_THIS}"

_log = logging.getLogger(__name__)


class _Unanswered(msgspec.Struct):
    """A request whose caller waits. `is_sent`: it may stand in a stream."""

    partition_id: int
    request: Request
    answer: asyncio.Future[Outcome]
    since_s: float
    is_sent: bool = False


class GatewayLink:
    """The requests of one gateway that are not answered. `start` before use, `stop` at the end."""

    def __init__(self, redis: Redis, *, partition_ids: Iterable[int], patience_s: float) -> None:
        self.gateway = secrets.token_hex(8)
        self.acknowledged_seconds = {partition_id: Histogram(SECONDS) for partition_id in partition_ids}
        """From a request's being handed over to its answer, by partition."""
        self._redis = redis
        self._patience_s = patience_s
        self._numbers = 0
        self._unanswered: dict[int, _Unanswered] = {}  # by number, oldest first
        self._counts: Counter[int] = Counter()  # of them, by partition
        self._queues: dict[int, deque[int]] = {each: deque() for each in self.acknowledged_seconds}
        self._wake = {each: asyncio.Event() for each in self._queues}
        self._reader = StreamReader(redis, answers_stream(self.gateway), entries_max=ENTRIES_AT_ONCE)
        self._trims_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._chores = [
            Chore(
                "answers",
                self._listen,
                undone="answers of engines are not read",
                retry_s=RETRY_S,
                fault_s=RETRY_FAULT_S,
            ),
            Chore(
                "patience", self._sweep, undone="callers are not told that nobody answers", period_s=SWEEP_S
            ),
        ]

    async def start(self) -> None:
        """Begin to send and to listen."""
        self._tasks = [
            asyncio.create_task(self._send_for_ever(each), name=f"requests-{each}") for each in self._queues
        ]
        for chore in self._chores:
            chore.start()

    async def stop(self) -> None:
        """End; who still waits is told what is known."""
        await end(self._tasks)
        for chore in self._chores:
            await chore.stop()
        for number in list(self._unanswered):
            self._give_up(number)

    def unanswered(self, partition_id: int) -> int:
        """How many requests to a partition wait for an answer."""
        return self._counts[partition_id]

    def hand_over(self, partition_id: int, requests: Sequence[Request]) -> list[asyncio.Future[Outcome]]:
        """Queue requests behind each other; all or none are taken."""
        if len(self._unanswered) + len(requests) > UNANSWERED_MAX:
            raise Unavailable("overloaded", f"too many requests are waiting; {NOTHING_BY_THIS}")
        loop, now_s = asyncio.get_running_loop(), monotonic_s()
        answers = []
        for request in requests:
            self._numbers += 1
            waiting = _Unanswered(partition_id, request, loop.create_future(), now_s)
            self._unanswered[self._numbers] = waiting
            self._queues[partition_id].append(self._numbers)
            answers.append(waiting.answer)
        self._counts[partition_id] += len(requests)
        self._wake[partition_id].set()
        return answers

    async def _send_for_ever(self, partition_id: int) -> None:
        queue, wake = self._queues[partition_id], self._wake[partition_id]
        while True:
            await wake.wait()
            wake.clear()
            while queue:
                await asyncio.sleep(0)  # whoever is about to queue shall be of this group
                numbers = [queue.popleft() for _ in range(min(len(queue), GROUP_REQUESTS_MAX))]
                # Those that waited too long are answered by now, and have no effect.
                if numbers := [each for each in numbers if each in self._unanswered]:
                    try:
                        await self._send(partition_id, numbers)
                    except Exception:  # noqa: BLE001 - logged; their callers are told when patience ends
                        _log.exception(
                            "%d requests to partition %d were not sent", len(numbers), partition_id
                        )

    async def _send(self, partition_id: int, numbers: list[int]) -> None:
        """Send a group; those of its callers that certainly reached nobody are told so."""
        requests = self._written(numbers)
        if not requests:
            return
        try:
            await self._redis.append(intake_stream(partition_id), write_letters(self.gateway, requests))
        except RedisLost as lost:
            _log.warning("%d requests to partition %d: %s", len(numbers), partition_id, lost)
            if lost.outcome == "not_applied":
                self._refuse(numbers, Unavailable(detail=_NOT_REACHED))
        except RedisRefused as refused:
            _log.error("%d requests to partition %d were refused: %s", len(numbers), partition_id, refused)
            detail = f"the way to the engines takes no more requests now; {NOTHING_BY_THIS}"
            self._refuse(numbers, Unavailable("overloaded", detail))

    def _written(self, numbers: Sequence[int]) -> list[tuple[int, msgspec.Raw]]:
        """Write requests, and refuse those that cannot be: they take no other with them."""
        requests = []
        for number in numbers:
            waiting = self._unanswered[number]
            try:
                requests.append((number, write_request(waiting.request)))
            except Exception:  # noqa: BLE001 - logged; its caller is told
                _log.exception("a request cannot be written: %s", type(waiting.request).__name__)
                detail = f"the request cannot be handed to the engines; {NOTHING_BY_THIS}"
                self._refuse([number], Unavailable("not_committed", detail, retryable=False))
            else:
                waiting.is_sent = True
        return requests

    def _refuse(self, numbers: Sequence[int], refusal: Unavailable) -> None:
        for number in numbers:
            waiting = self._taken(number)
            if waiting is not None and not waiting.answer.done():
                waiting.answer.set_exception(refusal)

    def _taken(self, number: int) -> _Unanswered | None:
        waiting = self._unanswered.pop(number, None)
        if waiting is not None:
            self._counts[waiting.partition_id] -= 1
        return waiting

    async def _listen(self) -> None:
        page = await self._reader.read(BLOCK_S)
        for entry in page.entries:
            try:
                self._take_in(entry.data)
            except Unreadable:
                _log.exception("an engine of another version answers")
            except Exception:  # noqa: BLE001 - logged; the other entries are read already, and come but once
                _log.exception("some answers of engines were not taken in")
        if page.entries and monotonic_s() >= self._trims_s:
            await self._redis.trim(answers_stream(self.gateway), self._reader.after)
            self._trims_s = monotonic_s() + TRIM_S

    def _take_in(self, data: bytes) -> None:
        answers = read_answers(data)
        now_s = monotonic_s()
        for number, outcome in answers:
            waiting = self._taken(number)
            if waiting is None:
                continue  # told twice, or too late
            self.acknowledged_seconds[waiting.partition_id].observe(now_s - waiting.since_s)
            if waiting.answer.done():
                continue
            if isinstance(outcome, Refused):
                waiting.answer.set_exception(outcome.refusal)
            else:
                waiting.answer.set_result(outcome)

    async def _sweep(self) -> None:
        over_s = monotonic_s() - self._patience_s
        while self._unanswered:
            number, waiting = next(iter(self._unanswered.items()))
            if waiting.since_s > over_s:
                break
            self._give_up(number)

    def _give_up(self, number: int) -> None:
        if self._unanswered[number].is_sent:
            detail = "no engine has answered in time; look, or send the same again: it has one effect"
            refusal = Unavailable("not_committed", detail, outcome="unknown")
        else:
            refusal = Unavailable(detail=_NOT_REACHED)
        self._refuse([number], refusal)
