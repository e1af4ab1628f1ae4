"""Goal: a buyer sees what an order costs and who pays before it is placed, and places what was meant.

Method: Chromium on the served exchange; what the page did is read through the API by the buyer's own key.
Each test has hours of its own, so that none meets the asks of another.
"""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.stage import LOT_PRODUCT, PRODUCT, Stage, programme
from tests.hypothesis_profiles import sampled

TITLES = {"en": "Buy", "zh": "买入"}
TABS_MAX = 80


async def bids(stage: Stage) -> list[dict[str, Any]]:
    """The buyer's bids, oldest first."""
    found = await stage.cast.buyer.get("/v1/orders", side="buy", limit=1000)
    return list(found["data"][::-1])


def address(stage: Stage, first: int, hours: int = 4, gpus: int = 1, product: str = PRODUCT) -> str:
    """Where the market leads for some hours, counted from the first for sale."""
    return f"buy?product={product}&starts_at={stage.hour(first)}&hours={hours}&gpus={gpus}"


def form_of(screen: Screen) -> Locator:
    return screen.page.get_by_role("form", name={"en": "Order", "zh": "订单"}[screen.look.language])


def preview_of(screen: Screen) -> Locator:
    return screen.page.locator(".buy-preview")


async def sell(stage: Stage, name: str, window: tuple[int, int], price: str, gpus: int = 2) -> None:
    """Offer GPUs of the provider that the scene's programme admits."""
    ask = stage.order("sell", name, window, quantity_gpus=gpus, price_cny_per_gpu_hour=price)
    await stage.cast.provider.post("/v1/orders", ask)


async def tab_to(screen: Screen, wanted: Locator) -> None:
    """Reach a control as the keyboard does."""
    for _ in range(TABS_MAX):
        await screen.page.keyboard.press("Tab")
        if await wanted.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached by the keyboard")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("tab", sampled(["place", "orders", "account"], first=1))
async def test_the_page_in_every_look(open_screen: OpenScreen, stage: Stage, look: Look, tab: str) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.cast.buyer)
        await screen.open(f"buy?tab={tab}")
        await expect(screen.page.locator("h1")).to_have_text(TITLES[look.language])
        await expect(screen.page.locator(".loading")).to_have_count(0)
        await screen.screenshot(f"buy-{tab}")
        await screen.check_accessible()
        await screen.check_fits()


async def test_hours_dragged_on_the_calendar_are_bought_with_cash_and_a_voucher(
    screen: Screen, stage: Stage
) -> None:
    await sell(stage, "drag", (0, 6), "4.00")
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy")
    await screen.button("2 days").click()
    await expect(screen.button("2 days")).to_have_attribute("aria-pressed", "true")
    await expect(screen.page.locator(".heat-row").filter(has_text="NVIDIA T4 16 GB")).to_be_visible()
    await expect(screen.page.locator(".loading")).to_have_count(0)  # what comes above would push it down
    cells = screen.page.locator(".heat-body")
    box = await cells.bounding_box()
    assert box is not None
    rows = await screen.page.locator(".heat-row .heat-title").all_text_contents()
    middle = box["y"] + (rows.index("NVIDIA T4 16 GB") + 0.5) * 34
    await screen.page.mouse.move(box["x"] + 1.5 * 44, middle)
    await screen.page.mouse.down()
    await screen.page.mouse.move(box["x"] + 3.5 * 44, middle, steps=6)
    await screen.page.mouse.up()

    form = form_of(screen)
    await expect(form.get_by_label("Product")).to_have_value(PRODUCT)
    await form.get_by_label("GPUs").fill("2")
    await expect(form.locator(".buy-cheapest")).to_contain_text("2 of 2 GPUs would fill now")
    await screen.button("Use 4.00 as the limit").click()
    preview = preview_of(screen)
    # Three hours of two GPUs at 4.00; the scene's programme pays half.
    for told in ("Cost in all¥24.00", "Own cash¥12.00", "(50%)¥12.00", "Fee within it¥"):
        await expect(preview).to_contain_text(told)
    await screen.button("Review the order").click()
    dialog = screen.page.get_by_role("dialog", name="Place this order?")
    await expect(dialog).to_contain_text("Cost in all¥24.00")
    await screen.screenshot("buy-confirm")
    await screen.check_accessible()
    await dialog.get_by_role("button", name="Place the order").click()
    await expect(screen.page.locator(".buy-detail")).to_contain_text("2 of 2")
    [*_, placed] = await bids(stage)
    assert (placed["status"], placed["starts_at"], placed["ends_at"]) == (
        "filled",
        stage.hour(1),
        stage.hour(4),
    )
    assert [fill["voucher_cny"] for fill in placed["fills"]] == ["12.00"]


@pytest.mark.long
async def test_a_flexible_start_takes_the_cheapest_hours_of_its_window(screen: Screen, stage: Stage) -> None:
    await sell(stage, "flexible-dear", (60, 72), "4.10", gpus=1)
    await sell(stage, "flexible-cheap", (65, 68), "3.60", gpus=1)
    await screen.log_in(stage.cast.buyer)
    await screen.open(address(stage, 60, hours=12))
    await screen.button("Flexible start").click()
    form = form_of(screen)
    await form.get_by_label("Hours", exact=True).fill("3")
    cheapest = form.locator(".buy-cheapest")
    await expect(cheapest).to_contain_text("Cheapest start")
    await expect(cheapest.locator("time").first).to_have_attribute("datetime", stage.hour(65))
    await expect(cheapest).to_contain_text("¥10.80")
    await form.get_by_label("Limit price").fill("3.60")
    await expect(preview_of(screen)).to_contain_text("Cost in all¥10.80")
    await screen.screenshot("buy-flexible")
    await screen.button("Review the order").click()
    await screen.button("Place the order").click()
    await expect(screen.page.locator(".buy-detail")).to_be_visible()
    [*_, placed] = await bids(stage)
    assert (placed["hours"], placed["run_starts_at"]) == (3, stage.hour(65))


async def test_the_keyboard_alone_picks_hours_and_places_an_order(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy")
    calendar = screen.page.locator(".heat-frame")
    await expect(calendar).to_be_visible()
    before = len(await bids(stage))
    press = screen.page.keyboard.press
    await tab_to(screen, calendar)
    for key in ("End", "Shift+ArrowLeft", "Enter"):
        await press(key)
    form = form_of(screen)
    await expect(form.get_by_label("Product")).to_have_value(PRODUCT)
    await tab_to(screen, form.get_by_label("GPUs"))
    await screen.page.keyboard.type("1")
    await tab_to(screen, form.get_by_label("Limit price"))
    await screen.page.keyboard.type("2.50")
    await press("Enter")
    dialog = screen.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("¥5.00")
    await press("Escape")
    await expect(dialog).to_be_hidden()
    assert len(await bids(stage)) == before
    await expect(form.get_by_label("Limit price")).to_be_focused()
    await press("Enter")
    await expect(dialog).to_be_visible()
    await tab_to(screen, dialog.get_by_role("button", name="Place the order"))
    await press("Enter")
    heading = screen.page.locator("#buy-detail")
    await expect(heading).to_be_focused()
    [*_, placed] = await bids(stage)
    assert (len(await bids(stage)), placed["hours"], placed["status"]) == (before + 1, 2, "resting")


async def test_what_is_missing_or_wrong_is_told_at_its_field(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy")
    form = form_of(screen)
    await screen.button("Review the order").click()
    for label in ("Product", "Starts", "Ends", "GPUs", "Limit price"):
        await expect(form.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
    await expect(form.get_by_label("Product")).to_be_focused()
    await screen.check_accessible()
    await form.get_by_label("GPUs").fill("99999999999999999999")
    await screen.button("Review the order").click()
    await expect(form.get_by_label("GPUs")).to_have_accessible_description(
        "Enter a whole number of at most nine digits."
    )

    await screen.open(address(stage, 80))
    limit = form.get_by_label("Limit price")
    await limit.fill("999.00")
    await expect(limit).to_have_accessible_description(
        re.compile(
            "^Reference 2.31, at most 800% away must lie within the product's collar"
            " around its reference price: from 0.01 to "
        )
    )
    await expect(preview_of(screen)).to_contain_text("It would be refused")

    screen.expects(422, "/v1/orders/preview")
    await screen.open(address(stage, 80, gpus=3, product=LOT_PRODUCT))
    await limit.fill("20.00")
    quantity = form.get_by_label("GPUs")
    await expect(quantity).to_have_accessible_description(
        "In lots of 8 must be a multiple of the product's lot of 8 GPUs"
    )
    screen.expects(422, "/v1/orders/preview")
    await screen.button("Review the order").click()
    await expect(quantity).to_be_focused()
    await expect(screen.page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.long
async def test_a_voucher_that_cannot_pay_is_named_with_its_reason(screen: Screen, stage: Stage) -> None:
    cast = stage.cast
    short = programme("short-only", cast.provider.id, contract={"max_hours": 2})
    made = await cast.issuer.post("/v1/programmes", short)
    wish = {"programme_id": made["id"], "buyer_id": cast.buyer.id, "amount_cny": "50.00"}
    voucher = await cast.issuer.post("/v1/vouchers", wish)
    await screen.log_in(cast.buyer)
    await screen.open(address(stage, 90))
    form = form_of(screen)
    await form.get_by_label("Limit price").fill("3.00")
    preview = preview_of(screen)
    await expect(preview).to_contain_text("Vouchers that do not pay")
    await expect(preview).to_contain_text(f"short-only …{voucher['id'][-6:]}")
    before = len(await bids(stage))
    await screen.button("These").click()
    await form.get_by_label(voucher["id"]).check()
    await expect(preview).to_contain_text("It would be refused")
    await screen.button("Review the order").click()
    chosen = form.get_by_label(voucher["id"])
    await expect(chosen).to_be_focused()
    await expect(chosen).to_have_accessible_description(
        "Does not pay /contract/max_hours: contracts of at most 2 hours are paid, and this one is of 4"
    )
    await screen.screenshot("buy-refused-voucher")
    await screen.check_accessible()
    await expect(screen.page.get_by_role("dialog")).to_have_count(0)
    assert len(await bids(stage)) == before


@pytest.mark.long
async def test_an_order_that_is_denied_after_all_says_why_and_stays_in_the_form(
    screen: Screen, stage: Stage
) -> None:
    buyer = stage.strangers.buyer
    await stage.operator.post("/v1/deposits", {"participant_id": buyer.id, "amount_cny": "100.00"})
    await screen.log_in(buyer)
    await screen.open(address(stage, 100))
    form = form_of(screen)
    await form.get_by_label("Limit price").fill("20.00")
    await expect(preview_of(screen)).to_contain_text("Cash that must be free¥80.00")
    await screen.button("Review the order").click()
    # Somebody else of the company takes the money meanwhile.
    other = stage.order("buy", "first", (110, 112), quantity_gpus=1, price_cny_per_gpu_hour="18.00")
    await buyer.post("/v1/orders", other)
    screen.expects(402, "/v1/orders")
    await screen.button("Place the order").click()
    problem = form.locator(".form-problem")
    await expect(problem).to_contain_text("80.00 CNY, of which 64.00 CNY are free")
    await expect(problem).to_be_focused()
    await expect(form.get_by_label("Limit price")).to_have_value("20.00")
    await screen.page.get_by_role("tab", name="Orders").click()
    await screen.button("Ended").click()
    denied = screen.page.locator("tbody tr").filter(has_text="Rejected")
    await denied.get_by_role("button").first.click()
    await expect(screen.page.locator(".buy-detail")).to_contain_text("too little free cash")


async def test_a_lost_answer_is_sent_again_and_buys_once(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open(address(stage, 130))
    await form_of(screen).get_by_label("Limit price").fill("2.40")
    await screen.button("Review the order").click()
    before = len(await bids(stage))
    lost = 0

    async def lose(route: Any) -> None:
        nonlocal lost
        lost += 1
        if lost == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await screen.page.route("**/v1/orders", lose)
    await screen.button("Place the order").click()
    await expect(screen.page.locator(".buy-detail")).to_contain_text("Resting")
    assert lost >= 2
    assert len(await bids(stage)) == before + 1


@pytest.mark.long
async def test_a_key_that_may_only_read_places_nothing(screen: Screen, stage: Stage) -> None:
    buyer = stage.cast.buyer
    key = await stage.operator.key_of(buyer.id, ["read"])
    await screen.log_in(buyer.with_key(key["secret"]))
    await screen.open(address(stage, 140))
    await expect(screen.page.locator("main")).to_contain_text("may read but not trade")
    await expect(screen.button("Review the order")).to_be_disabled()
    await screen.page.get_by_role("tab", name="Orders").click()
    await expect(screen.page.locator("tbody tr").first).to_be_visible()
    await expect(screen.button("Cancel all")).to_have_count(0)


async def test_hours_of_the_market_are_bought_in_chinese_on_a_phone(
    open_screen: OpenScreen, stage: Stage
) -> None:
    await sell(stage, "phone", (150, 152), "3.80", gpus=1)
    async with open_screen(Look(language="zh", is_phone=True)) as screen:
        await screen.log_in(stage.cast.buyer)
        await screen.open(f"market?product={PRODUCT}&starts_at={stage.hour(150)}&hours=2&gpus=1")
        await screen.page.get_by_role("link", name="买入这些时段").tap()
        await expect(screen.page.locator("h1")).to_have_text("买入")
        limit = form_of(screen).get_by_label("限价")
        await limit.fill("999.00")
        await expect(limit).to_have_accessible_description(re.compile("价格偏离.*当时允许 0.01 至 "))
        await screen.button("以 3.80 为限价").tap()
        await expect(preview_of(screen)).to_contain_text("7.60")
        await screen.button("核对订单").tap()
        await screen.screenshot("buy-confirm")
        await screen.check_fits()
        await screen.page.get_by_role("dialog").get_by_role("button").last.tap()
        await expect(screen.page.locator(".buy-detail")).to_contain_text("全部成交")
        await screen.screenshot("buy-detail")
        await screen.check_fits()
        await screen.check_accessible()
