"""What counts of the spot trades of an hour's windows, made once for each hour that is over, and kept.

Trades come in the order of venue time, so what is known of an hour that is over stays; one that comes late,
because its commit was heard of after its hour, has what it touches made anew (`changed`).
"""

from collections.abc import Mapping
from typing import Final

from exchange.feed.spot import SPOT_HOURS, Cells, Counted, Window

DAY_WINDOW_HOURS: Final = 24
WINDOWS_HOURS: Final = (DAY_WINDOW_HOURS, SPOT_HOURS)
"""How long windows are, the one to be preferred first."""
HOURS_KNOWN_MAX: Final = 100 * 24
"""Of a set of products; the oldest give way."""


class _Known:
    """What is known of a set of products, by the hour that windows end with."""

    def __init__(self) -> None:
        self.by_hour: dict[int, tuple[Counted, ...]] = {}
        self.end_hour = 0

    def forget_from(self, hour: int) -> None:
        if hour < self.end_hour:
            self.by_hour = {each: counted for each, counted in self.by_hour.items() if each < hour}
            self.end_hour = hour

    def learn(self, hour: int, counted: tuple[Counted, ...]) -> None:
        self.by_hour[hour] = counted
        self.end_hour = max(self.end_hour, hour + 1)


class SpotWindows:
    """Windows over the spot trades of sets of products."""

    def __init__(self) -> None:
        self._known: dict[frozenset[str], _Known] = {}

    def clear(self) -> None:
        """Forget all: the trades are others now."""
        self._known.clear()

    def changed(self, product_id: str, hour: int) -> None:
        """Take note of another trade of an hour."""
        for products, known in self._known.items():
            if product_id in products:
                known.forget_from(hour)

    def make(
        self,
        references: Mapping[str, int],
        spot: Mapping[str, Mapping[int, Cells]],
        first_hour: int,
        end_hour: int,
    ) -> bool:
        """Make what is missing of the windows that end with each hour, and return whether anything was.

        `references` are the reference prices of a set of products, `spot` the trades of those that have any.
        """
        known = self._known.setdefault(frozenset(references), _Known())
        missing = [hour for hour in range(first_hour, end_hour) if hour not in known.by_hour]
        if missing:
            _slide(known, references, spot, missing[0], missing[-1] + 1)
        if len(known.by_hour) > HOURS_KNOWN_MAX:
            known.by_hour = dict(sorted(known.by_hour.items())[-HOURS_KNOWN_MAX:])
        return bool(missing)

    def counted(
        self, references: Mapping[str, int], first_hour: int, end_hour: int
    ) -> list[tuple[Counted, ...]]:
        """Return what counts of the windows that end with each hour; they must have been made."""
        by_hour = self._known[frozenset(references)].by_hour
        return [by_hour[hour] for hour in range(first_hour, end_hour)]


def _slide(
    known: _Known,
    references: Mapping[str, int],
    spot: Mapping[str, Mapping[int, Cells]],
    first_hour: int,
    end_hour: int,
) -> None:
    """Let windows slide from one hour to another, and note what counts of them."""
    windows = [Window(hours) for hours in WINDOWS_HOURS]
    of_products = [(references[product_id], by_hour) for product_id, by_hour in spot.items()]
    for hour in range(first_hour + 1 - max(WINDOWS_HOURS), end_hour):
        entering = [(reference, by_hour[hour]) for reference, by_hour in of_products if hour in by_hour]
        for window in windows:
            window.slide(entering)
        if hour >= first_hour:
            known.learn(hour, tuple(window.counted() for window in windows))
