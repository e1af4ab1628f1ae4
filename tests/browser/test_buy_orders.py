"""Goal: a buyer follows its orders as they fill, changes or withdraws them, and reads its statement.

Method: Chromium on the served exchange; other parties act over HTTP, and what the page did is read through
the API.
"""

from typing import Any

import pytest
from playwright.async_api import Locator, WebSocketRoute, expect

from tests.browser.screen import Screen
from tests.e2e.served import Caller
from tests.e2e.stage import Stage


async def bid(
    stage: Stage, name: str, window: tuple[int, int], gpus: int = 2, **more: object
) -> dict[str, Any]:
    """Place a bid of the buyer's that rests."""
    order = stage.order("buy", name, window, quantity_gpus=gpus, price_cny_per_gpu_hour="3.10", **more)
    placed: dict[str, Any] = await stage.cast.buyer.post("/v1/orders", order)
    assert placed["status"] == "resting"
    return placed


async def sell(stage: Stage, name: str, window: tuple[int, int], gpus: int = 1) -> None:
    ask = stage.order("sell", name, window, quantity_gpus=gpus, price_cny_per_gpu_hour="3.10")
    await stage.cast.provider.post("/v1/orders", ask)


async def order_of(buyer: Caller, order_id: str) -> dict[str, Any]:
    order: dict[str, Any] = await buyer.get(f"/v1/orders/{order_id}")
    return order


def row_of(screen: Screen, name: str) -> Locator:
    return screen.page.locator("tbody tr").filter(has_text=name)


async def test_fills_that_others_cause_are_seen_as_they_come(screen: Screen, stage: Stage) -> None:
    placed = await bid(stage, "follows", (200, 204))
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy?tab=orders")
    row = row_of(screen, "follows")
    await row.get_by_role("button").first.click()
    detail = screen.page.locator(".buy-detail")
    await expect(detail.get_by_role("heading", level=2)).to_be_focused()
    await expect(detail).to_contain_text("Nothing is filled yet.")
    await sell(stage, "follows-1", (200, 204))
    # First what is shown for some seconds only.
    await expect(screen.page.locator(".toasts")).to_contain_text("1 GPU filled")
    await expect(row).to_contain_text("1 of 2", timeout=13_000)  # sooner than the list is read again
    await expect(row).to_contain_text("Partly filled")
    await expect(detail.locator("tbody tr")).to_have_count(1)
    await screen.screenshot("buy-partly")
    await screen.check_accessible()
    await sell(stage, "follows-2", (200, 204))
    await expect(detail).to_contain_text("2 of 2")
    await expect(row).to_have_count(0)
    assert (await order_of(stage.cast.buyer, placed["id"]))["status"] == "filled"
    await detail.get_by_role("button", name="Close").click()
    await expect(detail).to_have_count(0)


async def test_what_happened_while_the_line_was_cut_is_there_afterwards(screen: Screen, stage: Stage) -> None:
    lines: list[WebSocketRoute] = []
    is_cut = False

    async def between(line: WebSocketRoute) -> None:
        if is_cut:
            await line.close()
            return
        line.connect_to_server()
        lines.append(line)

    await screen.page.route_web_socket("**/v1/stream", between)
    await bid(stage, "cut-off", (210, 214))
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy?tab=orders")
    state = screen.page.locator(".stream-state")
    await expect(state).to_have_text("Live")
    await expect(row_of(screen, "cut-off")).to_contain_text("0 of 2")
    is_cut = True
    await lines[-1].close()
    await expect(state).not_to_have_text("Live")
    await sell(stage, "cut-off-1", (210, 214))
    is_cut = False
    # Sooner than the list is read again.
    await expect(row_of(screen, "cut-off")).to_contain_text("1 of 2", timeout=13_000)


async def test_a_smaller_quantity_keeps_its_place_and_another_price_does_not(
    screen: Screen, stage: Stage
) -> None:
    buyer = stage.cast.buyer
    placed = await bid(stage, "amended", (220, 224), gpus=4)
    await screen.log_in(buyer)
    await screen.open("buy?tab=orders")
    await screen.button("Amend: amended").click()
    dialog = screen.page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    await dialog.get_by_label("GPUs").fill("3")
    await expect(dialog).to_contain_text("keeps its place in the queue")
    await expect(dialog).to_contain_text("¥37.20")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    kept = await order_of(buyer, placed["id"])
    assert (kept["quantity_gpus"], kept["status"]) == (3, "resting")

    await screen.button("Amend: amended").click()
    await dialog.get_by_label("Limit price").fill("3.20")
    await expect(dialog).to_contain_text("behind all others of its price")
    await screen.screenshot("buy-amend")
    await screen.check_accessible()
    await dialog.get_by_role("button", name="Replace the order").click()
    await expect(dialog).to_be_hidden()
    await expect(row_of(screen, "amended")).to_contain_text("3.20")
    replaced = await order_of(buyer, placed["id"])
    assert replaced["status"] == "cancelled"
    assert (await order_of(buyer, replaced["replaced_by"]))["price_cny_per_gpu_hour"] == "3.20"


@pytest.mark.long
async def test_an_order_that_fills_while_it_is_amended_is_left_and_told(screen: Screen, stage: Stage) -> None:
    placed = await bid(stage, "raced", (230, 234), gpus=3)
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy?tab=orders")
    await screen.button("Amend: raced").click()
    dialog = screen.page.get_by_role("dialog")
    await dialog.get_by_label("GPUs").fill("2")
    await sell(stage, "raced-1", (230, 234))
    screen.expects(409, f"/v1/orders/{placed['id']}")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("4")
    await expect(dialog).to_contain_text("1 of them is filled")
    assert (await order_of(stage.cast.buyer, placed["id"]))["quantity_gpus"] == 3
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    assert (await order_of(stage.cast.buyer, placed["id"]))["quantity_gpus"] == 2


@pytest.mark.long
async def test_a_wrong_amendment_is_told_at_its_field(screen: Screen, stage: Stage) -> None:
    placed = await bid(stage, "wrongly", (240, 244))
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy?tab=orders")
    await screen.button("Amend: wrongly").click()
    dialog = screen.page.get_by_role("dialog")
    price = dialog.get_by_label("Limit price")
    await price.fill("three")
    screen.expects(422, f"/v1/orders/{placed['id']}")
    await dialog.get_by_role("button", name="Replace the order").click()
    await expect(price).to_have_attribute("aria-invalid", "true")
    await expect(price).to_be_focused()


async def test_one_order_is_withdrawn_and_then_all_of_a_product_once_that_is_confirmed(
    screen: Screen, stage: Stage
) -> None:
    buyer = stage.cast.buyer
    one = await bid(stage, "withdrawn-1", (250, 254))
    other = await bid(stage, "withdrawn-2", (250, 254))
    await screen.log_in(buyer)
    await screen.open("buy?tab=orders")
    await screen.button("Cancel: withdrawn-1").click()
    dialog = screen.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("¥24.80")
    await screen.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(screen.button("Cancel: withdrawn-1")).to_be_focused()
    assert (await order_of(buyer, one["id"]))["status"] == "resting"
    await screen.button("Cancel: withdrawn-1").click()
    await dialog.get_by_role("button", name="Cancel the order").click()
    await expect(row_of(screen, "withdrawn-1")).to_have_count(0)
    assert (await order_of(buyer, one["id"]))["status"] == "cancelled"
    assert (await order_of(buyer, other["id"]))["status"] == "resting"

    await screen.button("Cancel all").click()
    await expect(dialog).to_contain_text("Every product")
    await screen.check_accessible()
    await dialog.get_by_role("button", name="Cancel all of them").click()
    await expect(screen.page.locator("main")).to_contain_text("No live order")
    live = await buyer.get("/v1/orders", side="buy", status=["resting", "partially_filled", "accepted"])
    assert live["data"] == []


@pytest.mark.long
async def test_a_long_list_is_paged_and_another_filter_begins_at_its_first_page(
    screen: Screen, stage: Stage
) -> None:
    buyer = stage.strangers.buyer
    await stage.operator.post("/v1/deposits", {"participant_id": buyer.id, "amount_cny": "1000.00"})
    orders = [
        stage.order("buy", f"page-{number:02}", (260, 261), quantity_gpus=1, price_cny_per_gpu_hour="1.00")
        for number in range(30)
    ]
    await buyer.post("/v1/orders/batch", {"orders": orders}, status=200)
    await screen.log_in(buyer)
    await screen.open("buy?tab=orders")
    rows = screen.page.locator("tbody tr")
    await expect(rows).to_have_count(25)
    await expect(rows.first).to_contain_text("page-29")
    await screen.button("Older").click()
    await expect(rows).to_have_count(5)
    await expect(rows.last).to_contain_text("page-00")
    await screen.check_accessible()
    await screen.button("Newer").click()
    await expect(rows.first).to_contain_text("page-29")
    await screen.button("Older").click()
    await screen.button("All").click()
    await expect(rows).to_have_count(25)


@pytest.mark.long
async def test_the_order_of_another_is_not_shown(screen: Screen, stage: Stage) -> None:
    foreign = stage.ids["order_id"]
    await screen.log_in(stage.strangers.buyer)
    screen.expects(404, f"/v1/orders/{foreign}")
    await screen.open(f"buy?tab=orders&order={foreign}")
    await expect(screen.page.locator(".buy-detail").get_by_role("alert")).to_contain_text("no such order")


@pytest.mark.long
async def test_the_statement_tells_what_an_order_holds_and_leads_to_it(screen: Screen, stage: Stage) -> None:
    placed = await bid(stage, "stated", (270, 272), gpus=1)
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy?tab=account")
    cash = await stage.cast.buyer.get("/v1/accounts")
    [own] = [each for each in cash["data"] if each["purpose"] == "cash"]
    balances = screen.page.locator("section.card").first
    whole, _, decimals = own["available_cny"].partition(".")
    await expect(balances).to_contain_text(f"¥{int(whole):,}.{decimals}")
    statement = screen.page.locator("section.card").last
    held = statement.locator("tbody tr").filter(has_text=placed["id"])
    await expect(held).to_contain_text("Held for an order")
    await expect(held).to_contain_text("¥6.20")
    # What the order sets aside is free again while the page is open.
    await stage.cast.buyer.send("DELETE", f"/v1/orders/{placed['id']}")
    await expect(statement.locator("tbody tr").filter(has_text="Free again").first).to_contain_text("¥6.20")
    await statement.get_by_label("What for").select_option("deposit")
    await expect(statement.locator("tbody tr")).to_have_count(1)
    await expect(statement).to_contain_text("¥100,000.00")
    await statement.get_by_label("What for").select_option("")
    await held.first.get_by_role("button").click()
    await expect(screen.page.locator(".buy-detail")).to_contain_text("Withdrawn on request.")
