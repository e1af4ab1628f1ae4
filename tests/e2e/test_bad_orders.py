"""Goal: an order that breaks a rule is refused with every rule it breaks, and leaves nothing behind.

Method: over a real socket, good bids and asks with one thing or several changed. An order that the exchange
took and then denied (no money, no voucher, the book's own rules) is the exception: it stays on record as
rejected, moves no money, and gives the same answer again.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.served import Caller, pointers, problem
from tests.e2e.stage import LOT_PRODUCT, PRODUCT, Stage, staged

DENIED_ROWS = {"orders", "journal", "ledger_account"}
"""What a denied order may add to: accounts are opened when their owner first orders."""


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("bad_orders")) as ready:
        yield ready


def changes_of(stage: Stage) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """Return orders by side and what is changed of a good one, with the pointers and codes of the faults."""
    hour = stage.hour
    half = hour(4).replace(":00:00Z", ":30:00Z")
    almost = hour(4).replace(":00:00Z", ":00:00.000001Z")
    horizon = {"starts_at": hour(0), "ends_at": "2030-01-01T00:00:00Z"}
    both = {"starts_at": half, "ends_at": almost, "quantity_gpus": 3, "product": "no-such.product"}
    return [
        ("buy", {"product": LOT_PRODUCT, "quantity_gpus": 7}, {"/quantity_gpus": "not_a_lot_multiple"}),
        ("sell", {"product": LOT_PRODUCT, "quantity_gpus": 1}, {"/quantity_gpus": "not_a_lot_multiple"}),
        ("buy", {"product": "no-such.product"}, {"/product": "unknown_product"}),
        ("buy", {"starts_at": hour(-1)}, {"/starts_at": "window_in_past"}),
        ("buy", {"starts_at": "1969-12-31T23:00:00Z"}, {"/starts_at": "window_in_past"}),
        ("buy", {"starts_at": hour(8), "ends_at": hour(4)}, {"/ends_at": "window_inverted"}),
        ("buy", {"starts_at": hour(4), "ends_at": hour(4)}, {"/ends_at": "window_inverted"}),
        ("buy", {"starts_at": half}, {"/starts_at": "not_on_the_hour"}),
        ("buy", {"starts_at": almost}, {"/starts_at": "not_on_the_hour"}),
        ("sell", {"ends_at": hour(8).replace("Z", "+00:30")}, {"/ends_at": "not_on_the_hour"}),
        ("buy", horizon, {"/ends_at": "beyond_horizon"}),
        ("sell", horizon, {"/ends_at": "beyond_horizon"}),
        ("buy", {"hours": 5}, {"/hours": "longer_than_window"}),
        ("sell", {"min_hours": 5}, {"/min_hours": "longer_than_window"}),
        ("buy", {"price_cny_per_gpu_hour": "0.00"}, {"/price_cny_per_gpu_hour": "not_positive"}),
        ("buy", {"price_cny_per_gpu_hour": "9999999999999"}, {"/price_cny_per_gpu_hour": "out_of_range"}),
        ("buy", {"price_cny_per_gpu_hour": "4.205"}, {"/price_cny_per_gpu_hour": "pattern"}),
        ("buy", {"time_in_force": "gtd"}, {"/expires_at": "required"}),
        ("buy", {"time_in_force": "gtd", "expires_at": hour(-1)}, {"/expires_at": "in_past"}),
        ("buy", {"expires_at": hour(5)}, {"/expires_at": "not_applicable"}),
        ("buy", {"time_in_force": "ioc", "post_only": True}, {"/post_only": "not_applicable"}),
        ("buy", {"time_in_force": "fok", "fill": "partial"}, {"/fill": "not_applicable"}),
        ("buy", {"min_hours": 1}, {"/min_hours": "not_applicable"}),
        ("buy", {"reserved_for": ["startup"]}, {"/reserved_for": "not_applicable"}),
        (
            "sell",
            {"hours": 1, "vouchers": "auto"},
            {"/hours": "not_applicable", "/vouchers": "not_applicable"},
        ),
        ("buy", {"require": ["domestic"]}, {"/require/0": "not_applicable"}),
        ("buy", {"vouchers": []}, {"/vouchers": "too_short"}),
        ("buy", {"vouchers": [stage.ids["order_id"]]}, {"/vouchers/0": "bad_id"}),
        ("buy", {"vouchers": [stage.ids["voucher_id"]] * 2}, {"/vouchers/1": "duplicate"}),
        (
            "buy",
            {**both, "side": "buy", "price_cny_per_gpu_hour": 4.2, "fill": "some", "more": 1},
            {
                "/starts_at": "not_on_the_hour",
                "/ends_at": "not_on_the_hour",
                "/product": "unknown_product",
                "/price_cny_per_gpu_hour": "wrong_type",
                "/fill": "not_one_of",
                "/more": "unknown_field",
            },
        ),
        (
            "sell",
            {"product": LOT_PRODUCT, "starts_at": hour(-2), "ends_at": hour(-3), "client_order_id": ""},
            {
                "/client_order_id": "pattern",
                "/quantity_gpus": "not_a_lot_multiple",
                "/starts_at": "window_in_past",
                "/ends_at": "window_inverted",
            },
        ),
    ]


async def test_every_broken_rule_is_named_and_nothing_happens(stage: Stage) -> None:
    before = await stage.house.rows()
    for side, changes, expected in changes_of(stage):
        caller = stage.cast.buyer if side == "buy" else stage.cast.provider
        order = stage.order(side, "broken", (4, 8)) | changes
        refused = problem(await caller.send("POST", "/v1/orders", json=order), 422, "invalid_body")
        assert {fault["pointer"]: fault["code"] for fault in refused["errors"]} == expected, changes
        assert refused["outcome"] == "not_applied"
    assert await stage.house.rows() == before


@pytest.mark.parametrize("without", [{}, {"vouchers": "none"}])
async def test_vouchers_only_and_no_vouchers_is_refused_at_every_door(
    stage: Stage, without: dict[str, str]
) -> None:
    buyer = stage.cast.buyer
    wish = {"voucher_policy": "only_eligible", **without}
    order = stage.order("buy", f"no-vouchers-{len(without)}", (4, 8), price_cny_per_gpu_hour="3.90")
    placed = await buyer.post("/v1/orders", order)
    before = await stage.house.rows()
    changed = order | wish | {"client_order_id": "only"}
    [in_batch] = (await buyer.post("/v1/orders/batch", {"orders": [changed]}, status=200))["data"]
    answers = [
        await buyer.send("POST", "/v1/orders", json=changed),
        await buyer.send("POST", "/v1/orders/preview", json=changed),
        await buyer.send("PATCH", f"/v1/orders/{placed['id']}", json=wish),
    ]
    problems = [problem(answer, 422, "invalid_body") for answer in answers]
    for refused in (in_batch["problem"], *problems):
        assert {fault["pointer"]: fault["code"] for fault in refused["errors"]} == {
            "/voucher_policy": "not_applicable"
        }
    assert await stage.house.rows() == before


async def test_a_whole_order_sent_back_without_its_vouchers_says_so(stage: Stage) -> None:
    buyer = stage.cast.buyer
    order = stage.order(
        *("buy", "back-without", (4, 8)),
        vouchers="auto",
        voucher_policy="only_eligible",
        price_cny_per_gpu_hour="2.10",
    )
    placed = await buyer.post("/v1/orders", order)
    back = {name: order[name] for name in order.keys() - {"client_order_id", "product", "side"}}
    path = f"/v1/orders/{placed['id']}"
    refused = problem(await buyer.send("PATCH", path, json=back | {"vouchers": "none"}), 422)
    assert pointers(refused) == {"/voucher_policy"}
    cash = await buyer.send("PATCH", path, json={"vouchers": "none"})
    assert (cash.status_code, cash.json()["vouchers"]) == (200, "none")


async def denied(
    stage: Stage, caller: Caller, order: dict[str, Any], status: int, code: str
) -> dict[str, Any]:
    """Send an order that must be denied, twice: it stays on record, no money moves, the answer stands."""
    before = await stage.house.rows()
    first = await caller.send("POST", "/v1/orders", json=order)
    refused = problem(first, status, code)
    assert refused["outcome"] == "applied"
    after = await stage.house.rows()
    assert {name for name in after if after[name] != before[name]} <= DENIED_ROWS
    assert after["orders"] == before["orders"] + 1
    again = await caller.send("POST", "/v1/orders", json=order)
    replayed = problem(again, status, code)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert replayed | {"request_id": ""} == refused | {"request_id": ""}
    assert await stage.house.rows() == after
    (listed,) = (await caller.get("/v1/orders", client_order_id=order["client_order_id"]))["data"]
    assert listed["status"] == "rejected"
    return refused


async def test_too_little_money_is_402(stage: Stage) -> None:
    poor = stage.order("buy", "poor", (4, 8), quantity_gpus=1_000_000)
    await denied(stage, stage.cast.buyer, poor, 402, "insufficient_funds")
    await denied(stage, stage.strangers.buyer, stage.order("buy", "none", (4, 8)), 402, "insufficient_funds")


async def test_foreign_and_unknown_vouchers_are_the_same_to_an_order(stage: Stage) -> None:
    stranger = stage.strangers.buyer
    unknown = "vch_7zzzzzzzzzzzz"
    answers = []
    for name, voucher_id in (("foreign", stage.ids["voucher_id"]), ("unknown", unknown)):
        order = stage.order("buy", f"voucher-{name}", (4, 8), vouchers=[voucher_id])
        refused = await denied(stage, stranger, order, 409, "no_usable_voucher")
        (fault,) = refused["errors"]
        answers.append((fault["code"], fault["detail"].replace(voucher_id, "")))
    assert answers[0] == answers[1]
    assert answers[0][0] == "voucher_unknown"


async def test_a_price_outside_the_collar_is_the_books_refusal(stage: Stage) -> None:
    order = stage.order("buy", "collar", (4, 8), price_cny_per_gpu_hour="400.00")
    assert pointers(await denied(stage, stage.cast.buyer, order, 409, "order_rejected")) == {
        "/price_cny_per_gpu_hour"
    }


async def test_whoever_may_not_trade_may_not_trade(stage: Stage) -> None:
    before = await stage.house.rows()
    for caller, side in ((stage.operator, "buy"), (stage.operator, "sell")):
        order = stage.order(side, "role", (4, 8))
        problem(await caller.send("POST", "/v1/orders", json=order), 403, "wrong_role")
    for caller, side in ((stage.cast.provider, "buy"), (stage.cast.buyer, "sell")):
        order = stage.order(side, "role", (4, 8))
        problem(await caller.send("POST", "/v1/orders", json=order), 403, "forbidden")
    assert await stage.house.rows() == before


async def test_only_the_same_order_is_a_replay(stage: Stage) -> None:
    buyer = stage.cast.buyer
    order = stage.order("buy", "same", (4, 8), price_cny_per_gpu_hour="3.90")
    placed = await buyer.post("/v1/orders", order)
    before = await stage.house.rows()
    again = await buyer.send("POST", "/v1/orders", json=order)
    assert (again.status_code, again.json()["id"]) == (201, placed["id"])
    assert again.headers["idempotent-replayed"] == "true"
    for changes, code, pointer in (
        ({"quantity_gpus": 1}, "client_order_id_reused", "/client_order_id"),
        ({"dry_run": True}, "invalid_body", "/dry_run"),
        ({"product": f"{PRODUCT}x"}, "invalid_body", "/product"),
    ):
        answer = await buyer.send("POST", "/v1/orders", json=order | changes)
        assert pointers(problem(answer, 422, code)) == {pointer}
    assert await stage.house.rows() == before


async def test_a_halted_product_takes_no_orders(stage: Stage) -> None:
    phase = f"/v1/products/{PRODUCT}/phase"
    for name in ("halted", "cancel_only"):
        answer = await stage.operator.send("PUT", phase, json={"phase": name})
        assert answer.status_code == 200
        order = stage.order("buy", f"phase-{name}", (4, 8))
        refused = await denied(stage, stage.cast.buyer, order, 409, "order_rejected")
        assert pointers(refused) == {"/product"}
    await stage.operator.send("PUT", phase, json={"phase": "open"})
    await stage.cast.buyer.post("/v1/orders", stage.order("buy", "phase-open", (4, 8)))
