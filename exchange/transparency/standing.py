"""How far sealing is behind the record, as any process sees it, whether it seals or not.

A sealer knows of itself only. Where no process has the key, none seals and none complains; so each looks at
the database now and then, in one statement, and counts what waits.
"""

from typing import Final

from exchange.kit.clock import US_PER_SECOND, monotonic_s, wall_now_us
from exchange.kit.database import Connection
from exchange.transparency import store
from exchange.transparency.models import SealStanding

COUNTED_MAX: Final = 10_000
"""Unsealed records are counted up to so many."""


class SealWatch:
    """What was last seen of the log here. `look` every few seconds."""

    def __init__(self) -> None:
        """Have seen nothing yet."""
        self.latest = SealStanding(size=0, sealed_at_us=None, unsealed_records=0)
        self._since_s: float | None = None

    async def look(self, connection: Connection) -> SealStanding:
        """See how the log stands."""
        now = await store.standing(connection, COUNTED_MAX)
        if now.unsealed_records == 0:
            self._since_s = None
        elif self._since_s is None or now.size != self.latest.size:
            self._since_s = monotonic_s()
        self.latest = now
        return now

    @property
    def waiting_s(self) -> float:
        """For how long records have been seen to wait with nothing sealed meanwhile; 0 while none does."""
        return 0.0 if self._since_s is None else monotonic_s() - self._since_s

    @property
    def checkpoint_age_s(self) -> float:
        """How old the last checkpoint is while records wait, 0 while none does.

        Before the first checkpoint it is how long they have been seen to wait.
        """
        latest = self.latest
        if latest.unsealed_records == 0:
            return 0.0
        if latest.sealed_at_us is None:
            return self.waiting_s
        return max(0.0, (wall_now_us() - latest.sealed_at_us) / US_PER_SECOND)
