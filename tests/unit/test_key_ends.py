"""Goal: who holds a key hears once that it has ended, whatever fails meanwhile. Method: a table of keys."""

import asyncio
from collections.abc import Callable, Collection

import pytest

from exchange.kit import key_ends as module
from exchange.kit.clock import monotonic_s
from exchange.kit.database import ConnectionLost
from exchange.kit.key_ends import KeyEnds

DEADLINE_S = 60.0


class Table:
    """The keys that have ended, and the failures still to come when it is read."""

    def __init__(self) -> None:
        self.ended: set[int] = set()
        self.failures: list[Exception] = []
        self.asked: list[set[int]] = []

    async def read(self, key_ids: Collection[int]) -> list[int]:
        """Read as the database query would."""
        self.asked.append(set(key_ids))
        if self.failures:
            raise self.failures.pop()
        return sorted(self.ended & set(key_ids))


async def until(holds: Callable[[], bool]) -> None:
    deadline_s = monotonic_s() + DEADLINE_S
    while not holds():
        assert monotonic_s() < deadline_s
        await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)


async def test_only_held_keys_are_looked_at_and_each_is_told_once() -> None:
    table, told = Table(), list[int]()
    ends = KeyEnds(table.read)
    ends.on_ended.append(told.append)
    ends.chore.start()
    table.ended = {1, 2}
    with ends.held(1), ends.held(3):
        await until(lambda: told == [1])
        rounds = len(table.asked)
        await until(lambda: len(table.asked) > rounds + 3)
        assert told == [1]
        assert table.asked[-1] == {3}
        ends.look_at(2)  # which nobody holds
        with ends.held(1):  # opened by who was let in before it ended
            await until(lambda: told == [1, 1])
    asked = len(table.asked)
    with ends.held(2):
        await until(lambda: told == [1, 1, 2])
    assert all(each <= {1, 2, 3} and each for each in table.asked)
    assert table.asked[asked] == {2}
    await ends.chore.stop()


async def test_what_fails_is_tried_again() -> None:
    table, told = Table(), list[int]()
    ends = KeyEnds(table.read)
    failing = [True]

    def tell(key_id: int) -> None:
        if failing.pop():
            failing.append(False)
            raise LookupError("no stream of this key")
        told.append(key_id)

    ends.on_ended.append(tell)
    ends.chore.start()
    table.failures = [LookupError("a fault"), ConnectionLost("gone", outcome="not_applied")]
    table.ended = {7}
    with ends.held(7):
        await until(lambda: told == [7])
    assert not table.failures
    await ends.chore.stop()
