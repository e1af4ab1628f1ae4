"""Goal: over HTTP a desk amends, places many, withdraws all, looks ahead, and finds what it has traded.

Method: over a real socket, by participants who know of the exchange only what it answers.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.served import Caller, eventually, problem
from tests.e2e.stage import LOT_PRODUCT, Stage, staged


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("order_desk")) as ready:
        yield ready


async def batch(caller: Caller, orders: list[Any]) -> list[dict[str, Any]]:
    """Send a batch and return its outcomes."""
    outcomes: list[dict[str, Any]] = (await caller.post("/v1/orders/batch", {"orders": orders}, 200))["data"]
    return outcomes


async def test_each_order_of_a_batch_is_answered_as_if_it_were_alone(stage: Stage) -> None:
    buyer = stage.cast.buyer
    good = stage.order("buy", "batch-1", (4, 6), price_cny_per_gpu_hour="3.80")
    sent: list[Any] = [
        good,
        {**good, "client_order_id": "batch-2", "quantity_gpus": 0, "more": 1},
        {**good, "client_order_id": "batch-3", "product": LOT_PRODUCT, "starts_at": stage.hour(-1)},
        7,
        stage.order("sell", "batch-4", (4, 6)),
        {**good, "client_order_id": "batch-5", "quantity_gpus": 1_000_000},
        {**good, "client_order_id": "batch-6", "price_cny_per_gpu_hour": "999.00"},
        good,
    ]
    outcomes = await batch(buyer, sent)
    assert [(each["status"], each["replayed"]) for each in outcomes] == [
        (201, False),
        (422, False),
        (422, False),
        (422, False),
        (403, False),
        (402, False),
        (409, False),
        (201, True),
    ]
    assert outcomes[0]["order"] == outcomes[7]["order"]
    for outcome, order in zip(outcomes, sent, strict=True):
        alone = await buyer.send("POST", "/v1/orders", json=order)
        assert alone.status_code == outcome["status"]
        if outcome["problem"]:
            told = alone.json()
            same = ("code", "errors", "detail", "outcome", "retryable", "title")
            assert [told[name] for name in same] == [outcome["problem"][name] for name in same]
        else:
            assert alone.json()["id"] == outcome["order"]["id"]
    again = await batch(buyer, sent)
    assert [each["status"] for each in again] == [each["status"] for each in outcomes]
    assert [each["replayed"] for each in again] == [True, False, False, False, False, True, True, True]


async def test_a_batch_that_is_no_batch_places_nothing(stage: Stage) -> None:
    buyer = stage.cast.buyer
    good = stage.order("buy", "no-batch", (4, 6), price_cny_per_gpu_hour="3.80")
    before = await stage.house.rows()
    for body, named in (
        ({"orders": []}, {"/orders"}),
        ({"orders": [good] * 1001}, {"/orders"}),
        ({"orders": [good, {**good, "hours": 9}], "more": 1}, {"/more", "/orders/1/hours"}),
        ({}, {"/orders"}),
    ):
        answer = await buyer.send("POST", "/v1/orders/batch", json=body)
        assert {fault["pointer"] for fault in problem(answer, 422)["errors"]} == named
    twice = b'{"orders": [{"client_order_id": "a", "client_order_id": "b"}]}'
    answer = await buyer.send_text("POST", "/v1/orders/batch", twice)
    [outcome] = answer.json()["data"]
    assert (outcome["status"], outcome["problem"]["code"]) == (400, "duplicate_key")
    assert await stage.house.rows() == before


async def test_an_amendment_sent_again_is_a_replay(stage: Stage) -> None:
    buyer = stage.cast.buyer
    order = stage.order("buy", "amended", (4, 6), price_cny_per_gpu_hour="3.80")
    placed = await buyer.post("/v1/orders", order)
    path, change = f"/v1/orders/{placed['id']}", {"price_cny_per_gpu_hour": "3.81"}
    headers = {"Idempotency-Key": "amend-once"}
    first = await buyer.send("PATCH", path, json=change, headers=headers)
    assert (first.status_code, first.json()["priority"]) == (200, "lost")
    again = await buyer.send("PATCH", path, json=change, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await buyer.send("PATCH", path, json={"quantity_gpus": 1}, headers=headers)
    problem(other, 422, "idempotency_key_reused")
    problem(await buyer.send("PATCH", path, json={"quantity_gpus": 1}), 409, "order_not_live")
    problem(await buyer.send("PATCH", path, json={}), 422, "invalid_body")
    kept = await buyer.send("PATCH", f"/v1/orders/{first.json()['id']}", json={"quantity_gpus": 1})
    assert (kept.json()["priority"], kept.json()["id"]) == ("kept", first.json()["id"])
    assert (await buyer.get(path))["replaced_by"] == first.json()["id"]


async def test_all_orders_of_a_side_or_a_product_are_withdrawn_at_once(stage: Stage) -> None:
    provider = stage.strangers.provider
    orders = [stage.order("sell", f"mass-{number}", (50, 60)) for number in range(3)]
    placed = [outcome["order"]["id"] for outcome in await batch(provider, orders)]
    assert (await provider.send("DELETE", "/v1/orders?side=buy")).json() == {"data": []}
    answer = await provider.send("DELETE", f"/v1/orders?side=sell&product={orders[0]['product']}")
    withdrawn = answer.json()["data"]
    assert [each["id"] for each in withdrawn] == placed
    assert withdrawn[0] | {"id": ""} == {
        "id": "",
        "client_order_id": "mass-0",
        "product": orders[0]["product"],
        "side": "sell",
        "filled_gpu_hours": 0,
        "cancelled_gpus": 2,
        "cancelled_gpu_hours": 20,
    }
    problem(await provider.send("DELETE", "/v1/orders?product=no-such.product"), 422, "invalid_query")


async def test_a_dead_mans_switch_says_when_it_fires_and_does(stage: Stage) -> None:
    provider = stage.strangers.provider
    path = "/v1/orders/cancel-all-after"
    armed = await provider.post(path, {"timeout_s": 86_400}, 200)
    assert armed["cancels_at"] is not None
    assert await provider.post(path, {"timeout_s": 0}, 200) == {"timeout_s": 0, "cancels_at": None}
    order = await provider.post("/v1/orders", stage.order("sell", "left-alone", (50, 60)))
    await provider.post(path, {"timeout_s": 1}, 200)
    withdrawn = await eventually(
        lambda: provider.get(f"/v1/orders/{order['id']}"), lambda read: read["status"] != "resting"
    )
    assert withdrawn["status"] == "cancelled"


async def test_a_preview_places_nothing_and_tells_what_would_come(stage: Stage) -> None:
    buyer, provider = stage.cast.buyer, stage.cast.provider
    await provider.post("/v1/orders", stage.order("sell", "looked-at", (70, 80)))
    bid = stage.order(
        "buy", "looks", (70, 72), quantity_gpus=5, price_cny_per_gpu_hour="4.50", vouchers="auto"
    )
    before = await stage.house.rows()
    preview = await buyer.post("/v1/orders/preview", bid, 200)
    assert (preview["status"], preview["filled_gpus"], preview["resting_gpus"]) == ("partially_filled", 2, 3)
    assert preview["fills"] == [
        {
            "price_cny_per_gpu_hour": "4.20",
            "quantity_gpus": 2,
            "starts_at": bid["starts_at"],
            "ends_at": bid["ends_at"],
            "gpu_hours": 4,
            "amount_cny": "16.80",
        }
    ]
    assert (preview["amount_cny"], preview["total_cny"], preview["cash_cny"]) == ("16.80", "16.80", "8.40")
    assert [voucher["amount_cny"] for voucher in preview["vouchers"]] == ["8.40"]
    assert preview["needed_cny"] == "45.00"
    assert preview["held"]["cash_cny"] == "27.00"
    poor = await buyer.post(
        "/v1/orders/preview", {**bid, "quantity_gpus": 1_000_000, "vouchers": "none"}, 200
    )
    assert (poor["status"], poor["refusal"]["code"]) == ("rejected", "insufficient_funds")
    far = await buyer.post("/v1/orders/preview", {**bid, "price_cny_per_gpu_hour": "999.00"}, 200)
    assert far["refusal"]["errors"][0]["pointer"] == "/price_cny_per_gpu_hour"
    problem(await buyer.send("POST", "/v1/orders/preview", json={**bid, "hours": 9}), 422, "invalid_body")
    ask = stage.order("sell", "sells", (20, 22), price_cny_per_gpu_hour="3.90")
    sold = await provider.post("/v1/orders/preview", ask, 200)
    assert (sold["status"], sold["filled_gpu_hours"], sold["amount_cny"]) == ("filled", 4, "15.60")
    assert float(sold["total_cny"]) == float(sold["amount_cny"]) - float(sold["fee_cny"])
    assert "cash_cny" not in sold
    assert await stage.house.rows() == before


async def test_own_trades_are_listed_page_by_page_and_narrowed(stage: Stage) -> None:
    buyer, provider = stage.strangers.buyer, stage.strangers.provider
    deposit = {"participant_id": buyer.id, "amount_cny": "1000.00"}
    await stage.operator.post("/v1/deposits", deposit)
    await provider.post("/v1/orders", stage.order("sell", "trades", (90, 95), quantity_gpus=9))
    bids = [
        outcome["order"]["id"]
        for outcome in await batch(
            buyer, [stage.order("buy", f"trades-{number}", (90, 92), quantity_gpus=1) for number in range(5)]
        )
    ]
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        given = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = await buyer.get("/v1/trades", **given)
        seen += page["data"]
        cursor = page["next_cursor"]
    assert [trade["order_id"] for trade in seen] == bids[::-1]
    [one] = (await buyer.get("/v1/trades", order_id=bids[2]))["data"]
    assert (one["client_order_id"], one["side"], one["liquidity"]) == ("trades-2", "buy", "taker")
    assert (one["amount_cny"], one["gpu_hours"], one["lease_id"][4:]) == ("8.40", 2, one["id"][4:])
    sold = (await provider.get("/v1/trades", product=one["product"]))["data"]
    assert [trade["id"] for trade in sold] == [trade["id"] for trade in seen]
    assert {(trade["side"], trade["liquidity"], trade["client_order_id"]) for trade in sold} == {
        ("sell", "maker", "trades")
    }
    assert (await provider.get("/v1/trades", order_id=bids[2]))["data"] == []
    unknown = await buyer.send("GET", "/v1/trades", params={"product": "no-such.product"})
    assert problem(unknown, 422, "invalid_query")["errors"][0]["code"] == "unknown_product"
    at = one["traded_at"]
    assert (await buyer.get("/v1/trades", traded_until=at))["data"] == []
    assert len((await buyer.get("/v1/trades", traded_from=at))["data"]) == 5
    answer = await buyer.send("GET", f"/v1/trades?traded_from={at}&traded_until={at}&order_id=trd_1")
    named = {fault["pointer"] for fault in problem(answer, 422, "invalid_query")["errors"]}
    assert named == {"?order_id", "?traded_until"}
