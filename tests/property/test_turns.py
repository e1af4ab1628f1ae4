"""Goal: a caller's requests are queued in the order in which they were sent, however long each takes.

Method: random requests that get ready at random moments, or fail before their turn, on the real turns; what
was queued must be in order, and nothing after the end.
"""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.errors import Unavailable
from exchange.orders.turns import Turn, Turns

# For each request: after how many rounds it is ready, whether it fails then, and whether it withdraws.
requests = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=30)


async def request(number: int, turn: Turn, ready_after: int, queued: list[int], *, fails: bool) -> None:
    try:
        for _ in range(ready_after):
            await asyncio.sleep(0)
        if fails:
            raise ZeroDivisionError
        async with turn:
            queued.append(number)
        await asyncio.sleep(0)
    finally:
        turn.over()


@given(sent=requests)
async def test_requests_are_queued_in_the_order_of_their_turns(sent: list[tuple[int, bool, bool]]) -> None:
    turns, queued = Turns(), list[int]()
    tasks = [
        asyncio.create_task(request(number, turns.take(), ready_after, queued, fails=fails))
        for number, (ready_after, fails, _) in enumerate(sent)
    ]
    await asyncio.gather(*tasks, return_exceptions=True)
    assert queued == [number for number, (_, fails, _) in enumerate(sent) if not fails]
    assert turns.first is None


@given(sent=requests, end_after=st.integers(0, 6), withdrawals_too=st.booleans())
async def test_after_the_end_nothing_is_queued_but_withdrawals_that_may(
    sent: list[tuple[int, bool, bool]], end_after: int, *, withdrawals_too: bool
) -> None:
    turns, queued = Turns(), list[int]()
    tasks = [
        asyncio.create_task(
            request(number, turns.take(is_withdrawal=withdraws), ready_after, queued, fails=fails)
        )
        for number, (ready_after, fails, withdraws) in enumerate(sent)
    ]
    for _ in range(end_after):
        await asyncio.sleep(0)
    before = list(queued)
    turns.end(withdrawals_too=withdrawals_too)
    outcomes: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert queued == sorted(queued)
    for number, (_, fails, withdraws) in enumerate(sent):
        may_come = withdraws and not withdrawals_too
        if number in queued[len(before) :]:
            assert may_come
        elif number not in before and not fails:
            assert isinstance(outcomes[number], Unavailable)
            assert not may_come
