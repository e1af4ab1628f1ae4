"""The public tape in memory: each product's latest trades, and what traded minute by minute for a day.

Filled from the trade table at start and by the relay after that, in commit order. Bounded: `TRADES_KEPT`
trades and `MINUTES_KEPT` minutes a product. Known limit: 24-hour figures are exact to the minute.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from exchange.feed.models import MinuteVolume, TapeTrade

TRADES_KEPT: Final = 1000
MINUTES_KEPT: Final = 24 * 60
_MINUTE_US: Final = 60_000_000


class Tape:
    """What the public may know of the past."""

    def __init__(self) -> None:
        self._trades: dict[str, deque[TapeTrade]] = {}
        self._minutes: dict[str, deque[MinuteVolume]] = {}

    def seed(self, product_id: str, trades: Iterable[TapeTrade], minutes: Iterable[MinuteVolume]) -> None:
        """Set a product's past, oldest first."""
        self._trades[product_id] = deque(trades, TRADES_KEPT)
        self._minutes[product_id] = deque(minutes, MINUTES_KEPT + 1)

    def add(self, product_id: str, trade: TapeTrade) -> None:
        """Add a product's next trade."""
        if product_id not in self._trades:
            self.seed(product_id, (), ())
        self._trades[product_id].append(trade)
        minutes = self._minutes[product_id]
        minute = trade.traded_at_us // _MINUTE_US
        # Venue time never goes back within a partition, so the trade is of the last minute or a later one.
        if not minutes or minutes[-1].minute < minute:
            minutes.append(
                MinuteVolume(
                    minute=minute,
                    low_ticks=trade.price_ticks,
                    high_ticks=trade.price_ticks,
                    open_ticks=trade.price_ticks,
                )
            )
        volume = minutes[-1]
        volume.trades += 1
        volume.gpu_hours += trade.gpu_hours
        volume.notional_fen += trade.gpu_hours * trade.price_ticks
        volume.low_ticks = min(volume.low_ticks, trade.price_ticks)
        volume.high_ticks = max(volume.high_ticks, trade.price_ticks)

    def latest(self, product_id: str, limit: int) -> list[TapeTrade]:
        """Return up to `limit` trades, newest first."""
        trades = self._trades.get(product_id, deque())
        return [trades[-1 - index] for index in range(min(limit, len(trades)))]

    def day(self, product_id: str, now_us: int) -> MinuteVolume:
        """Return what traded in the 24 hours before `now_us`; its `minute` is the first one counted."""
        first = now_us // _MINUTE_US - MINUTES_KEPT + 1
        minutes = [each for each in self._minutes.get(product_id, ()) if each.minute >= first]
        return MinuteVolume(
            minute=first,
            trades=sum(each.trades for each in minutes),
            gpu_hours=sum(each.gpu_hours for each in minutes),
            notional_fen=sum(each.notional_fen for each in minutes),
            low_ticks=min((each.low_ticks for each in minutes), default=0),
            high_ticks=max((each.high_ticks for each in minutes), default=0),
            open_ticks=minutes[0].open_ticks if minutes else 0,
        )
