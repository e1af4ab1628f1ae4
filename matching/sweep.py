"""The match of a bid whose start is flexible: one walk over the asks serves all starts.

Each start has its own tally, and a start that can no longer beat the best full one is dropped (more filled,
then cheaper as paid, then earlier). Reads the book, changes nothing in it.
"""

from matching.live import LiveAsk, LiveBid, same_group, takes_whole
from matching.order import Placement
from matching.units import run_starts
from matching.walk import Match, Take, Working, eligible


class _Tally:
    """What one start has gathered so far; `paid` is per hour of the run."""

    __slots__ = ("filled", "paid", "takes")

    def __init__(self) -> None:
        self.filled = 0
        self.paid = 0
        self.takes: list[Take] = []


class _Sweep:
    """All starts of a flexible bid at once. Starts are bits from the book's hour.

    `still_open`: starts that could still become the best; `best`: (paid, start) of the best full one.
    """

    __slots__ = ("best", "bid", "single", "still_open", "tallies", "wanted", "working")

    def __init__(self, working: Working, bid: LiveBid, wanted: int) -> None:
        self.working = working
        self.bid = bid
        self.single = bid.order.placement is Placement.SINGLE_SITE
        self.wanted = wanted
        self.still_open = bid.mask
        self.tallies: dict[int, _Tally] = {}
        self.best: tuple[int, int] | None = None

    def offer(self, ask: LiveAsk, starts: int) -> None:
        """Let an ask give what it can to each of these starts."""
        order = self.bid.order
        hours = order.hours
        price = ask.price_ticks if ask.sequence < self.bid.sequence else order.limit_ticks
        book_hour = self.working.book.hour
        while starts:
            start = (starts & -starts).bit_length() - 1
            starts &= starts - 1
            tally = self.tallies.get(start)
            missing = self.wanted if tally is None else self.wanted - tally.filled
            take = min(self.working.room(ask, book_hour + start, book_hour + start + hours), missing)
            if not take or (self.single and take < missing):
                continue
            if tally is None:
                tally = self.tallies[start] = _Tally()
            tally.filled += take
            tally.paid += take * price
            tally.takes.append((ask, take))
            if take == missing:
                self.still_open &= ~(1 << start)
                if self.best is None or (tally.paid, start) < self.best:
                    self.best = (tally.paid, start)
                    self.prune(ask.price_ticks)
                    starts &= self.still_open

    def prune(self, price_ticks: int) -> None:
        """Close the starts that asks from `price_ticks` up cannot make better than the best full one."""
        if self.best is None:
            return
        paid, start = self.best
        untouched = self.wanted * price_ticks
        keep = self.still_open
        if untouched > paid:
            keep = 0
        elif untouched == paid:
            keep &= (1 << start) - 1
        for candidate, tally in self.tallies.items():
            bit = 1 << candidate
            if self.still_open & bit:
                if (tally.paid + (self.wanted - tally.filled) * price_ticks, candidate) < self.best:
                    keep |= bit
                else:
                    keep &= ~bit
        self.still_open = keep

    def result(self) -> Match | None:
        """Return the best start's match."""
        tallies = self.tallies
        if self.best is not None:
            start = self.best[1]
        elif not tallies or takes_whole(self.bid.order):
            return None
        else:
            start = min(tallies, key=lambda place: (-tallies[place].filled, tallies[place].paid, place))
        return ((1 << self.bid.order.hours) - 1) << start, tallies[start].takes


def match_flexible(working: Working, bid: LiveBid, wanted: int, own: bool) -> Match | None:  # noqa: FBT001
    """Return the match of a bid of many starts that wants `wanted` GPUs, or None where it takes nothing.

    `own` admits the asks of the bid's own group.
    """
    order = bid.order
    hours = order.hours
    first = (bid.mask & -bid.mask).bit_length() - 1
    window = (1 << (bid.mask.bit_length() - 1 + hours)) - (1 << first)
    sweep = _Sweep(working, bid, wanted)
    reached_ticks = 0
    for block in working.ladder(order.limit_ticks):
        if block.price_ticks > order.limit_ticks:
            break
        if block.price_ticks != reached_ticks:
            reached_ticks = block.price_ticks
            sweep.prune(reached_ticks)
        if not run_starts(block.cover & window, hours) & sweep.still_open:
            continue
        for ask in block.orders.values():
            starts = run_starts(ask.mask & window, hours) & sweep.still_open
            if (
                starts
                and ask is not working.withdrawn
                and eligible(order, ask.order)
                and (own or not same_group(order, ask.order))
            ):
                sweep.offer(ask, starts)
        if not sweep.still_open:
            break
    return sweep.result()
