"""Goal: operators see what the exchange does, why it is not ready, and who tries keys; a stop keeps its word.

Method: the served exchange; its metrics read by a parser of Prometheus' format; commits held up by a lock.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import websockets

from exchange.app import Exchange
from exchange.kit import auth_guard
from exchange.kit.auth import split_key
from exchange.kit.ids import encode_id
from tests.architecture.source import ROOT
from tests.e2e.served import DEADLINE_S, Served, eventually, problem, served
from tests.e2e.stage import Stage, set_scene
from tests.faults import quiet
from tests.market_world import sequencers
from tests.unit.test_meters import Sample, parsed


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with served(module_database_url, tmp_path_factory.mktemp("watching")) as house:
        yield await set_scene(house)


async def metrics(house: Served) -> dict[Sample, float]:
    answer = await house.operator.send("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.text)


async def test_every_hop_of_an_order_is_measured(stage: Stage) -> None:
    before = await metrics(stage.house)
    for number in range(5):
        bid = stage.order("buy", f"watched-{number}", (20, 22), price_cny_per_gpu_hour="3.90")
        placed = await stage.cast.buyer.post("/v1/orders", bid)
        await stage.cast.buyer.send("DELETE", f"/v1/orders/{placed['id']}")

    def grown(after: dict[Sample, float], name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    after = await eventually(
        lambda: metrics(stage.house),
        lambda seen: grown(seen, "exchange_events_total", kind="OrderCancelled") >= 5,
    )
    route = {"route": "/v1/orders", "status": "201"}
    assert grown(after, "exchange_http_requests_total", method="POST", **route) == 5
    assert grown(after, "exchange_acknowledged_seconds_count", partition="1") == 10
    assert grown(after, "exchange_batch_requests_sum", partition="1") == 10
    assert grown(after, "exchange_commit_seconds_count", partition="1") == 10
    assert grown(after, "exchange_matching_seconds_count", partition="1") == 10
    assert grown(after, "exchange_sequence", partition="1") == 10
    assert grown(after, "exchange_events_total", kind="OrderAccepted") == 5
    own = ("partition", "1")
    for name, value in (("queue_requests", 0), ("hour_lag_seconds", 0), ("partition_ready", 1)):
        assert after[f"exchange_{name}", (own,)] == value
    assert after["exchange_relay_lag_sequences", (own,)] <= 1
    assert after["exchange_connections", ()] >= 1
    assert after["exchange_database_connections", (("state", "lent"),)] >= 1


async def test_the_handbook_explains_every_metric_and_no_other(stage: Stage) -> None:
    text = (await stage.operator.send("GET", "/metrics")).text
    there = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    explained = set(re.findall(r"`(exchange_\w+)`", (ROOT / "docs" / "operations.md").read_text()))
    roles = set(re.findall(r"exchange_\w+", (ROOT / "docker" / "roles.sql").read_text()))
    assert explained - roles == there


async def test_metrics_are_for_operators_and_for_networks_that_were_named(
    stage: Stage, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    problem(await stage.house.http.get("/metrics"), 401, "unauthenticated")
    problem(await stage.cast.regulator.send("GET", "/metrics"), 403, "forbidden")
    folder = tmp_path_factory.mktemp("open_metrics")
    async with served(database_url, folder, metrics_networks=("127.0.0.1",)) as house:
        assert (await house.http.get("/metrics")).status_code == 200
        problem(await house.http.get("/v1/participants/me"), 401, "unauthenticated")


async def test_not_ready_says_which_partition_and_why(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    house = stage.house
    assert (await house.http.get("/readyz")).json() == {"status": "ready"}
    sequencer = sequencers(house.exchange)[1]
    with monkeypatch.context() as planted:
        planted.setattr(sequencer, "_partition", None)
        planted.setattr(sequencer, "_trouble", "its books are being rebuilt from the journal")
        planted.setattr(house.exchange.relay, "_is_stopping", True)
        planted.setattr(house.exchange.relay, "is_cut_off", True)
        answer = await house.http.get("/readyz")
        assert answer.status_code == 503
        told = answer.json()
        assert (told["code"], told["detail"]) == (
            "not_ready",
            "partition 1: its books are being rebuilt from the journal; the database cannot be reached",
        )
        assert (await house.http.get("/healthz")).status_code == 200


async def test_failed_authentications_are_recorded_once_a_period_without_their_secrets(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    house = stage.house
    await quiet(house.exchange)  # a period of its own may end among ours
    await house.exchange.watched.failures.write()
    key = stage.cast.buyer.key
    with caplog.at_level(logging.WARNING, logger="exchange"):
        caplog.clear()
        for number in range(30):
            headers = {"Authorization": f"Bearer {key[:-4]}{number:04}"}
            problem(await house.http.get("/v1/orders", headers=headers), 401, "unauthenticated")
        await house.http.get("/v1/orders")  # without a key nobody has tried one
        await house.exchange.watched.failures.write()
        await house.exchange.watched.failures.write()
    (told,) = [each for each in caplog.records if each.name == auth_guard.__name__]
    async with house.exchange.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT detail FROM audit_record WHERE code = 'AUTF' ORDER BY id DESC LIMIT 1"
        )
    detail = json.loads(rows[0]["detail"])
    assert detail == told.__dict__["fields"]
    assert (detail["address"], detail["failures"]) == ("127.0.0.1", 30)
    assert detail["keys"] == [encode_id("key", int_of(key))]
    assert key.split("_", 2)[2][:20] not in json.dumps(detail)


def int_of(key: str) -> int:
    parts = split_key(key)
    assert parts is not None
    return parts[0]


@pytest.mark.usefixtures("patience")
async def test_a_stop_answers_what_was_taken_and_says_so_on_the_stream(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with served(database_url, tmp_path_factory.mktemp("stop")) as house:
        stage = await set_scene(house)
        address = str(house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
        bid = stage.order("buy", "last", (20, 22), price_cny_per_gpu_hour="3.90")
        async with asyncio.timeout(DEADLINE_S), websockets.connect(address) as reading:
            async with house.exchange.database.transaction() as holding:
                await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
                last = asyncio.create_task(stage.cast.buyer.send("POST", "/v1/orders", json=bid))
                await eventually(lambda: waiting(house.exchange), lambda count: count > 0)
                house.stopping.set()
                assert json.loads(await reading.recv()) == {"event": "server_shutdown"}
                with pytest.raises(websockets.ConnectionClosed):
                    await reading.recv()
                assert reading.close_code == 1001
                assert house.exchange.troubles() == ["the exchange is stopping"]
                assert not last.done()
            answer = await last
        assert (answer.status_code, answer.headers["connection"]) == (201, "close")
        await eventually(lambda: is_shut(house), lambda shut: shut)


async def waiting(exchange: Exchange) -> int:
    """Return how many statements wait for a lock."""
    async with exchange.database.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return found


async def is_shut(house: Served) -> bool:
    """Tell whether nobody gets in any more."""
    try:
        await house.http.get("/healthz")
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):  # it closed with us in its queue
        return True
    return False
