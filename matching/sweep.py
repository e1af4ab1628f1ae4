"""The match of a bid whose start is flexible: one walk over the asks serves all starts.

Each start has its own tally, and a start that can no longer beat the best full one is dropped (more filled,
then cheaper as paid, then earlier). Reads the book, changes nothing in it.
"""

from matching.live import LiveAsk, LiveBid, same_group, stretches, takes_whole
from matching.order import Placement
from matching.walk import Match, Take, Working, eligible


class _Tally:
    """What one start has gathered so far; `paid` is per hour of the run."""

    __slots__ = ("filled", "paid", "takes")

    def __init__(self) -> None:
        self.filled = 0
        self.paid = 0
        self.takes: list[Take] = []


class _Sweep:
    """All starts of a flexible bid at once. Starts are bits from the bid's earliest.

    `still_open`: starts that could still become the best; `best`: (paid, start) of the best full one.
    """

    __slots__ = ("best", "bid", "single", "still_open", "tallies", "wanted", "working")

    def __init__(self, working: Working, bid: LiveBid, wanted: int) -> None:
        self.working = working
        self.bid = bid
        self.single = bid.order.placement is Placement.SINGLE_SITE
        self.wanted = wanted
        self.still_open = (2 << (bid.ends_hour - bid.hours - bid.starts_hour)) - 1
        self.tallies: dict[int, _Tally] = {}
        self.best: tuple[int, int] | None = None

    def starts(self, ask: LiveAsk) -> int:
        """Return those of the open starts at which an ask has something free throughout."""
        first_hour = self.bid.starts_hour
        hours = self.bid.hours
        starts = 0
        for starts_hour, ends_hour in stretches(ask):
            first = max(starts_hour - first_hour, 0)
            last = min(ends_hour, self.bid.ends_hour) - hours - first_hour
            if first <= last:
                starts |= (2 << last) - (1 << first)
        return starts & self.still_open

    def offer(self, ask: LiveAsk, starts: int) -> None:
        """Let an ask give what it can to each of these starts."""
        hours = self.bid.hours
        price = ask.price_ticks if ask.sequence < self.bid.sequence else self.bid.price_ticks
        first_hour = self.bid.starts_hour
        while starts:
            start = (starts & -starts).bit_length() - 1
            starts &= starts - 1
            tally = self.tallies.get(start)
            missing = self.wanted if tally is None else self.wanted - tally.filled
            take = min(self.working.room(ask, first_hour + start, first_hour + start + hours), missing)
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
        return self.bid.starts_hour + start, tallies[start].takes


def match_flexible(working: Working, bid: LiveBid, wanted: int, own: bool) -> Match | None:  # noqa: FBT001
    """Return the match of a bid of many starts that wants `wanted` GPUs, or None where it takes nothing.

    `own` admits the asks of the bid's own group; `working.met_own` tells afterwards whether there were any.
    """
    order = bid.order
    hours = bid.hours
    limit_ticks = bid.price_ticks
    # A start at which the ask could begin leaves it this much of the bid's window.
    first_end = bid.starts_hour + hours
    last_start = bid.ends_hour - hours
    sweep = _Sweep(working, bid, wanted)
    reached_ticks = 0
    participant = bid.participant
    trade_group = order.trade_group
    working.met_own = False
    for block in working.ladder(limit_ticks):
        if block.price_ticks != reached_ticks:
            reached_ticks = block.price_ticks
            sweep.prune(reached_ticks)
        if block.price_ticks > limit_ticks or not sweep.still_open:
            break
        if not block.cover & bid.spans:
            continue
        for ask in block.orders.values():
            if (
                ask.ends_hour < first_end
                or ask.starts_hour > last_start
                or ask is working.withdrawn
                or not eligible(order, ask.order)
                or (not own and same_group(order, ask.order))
            ):
                continue
            starts = sweep.starts(ask)
            if starts:
                # `same_group`, written out: every match asks.
                if ask.participant == participant or (trade_group and ask.order.trade_group == trade_group):
                    working.met_own = True
                sweep.offer(ask, starts)
                if not sweep.still_open:
                    break
    return sweep.result()
