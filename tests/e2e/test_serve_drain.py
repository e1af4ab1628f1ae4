"""Goal: a balancer sees a stop coming before connections are refused, and nobody waits who need not.

Method: the command in a process of its own, whose drain would outlast the test; what it answers meanwhile.
"""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from exchange.cli.stopping import Stop
from tests.fleet import STOP_S, ServedProcess, environment_of_others

FOR_EVER_S = "3600"


def serve(database_url: str, folder: Path) -> ServedProcess:
    environment = {**environment_of_others(), "DATABASE_URL": database_url, "EXCHANGE_DRAIN_S": FOR_EVER_S}
    process = ServedProcess("drained", "all", folder, environment)
    process.wait_until("ready")
    return process


def test_a_stop_is_told_before_it_comes_and_a_second_signal_ends_the_wait(
    database_url: str, tmp_path: Path
) -> None:
    process = serve(database_url, tmp_path)
    try:
        kept = httpx.Client(base_url=process.url, trust_env=False)
        assert kept.get("/healthz").status_code == 200
        process.send(signal.SIGTERM)
        process.wait_until(503)  # over a new connection each time
        assert process.ready()["detail"] == "the exchange is stopping"
        for answer in (
            kept.get("/v1/products"),
            httpx.get(f"{process.url}/v1/products", trust_env=False),
            kept.get("/healthz"),
        ):
            assert answer.status_code == 200
            assert answer.headers.get("connection") != "close"
        kept.close()
        process.send(signal.SIGTERM)
        assert process.process.wait(STOP_S) == 0
    finally:
        process.kill()


def test_who_interrupts_it_does_not_wait(database_url: str, tmp_path: Path) -> None:
    process = serve(database_url, tmp_path)
    try:
        process.send(signal.SIGINT)
        assert process.process.wait(STOP_S) == 0
    finally:
        process.kill()


@pytest.mark.parametrize("drain_s, drains", [(0.0, 0), (0.01, 1)])
async def test_a_drain_ends_by_itself_and_is_none_where_there_is_nothing_to_drain(
    drain_s: float, drains: int
) -> None:
    told: list[bool] = []
    stop = Stop(asyncio.Event())
    stop.drain(drain_s, lambda: told.append(stop.stopping.is_set()))
    stop.ask()
    async with asyncio.timeout(STOP_S):
        await stop.stopping.wait()
    assert told == [False] * drains
    early = Stop(asyncio.Event())
    early.ask()
    assert early.stopping.is_set()
