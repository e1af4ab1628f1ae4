"""What price indices are made of: spot trades by product, hour of trade and price.

A trade is spot where all of it is delivered within `SPOT_HOURS` after the hour in which it was made. `Window`
slides over the hours and says what of it counts (`counted`): docs/market-data.md has the method in words.
Whether enough different parties traded is all that is asked of them, so no more than `PARTIES_MAX` of each
side are ever kept. Pure.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

SPOT_HOURS: Final = 7 * 24
PARTIES_MAX: Final = 2
_NO_PARTIES: Final = (frozenset[int](), frozenset[int]())


class SpotTrades(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Spot trades of one product, hour of trade and price.

    `buyers` and `providers` are some of theirs: all, where there are fewer than `PARTIES_MAX`.
    """

    product_id: str
    hour: int
    price_ticks: int
    gpu_hours: int
    trades: int
    buyers: tuple[int, ...]
    providers: tuple[int, ...]


class Cell(msgspec.Struct, gc=False):
    """Spot trades of a price: their volume and number, and some of their buyers and providers."""

    gpu_hours: int = 0
    trades: int = 0
    buyers: frozenset[int] = frozenset()
    providers: frozenset[int] = frozenset()

    def add(self, trades: SpotTrades) -> None:
        """Add further trades of the price."""
        self.gpu_hours += trades.gpu_hours
        self.trades += trades.trades
        self.buyers = some(self.buyers, trades.buyers)
        self.providers = some(self.providers, trades.providers)


Cells = dict[int, Cell]
"""By price in ticks."""
HourCells = list[tuple[int, Cells]]
"""An hour's spot trades: the cells of each product, with its reference price in ticks."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a window; `buyers` and `providers` are some of theirs.

    `reference_fen` is its volume at its products' reference prices.
    """

    gpu_hours: int = 0
    notional_fen: int = 0
    reference_fen: int = 0
    trades: int = 0
    buyers: frozenset[int] = frozenset()
    providers: frozenset[int] = frozenset()


NOTHING: Final = Counted()


def some(parties: frozenset[int], more: Iterable[int]) -> frozenset[int]:
    """Return so many of two groups of parties as are kept."""
    if len(parties) >= PARTIES_MAX or parties.issuperset(more):
        return parties
    both = parties.union(more)
    return both if len(both) <= PARTIES_MAX else frozenset(sorted(both)[:PARTIES_MAX])


def is_spot(trade_hour: int, ends_hour: int) -> bool:
    """Whether a trade of an hour that delivers until `ends_hour` is spot."""
    return ends_hour <= trade_hour + SPOT_HOURS


class _Level(msgspec.Struct, gc=False):
    """What a window holds of a price, of all products."""

    gpu_hours: int = 0
    reference_fen: int = 0
    trades: int = 0


class Window:
    """The spot trades of some products in a run of hours: a queue of hours, and what it holds by price."""

    def __init__(self, hours: int) -> None:
        self._hours = hours
        self._queue: deque[HourCells] = deque()
        self._levels: dict[int, _Level] = {}
        self._counted: Counted | None = NOTHING

    def slide(self, entering: HourCells) -> None:
        """Go on by an hour."""
        self._queue.append(entering)
        if entering:
            self._count(entering, 1)
        if len(self._queue) > self._hours and (leaving := self._queue.popleft()):
            self._count(leaving, -1)

    def _count(self, hour_cells: HourCells, sign: int) -> None:
        self._counted = None
        levels = self._levels
        for reference_ticks, cells in hour_cells:
            for price_ticks, cell in cells.items():
                level = levels.get(price_ticks)
                if level is None:
                    level = levels[price_ticks] = _Level()
                gpu_hours = sign * cell.gpu_hours
                level.gpu_hours += gpu_hours
                level.reference_fen += gpu_hours * reference_ticks
                level.trades += sign * cell.trades
                if not level.trades:
                    del levels[price_ticks]

    def counted(self) -> Counted:
        """Return what counts."""
        if self._counted is None:
            self._counted = self._without_outliers()
        return self._counted

    def _without_outliers(self) -> Counted:
        levels = self._levels
        if not levels:
            return NOTHING
        median = median_ticks((price_ticks, level.gpu_hours) for price_ticks, level in levels.items())
        gpu_hours = notional_fen = reference_fen = trades = 0
        for price_ticks, level in levels.items():
            if not is_outlier(price_ticks, median):
                gpu_hours += level.gpu_hours
                notional_fen += level.gpu_hours * price_ticks
                reference_fen += level.reference_fen
                trades += level.trades
        buyers, providers = self._parties(median)
        return Counted(
            gpu_hours=gpu_hours,
            notional_fen=notional_fen,
            reference_fen=reference_fen,
            trades=trades,
            buyers=buyers,
            providers=providers,
        )

    def _parties(self, median: int) -> tuple[frozenset[int], frozenset[int]]:
        """Return some of those whose trades are no outliers, those of the latest hours first."""
        buyers, providers = _NO_PARTIES
        for hour_cells in reversed(self._queue):
            for _, cells in hour_cells:
                for price_ticks, cell in cells.items():
                    if is_outlier(price_ticks, median):
                        continue
                    buyers = some(buyers, cell.buyers)
                    providers = some(providers, cell.providers)
                    if len(buyers) >= PARTIES_MAX <= len(providers):
                        return buyers, providers
        return buyers, providers


def median_ticks(volumes: Iterable[tuple[int, int]]) -> int:
    """Return the least price at or below which half of the volume lies; of (price, GPU-hours), not empty."""
    ascending = sorted(volumes)
    total_gpu_hours = sum(gpu_hours for _, gpu_hours in ascending)
    below = 0
    for price_ticks, gpu_hours in ascending:
        below += gpu_hours
        if 2 * below >= total_gpu_hours:
            return price_ticks
    raise ValueError("there is no median of nothing")


def is_outlier(price_ticks: int, median: int) -> bool:
    """Whether a price lies below half the median, or above one and a half times it."""
    return not median <= 2 * price_ticks <= 3 * median


def total(parts: Iterable[Counted]) -> Counted:
    """Return what windows without a trade in common count together."""
    gpu_hours = notional_fen = reference_fen = trades = 0
    buyers, providers = _NO_PARTIES
    for each in parts:
        gpu_hours += each.gpu_hours
        notional_fen += each.notional_fen
        reference_fen += each.reference_fen
        trades += each.trades
        buyers = some(buyers, each.buyers)
        providers = some(providers, each.providers)
    return Counted(
        gpu_hours=gpu_hours,
        notional_fen=notional_fen,
        reference_fen=reference_fen,
        trades=trades,
        buyers=buyers,
        providers=providers,
    )
