"""Answers about many hours at once: calendars of many products, candles, price indices.

Prices are decimal CNY per GPU-hour; null means that there is none. An average has four decimals, half up.
docs/market-data.md has the method of the indices.
"""

from typing import Literal

import msgspec

from exchange.products.models import Origin

Interval = Literal["1h", "1d"]
CandleClock = Literal["trade_time", "delivery_hour"]
Unit = Literal["cny_per_gpu_hour", "points"]


class ProductCalendarView(msgspec.Struct, frozen=True, kw_only=True):
    """One product's delivery hours as columns: the cheapest ask, the best bid and the free GPUs of each hour.

    `sequence` is that of the book's last event. Hours beyond the product's listing horizon have nothing.
    """

    product: str
    accelerator: str
    origin: Origin
    hub: str
    interconnect: str
    sequence: int
    ask_cny_per_gpu_hour: list[str | None]
    bid_cny_per_gpu_hour: list[str | None]
    free_gpus: list[int]


class CalendarsView(msgspec.Struct, frozen=True, kw_only=True):
    """Many products' prices; the first of each column belongs to the hour `starts_at`, and so on."""

    starts_at: str
    ends_at: str
    hours: int
    data: list[ProductCalendarView]


class CandleView(msgspec.Struct, frozen=True, kw_only=True):
    """What traded in one period that begins at `starts_at`."""

    starts_at: str
    open_cny_per_gpu_hour: str
    high_cny_per_gpu_hour: str
    low_cny_per_gpu_hour: str
    close_cny_per_gpu_hour: str
    vwap_cny_per_gpu_hour: str
    gpu_hours: int
    notional_cny: str
    trades: int


class CandlesView(msgspec.Struct, frozen=True, kw_only=True):
    """A product's candles, oldest first; periods in which nothing traded are left out.

    By `trade_time` a trade belongs to the period in which it was made. By `delivery_hour` it belongs to every
    period that it delivers, with what it delivers there.
    """

    product: str
    interval: Interval
    by: CandleClock
    starts_at: str
    ends_at: str
    data: list[CandleView]


class IndexValueView(msgspec.Struct, frozen=True, kw_only=True):
    """An index at `as_of`: what was traded in the `window_hours` before it.

    Where too little was traded, even in the longest window, `value` and `window_hours` are null, and the
    volume is that of the longest.
    """

    as_of: str
    value: str | None
    window_hours: int | None
    gpu_hours: int
    trades: int


class IndexSummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """A price index and its latest value.

    `kind` accelerator is the average price of one accelerator, in CNY per GPU-hour; composite is the level
    of all accelerators of an origin, in points, 1000 being their reference prices. `change_24h_percent` is
    against the value a day before, null where there is none of either.
    """

    index: str
    kind: Literal["accelerator", "composite"]
    accelerator: str | None
    origin: Origin
    unit: Unit
    latest: IndexValueView
    change_24h_percent: str | None


class IndicesView(msgspec.Struct, frozen=True, kw_only=True):
    """Every index. `methodology` is the version of the method by which they are made."""

    methodology: int
    data: list[IndexSummaryView]


class IndexView(msgspec.Struct, frozen=True, kw_only=True):
    """A price index over time, oldest first; values of whole days are those of midnight, UTC."""

    methodology: int
    index: str
    kind: Literal["accelerator", "composite"]
    accelerator: str | None
    origin: Origin
    unit: Unit
    interval: Interval
    starts_at: str
    ends_at: str
    data: list[IndexValueView]
