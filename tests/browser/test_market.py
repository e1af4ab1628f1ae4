"""Goal: on the market page anybody finds the cheapest hours by mouse, finger or keyboard, and sees trades.

Method: a real Chromium on the served exchange, with the scene of `tests.e2e.stage` and capacity of a second
product; what is live is caused through the API while the page is open.
"""

import itertools
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Response, Route, expect

from exchange.kit.clock import US_PER_SECOND, format_rfc3339, us_of_hour
from exchange.kit.fields import format_hour
from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.stage import LOT_PRODUCT, PRODUCT, Stage

_numbers = itertools.count(1)
OPEN = f"market?product={PRODUCT}&hours=3"


def number_of_test() -> str:
    return f"market-{next(_numbers)}"


@pytest.fixture(scope="module", autouse=True)
async def two_products(stage: Stage) -> None:
    """Offer a second product, in whole nodes, cheaper in some hours; and let both trade."""
    seller, buyer = stage.cast.provider, stage.cast.buyer
    for window, price in (((2, 40), "14.00"), ((10, 16), "11.50")):
        ask = stage.order("sell", number_of_test(), window, price_cny_per_gpu_hour=price)
        await seller.post("/v1/orders", {**ask, "product": LOT_PRODUCT, "quantity_gpus": 16})
    bid = stage.order("buy", number_of_test(), (10, 14), price_cny_per_gpu_hour="12.00")
    await buyer.post("/v1/orders", {**bid, "product": LOT_PRODUCT, "quantity_gpus": 8})


def rows(screen: Screen) -> Locator:
    """The products of the heat map."""
    return screen.page.locator(".heat-row")


def hours(screen: Screen) -> Locator:
    """The chosen hours one by one."""
    return screen.page.locator(".market-hours tbody tr")


@pytest.mark.parametrize("look", LOOKS)
async def test_the_market_in_every_look(open_screen: OpenScreen, look: Look) -> None:
    async with open_screen(look) as screen:
        await screen.open(OPEN)
        await expect(rows(screen)).to_have_count(2)
        # Tape and charts have come: every card has its chart or table.
        await expect(screen.page.locator(".market-panel .card")).to_have_count(5)
        await expect(screen.page.locator(".market-panel .loading")).to_have_count(0)
        await screen.check_accessible()
        await screen.check_fits()
        await screen.screenshot("market")


@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.long)])
async def test_the_table_has_the_same_as_text(open_screen: OpenScreen, language: Any) -> None:
    async with open_screen(Look(language=language)) as screen:
        await screen.open("market?view=table")
        table = screen.page.get_by_role("table")
        await expect(table.get_by_role("row")).to_have_count(3)
        cheapest = table.get_by_role("row").filter(has_text="H100")
        await expect(cheapest).to_contain_text("11.50")
        await screen.check_accessible()
        await screen.screenshot("market-table")
        await cheapest.get_by_role("button").click()
        await expect(screen.page.locator(".market-panel code")).to_have_text(LOT_PRODUCT)
        # It opened at its cheapest hour.
        await expect(hours(screen).first).to_contain_text("11.50")


@pytest.mark.long
async def test_filters_narrow_what_is_shown_and_stand_in_the_address(screen: Screen) -> None:
    await screen.open("market")
    await expect(rows(screen)).to_have_count(2)
    await screen.page.get_by_label("Accelerator").select_option("nvidia-t4")
    await expect(rows(screen)).to_have_count(1)
    await expect(rows(screen)).to_contain_text("T4")
    await expect(screen.page).to_have_url(re.compile(r"/console/market\?accelerator=nvidia-t4$"))
    await screen.page.reload()
    await expect(rows(screen)).to_have_count(1)
    await screen.page.get_by_label("Origin").select_option("domestic")
    await expect(screen.page.get_by_text("Nothing is listed here now")).to_be_visible()
    await screen.check_accessible()
    await screen.button("Clear filters").click()
    await expect(rows(screen)).to_have_count(2)
    await screen.page.get_by_label("Hub").select_option("guizhou")
    await expect(rows(screen)).to_have_count(1)
    await screen.page.get_by_label("Interconnect").select_option("pcie3")
    await expect(rows(screen)).to_have_count(0)


@pytest.mark.long
async def test_bids_free_gpus_and_days_are_a_click_away(screen: Screen) -> None:
    await screen.open("market?span=2")
    figure = rows(screen).filter(has_text="T4").locator(".heat-figure")
    await expect(figure).to_have_text("4.20")
    await screen.button("Free GPUs").click()
    await expect(figure).to_have_text(re.compile(r"^\d+$"))
    await expect(screen.page).to_have_url(re.compile(r"show=free"))
    await expect(screen.button("Free GPUs")).to_have_attribute("aria-pressed", "true")
    await screen.button("30 days").click()
    await expect(screen.page).to_have_url(re.compile(r"span=30"))
    await screen.button("Bid").click()
    await expect(screen.page.get_by_role("application")).to_have_accessible_name(re.compile("Bid$"))


async def test_the_keyboard_moves_over_the_calendar_says_where_it_is_and_opens_a_window(
    screen: Screen,
) -> None:
    await screen.open("market")
    calendar = screen.page.get_by_role("application")
    await calendar.focus()
    said = screen.page.locator(".visually-hidden[role=status]")
    for key, told in (
        ("ArrowRight", "H100"),
        ("PageDown", "Ask 14.00"),
        ("ArrowDown", "T4"),
        ("Home", "Ask 4.20"),
        ("End", "Ask None"),
        ("ArrowUp", "H100"),
    ):
        await screen.page.keyboard.press(key)
        await expect(said).to_contain_text(told)
    await screen.page.keyboard.press("Home")
    for _ in range(10):
        await screen.page.keyboard.press("ArrowRight")
    await screen.page.keyboard.press("Shift+ArrowRight")
    await screen.page.keyboard.press("Shift+ArrowRight")
    await expect(said).to_contain_text("3 hrs")
    await screen.page.keyboard.press("Enter")
    await expect(screen.page).to_have_url(re.compile(rf"product={LOT_PRODUCT}.*hours=3"))
    await expect(screen.page.locator(".market-panel code")).to_have_text(LOT_PRODUCT)
    await expect(calendar).to_be_focused()
    await screen.check_accessible()


async def test_the_mouse_drags_a_window_and_the_tip_tells_the_hour(screen: Screen) -> None:
    await screen.open("market")
    cells = screen.page.locator(".heat-body")
    await cells.hover(position={"x": 20 * 12 + 5, "y": 17})
    await expect(screen.page.locator(".heat-tip")).to_contain_text("Ask 11.50")
    await screen.page.mouse.down()
    await cells.hover(position={"x": 20 * 15 + 5, "y": 25})
    await screen.page.mouse.up()
    await expect(screen.page).to_have_url(re.compile(rf"product={LOT_PRODUCT}.*hours=4"))
    await expect(hours(screen)).to_have_count(4)
    await expect(hours(screen).first).to_contain_text("11.50")
    await screen.button("Close").click()
    await expect(screen.page.locator(".market-panel")).to_have_count(0)


@pytest.mark.long
async def test_a_finger_taps_the_first_and_the_last_hour(open_screen: OpenScreen) -> None:
    async with open_screen(Look(is_phone=True)) as screen:
        await screen.open("market")
        cells = screen.page.locator(".heat-body")
        await cells.tap(position={"x": 20 * 2 + 5, "y": 17})
        await expect(screen.page).to_have_url(re.compile(rf"product={LOT_PRODUCT}"))
        await cells.tap(position={"x": 20 * 5 + 5, "y": 17})
        await expect(screen.page).to_have_url(re.compile(r"hours=4"))


@pytest.mark.long
async def test_the_depth_follows_the_window_and_the_quantity(screen: Screen, stage: Stage) -> None:
    await screen.open(f"market?product={LOT_PRODUCT}")
    await screen.page.get_by_label("Hours", exact=True).fill("12")
    await screen.page.get_by_label("GPUs", exact=True).fill("16")
    await screen.page.keyboard.press("Tab")
    await expect(screen.page).to_have_url(re.compile(r"hours=12.*gpus=16"))
    depth = screen.page.get_by_role("region", name="Depth")
    fills = depth.locator("dd").first
    await expect(fills).to_have_text("0")  # the first two hours are not on offer
    await screen.page.goto(
        f"{screen.origin}/console/market?product={LOT_PRODUCT}&starts_at={stage.hour(14)}&hours=2&gpus=32"
    )
    await expect(fills).to_have_text("32")
    # In these hours 16 are on offer at 11.50, and 16 at 14.00.
    await expect(depth.locator("dd").nth(1)).to_have_text("12.75")
    await expect(depth.locator("dd").nth(2)).to_have_text("¥816.00")
    await depth.get_by_role("button", name=re.compile("table")).click()
    await expect(depth.get_by_role("table")).to_contain_text("11.50")


async def test_prices_and_trades_come_live(screen: Screen, stage: Stage) -> None:
    await screen.open(f"market?product={PRODUCT}&view=table")
    line = screen.page.get_by_role("table").first.get_by_role("row").filter(has_text="T4")
    tape = screen.page.get_by_role("region", name="Trades").locator("tbody tr")
    await expect(line).to_contain_text("4.20")
    await expect(tape.first).to_be_visible()
    before = await tape.count()
    ask = stage.order("sell", number_of_test(), (0, 6), price_cny_per_gpu_hour="3.97")
    await stage.cast.provider.post("/v1/orders", {**ask, "quantity_gpus": 5})
    await expect(line).to_contain_text("3.97")
    bid = stage.order("buy", number_of_test(), (1, 3), price_cny_per_gpu_hour="4.00")
    await stage.cast.buyer.post("/v1/orders", {**bid, "quantity_gpus": 3})
    await expect(tape).to_have_count(before + 1)
    await expect(tape.first).to_contain_text("3.97")
    await expect(screen.page.locator(".stream-state")).to_have_text("Live")


@pytest.mark.long
async def test_what_has_not_changed_is_not_sent_again(screen: Screen) -> None:
    seen: list[int] = []

    def watch(response: Response) -> None:
        if "/v1/market/calendar" in response.url:
            seen.append(response.status)

    screen.page.on("response", watch)
    await screen.open("market")
    while 304 not in seen:
        await screen.page.wait_for_event("response")
    await expect(rows(screen)).to_have_count(2)


@pytest.mark.long
async def test_an_hour_that_begins_is_for_sale_no_more_before_anybody_says_so(
    screen: Screen, stage: Stage
) -> None:
    answers = 0

    async def tell_once(route: Route) -> None:
        nonlocal answers
        answers += 1
        if answers > 1:
            return  # it is never answered again
        first = stage.house.clock.hour() + 1
        now_us = us_of_hour(first) - US_PER_SECOND
        told = {
            "now_at": format_rfc3339(now_us),
            "first_hour_for_sale_at": format_hour(first),
            "seconds_per_hour": 3600,
        }
        await route.fulfill(json=told)

    await screen.page.route("**/v1/time", tell_once)
    next_hour = stage.hour(1).replace(":", "%3A")
    async with screen.page.expect_response(lambda answer: f"starts_at={next_hour}" in answer.url) as asked:
        await screen.open("market")
    assert (await asked.value).status == 200
    await screen.page.unroute_all(behavior="ignoreErrors")


@pytest.mark.long
async def test_an_unknown_product_is_told_and_breaks_nothing(screen: Screen) -> None:
    await screen.open("market")
    await expect(rows(screen)).to_have_count(2)
    await screen.page.goto(f"{screen.origin}/console/market?product=nothing")
    await expect(screen.page.get_by_text("There is no such product")).to_be_visible()
    await expect(rows(screen)).to_have_count(2)
