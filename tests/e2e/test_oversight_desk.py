"""Goal: a regulator's whole work over HTTP and at a terminal: books, lives, records, reports, questions.

Method: the real server on a scene with one of everything, its reads by a pool of their own; what is told of
the past is compared with what the live exchange told when it was the present.
"""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.served import Caller, eventually, problem, served
from tests.e2e.stage import PRODUCT, Stage, staged

WHY = {"reason": "case 7"}
BOOK = f"/v1/oversight/books/{PRODUCT}"


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("desk")
    # Stands for a replica: what would write is refused there.
    reads = f"{module_database_url}&default_transaction_read_only=on"
    async with staged(module_database_url, folder, oversight_database_url=reads) as ready:
        yield ready


@pytest.fixture
def regulator(stage: Stage) -> Caller:
    return stage.cast.regulator


async def test_a_book_as_it_stood_is_what_the_live_one_told(stage: Stage, regulator: Caller) -> None:
    told: dict[int, tuple[Any, list[str]]] = {}
    for number in range(4):
        offer = stage.order("sell", f"then-{number}", (2, 6), price_cny_per_gpu_hour=f"5.{number}0")
        placed = await stage.cast.provider.post("/v1/orders", offer)
        calendar = await regulator.get(f"/v1/market/{PRODUCT}/calendar")
        live = (await stage.cast.provider.get("/v1/orders", product=PRODUCT, side="sell"))["data"]
        resting = [each["id"] for each in live if each["status"] in {"resting", "partially_filled"}]
        told[placed["sequence"]] = (calendar["hours"], sorted(resting))
    for sequence, (hours, resting) in told.items():
        book = await regulator.get(BOOK, sequence=sequence, columns=len(hours), side="asks")
        assert book["sequence"] == book["book_sequence"] == sequence
        assert book["columns"] == hours
        assert sorted(each["order_id"] for each in book["data"]) == resting
        assert {each["participant_id"] for each in book["data"]} == {stage.cast.provider.id}
    last = max(told)
    by_time = await regulator.get(BOOK, at=(await regulator.get(BOOK, sequence=last))["sequence_at"])
    assert by_time["sequence"] == last
    before = await regulator.get(BOOK, at="2020-01-01T00:00:00Z")
    assert (before["sequence"], before["data"], before["columns"]) == (0, [], [])


async def test_pages_of_a_book_are_of_one_moment(stage: Stage, regulator: Caller) -> None:
    whole = await regulator.get(BOOK, side="asks")
    first = await regulator.get(BOOK, side="asks", limit=1)
    await stage.cast.provider.post("/v1/orders", stage.order("sell", "meanwhile", (2, 6)))
    seen, cursor = first["data"], first["next_cursor"]
    while cursor is not None:
        page = await regulator.get(BOOK, side="asks", limit=1, cursor=cursor)
        seen, cursor = seen + page["data"], page["next_cursor"]
    assert seen == whole["data"]
    later = await regulator.get(f"{BOOK}/range")
    answer = await regulator.send(
        "GET", BOOK, params={"cursor": first["next_cursor"], "sequence": later["last_sequence"]}
    )
    assert [each["pointer"] for each in problem(answer, 422)["errors"]] == ["?cursor"]


async def test_a_range_leads_a_slider_and_a_moment_outside_is_refused(regulator: Caller) -> None:
    found = await regulator.get(f"{BOOK}/range")
    assert found["first_sequence"] == 1
    last = found["last_sequence"]
    assert (await regulator.get(BOOK, sequence=last))["sequence_at"] == found["last_at"]
    for query, name in (
        ({"sequence": last + 1}, "?sequence"),
        ({"at": "2999-01-01T00:00:00Z"}, "?at"),
        ({"at": found["last_at"], "sequence": last}, "?sequence"),
    ):
        answer = await regulator.send("GET", BOOK, params=query)
        assert [each["pointer"] for each in problem(answer, 422)["errors"]] == [name]
    problem(await regulator.send("GET", "/v1/oversight/books/no.such.product"), 404)


async def test_the_lives_of_a_trade_and_of_its_voucher_are_told_whole(
    stage: Stage, regulator: Caller
) -> None:
    trades = (await regulator.get("/v1/oversight/trades", voucher_funded="true"))["data"]
    life = await regulator.get(f"/v1/oversight/trades/{trades[0]['id']}", **WHY)
    assert life["trade"] == trades[0]
    assert [each["code"] for each in life["steps"]] == ["FILL", "PARF", "DLVR"]
    cash, voucher = life["funding"]
    assert (cash["voucher_id"], voucher["voucher_id"]) == (None, stage.ids["voucher_id"])
    assert voucher["captured_cny"] == life["captures"][0]["amount_cny"] == trades[0]["voucher_cny"]
    assert life["captures"][0]["claim_id"] == stage.ids["claim_id"]
    path = f"/v1/oversight/vouchers/{stage.ids['voucher_id']}"
    whole = await regulator.get(path, **WHY)
    assert whole["voucher"]["buyer_id"] == stage.cast.buyer.id
    assert [each["reason"] for each in whole["movements"]] == ["voucher_issue", "hold", "trade", "delivery"]
    paged = await regulator.get(path, **WHY, limit=3)
    rest = await regulator.get(path, **WHY, cursor=paged["next_cursor"])
    assert paged["movements"] + rest["movements"] == whole["movements"]


async def test_records_are_found_by_what_they_are_about(stage: Stage, regulator: Caller) -> None:
    order_id = stage.ids["order_id"]
    found = (await regulator.get("/v1/oversight/events", order_id=order_id))["data"]
    assert [each["code"] for each in found] == ["NEWO"]
    assert found[0]["detail"]["client_order_id"] == "scene-3"
    funded = (await regulator.get("/v1/oversight/events", voucher_funded="true", side="buy"))["data"]
    assert {each["client_order_id"] for each in funded} == {"scene-1"}
    buyers = await regulator.get("/v1/oversight/events", participant=stage.cast.buyer.id, **WHY)
    assert {each["participant_id"] for each in buyers["data"]} == {stage.cast.buyer.id}
    far = await regulator.get("/v1/oversight/events", region="hebei", code="DLVR")
    assert [each["code"] for each in far["data"]] == ["DLVR"] * len(far["data"]) != []
    for each in far["data"]:
        assert each["subject"] == each["trade_id"].replace("trd_", "lse_")
    [issued] = (await regulator.get("/v1/oversight/events", code="VISS"))["data"]
    assert issued["subject"] == stage.ids["voucher_id"]


async def test_reports_follow_the_market_a_moment_behind(stage: Stage, regulator: Caller) -> None:
    claim = f"/v1/claims/{stage.ids['claim_id']}"
    await stage.cast.issuer.post(f"{claim}/approve", status=200)
    await stage.cast.issuer.post(f"{claim}/pay", status=200)

    async def burn() -> Any:
        return await regulator.get("/v1/oversight/reports/budget-burn", by="all")

    report = await eventually(burn, lambda told: told["rows"] and told["rows"][0]["paid_cny"] != "0.00")
    [row] = report["rows"]
    assert row["paid_cny"] == row["captured_cny"]
    assert report["definition"]
    table = await regulator.send("GET", "/v1/oversight/reports/budget-burn/export?by=all")
    assert [dict(line) for line in csv.DictReader(io.StringIO(table.text))] == [
        {name: str(value) for name, value in row.items()}
    ]
    named = (await regulator.get("/v1/oversight/reports"))["data"]
    for each in named:
        told = await regulator.get(f"/v1/oversight/reports/{each['name']}")
        assert told["columns"] == each["columns"]
    problem(await regulator.send("GET", "/v1/oversight/reports/no-such-report"), 404)


async def test_questions_are_read_by_regulators_and_the_operator_only(
    stage: Stage, regulator: Caller
) -> None:
    await regulator.get("/v1/oversight/events", participant=stage.cast.buyer.id, **WHY)
    for reader in (regulator, stage.operator):
        asked = (await reader.get("/v1/oversight/questions", limit=1))["data"]
        assert [(each["query"], each["reason"]) for each in asked] == [("events", "case 7")]
        assert asked[0]["asked"]["participant"] == stage.cast.buyer.id
        assert asked[0]["participant_id"] == regulator.id
    for kind in ("provider", "buyer", "issuer"):
        problem(await stage.cast.of(kind).send("GET", "/v1/oversight/questions"), 403, "forbidden")


async def test_reads_go_to_the_database_for_oversight(stage: Stage, regulator: Caller) -> None:
    """All of the above went there, over connections that can write nothing; the trades last."""
    await regulator.get("/v1/oversight/trades")
    async with stage.house.exchange.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'compute-exchange-oversight'"
        )
    assert any("oversight_trade" in row["query"] or "COMMIT" in row["query"] for row in rows)


async def test_a_replica_that_is_away_stops_nothing_else(database_url: str, tmp_path: Path) -> None:
    nowhere = "postgresql://exchange@127.0.0.1:1/exchange"
    async with served(database_url, tmp_path, oversight_database_url=nowhere) as house:
        answer = await house.operator.send("GET", "/v1/oversight/trades")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await house.operator.send("GET", "/v1/market")).status_code == 200
        assert (await house.operator.send("GET", "/readyz")).status_code == 200
