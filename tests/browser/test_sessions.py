"""Goal: a person sees where somebody is logged in, and ends one session, their others, or the company's.

Method: windows of Chromium on the served exchange, each with its own session of one participant.
"""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.served import Caller
from tests.e2e.stage import SCOPES, Stage


@pytest.fixture
async def reader(stage: Stage) -> AsyncIterator[Caller]:
    """A buyer with a key of the test's own, and no session left of before."""
    buyer = stage.strangers.buyer
    await buyer.send("DELETE", "/v1/sessions?of=participant")
    key = await stage.operator.key_of(buyer.id, SCOPES["buyer"], label="desk")
    yield buyer.with_key(key["secret"])
    await buyer.send("DELETE", "/v1/sessions?of=participant")


def rows(screen: Screen) -> Locator:
    return screen.page.locator("tbody tr")


@pytest.mark.parametrize("look", LOOKS)
async def test_the_list_in_every_look(
    open_screen: OpenScreen, stage: Stage, reader: Caller, look: Look
) -> None:
    admin = await stage.operator.key_of(reader.id, ["read"])
    async with open_screen(look) as screen, open_screen(Look()) as other:
        await other.log_in_by_hand(reader.with_key(admin["secret"]))
        await screen.log_in_by_hand(reader)
        await screen.page.locator(".account-name").click()
        await expect(screen.page.locator("h1")).to_have_text({"en": "Sessions", "zh": "会话"}[look.language])
        await expect(rows(screen)).to_have_count(2)
        await expect(screen.page.locator("tr.current")).to_contain_text("desk")
        await expect(screen.page.locator("tr.current")).to_contain_text("127.0.0.1")
        await expect(screen.page.locator("tr.current").get_by_role("button")).to_have_count(0)
        await screen.screenshot("sessions")
        await screen.check_accessible()
        await screen.check_fits()


@pytest.mark.long
async def test_one_is_ended_and_its_window_asks_for_a_login(
    open_screen: OpenScreen, screen: Screen, reader: Caller
) -> None:
    async with open_screen(Look()) as lost:
        await lost.log_in_by_hand(reader)
        await lost.open("leases")
        await screen.log_in_by_hand(reader)
        await screen.open("sessions")
        lost.forgives_unauthenticated = True
        await rows(screen).get_by_role("button").click()
        asked = screen.page.get_by_role("dialog", name="End this session?")
        await screen.check_accessible()
        await asked.get_by_role("button", name="End", exact=True).click()
        await expect(asked).to_be_hidden()
        await expect(rows(screen)).to_have_count(1)
        await expect(screen.page.locator("h1")).to_be_focused()
        # The stream of the other window is closed with its session, so that it asks at once.
        await expect(lost.page.get_by_role("dialog", name="Your session has ended")).to_be_visible()
    assert len((await reader.get("/v1/sessions"))["data"]) == 1


async def test_the_own_others_are_ended_before_those_of_the_company(
    open_screen: OpenScreen, screen: Screen, stage: Stage, reader: Caller
) -> None:
    colleague = await stage.operator.key_of(reader.id, ["read"], label="colleague")
    async with open_screen(Look()) as own, open_screen(Look()) as theirs:
        await own.log_in_by_hand(reader)
        await theirs.log_in_by_hand(reader.with_key(colleague["secret"]))
        await screen.log_in_by_hand(reader)
        own.forgives_unauthenticated = theirs.forgives_unauthenticated = True
        await screen.open("sessions")
        await expect(rows(screen)).to_have_count(3)
        await expect(rows(screen).filter(has_text="Your key")).to_have_count(1)
        await end_all(screen, "End my others")
        await expect(rows(screen)).to_have_count(2)
        await expect(rows(screen).filter(has_text="colleague")).to_have_count(1)
        await expect(screen.page.locator(".toast-good").last).to_have_text("1 session is ended.")
        await expect(screen.button("End my others")).to_be_disabled()
        await end_all(screen, "End all of the company")
        await expect(rows(screen)).to_have_count(1)
        await expect(screen.button("End all of the company")).to_be_disabled()
    [left] = (await reader.get("/v1/sessions"))["data"]
    assert left["key_label"] == "desk"


async def end_all(screen: Screen, name: str) -> None:
    await screen.button(name).click()
    asked = screen.page.get_by_role("dialog")
    await expect(asked).to_contain_text("This session goes on")
    await asked.get_by_role("button", name=name).click()
    await expect(asked).to_be_hidden()


@pytest.mark.long
async def test_a_key_that_only_reads_ends_no_session_that_trades(
    open_screen: OpenScreen, screen: Screen, stage: Stage, reader: Caller
) -> None:
    reading = await stage.operator.key_of(reader.id, ["read"], label="reads")
    async with open_screen(Look()) as trading:
        await trading.log_in_by_hand(reader)
        await screen.log_in_by_hand(reader.with_key(reading["secret"]))
        await screen.open("sessions")
        await expect(rows(screen).filter(has_text="desk")).to_contain_text("Can do more than you")
        await expect(screen.button("End all of the company")).to_be_disabled()
