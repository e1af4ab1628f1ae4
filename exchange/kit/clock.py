"""Time: the only module that asks a clock.

Venue time is what orders, deliveries and records happen at: microseconds since the Unix epoch, UTC, as an
integer. It may run faster than the wall (a demo) or be driven by hand (a replay, a test), and never goes
backwards. The wall clock is for what belongs to the outside: expiry of keys, request ids, ids.

Hours are whole hours since the epoch; hour `h` is the window `[h, h + 1)` of venue time.
"""

import asyncio
import os
import re
import time
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from functools import lru_cache
from pathlib import Path
from typing import Protocol

US_PER_SECOND = 1_000_000
US_PER_HOUR = 3_600 * US_PER_SECOND
US_PER_DAY = 24 * US_PER_HOUR
SLEEP_S_MAX = 60.0

TIMES_REMEMBERED = 4096
"""Times repeat: a batch happens at one microsecond, and orders begin and end on few different hours."""

_CHINA_STANDARD_TIME = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_US_MIN = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_US_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_PROC_STAT = Path("/proc/stat")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Clock(Protocol):
    """A source of venue time."""

    def now_us(self) -> int:
        """Return venue time in microseconds; never less than before."""

    def hour(self) -> int:
        """Return the hour that venue time is in."""

    async def wait_until_hour(self, hour: int) -> None:
        """Return when `hour` has begun; at once where it has."""


class SystemClock:
    """Venue time is wall time, held still where the wall clock is set back."""

    def __init__(self) -> None:
        """Start at the present."""
        self._last_us = 0

    def now_us(self) -> int:
        """Return wall time in microseconds; never less than before."""
        self._last_us = max(self._last_us, wall_now_us())
        return self._last_us

    def hour(self) -> int:
        """Return the hour that wall time is in."""
        return hour_of(self.now_us())

    async def wait_until_hour(self, hour: int) -> None:
        """Return when `hour` has begun."""
        while (missing_us := us_of_hour(hour) - self.now_us()) > 0:  # noqa: ASYNC110 - nobody signals an hour
            # In short steps, because the wall clock may be set while we sleep.
            await asyncio.sleep(min(missing_us / US_PER_SECOND, SLEEP_S_MAX))


class ScaledClock:
    """Venue time that starts anywhere and passes one hour in `seconds_per_hour` real seconds."""

    def __init__(self, starts_at_us: int, seconds_per_hour: float) -> None:
        """Start now at `starts_at_us`. ValueError unless an hour takes at least a millisecond."""
        self._real_us_per_hour = round(seconds_per_hour * US_PER_SECOND)
        if self._real_us_per_hour < 1000:  # noqa: PLR2004 - a millisecond
            raise ValueError(f"an hour must take at least 0.001 s, not {seconds_per_hour}")
        self._starts_at_us = starts_at_us
        self._real_start_ns = time.monotonic_ns()

    def now_us(self) -> int:
        """Return scaled time in microseconds."""
        passed_us = (time.monotonic_ns() - self._real_start_ns) // 1000
        return self._starts_at_us + passed_us * US_PER_HOUR // self._real_us_per_hour

    def hour(self) -> int:
        """Return the hour that scaled time is in."""
        return hour_of(self.now_us())

    async def wait_until_hour(self, hour: int) -> None:
        """Return when `hour` has begun."""
        while (missing_us := us_of_hour(hour) - self.now_us()) > 0:  # noqa: ASYNC110 - nobody signals an hour
            await asyncio.sleep(missing_us * self._real_us_per_hour / US_PER_HOUR / US_PER_SECOND)


class ManualClock:
    """Venue time that stands still until it is advanced: replay and tests."""

    def __init__(self, now_us: int) -> None:
        """Stand at `now_us`."""
        self._now_us = now_us
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        """Return the time last advanced to."""
        return self._now_us

    def hour(self) -> int:
        """Return the hour that this time is in."""
        return hour_of(self._now_us)

    def advance_to_us(self, now_us: int) -> None:
        """Go forward to `now_us` and wake those whose hour has come. ValueError for a time in the past."""
        if now_us < self._now_us:
            raise ValueError(f"venue time cannot go back from {self._now_us} to {now_us}")
        self._now_us = now_us
        due = [future for at_us, future in self._waiting if at_us <= now_us]
        self._waiting = [entry for entry in self._waiting if entry[0] > now_us]
        for future in due:
            if not future.done():
                future.set_result(None)

    async def wait_until_hour(self, hour: int) -> None:
        """Return when the clock has been advanced to `hour` or beyond."""
        at_us = us_of_hour(hour)
        if at_us <= self._now_us:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((at_us, future))
        try:
            await future
        finally:
            self._waiting = [entry for entry in self._waiting if entry[1] is not future]


def wall_now_us() -> int:
    """Return wall time in microseconds since the epoch."""
    return time.time_ns() // 1000


def monotonic_s() -> float:
    """Return seconds that only differences of mean anything: for durations and deadlines, never for money."""
    return time.monotonic()


def process_s() -> float:
    """Return how long this process has computed, on all cores together."""
    return time.process_time()


def idle_s() -> float | None:
    """Return how long this machine's cores together had nothing to do; None where it does not tell."""
    try:
        with _PROC_STAT.open(encoding="ascii") as stat:
            fields = stat.readline().split()
    except OSError:
        return None
    return (int(fields[4]) + int(fields[5])) / _TICKS_PER_S


def monotonic_us() -> int:
    """Return microseconds that only differences of mean anything, as `monotonic_s`."""
    return time.monotonic_ns() // 1000


def hour_of(us: int) -> int:
    """Return the hour that a time in microseconds is in."""
    return us // US_PER_HOUR


def us_of_hour(hour: int) -> int:
    """Return the first microsecond of an hour."""
    return hour * US_PER_HOUR


@lru_cache(maxsize=TIMES_REMEMBERED)
def datetime_of(us: int) -> datetime:
    """Return a time in microseconds as a datetime in UTC. OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=us)


def is_time_us(us: int) -> bool:
    """Tell whether an integer is a time that `datetime_of` can return: one in the years 1 to 9999."""
    return _US_MIN <= us <= _US_MAX


def us_of(moment: datetime) -> int:
    """Return an aware datetime as microseconds since the epoch, exactly. ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return (moment - _EPOCH) // _MICROSECOND


def calendar_date(us: int) -> date:
    """Return the date in China Standard Time: that of companies, of programmes and of their years."""
    return (_EPOCH + timedelta(microseconds=us)).astimezone(_CHINA_STANDARD_TIME).date()


def date_begins_us(day: date) -> int:
    """Return when a date begins in China Standard Time."""
    return us_of(datetime.combine(day, time_of_day(), _CHINA_STANDARD_TIME))


@lru_cache(maxsize=TIMES_REMEMBERED)
def parse_rfc3339(text: str) -> int | None:
    """Read an RFC 3339 time with at most six decimals; None for anything else, leap seconds included."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, sign, offset_hours, offset_minutes = match.groups()
    try:
        moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc,arg-type]  # six numbers, by the pattern
    except ValueError:
        return None
    us = us_of(moment) + int((fraction or "").ljust(6, "0"))
    if sign is None:
        return us
    if int(offset_hours) > 23 or int(offset_minutes) > 59:  # noqa: PLR2004 - hours and minutes
        return None
    offset_us = (int(offset_hours) * 60 + int(offset_minutes)) * 60 * US_PER_SECOND
    us = us - offset_us if sign == "+" else us + offset_us
    return us if is_time_us(us) else None


@lru_cache(maxsize=TIMES_REMEMBERED)
def format_rfc3339(us: int) -> str:
    """Write a time as RFC 3339 in UTC, with six decimals where it is not a whole second."""
    return datetime_of(us).replace(tzinfo=None).isoformat() + "Z"
