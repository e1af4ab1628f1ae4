"""What traded in periods of time: bars of open, high, low, close and volume, by the hour and by the day.

A `Series` is one product's bars by one clock. A trade lies in the hour in which it was made, or in every hour
that it delivers, so that it is a run of hours here, its volume the same in each. A day that a run has whole
is noted once and not hour by hour: a year of hours costs 365 steps.

Invariant: the bars of the hours of a day have together the volume and value of the day's; a trade counts
once in each bar that it has a part in. Days are UTC.
"""

from collections.abc import Iterator
from copy import copy
from typing import Final, Self

import msgspec

DAY_HOURS: Final = 24

Place = tuple[int, int]
"""Where a trade stands among its product's: its sequence, and its place within that."""


class Bar(msgspec.Struct, kw_only=True, gc=False):
    """What traded in a period, prices in ticks; `first` and `last` are the places of open and close."""

    first: Place
    last: Place
    open_ticks: int
    close_ticks: int
    high_ticks: int
    low_ticks: int
    gpu_hours: int
    notional_fen: int
    trades: int

    def part(self, hours: int, of_hours: int) -> Self:
        """Return the bar of some hours of a run whose trades deliver the same in each; not to be changed."""
        if hours == of_hours:
            return self
        return msgspec.structs.replace(
            self,
            gpu_hours=self.gpu_hours * hours // of_hours,
            notional_fen=self.notional_fen * hours // of_hours,
        )

    def take(self, other: Self) -> None:
        """Take in the bar of other trades of the same period."""
        if other.first < self.first:
            self.first, self.open_ticks = other.first, other.open_ticks
        if other.last > self.last:
            self.last, self.close_ticks = other.last, other.close_ticks
        # Spelt out: max() and min() take five times as long, and a trade of a year asks 365 times.
        if other.high_ticks > self.high_ticks:  # noqa: PLR1730
            self.high_ticks = other.high_ticks
        if other.low_ticks < self.low_ticks:  # noqa: PLR1730
            self.low_ticks = other.low_ticks
        self.gpu_hours += other.gpu_hours
        self.notional_fen += other.notional_fen
        self.trades += other.trades


class RunBar(msgspec.Struct, frozen=True, kw_only=True):
    """The bar of trades that have the hours [starts_hour, ends_hour) in common."""

    starts_hour: int
    ends_hour: int
    bar: Bar


def joined(one: Bar | None, other: Bar | None) -> Bar | None:
    """Return the bar of the trades of two; it is nobody else's."""
    found = None
    for bar in (one, other):
        if bar is not None:
            if found is None:
                found = copy(bar)
            else:
                found.take(bar)
    return found


class _Day:
    """A day: the bar of all of it, of each hour of runs that have all of it, and of the hours of others."""

    __slots__ = ("all", "each_hour", "hours")

    def __init__(self) -> None:
        self.all: Bar | None = None
        self.each_hour: Bar | None = None
        self.hours: dict[int, Bar] = {}


class Series:
    """One product's bars by one clock."""

    def __init__(self) -> None:
        self._days: dict[int, _Day] = {}
        self._first_day = 0

    def add(self, run: RunBar) -> None:
        """Add trades; of days that were dropped nothing is kept."""
        hours = run.ends_hour - run.starts_hour
        an_hour = run.bar.part(1, hours)
        first_day = max(run.starts_hour // DAY_HOURS, self._first_day)
        for number in range(first_day, (run.ends_hour - 1) // DAY_HOURS + 1):
            starts_hour = max(run.starts_hour, number * DAY_HOURS)
            ends_hour = min(run.ends_hour, (number + 1) * DAY_HOURS)
            day = self._days.get(number)
            if day is None:
                day = self._days[number] = _Day()
            day.all = _with(day.all, run.bar.part(ends_hour - starts_hour, hours))
            if ends_hour - starts_hour == DAY_HOURS:
                day.each_hour = _with(day.each_hour, an_hour)
                continue
            for hour in range(starts_hour, ends_hour):
                kept = day.hours.get(hour)
                if kept is None:
                    day.hours[hour] = copy(an_hour)
                else:
                    kept.take(an_hour)

    def drop_before(self, day: int) -> None:
        """Forget the days before one."""
        if day > self._first_day:
            self._first_day = day
            for number in [each for each in self._days if each < day]:
                del self._days[number]

    def hours(self, starts_hour: int, ends_hour: int) -> Iterator[tuple[int, Bar]]:
        """Yield the bars of the hours that have trades, each with its hour; to read and not to keep."""
        for hour in range(starts_hour, ends_hour):
            day = self._days.get(hour // DAY_HOURS)
            if day is not None:
                bar = joined(day.each_hour, day.hours.get(hour))
                if bar is not None:
                    yield hour, bar

    def days(self, starts_hour: int, ends_hour: int) -> Iterator[tuple[int, Bar]]:
        """Yield the bars of the days that begin in a window and have trades, each with its first hour."""
        for number in range(-(-starts_hour // DAY_HOURS), -(-ends_hour // DAY_HOURS)):
            day = self._days.get(number)
            if day is not None and day.all is not None:
                yield number * DAY_HOURS, day.all


def _with(kept: Bar | None, added: Bar) -> Bar:
    if kept is None:
        return copy(added)
    kept.take(added)
    return kept
