"""A provider's own capacity and earnings over HTTP.

Of the application's state: `database`, `clock` and `products`.
"""

from typing import Annotated

import msgspec
from litestar import Controller, get

from exchange.kit.auth import Scope
from exchange.kit.clock import Clock
from exchange.kit.database import Database
from exchange.kit.errors import Faults
from exchange.kit.fields import SlugText, TimeText, whole_hour
from exchange.kit.http_auth import requires
from exchange.kit.http_request import ApiRequest
from exchange.products.naming import check_product
from exchange.settlement.capacity import own_capacity, own_earnings
from exchange.settlement.capacity_models import SPAN_HOURS_MAX, CapacityView, EarningsView


class SpanQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which hours: `starts_at` is included and `ends_at` is not; both on whole hours, at most 93 days."""

    starts_at: TimeText
    ends_at: TimeText


class CapacityQuery(SpanQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which hours, and of which product."""

    product: SlugText | None = None


class EarningsQuery(SpanQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which hours, and how many hours ahead of UTC the place is at whose midnights days begin."""

    utc_offset_hours: Annotated[int, msgspec.Meta(ge=-12, le=14)] = 0


def _span_of(query: SpanQuery, faults: Faults) -> tuple[int, int]:
    """Read the hours; raises `InvalidInput` with every fault, also those that were found before."""
    starts_hour = whole_hour(faults, "?starts_at", query.starts_at)
    ends_hour = whole_hour(faults, "?ends_at", query.ends_at)
    if starts_hour is not None and ends_hour is not None:
        if ends_hour <= starts_hour:
            faults.add("?ends_at", "window_inverted", "must be later than starts_at", query.ends_at)
        elif ends_hour - starts_hour > SPAN_HOURS_MAX:
            rule = f"must be at most {SPAN_HOURS_MAX} hours after starts_at"
            faults.add("?ends_at", "out_of_range", rule, query.ends_at)
    if faults or starts_hour is None or ends_hour is None:
        raise faults.refusal()
    return starts_hour, ends_hour


class CapacityController(Controller):
    """What a provider lists, sells and delivers, and what that brings."""

    path = "/v1/capacity"
    tags = ("Capacity",)

    @get("", opt=requires(Scope.READ, query=CapacityQuery), summary="Read own capacity by product and hour")
    async def capacity(self, request: ApiRequest) -> CapacityView:
        """GPUs that the caller listed, sold, still offers, delivered and failed to deliver, hour by hour.

        Products of which the span has nothing are left out.
        """
        query, faults = request.query_with_holes(CapacityQuery)
        check_product(faults, request.app.state.products, query.product)
        starts_hour, ends_hour = _span_of(query, faults)
        clock: Clock = request.app.state.clock
        database: Database = request.app.state.database
        async with database.snapshot() as connection:
            return await own_capacity(
                connection,
                request.principal,
                product_id=query.product,
                starts_hour=starts_hour,
                ends_hour=ends_hour,
                first_hour=clock.hour() + 1,
            )

    @get("/earnings", opt=requires(Scope.READ, query=EarningsQuery), summary="Read own earnings day by day")
    async def earnings(self, request: ApiRequest) -> EarningsView:
        """What the caller's sold hours bring, by the day they are delivered: booked, paid, to claim, fee."""
        query, faults = request.query_with_holes(EarningsQuery)
        starts_hour, ends_hour = _span_of(query, faults)
        database: Database = request.app.state.database
        async with database.snapshot() as connection:
            return await own_earnings(
                connection,
                request.principal,
                starts_hour=starts_hour,
                ends_hour=ends_hour,
                utc_offset_hours=query.utc_offset_hours,
            )
