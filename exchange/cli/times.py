"""How people write times: durations such as `7d12h`, starts such as `now` or `tomorrow 09:00`.

Pure: the present comes in as venue microseconds, everything goes out as whole hours since the Unix epoch,
UTC. Invariant: an hour that comes out never lies before the present hour unless an absolute date said so;
the exchange itself then refuses it. Limit: every clock time is UTC; an ISO 8601 text may carry its own
offset.
"""

import re
from datetime import UTC, datetime
from typing import Final

from exchange.kit.clock import US_PER_HOUR, hour_of, us_of

HOURS_MAX: Final = 24 * 366 * 10
START_FORMS: Final = "now, in 6h, today 18:00, tomorrow 09:00 or ISO 8601 such as 2026-03-01T09:00Z"

_HOURS_OF_UNIT: Final = {"w": 168, "d": 24, "h": 1}
_DURATION: Final = re.compile(r"(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?", re.ASCII)
_DAY: Final = re.compile(r"(today|tomorrow)\s+(\d{1,2}):(\d{2})", re.ASCII)


class TimeFaultError(ValueError):
    """A text that is no duration or start; the message names the text and the forms that are."""


def next_hour(now_us: int) -> int:
    """Return the first hour that begins after `now_us`: an hour that has begun is not for sale."""
    return hour_of(now_us) + 1


def parse_duration(text: str) -> int:
    """Return the whole hours of `6h`, `7d`, `2w` or a falling sequence of them such as `1d12h`."""
    compact = text.strip().lower()
    match = _DURATION.fullmatch(compact)
    if not compact or match is None:
        raise TimeFaultError(
            f"{text!r} is not a duration: write whole hours, days or weeks, such as 6h, 7d or 1d12h"
        )
    hours = sum(
        int(count) * _HOURS_OF_UNIT[unit] for count, unit in zip(match.groups(), "wdh", strict=True) if count
    )
    if not 1 <= hours <= HOURS_MAX:
        raise TimeFaultError(f"{text!r} is not between 1 hour and 10 years")
    return hours


def format_duration(hours: int) -> str:
    """Return the shortest text that `parse_duration` reads back as `hours`."""
    days, rest = divmod(hours, 24)
    return (f"{days}d" if days else "") + (f"{rest}h" if rest or not days else "")


def parse_start(text: str, now_us: int) -> int:
    """Return the hour at which a window starts, given the present venue time in microseconds.

    `now` is the next hour, `in 6h` six hours after that.
    """
    words = " ".join(text.split()).lower()
    if words == "now":
        return next_hour(now_us)
    if words.startswith("in "):
        return next_hour(now_us) + parse_duration(words[3:])
    day = _DAY.fullmatch(words)
    if day is not None:
        return _hour_of_day(text, day, now_us)
    return _hour_of_iso(text)


def _hour_of_day(text: str, day: re.Match[str], now_us: int) -> int:
    hour, minute = int(day[2]), int(day[3])
    if hour > 23 or minute != 0:  # noqa: PLR2004
        raise TimeFaultError(f"{text!r} is not on a whole hour between 00:00 and 23:00")
    present_day = now_us // (24 * US_PER_HOUR)
    return (present_day + (day[1] == "tomorrow")) * 24 + hour


def _hour_of_iso(text: str) -> int:
    try:
        moment_us = parse_moment(text)
    except TimeFaultError as fault:
        raise TimeFaultError(f"{text!r} is not a start: write {START_FORMS}") from fault
    if moment_us % US_PER_HOUR:
        raise TimeFaultError(f"{text!r} is not on a whole hour (UTC)")
    if moment_us < 0:
        raise TimeFaultError(f"{text!r} lies before 1970")
    return hour_of(moment_us)


def parse_moment(text: str) -> int:
    """Return microseconds since the epoch of a date or an ISO 8601 moment; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return us_of(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    except (ValueError, OverflowError) as error:
        raise TimeFaultError(f"{text!r} is not a date or an ISO 8601 time") from error
