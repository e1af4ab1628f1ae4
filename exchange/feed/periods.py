"""Which periods of the past and of what is ahead a question is about. Pure."""

from typing import Final

import msgspec

from exchange.feed.bars import DAY_HOURS
from exchange.feed.history import DAYS_KEPT
from exchange.feed.history_models import Interval
from exchange.kit.errors import Faults
from exchange.kit.fields import Readable, format_hour, whole_hour

PERIODS_MAX: Final = 1000
"""In one answer."""
HOURS_AHEAD_MAX: Final = 8784
"""The longest listing horizon: nothing is delivered later."""
HOURS_OF: Final[dict[Interval, int]] = {"1h": 1, "1d": DAY_HOURS}
PERIODS_DEFAULT: Final[dict[Interval, int]] = {"1h": 7 * 24, "1d": 31}


class Periods(msgspec.Struct, frozen=True, kw_only=True):
    """The hours [starts_hour, ends_hour); periods that begin in them are meant."""

    starts_hour: int
    ends_hour: int


def asked_periods(
    starts_at: Readable,
    ends_at: Readable,
    interval: Interval | msgspec.UnsetType,
    hour: int,
    faults: Faults,
    *,
    ahead: bool,
) -> Periods:
    """Return what was asked for at an hour, by default the latest periods, or with `ahead` the next ones.

    Raises `InvalidInput` with every fault, also those that were found before.
    """
    oldest_hour = (hour // DAY_HOURS - DAYS_KEPT) * DAY_HOURS
    latest_hour = hour + 1 + HOURS_AHEAD_MAX
    # Where the interval itself is at fault, a window is judged by the one that takes the longest.
    interval = interval or "1d"
    default_hours = PERIODS_DEFAULT[interval] * HOURS_OF[interval]
    starts_hour = whole_hour(faults, "?starts_at", starts_at)
    ends_hour = whole_hour(faults, "?ends_at", ends_at)
    within = f"must be from {format_hour(oldest_hour)} to {format_hour(latest_hour)}"
    if starts_hour is not None and not oldest_hour <= starts_hour < latest_hour:
        faults.add("?starts_at", "out_of_range", within, starts_at)
    if ends_hour is not None and not oldest_hour < ends_hour <= latest_hour:
        faults.add("?ends_at", "out_of_range", within, ends_at)
    elif starts_hour is not None and ends_hour is not None:
        if ends_hour <= starts_hour:
            faults.add("?ends_at", "window_inverted", "must be after starts_at", ends_at)
        elif ends_hour - starts_hour > PERIODS_MAX * HOURS_OF[interval]:
            detail = f"must be at most {PERIODS_MAX} periods after starts_at"
            faults.add("?ends_at", "out_of_range", detail, ends_at)
    faults.raise_if_any()
    if starts_hour is None and ends_hour is None:
        first_hour = hour - hour % HOURS_OF[interval] if ahead else hour + 1 - default_hours
        starts_hour, ends_hour = first_hour, first_hour + default_hours
    elif starts_hour is None and ends_hour is not None:
        starts_hour = max(oldest_hour, ends_hour - default_hours)
    elif ends_hour is None and starts_hour is not None:
        ends_hour = min(latest_hour, starts_hour + default_hours)
    return Periods(starts_hour=starts_hour or 0, ends_hour=ends_hour or 0)
