"""Goal: a provider does its whole job on the Sell page, and nothing there happens by accident.

Method: Chromium on the served exchange; what the page did is read through the API by the provider's own key.
"""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.served import eventually
from tests.e2e.stage import PRODUCT, Stage
from tests.hypothesis_profiles import sampled

DROP = """(node, text) => {
  const files = new DataTransfer();
  files.items.add(new File([text], "plan.csv"));
  node.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}"""
HEAD = "client_order_id,product,quantity_gpus,starts_at,ends_at,price_cny_per_gpu_hour"


async def asks(stage: Stage, prefix: str = "") -> list[dict[str, Any]]:
    """The provider's asks, oldest first."""
    found = await stage.cast.provider.get("/v1/orders", side="sell", limit=1000)
    own = [each for each in found["data"] if each["client_order_id"].startswith(prefix)]
    return own[::-1]


def row_of(screen: Screen, name: str) -> Locator:
    return screen.page.locator("tbody tr").filter(has_text=name)


def card_of(screen: Screen, heading: str) -> Locator:
    title = screen.page.get_by_role("heading", name=heading)
    return screen.page.locator("section.card").filter(has=title)


def line(stage: Stage, name: str, gpus: object = 2, price: str = "4.10") -> str:
    return f"{name},{PRODUCT},{gpus},{stage.hour(60)},{stage.hour(70)},{price}"


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("part", sampled(["capacity", "asks", "earnings"], first=1))
async def test_the_page_in_every_look(open_screen: OpenScreen, stage: Stage, look: Look, part: str) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.cast.provider)
        await screen.open(f"sell?part={part}")
        await expect(screen.page.locator("h1")).to_have_text({"en": "Sell", "zh": "卖出"}[look.language])
        await expect(screen.page.locator(".loading")).to_have_count(0)
        await screen.screenshot(f"sell-{part}")
        await screen.check_accessible()
        await screen.check_fits()


async def test_capacity_is_listed_by_form_once_it_was_shown(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.provider)
    await screen.open("sell")
    before = len(await asks(stage))
    form = screen.page.get_by_role("form", name="List capacity")
    await form.get_by_label("Product").select_option(PRODUCT)
    await form.get_by_label("GPUs").fill("0")
    await form.get_by_label("Price").fill("4.105")
    screen.expects(422, "/v1/orders/preview")
    await screen.button("Check and list").click()
    gpus, price = form.get_by_label("GPUs"), form.get_by_label("Price")
    await expect(gpus).to_have_attribute("aria-invalid", "true")
    await expect(gpus).to_be_focused()
    await expect(gpus).to_have_accessible_description("must be from 1 to 1000000")
    await expect(price).to_have_attribute("aria-invalid", "true")
    await screen.check_accessible()
    await screen.screenshot("sell-form-faults")

    await gpus.fill("3")
    await price.fill("4.40")
    await expect(form).to_contain_text("72 GPU-hours, ¥316.80 at this price")
    await screen.button("Check and list").click()
    dialog = screen.page.get_by_role("dialog", name="List this capacity?")
    await expect(dialog).to_contain_text("3 GPUs of NVIDIA T4")
    await screen.check_accessible()
    await screen.screenshot("sell-form-confirm")
    assert len(await asks(stage)) == before
    await dialog.get_by_role("button", name="Cancel").click()
    assert len(await asks(stage)) == before
    await screen.button("Check and list").click()
    await dialog.get_by_role("button", name="List it").click()
    await expect(dialog).to_be_hidden()
    await expect(screen.page.locator(".toast-good")).to_contain_text("3 GPUs of")
    [*_, placed] = await asks(stage)
    assert (placed["quantity_gpus"], placed["price_cny_per_gpu_hour"], placed["hours"]) == (3, "4.40", 24)
    assert len(await asks(stage)) == before + 1


@pytest.mark.long
async def test_what_the_book_would_refuse_stands_at_its_field(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.provider)
    await screen.open("sell")
    form = screen.page.get_by_role("form", name="List capacity")
    await form.get_by_label("Product").select_option(PRODUCT)
    await form.get_by_label("GPUs").fill("1")
    await form.get_by_label("Price").fill("9999.00")
    await screen.button("Check and list").click()
    await expect(form.get_by_label("Price")).to_have_attribute("aria-invalid", "true")
    await expect(form.locator(".fault")).to_contain_text("around its reference price: from 0.01 to ")


@pytest.mark.long
async def test_the_keyboard_chooses_hours_and_lists_capacity(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.provider)
    await screen.open("sell")
    calendar = screen.page.get_by_role("application")
    await calendar.focus()
    for _ in range(30):
        await screen.page.keyboard.press("ArrowRight")
    for _ in range(5):
        await screen.page.keyboard.press("Shift+ArrowRight")
    await screen.page.keyboard.press("Enter")
    await screen.page.keyboard.press("Tab")
    await expect(screen.button("List capacity for these hours")).to_be_focused()
    await screen.page.keyboard.press("Enter")
    gpus = screen.page.get_by_role("form", name="List capacity").get_by_label("GPUs")
    await expect(gpus).to_be_focused()
    await screen.page.keyboard.type("5")
    await screen.page.keyboard.press("Tab")
    await screen.page.keyboard.type("4.35")
    await screen.page.keyboard.press("Enter")
    dialog = screen.page.get_by_role("dialog", name="List this capacity?")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="List it").focus()
    await screen.page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    [*_, placed] = await asks(stage)
    assert (placed["product"], placed["quantity_gpus"], placed["hours"]) == (PRODUCT, 5, 6)
    assert placed["starts_at"] == stage.hour(29)


async def test_a_file_is_checked_mended_in_place_and_listed(
    screen: Screen, stage: Stage, tmp_path: Path
) -> None:
    file = tmp_path / "plan.csv"
    lines = [
        HEAD,
        line(stage, "plan-1"),
        line(stage, "plan-2", gpus="many"),
        line(stage, "plan-3", price="0.001"),
    ]
    file.write_text("\r\n".join([*lines, ""]))
    await screen.log_in(stage.cast.provider)
    await screen.open("sell")
    await screen.page.locator("input[type=file]").set_input_files(file)
    card = screen.page.locator("section.card").filter(
        has=screen.page.get_by_role("heading", name="From a file")
    )
    await expect(card.get_by_label("Line 3")).to_have_value(lines[2])
    await expect(card.get_by_label("Line 3")).to_have_accessible_description(
        "quantity_gpus must be a whole number, not a string"
    )
    await expect(card.get_by_label("Line 4")).to_have_attribute("aria-invalid", "true")
    await screen.check_accessible()
    await screen.screenshot("sell-file-faults")
    assert await asks(stage, "plan-") == []
    await screen.button("List the 1 good line").click()
    await eventually(lambda: asks(stage, "plan-"), lambda found: len(found) == 1)

    await card.get_by_label("Line 3").fill(line(stage, "plan-2", gpus=8))
    await card.get_by_label("Line 4").fill(line(stage, "plan-3"))
    await screen.button("Check again").click()
    await screen.button("List 2 asks").click()
    await expect(screen.page.locator(".toast-good").last).to_contain_text("2 asks listed, 100 GPU-hours")
    found = await asks(stage, "plan-")
    assert [(each["client_order_id"], each["quantity_gpus"]) for each in found] == [
        ("plan-1", 2),
        ("plan-2", 8),
        ("plan-3", 2),
    ]
    # The file as it was once more: what is mended there too is known, and nothing is listed twice.
    file.write_text("\n".join([HEAD, line(stage, "plan-1")]))
    await screen.page.locator("input[type=file]").set_input_files(file)
    await expect(card).to_contain_text("All of this file is listed already.")
    assert len(await asks(stage, "plan-")) == 3


@pytest.mark.long
async def test_a_file_is_dropped_and_its_header_is_wrong(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.provider)
    await screen.open("sell")
    screen.expects(422, "/v1/capacity/import")
    await screen.page.locator(".drop").evaluate(DROP, HEAD.replace("product", "produkt"))
    await expect(screen.page.get_by_label("Line 1")).to_be_visible()
    await expect(screen.page.locator(".lines")).to_contain_text("produkt")
    await screen.page.locator("input[type=file]").set_input_files(
        {"name": "plan.xlsx", "mimeType": "application/zip", "buffer": b"PK"}
    )
    await expect(screen.page.locator(".notice-bad")).to_contain_text(".csv")


async def test_an_ask_is_amended_and_withdrawn(screen: Screen, stage: Stage) -> None:
    ask = stage.order("sell", "to-amend", (80, 90), quantity_gpus=8, price_cny_per_gpu_hour="4.60")
    await stage.cast.provider.post("/v1/orders", ask)
    await screen.log_in(stage.cast.provider)
    await screen.open("sell?part=asks")
    await screen.page.get_by_role("button", name="Amend to-amend", exact=True).click()
    dialog = screen.page.get_by_role("dialog", name="Amend ask")
    await dialog.get_by_label("GPUs").fill("6")
    await expect(dialog).to_contain_text("keeps its place in the queue")
    await dialog.get_by_label("Price").fill("nothing")
    await expect(dialog).to_contain_text("at the end of the queue")
    screen.expects(422, "/v1/orders/" + (await asks(stage, "to-amend"))[0]["id"])
    await dialog.get_by_role("button", name="Amend it").click()
    await expect(dialog.get_by_label("Price")).to_have_attribute("aria-invalid", "true")
    await screen.check_accessible()
    await screen.screenshot("sell-amend")
    await dialog.get_by_label("Price").fill("4.60")
    await dialog.get_by_role("button", name="Amend it").click()
    await expect(dialog).to_be_hidden()
    await expect(screen.page.locator(".toast-good")).to_contain_text("kept its place")
    [told] = await asks(stage, "to-amend")
    assert told["quantity_gpus"] == 6
    withdraw = screen.page.get_by_role("button", name="Withdraw to-amend", exact=True)
    await withdraw.click()
    sure = screen.page.get_by_role("dialog", name="Withdraw this ask?")
    await expect(sure).to_contain_text("60 GPU-hours")
    await sure.get_by_role("button", name="Cancel").click()
    assert (await asks(stage, "to-amend"))[0]["status"] == "resting"
    await expect(withdraw).to_be_focused()
    await withdraw.click()
    await sure.get_by_role("button", name="Withdraw", exact=True).click()
    await expect(row_of(screen, "to-amend")).to_have_count(0)
    assert (await asks(stage, "to-amend"))[0]["status"] == "cancelled"
    await screen.button("Ended").click()
    await expect(row_of(screen, "to-amend")).to_contain_text("Cancelled")


@pytest.mark.long
async def test_an_ask_that_fills_while_it_is_amended_is_left_and_told(screen: Screen, stage: Stage) -> None:
    ask = stage.order("sell", "raced-ask", (140, 144), quantity_gpus=4, price_cny_per_gpu_hour="4.10")
    placed = await stage.cast.provider.post("/v1/orders", ask)
    await screen.log_in(stage.cast.provider)
    await screen.open("sell?part=asks")
    await screen.page.get_by_role("button", name="Amend raced-ask", exact=True).click()
    dialog = screen.page.get_by_role("dialog", name="Amend ask")
    await dialog.get_by_label("GPUs").fill("3")
    bid = stage.order("buy", "races", (140, 144), quantity_gpus=1, price_cny_per_gpu_hour="4.10")
    await stage.cast.buyer.post("/v1/orders", bid)
    screen.expects(409, f"/v1/orders/{placed['id']}")
    await dialog.get_by_role("button", name="Amend it").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await expect(dialog).to_contain_text("4 GPU-hours sold")
    assert (await asks(stage, "raced-ask"))[0]["quantity_gpus"] == 4
    await dialog.get_by_role("button", name="Amend it").click()
    await expect(dialog).to_be_hidden()
    assert (await asks(stage, "raced-ask"))[0]["quantity_gpus"] == 3


@pytest.mark.long
async def test_what_a_buyer_takes_shows_at_once(screen: Screen, stage: Stage) -> None:
    ask = stage.order("sell", "to-sell", (110, 120), quantity_gpus=4, price_cny_per_gpu_hour="3.90")
    await stage.cast.provider.post("/v1/orders", ask)
    await screen.log_in(stage.cast.provider)
    await screen.open("sell?part=asks")
    row = row_of(screen, "to-sell")
    await expect(row).to_contain_text("0%")
    bid = stage.order("buy", "takes-half", (110, 120), quantity_gpus=2, price_cny_per_gpu_hour="3.90")
    await stage.cast.buyer.post("/v1/orders", bid)
    await expect(row).to_contain_text("50%", timeout=18_000)  # sooner than the list is read again
    await expect(row).to_contain_text("Partly filled")


async def test_earnings_and_claims_say_what_the_api_says(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.provider)
    await screen.open("sell?part=earnings")
    [claim] = (await stage.cast.provider.get("/v1/claims"))["data"]
    await expect(row_of(screen, claim["id"])).to_contain_text("Submitted")
    await expect(row_of(screen, claim["id"])).to_contain_text("张家口算力券")
    await expect(row_of(screen, claim["id"])).to_contain_text(f"¥{claim['amount_cny']}")
    earnings = card_of(screen, "Earnings by day")
    await expect(earnings).to_contain_text(f"¥{claim['amount_cny']}")
    await screen.page.get_by_role("button", name="CNY by the day of delivery: Show as table").click()
    await expect(earnings.locator("tbody tr")).to_have_count(37)


@pytest.mark.long
async def test_who_does_not_list_capacity_is_told_so(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.page.goto(f"{screen.origin}/console/sell")
    await expect(screen.page.get_by_text("This page is not for your login")).to_be_visible()
    await expect(screen.page.get_by_role("link", name="Sell")).to_have_count(0)


@pytest.mark.long
async def test_a_new_provider_is_shown_where_to_begin(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.strangers.provider)
    await screen.open("sell")
    await expect(screen.page.get_by_text("No capacity in these days")).to_be_visible()
    await screen.check_accessible()
    await screen.screenshot("sell-empty")
    await screen.page.get_by_role("tab", name="My asks").click()
    await expect(screen.page.get_by_text("Nothing on offer")).to_be_visible()
    await screen.page.get_by_role("tab", name="Earnings and claims").click()
    await expect(screen.page.get_by_text("No programme owes you anything")).to_be_visible()
