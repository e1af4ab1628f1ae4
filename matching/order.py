"""The two orders: an ask offers a rectangle of capacity, a bid wants one.

Values only; what remains of an order while it is live is `matching.live`. Eligibility is a pair of bit masks
a side: a pair may trade only if `bid.needs_mask` is within `ask.is_mask` and `ask.needs_mask` is within
`bid.is_mask`. Orders of one participant, or of one trade group other than 0, never trade with each other.
"""

from enum import StrEnum
from typing import final

import msgspec


class Side(StrEnum):
    """Who wants capacity (buy) and who offers it (sell)."""

    BUY = "buy"
    SELL = "sell"


class TimeInForce(StrEnum):
    """gtc: until cancelled. gtd: until `expire_hour`. ioc: what fills now. fok: the whole now, or nothing."""

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class FillPolicy(StrEnum):
    """Whether a bid takes part of its quantity."""

    PARTIAL = "partial"
    ALL_OR_NONE = "all_or_none"


class Placement(StrEnum):
    """single_site: the whole quantity from one ask, so such a bid never fills in part."""

    ANY = "any"
    SINGLE_SITE = "single_site"


class AskTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An ask without its masks, which the encoded form writes as text."""

    order_id: int
    participant: int
    trade_group: int
    product: str
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    min_hours: int = 1
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_hour: int = 0
    post_only: bool = False


@final
class Ask(AskTerms, frozen=True, kw_only=True, gc=False, tag=True):
    """`quantity_gpus` for every hour of [starts_hour, ends_hour), at `price_ticks` or more.

    Divisible by lot and by hour, in pieces of at least `min_hours`. `expire_hour` is set for gtd only: when
    that is the book's hour, the first for sale, the order is no longer there. fok: the whole rectangle is
    sold at once, or nothing.
    """

    is_mask: int = 0
    needs_mask: int = 0


class BidTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A bid without its masks, which the encoded form writes as text."""

    order_id: int
    participant: int
    trade_group: int
    product: str
    quantity_gpus: int
    hours: int
    earliest_hour: int
    latest_hour: int
    limit_ticks: int
    fill: FillPolicy = FillPolicy.PARTIAL
    placement: Placement = Placement.ANY
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_hour: int = 0
    post_only: bool = False


@final
class Bid(BidTerms, frozen=True, kw_only=True, gc=False, tag=True):
    """`quantity_gpus` for one run of `hours` inside [earliest_hour, latest_hour), at `limit_ticks` or less.

    The start is fixed where latest - earliest == hours, else flexible until the first fill pins it.
    """

    is_mask: int = 0
    needs_mask: int = 0


Order = Ask | Bid
