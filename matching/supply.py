"""Free GPUs hour by hour, over all resting asks of a book: kept while the book changes, not counted anew.

`changes[i]` is by how much hour `origin_hour + i` has more GPUs free than the hour before it, so an ask costs
two additions, however long its window. The origin is the book's hour: no ask has anything before it. A book
keeps one from the first time that it is asked for (`OrderBook.kept_supply`), so that who never asks never
pays. It is worked out from the asks alone and is no part of a snapshot.
"""

from itertools import accumulate

from matching.index import RestingIndex
from matching.live import LiveAsk


class Supply:
    """By how much each hour's free GPUs differ from those of the hour before."""

    __slots__ = ("changes", "origin_hour")

    def __init__(self, origin_hour: int) -> None:
        self.origin_hour = origin_hour
        self.changes = [0]

    def change(self, starts_hour: int, ends_hour: int, gpus: int) -> None:
        """Add GPUs to every hour of a window, which does not begin before the origin; or take, below 0."""
        changes = self.changes
        end = ends_hour - self.origin_hour
        if end >= len(changes):
            changes.extend([0] * (end + 1 - len(changes)))
        changes[starts_hour - self.origin_hour] += gpus
        changes[end] -= gpus

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
            # None of the hours of one that expires may be left.
            if ask.hours:
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


class CountedIndex(RestingIndex[LiveAsk]):
    """An index of asks that counts what comes and goes; it takes the place of the plain one it is made of."""

    __slots__ = ("supply",)

    def __init__(self, plain: RestingIndex[LiveAsk], supply: Supply) -> None:
        super().__init__(plain.better)
        self.ladder = plain.ladder
        self.ranks = plain.ranks
        self.blocks = plain.blocks
        self.newest = plain.newest
        self.opened = plain.opened
        self.supply = supply
        for ask in plain:
            supply.add(ask)

    def insert(self, order: LiveAsk) -> None:
        """Place an ask behind all others of its price."""
        RestingIndex.insert(self, order)
        self.supply.add(order)

    def remove(self, order: LiveAsk) -> None:
        """Take an ask out; raises BookCorrupt where it is not there."""
        RestingIndex.remove(self, order)
        self.supply.drop(order)
