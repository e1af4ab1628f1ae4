"""Live orders and rules of admission of the reference book: part of the oracle, slow and obvious too."""

from dataclasses import dataclass, field

from matching.events import RejectReason
from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.product import Product

HORIZON_HOURS = 17_568
R = RejectReason


@dataclass
class Offer:
    """A live ask."""

    order: Ask
    sequence: int
    total: int
    free: dict[int, int]

    def room(self, start: int, hours: int) -> int:
        """Return the GPUs free in every hour of the run."""
        return min(self.free.get(hour, 0) for hour in range(start, start + hours))

    @property
    def most(self) -> int:
        """GPUs: free in the best hour, or wanted."""
        return max(self.free.values(), default=0)

    @property
    def gpu_hours(self) -> int:
        """GPU-hours left."""
        return sum(self.free.values())

    def sellable(self) -> bool:
        """Whether a piece of the shortest length is left."""
        return any(self.room(hour, self.order.min_hours) > 0 for hour in self.free)


@dataclass
class Need:
    """A live bid."""

    order: Bid
    sequence: int
    total: int
    wanted: int
    starts: list[int]
    told: set[int] = field(default_factory=set)

    @property
    def most(self) -> int:
        """GPUs: free in the best hour, or wanted."""
        return self.wanted

    @property
    def gpu_hours(self) -> int:
        """GPU-hours left."""
        return self.wanted * self.order.hours

    @property
    def single(self) -> bool:
        """Whether one ask must give it all."""
        return self.order.placement is Placement.SINGLE_SITE

    @property
    def whole(self) -> bool:
        """Whether it takes all or nothing."""
        order = self.order
        return self.single or order.fill is FillPolicy.ALL_OR_NONE or order.time_in_force is TimeInForce.FOK


def fault(
    order: Order,
    replaced: Offer | Need | None,
    product: Product,
    hour: int,
    reference: int,
    others: list[int],
) -> RejectReason | None:
    """Return the first rule of admission that an order breaks; `others` are the ids that are taken."""
    ask = isinstance(order, Ask)
    price = order.price_ticks if isinstance(order, Ask) else order.limit_ticks
    first, end = (
        (order.starts_hour, order.ends_hour)
        if isinstance(order, Ask)
        else (order.earliest_hour, order.latest_hour)
    )
    hours = order.ends_hour - order.starts_hour if isinstance(order, Ask) else order.hours
    differs = replaced is not None and (
        isinstance(replaced, Offer) != ask or replaced.order.participant != order.participant
    )
    gtd = order.time_in_force is TimeInForce.GTD
    immediate = order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    rules = [
        (order.product != product.id, R.WRONG_PRODUCT),
        (differs, R.REPLACEMENT_DIFFERS),
        (order.order_id in others, R.DUPLICATE_ORDER_ID),
        (order.quantity_gpus <= 0, R.QUANTITY_NOT_POSITIVE),
        (order.quantity_gpus % product.lot_gpus != 0, R.NOT_A_LOT_MULTIPLE),
        (price <= 0, R.PRICE_NOT_POSITIVE),
        (end <= first or hours <= 0, R.WINDOW_EMPTY),
        (end - first < hours, R.WINDOW_TOO_SHORT),
        (first < hour, R.WINDOW_IN_PAST),
        (end > hour + HORIZON_HOURS, R.WINDOW_BEYOND_HORIZON),
        (isinstance(order, Ask) and not 1 <= order.min_hours <= hours, R.MIN_HOURS_OUT_OF_RANGE),
        (price * order.quantity_gpus * hours >= 2**63, R.NOTIONAL_TOO_LARGE),
        (min(order.is_mask, order.needs_mask) < 0, R.MASK_NEGATIVE),
        (not gtd and order.expire_hour != 0, R.EXPIRE_HOUR_UNEXPECTED),
        (gtd and order.expire_hour <= hour, R.EXPIRE_HOUR_IN_PAST),
        (order.post_only and immediate, R.POST_ONLY_IMMEDIATE),
        (
            product.collar_bps > 0 and abs(price - reference) * 10_000 > product.collar_bps * reference,
            R.PRICE_OUTSIDE_COLLAR,
        ),
    ]
    return next((reason for broken, reason in rules if broken), None)
