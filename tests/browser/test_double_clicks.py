"""Goal: whoever clicks twice does a thing once, and the way back from a dialog leads to the list as it was.

Method: Chromium on the served exchange. Each confirming button of a table of them is double-clicked, as fast
as a hand does and slower; the browser's requests are counted. A button whose answer comes at once is the
harder one: its second click comes after all is done.
"""

from collections.abc import Awaitable, Callable
from itertools import count

import msgspec
import pytest
from playwright.async_api import Locator, Request, expect

from tests.browser.screen import Screen
from tests.browser.voucher_scene import issue, make_programme
from tests.e2e.served import Caller
from tests.e2e.stage import Stage
from tests.hypothesis_profiles import is_long, sampled

ASKED = "dialog[open]"
_NUMBERS = count(1)


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A button that does something: how to come to it, and which request it sends."""

    who: Callable[[Stage], Caller]
    prepare: Callable[[Screen, Stage], Awaitable[Locator]]
    method: str
    path: str


def dialog_button(screen: Screen, name: str) -> Locator:
    return screen.page.locator(ASKED).get_by_role("button", name=name, exact=True)


async def issue_one(screen: Screen, stage: Stage) -> Locator:
    programme = await make_programme(stage, f"twice-{next(_NUMBERS)}")
    await screen.open(f"vouchers?tab=issued&programme={programme['id']}")
    await screen.page.locator(".picker input").fill(stage.cast.buyer.id)
    await screen.page.locator(".picker-list [role=option]").click()
    await screen.page.locator("input[inputmode=decimal]").fill("10.00")
    return screen.button("Issue it")


async def suspend_one(screen: Screen, stage: Stage) -> Locator:
    voucher = await issue(stage, (await make_programme(stage, f"twice-{next(_NUMBERS)}"))["id"])
    await screen.open(f"vouchers?tab=issued&open={voucher['id']}")
    await screen.button("Suspend").click()
    await screen.page.locator(ASKED).get_by_label("Reason").fill("twice")
    return dialog_button(screen, "Suspend")


async def score_one(screen: Screen, stage: Stage) -> Locator:
    """Its form stays where it is with all that is typed, so that only the count of clicks tells two apart."""
    programme = await make_programme(stage, f"twice-{next(_NUMBERS)}", allocation="scored")
    wish = {"programme_id": programme["id"], "amount_cny": "50.00", "purpose": "训练"}
    made = await stage.cast.buyer.post("/v1/applications", wish)
    await screen.open(f"vouchers?tab=applications&open={made['id']}")
    form = screen.page.get_by_role("form", name="Score it")
    await form.get_by_label("Score").fill("500")
    await form.get_by_label("Reason").fill("reviewed")
    return form.get_by_role("button")


async def withdraw_one(screen: Screen, stage: Stage) -> Locator:
    name = f"twice-{next(_NUMBERS)}"
    bid = stage.order("buy", name, (210, 212), price_cny_per_gpu_hour="3.10")
    await stage.cast.buyer.post("/v1/orders", bid)
    await screen.open("buy?tab=orders")
    await screen.button(f"Cancel: {name}").click()
    return dialog_button(screen, "Cancel the order")


async def book_cash(screen: Screen, stage: Stage) -> Locator:
    name = (await stage.cast.buyer.get("/v1/participants/me"))["name"]
    await screen.open("operations?tab=participants")
    await screen.button(f"Cash of {name}").click()
    await screen.page.locator(ASKED).get_by_label("Amount").fill("1.00")
    return dialog_button(screen, "Book the deposit")


async def let_in(screen: Screen, stage: Stage) -> Locator:
    name = (await stage.cast.buyer.get("/v1/participants/me"))["name"]
    await screen.open("operations?tab=participants")
    await screen.button(f"Let in {name}").click()
    return dialog_button(screen, "Make a link")


async def register_one(screen: Screen, stage: Stage) -> Locator:
    del stage
    await screen.open("operations?tab=participants")
    await screen.button("Register…").click()
    asked = screen.page.locator(ASKED)
    await asked.get_by_label("Kind").select_option("regulator")
    await asked.get_by_label("Name").fill(f"twice {next(_NUMBERS)}")
    return dialog_button(screen, "Register")


async def end_others(screen: Screen, stage: Stage) -> Locator:
    await screen.page.request.post(
        f"{screen.origin}/v1/session",
        headers={"Origin": screen.origin},
        data={"key": stage.cast.provider.key},
    )
    await screen.open("sessions")
    await screen.button("End my others").click()
    return dialog_button(screen, "End my others")


DEEDS = {
    "issue": Deed(who=lambda stage: stage.cast.issuer, prepare=issue_one, method="POST", path="/v1/vouchers"),
    "suspend": Deed(who=lambda stage: stage.cast.issuer, prepare=suspend_one, method="POST", path="/steps"),
    "score": Deed(who=lambda stage: stage.cast.issuer, prepare=score_one, method="POST", path="/score"),
    "withdraw": Deed(
        who=lambda stage: stage.cast.buyer, prepare=withdraw_one, method="DELETE", path="/v1/orders/"
    ),
    "cash": Deed(who=lambda stage: stage.operator, prepare=book_cash, method="POST", path="/v1/deposits"),
    "let in": Deed(who=lambda stage: stage.operator, prepare=let_in, method="POST", path="/logins"),
    "register": Deed(
        who=lambda stage: stage.operator, prepare=register_one, method="POST", path="/v1/participants"
    ),
    "sessions": Deed(
        who=lambda stage: stage.cast.provider, prepare=end_others, method="DELETE", path="/v1/sessions"
    ),
}


@pytest.mark.parametrize("second", ["at once", "after the answer"] if is_long() else ["after the answer"])
@pytest.mark.parametrize("name", sampled(DEEDS, first=2))
async def test_a_double_click_sends_one_request(screen: Screen, stage: Stage, name: str, second: str) -> None:
    deed = DEEDS[name]
    await screen.log_in(deed.who(stage))
    button = await deed.prepare(screen, stage)
    sent: list[str] = []

    def asked(request: Request) -> None:
        if request.method == deed.method and deed.path in request.url:
            sent.append(request.url)

    screen.page.on("request", asked)
    box = await button.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    async with screen.page.expect_response(lambda answer: answer.request.method == deed.method):
        if second == "at once":
            await screen.page.mouse.dblclick(*middle)
        else:
            await screen.page.mouse.click(*middle)
    if second == "after the answer":
        await expect(screen.page.locator("button[type=submit]:disabled")).to_have_count(0)
        await screen.page.mouse.down(click_count=2)
        await screen.page.mouse.up(click_count=2)
    # Whatever the second click would have asked was asked before this.
    await screen.page.evaluate("fetch('/v1/time').then((answer) => answer.json())")
    assert len(sent) == 1


async def test_the_way_back_closes_a_dialog_and_then_leads_to_the_list_as_it_was(
    screen: Screen, stage: Stage
) -> None:
    programme = await make_programme(stage, "way-back")
    for _ in range(3):
        await issue(stage, programme["id"])
    await screen.log_in(stage.cast.issuer)
    await screen.open(f"vouchers?tab=issued&programme={programme['id']}")
    rows = screen.page.locator("tbody tr")
    await screen.button("Expires").click()
    await screen.button("Expires").click()
    header = screen.page.get_by_role("columnheader", name="Expires")
    await expect(header).to_have_attribute("aria-sort", "descending")
    shown = await rows.all_inner_texts()
    here = screen.page.url
    await rows.nth(1).click()
    await screen.button("Suspend").click()
    asked = screen.page.get_by_role("dialog", name="Suspend this voucher?")
    await expect(asked).to_be_visible()
    opened = screen.page.url
    await screen.page.go_back()
    await expect(asked).to_be_hidden()
    assert screen.page.url == opened
    await screen.page.go_back()
    await expect(header).to_have_attribute("aria-sort", "descending")
    assert screen.page.url == here
    assert await rows.all_inner_texts() == shown


@pytest.mark.parametrize("by", ["Escape", pytest.param("Cancel", marks=pytest.mark.long)])
async def test_a_dialog_that_was_closed_leaves_no_step_on_the_way_back(
    screen: Screen, stage: Stage, by: str
) -> None:
    await screen.log_in(stage.operator)
    await screen.open("operations")
    await screen.page.get_by_role("tab", name="Participants").click()
    await screen.page.get_by_role("tabpanel").get_by_label("Kind").select_option("issuer")
    await screen.button("Register…").click()
    asked = screen.page.locator(ASKED)
    await expect(asked).to_be_visible()
    if by == "Escape":
        await screen.page.keyboard.press("Escape")
    else:
        await dialog_button(screen, "Cancel").click()
    await expect(asked).to_have_count(0)
    # A dialog that is closed is gone from the page a moment later, and hidden until then.
    await expect(screen.page.get_by_role("combobox", name="Kind")).to_have_value("issuer")
    await screen.page.wait_for_function("history.state?.step === undefined")
    await screen.page.go_back()
    await expect(screen.page.get_by_role("tab", selected=True)).not_to_have_text("Participants")


@pytest.mark.long
async def test_the_way_back_from_a_lease_leads_to_the_list_as_it_was(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.open("leases")
    await screen.button("Amount").click()
    header = screen.page.get_by_role("columnheader", name="Amount")
    await expect(header).to_have_attribute("aria-sort", "ascending")
    await screen.button(f"Details of {stage.ids['lease_id']}").click()
    await expect(screen.page.locator(ASKED)).to_be_visible()
    await screen.page.go_back()
    await expect(screen.page.locator(ASKED)).to_have_count(0)
    await expect(header).to_have_attribute("aria-sort", "ascending")
