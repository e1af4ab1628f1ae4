"""Goal: an operator sees how the exchange stands, switches a market knowing what that does, lets people in.

Method: a real Chromium on the served exchange, with the scene of `tests.e2e.stage`; what was done is read
back from the API, and tried by a trader or by who was let in.
"""

import re

import pytest
from playwright.async_api import Locator, Route, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.served import eventually, problem
from tests.e2e.stage import LOT_PRODUCT, PRODUCT, Stage

PARTICIPANTS = "operations?tab=participants"


@pytest.fixture
async def desk(screen: Screen, stage: Stage) -> Screen:
    """Open the page as the operator."""
    await screen.log_in(stage.operator)
    await screen.open("operations")
    return screen


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
async def test_the_page_in_every_look(open_screen: OpenScreen, stage: Stage, look: Look) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.operator)
        await screen.open("operations")
        await expect(screen.page.locator(".table-frame")).to_have_count(3)
        # The chart has its first period five seconds after the exchange was opened.
        await expect(screen.page.locator(".uplot")).to_be_visible()
        await screen.check_accessible()
        await screen.check_fits()
        await screen.screenshot("operations")
        await screen.page.get_by_role("tab").nth(1).click()
        await expect(screen.page.locator(".table-frame").first.get_by_role("row")).not_to_have_count(1)
        await screen.check_accessible()
        await screen.check_fits()
        await screen.screenshot("operations-markets")


@pytest.mark.long
async def test_partitions_processes_and_followers_are_told_and_followed(desk: Screen, stage: Stage) -> None:
    partitions = desk.page.get_by_role("table", name="Partitions")
    row = partitions.get_by_role("row").nth(1)
    await expect(row).to_contain_text("Led")
    await expect(row).to_contain_text(stage.house.exchange.process.rsplit("/", 1)[0])
    process = desk.page.get_by_role("table", name="Processes").get_by_role("row").nth(1)
    await expect(process).to_contain_text("answers this page")
    await expect(process).to_contain_text("Well")
    await expect(desk.page.get_by_role("table", name="Behind the record")).to_contain_text("Alerts")
    await expect(desk.page.get_by_text("Requests are taken.")).to_be_visible()
    seal = desk.page.get_by_role("region", name="Seal of the record")
    await expect(seal).to_contain_text(stage.house.exchange.process.rsplit("/", 1)[0])
    # What is committed meanwhile is shown without being asked for.
    before = (await stage.operator.get("/v1/operations"))["partitions"][0]["committed_sequence"]
    ask = stage.order("sell", "ops-live", (50, 60), price_cny_per_gpu_hour="9.99")
    await stage.cast.provider.post("/v1/orders", ask)
    await expect(row).to_contain_text(f"{before + 1:,}")


async def test_a_market_is_halted_with_a_reason_and_opened_again(desk: Screen, stage: Stage) -> None:
    await desk.page.get_by_role("tab", name="Markets").click()
    await expect(desk.page).to_have_url(re.compile(r"tab=markets$"))
    await desk.page.get_by_label("Find a product").fill("t4 zhangjiakou")
    markets = desk.page.get_by_role("table", name="Markets")
    await expect(markets.get_by_role("row")).to_have_count(2)
    await desk.button(f"Switch the phase of {PRODUCT}").click()
    dialog = desk.page.get_by_role("dialog")
    await expect(dialog.get_by_role("radio", name="Open")).to_be_disabled()
    await expect(dialog.get_by_role("button", name="Choose a phase")).to_be_disabled()
    await dialog.get_by_role("radio", name="Halted").check()
    await expect(dialog).to_contain_text("Participants may only cancel")
    await dialog.get_by_label("Reason").fill("prices moved without trades")
    await desk.check_accessible()
    await desk.screenshot("operations-switch")
    await dialog.get_by_role("button", name="Halt this market").click()
    await expect(dialog).to_be_hidden()
    await expect(markets.get_by_role("row").nth(1)).to_contain_text("Halted")
    changes = desk.page.get_by_role("table", name="Last switches").get_by_role("row")
    await expect(changes.nth(1)).to_contain_text("prices moved without trades")
    await expect(changes.nth(1)).to_contain_text(PRODUCT)
    refused = await stage.cast.provider.send(
        "POST", "/v1/orders", json=stage.order("sell", "ops-halted", (50, 60))
    )
    assert problem(refused, 409)["errors"][0]["code"] == "phase"
    # What is not open is found without knowing its name.
    await desk.page.get_by_label("Find a product").fill("")
    await desk.button("Not open").click()
    await expect(markets.get_by_role("row")).to_have_count(2)
    await desk.screenshot("operations-halted")
    await desk.button(f"Switch the phase of {PRODUCT}").click()
    await dialog.get_by_role("radio", name="Open").check()
    await dialog.get_by_role("button", name="Open this market").click()
    await expect(desk.page.get_by_text("Every market is open")).to_be_visible()
    await expect(changes.nth(1)).to_contain_text("Open")
    await stage.cast.provider.post("/v1/orders", stage.order("sell", "ops-open", (50, 60)))


@pytest.mark.long
async def test_a_dialog_that_is_left_switches_nothing_and_a_refusal_is_told_in_it(
    desk: Screen, stage: Stage
) -> None:
    async def phase() -> str:
        told = await stage.operator.get("/v1/operations")
        return next(
            str(each["phase"]) for each in told["partitions"][0]["products"] if each["product"] == LOT_PRODUCT
        )

    await desk.page.get_by_role("tab", name="Markets").click()
    await desk.button(f"Switch the phase of {LOT_PRODUCT}").click()
    dialog = desk.page.get_by_role("dialog")
    await dialog.get_by_role("radio", name="Cancel only").check()
    await desk.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert await phase() == "open"
    await desk.button(f"Switch the phase of {LOT_PRODUCT}").click()
    await dialog.get_by_role("radio", name="Cancel only").check()
    await dialog.get_by_label("Reason").fill("\u2800")  # nothing to see
    desk.expects(422, f"/v1/products/{LOT_PRODUCT}/phase")
    await dialog.get_by_role("button", name="Take cancels only").click()
    reason = dialog.get_by_label("Reason")
    await expect(reason).to_have_attribute("aria-invalid", "true")
    await expect(reason).to_be_focused()
    await reason.fill("too fast")
    await dialog.get_by_role("button", name="Take cancels only").click()
    await expect(dialog).to_be_hidden()

    await eventually(phase, lambda told: told == "cancel_only")


async def test_a_record_that_nobody_seals_is_told_before_all_else(
    desk: Screen, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = desk.page.get_by_role("alert")
    await expect(desk.page.get_by_role("region", name="Seal of the record")).to_be_visible()
    await expect(alert).to_have_count(0)
    sealer = stage.house.exchange.watched.sealer
    with monkeypatch.context() as lost:
        lost.setattr(sealer, "signer", None)
        await expect(alert).to_contain_text("No process that is alive holds the signing key")
        await expect(desk.page.get_by_role("region", name="Seal of the record")).to_contain_text("Nobody")
        await desk.check_accessible()
    await expect(alert).to_have_count(0)


async def test_who_is_no_operator_does_not_see_the_page(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.regulator)
    await screen.page.goto(f"{screen.origin}/console/operations")
    await expect(screen.page.get_by_text("This page is not for your login")).to_be_visible()
    await expect(screen.page.get_by_role("link", name="Operations")).to_have_count(0)


@pytest.fixture
async def office(screen: Screen, stage: Stage) -> Screen:
    """Open the participants as the operator."""
    await screen.log_in(stage.operator)
    await screen.open(PARTICIPANTS)
    await expect(members(screen).nth(1)).to_be_visible()
    return screen


def members(screen: Screen) -> Locator:
    """The participants, and before them the heading."""
    return screen.page.get_by_role("table", name="Participants").get_by_role("row")


@pytest.mark.parametrize("look", LOOKS)
async def test_the_participants_in_every_look(open_screen: OpenScreen, stage: Stage, look: Look) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.operator)
        await screen.open(PARTICIPANTS)
        table = screen.page.locator(".table-frame")
        await expect(table.get_by_role("row").nth(1)).to_be_visible()
        await screen.check_accessible()
        await screen.check_fits()
        await screen.screenshot("participants")
        dialog = screen.page.get_by_role("dialog")
        buttons = table.get_by_role("row").filter(has_text="par_").nth(2).get_by_role("button")
        for name, opens in (
            ("register", screen.page.locator(".ops-filters .button-primary")),
            ("access", buttons.first),
            ("cash", buttons.last),
        ):
            await opens.click()
            await expect(dialog).to_be_visible()
            await expect(dialog.locator(".loading")).to_have_count(0)
            await screen.check_accessible()
            await screen.check_fits()
            await screen.screenshot(f"participants-{name}")
            await screen.page.keyboard.press("Escape")
            await expect(dialog).to_be_hidden()


@pytest.mark.long
async def test_what_a_kind_lacks_is_told_at_its_fields_and_what_is_whole_is_registered(
    office: Screen, stage: Stage
) -> None:
    await office.button("Register…").click()
    dialog = office.page.get_by_role("dialog")
    await dialog.get_by_label("Kind").select_option("buyer")
    await dialog.get_by_label("Name").fill("贵州算力应用有限公司")
    office.expects(422, "/v1/participants")
    await dialog.get_by_role("button", name="Register", exact=True).click()
    for label in ("Region", "Size", "Founded on"):
        await expect(dialog.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    await expect(dialog.get_by_label("Region")).to_be_focused()
    await dialog.get_by_label("Region").fill("guizhou")
    await dialog.get_by_label("Size").select_option("small")
    await dialog.get_by_label("Founded on").fill("2022-03-01")
    await dialog.get_by_label("Sectors").fill("ai、large-models")
    await dialog.get_by_role("button", name="Register", exact=True).click()
    await expect(dialog).to_be_hidden()
    await expect(members(office).filter(has_text="贵州算力应用有限公司")).to_contain_text("Small")
    found = (await stage.operator.get("/v1/participants", kind="buyer", limit=1000))["data"]
    [made] = [each for each in found if each["name"] == "贵州算力应用有限公司"]
    assert (made["region"], made["size_class"], made["founded_on"]) == ("guizhou", "small", "2022-03-01")
    assert made["sectors"] == ["ai", "large-models"]


async def test_who_has_a_login_link_is_in_once(office: Screen, open_screen: OpenScreen, stage: Stage) -> None:
    await office.page.get_by_label("Kind").select_option("provider")
    name = (await stage.cast.provider.get("/v1/participants/me"))["name"]
    await office.button(f"Let in {name}").click()
    dialog = office.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Make a link").click()
    link = await dialog.locator(".ops-secret").inner_text()
    await office.check_accessible()
    async with open_screen(Look()) as theirs:
        await theirs.page.goto(link)
        await expect(theirs.page.locator(".account-name")).to_have_text(name)
        await expect(theirs.page.get_by_role("link", name="Sell")).to_be_visible()


@pytest.mark.long
async def test_nobody_is_let_in_as_the_exchange_itself(office: Screen, stage: Stage) -> None:
    name = (await stage.operator.get("/v1/participants/par_0000000000001"))["name"]
    await expect(office.page.get_by_role("button", name=re.compile("^Let in "))).not_to_have_count(0)
    await expect(office.button(f"Let in {name}")).to_have_count(0)


@pytest.mark.long
async def test_a_key_has_the_scopes_that_were_chosen(office: Screen, stage: Stage) -> None:
    name = (await stage.cast.buyer.get("/v1/participants/me"))["name"]
    await office.button(f"Let in {name}").click()
    dialog = office.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="API key").click()
    await dialog.get_by_label("Trade").uncheck()
    await dialog.get_by_label("Label").fill("reports")
    await dialog.get_by_role("button", name="Make a key").click()
    secret = await dialog.locator(".ops-secret").inner_text()
    keys = (await stage.cast.buyer.with_key(secret).get("/v1/keys"))["data"]
    assert ("reports", ["read"]) in [(each["label"], each["scopes"]) for each in keys]


async def test_cash_is_booked_once_though_its_answer_is_lost(office: Screen, stage: Stage) -> None:
    buyer = stage.cast.buyer
    name = (await buyer.get("/v1/participants/me"))["name"]

    async def available() -> str:
        accounts = (await buyer.get("/v1/accounts"))["data"]
        return str(next(each["available_cny"] for each in accounts if each["purpose"] == "cash"))

    before = float(await available())
    lost = 0

    async def lose_first(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost > 1:
            await route.continue_()
            return
        await route.fetch()  # it is done
        await route.abort()

    await office.page.route("**/v1/deposits", lose_first)
    await office.button(f"Cash of {name}").click()
    dialog = office.page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"¥{before:,.2f}")
    await dialog.get_by_label("Amount").fill("12.3.4")
    office.expects(422, "/v1/deposits")
    lost = 1  # this one is refused
    await dialog.get_by_role("button", name="Book the deposit").click()
    await expect(dialog.get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
    lost = 0
    await dialog.get_by_label("Amount").fill("250.50")
    await dialog.get_by_label("Note").fill("bank 4711")
    await dialog.get_by_role("button", name="Book the deposit").click()
    await expect(dialog).to_be_hidden()
    assert lost == 2
    assert float(await available()) == pytest.approx(before + 250.50)
    # More than there is cannot go out.
    await office.button(f"Cash of {name}").click()
    await dialog.get_by_role("button", name="Withdrawal", exact=True).click()
    await dialog.get_by_label("Amount").fill("999999999")
    office.expects(402, "/v1/withdrawals")
    await dialog.get_by_role("button", name="Book the withdrawal").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await dialog.get_by_label("Amount").fill("250.50")
    await dialog.get_by_role("button", name="Book the withdrawal").click()
    await expect(dialog).to_be_hidden()
    await expect(office.page.get_by_text(re.compile("Booked: .* free to be spent now")).last).to_be_visible()
    assert float(await available()) == pytest.approx(before)
