"""Answers that no domain's own view describes for a client, with only the fields a client reads.

Unknown fields of an answer are ignored, so a newer exchange still makes sense to an older client.
"""

import msgspec

from exchange.client.transport import Problem
from exchange.orders.models import OrderView


class VenueTime(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's own time: where it stands, and the first hour that can still be bought."""

    now_at: str
    first_hour_for_sale_at: str
    seconds_per_hour: float | None = None


class Ready(msgspec.Struct, frozen=True):
    """Whether the exchange takes orders."""

    status: str = ""


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one order of a batch came to: an order, or the problem that it would have been answered alone."""

    status: int
    client_order_id: str | None = None
    replayed: bool = False
    order: OrderView | None = None
    problem: Problem | None = None


class OrderOutcomes(msgspec.Struct, frozen=True):
    """The outcomes of a batch."""

    data: list[OrderOutcome]
