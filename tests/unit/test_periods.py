"""Goal: any window that can be asked for is answered with whole, bounded periods, or refused by name.

Method: Hypothesis draws starts and ends from the first to the last hour that a text can name.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.feed.history import DAYS_KEPT
from exchange.feed.history_models import CandleClock, Interval
from exchange.feed.periods import HOURS_AHEAD_MAX, HOURS_OF, PERIODS_MAX, Periods, asked_periods
from exchange.kit.clock import parse_rfc3339
from exchange.kit.errors import Faults, InvalidInput
from exchange.kit.fields import format_hour

NOW = 480_007
FIRST = parse_rfc3339("0001-01-01T00:00:00Z")
LAST = parse_rfc3339("9999-12-31T23:00:00Z")
assert FIRST is not None
assert LAST is not None
ANY_HOUR = st.integers(FIRST // 3_600_000_000, LAST // 3_600_000_000)
NEAR = st.integers(NOW - 100 * 24, NOW + HOURS_AHEAD_MAX + 100)
TIMES = st.none() | (NEAR | ANY_HOUR).map(format_hour)
INTERVALS = st.sampled_from(["1h", "1d"])


def answered(
    starts_at: str | None, ends_at: str | None, interval: Interval, by: CandleClock
) -> Periods | InvalidInput:
    """Return what is asked for, or the refusal."""
    try:
        return asked_periods(starts_at, ends_at, interval, NOW, Faults(), ahead=by == "delivery_hour")
    except InvalidInput as refused:
        return refused


@given(TIMES, TIMES, INTERVALS, st.sampled_from(["trade_time", "delivery_hour"]))
def test_a_window_is_bounded_or_refused(
    starts_at: str | None, ends_at: str | None, interval: Interval, by: CandleClock
) -> None:
    asked = answered(starts_at, ends_at, interval, by)
    if isinstance(asked, InvalidInput):
        given_times = {"?starts_at": starts_at, "?ends_at": ends_at}
        assert asked.errors
        assert all(fault.value is not None for fault in asked.errors)
        assert all(given_times[fault.pointer] == fault.value for fault in asked.errors)
        return
    assert asked.starts_hour >= (NOW // 24 - DAYS_KEPT) * 24
    assert asked.starts_hour < asked.ends_hour <= NOW + 1 + HOURS_AHEAD_MAX
    assert asked.ends_hour - asked.starts_hour <= PERIODS_MAX * HOURS_OF[interval]
    assert starts_at in {None, format_hour(asked.starts_hour)}
    assert ends_at in {None, format_hour(asked.ends_hour)}


@pytest.mark.parametrize("interval,hours", [("1h", 168), ("1d", 744)])
def test_by_default_it_is_the_latest_periods_or_the_next_ones(interval: Interval, hours: int) -> None:
    past = asked_periods(None, None, interval, NOW, Faults(), ahead=False)
    assert (past.ends_hour, past.ends_hour - past.starts_hour) == (NOW + 1, hours)
    ahead = asked_periods(None, None, interval, NOW, Faults(), ahead=True)
    assert ahead.ends_hour - ahead.starts_hour == hours
    assert ahead.starts_hour == {"1h": NOW, "1d": NOW // 24 * 24}[interval]
    until = asked_periods(None, format_hour(NOW), interval, NOW, Faults(), ahead=True)
    assert (until.starts_hour, until.ends_hour) == (NOW - hours, NOW)
    since = asked_periods(format_hour(NOW), None, interval, NOW, Faults(), ahead=False)
    assert (since.starts_hour, since.ends_hour) == (NOW, NOW + hours)
