"""What the tests of the Oversight page share: getting there, and what is on record of what it asked."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Locator, expect

from tests.browser.screen import Screen
from tests.e2e.stage import Stage

WHY = "case 7: 复核"


async def questions(stage: Stage, query: str) -> list[dict[str, Any]]:
    """Return the questions of a kind that stand on record, newest first."""
    asked = (await stage.cast.regulator.get("/v1/oversight/questions", limit=1000))["data"]
    return [each for each in asked if each["query"] == query]


async def enter(screen: Screen, stage: Stage, place: str = "") -> None:
    """Log in as the regulator and open a place of the page: `tab=book`."""
    await screen.log_in(stage.cast.regulator)
    await screen.open(f"oversight?{place}")


async def look_at(screen: Screen, name: str) -> None:
    """Check what is shown now for everybody, and keep a picture."""
    await screen.check_accessible()
    await screen.check_fits()
    await screen.screenshot(f"oversight-{name}")


def field(screen: Screen, label: str) -> Locator:
    """Return a field by the beginning of its label."""
    return screen.page.get_by_label(label).first


async def check_address(screen: Screen, **expected: str) -> None:
    """Fail where the page's address does not have these choices, or tells the reason."""
    for name, value in expected.items():
        await screen.page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).get(name) === value", arg=[name, value]
        )
    told = parse_qs(urlsplit(screen.page.url).query)
    assert "reason" not in told
    assert WHY not in str(told)


async def check_faulty(locator: Locator) -> None:
    """Fail where a field does not show a fault."""
    await expect(locator).to_have_attribute("aria-invalid", "true")
