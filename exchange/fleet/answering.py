"""How an engine's outcomes get to the gateways that wait: what has gathered for each goes as one entry.

Invariants: only what was committed is told. What a leader did not commit, because it was fenced or stopped,
its successor finds in the stream and answers; a gateway that hears nothing says so to its caller. An outcome
that cannot be written is told as `unknown`, and takes no other with it.

Known limit: outcomes that Redis does not take within the gateways' patience are dropped: nobody waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from exchange.fleet.codec import write_answers
from exchange.fleet.streams import ANSWERS_KEPT_S, answers_stream
from exchange.kit.clock import monotonic_s
from exchange.kit.errors import Unavailable
from exchange.kit.redis import RedisLost, RedisRefused
from exchange.orders.outcomes import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.kit.redis import Redis
    from exchange.orders.outcomes import Outcome

RETRY_S: Final = 0.1
STREAM_ENTRIES_MAX: Final = 1_000
OPEN_MAX: Final = 2_048
"""Requests that are handed over and not answered: a little more than the next batches, and no more."""

_log = logging.getLogger(__name__)


class AnswerDesk:
    """The outcomes of one partition on their way. `start` before use; `stop` sends the last."""

    def __init__(self, redis: Redis, *, patience_s: float) -> None:
        self._redis = redis
        self._patience_s = patience_s
        self._gathered: dict[str, list[tuple[int, Outcome]]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_cut_off = False
        self._open = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    def expect(self, gateway: str, number: int) -> RemoteAnswer:
        """Return what stands for the gateway that waits for a request's outcome."""
        self._open += 1
        if self._open >= OPEN_MAX:
            self._has_room.clear()
        return RemoteAnswer(self, gateway, number)

    async def room(self) -> None:
        """Wait until further requests may be handed over."""
        await self._has_room.wait()

    def close_one(self) -> None:
        """Count a request that is open no more."""
        self._open -= 1
        if self._open < OPEN_MAX:
            self._has_room.set()

    def put(self, gateway: str, number: int, outcome: Outcome) -> None:
        """Take a committed outcome in."""
        self._gathered.setdefault(gateway, []).append((number, outcome))
        self._wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="answers")

    def cut_off(self) -> None:
        """Try nothing twice from now on: Redis was lost for so long that nobody waits."""
        self._is_cut_off = True

    async def stop(self) -> None:
        """Send what was taken in until now, and end."""
        self._is_stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._gathered or not self._is_stopping:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._send()
            except Exception:  # noqa: BLE001 - logged; the answers to others must go on
                _log.exception("some answers were not sent; their gateways will say that they know of none")

    async def _send(self) -> None:
        """Send what has gathered, in one round trip for all gateways."""
        gathered, self._gathered = self._gathered, {}
        commands = []
        for gateway, answers in gathered.items():
            stream = answers_stream(gateway)
            data = _written(answers)
            commands += [
                ("XADD", stream, "MAXLEN", "~", STREAM_ENTRIES_MAX, "*", "data", data),
                ("EXPIRE", stream, ANSWERS_KEPT_S),
            ]
        gives_up_s = monotonic_s() + self._patience_s
        while commands:
            try:
                await self._redis.run_each(*commands)
            except (RedisLost, RedisRefused) as error:
                # Sent twice they are read twice: the second time nobody waits.
                if self._is_cut_off or monotonic_s() > gives_up_s:
                    _log.error("the answers to %d gateways are lost: %s", len(gathered), error)
                    return
                await asyncio.sleep(RETRY_S)
            else:
                return


class RemoteAnswer:
    """Stands for a gateway that waits for one outcome."""

    __slots__ = ("_desk", "_gateway", "_is_done", "_number")

    def __init__(self, desk: AnswerDesk, gateway: str, number: int) -> None:
        self._desk = desk
        self._gateway = gateway
        self._number = number
        self._is_done = False

    def done(self) -> bool:
        """Whether it was told, or never will be."""
        return self._is_done

    def set_result(self, outcome: Outcome, /) -> None:
        """Tell what was committed."""
        self._close()
        self._desk.put(self._gateway, self._number, outcome)

    def set_exception(self, _refusal: Unavailable, /) -> None:
        """Tell nothing: this leader has not committed it, and the next one may."""
        self._close()

    def _close(self) -> None:
        self._is_done = True
        self._desk.close_one()


def _written(answers: Sequence[tuple[int, Outcome]]) -> bytes:
    """Return outcomes as an entry, where some cannot be written with refusals in their place."""
    try:
        return write_answers(answers)
    except Exception:  # noqa: BLE001 - whichever it is, the others are told
        return write_answers([(number, _writable(outcome)) for number, outcome in answers])


def _writable(outcome: Outcome) -> Outcome:
    try:
        write_answers([(0, outcome)])
    except Exception:  # noqa: BLE001 - logged; its caller is told that it is not known here
        _log.exception("an outcome cannot be written: %s", type(outcome).__name__)
        detail = "it was decided, and the outcome cannot be told; look for what became of it"
        return Refused(refusal=Unavailable("not_committed", detail, retryable=False, outcome="unknown"))
    return outcome
