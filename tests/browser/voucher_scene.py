"""What tests of the vouchers page share: what they make beside the stage, and how they look at the page."""

import itertools
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Request, expect

from tests.browser.screen import Screen
from tests.e2e.served import eventually
from tests.e2e.stage import Stage, programme

_NUMBERS = itertools.count(1)


async def make_programme(stage: Stage, name: str, **rules: object) -> dict[str, Any]:
    """Open a programme of the cast's issuer."""
    body = programme(f"{name}-{next(_NUMBERS)}", stage.cast.provider.id, **rules) | {"name": name}
    made: dict[str, Any] = await stage.cast.issuer.post("/v1/programmes", body)
    return made


async def issue(stage: Stage, programme_id: str, amount: str = "200.00") -> dict[str, Any]:
    """Issue a voucher of it to the cast's buyer."""
    body = {"programme_id": programme_id, "buyer_id": stage.cast.buyer.id, "amount_cny": amount}
    made: dict[str, Any] = await stage.cast.issuer.post("/v1/vouchers", body)
    return made


async def deliver(stage: Stage, voucher_id: str, hours: int = 2) -> None:
    """Sell 2 GPUs at 4.20 for some hours, half paid by a voucher, and let all of them pass and settle."""
    name = f"scene-hours-{next(_NUMBERS)}"
    await stage.cast.provider.post("/v1/orders", stage.order("sell", name, (0, hours)))
    more = {"vouchers": [voucher_id], "voucher_policy": "only_eligible"}
    await stage.cast.buyer.post("/v1/orders", stage.order("buy", name, (0, hours), **more))
    [lease, *_] = (await stage.cast.buyer.get("/v1/leases"))["data"]
    stage.house.pass_hours(hours + 3)
    await eventually(
        lambda: stage.cast.buyer.get(f"/v1/leases/{lease['id']}"), lambda found: found["status"] == "settled"
    )


async def claimed(stage: Stage, name: str, hours: int = 2) -> dict[str, Any]:
    """Return a claim of the provider's, submitted, on a programme of its own."""
    made = await make_programme(stage, name)
    voucher = await issue(stage, made["id"])
    await deliver(stage, voucher["id"], hours)
    claim: dict[str, Any] = await stage.cast.provider.post("/v1/claims", {"programme_id": made["id"]})
    return claim


async def fill_issue(screen: Screen, stage: Stage, programme_id: str) -> Locator:
    """Fill in the form that issues 10 CNY to the cast's buyer; return its amount."""
    await screen.open(f"vouchers?tab=issued&programme={programme_id}")
    await screen.page.locator(".picker input").fill(stage.cast.buyer.id)
    await screen.page.locator(".picker-list [role=option]").click()
    amount = screen.page.locator("input[inputmode=decimal]")
    await amount.fill("10.00")
    return amount


def count_of(screen: Screen, method: str, path: str) -> list[str]:
    """Return a list that grows with the Idempotency-Key of each such request."""
    sent: list[str] = []

    def asked(request: Request) -> None:
        if request.method == method and request.url.endswith(path):
            sent.append(request.headers.get("idempotency-key", ""))

    screen.page.on("request", asked)
    return sent


def card_of(screen: Screen, heading: str) -> Locator:
    """Return the card that begins with a heading."""
    title = screen.page.get_by_role("heading", name=heading, exact=True)
    return screen.page.locator(".card").filter(has=title)


async def check_look(screen: Screen, name: str) -> None:
    """Keep a picture of what is shown once all of it is there, and check that it is accessible and fits."""
    await expect(screen.page.locator(".loading")).to_have_count(0)
    await screen.screenshot(f"vouchers-{name}")
    await screen.check_accessible()
    await screen.check_fits()


async def downloaded(screen: Screen, link: Locator) -> bytes:
    """Return the file that a link gives."""
    async with screen.page.expect_download() as downloading:
        await link.click()
    return _bytes_at(await (await downloading.value).path())


def _bytes_at(path: Path | str) -> bytes:
    return Path(path).read_bytes()
