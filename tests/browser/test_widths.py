"""Goal: on a window of 1280 pixels every page of the console fits: neither it nor any table scrolls sideways.

Method: Chromium on the served exchange, for each kind of login and in both languages: every page of its
navigation, every tab of each page, and what lies open beside them. Names, reasons and budgets are as long as
real ones are; products and who is logged in are not cut off.
"""

from typing import Any, Final

import pytest
from playwright.async_api import expect

from exchange.kit.ids import decode_id
from tests.browser.conftest import OpenScreen
from tests.browser.screen import Language, Look
from tests.e2e.stage import Stage, programme
from tests.hypothesis_profiles import is_long, sampled

WIDE: Final = """
    [document.documentElement, ...document.querySelectorAll(".table-frame")]
        .filter((each) => each.scrollWidth > each.clientWidth)
        .map((each) => `${each.getAttribute("aria-labelledby") ?? "the page"} "${
            each.querySelector("caption")?.textContent ?? ""}": ${each.scrollWidth} > ${each.clientWidth}`)
"""
CUT: Final = """
    [...document.querySelectorAll(".account-name, .heat-title, .heat-note, td .second.code, th .second.code")]
        .filter((each) => each.scrollWidth > each.clientWidth)
        .map((each) => `cut off: ${each.textContent}`)
"""
OPEN: Final[dict[str, tuple[str, ...]]] = {
    "buyer": ("leases?lease={lease_id}", "vouchers?tab=wallet&open={voucher_id}"),
    "issuer": ("vouchers?tab=issued&open={voucher_id}", "vouchers?tab=programmes&open={programme_id}"),
    "provider": ("vouchers?tab=claims&open={claim_id}",),
    "regulator": (),
    "operator": (),
}
"""What else an address shows beside pages and tabs, by who may see it."""


NAMES: Final = {
    "provider": "贵安新区智算中心科技有限责任公司",
    "buyer": "Hangzhou Large Models Research Institute Ltd",
    "issuer": "深圳市工业和信息化局算力券专班",
}

PROGRAMME_NAME: Final = "Computing vouchers for young companies of Shenzhen, 2026"
REASON: Final = "The delivery log of the second node is missing; please attach it and send the claim anew."


class Wide(Look, frozen=True, kw_only=True):
    """A window of the width that most have at least."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels."""
        return (1280, 800)


@pytest.fixture(scope="module")
async def long_names(stage: Stage) -> None:
    issuer, provider = stage.cast.issuer, stage.cast.provider
    body = programme("shenzhen-start-ups-2026", provider.id, budget_fen=80_000_000_000)
    made = await issuer.post("/v1/programmes", body | {"name": PROGRAMME_NAME})
    voucher = {"programme_id": made["id"], "buyer_id": stage.cast.buyer.id, "amount_cny": "10000.00"}
    await issuer.post("/v1/vouchers", voucher)
    for to in ("in_audit", "queried"):
        step = {"to": to, "reason": REASON}
        await issuer.post(f"/v1/claims/{stage.ids['claim_id']}/steps", step, status=200)
    async with stage.house.exchange.database.transaction() as connection:
        for kind, name in NAMES.items():
            participant_id = decode_id("par", stage.cast.of(kind).id)
            await connection.execute("UPDATE participant SET name = $2 WHERE id = $1", participant_id, name)
        programme_id = decode_id("prg", stage.ids["programme_id"])
        await connection.execute("UPDATE programme SET name = $2 WHERE id = $1", programme_id, PROGRAMME_NAME)


@pytest.mark.usefixtures("long_names")
@pytest.mark.parametrize("language", ["en", "zh"] if is_long() else ["en"])  # whose words are the longer ones
@pytest.mark.parametrize("kind", sampled(OPEN, first=2))
async def test_every_page_fits(open_screen: OpenScreen, stage: Stage, kind: str, language: Language) -> None:
    caller = stage.operator if kind == "operator" else stage.cast.of(kind)
    wrong: dict[str, Any] = {}
    async with open_screen(Wide(language=language)) as screen:
        await screen.log_in_by_hand(caller)
        links = screen.page.get_by_role("navigation").first.get_by_role("link")
        pages = [await link.get_attribute("href") or "" for link in await links.all()]
        assert len(pages) >= 2
        pages = [page.removeprefix("/console/") for page in pages] + ["sessions"]
        seen = 0
        for page in [*pages, *(path.format(**stage.ids) for path in OPEN[kind])]:
            await screen.open(page)
            tabs = screen.page.get_by_role("tab")
            count = await tabs.count() if "?" not in page else 0
            for number in range(max(count, 1)):
                if count > 0:
                    await tabs.nth(number).click()
                    await expect(tabs.nth(number)).to_have_attribute("aria-selected", "true")
                await expect(screen.page.locator("main .loading")).to_have_count(0)
                seen += 1
                if found := await screen.page.evaluate(WIDE) + await screen.page.evaluate(CUT):
                    wrong[screen.page.url] = found
    assert seen >= len(pages)
    assert not wrong, "\n".join(f"{url}: {found}" for url, found in wrong.items())
