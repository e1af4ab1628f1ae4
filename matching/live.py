"""Live orders: what remains of an accepted order, from its acceptance until it leaves the book.

Changed by `matching.book.apply` only, save for the private twin that the engine makes of an arriving order.
Masks count from the book's hour. `due_hour` is the first hour at which the order must leave: its gtd hour, or
the hour after its last possible start. Structs, because these are built for every order that comes, and the
constructor of a struct is several times as fast as an `__init__`.
"""

import msgspec

from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.profile import Profile
from matching.units import SEQUENCE_BITS, run_starts

# Reading a member off its class is slow, and every order is asked.
_SINGLE_SITE = Placement.SINGLE_SITE
_ALL_OR_NONE = FillPolicy.ALL_OR_NONE
_FOK = TimeInForce.FOK


class LiveAsk(msgspec.Struct, gc=False, eq=False):
    """An ask with its free capacity. `mask`: hours with at least one lot free."""

    order: Ask
    order_id: int
    participant: int
    trade_group: int
    price_ticks: int
    sequence: int
    key: int
    quantity_gpus: int
    min_hours: int
    is_mask: int
    needs_mask: int
    profile: Profile
    mask: int
    due_hour: int
    rested: bool = False
    # Bids of the same group that have been told of this ask.
    prevented: dict[int, None] | None = None

    @property
    def remaining_gpus(self) -> int:
        """The most GPUs free in any hour."""
        return self.profile.greatest()

    @property
    def remaining_gpu_hours(self) -> int:
        """The free GPU-hours."""
        return self.profile.gpu_hours

    def sellable(self) -> int:
        """Return the starts of pieces of `min_hours`, as bits from the book's hour."""
        return run_starts(self.mask, self.min_hours)

    def lose(self, sold_out: int, book_hour: int) -> None:
        """Note hours that are no longer free."""
        self.mask &= ~sold_out
        self.renew_due(book_hour)

    def renew_due(self, book_hour: int) -> None:
        """Work `due_hour` out again, after the mask has changed."""
        self.due_hour = book_hour + self.sellable().bit_length()
        if self.order.expire_hour and self.order.expire_hour < self.due_hour:
            self.due_hour = self.order.expire_hour


class LiveBid(msgspec.Struct, gc=False, eq=False):
    """A bid with what it still wants. `mask`: its possible starts; `price_ticks`: its limit.

    `earliest_hour` and `last_start_hour` bound the start; they are equal once it is fixed or pinned.
    `whole`: takes its whole quantity or nothing. `single`: and from one ask.
    """

    order: Bid
    order_id: int
    participant: int
    trade_group: int
    price_ticks: int
    sequence: int
    key: int
    quantity_gpus: int
    remaining_gpus: int
    hours: int
    is_mask: int
    needs_mask: int
    single: bool
    whole: bool
    earliest_hour: int
    last_start_hour: int
    mask: int
    due_hour: int
    rested: bool = False
    # Asks of the same group that this bid has been told of.
    prevented: dict[int, None] | None = None

    @property
    def remaining_gpu_hours(self) -> int:
        """The GPU-hours still wanted."""
        return self.remaining_gpus * self.hours

    def pin(self, starts_hour: int, book_hour: int) -> None:
        """Fix the start."""
        self.earliest_hour = self.last_start_hour = starts_hour
        self.mask = 1 << (starts_hour - book_hour)
        self.due_hour = starts_hour + 1
        if self.order.expire_hour and self.order.expire_hour < self.due_hour:
            self.due_hour = self.order.expire_hour


def pair(bid: "LiveBid", ask: LiveAsk) -> None:
    """Note on both sides that the two have been told of each other."""
    if bid.prevented is None:
        bid.prevented = {}
    if ask.prevented is None:
        ask.prevented = {}
    bid.prevented[ask.order_id] = None
    ask.prevented[bid.order_id] = None


def same_group(bid: LiveBid, ask: LiveAsk) -> bool:
    """Whether self-trade prevention keeps the two apart."""
    return bid.participant == ask.participant or (bid.trade_group != 0 and bid.trade_group == ask.trade_group)


LiveOrder = LiveAsk | LiveBid


def live_ask(order: Ask, sequence: int, book_hour: int) -> LiveAsk:
    """Return the ask as it stands before its first fill."""
    starts_hour = order.starts_hour
    ends_hour = order.ends_hour
    quantity = order.quantity_gpus
    price_ticks = order.price_ticks
    due_hour = ends_hour - order.min_hours + 1
    if order.expire_hour and order.expire_hour < due_hour:
        due_hour = order.expire_hour
    # By position, in the order of the fields: one is built for every order that comes.
    return LiveAsk(
        order,
        order.order_id,
        order.participant,
        order.trade_group,
        price_ticks,
        sequence,
        (price_ticks << SEQUENCE_BITS) + sequence,
        quantity,
        order.min_hours,
        order.is_mask,
        order.needs_mask,
        Profile([starts_hour, ends_hour], [quantity], quantity * (ends_hour - starts_hour)),
        (1 << (ends_hour - book_hour)) - (1 << (starts_hour - book_hour)),
        due_hour,
    )


def live_bid(order: Bid, sequence: int, book_hour: int) -> LiveBid:
    """Return the bid as it stands before its first fill."""
    hours = order.hours
    quantity = order.quantity_gpus
    limit_ticks = order.limit_ticks
    earliest_hour = order.earliest_hour
    last_start_hour = order.latest_hour - hours
    due_hour = last_start_hour + 1
    if order.expire_hour and order.expire_hour < due_hour:
        due_hour = order.expire_hour
    single = order.placement is _SINGLE_SITE
    return LiveBid(
        order,
        order.order_id,
        order.participant,
        order.trade_group,
        limit_ticks,
        sequence,
        (-limit_ticks << SEQUENCE_BITS) + sequence,
        quantity,
        quantity,
        hours,
        order.is_mask,
        order.needs_mask,
        single,
        single or order.fill is _ALL_OR_NONE or order.time_in_force is _FOK,
        earliest_hour,
        last_start_hour,
        (2 << (last_start_hour - book_hour)) - (1 << (earliest_hour - book_hour)),
        due_hour,
    )


def live(order: Order, sequence: int, book_hour: int) -> LiveOrder:
    """Return the order as it stands before its first fill."""
    if isinstance(order, Ask):
        return live_ask(order, sequence, book_hour)
    return live_bid(order, sequence, book_hour)


def restored_ask(order: Ask, sequence: int, book_hour: int, profile: Profile) -> LiveAsk:
    """Return the ask with what it has left, from the first hour that has not passed."""
    ask = live_ask(msgspec.structs.replace(order, starts_hour=profile.edges[0]), sequence, book_hour)
    ask.order = order
    ask.profile = profile
    ask.mask = profile.mask(book_hour)
    ask.renew_due(book_hour)
    return ask


def restored_bid(order: Bid, sequence: int, book_hour: int, starts: tuple[int, int]) -> LiveBid:
    """Return the bid with its first and last start that are still possible."""
    earliest_hour, last_start_hour = starts
    left = msgspec.structs.replace(
        order, earliest_hour=earliest_hour, latest_hour=last_start_hour + order.hours
    )
    bid = live_bid(left, sequence, book_hour)
    bid.order = order
    return bid
