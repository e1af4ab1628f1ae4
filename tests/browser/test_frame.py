"""Goal: the console's frame works for everybody: by keyboard, in both languages, on a phone, for each login.

Method: a real Chromium on the served exchange, with the scene of `tests.e2e.stage`.
"""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.stage import Stage
from tests.hypothesis_profiles import sampled


@pytest.mark.parametrize("look", LOOKS)
async def test_the_login_page_in_every_look(open_screen: OpenScreen, look: Look) -> None:
    async with open_screen(look) as screen:
        await screen.open("login")
        heading = {"en": "Log in", "zh": "登录"}[look.language]
        await expect(screen.page.locator("h1")).to_have_text(heading)
        assert (
            await screen.page.locator("html").get_attribute("lang")
            == {"en": "en-GB", "zh": "zh-CN"}[look.language]
        )
        await screen.check_accessible()
        await screen.check_fits()
        await screen.screenshot("login")


@pytest.mark.parametrize("kind", sampled(["provider", "buyer", "issuer", "regulator", "operator"], first=1))
async def test_each_kind_logs_in_stays_logged_in_and_logs_out(
    screen: Screen, stage: Stage, kind: str
) -> None:
    caller = stage.operator if kind == "operator" else stage.cast.of(kind)
    await screen.log_in_by_hand(caller)
    await expect(screen.page.locator(".account .badge")).to_have_text(
        {"provider": "Provider", "buyer": "Buyer", "issuer": "Issuer", "regulator": "Regulator"}.get(
            kind, "Operator"
        )
    )
    await screen.page.reload()
    await expect(screen.page.locator(".account")).to_be_visible()
    assert await screen.page.evaluate("document.cookie") == ""
    await screen.button("Log out").click()
    await expect(screen.page.get_by_role("link", name="Log in")).to_be_visible()
    await screen.page.reload()
    await expect(screen.page.get_by_role("link", name="Log in")).to_be_visible()


async def test_a_wrong_key_is_told_at_the_form_and_nothing_is_kept(screen: Screen) -> None:
    await screen.open("login")
    screen.expects(401, "/v1/session")
    await screen.page.locator("input[type=password]").fill("cx_wrong")
    await screen.page.keyboard.press("Enter")
    problem = screen.page.locator(".form-problem")
    await expect(problem).to_be_visible()
    await expect(problem).to_be_focused()
    await screen.check_accessible()
    await screen.button("Log in").last.click(trial=True)


@pytest.mark.long
async def test_an_empty_key_is_told_at_its_field_without_asking_the_exchange(screen: Screen) -> None:
    await screen.open("login")
    await screen.button("Log in").click()
    field = screen.page.locator("input[type=password]")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description(
        "Reads cx_… and was shown once when it was made. It is exchanged for a session and not kept here. "
        "Enter a key."
    )


async def test_the_language_and_theme_are_kept(screen: Screen) -> None:
    await screen.open("market")
    await screen.button("中文").click()
    await expect(screen.page.locator("h1")).to_have_text("行情")
    await screen.page.get_by_label("主题").select_option("dark")
    await screen.page.reload()
    await expect(screen.page.locator("h1")).to_have_text("行情")
    assert await screen.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    await screen.check_accessible()


async def test_the_keyboard_skips_to_the_content_and_a_new_page_has_the_focus(screen: Screen) -> None:
    await screen.open("market")
    await screen.page.keyboard.press("Tab")
    await expect(screen.page.get_by_role("link", name="Skip to content")).to_be_focused()
    await screen.page.keyboard.press("Enter")
    await expect(screen.page.locator("main")).to_be_focused()
    await screen.page.get_by_role("link", name="Log in").click()
    await expect(screen.page.locator("h1")).to_have_text("Log in")
    await expect(screen.page.locator("main")).to_be_focused()
    await expect(screen.page).to_have_title("Log in · Compute exchange")


@pytest.mark.long
async def test_an_address_that_leads_nowhere_says_so(screen: Screen) -> None:
    await screen.page.goto(f"{screen.origin}/console/nowhere")
    await expect(screen.page.get_by_text("There is no such page")).to_be_visible()
    await screen.page.get_by_role("link", name="Go to the market").click()
    await expect(screen.page.locator("h1")).to_have_text("Market")


async def enter_key(screen: Screen, key: str) -> None:
    await screen.page.locator("input[type=password]").fill(key)
    await screen.page.keyboard.press("Enter")
    await screen.page.locator(".account").wait_for()


@pytest.mark.long
async def test_a_session_that_has_ended_is_told_over_the_page_and_a_login_goes_on(
    screen: Screen, stage: Stage
) -> None:
    await screen.log_in_by_hand(stage.cast.issuer)
    await screen.open("vouchers?tab=issued")
    await expect(screen.page.get_by_role("tab", name="Issued")).to_have_attribute("aria-selected", "true")
    screen.forgives_unauthenticated = True
    ended = await screen.page.request.delete(f"{screen.origin}/v1/session", headers={"Origin": screen.origin})
    assert ended.status == 204
    await screen.page.get_by_role("tab", name="Programmes").click()
    dialog = screen.page.get_by_role("dialog", name="Your session has ended")
    await expect(dialog).to_be_visible()
    await screen.check_accessible()
    here = screen.page.url
    await enter_key(screen, stage.cast.issuer.key)
    await expect(dialog).to_be_hidden()
    await expect(screen.page.get_by_role("tab", name="Programmes")).to_have_attribute("aria-selected", "true")
    await expect(screen.page.locator("tbody tr").first).to_be_visible()
    assert screen.page.url == here


@pytest.mark.parametrize(
    "next_",
    sampled(["https://evil.example/console/x", "//evil.example/", "/v1/orders", "/console/login"], first=1),
)
async def test_a_login_leads_nowhere_but_to_the_consoles_own_pages(
    screen: Screen, stage: Stage, next_: str
) -> None:
    await screen.open(f"login?next={next_}")
    await enter_key(screen, stage.cast.buyer.key)
    await expect(screen.page.locator("h1")).to_have_text("Market")
    assert screen.page.url == f"{screen.origin}/console/market"


@pytest.mark.long
async def test_all_windows_know_who_is_logged_in(screen: Screen, stage: Stage) -> None:
    screen.forgives_unauthenticated = True
    await screen.log_in_by_hand(stage.cast.buyer)
    await screen.open("leases")
    other = await screen.page.context.new_page()
    await other.goto(f"{screen.origin}/console/market")
    await other.get_by_role("button", name="Log out").click()
    await expect(screen.page.get_by_text("This page needs a login")).to_be_visible()
    await other.goto(f"{screen.origin}/console/login")
    await other.locator("input[type=password]").fill(stage.cast.provider.key)
    await other.keyboard.press("Enter")
    await expect(screen.page.locator(".account .badge")).to_have_text("Provider")
    await expect(screen.page.locator("h1")).to_have_text("Leases")
    await other.close()


@pytest.mark.long
async def test_what_has_not_changed_over_a_login_is_shown_after_it(screen: Screen, stage: Stage) -> None:
    await screen.open("market")
    await expect(screen.page.locator(".heat-body")).to_be_visible()
    await screen.page.get_by_role("link", name="Log in").click()
    await enter_key(screen, stage.cast.buyer.key)
    await expect(screen.page.locator(".heat-body")).to_be_visible()


@pytest.mark.long
async def test_the_chosen_tab_is_in_sight_on_a_phone(open_screen: OpenScreen, stage: Stage) -> None:
    async with open_screen(Look(is_phone=True)) as screen:
        await screen.log_in_by_hand(stage.cast.regulator)
        await screen.open("oversight?tab=questions")
        await expect(screen.page.get_by_role("tab", name="Questions")).to_be_in_viewport(ratio=0.95)
        await screen.page.get_by_role("tab", name="Questions").press("Home")
        await expect(screen.page.get_by_role("tab", name="Search")).to_be_in_viewport(ratio=0.95)
