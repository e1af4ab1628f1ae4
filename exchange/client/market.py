"""Market data over REST, under the names that CCXT has for it where one fits.

All of it is public: no key is needed. Windows are RFC 3339 times on whole hours; a product stands where CCXT
has a symbol, and candles come as `CandleView`, oldest first, not as bare numbers.
"""

from collections.abc import Sequence

from exchange.client.calls import Calls, segment
from exchange.client.transport import QueryValue
from exchange.feed.history_models import (
    CalendarsView,
    CandleClock,
    CandlesView,
    CandleView,
    IndexSummaryView,
    IndexView,
    IndicesView,
    Interval,
)
from exchange.feed.models import DepthView, MarketView, SummaryView, TapeView, TickerView, TradeView


class MarketCalls(Calls):
    """The calls of a client that read the market."""

    async def fetch_ticker(self, product: str) -> TickerView:
        """Return a product's market in short, with its next 24 delivery hours."""
        return await self._transport.call("GET", f"/v1/market/{segment(product)}/ticker", TickerView)

    async def fetch_tickers(self) -> list[SummaryView]:
        """Return every product that has orders or has traded, in one line each."""
        return (await self._transport.call("GET", "/v1/market", MarketView)).data

    async def fetch_trades(self, product: str, *, limit: int = 100) -> list[TradeView]:
        """Return a product's latest trades, newest first, at most 1,000."""
        path = f"/v1/market/{segment(product)}/trades"
        return (await self._transport.call("GET", path, TapeView, query={"limit": limit})).data

    async def fetch_depth(
        self,
        product: str,
        *,
        starts_at: str,
        ends_at: str,
        hours: int | None = None,
        quantity_gpus: int | None = None,
    ) -> DepthView:
        """Return what a bid would fill now, price by price: for the window, or the cheapest run in it."""
        path = f"/v1/market/{segment(product)}/depth"
        query: dict[str, QueryValue] = {
            "starts_at": starts_at,
            "ends_at": ends_at,
            "hours": hours,
            "quantity_gpus": quantity_gpus,
        }
        return await self._transport.call("GET", path, DepthView, query=query)

    async def fetch_ohlcv(
        self,
        product: str,
        timeframe: Interval = "1h",
        *,
        by: CandleClock = "trade_time",
        since: str | None = None,
        until: str | None = None,
    ) -> list[CandleView]:
        """Return a product's candles, oldest first; periods in which nothing traded are left out."""
        path = f"/v1/market/{segment(product)}/candles"
        query = {"interval": timeframe, "by": by, "starts_at": since, "ends_at": until}
        return (await self._transport.call("GET", path, CandlesView, query=query)).data

    async def fetch_calendar(
        self,
        products: Sequence[str] | None = None,
        *,
        starts_at: str | None = None,
        ends_at: str | None = None,
        **filters: QueryValue,
    ) -> CalendarsView:
        """Return prices and free GPUs of many products (`accelerator`, `origin`, `hub`, `interconnect`)."""
        query = {"product": products, "starts_at": starts_at, "ends_at": ends_at, **filters}
        return await self._transport.call("GET", "/v1/market/calendar", CalendarsView, query=query)

    async def fetch_indices(self) -> list[IndexSummaryView]:
        """Return every price index with its latest value."""
        return (await self._transport.call("GET", "/v1/market/indices", IndicesView)).data

    async def fetch_index(
        self, index: str, timeframe: Interval = "1h", *, since: str | None = None, until: str | None = None
    ) -> IndexView:
        """Return a price index over time, oldest first."""
        query = {"interval": timeframe, "starts_at": since, "ends_at": until}
        path = f"/v1/market/indices/{segment(index)}"
        return await self._transport.call("GET", path, IndexView, query=query)
