"""Goal: an exchange that is away for a while costs no login, and nobody asks for what is no longer looked at.

Method: Chromium on the served exchange; its answers of who is logged in are lost, or refused for now, on the
way. Which requests the page makes is read in the browser.
"""

import asyncio
import itertools
import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Request, Route, expect

from tests.browser.screen import Screen
from tests.e2e.served import DEADLINE_S
from tests.e2e.stage import Stage

SESSION = "**/v1/session"
TRIES = 4
"""How often a page reads in a row; only what plans to ask again later asks once more."""


@pytest.mark.parametrize("status", [None, pytest.param(503, marks=pytest.mark.long)])
async def test_who_was_logged_in_still_is_once_the_exchange_is_back(
    screen: Screen, stage: Stage, status: int | None
) -> None:
    await screen.log_in(stage.cast.buyer)

    async def fail(route: Route) -> None:
        if status is None:
            await route.abort()
            return
        body = '{"code": "overloaded", "retryable": true}'
        await route.fulfill(status=status, content_type="application/problem+json", body=body)

    await screen.page.route(SESSION, fail)
    if status is not None:
        screen.expects(status, "/v1/session")
    await screen.page.goto(f"{screen.origin}/console/leases")
    await expect(screen.page.get_by_text("The exchange cannot be reached")).to_be_visible()
    await expect(screen.page.get_by_role("link", name="Log in")).to_have_count(0)
    await screen.check_accessible()
    await screen.page.unroute(SESSION)
    # Nobody does anything: it is asked for again by itself.
    await expect(screen.page.locator(".account")).to_be_visible()
    await expect(screen.page.locator("tbody tr").first).to_be_visible()


@pytest.mark.long
async def test_a_login_in_another_window_is_heard_of_after_the_exchange_was_away(
    screen: Screen, stage: Stage
) -> None:
    """What the other window tells comes while nobody can be asked; who was shown stays until somebody can."""
    await screen.log_in_by_hand(stage.cast.buyer)
    buyer = await screen.page.locator(".account-name").inner_text()
    failed = itertools.count(1)
    has_given_up = asyncio.Event()

    async def fail(route: Route) -> None:
        await route.abort()
        if next(failed) > TRIES:
            has_given_up.set()

    await screen.page.route(SESSION, fail)
    other = await screen.page.context.new_page()
    await other.goto(f"{screen.origin}/console/login")
    await other.locator("input[type=password]").fill(stage.cast.provider.key)
    await other.locator("form button[type=submit]").click()
    await other.locator(".account").wait_for()
    await asyncio.wait_for(has_given_up.wait(), DEADLINE_S)
    await expect(screen.page.locator(".account-name")).to_have_text(buyer)
    await screen.page.unroute(SESSION)
    provider = (await stage.cast.provider.get("/v1/participants/me"))["name"]
    await expect(screen.page.locator(".account-name")).to_have_text(provider)
    await other.close()


@pytest.mark.long
async def test_after_a_logout_only_what_is_shown_is_asked_for(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open("buy?tab=orders")
    await expect(screen.page.locator("tbody tr").first).to_be_visible()
    await screen.page.get_by_role("navigation").get_by_role("link", name="Market").click()
    await expect(screen.page.get_by_role("application")).to_be_visible()
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.method == "GET":
            asked.append(urlsplit(request.url).path)

    screen.page.on("request", note)
    async with screen.page.expect_request(re.compile("/v1/market")):
        await screen.button("Log out").click()
        await expect(screen.page.get_by_role("link", name="Log in")).to_be_visible()
    assert not {"/v1/orders", "/v1/accounts"}.intersection(asked)
