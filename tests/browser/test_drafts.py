"""Goal: what is typed in a longer form outlasts a reload of its page, for its reader alone, and is sent once.

Method: Chromium on the served exchange; forms are half filled, and the page is loaded anew. What the window
keeps is read from its storage, what was done through the API. `drafts.test.mjs` has the rules one by one.
"""

import re

import pytest
from playwright.async_api import Locator, Route, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.browser.voucher_scene import check_look, count_of, fill_issue, make_programme
from tests.e2e.stage import PRODUCT, Stage

RESTORED = {"en": "What you had typed here is back.", "zh": "已恢复您此前填写的内容"}
DISCARD = {"en": "Discard it", "zh": "放弃"}


def notice_of(screen: Screen) -> Locator:
    return screen.page.locator("form .notice", has=screen.button(DISCARD[screen.look.language]))


async def drafts_of(screen: Screen) -> list[str]:
    """What the window keeps of forms."""
    kept = "Object.entries(sessionStorage).filter(([key]) => key.startsWith('exchange.draft')).map(String)"
    found: list[str] = await screen.page.evaluate(kept)
    return found


@pytest.mark.parametrize("look", LOOKS)
async def test_an_order_half_typed_is_back_until_it_is_discarded(
    open_screen: OpenScreen, stage: Stage, look: Look
) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.cast.buyer)
        await screen.open(f"buy?product={PRODUCT}&starts_at={stage.hour(4)}&hours=4&gpus=1")
        price = screen.page.locator("form input[inputmode=decimal]")
        await price.fill("3.33")
        await expect(notice_of(screen)).to_have_count(0)
        await screen.page.reload()
        await expect(price).to_have_value("3.33")
        await expect(notice_of(screen)).to_contain_text(RESTORED[look.language])
        await check_look(screen, "draft")
        # Where the address asks for nothing, it is the same form; where it asks for others, it begins anew.
        await screen.open("buy")
        await expect(price).to_have_value("3.33")
        await screen.button(DISCARD[look.language]).click()
        await expect(price).to_have_value("")
        await expect(notice_of(screen)).to_have_count(0)
        await expect(screen.page.locator("form select").first).to_be_focused()
        assert await drafts_of(screen) == []
        await price.fill("3.44")
        await screen.open(f"buy?product={PRODUCT}&starts_at={stage.hour(8)}&hours=4&gpus=1")
        await expect(screen.page.locator("form input[inputmode=numeric]").first).to_have_value("1")
        await expect(price).to_have_value("")


@pytest.mark.long
async def test_a_wish_without_an_answer_is_done_once_over_a_reload(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    programme = await make_programme(stage, "draft-lost")
    await screen.log_in(issuer)
    amount = await fill_issue(screen, stage, programme["id"])
    sent = count_of(screen, "POST", "/v1/vouchers")

    async def lose(route: Route) -> None:
        await route.fetch()  # it is done
        await screen.page.reload(wait_until="commit")

    await screen.page.route("**/v1/vouchers", lose, times=1)
    await screen.button("Issue it").click()
    await expect(notice_of(screen)).to_contain_text("its answer never came")
    await expect(amount).to_have_value("10.00")
    await expect(screen.page.locator(".picker-chosen")).to_contain_text(stage.cast.buyer.id)
    await screen.button("Issue it").click()
    await expect(screen.page.locator(".toast-good").last).to_contain_text("¥10.00")
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert len((await issuer.get("/v1/vouchers", programme_id=programme["id"]))["data"]) == 1
    await expect(notice_of(screen)).to_have_count(0)
    assert await drafts_of(screen) == []


async def test_an_order_without_an_answer_is_sent_again_as_it_was_agreed_to(
    screen: Screen, stage: Stage
) -> None:
    """Not looked at as a new one first: beside itself it might not be paid."""
    buyer = stage.cast.buyer
    await screen.log_in(buyer)
    await screen.open(f"buy?product={PRODUCT}&starts_at={stage.hour(4)}&hours=4&gpus=1")
    await screen.page.locator("form input[inputmode=decimal]").fill("1.11")
    sent: list[str] = []

    async def lose(route: Route) -> None:
        answer = await route.fetch()  # it is placed
        sent.append((await answer.json())["id"])
        await screen.page.reload(wait_until="commit")

    await screen.page.route("**/v1/orders", lose, times=1)
    await screen.button("Review the order").click()
    await screen.button("Place the order").click()
    await expect(notice_of(screen)).to_contain_text("its answer never came")
    again = count_of(screen, "POST", "/v1/orders")
    await screen.button("Review the order").click()
    await expect(screen.page.locator(".toast-good").last).to_contain_text("The order is placed")
    assert len(again) == len(sent) == 1
    placed = (await buyer.get("/v1/orders", product=PRODUCT, limit=100))["data"]
    assert [each["id"] for each in placed if each["price_cny_per_gpu_hour"] == "1.11"] == sent
    assert await drafts_of(screen) == []


async def fill_programme(screen: Screen) -> Locator:
    await screen.open("vouchers?tab=programmes&open=new")
    text = screen.page.locator("textarea.document")
    await text.fill('{"code": "half-typed"')
    return text


async def test_a_session_that_ends_keeps_it_and_a_log_out_drops_it(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    await screen.log_in_by_hand(issuer)
    text = await fill_programme(screen)
    screen.forgives_unauthenticated = True
    await issuer.send("DELETE", "/v1/sessions")
    await screen.page.reload()
    await expect(screen.page.get_by_text("This page needs a login")).to_be_visible()
    await screen.log_in_by_hand(issuer)
    # The key that was typed is nowhere.
    assert "cx_" not in "".join(await drafts_of(screen))
    await screen.open("vouchers?tab=programmes&open=new")
    await expect(text).to_have_value('{"code": "half-typed"')
    await screen.button("Log out").click()
    await expect(screen.page.locator(".account")).to_have_count(0)
    assert await drafts_of(screen) == []


@pytest.mark.long
async def test_another_participant_in_the_same_window_sees_nothing_of_it(
    screen: Screen, stage: Stage
) -> None:
    issuer = stage.cast.issuer
    await screen.log_in_by_hand(issuer)
    await fill_programme(screen)
    screen.forgives_unauthenticated = True
    await issuer.send("DELETE", "/v1/sessions")
    await screen.page.reload()
    await expect(screen.page.get_by_text("This page needs a login")).to_be_visible()
    assert len(await drafts_of(screen)) == 1
    await screen.log_in_by_hand(stage.strangers.issuer)
    assert await drafts_of(screen) == []
    await screen.open("vouchers?tab=programmes&open=new")
    await expect(screen.page.locator("textarea.document")).to_have_value(re.compile("budget_fen"))
    await expect(notice_of(screen)).to_have_count(0)
