"""The audit trail's partitions, one a month of venue time: made before the clock gets there.

The present month and those after it, `MONTHS` together, at the start and whenever a month begins; by
whichever process is first. A month is made empty or not at all: what was written while it had no partition
stays in the partition for the rest (`audit_record_other`), where questions find it as well, only with more to
read.

Known limits: a month that could not be made because somebody read or wrote the partition for the rest is
tried again a minute later. While it is attached, which takes milliseconds, that partition is closed to
others, for as long as it takes to look through what it holds.
"""

import logging
from datetime import UTC, date, datetime
from typing import Final

from exchange.kit.chores import Chore
from exchange.kit.clock import Clock, datetime_of, hour_of, us_of
from exchange.kit.database import Connection, Database, LockTimeout

MONTHS: Final = 3
RETRY_S: Final = 60.0
_MAKE: Final = "SELECT month, is_made FROM make_audit_months($1, $2)"

_log = logging.getLogger(__name__)


async def make_months(connection: Connection, at_us: int) -> list[date]:
    """Make the partitions of the month of a time and of those after it; return the months made, by first day.

    `LockTimeout` where others are in the way.
    """
    rows = await connection.fetch(_MAKE, datetime_of(at_us).date(), MONTHS)
    for row in rows:
        if not row["is_made"]:
            _log.warning("records of %s stay in audit_record_other", format(row["month"], "%Y-%m"))
    return [row["month"] for row in rows if row["is_made"]]


def next_month_us(at_us: int) -> int:
    """Return when the month after that of a time begins."""
    day = datetime_of(at_us).date()
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)  # noqa: PLR2004 - December
    return us_of(datetime(year, month, 1, tzinfo=UTC))


class AuditMonths:
    """Makes months as venue time passes. `make` once before the first record, then `start` and `stop`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Stand ready."""
        self._database = database
        self._clock = clock
        self._chore = Chore(
            "audit-months", self._keep_up, undone="the audit trail's months are not made", retry_s=RETRY_S
        )

    async def make(self) -> bool:
        """Make what is lacking now; False, and a warning, where that has to be tried again."""
        try:
            async with self._database.transaction() as connection:
                await make_months(connection, self._clock.now_us())
        except LockTimeout as error:
            _log.warning("the audit trail's months are not made yet: %s", error)
            return False
        return True

    def start(self) -> None:
        """Begin to wait for months."""
        self._chore.start()

    async def stop(self) -> None:
        """Make none any more."""
        await self._chore.stop()

    async def _keep_up(self) -> float:
        if not await self.make():
            return RETRY_S
        await self._clock.wait_until_hour(hour_of(next_month_us(self._clock.now_us())))
        return 0.0
