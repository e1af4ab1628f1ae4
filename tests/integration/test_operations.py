"""Goal: any process tells operators how all of them stand, and what was switched, and holds up nobody for it.

Method: an engine, a standby and a gateway on one database and Redis; one that dies without a word is made by
writing its row. Over HTTP with an exchange that is everything in one.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.served import Served, eventually, problem, served
from tests.integration.fleets import Fleet, is_leading
from tests.integration.fleets import eventually as until


@pytest.fixture(scope="module")
async def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(module_database_url, tmp_path_factory.mktemp("operations")) as ready:
        yield ready


async def read(house: Served) -> Any:
    return await house.operator.get("/v1/operations")


async def test_one_process_leads_says_so_and_tells_what_it_committed(house: Served) -> None:
    before = await read(house)
    product = before["partitions"][0]["products"][0]["product"]
    for phase in ("halted", "open", "halted", "open"):
        answer = await house.operator.send("PUT", f"/v1/products/{product}/phase", json={"phase": phase})
        assert answer.status_code == 200
    now = await eventually(
        lambda: read(house),
        lambda told: told["partitions"][0]["leader"]["epoch"] > 0 and len(told["processes"]) == 1,
    )
    [partition], [process] = now["partitions"], now["processes"]
    assert now["troubles"] == process["report"]["troubles"] == []
    assert partition["leader"]["process"] == process["process"] == now["process"]
    assert partition["leader"]["holds_for_s"] > 0
    assert partition["committed_sequence"] >= before["partitions"][0]["committed_sequence"] + 4
    assert (process["is_here"], process["role"]) == (True, "all")
    assert process["report"]["redis"] is None
    assert process["report"]["seal_doubt"] is None
    await house.exchange.watched.sealer.stop()  # it would say once a second that all is well
    house.exchange.watched.sealer.doubt = "the folder goes further than the database"
    [process] = (await read(house))["processes"]
    assert process["report"]["seal_doubt"] == "the folder goes further than the database"
    house.exchange.watched.sealer.doubt = None
    [standing] = process["report"]["partitions"]
    assert standing["is_leading"]
    assert standing["sequence"] == partition["committed_sequence"]
    assert standing["acknowledged_seconds"]["count"] >= 4
    assert 0 < standing["acknowledged_seconds"]["p50"] <= standing["acknowledged_seconds"]["p99"]
    commits = partition["leader"]["commits"]
    assert commits["batch_requests"]["count"] >= 4
    assert commits["batch_requests"]["mean"] == 1.0
    assert commits["commit_seconds"]["count"] == commits["batch_requests"]["count"]
    assert now["database"]["round_trip_ms"] > 0
    assert now["database"]["size_bytes"] > 1_000_000


async def test_a_switched_market_is_seen_at_once_with_who_did_it_and_why(house: Served) -> None:
    [partition] = (await read(house))["partitions"]
    assert {each["phase"] for each in partition["products"]} == {"open"}
    product = partition["products"][-1]["product"]
    me = await house.operator.get("/v1/participants/me")
    path = f"/v1/products/{product}/phase"
    for body in ({"phase": "cancel_only", "reason": "异常波动"}, {"phase": "halted"}):
        assert (await house.operator.send("PUT", path, json=body)).json() == {"reason": None, **body}
    now = await read(house)
    phases = {each["product"]: each["phase"] for each in now["partitions"][0]["products"]}
    assert {name for name, phase in phases.items() if phase != "open"} == {product}
    last, first = now["phase_changes"][:2]
    assert (last["product"], last["phase"], last["reason"]) == (product, "halted", None)
    assert (first["product"], first["phase"], first["reason"]) == (product, "cancel_only", "异常波动")
    assert last["participant"] == first["participant"] == me["id"]
    await house.operator.send("PUT", path, json={"phase": "open"})


@pytest.mark.parametrize("reason", ["", " \u200b", "x" * 501, 5])
async def test_a_reason_that_says_nothing_is_refused_and_switches_nothing(
    house: Served, reason: object
) -> None:
    [partition] = (await read(house))["partitions"]
    product = partition["products"][0]["product"]
    changes = len((await read(house))["phase_changes"])
    answer = await house.operator.send(
        "PUT", f"/v1/products/{product}/phase", json={"phase": "halted", "reason": reason}
    )
    assert problem(answer)["errors"][0]["pointer"] == "/reason"
    now = await read(house)
    assert len(now["phase_changes"]) == changes
    assert now["partitions"][0]["products"][0]["phase"] == "open"


async def test_what_follows_the_record_catches_up_and_is_seen_to(house: Served) -> None:
    await house.join("issuer", ["read"])

    def is_level(told: Any) -> bool:
        followers = {each["name"]: each for each in told["followers"]}
        return (
            all(each["behind_records"] == 0 for each in followers.values())
            and followers["alerts"]["process"] == told["process"]
            and followers.keys() == {"alerts", "summaries"}
        )

    now = await eventually(lambda: read(house), is_level)
    assert now["followers"][0]["read_until_at"] is not None


async def test_only_operators_read_it(house: Served) -> None:
    regulator = await house.join("regulator", ["read", "audit"])
    assert problem(await regulator.send("GET", "/v1/operations"), 403)
    assert problem(await house.http.get("/v1/operations"), 401)


async def test_a_gateway_tells_of_engines_what_they_said_and_of_the_dead_how_long_ago(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    fleet = Fleet(database_url, redis_url, tmp_path)
    async with fleet.engine() as engine:
        await until(lambda: is_leading(engine))
        async with fleet.engine() as standby, fleet.market() as world:
            provider, _ = await world.traders(10**6)
            await world.ask(provider, world.product(), price=200, quantity_gpus=1)
            for each in (engine, standby, world.exchange):
                await each.operations.tell()
            async with world.exchange.database.transaction() as connection:
                await connection.execute(
                    "INSERT INTO process (name, role, started_at, seen_at, report)"
                    " VALUES ('dead', 'engine', now() - interval '1 day', now() - interval '1 minute', 'x'),"
                    " ('long dead', 'engine', now() - interval '2 days', now() - interval '1 day', 'x')"
                )
            await world.exchange.operations.tell()
            now = await world.exchange.operations.view()
            told = {each.process: each for each in now.processes}
            assert told.keys() == {"dead", engine.process, standby.process, world.exchange.process}
            assert told["dead"].report is None
            assert 60 <= told["dead"].seen_s_ago < 600
            [partition] = now.partitions
            assert partition.leader is not None
            assert partition.leader.process == engine.process
            assert partition.leader.commits is not None
            assert partition.leader.commits.batch_requests.count >= 1
            leading = {
                name: each.report.partitions[0].is_leading for name, each in told.items() if each.report
            }
            assert leading == {engine.process: True, standby.process: False, world.exchange.process: False}
            gateway = told[world.exchange.process].report
            assert gateway is not None
            assert gateway.redis is True
            assert gateway.partitions[0].acknowledged_seconds.count >= 1
            assert {each.phase for each in partition.products} == {"open"}
        # Who stops takes its row along.
        now = await engine.operations.view()
        assert {each.process for each in now.processes} == {"dead", engine.process}
