"""Goal: both sides see what is coming, running and delivered, and an outage is reported on purpose.

Method: Chromium on the served exchange, its clock driven by hand; what the page did is read through the API.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import expect

from exchange.kit.fields import format_hour
from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.stage import Stage

MakeLease = Callable[[tuple[int, int]], Awaitable[dict[str, Any]]]


@pytest.fixture
def make_lease(stage: Stage, request: pytest.FixtureRequest) -> MakeLease:
    """Sell 3 GPUs of a stranger's for a window of hours from the first hour for sale."""
    name: str = request.node.name[:40].replace("[", "-").replace("]", "")

    async def make(window: tuple[int, int]) -> dict[str, Any]:
        terms = {"quantity_gpus": 3, "price_cny_per_gpu_hour": "2.50"}
        await stage.strangers.provider.post("/v1/orders", stage.order("sell", name, window, **terms))
        await stage.cast.buyer.post("/v1/orders", stage.order("buy", name, window, **terms))
        [lease, *_] = (await stage.strangers.provider.get("/v1/leases"))["data"]
        found: dict[str, Any] = lease
        return found

    return make


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
async def test_the_list_and_a_lease_in_every_look(open_screen: OpenScreen, stage: Stage, look: Look) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.cast.buyer)
        await screen.open("leases")
        await expect(screen.page.locator("h1")).to_have_text({"en": "Leases", "zh": "租约"}[look.language])
        await expect(screen.page.locator("tbody tr").first).to_be_visible()
        await screen.screenshot("leases")
        await screen.check_accessible()
        await screen.check_fits()
        await screen.open(f"leases?lease={stage.ids['lease_id']}")
        await expect(screen.page.locator(".lease-cells").first).to_be_visible()
        await screen.screenshot("lease")
        await screen.check_accessible()
        await screen.check_fits()


async def test_what_is_coming_running_and_delivered_stands_apart_and_follows_the_clock(
    screen: Screen, stage: Stage, make_lease: MakeLease
) -> None:
    lease = await make_lease((0, 2))
    await screen.log_in(stage.strangers.provider)
    await screen.open("leases")
    row = screen.page.locator("tbody tr").filter(has=screen.button(f"Details of {lease['id']}"))
    await expect(row).to_contain_text("Coming")
    await screen.button("Running").click()
    await expect(screen.page.get_by_text("No leases here")).to_be_visible()
    await screen.button("Coming").click()
    await expect(row).to_be_visible()
    await screen.page.reload()
    await expect(row).to_be_visible()  # the choice is in the address
    await screen.button("All").click()
    stage.house.pass_hours(1)
    await expect(row).to_contain_text("Running")
    stage.house.pass_hours(3)
    await expect(row).to_contain_text("Settled")
    await screen.button("Delivered").click()
    await expect(row).to_contain_text("2 of 2 h")
    await expect(row).to_contain_text("¥15.00")


async def test_a_provider_reports_an_outage_and_the_buyer_sees_the_refund(
    open_screen: OpenScreen, screen: Screen, stage: Stage, make_lease: MakeLease
) -> None:
    lease = await make_lease((0, 4))
    path = f"/v1/leases/{lease['id']}"
    start = stage.house.clock.hour() + 1
    stage.house.pass_hours(1)
    await screen.log_in(stage.strangers.provider)
    await screen.open(f"leases?lease={lease['id']}")
    dialog = screen.page.get_by_role("dialog", name="Lease")
    await dialog.get_by_role("button", name="Report an outage").click()
    form = dialog.get_by_role("form", name="Report an outage")
    await expect(form.get_by_label("From")).to_be_focused()
    await form.get_by_label("From").select_option(format_hour(start + 1))
    await form.get_by_label("Until").select_option(format_hour(start + 2))
    await expect(form).to_contain_text("2 hours, ¥15.00 goes back to")
    report = form.get_by_role("button", name="Report it")
    await report.click()
    sure = form.get_by_label("I understand that this cannot be undone")
    await expect(sure).to_have_attribute("aria-invalid", "true")
    await sure.check()
    screen.expects(422, f"{path}/outages")
    await report.click()
    await expect(form.get_by_label("Reason")).to_have_attribute("aria-invalid", "true")
    await expect(form.get_by_label("Reason")).to_be_focused()
    await screen.check_accessible()
    await screen.screenshot("lease-outage")
    delivery = await stage.cast.buyer.get(f"{path}/delivery")
    assert {each["reason"] for each in delivery["hours"]} == {""}
    await form.get_by_label("Reason").fill("停电")
    await screen.page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("Reported as failed")
    delivery = await stage.cast.buyer.get(f"{path}/delivery")
    assert [each["reason"] for each in delivery["hours"]] == ["", "停电", "停电", ""]

    stage.house.pass_hours(5)
    async with open_screen(Look(language="zh")) as other:
        await other.log_in(stage.cast.buyer)
        await other.open(f"leases?lease={lease['id']}")
        shown = other.page.get_by_role("dialog")
        await expect(shown).to_contain_text("已交付 2，未交付 2，待结算 0")
        await expect(shown.get_by_role("row").filter(has_text="停电")).to_have_count(2)
        await expect(shown.get_by_role("row").filter(has_text="停电").first).to_contain_text("¥7.50")
        await expect(shown).to_contain_text("已退还需求方")
        await expect(other.button("报告故障")).to_have_count(0)
        await other.check_accessible()
        await other.screenshot("lease-refunded")
    told = await stage.cast.buyer.get(path)
    assert (told["returned_cny"], told["captured_cny"], told["failed_hours"]) == ("15.00", "15.00", 2)


@pytest.mark.long
async def test_the_keyboard_opens_a_lease_and_comes_back(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open("leases")
    button = screen.button(f"Details of {stage.ids['lease_id']}")
    await button.focus()
    await screen.page.keyboard.press("Enter")
    dialog = screen.page.get_by_role("dialog", name="Lease")
    await expect(dialog).to_contain_text(stage.ids["lease_id"])
    await screen.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(button).to_be_focused()
    await expect(screen.page).to_have_url(f"{screen.origin}/console/leases")


@pytest.mark.long
async def test_another_s_lease_is_not_there(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.strangers.buyer)
    lease = stage.ids["lease_id"]
    screen.expects(404, f"/v1/leases/{lease}")
    screen.expects(404, f"/v1/leases/{lease}/delivery")
    await screen.open(f"leases?lease={lease}")
    await expect(screen.page.get_by_role("dialog").locator(".notice-bad")).to_be_visible()
    await expect(screen.page.get_by_text("No leases here")).to_be_attached()


@pytest.mark.long
async def test_a_bid_that_trades_meanwhile_shows_at_once(
    screen: Screen, stage: Stage, make_lease: MakeLease
) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open("leases")
    await expect(screen.page.locator("tbody tr").first).to_be_visible()
    lease = await make_lease((200, 201))
    # Sooner than the list is read again.
    await expect(screen.button(f"Details of {lease['id']}")).to_be_visible(timeout=9_000)
