"""Reports: from the summaries, at one moment, with their definitions."""

from datetime import date, timedelta
from typing import Final

import msgspec

from exchange.kit.clock import Clock, datetime_of, format_rfc3339, us_of
from exchange.kit.csv_file import csv_bytes
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Faults
from exchange.kit.fields import Readable
from exchange.oversight import report_rules, store
from exchange.oversight.report_definitions import KINDS
from exchange.oversight.report_models import Report, ReportName, ReportQuery, ReportRow, Span

DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 3_660
FIRST_DAY: Final = date(1970, 1, 1)


class Reports:
    """Answers from a database that may be a replica."""

    def __init__(self, *, reads: Database, clock: Clock) -> None:
        """Answer from `reads`."""
        self._reads = reads
        self._clock = clock

    def span_of(self, query: ReportQuery, faults: Faults) -> Span:
        """Return the days a query means; raises `InvalidInput` with every fault, also those found before."""
        tomorrow = datetime_of(self._clock.now_us()).date() + timedelta(days=1)
        until_day = self._day(faults, "?until", query.until, tomorrow) or tomorrow
        from_day = self._day(faults, "?from", query.from_, tomorrow)
        if from_day is None:
            from_day = until_day - timedelta(days=DAYS_DEFAULT)
        are_read = "?from" not in faults and "?until" not in faults
        if are_read and not from_day < until_day <= from_day + timedelta(days=DAYS_MAX):
            name, text = ("until", query.until) if query.until is not None else ("from", query.from_)
            detail = f"from must be before until, by at most {DAYS_MAX} days"
            faults.add(f"?{name}", "out_of_range", detail, text)
        faults.raise_if_any()
        return Span(from_day, until_day, query.by)

    def _day(self, faults: Faults, pointer: str, text: Readable, tomorrow: date) -> date | None:
        if not isinstance(text, str):
            return None
        try:
            day = date.fromisoformat(text)
        except ValueError:
            faults.add(pointer, "bad_time", "must be a date, such as 2026-11-23", text)
            return None
        if not FIRST_DAY <= day <= tomorrow + timedelta(days=DAYS_MAX):
            detail = f"must be from {FIRST_DAY} and at most {DAYS_MAX} days from now"
            faults.add(pointer, "out_of_range", detail, text)
            return None
        return day

    async def report(self, name: ReportName, span: Span) -> Report:
        """Return a report of some days."""
        async with self._reads.snapshot() as connection:
            position = await store.read_position(connection)
            rows = await self._rows(connection, name, span)
        summed_at = None if position is None else position["event_at"]
        return Report(
            **msgspec.structs.asdict(KINDS[name]),
            from_day=span.from_day.isoformat(),
            until_day=span.until_day.isoformat(),
            by=span.by,
            summed_until=None if summed_at is None else format_rfc3339(us_of(summed_at)),
            rows=rows,
        )

    async def _rows(self, connection: Connection, name: ReportName, span: Span) -> list[ReportRow]:
        if name in _OF_TRADES:
            return _OF_TRADES[name](await store.trades_by(connection, span))
        if name is ReportName.BUDGET_BURN:
            before = await store.issued_before(connection, span.from_day)
            return report_rules.budget_burn(await store.programmes_by(connection, span), before)
        if name is ReportName.VOUCHER_USE:
            return report_rules.voucher_use(await store.programmes_by(connection, span))
        if name is ReportName.VOUCHER_REFUSALS:
            return report_rules.voucher_refusals(await store.refusals_by(connection, span))
        if name is ReportName.CAPACITY:
            now_us = self._clock.now_us()
            return report_rules.capacity(await store.capacity_by(connection, span, now_us))
        return report_rules.fill_rate(await store.bids_by(connection, span))


_OF_TRADES: Final = {
    ReportName.CONCENTRATION: report_rules.concentration,
    ReportName.DOMESTIC_SHARE: report_rules.domestic_share,
    ReportName.HUB_FLOW: report_rules.hub_flow,
    ReportName.VOUCHER_PRICE: report_rules.voucher_price,
    ReportName.STACKING: report_rules.stacking,
}


def as_csv(report: Report) -> bytes:
    """Return a report's rows as CSV, under the names of its columns."""
    names = [column.name for column in report.columns]
    return csv_bytes([names, *([row[name] for name in names] for row in report.rows)])
