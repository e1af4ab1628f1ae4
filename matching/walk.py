"""The match of one bid: which asks, how much of each, at which start. Reads the book, changes nothing in it.

Candidates are walked in price, then sequence order until the bid is full. With a flexible start one walk
serves all starts: each start has its own tally, and a start that can no longer beat the best full one is
dropped (more filled, then cheaper as paid, then earlier). `Working` holds what a command has taken so far, so
that one command can match many bids.
"""

from collections.abc import Iterable, Iterator

import msgspec

from matching.book import OrderBook
from matching.live import LiveAsk, LiveBid, same_group
from matching.profile import Profile
from matching.units import SEQUENCE_BITS, run_starts

Take = tuple[LiveAsk, int]
"""An ask and the GPUs taken of it for the bid's whole run."""

Match = tuple[int, list[Take]]
"""The first hour of the run and what is taken for it, at least one take. Tuples: every match builds some."""


class Working(msgspec.Struct, gc=False, eq=False):
    """The book as one command in progress sees it.

    `arriving`: an ask not in the index yet; its own profile and mask are this command's to change.
    `withdrawn`: an ask that the command is replacing. `direct`: the command changes the book as it goes;
    otherwise nothing of the book changes and `profiles` holds carved copies by order id.
    """

    book: OrderBook
    arriving: LiveAsk | None = None
    withdrawn: LiveAsk | None = None
    direct: bool = False
    profiles: dict[int, Profile] = msgspec.field(default_factory=dict)

    def profile(self, ask: LiveAsk) -> Profile:
        """Return an ask's free capacity as left by this command."""
        if ask is self.arriving:
            return ask.profile
        return self.profiles.get(ask.order_id, ask.profile)

    def fill(self, bid: LiveBid, ask: LiveAsk, starts_hour: int, quantity: int, _price_ticks: int) -> int:
        """Do what `OrderBook.fill` does, for this command only, as far as the command looks at it again."""
        # A copy of the profile is needed only where the command goes on to look at the ask again.
        if self.arriving is None and ask.min_hours == 1:
            return ask.profile.gpu_hours - quantity * bid.hours
        profile = self.profile(ask)
        if ask is not self.arriving and ask.order_id not in self.profiles:
            profile = profile.copy()
            self.profiles[ask.order_id] = profile
        sold_out = profile.carve(starts_hour, starts_hour + bid.hours, quantity)
        if sold_out and ask is self.arriving:
            ask.lose(sold_out << (starts_hour - self.book.hour), self.book.hour)
        return profile.gpu_hours

    def fixed_candidates(self, need: int, limit_ticks: int) -> Iterable[LiveAsk]:
        """Return, best first, the asks within the limit that have something free in all hours of `need`."""
        asks = self.book.asks
        last_key = ((limit_ticks + 1) << SEQUENCE_BITS) - 1
        arriving = self.arriving
        if not asks.firsts or asks.firsts[0] > last_key:
            return () if arriving is None or arriving.price_ticks > limit_ticks else (arriving,)
        if arriving is None and self.withdrawn is None:
            return asks.covering(need, last_key)
        return self.merged(asks.covering(need, last_key), limit_ticks)

    def merged(self, asks: Iterator[LiveAsk], limit_ticks: int) -> Iterator[LiveAsk]:
        """Yield the indexed asks with the arriving one in its place and without the withdrawn one."""
        arriving = self.arriving
        if arriving is not None and arriving.price_ticks > limit_ticks:
            arriving = None
        for ask in asks:
            if arriving is not None and ask.price_ticks > arriving.price_ticks:
                yield arriving
                arriving = None
            if ask is not self.withdrawn:
                yield ask
        if arriving is not None:
            yield arriving


def eligible(bid: LiveBid, ask: LiveAsk) -> bool:
    """Whether shortest piece and masks let the two trade; price and group are looked at elsewhere."""
    return (
        ask.min_hours <= bid.hours and not bid.needs_mask & ~ask.is_mask and not ask.needs_mask & ~bid.is_mask
    )


def match_bid(working: Working, bid: LiveBid, wanted: int, *, own: bool = False) -> Match | None:
    """Return the match of a bid that wants `wanted` GPUs, or None where it takes nothing.

    `own` admits the asks of the bid's own group.
    """
    if bid.earliest_hour == bid.last_start_hour:
        return _match_fixed(working, bid, wanted, own)
    return _match_flexible(working, bid, wanted, own)


def _match_fixed(working: Working, bid: LiveBid, wanted: int, own: bool) -> Match | None:  # noqa: FBT001
    starts_hour = bid.earliest_hour
    hours = bid.hours
    ends_hour = starts_hour + hours
    need = ((1 << hours) - 1) << (starts_hour - working.book.hour)
    candidates = working.fixed_candidates(need, bid.price_ticks)
    profiles = working.profiles
    is_mask = bid.is_mask
    needs_mask = bid.needs_mask
    takes: list[Take] = []
    for ask in candidates:
        # `eligible`, written out: every match asks, and most orders need nothing.
        if (
            ask.min_hours > hours
            or (needs_mask and needs_mask & ~ask.is_mask)
            or (ask.needs_mask and ask.needs_mask & ~is_mask)
            or (not own and same_group(bid, ask))
        ):
            continue
        profile = profiles.get(ask.order_id, ask.profile) if profiles else ask.profile
        room = profile.room(starts_hour, ends_hour)
        if room >= wanted:
            takes.append((ask, wanted))
            return starts_hour, takes
        if room and not bid.single:
            takes.append((ask, room))
            wanted -= room
    return (starts_hour, takes) if takes and not bid.whole else None


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

    __slots__ = ("best", "bid", "hour", "still_open", "tallies", "wanted")

    def __init__(self, bid: LiveBid, wanted: int, hour: int) -> None:
        self.bid = bid
        self.wanted = wanted
        self.hour = hour
        self.still_open = bid.mask
        self.tallies: dict[int, _Tally] = {}
        self.best: tuple[int, int] | None = None

    def offer(self, ask: LiveAsk, profile: Profile, starts: int) -> None:
        """Let an ask give what it can to each of these starts."""
        hours = self.bid.hours
        price = ask.price_ticks if ask.sequence < self.bid.sequence else self.bid.price_ticks
        while starts:
            start = (starts & -starts).bit_length() - 1
            starts &= starts - 1
            tally = self.tallies.get(start)
            missing = self.wanted if tally is None else self.wanted - tally.filled
            take = min(profile.room(self.hour + start, self.hour + start + hours), missing)
            if not take or (self.bid.single and take < missing):
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
        elif self.bid.whole or not tallies:
            return None
        else:
            start = min(tallies, key=lambda place: (-tallies[place].filled, tallies[place].paid, place))
        return self.hour + start, tallies[start].takes


def _match_flexible(working: Working, bid: LiveBid, wanted: int, own: bool) -> Match | None:  # noqa: FBT001
    hour = working.book.hour
    hours = bid.hours
    limit_ticks = bid.price_ticks
    window = (1 << (bid.last_start_hour + hours - hour)) - (1 << (bid.earliest_hour - hour))
    candidates = working.book.asks.offering(bid.mask, window, hours, ((limit_ticks + 1) << SEQUENCE_BITS) - 1)
    if working.arriving is not None or working.withdrawn is not None:
        candidates = working.merged(candidates, limit_ticks)
    sweep = _Sweep(bid, wanted, hour)
    reached_ticks = 0
    for ask in candidates:
        if not eligible(bid, ask) or (not own and same_group(bid, ask)):
            continue
        if ask.price_ticks != reached_ticks:
            reached_ticks = ask.price_ticks
            sweep.prune(reached_ticks)
        starts = run_starts(ask.mask & window, hours) & sweep.still_open
        if starts:
            sweep.offer(ask, working.profile(ask), starts)
        if not sweep.still_open:
            break
    return sweep.result()
