"""Back tests that regulators ask for over HTTP: a line for each step of the way, and the result in the last.

One runs at a time in a process, by turns with rests after each (`exchange.kit.courtesy`), in a snapshot of
the database for oversight. It ends with its reader: one that goes away leaves nothing behind, and nothing
of what was found is kept.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from exchange.alerts.backtest import BacktestResult, Turn, turns
from exchange.alerts.models import BacktestLine, BacktestView
from exchange.alerts.rules import would_be_alert
from exchange.alerts.thresholds import AlertRules
from exchange.kit.clock import monotonic_s
from exchange.kit.courtesy import Courtesy
from exchange.kit.database import Database, unhurried
from exchange.kit.errors import Unavailable

ALERTS_SHOWN: Final = 1_000
TELL_S: Final = 1.0
"""A line is told so often at least: who waits, and what stands between, hears that it goes on."""


class Backtest:
    """A back test under way: `lines` are NDJSON; `found` alerts were found, known once it `is_whole`."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.found = 0
        self.is_whole = False
        self.lines: AsyncGenerator[bytes, None]


class Backtests:
    """Tries rules on the record."""

    def __init__(self, *, reads: Database) -> None:
        """Read from `reads`."""
        self._reads = reads
        self._running = asyncio.Semaphore(1)

    async def begin(self, rules: AlertRules, from_us: int, until_us: int) -> Backtest:
        """Begin to try rules on a span; whoever does not read the lines to their end must close them.

        Raises `Unavailable` at once while another one runs here.
        """
        if self._running.locked():
            raise Unavailable("overloaded", "another back test is running; ask again when it has ended")
        begun = Backtest()
        begun.lines = self._lines(begun, rules, from_us, until_us)
        await anext(begun.lines)
        return begun

    async def _lines(
        self, begun: Backtest, rules: AlertRules, from_us: int, until_us: int
    ) -> AsyncGenerator[bytes, None]:
        courtesy = Courtesy()
        async with self._running, self._reads.transaction(isolation="repeatable_read") as connection:
            await unhurried(connection)
            yield b""  # begun
            told_s = began_s = monotonic_s()
            async with contextlib.aclosing(turns(connection, rules, from_us, until_us)) as under_way:
                async for turn in under_way:
                    if turn.result is not None:
                        begun.found = len(turn.result.findings)
                        yield _line(turn)
                        break
                    if monotonic_s() - told_s >= TELL_S:
                        told_s = monotonic_s()
                        yield _line(turn)
                    await courtesy.rest(monotonic_s() - began_s)
                    began_s = monotonic_s()
        begun.is_whole = True


def _line(turn: Turn) -> bytes:
    line = BacktestLine(read=turn.read, all=turn.all, result=_view(turn.result))
    return msgspec.json.encode(line) + b"\n"


def _view(result: BacktestResult | None) -> BacktestView | None:
    if result is None:
        return None
    return BacktestView(
        records=result.records,
        orders=result.orders,
        detectors=result.detectors,
        alerts_found=len(result.findings),
        alerts=[would_be_alert(each) for each in result.findings[:ALERTS_SHOWN]],
    )
