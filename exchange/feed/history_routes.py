"""Market data of many hours over HTTP: calendars of many products, candles, price indices.

Public, as all market data. Needs `calendars` (`Calendars`) and `history` (`HistoryService`) in the
application's state.
"""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Response

from exchange.feed.calendars import CalendarFilter, Calendars
from exchange.feed.history_models import (
    CalendarsView,
    CandleClock,
    CandlesView,
    IndexView,
    IndicesView,
    Interval,
)
from exchange.feed.history_service import HistoryService
from exchange.kit.fields import SlugText, TimeText
from exchange.kit.http_auth import public
from exchange.kit.http_cached import answer_unless_known
from exchange.kit.http_described import revalidates
from exchange.kit.http_request import ApiRequest
from exchange.products.models import Origin


class CalendarsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which products and delivery hours; by default those with orders, and the next seven days."""

    product: Annotated[list[SlugText], msgspec.Meta(min_length=1, max_length=100)] | None = None
    accelerator: SlugText | None = None
    origin: Origin | None = None
    hub: SlugText | None = None
    interconnect: SlugText | None = None
    starts_at: TimeText | None = None
    ends_at: TimeText | None = None


class CandlesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which candles; periods that begin in the window are meant, up to 1,000 of them."""

    interval: Interval = "1h"
    by: CandleClock = "trade_time"
    starts_at: TimeText | None = None
    ends_at: TimeText | None = None


class IndexQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which values; those as of times in the window are meant, up to 1,000 of them."""

    interval: Interval = "1h"
    starts_at: TimeText | None = None
    ends_at: TimeText | None = None


def _history(request: ApiRequest) -> HistoryService:
    history: HistoryService = request.app.state.history
    return history


class HistoryController(Controller):
    """What can be bought, and what was, over many hours."""

    path = "/v1/market"
    tags = ("Market data",)
    opt = public() | revalidates()

    @get("/calendar", opt=public(query=CalendarsQuery), summary="Read prices of many products hour by hour")
    async def calendar(self, request: ApiRequest) -> Response[CalendarsView]:
        """For each product and delivery hour the cheapest ask, the best bid and the free GPUs, as columns."""
        query, faults = request.query_with_holes(CalendarsQuery)
        calendars: Calendars = request.app.state.calendars
        wanted = CalendarFilter(
            products=query.product,
            accelerator=query.accelerator,
            origin=query.origin,
            hub=query.hub,
            interconnect=query.interconnect,
        )
        found = await calendars.read(wanted, query.starts_at, query.ends_at, faults)
        return answer_unless_known(request, found.body, found.digest)

    @get("/{product:str}/candles", opt=public(query=CandlesQuery), summary="Read what traded by hour or day")
    async def candles(self, request: ApiRequest, product: FromPath[str]) -> Response[CandlesView]:
        """Open, high, low, close, average and volume, by the time of trade or by the hours delivered."""
        query, faults = request.query_with_holes(CandlesQuery)
        found = _history(request).candles(
            product, query.interval, query.by, query.starts_at, query.ends_at, faults
        )
        return answer_unless_known(request, found)

    @get("/indices", summary="List the price indices")
    async def indices(self, request: ApiRequest) -> Response[IndicesView]:
        """Every price index with its latest value."""
        return answer_unless_known(request, await _history(request).indices())

    @get("/indices/{index:str}", opt=public(query=IndexQuery), summary="Read a price index over time")
    async def index(self, request: ApiRequest, index: FromPath[str]) -> Response[IndexView]:
        """What a GPU-hour of an accelerator cost, or how high the prices of an origin stood."""
        query, faults = request.query_with_holes(IndexQuery)
        found = await _history(request).index(index, query.interval, query.starts_at, query.ends_at, faults)
        return answer_unless_known(request, found)
