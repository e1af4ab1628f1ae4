"""Reports: what can be asked, and what is answered. Shares are in basis points, 10,000 being the whole."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import msgspec

from exchange.kit.fields import exact
from exchange.oversight.models import Asked

DateText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
        description="a date of venue time, UTC, such as 2026-11-23",
        examples=["2026-11-23"],
    ),
]


class Period(StrEnum):
    """How days are put together."""

    DAY = "day"
    MONTH = "month"
    ALL = "all"


class ReportName(StrEnum):
    """What there are reports on."""

    BUDGET_BURN = "budget-burn"
    VOUCHER_USE = "voucher-use"
    VOUCHER_REFUSALS = "voucher-refusals"
    CONCENTRATION = "concentration"
    DOMESTIC_SHARE = "domestic-share"
    HUB_FLOW = "hub-flow"
    CAPACITY = "capacity"
    VOUCHER_PRICE = "voucher-price"
    FILL_RATE = "fill-rate"
    STACKING = "stacking"


class ReportQuery(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which days, `from` included and `until` not, put together how; by default of the last 30 days."""

    from_: DateText | None = msgspec.field(default=None, name="from")
    until: DateText | None = None
    by: Period = Period.DAY


class Span(msgspec.Struct, frozen=True):
    """Some days, and how they are put together."""

    from_day: date
    until_day: date
    by: Period


class Column(msgspec.Struct, frozen=True):
    """A column of a report, and what stands in it."""

    name: str
    meaning: str


class ReportKind(msgspec.Struct, frozen=True, kw_only=True):
    """A report that can be asked for: what it says, and how that is defined."""

    name: ReportName
    title: str
    definition: str
    columns: list[Column]


ReportRow = dict[str, str | int | None]


class Report(ReportKind, frozen=True, kw_only=True):
    """A report: the record up to `summed_until` is in it (null: nothing is summed up yet)."""

    from_day: str
    until_day: str
    by: Period
    summed_until: str | None
    rows: list[ReportRow]


class ReportList(msgspec.Struct, frozen=True, kw_only=True):
    """Every report there is, with its definition."""

    data: list[ReportKind]
