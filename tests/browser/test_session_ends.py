"""Goal: a session that ends under its reader's hands costs a login, and nothing of what was typed.

Method: Chromium on the served exchange. A session is ended through the API while a form is half filled; the
reader logs in over the page and goes on. How often a request was sent is counted in the browser; what it did
is read through the API.
"""

import pytest
from playwright.async_api import Locator, Route, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.browser.voucher_scene import check_look, count_of, fill_issue, issue, make_programme
from tests.e2e.served import Caller
from tests.e2e.stage import SCOPES, Stage

SESSIONS = "/v1/sessions"


def dialog_of(screen: Screen) -> Locator:
    name = {"en": "Your session has ended", "zh": "会话已结束"}[screen.look.language]
    return screen.page.get_by_role("dialog", name=name)


async def end_sessions(screen: Screen, owner: Caller) -> None:
    """End every session of a participant; which requests find out is a matter of chance."""
    screen.forgives_unauthenticated = True
    await owner.send("DELETE", SESSIONS)


async def log_in_again(screen: Screen, key: str) -> None:
    dialog = dialog_of(screen)
    await dialog.locator("input[type=password]").fill(key)
    await screen.page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()


@pytest.mark.parametrize("look", LOOKS)
async def test_a_half_filled_form_goes_on_after_a_login_in_place(
    open_screen: OpenScreen, stage: Stage, look: Look
) -> None:
    issuer = stage.cast.issuer
    programme = await make_programme(stage, f"ends-{look.language}")
    async with open_screen(look) as screen:
        await screen.log_in_by_hand(issuer)
        amount = await fill_issue(screen, stage, programme["id"])
        sent = count_of(screen, "POST", "/v1/vouchers")
        await end_sessions(screen, issuer)
        submit = {"en": "Issue it", "zh": "发放"}[look.language]
        await screen.button(submit).click()
        dialog = dialog_of(screen)
        await expect(dialog).to_be_visible()
        await expect(dialog.locator("input[type=password]")).to_be_focused()
        await screen.page.keyboard.press("Escape")
        await screen.page.keyboard.press("Escape")
        await expect(dialog).to_be_visible()
        await check_look(screen, "session-ended")
        await dialog.locator("input[type=password]").fill("cx_wrong")
        await screen.page.keyboard.press("Enter")
        await expect(dialog.locator(".form-problem")).to_be_focused()
        await log_in_again(screen, issuer.key)
        assert len(sent) == 1  # nothing goes by itself
        assert (await issuer.get("/v1/vouchers", programme_id=programme["id"]))["data"] == []
        await expect(amount).to_have_value("10.00")
        await expect(screen.page.locator(".picker-chosen")).to_contain_text(stage.cast.buyer.id)
        assert await screen.page.evaluate("Object.values(localStorage).join().includes('cx_')") is False
        await screen.button(submit).click()
        await expect(screen.page.locator(".toast-good").last).to_contain_text("¥10.00")
        assert len(sent) == 2
    [made] = (await issuer.get("/v1/vouchers", programme_id=programme["id"]))["data"]
    assert made["face_cny"] == "10.00"


@pytest.mark.long
async def test_a_dialog_with_a_reason_goes_on_too(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    voucher = await issue(stage, (await make_programme(stage, "ends-dialog"))["id"])
    await screen.log_in_by_hand(issuer)
    await screen.open(f"vouchers?tab=issued&open={voucher['id']}")
    await screen.button("Suspend").click()
    asked = screen.page.get_by_role("dialog", name="Suspend this voucher?")
    await asked.get_by_label("Reason").fill("half a rea")
    await end_sessions(screen, issuer)
    await asked.get_by_role("button", name="Suspend", exact=True).click()
    await log_in_again(screen, issuer.key)
    await expect(asked.get_by_label("Reason")).to_have_value("half a rea")
    await expect(asked).to_contain_text("The session had ended, so nothing was done")
    await asked.get_by_label("Reason").fill("half a reason no more")
    await asked.get_by_role("button", name="Suspend", exact=True).click()
    await expect(asked).to_be_hidden()
    steps = (await issuer.get(f"/v1/vouchers/{voucher['id']}/steps"))["data"]
    assert [each["reason"] for each in steps] == ["half a reason no more"]


@pytest.mark.long
async def test_what_was_done_before_the_session_ended_is_not_done_twice(screen: Screen, stage: Stage) -> None:
    """The answer of the first try is lost, the second is refused: the third must still be the same wish."""
    issuer = stage.cast.issuer
    programme = await make_programme(stage, "ends-lost")
    await screen.log_in_by_hand(issuer)
    await fill_issue(screen, stage, programme["id"])
    sent = count_of(screen, "POST", "/v1/vouchers")
    screen.forgives_unauthenticated = True

    async def lose_first(route: Route) -> None:
        if len(sent) > 1:
            await route.continue_()
            return
        await route.fetch()  # it is done
        await issuer.send("DELETE", SESSIONS)
        await route.abort()

    await screen.page.route("**/v1/vouchers", lose_first)
    await screen.button("Issue it").click()
    await log_in_again(screen, issuer.key)
    await screen.button("Issue it").click()
    await expect(screen.page.locator(".toast-good").last).to_contain_text("¥10.00")
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert len((await issuer.get("/v1/vouchers", programme_id=programme["id"]))["data"]) == 1


async def test_another_participant_sees_nothing_of_what_was_typed(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    programme = await make_programme(stage, "ends-other")
    await screen.log_in_by_hand(issuer)
    await fill_issue(screen, stage, programme["id"])
    await end_sessions(screen, issuer)
    await screen.button("Issue it").click()
    await log_in_again(screen, stage.strangers.issuer.key)
    await expect(screen.page.locator(".account-name")).to_have_text(
        (await stage.strangers.issuer.get("/v1/participants/me"))["name"]
    )
    await expect(screen.page.get_by_text("ends-other")).to_have_count(0)
    await expect(screen.page.get_by_text("10.00")).to_have_count(0)


@pytest.mark.long
async def test_another_key_of_the_same_participant_goes_on(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    other = (await stage.operator.key_of(issuer.id, SCOPES["issuer"]))["secret"]
    programme = await make_programme(stage, "ends-key")
    await screen.log_in_by_hand(issuer)
    amount = await fill_issue(screen, stage, programme["id"])
    await end_sessions(screen, issuer)
    await screen.button("Issue it").click()
    await log_in_again(screen, other)
    await expect(amount).to_have_value("10.00")
    await screen.button("Issue it").click()
    await expect(screen.page.locator(".toast-good").last).to_contain_text("¥10.00")


@pytest.mark.long
async def test_a_login_in_another_window_lets_this_one_go_on(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    programme = await make_programme(stage, "ends-window")
    await screen.log_in_by_hand(issuer)
    amount = await fill_issue(screen, stage, programme["id"])
    await end_sessions(screen, issuer)
    await screen.button("Issue it").click()
    await expect(dialog_of(screen)).to_be_visible()
    link = await stage.operator.post(
        f"/v1/participants/{issuer.id}/logins", {"scopes": SCOPES["issuer"], "valid_s": 600}
    )
    other = await screen.page.context.new_page()
    await other.goto(link["login_url"])
    await other.locator(".account").wait_for()
    await expect(dialog_of(screen)).to_be_hidden()
    await expect(amount).to_have_value("10.00")
    await screen.button("Issue it").click()
    await expect(screen.page.locator(".toast-good").last).to_contain_text("¥10.00")
    await other.close()


@pytest.mark.long
async def test_who_gives_up_is_a_visitor(screen: Screen, stage: Stage) -> None:
    await screen.log_in_by_hand(stage.cast.buyer)
    await screen.open("leases")
    await expect(screen.page.locator("tbody tr").first).to_be_visible()
    await end_sessions(screen, stage.cast.buyer)
    await expect(dialog_of(screen)).to_be_visible(timeout=30_000)
    await dialog_of(screen).get_by_role("button", name="Go on without a login").click()
    await expect(screen.page.get_by_text("This page needs a login")).to_be_visible()
    await expect(screen.page.locator(".account")).to_have_count(0)
    await screen.page.reload()
    await expect(screen.page.get_by_text("This page needs a login")).to_be_visible()
