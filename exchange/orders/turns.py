"""The order in which one caller's requests come to their partitions, however long each takes to get there.

What a request needs to be read before it is queued is read beside the others; it is queued in its turn. So a
cancel that was sent before an order has its effect before that order is matched, although the cancel had to
be looked up.

Invariants: turns come in the order in which they were taken; each comes once those before it are over. After
`end` none comes any more, or only those of withdrawals: nothing is placed for a caller that has left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from exchange.kit.errors import Unavailable

if TYPE_CHECKING:
    from exchange.orders.leader import Leader
    from exchange.orders.models import Request
    from exchange.orders.outcomes import Outcome


class Turn:
    """One request's place: wait for it to `come`, and say when it is `over`. As a context it does both."""

    __slots__ = ("_come", "_turns", "is_over", "is_withdrawal")

    def __init__(self, turns: Turns, *, is_withdrawal: bool) -> None:
        self.is_over = False
        self.is_withdrawal = is_withdrawal
        self._turns = turns
        self._come: asyncio.Future[None] | None = None

    async def __aenter__(self) -> None:
        """Wait until it comes; raises `Unavailable` where it never will."""
        await self.come()

    async def __aexit__(self, *_: object) -> None:
        """Let the next one come."""
        self.over()

    async def come(self) -> None:
        """Wait until every turn before it is over; raises `Unavailable` where the caller has left."""
        if self._turns.first is not self and not self._turns.has_ended_for(self):
            self._come = asyncio.get_running_loop().create_future()
            await self._come
        if self._turns.has_ended_for(self):
            raise Unavailable("caller_gone", "the connection ended before this came to its partition")

    def over(self) -> None:
        """Let the next one come; a turn that is not wanted is over before it comes."""
        self.is_over = True
        self._turns.pass_on()

    def wake(self) -> None:
        """End the wait."""
        if self._come is not None and not self._come.done():
            self._come.set_result(None)


class Turns:
    """The turns of one caller."""

    def __init__(self) -> None:
        self._waiting: deque[Turn] = deque()
        self._is_ended = False
        self._is_ended_for_withdrawals = False

    @property
    def first(self) -> Turn | None:
        """Whose turn it is."""
        return self._waiting[0] if self._waiting else None

    def has_ended_for(self, turn: Turn) -> bool:
        """Whether a turn never comes."""
        return self._is_ended_for_withdrawals if turn.is_withdrawal else self._is_ended

    def take(self, *, is_withdrawal: bool = False) -> Turn:
        """Give the next turn."""
        turn = Turn(self, is_withdrawal=is_withdrawal)
        self._waiting.append(turn)
        return turn

    def pass_on(self) -> None:
        """Let the first come whose turn is not over."""
        while self._waiting and self._waiting[0].is_over:
            self._waiting.popleft()
        if self._waiting:
            self._waiting[0].wake()

    def end(self, *, withdrawals_too: bool) -> None:
        """Let none come any more, or only those that withdraw."""
        self._is_ended, self._is_ended_for_withdrawals = True, withdrawals_too
        for turn in list(self._waiting):
            if self.has_ended_for(turn):
                turn.wake()


async def submit(leader: Leader, request: Request, turn: Turn | None) -> Outcome:
    """Hand a request to its partition, in its turn where it has one, and wait for its committed outcome."""
    if turn is None:
        return await leader.submit(request)
    async with turn:
        [answer] = leader.enqueue([request])
    return await answer
