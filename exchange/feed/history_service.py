"""Candles and price indices, answered from memory."""

from collections.abc import Mapping

from exchange.feed import rules
from exchange.feed.bars import DAY_HOURS, Bar
from exchange.feed.history import History
from exchange.feed.history_models import (
    CandleClock,
    CandlesView,
    CandleView,
    IndexSummaryView,
    IndexView,
    IndicesView,
    Interval,
)
from exchange.feed.indices import METHODOLOGY, PriceIndex, indices_of, value_view, values_of
from exchange.feed.periods import HOURS_OF, asked_periods
from exchange.kit.clock import Clock
from exchange.kit.errors import Faults, NotFound
from exchange.kit.fields import Readable, format_cny, format_hour
from exchange.orders.rules import average_price
from exchange.products.models import ProductSpec


class HistoryService:
    """Answers about the past of all products."""

    def __init__(self, *, products: Mapping[str, ProductSpec], history: History, clock: Clock) -> None:
        self._products = products
        self._history = history
        self._clock = clock
        self._indices = indices_of(products.values())

    def candles(
        self,
        product_id: str,
        interval: Interval,
        by: CandleClock,
        starts_at: Readable,
        ends_at: Readable,
        faults: Faults,
    ) -> CandlesView:
        """Return a product's candles of the periods that begin in a window.

        By default those of the last seven days, by day of the last 31; by delivery of as many that are next.
        Raises `NotFound`, and `InvalidInput` with every fault, also those that were found before.
        """
        if product_id not in self._products:
            raise NotFound(detail="there is no product of this id; GET /v1/products lists them")
        is_ahead = by == "delivery_hour"
        asked = asked_periods(starts_at, ends_at, interval, self._clock.hour(), faults, ahead=is_ahead)
        candles = []
        if (past := self._history.past(product_id)) is not None:
            series = past.by_delivery if is_ahead else past.by_trade
            read = series.hours if interval == "1h" else series.days
            candles = [_candle(hour, bar) for hour, bar in read(asked.starts_hour, asked.ends_hour)]
        return CandlesView(
            product=product_id,
            interval=interval,
            by=by,
            starts_at=format_hour(asked.starts_hour),
            ends_at=format_hour(asked.ends_hour),
            data=candles,
        )

    async def indices(self) -> IndicesView:
        """Return every index with its latest value."""
        return IndicesView(
            methodology=METHODOLOGY, data=[await self._summary(index) for index in self._indices.values()]
        )

    async def index(
        self, index_id: str, interval: Interval, starts_at: Readable, ends_at: Readable, faults: Faults
    ) -> IndexView:
        """Return an index over time, by default of the last seven days, by day of the last 31.

        Raises as `candles`.
        """
        index = self._indices.get(index_id)
        if index is None:
            raise NotFound(detail="there is no index of this id; GET /v1/market/indices lists them")
        hour = self._clock.hour()
        asked = asked_periods(starts_at, ends_at, interval, hour, faults, ahead=False)
        ends_hour = min(asked.ends_hour, hour + 1)
        values = []
        if asked.starts_hour < ends_hour:
            values = await values_of(index, self._history, asked.starts_hour, ends_hour)
        return IndexView(
            methodology=METHODOLOGY,
            index=index.id,
            kind=index.kind,
            accelerator=index.accelerator,
            origin=index.origin,
            unit=index.unit,
            interval=interval,
            starts_at=format_hour(asked.starts_hour),
            ends_at=format_hour(asked.ends_hour),
            data=[value_view(each) for each in values if each.hour % HOURS_OF[interval] == 0],
        )

    async def _summary(self, index: PriceIndex) -> IndexSummaryView:
        hour = self._clock.hour()
        [now] = await values_of(index, self._history, hour, hour + 1)
        [day_ago] = await values_of(index, self._history, hour - DAY_HOURS, hour - DAY_HOURS + 1)
        before, latest = day_ago.ten_thousandths, now.ten_thousandths
        return IndexSummaryView(
            index=index.id,
            kind=index.kind,
            accelerator=index.accelerator,
            origin=index.origin,
            unit=index.unit,
            latest=value_view(now),
            change_24h_percent=rules.percent_text(latest - before, before) if before and latest else None,
        )


def _candle(hour: int, bar: Bar) -> CandleView:
    return CandleView(
        starts_at=format_hour(hour),
        open_cny_per_gpu_hour=format_cny(bar.open_ticks),
        high_cny_per_gpu_hour=format_cny(bar.high_ticks),
        low_cny_per_gpu_hour=format_cny(bar.low_ticks),
        close_cny_per_gpu_hour=format_cny(bar.close_ticks),
        vwap_cny_per_gpu_hour=average_price(bar.notional_fen, bar.gpu_hours) or "",
        gpu_hours=bar.gpu_hours,
        notional_cny=format_cny(bar.notional_fen),
        trades=bar.trades,
    )
