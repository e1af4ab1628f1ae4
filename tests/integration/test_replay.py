"""Goal: a replay does with each line of a trace what its documentation says, and its two checks are exact.

Method: generated traces in the real form through the real exchange; a second run on other data must come to
the same report, and one on the same data must place nothing.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.database import Database
from exchange.kit.settings import Settings
from exchange.replay.models import LineFault, Refused, ReplayError
from exchange.replay.report import Report
from exchange.replay.session import ReplayRequest, Session
from tests.replay_traces import TraceFiles, generated_traces

HOURS = 30
FROM_US = 1_506_211_200_000_000  # 2017-09-24


def request_of(traces: TraceFiles, database_url: str, folder: Path, **changes: Any) -> ReplayRequest:
    wanted = ReplayRequest(
        bids=traces.bids,
        offers=traces.offers,
        quotes=traces.quotes,
        settings=Settings(database_url=database_url, data_dir=folder),
        hours=HOURS,
        from_us=FROM_US,
        gpus=60,
    )
    return msgspec.structs.replace(wanted, **changes)


def outcome(report: Report) -> dict[str, Any]:
    """Return everything of a report that does not depend on the run or its speed."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(report))
    for name in ("refused_this_run", "orders_this_run", "replayed_this_run", "orders_per_s"):
        del found[name]
    return found


@pytest.fixture
def traces(tmp_path: Path) -> TraceFiles:
    return generated_traces(tmp_path, seed=7, bids=400, hours=HOURS)


async def test_a_replay_is_exact_and_comes_out_the_same_every_time(
    traces: TraceFiles, tmp_path: Path, database_url: str, empty_database_url: str
) -> None:
    first = await Session(request_of(traces, database_url, tmp_path / "a")).run()
    assert first.money.is_exact
    assert first.capacity.is_exact
    assert first.capacity.free == 0
    assert first.capacity.offered == first.gpu_hours_offered
    assert 0 < first.gpu_hours_sold <= first.gpu_hours_offered
    assert first.bids_filled > 0
    assert first.bids_unfilled > 0, "without scarcity the test shows little"
    assert first.paid_share_of_limit is not None
    assert first.paid_share_of_limit <= 1
    assert first.mean_wait_hours is not None
    assert first.mean_wait_hours > 0
    read = sum(first.lines_refused.values()) + first.bids + sum(first.orders_rejected.values())
    assert read == 400
    assert first.lines_refused[Refused.PART_OF_GPU] > 0
    assert first.refused_this_run == {}

    second = await Session(request_of(traces, empty_database_url, tmp_path / "b")).run()
    assert outcome(second) == outcome(first)


async def test_orders_reach_the_book_in_the_order_of_the_trace(
    traces: TraceFiles, tmp_path: Path, database_url: str
) -> None:
    await Session(request_of(traces, database_url, tmp_path / "a")).run()
    database = await Database.connect(database_url, connections_max=1)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT client_order_id FROM orders WHERE side = 'buy' ORDER BY sequence"
        )
    await database.close()
    placed = [row["client_order_id"] for row in rows]
    line_of = {line.split(",")[0]: number for number, line in enumerate(traces.bids.read_text().splitlines())}
    assert len(placed) > 300
    assert placed == sorted(placed, key=line_of.__getitem__)


async def test_a_finished_replay_places_nothing_again(
    traces: TraceFiles, tmp_path: Path, database_url: str
) -> None:
    request = request_of(traces, database_url, tmp_path / "a")
    shown: list[tuple[int, int, int]] = []
    first = await Session(request, progress=lambda *now: shown.append(now)).run()
    assert shown == sorted(shown)
    assert shown[-1] == (shown[0][1], shown[0][1], first.orders_this_run)
    again = await Session(request).run()
    assert (first.orders_this_run > 0, again.orders_this_run, again.replayed_this_run) == (True, 0, 0)
    assert outcome(again) == outcome(first)


async def test_broken_lines_are_told_and_the_rest_goes_on(tmp_path: Path, database_url: str) -> None:
    traces = generated_traces(tmp_path, seed=8, bids=60, hours=HOURS)
    lines = traces.bids.read_bytes().split(b"\n")
    lines.insert(5, b"broken,not a time,team-1,,1,1000,1")
    lines.insert(9, b"\xff\xfe,2017-09-24T00:00:00Z,team-1,,1,1000,1")
    traces.bids.write_bytes(b"\n".join(lines))
    faults: list[LineFault] = []
    report = await Session(request_of(traces, database_url, tmp_path / "a"), fault=faults.append).run()
    assert [(fault.line, fault.field) for fault in faults] == [(6, "submitted_at"), (10, "")]
    assert report.lines_refused[Refused.BROKEN_LINE] == 2
    assert report.bids > 30
    assert report.is_exact


async def test_data_of_a_later_venue_is_not_touched(
    traces: TraceFiles, tmp_path: Path, database_url: str
) -> None:
    await Session(request_of(traces, database_url, tmp_path / "a")).run()
    earlier = request_of(traces, database_url, tmp_path / "a", from_us=FROM_US - 30 * 86_400_000_000)
    with pytest.raises(ReplayError, match="beyond this replay"):
        await Session(earlier).run()
