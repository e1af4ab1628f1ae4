"""The market's past in memory: bars of each product by both clocks, and the spot trades of price indices.

Filled from the trade table at start (`seed`) and by the relay after that (`take`), in commit order, so a
process that starts anew knows the same. Bounded: `DAYS_KEPT` days back from a product's latest trade, of
deliveries also what lies ahead, and for indices the longest window before that.

Known limits: a start reads all trades of these days: 200,000 trades that have nothing in common cost four
seconds. A trade costs 10 to 30 us, one of a year of hours 200 us.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from exchange.feed.bars import DAY_HOURS, Bar, RunBar, Series
from exchange.feed.spot import SPOT_HOURS, Cell, Cells, Counted, SpotTrades, is_spot
from exchange.feed.spot_windows import SpotWindows
from exchange.kit.clock import hour_of
from exchange.orders.models import Step
from matching.events import Traded

DAYS_KEPT: Final = 92
RUNS_AT_ONCE: Final = 500


class Past:
    """One product's past. Read `by_trade`, `by_delivery` and `spot`; they change with every trade."""

    def __init__(self) -> None:
        self.by_trade = Series()
        self.by_delivery = Series()
        self.spot: dict[int, Cells] = {}
        """By hour of trade."""
        self._latest_day = 0

    def advance(self, trade_hour: int) -> None:
        """Forget what is too old for a trade of this hour."""
        day = trade_hour // DAY_HOURS
        if day <= self._latest_day:
            return
        self._latest_day = day
        self.by_trade.drop_before(day - DAYS_KEPT)
        self.by_delivery.drop_before(day - DAYS_KEPT)
        oldest_hour = (day - DAYS_KEPT) * DAY_HOURS - SPOT_HOURS
        for hour in [each for each in self.spot if each < oldest_hour]:
            del self.spot[hour]

    def add_spot(self, trades: SpotTrades) -> None:
        """Add spot trades of one price."""
        cells = self.spot.setdefault(trades.hour, {})
        cell = cells.get(trades.price_ticks)
        if cell is None:
            cell = cells[trades.price_ticks] = Cell()
        cell.add(trades)


class History:
    """The past of every product that has traded."""

    def __init__(self) -> None:
        self._pasts: dict[str, Past] = {}
        self._windows = SpotWindows()

    def past(self, product_id: str) -> Past | None:
        """Return a product's past, None where it has not traded."""
        return self._pasts.get(product_id)

    def counted(
        self, references: Mapping[str, int], first_hour: int, end_hour: int
    ) -> list[tuple[Counted, ...]]:
        """Return what counts of the windows of `WINDOWS_HOURS` that end with each of some hours.

        The trades are those of some products, by their reference prices in ticks. The hours must be over,
        and not more than `DAYS_KEPT` days ago.
        """
        self.make(references, first_hour, end_hour)
        return self._windows.counted(references, first_hour, end_hour)

    def make(self, references: Mapping[str, int], first_hour: int, end_hour: int) -> bool:
        """Make what `counted` returns, where it is not kept already; return whether there was any to make."""
        spot = {product_id: past.spot for product_id in references if (past := self.past(product_id))}
        return self._windows.make(references, spot, first_hour, end_hour)

    async def seed(
        self,
        *,
        by_trade: Mapping[str, Sequence[RunBar]],
        by_delivery: Mapping[str, Sequence[RunBar]],
        spot: Iterable[SpotTrades],
    ) -> None:
        """Set the past of all products; others may run in between, and `take` must wait for the end."""
        pasts: dict[str, Past] = {}
        for product_id, runs in by_trade.items():
            past = pasts.setdefault(product_id, Past())
            past.advance(max(run.starts_hour for run in runs))
            for run in runs:
                past.by_trade.add(run)
            await asyncio.sleep(0)
        for product_id, runs in by_delivery.items():
            past = pasts.setdefault(product_id, Past())
            for number, run in enumerate(runs):
                past.by_delivery.add(run)
                if number % RUNS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        for number, trades in enumerate(spot):
            if trades.product_id not in pasts:
                pasts[trades.product_id] = Past()
            pasts[trades.product_id].add_spot(trades)
            if number % RUNS_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._pasts = pasts
        self._windows.clear()

    def take(self, step: Step) -> None:
        """Add the trades of the next command."""
        traded = [event for event in step.events if isinstance(event, Traded)]
        if not traded:
            return
        hour = hour_of(step.event_at_us)
        past = self._pasts.get(step.product_id)
        if past is None:
            past = self._pasts[step.product_id] = Past()
        past.advance(hour)
        for number, event in enumerate(traded, start=1):
            bar = _bar(event, number)
            ends_hour = event.starts_hour + event.hours
            past.by_trade.add(RunBar(starts_hour=hour, ends_hour=hour + 1, bar=bar))
            past.by_delivery.add(RunBar(starts_hour=event.starts_hour, ends_hour=ends_hour, bar=bar))
            if is_spot(hour, ends_hour):
                past.add_spot(
                    SpotTrades(
                        product_id=step.product_id,
                        hour=hour,
                        price_ticks=event.price_ticks,
                        gpu_hours=event.quantity_gpus * event.hours,
                        trades=1,
                        buyers=(event.buyer,),
                        providers=(event.seller,),
                    )
                )
                self._windows.changed(step.product_id, hour)


def _bar(event: Traded, number: int) -> Bar:
    gpu_hours = event.quantity_gpus * event.hours
    return Bar(
        first=(event.sequence, number),
        last=(event.sequence, number),
        open_ticks=event.price_ticks,
        close_ticks=event.price_ticks,
        high_ticks=event.price_ticks,
        low_ticks=event.price_ticks,
        gpu_hours=gpu_hours,
        notional_fen=gpu_hours * event.price_ticks,
        trades=1,
    )
