"""Free GPUs hour by hour, over all resting asks of a book: kept while the book changes, not counted anew.

`changes[i]` is by how much hour `origin_hour + i` has more GPUs free than the hour before it, so an ask costs
two additions, however long its window; what lies before the origin counts at the origin. A book keeps one
from the first time that it is asked for (`OrderBook.kept_supply`), so that who never asks never pays. It is
worked out from the asks alone and is no part of a snapshot.
"""

from itertools import accumulate

from matching.live import LiveAsk


class Supply:
    """By how much each hour's free GPUs differ from those of the hour before."""

    __slots__ = ("changes", "origin_hour")

    def __init__(self, origin_hour: int) -> None:
        self.origin_hour = origin_hour
        self.changes = [0]

    def change(self, starts_hour: int, ends_hour: int, gpus: int) -> None:
        """Add GPUs to, or with less than 0 take them from, every hour of a window."""
        changes = self.changes
        first = starts_hour - self.origin_hour
        end = ends_hour - self.origin_hour
        if end >= len(changes):
            changes.extend([0] * (end + 1 - len(changes)))
        changes[first if first > 0 else 0] += gpus
        changes[end if end > 0 else 0] -= gpus

    def add(self, ask: LiveAsk) -> None:
        """Count what an ask has free."""
        profile = ask.profile
        if profile is None:
            self.change(ask.starts_hour, ask.ends_hour, ask.gpus)
            return
        for starts_hour, ends_hour, gpus in profile.runs():
            self.change(starts_hour, ends_hour, gpus)

    def drop(self, ask: LiveAsk) -> None:
        """Count no longer what an ask has free."""
        profile = ask.profile
        if profile is None:
            self.change(ask.starts_hour, ask.ends_hour, -ask.gpus)
            return
        for starts_hour, ends_hour, gpus in profile.runs():
            self.change(starts_hour, ends_hour, -gpus)

    def advance(self, hour: int) -> None:
        """Move the origin forward to `hour`."""
        passed = hour - self.origin_hour
        self.changes = [sum(self.changes[: passed + 1]), *self.changes[passed + 1 :]]
        self.origin_hour = hour

    def free(self, from_hour: int, to_hour: int) -> list[int]:
        """Return the GPUs free in each hour of a window that does not begin before the origin."""
        first = from_hour - self.origin_hour
        end = to_hour - self.origin_hour
        # Past the last change nothing is free.
        totals = list(accumulate(self.changes[:end]))[first:]
        return totals + [0] * (to_hour - from_hour - len(totals))
