"""What candles and price indices are, as plainly as docs/market-data.md puts it: from all trades, slowly.

Prices are fractions of CNY until they are told, and every question looks at every trade.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import msgspec

HOUR_US = 3_600_000_000


class PlainTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One trade; a product's trades are in the order in which they were made."""

    product: str
    traded_at_us: int
    price_fen: int
    gpus: int
    starts_hour: int
    hours: int
    buyer: int
    provider: int

    @property
    def trade_hour(self) -> int:
        """The hour in which it was made."""
        return self.traded_at_us // HOUR_US

    @property
    def gpu_hours(self) -> int:
        """All that it delivers."""
        return self.gpus * self.hours

    def gpu_hours_in(self, starts_hour: int, ends_hour: int, by: str) -> int:
        """What a period has of it."""
        if by == "trade_time":
            return self.gpu_hours if starts_hour <= self.trade_hour < ends_hour else 0
        delivered = range(self.starts_hour, self.starts_hour + self.hours)
        return self.gpus * sum(starts_hour <= hour < ends_hour for hour in delivered)


def half_up(number: Fraction, decimals: int) -> str:
    """Return a number of zero or more as decimal text, rounded half up."""
    scaled = int(number * 10**decimals + Fraction(1, 2))
    whole, rest = divmod(scaled, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}"


def cny(fen: int) -> str:
    """Return an amount as text."""
    return half_up(Fraction(fen, 100), 2)


def plain_candle(
    trades: Sequence[PlainTrade], starts_hour: int, ends_hour: int, by: str
) -> dict[str, Any] | None:
    """Return a period's candle without its start, None where nothing traded."""
    has = [(trade, trade.gpu_hours_in(starts_hour, ends_hour, by)) for trade in trades]
    within = [(trade, gpu_hours) for trade, gpu_hours in has if gpu_hours]
    if not within:
        return None
    prices = [trade.price_fen for trade, _ in within]
    volume = sum(gpu_hours for _, gpu_hours in within)
    notional = sum(trade.price_fen * gpu_hours for trade, gpu_hours in within)
    return {
        "open_cny_per_gpu_hour": cny(prices[0]),
        "high_cny_per_gpu_hour": cny(max(prices)),
        "low_cny_per_gpu_hour": cny(min(prices)),
        "close_cny_per_gpu_hour": cny(prices[-1]),
        "vwap_cny_per_gpu_hour": half_up(Fraction(notional, volume * 100), 4),
        "gpu_hours": volume,
        "notional_cny": cny(notional),
        "trades": len(within),
    }


def without_outliers(trades: Sequence[PlainTrade]) -> list[PlainTrade]:
    """Leave out what lies below half the volume-weighted median price, or above one and a half times it."""
    prices = sorted(price for trade in trades for price in [trade.price_fen] * trade.gpu_hours)
    if not prices:
        return []
    median = prices[(len(prices) - 1) // 2]
    return [each for each in trades if Fraction(median, 2) <= each.price_fen <= Fraction(3 * median, 2)]


def plain_index(
    by_accelerator: Mapping[str, Iterable[PlainTrade]],
    references: Mapping[str, int],
    hour: int,
    unit: Literal["cny_per_gpu_hour", "points"],
) -> tuple[str | None, int | None]:
    """Return an index as of the start of an hour, and the hours of its window.

    `by_accelerator` has all trades of its accelerators, `references` the price in fen of each product.
    """
    for window_hours in (24, 168):
        counted: list[PlainTrade] = []
        for trades in by_accelerator.values():
            spot = [each for each in trades if each.starts_hour + each.hours <= each.trade_hour + 168]
            counted += without_outliers(
                [each for each in spot if hour - window_hours <= each.trade_hour < hour]
            )
        volume = sum(each.gpu_hours for each in counted)
        parties = ({each.buyer for each in counted}, {each.provider for each in counted})
        if volume < 24 or len(counted) < 3 or min(map(len, parties)) < 2:
            continue
        paid = sum(each.price_fen * each.gpu_hours for each in counted)
        if unit == "cny_per_gpu_hour":
            return half_up(Fraction(paid, 100 * volume), 4), window_hours
        reference = sum(references[each.product] * each.gpu_hours for each in counted)
        return half_up(Fraction(1000 * paid, reference), 4), window_hours
    return None, None
