"""Goal: kill -9 of everything in the middle of a replay, at any moment, loses and doubles nothing.

Method: a replay in a process group of its own, killed six times (`nightly`: forty) at seeded moments: some
orders or some fraction of a second after its first new answer, whichever comes first. After each kill the
exchange is opened on what is left (its recovery is thus part of the test): every answered order is there
once, every book is the fold of its journal, the ledger's check finds nothing and every asset nets to zero.
Answers are read from a named pipe, so the test knows exactly what was answered. In the end the replay runs
through, and its report's checks are exact.
"""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

import pytest

from exchange.app import Exchange
from exchange.kit.clock import ManualClock, monotonic_s, parse_rfc3339
from exchange.kit.database import Connection
from exchange.kit.ids import encode_id
from exchange.kit.settings import Settings
from exchange.ledger.service import check
from exchange.replay.store import net_by_asset
from tests.hypothesis_profiles import is_long
from tests.replay_traces import FROM, TraceFiles, generated_traces, real_traces

KILLS: Final = 40 if is_long() else 3
HOURS: Final = 48
SEED: Final = 20170924
ORDERS_MAX: Final = 60
SECONDS_MAX: Final = 0.5
ANSWER_TIMEOUT_S: Final = 120.0


class Answers:
    """What the replay acknowledged over all its lives: order ids by client order id, read from a pipe."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        # Also for writing, so that the pipe never ends between the lives of the replay.
        self._descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._rest = b""
        self.order_ids: dict[str, str] = {}

    def read(self, seconds: float) -> bool:
        """Wait for answers and take them in; tell whether any came."""
        if not self._poll.poll(max(0, round(seconds * 1000))):
            return False
        chunk = os.read(self._descriptor, 1 << 16)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            client_order_id, order_id = line.decode().split(" ")
            assert self.order_ids.setdefault(client_order_id, order_id) == order_id, "one order, one outcome"
        return bool(chunk)

    def read_last(self) -> None:
        """Take in what was written before the writer died; a line it did not finish was no answer."""
        while self.read(0):
            continue
        self._rest = b""

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._descriptor)


def command(traces: TraceFiles, data_dir: Path, pipe: Path) -> list[str]:
    return [
        sys.executable, "-m", "exchange", "replay", *traces.arguments(), "--from", FROM,
        "--hours", str(HOURS), "--data-dir", str(data_dir), "--acknowledged", str(pipe), "--json",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("EXCHANGE_", "DATABASE_"))
    }


def run_and_kill(arguments: list[str], log: Path, answers: Answers, rng: Random) -> None:
    """Start the replay, and kill everything it started at a seeded moment after its first new answer."""
    orders, seconds = rng.randint(1, ORDERS_MAX), rng.uniform(0, SECONDS_MAX)
    known = len(answers.order_ids)
    with log.open("ab") as errors:
        process = subprocess.Popen(
            arguments, stdout=errors, stderr=errors, env=environment(), start_new_session=True
        )
        try:
            gives_up_s = monotonic_s() + ANSWER_TIMEOUT_S
            while len(answers.order_ids) == known:
                answers.read(1.0)
                assert process.poll() is None, f"the replay ended by itself: {log.read_text()[-2000:]}"
                assert monotonic_s() < gives_up_s, f"no new answer: {log.read_text()[-2000:]}"
            ends_s = monotonic_s() + seconds
            while len(answers.order_ids) < known + orders and (left_s := ends_s - monotonic_s()) > 0:
                answers.read(left_s)
        finally:
            kill_family(process.pid)
            process.wait()
    answers.read_last()


def kill_family(leader: int) -> None:
    """Kill -9 a process group and every process that descends from its leader, the database's too."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    family = {leader}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


async def check_what_is_left(data_dir: Path, answers: Answers) -> None:
    """Open the exchange on the data of a killed replay, and check everything that must hold."""
    from_us = parse_rfc3339(f"{FROM}T00:00:00Z")
    assert from_us is not None
    exchange = await Exchange.open(Settings(data_dir=data_dir), ManualClock(from_us))
    try:
        await exchange.orders.verify()
        async with exchange.database.connection() as connection:
            await check_orders(connection, answers)
            assert await check(connection) == []
            for net in await net_by_asset(connection):
                assert (net.posted_fen, net.pending_fen) == (0, 0)
    finally:
        await exchange.close()


async def check_orders(connection: Connection, answers: Answers) -> None:
    rows = await connection.fetch("SELECT id, client_order_id, status FROM orders")
    times = Counter(row["client_order_id"] for row in rows)
    assert [name for name, count in times.items() if count > 1] == []
    outcomes = {
        row["client_order_id"]: "refused" if row["status"] == "rejected" else encode_id("ord", row["id"])
        for row in rows
    }
    assert {name: outcomes.get(name) for name in answers.order_ids} == answers.order_ids


@pytest.mark.timeout(540)  # many starts and recoveries
async def test_kills_of_everything_lose_and_double_nothing(tmp_path: Path) -> None:
    traces = real_traces() or generated_traces(tmp_path, seed=SEED, bids=3_000, hours=HOURS)
    data_dir, pipe, log = tmp_path / "data", tmp_path / "answers", tmp_path / "log"
    arguments = command(traces, data_dir, pipe)
    rng = Random(SEED)
    answers = Answers(pipe)
    try:
        for _ in range(KILLS):
            run_and_kill(arguments, log, answers, rng)
            await check_what_is_left(data_dir, answers)
        # The report counts what stands in the books, not what they refused.
        answered = sum(outcome != "refused" for outcome in answers.order_ids.values())
        assert len(answers.order_ids) >= KILLS
        # The pipe is drained by nobody now, and a full one would stop the replay: the last run needs none.
        whole = [argument for argument in arguments if argument not in {"--acknowledged", str(pipe)}]
        finished = await asyncio.to_thread(
            subprocess.run, whole, capture_output=True, text=True, env=environment()
        )
        assert finished.returncode == 0, finished.stderr[-2000:]
    finally:
        answers.close()
    report = json.loads(finished.stdout)
    assert report["orders_this_run"] > 0
    assert report["asks"] + report["bids"] > answered
    assert report["money"]["differences"] == []
    capacity = report["capacity"]
    assert capacity["free"] == 0
    assert capacity["offered"] == capacity["sold"] + capacity["lapsed"] + capacity["withdrawn"]
    assert capacity["sold"] == capacity["sold_by_leases"] == capacity["sold_by_journal"] > 0
    await check_what_is_left(data_dir, answers)
