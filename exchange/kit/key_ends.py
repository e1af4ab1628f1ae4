"""What a key has open beyond one request (a stream) ends with the key.

Whoever serves a key for longer holds it meanwhile (`held`) and is told when it has ended (`on_ended`): at
once where a notice of the key comes in, at the latest `LOOK_S` after, whatever was not heard, and within
`LOOK_S` of its expiry. Only held keys are looked at, all in one statement.

Known limit: while the database cannot be reached nobody knows; what is open stays open until it can.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from exchange.kit.chores import Chore

LOOK_S: Final = 1.0


class KeyEnds:
    """The keys that are held. `read` returns which of some keys have ended. `chore` looks."""

    def __init__(self, read: Callable[[Collection[int]], Awaitable[Collection[int]]]) -> None:
        self.on_ended: list[Callable[[int], None]] = []
        """Called with the id of a held key that has ended, once while it stays held."""
        self._read = read
        self._held: Counter[int] = Counter()
        self._told: set[int] = set()
        self.chore = Chore(
            "key-ends",
            self._look,
            undone="open streams are not compared with their keys",
            period_s=LOOK_S,
            first_s=LOOK_S,
            retry_s=LOOK_S,
        )

    @contextmanager
    def held(self, key_id: int) -> Iterator[None]:
        """Hold a key. It may have ended since it opened the door, so it is looked at again at once."""
        self._held[key_id] += 1
        self._told.discard(key_id)
        self.chore.hurry()
        try:
            yield
        finally:
            self._held[key_id] -= 1
            if not self._held[key_id]:
                del self._held[key_id]
                self._told.discard(key_id)

    def look_at(self, key_id: int) -> None:
        """Look at once, if this key is held: it was changed."""
        if key_id in self._held:
            self.chore.hurry()

    async def _look(self) -> None:
        asked = self._held.keys() - self._told
        if not asked:
            return
        for key_id in await self._read(asked):
            for callback in self.on_ended:
                callback(key_id)
            self._told.add(key_id)
