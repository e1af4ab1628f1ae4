"""Answers that no domain's own view describes for a client, with only the fields a client reads.

Unknown fields of an answer are ignored, so a newer exchange still makes sense to an older client.
"""

import msgspec

from exchange.client.problems import Problem
from exchange.orders.many_models import SwitchView, WithdrawnView
from exchange.orders.models import OrderView


class VenueTime(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's own time: where it stands, and the first hour that can still be bought."""

    now_at: str
    first_hour_for_sale_at: str
    seconds_per_hour: float | None = None


class Ready(msgspec.Struct, frozen=True):
    """Whether the exchange takes orders; `notes` say what its operators should see to beside that."""

    status: str = ""
    notes: tuple[str, ...] = ()


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


class StreamResult(msgspec.Struct, frozen=True, kw_only=True, tag="result", tag_field="event"):
    """What came of a request over the stream: a part of what HTTP would have answered, or the problem."""

    id: str | None = None
    status: int = 0
    replayed: bool = False
    order: OrderView | None = None
    outcomes: list[OrderOutcome] | None = None
    withdrawn: list[WithdrawnView] | None = None
    switch: SwitchView | None = None
    problem: Problem | None = None
    retry_after_s: int | None = None


class StreamError(msgspec.Struct, frozen=True, kw_only=True, tag="error", tag_field="event"):
    """Why a message was refused, or why the connection ends."""

    problem: Problem
    id: str | None = None
