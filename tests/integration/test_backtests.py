"""Goal: a back test over HTTP says what one at a terminal says, one at a time, and ends with its reader.

Method: a tape of abuse in the record; readers that go after each of the lines, and one that reads to the end.
"""

import msgspec
import pytest

from exchange.alerts import backtests as module
from exchange.alerts.backtest import backtest, turns
from exchange.alerts.backtests import Backtests
from exchange.alerts.models import BacktestLine
from exchange.alerts.thresholds import default_rules
from exchange.kit.database import Database
from exchange.kit.errors import Unavailable
from tests.integration.test_alert_watch import tape_of, write
from tests.surveillance import DAY, START_US

SPAN = (START_US, START_US + 30 * DAY)


@pytest.fixture
async def reads(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    await write(database, tape_of(9))
    monkeypatch.setattr("exchange.alerts.backtest.RECORDS_AT_ONCE", 50)
    monkeypatch.setattr(module, "TELL_S", 0.0)  # a line after each turn
    return database


async def test_the_last_line_is_what_is_found_at_once(reads: Database) -> None:
    begun = await Backtests(reads=reads).begin(default_rules(), *SPAN)
    lines = [msgspec.json.decode(each, type=BacktestLine) async for each in begun.lines]
    async with reads.snapshot() as connection:
        expected = await backtest(connection, default_rules(), *SPAN)
    assert len(expected.findings) > 3
    *way, last = lines
    assert len(way) > 3
    assert [each.read for each in way] == sorted({each.read for each in way})
    assert {each.all for each in way} == {last.all}
    assert [each.result for each in way] == [None] * len(way)
    assert last.result is not None
    assert last.result.detectors == expected.detectors
    assert (last.result.records, last.result.orders) == (expected.records, expected.orders)
    assert (begun.is_whole, begun.found) == (True, len(expected.findings))
    assert last.result.alerts_found == len(last.result.alerts) == begun.found


@pytest.mark.parametrize("read", [0, 1, 3])
async def test_one_runs_at_a_time_and_a_reader_that_goes_leaves_its_place(reads: Database, read: int) -> None:
    backtests = Backtests(reads=reads)
    begun = await backtests.begin(default_rules(), *SPAN)
    for _ in range(read):
        await anext(begun.lines)
    with pytest.raises(Unavailable, match="another back test"):
        await backtests.begin(default_rules(), *SPAN)
    await begun.lines.aclose()
    assert not begun.is_whole
    again = await backtests.begin(default_rules(), *SPAN)
    assert [each async for each in again.lines]
    assert again.is_whole
    assert reads.usage.lent == 0


async def test_what_counts_from_the_beginning_is_read_from_there(
    reads: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the windows: offers and budgets from before them would be missing."""
    monkeypatch.setattr("exchange.alerts.backtest.longest_window_us", lambda _rules: 0)
    rules, from_us = default_rules(), START_US + 4 * DAY
    without = msgspec.structs.replace(
        rules,
        hoarding=msgspec.structs.replace(rules.hoarding, enabled=False),
        budget_use=msgspec.structs.replace(rules.budget_use, enabled=False),
    )
    async with reads.snapshot() as connection:
        whole = await backtest(connection, rules, None, None)
        later = await backtest(connection, rules, from_us, None)
        to_read = [
            [turn.all async for turn in turns(connection, each, from_us, None)][-1]
            for each in (rules, without)
        ]
    assert later.findings == [each for each in whole.findings if each.found_at_us >= from_us]
    assert 0 < len(later.findings) < len(whole.findings)
    assert to_read[0] == whole.records > to_read[1] > 0
