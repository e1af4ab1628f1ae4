"""Live orders: what remains of an accepted order, from its acceptance until it leaves the book.

Changed by `matching.book.apply` only, save for the private twin that the engine makes of an arriving order.
Masks count from the book's hour. `due_hour` is the first hour at which the order must leave: its gtd hour, or
the hour after its last possible start.
"""

from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.profile import Profile
from matching.units import SEQUENCE_BITS, run_starts

# Reading a member off its class is slow, and every order is asked.
_SINGLE_SITE = Placement.SINGLE_SITE
_ALL_OR_NONE = FillPolicy.ALL_OR_NONE
_FOK = TimeInForce.FOK


class LiveAsk:
    """An ask with its free capacity. `mask`: hours with at least one lot free."""

    __slots__ = (
        "due_hour",
        "is_mask",
        "key",
        "mask",
        "min_hours",
        "needs_mask",
        "order",
        "order_id",
        "participant",
        "prevented",
        "price_ticks",
        "profile",
        "quantity_gpus",
        "rested",
        "sequence",
        "trade_group",
    )

    def __init__(self, order: Ask, sequence: int, book_hour: int, profile: Profile | None = None) -> None:
        self.order = order
        self.order_id = order.order_id
        self.participant = order.participant
        self.trade_group = order.trade_group
        self.price_ticks = order.price_ticks
        self.sequence = sequence
        self.key = (order.price_ticks << SEQUENCE_BITS) + sequence
        self.quantity_gpus = order.quantity_gpus
        self.min_hours = order.min_hours
        self.is_mask = order.is_mask
        self.needs_mask = order.needs_mask
        if profile is None:
            starts_hour = order.starts_hour
            ends_hour = order.ends_hour
            self.profile = Profile.flat(starts_hour, ends_hour, order.quantity_gpus)
            self.mask = (1 << (ends_hour - book_hour)) - (1 << (starts_hour - book_hour))
            self.due_hour = ends_hour - order.min_hours + 1
            if order.expire_hour and order.expire_hour < self.due_hour:
                self.due_hour = order.expire_hour
        else:
            self.profile = profile
            self.mask = profile.mask(book_hour)
            self.due_hour = 0
            self.renew_due(book_hour)
        self.rested = False
        # Bids of the same group that have been told of this ask.
        self.prevented: dict[int, None] | None = None

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


class LiveBid:
    """A bid with what it still wants. `mask`: its possible starts; `price_ticks`: its limit.

    `earliest_hour` and `last_start_hour` bound the start; they are equal once it is fixed or pinned.
    `whole`: takes its whole quantity or nothing. `single`: and from one ask.
    """

    __slots__ = (
        "due_hour",
        "earliest_hour",
        "hours",
        "is_mask",
        "key",
        "last_start_hour",
        "mask",
        "needs_mask",
        "order",
        "order_id",
        "participant",
        "prevented",
        "price_ticks",
        "quantity_gpus",
        "remaining_gpus",
        "rested",
        "sequence",
        "single",
        "trade_group",
        "whole",
    )

    def __init__(
        self, order: Bid, sequence: int, book_hour: int, starts: tuple[int, int] | None = None
    ) -> None:
        self.order = order
        self.order_id = order.order_id
        self.participant = order.participant
        self.trade_group = order.trade_group
        self.price_ticks = order.limit_ticks
        self.sequence = sequence
        self.key = (-order.limit_ticks << SEQUENCE_BITS) + sequence
        self.quantity_gpus = order.quantity_gpus
        self.remaining_gpus = order.quantity_gpus
        self.hours = order.hours
        self.is_mask = order.is_mask
        self.needs_mask = order.needs_mask
        self.single = order.placement is _SINGLE_SITE
        self.whole = self.single or order.fill is _ALL_OR_NONE or order.time_in_force is _FOK
        self.rested = False
        # Asks of the same group that this bid has been told of.
        self.prevented: dict[int, None] | None = None
        if starts is None:
            earliest_hour = order.earliest_hour
            last_start_hour = order.latest_hour - order.hours
        else:
            earliest_hour, last_start_hour = starts
        self.earliest_hour = earliest_hour
        self.last_start_hour = last_start_hour
        if earliest_hour == last_start_hour:
            self.mask = 1 << (earliest_hour - book_hour)
        else:
            self.mask = (1 << (last_start_hour + 1 - book_hour)) - (1 << (earliest_hour - book_hour))
        self.due_hour = last_start_hour + 1
        if order.expire_hour and order.expire_hour < self.due_hour:
            self.due_hour = order.expire_hour

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


def live(order: Order, sequence: int, book_hour: int) -> LiveOrder:
    """Return the order as it stands before its first fill."""
    if isinstance(order, Ask):
        return LiveAsk(order, sequence, book_hour)
    return LiveBid(order, sequence, book_hour)
