"""The match of one bid: which asks, how much of each, at which start. Reads the book, changes nothing in it.

Candidates are walked in price, then sequence order until the bid is full. A fixed start is matched here, a
flexible one in `matching.sweep`. `Working` holds what a command has taken so far, so that one command can
match many bids.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from matching.book import OrderBook
from matching.index import Block
from matching.live import LiveAsk, LiveBid, capacity, same_group, takes_whole
from matching.order import Ask, Bid, Placement
from matching.profile import Profile

Take = tuple[LiveAsk, int]
"""An ask and the GPUs taken of it for the bid's whole run."""

Match = tuple[int, list[Take]]
"""The first hour of the run, and what is taken for it, at least one take."""

_SINGLE_SITE: Final = Placement.SINGLE_SITE


class Working(msgspec.Struct, gc=False, eq=False):
    """The book as one command in progress sees it.

    `arriving`: an ask not in the index yet; its capacity is this command's to change. `own`: the
    block that it would stand in, alone.
    `withdrawn`: an ask that the command is replacing. `direct`: the command changes the book as it goes;
    otherwise nothing of the book changes and `profiles` holds carved copies by order id. `met_own`: whether
    the last match of a flexible bid came upon asks of its own group, taken or not.
    """

    book: OrderBook
    arriving: LiveAsk | None = None
    own: Block[LiveAsk] | None = None
    withdrawn: LiveAsk | None = None
    direct: bool = False
    profiles: dict[int, Profile] | None = None
    met_own: bool = False

    def room(self, ask: LiveAsk, starts_hour: int, ends_hour: int) -> int:
        """Return the GPUs that this command has left in every hour of a window inside the ask's."""
        profile = ask.profile
        if self.profiles is not None:
            profile = self.profiles.get(ask.order_id, profile)
        return ask.gpus if profile is None else profile.room(starts_hour, ends_hour)

    def fill(self, bid: LiveBid, ask: LiveAsk, starts_hour: int, quantity: int) -> int:
        """Do what `OrderBook.fill` does, for this command only, as far as the command looks at it again."""
        hours = bid.hours
        # A copy of the profile is needed only where the command goes on to look at the ask again.
        if self.arriving is None and ask.order.min_hours == 1:
            return ask.remaining_gpu_hours - quantity * hours
        profile = self.capacity(ask)
        if ask is self.arriving:
            ask.profile = profile
        else:
            if profile is ask.profile:
                profile = profile.copy()
            if self.profiles is None:
                self.profiles = {}
            self.profiles[ask.order_id] = profile
        profile.carve(starts_hour, starts_hour + hours, quantity)
        return profile.gpu_hours

    def capacity(self, ask: LiveAsk) -> Profile:
        """Return an ask's free capacity as left by this command."""
        if self.profiles is not None:
            left = self.profiles.get(ask.order_id)
            if left is not None:
                return left
        return capacity(ask)

    def ladder(self, limit_ticks: int) -> Iterable[Block[LiveAsk]]:
        """Return the blocks of asks, best first, to `limit_ticks` at least; the arriving ask has its own."""
        blocks = self.book.asks.ladder
        own = self.own
        if own is None:
            return reversed(blocks)
        if not blocks or blocks[-1].price_ticks > limit_ticks:
            return (own,)
        return _with_own(blocks, own)


def selling(book: OrderBook, arriving: LiveAsk, withdrawn: LiveAsk | None, *, direct: bool) -> Working:
    """Return what a command that brings an ask sees."""
    own: Block[LiveAsk] = Block(0, arriving.price_ticks)
    own.orders[arriving.sequence] = arriving
    own.cover = arriving.spans
    return Working(book, arriving, own, withdrawn, direct)


def _with_own(blocks: list[Block[LiveAsk]], own: Block[LiveAsk]) -> Iterator[Block[LiveAsk]]:
    """Yield the blocks and, behind those of its price, the one of the arriving ask."""
    yet = True
    for block in reversed(blocks):
        if yet and block.price_ticks > own.price_ticks:
            yield own
            yet = False
        yield block
    if yet:
        yield own


def eligible(bid: Bid, ask: Ask) -> bool:
    """Whether shortest piece and masks let the two trade; price and group are looked at elsewhere."""
    return (
        ask.min_hours <= bid.hours and not bid.needs_mask & ~ask.is_mask and not ask.needs_mask & ~bid.is_mask
    )


def match_fixed(  # noqa: C901 - one loop that calls as little as it can
    working: Working,
    bid: LiveBid,
    wanted: int,
    own: bool,  # noqa: FBT001
) -> Match | None:
    """Return the match of a bid of one start that wants `wanted` GPUs, or None where it takes nothing.

    `own` admits the asks of the bid's own group.
    """
    order = bid.order
    hours = bid.hours
    limit_ticks = bid.price_ticks
    is_mask = order.is_mask
    needs_mask = order.needs_mask
    starts_hour = bid.starts_hour
    ends_hour = bid.ends_hour
    need = bid.spans
    withdrawn = working.withdrawn
    profiles = working.profiles
    takes: list[Take] = []
    for block in working.ladder(limit_ticks):
        if block.price_ticks > limit_ticks:
            break
        if block.cover & need != need:
            continue
        for ask in block.orders.values():
            if ask.starts_hour > starts_hour or ask.ends_hour < ends_hour or ask is withdrawn:
                continue
            offer = ask.order
            # `eligible`, written out: every match asks, and most orders need nothing.
            if (
                offer.min_hours > hours
                or (needs_mask and needs_mask & ~offer.is_mask)
                or (offer.needs_mask and offer.needs_mask & ~is_mask)
                or (not own and same_group(order, offer))
            ):
                continue
            profile = ask.profile if profiles is None else profiles.get(ask.order_id, ask.profile)
            if profile is None:
                room = ask.gpus
            elif ask.spans & need == need:
                room = profile.room(starts_hour, ends_hour)
            else:
                continue
            if room >= wanted:
                takes.append((ask, wanted))
                return starts_hour, takes
            if room and order.placement is not _SINGLE_SITE:
                takes.append((ask, room))
                wanted -= room
    return (starts_hour, takes) if takes and not takes_whole(order) else None
