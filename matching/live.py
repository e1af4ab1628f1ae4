"""Live orders: what remains of an accepted order, from its acceptance until it leaves the book.

Changed by `matching.book` only, save for the private twin that the engine makes of an arriving order. One
class for both sides, because Python reads an attribute three times as fast where it only ever meets one type,
and a struct, because the constructor of one is several times as fast as an `__init__`: one is built for every
order that comes.
"""

from typing import Generic, TypeGuard, TypeVar

import msgspec

from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.profile import Profile
from matching.units import spans_of

# Reading a member off its class is slow, and every order is asked.
_SINGLE_SITE = Placement.SINGLE_SITE
_ALL_OR_NONE = FillPolicy.ALL_OR_NONE
_FOK = TimeInForce.FOK

T = TypeVar("T", Ask, Bid)


class Live(msgspec.Struct, Generic[T], gc=False, eq=False):
    """An order with what remains of it. `price_ticks`: a bid's limit; `block`: where it rests, or 0.

    A bid: `gpus` are still wanted for a run of `hours` inside [starts_hour, ends_hour), which is the run once
    that is fixed or pinned. An ask: [starts_hour, ends_hour) is what is left of its window; while all hours
    are equal, `profile` is None and `gpus` are free in each of the `hours` left, later only `profile` counts.
    `spans`: those in which it wants or has something.
    """

    order: T
    order_id: int
    participant: int
    price_ticks: int
    sequence: int
    quantity_gpus: int
    gpus: int
    hours: int
    starts_hour: int
    ends_hour: int
    spans: int
    block: int = 0
    profile: Profile | None = None
    # Orders of the other side and the same group that this one was told of.
    prevented: dict[int, None] | None = None

    @property
    def remaining_gpus(self) -> int:
        """The GPUs still wanted, or the most that are free in any hour."""
        return self.gpus if self.profile is None else self.profile.greatest()

    @property
    def remaining_gpu_hours(self) -> int:
        """The GPU-hours still wanted, or free."""
        return self.gpus * self.hours if self.profile is None else self.profile.gpu_hours


LiveAsk = Live[Ask]
LiveBid = Live[Bid]
LiveOrder = LiveAsk | LiveBid


def is_ask(order: LiveOrder) -> TypeGuard[LiveAsk]:
    """Whether a live order is an ask."""
    return type(order.order) is Ask


def is_bid(order: LiveOrder) -> TypeGuard[LiveBid]:
    """Whether a live order is a bid."""
    return type(order.order) is Bid


def capacity(ask: LiveAsk) -> Profile:
    """Return an ask's profile, a fresh one where all hours are equal."""
    return ask.profile or Profile.flat(ask.starts_hour, ask.ends_hour, ask.gpus)


def stretches(ask: LiveAsk) -> list[tuple[int, int]]:
    """Return (starts_hour, ends_hour) of each longest stretch of hours with something free, in order."""
    return [(ask.starts_hour, ask.ends_hour)] if ask.profile is None else ask.profile.stretches()


def last_start(order: LiveOrder) -> int:
    """Return the last hour at which a trade could begin, or -1: nothing of an ask is long enough."""
    if is_ask(order):
        shortest = order.order.min_hours
        ends = [
            ends_hour for starts_hour, ends_hour in stretches(order) if ends_hour - starts_hour >= shortest
        ]
        return ends[-1] - shortest if ends else -1
    return order.ends_hour - order.hours


def due_hour(order: LiveOrder) -> int:
    """Return the first hour at which an order must leave: its gtd hour, or the one after its last start."""
    due = last_start(order) + 1
    return min(due, order.order.expire_hour or due)


def takes_whole(bid: Bid) -> bool:
    """Whether a bid takes its whole quantity or nothing."""
    return bid.fill is _ALL_OR_NONE or bid.placement is _SINGLE_SITE or bid.time_in_force is _FOK


def pair(bid: LiveBid, ask: LiveAsk) -> None:
    """Note on both sides that the two have been told of each other."""
    if bid.prevented is None:
        bid.prevented = {}
    if ask.prevented is None:
        ask.prevented = {}
    bid.prevented[ask.order_id] = None
    ask.prevented[bid.order_id] = None


def same_group(bid: Bid, ask: Ask) -> bool:
    """Whether self-trade prevention keeps the two apart."""
    return bid.participant == ask.participant or (bid.trade_group != 0 and bid.trade_group == ask.trade_group)


def live_ask(order: Ask, sequence: int, book_hour: int) -> LiveAsk:
    """Return the ask as it stands before its first fill."""
    starts_hour = order.starts_hour
    ends_hour = order.ends_hour
    gpus = order.quantity_gpus
    # By position, in the order of the fields: keywords would cost.
    return Live(
        order,
        order.order_id,
        order.participant,
        order.price_ticks,
        sequence,
        gpus,
        gpus,
        ends_hour - starts_hour,
        starts_hour,
        ends_hour,
        spans_of(starts_hour, ends_hour, book_hour),
    )


def live_bid(order: Bid, sequence: int, book_hour: int) -> LiveBid:
    """Return the bid as it stands before its first fill."""
    starts_hour = order.earliest_hour
    ends_hour = order.latest_hour
    gpus = order.quantity_gpus
    return Live(
        order,
        order.order_id,
        order.participant,
        order.limit_ticks,
        sequence,
        gpus,
        gpus,
        order.hours,
        starts_hour,
        ends_hour,
        spans_of(starts_hour, ends_hour, book_hour),
    )


def live(order: Order, sequence: int, book_hour: int) -> LiveOrder:
    """Return the order as it stands before its first fill."""
    return (
        live_ask(order, sequence, book_hour) if type(order) is Ask else live_bid(order, sequence, book_hour)
    )
