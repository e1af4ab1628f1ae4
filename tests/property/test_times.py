"""Goal: a person's words for a duration or a start always mean the hour they say.

Method: every duration is written and read back; starts are checked against the library's calendar.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.times import (
    HOURS_MAX,
    TimeFaultError,
    format_duration,
    next_hour,
    parse_duration,
    parse_moment,
    parse_start,
)
from exchange.kit.clock import US_PER_HOUR, datetime_of, us_of

HOURS = st.integers(1, HOURS_MAX)
NOW_US = st.integers(0, 4_000_000_000_000_000)


@given(HOURS)
def test_a_written_duration_reads_back(hours: int) -> None:
    assert parse_duration(format_duration(hours)) == hours


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_units_add_up(weeks: int, days: int, hours: int) -> None:
    text = f"{weeks}w{days}d{hours}h"
    total = weeks * 168 + days * 24 + hours
    if total:
        assert parse_duration(text) == parse_duration(f" {text.upper()} ") == total
    else:
        with pytest.raises(TimeFaultError):
            parse_duration(text)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_named_fault(text: str) -> None:
    with suppress(TimeFaultError):
        assert 1 <= parse_duration(text) <= HOURS_MAX


@pytest.mark.parametrize("text", ["", "6", "h", "1.5h", "6 h", "-6h", "12h1d", "6m", "٦h", "0h", "99999w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(TimeFaultError):
        parse_duration(text)


@given(NOW_US)
def test_now_is_the_first_hour_that_has_not_begun(now_us: int) -> None:
    hour = parse_start("now", now_us)
    assert hour == next_hour(now_us)
    assert hour * US_PER_HOUR > now_us >= (hour - 1) * US_PER_HOUR


@given(NOW_US, HOURS)
def test_in_counts_from_now(now_us: int, hours: int) -> None:
    assert parse_start(f"in {format_duration(hours)}", now_us) == parse_start("now", now_us) + hours


@given(now_us=NOW_US, hour=st.integers(0, 23), tomorrow=st.booleans())
def test_a_clock_time_is_on_that_day(now_us: int, hour: int, *, tomorrow: bool) -> None:
    found = parse_start(f"{'tomorrow' if tomorrow else 'today'} {hour:02d}:00", now_us)
    day = datetime_of(now_us).date() + timedelta(days=tomorrow)
    assert datetime_of(found * US_PER_HOUR) == datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@given(st.integers(0, 600_000), st.integers(-12, 14), NOW_US)
def test_iso_texts_mean_the_same_whatever_their_offset(hour: int, offset_hours: int, now_us: int) -> None:
    moment = datetime_of(hour * US_PER_HOUR)
    for text in (
        moment.isoformat(),
        moment.isoformat().replace("+00:00", "Z"),
        moment.replace(tzinfo=None).isoformat(),
        moment.astimezone(timezone(timedelta(hours=offset_hours))).isoformat(),
    ):
        assert parse_start(text, now_us) == hour


@given(st.integers(0, 600_000), st.integers(1, 3599), NOW_US)
def test_a_start_off_the_hour_is_refused(hour: int, seconds: int, now_us: int) -> None:
    text = (datetime_of(hour * US_PER_HOUR) + timedelta(seconds=seconds)).isoformat()
    with pytest.raises(TimeFaultError, match="whole hour"):
        parse_start(text, now_us)


@given(st.text(max_size=30), NOW_US)
def test_any_text_is_a_start_or_a_named_fault(text: str, now_us: int) -> None:
    with suppress(TimeFaultError):
        assert parse_start(text, now_us) >= 0


@pytest.mark.parametrize(
    "text",
    ["tomorrow", "tomorrow 24:00", "tomorrow 09:30", "in", "in 0h", "yesterday 09:00", "1969-12-31T23:00"],
)
def test_what_is_no_start_is_refused(text: str) -> None:
    with pytest.raises(TimeFaultError):
        parse_start(text, 0)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_a_moment_without_an_offset_is_utc(moment: datetime) -> None:
    assert parse_moment(moment.isoformat()) == us_of(moment.replace(tzinfo=UTC))
