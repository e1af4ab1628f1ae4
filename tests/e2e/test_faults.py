"""Goal: whatever breaks under one process, what was acknowledged stands, once, and it trades on.

Method: eight traders do everything that can be done with orders, and send again what was lost, while the
fault that each test names is injected; then every answer that anybody got is held against the journal and the
ledger is checked (`tests.history`). The traders' own lines are cut all the while.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from exchange.kit.clock import monotonic_s
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from tests.e2e.served import DEADLINE_S, Served, served
from tests.e2e.stage import set_scene
from tests.faults import faulty_wire, quiet
from tests.history.trading import SEED, check_what_is_left, next_hour, trading
from tests.hypothesis_profiles import NIGHTLY_FACTOR, is_long
from tests.plain_http import Line, check_once, place_at_once
from tests.server_process import ServerProcess
from tests.stored_state import assert_sound

pytestmark = pytest.mark.timeout(540)  # servers start, and are waited for

ROUNDS = 3 * (NIGHTLY_FACTOR if is_long() else 1)
CUTS = 12 * (NIGHTLY_FACTOR if is_long() else 1)
ANSWERS = 150
STATEMENTS_MAX = 6
PAUSE_S = 10.0 if is_long() else 3.0
SENDERS = 50


def way_to(house: Served) -> Callable[[], Line]:
    """Return what makes lines to a served exchange."""
    url = house.http.base_url
    return lambda: Line(url.host, url.port or 0)


async def test_connections_cut_inside_transactions(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    """Injected: the way to the database is cut before any statement, the COMMIT too, or after the COMMIT.

    Must hold: what was told stands, what was not committed does not, nothing stands twice.
    """
    rng = Random(SEED)
    async with faulty_wire(database_url) as wire, served(wire.url, tmp_path) as house:
        await quiet(house.exchange)
        async with trading(way_to(house), house.operator.key, lambda: house.clock.hour() + 1) as under_way:
            for number in range(CUTS):
                await under_way.traffic.until(ANSWERS // 5)
                wire.arm("answer" if number % 2 else rng.randint(1, STATEMENTS_MAX))
                async with asyncio.timeout(DEADLINE_S):
                    await wire.was_cut.wait()
        await wire.gone(database)
        checker = await check_what_is_left(under_way.history, database_url)
    assert len(checker.effects) > CUTS


async def test_postgresql_is_killed_under_load(tmp_path: Path) -> None:
    """Injected: kill -9 of PostgreSQL's first process, and a new start on what is on the disk.

    Must hold: nothing acknowledged is lost, nothing is doubled, and the same server trades again.
    """
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        async with served(postgres.url, tmp_path) as house:
            async with trading(
                way_to(house), house.operator.key, lambda: house.clock.hour() + 1
            ) as under_way:
                for _ in range(ROUNDS):
                    await under_way.traffic.until(ANSWERS)
                    pid = postgres.pid
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                    async with asyncio.timeout(DEADLINE_S):
                        while postgres.pid is not None:  # noqa: ASYNC110 - its keeper reaps it
                            await asyncio.sleep(0.005)
                    await asyncio.to_thread(postgres.start)
                await under_way.traffic.until(ANSWERS)
            checker = await check_what_is_left(under_way.history, postgres.url)
    assert len(checker.effects) > ROUNDS * ANSWERS / 5


async def test_the_server_is_killed_under_load(database_url: str, tmp_path: Path) -> None:
    """Injected: kill -9 of the server, and a new start on the same port.

    Must hold: nothing acknowledged is lost, nothing is doubled, and it trades again.
    """
    with ServerProcess(tmp_path / "server", database_url) as server:
        async with trading(server.line, server.operator_key, next_hour) as under_way:
            for _ in range(ROUNDS):
                await under_way.traffic.until(ANSWERS)
                server.kill()
                server.start()  # here: it dies with the thread that starts it
            await under_way.traffic.until(ANSWERS)
        await check_what_is_left(under_way.history, database_url)


async def test_the_server_does_not_run_for_a_while(database_url: str, tmp_path: Path) -> None:
    """Injected: SIGSTOP of the server under load, SIGCONT seconds later.

    Must hold: who waited is answered, nothing is lost or doubled, it trades on, and no venue time goes back.
    """
    with ServerProcess(tmp_path / "server", database_url) as server:
        async with trading(server.line, server.operator_key, next_hour) as under_way:
            await under_way.traffic.until(ANSWERS)
            server.suspend()
            stopped_s = monotonic_s()
            await asyncio.sleep(PAUSE_S)  # the fault is that so much time passes
            before = under_way.traffic.answered
            server.resume()
            await under_way.traffic.until(ANSWERS)
            assert monotonic_s() - stopped_s >= PAUSE_S
            assert under_way.traffic.answered >= before + ANSWERS
        await check_what_is_left(under_way.history, database_url)


async def test_one_client_order_id_from_fifty_connections(database_url: str, tmp_path: Path) -> None:
    """Injected: the same order at once on fifty connections; one that rests, trades, is rejected, is denied.

    Must hold: it is done once; one answer is the first and the others are replays, letter by letter the same.
    """
    async with served(database_url, tmp_path) as house:
        stage = await set_scene(house)
        await stage.cast.provider.post("/v1/orders", stage.order("sell", "supply", (50, 60)))
        for status, order in (
            (201, stage.order("buy", "rests", (40, 44), price_cny_per_gpu_hour="3.80")),
            (201, stage.order("buy", "trades", (50, 54), quantity_gpus=1)),
            (409, stage.order("buy", "rejected", (50, 54), post_only=True)),
            (402, stage.order("buy", "denied", (50, 54), quantity_gpus=1_000_000)),
        ):
            lines = [way_to(house)() for _ in range(SENDERS)]
            check_once(await place_at_once(lines, stage.cast.buyer.key, order), status)
            listed = await stage.cast.buyer.get("/v1/orders", client_order_id=order["client_order_id"])
            assert len(listed["data"]) == 1
        trades = await stage.cast.buyer.get("/v1/trades")
        assert sum(trade["client_order_id"] == "trades" for trade in trades["data"]) == 1
        await assert_sound(house.exchange.database, with_orders=True)
