"""Goal: venue time is exact, and never goes backwards. Method: properties, and clocks driven by hand."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit import clock
from exchange.kit.clock import (
    US_PER_HOUR,
    ManualClock,
    ScaledClock,
    SystemClock,
    datetime_of,
    format_rfc3339,
    hour_of,
    parse_rfc3339,
    us_of,
    us_of_hour,
)

MOMENTS_US = st.integers(us_of(datetime.min.replace(tzinfo=UTC)), us_of(datetime.max.replace(tzinfo=UTC)))


@given(MOMENTS_US)
def test_every_microsecond_survives_text_and_datetime(us: int) -> None:
    assert parse_rfc3339(format_rfc3339(us)) == us
    assert us_of(datetime_of(us)) == us


@given(st.datetimes(timezones=st.timezones()))
def test_times_agree_with_the_standard_library(moment: datetime) -> None:
    utc = moment.astimezone(UTC) if moment.year not in {1, 9999} else None
    if utc is not None and (moment.utcoffset() or timedelta()).seconds % 60 == 0:
        assert parse_rfc3339(moment.isoformat()) == us_of(utc)


@given(st.text(max_size=40))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    us = parse_rfc3339(text)
    assert us is None or parse_rfc3339(format_rfc3339(us)) == us


@pytest.mark.parametrize(
    "text, us",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.000001z", 1),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("2026-11-23T15:00:00.5Z", 1_795_446_000_500_000),
    ],
)
def test_rfc_3339_is_read(text: str, us: int) -> None:
    assert parse_rfc3339(text) == us


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23",
        "2026-11-23T15:00:00",
        "2026-11-23 15:00:00Z",
        "2026-11-23T15:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T15:00:60Z",
        "2026-11-23T15:00:00.1234567Z",
        "2026-11-23T15:00:00.Z",
        "2026-11-23T15:00:00+24:00",
        "2026-11-23T15:00:00+08:60",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "\u0662026-11-23T15:00:00Z",
        "2026-11-23T15:00:00Z\n",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert parse_rfc3339(text) is None


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        us_of(datetime(2026, 1, 1))  # noqa: DTZ001 - what must be refused


@given(st.integers(-10_000_000, 10_000_000), st.integers(0, US_PER_HOUR - 1))
def test_an_hour_holds_its_first_and_last_microsecond(hour: int, within_us: int) -> None:
    assert hour_of(us_of_hour(hour) + within_us) == hour


def test_system_time_stands_still_when_the_wall_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = iter([1_000, 500, 999, 2_000])
    monkeypatch.setattr(clock, "wall_now_us", lambda: next(walls))
    system = SystemClock()
    assert [system.now_us() for _ in range(4)] == [1_000, 1_000, 1_000, 2_000]


def test_a_scaled_hour_takes_its_real_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    real_ns = 7_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: real_ns)
    scaled = ScaledClock(us_of_hour(100), 20)
    assert (scaled.now_us(), scaled.hour()) == (us_of_hour(100), 100)
    real_ns += 19_999_999_000
    assert scaled.hour() == 100
    real_ns += 1_000
    assert scaled.now_us() == us_of_hour(101)


@pytest.mark.parametrize("seconds", [0, -1, 0.0001])
def test_an_hour_that_takes_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"at least 0\.001 s"):
        ScaledClock(0, seconds)


async def test_waiting_on_a_scaled_clock_ends_in_the_hour() -> None:
    scaled = ScaledClock(us_of_hour(5), 0.02)
    await scaled.wait_until_hour(7)
    assert scaled.hour() >= 7
    await scaled.wait_until_hour(3)


async def test_a_manual_clock_wakes_those_whose_hour_has_come_and_no_others() -> None:
    manual = ManualClock(us_of_hour(10))
    await manual.wait_until_hour(10)
    waiting = {hour: asyncio.create_task(manual.wait_until_hour(hour)) for hour in (11, 12, 13)}
    await asyncio.sleep(0)
    manual.advance_to_us(us_of_hour(12))
    await asyncio.gather(waiting[11], waiting[12])
    assert not waiting[13].done()
    waiting[13].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[13]
    manual.advance_to_us(us_of_hour(13))
    assert manual.hour() == 13


def test_a_manual_clock_does_not_go_back() -> None:
    manual = ManualClock(5)
    with pytest.raises(ValueError, match="cannot go back"):
        manual.advance_to_us(4)
    assert manual.now_us() == 5
