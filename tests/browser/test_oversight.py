"""Goal: a regulator searches the record, exports it, reads lives, and sees books as they stood.

Method: Chromium on the served exchange; what the page shows and saves is compared with what the API tells,
and what it asked with the questions on record.
"""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.oversight import (
    WHY,
    check_address,
    check_faulty,
    enter,
    field,
    look_at,
    questions,
)
from tests.browser.screen import LOOKS, Look, Screen
from tests.e2e.served import eventually
from tests.e2e.stage import PRODUCT, Stage

TRADES, EVENTS, BOOK = "/v1/oversight/trades", "/v1/oversight/events", f"/v1/oversight/books/{PRODUCT}"


@pytest.fixture(scope="module")
async def lived(stage: Stage) -> dict[str, str]:
    """Make an order that was filled in part, reduced, replaced and withdrawn, with many others beside it.

    And a trade of six hours, delivered.
    """
    cheap = {"quantity_gpus": 1, "price_cny_per_gpu_hour": "2.00"}
    await stage.strangers.provider.post("/v1/orders", stage.order("sell", "hours", (0, 6), **cheap))
    await stage.cast.buyer.post("/v1/orders", stage.order("buy", "hours", (0, 6), **cheap))
    [lease] = (await stage.strangers.provider.get("/v1/leases"))["data"]
    stage.house.pass_hours(8)
    await eventually(
        lambda: stage.strangers.provider.get(f"/v1/leases/{lease['id']}"),
        lambda told: told["status"] == "settled",
    )
    ask = stage.order("sell", "lived-ask", (50, 52), quantity_gpus=3)
    ask_id = (await stage.cast.provider.post("/v1/orders", ask))["id"]
    bid = stage.order("buy", "lived", (50, 52), quantity_gpus=8, fill="partial")
    order_id = (await stage.cast.buyer.post("/v1/orders", bid))["id"]
    path = f"/v1/orders/{order_id}"
    await stage.cast.buyer.send("PATCH", path, json={"quantity_gpus": 6})
    dearer = await stage.cast.buyer.send("PATCH", path, json={"price_cny_per_gpu_hour": "4.10"})
    other_id = dearer.json()["id"]
    await stage.cast.buyer.send("DELETE", f"/v1/orders/{other_id}")
    many = [
        stage.order("sell", f"many-{number}", (60, 62), price_cny_per_gpu_hour=f"6.{number:02}")
        for number in range(40)
    ]
    await stage.cast.provider.post("/v1/orders/batch", {"orders": many}, 200)
    return {"order_id": order_id, "other_id": other_id, "ask_id": ask_id, "lease_id": lease["id"]}


@pytest.mark.parametrize("look", LOOKS)
async def test_search_lives_and_book_in_every_look(
    open_screen: OpenScreen, stage: Stage, lived: dict[str, str], look: Look
) -> None:
    async with open_screen(look) as screen:
        await enter(screen, stage)
        await expect(screen.page.locator("h1")).to_have_text({"en": "Oversight", "zh": "监管"}[look.language])
        for place, shown, name in (
            ("tab=search&asked=yes&of=trades", "tbody tr", "trades"),
            ("tab=search&asked=yes&of=events&code=NEWO", "tbody tr", "records"),
            (f"tab=book&product={PRODUCT}", ".ov-moments", "book"),
        ):
            await screen.open(f"oversight?{place}")
            await expect(screen.page.locator(shown).first).to_be_visible()
            await look_at(screen, name)
        for kind, thing in (
            ("order", lived["order_id"]),
            ("trade", lived["lease_id"]),
            ("voucher", stage.ids["voucher_id"]),
        ):
            await screen.open(f"oversight?tab=lives&thing={thing}")
            form = screen.page.locator("form")
            await form.locator("input").last.fill(WHY)
            await form.locator("button[type=submit]").click()
            await expect(screen.page.locator(".life-step").first).to_be_visible()
            await look_at(screen, f"life-{kind}")


async def test_a_search_about_somebody_asks_why_once_and_leads_to_lives_and_back(
    screen: Screen, stage: Stage
) -> None:
    buyer = stage.cast.buyer
    await enter(screen, stage)
    reason = field(screen, "Reason for asking")
    await expect(reason).not_to_have_attribute("required", "")
    await field(screen, "Participant").fill(buyer.id)
    await expect(reason).to_have_attribute("required", "")
    screen.expects(422, TRADES)
    await screen.button("Search").click()
    await check_faulty(reason)
    await expect(reason).to_be_focused()
    await reason.fill(WHY)
    await screen.page.keyboard.press("Enter")
    trades = (await stage.cast.regulator.get(TRADES, participant=buyer.id, reason="test"))["data"]
    rows = screen.page.locator("tbody tr")
    await expect(rows).to_have_count(len(trades))
    for row, trade in zip(await rows.all(), trades, strict=True):
        await expect(row).to_contain_text(trade["id"])
        await expect(row).to_contain_text(trade["price_cny_per_gpu_hour"])
        await expect(row).to_contain_text(trade["buyer_name"])
    await check_address(screen, tab="search", of="trades", participant=buyer.id)
    asked = len(await questions(stage, "trades"))
    await rows.first.get_by_role("link", name=trades[0]["id"]).click()
    # The reason is typed once: the life is told at once.
    await expect(screen.page.locator(".life-step").first).to_be_visible()
    await expect(field(screen, "Reason for asking")).to_have_value(WHY)
    await check_address(screen, tab="lives", thing=trades[0]["id"])
    [newest, *_] = await questions(stage, "trades/one")
    assert (newest["reason"], newest["asked"]) == (WHY, {"trade_id": trades[0]["id"]})
    await screen.page.go_back()
    await expect(rows).to_have_count(len(trades))
    # What was answered is shown again without being asked again.
    assert len(await questions(stage, "trades")) == asked
    await screen.page.reload()
    await expect(screen.page.get_by_text("Say why you ask")).to_be_visible()
    assert len(await questions(stage, "trades")) == asked


@pytest.mark.long
async def test_every_fault_of_a_search_stands_at_its_field(screen: Screen, stage: Stage) -> None:
    await enter(screen, stage)
    for label, text in (
        ("Participant", "par_1"),
        ("Trade group", "nobody"),
        ("Region", "Not a region"),
        ("Price from", "5.00"),
        ("Price to", "1.00"),
        ("Programme", "prg_0000000000001"),
    ):
        await field(screen, label).fill(text)
    screen.expects(422, TRADES)
    await screen.button("Search").click()
    faulty = ("Participant", "Trade group", "Region", "Reason for asking")
    for label in faulty:
        await check_faulty(field(screen, label))
    await expect(screen.page.locator(".form-problem")).to_contain_text("need attention")
    await look_at(screen, "faults")
    await screen.button("Clear").click()
    await field(screen, "Price from").fill("5.00")
    await field(screen, "Price to").fill("1.00")
    screen.expects(422, TRADES)
    await screen.button("Search").click()
    await check_faulty(field(screen, "Price to"))


@pytest.mark.long
async def test_records_page_by_page_are_those_of_the_api(
    screen: Screen, stage: Stage, lived: dict[str, str]
) -> None:
    await enter(screen, stage, f"tab=search&asked=yes&of=events&product={PRODUCT}&order=oldest_first")
    told = (await stage.cast.regulator.get(EVENTS, product=PRODUCT, order="oldest_first", limit=1000))["data"]
    rows, seen = screen.page.locator("tbody tr"), []
    for page in range((len(told) + 49) // 50):
        await expect(rows.first.locator("td").first).to_have_text(f"{told[50 * page]['number']}")
        seen += [await row.locator("td").first.inner_text() for row in await rows.all()]
        older = screen.button("Older")
        if await older.is_enabled():
            await older.click()
    assert seen == [str(each["number"]) for each in told]
    row = rows.filter(has_text=lived["ask_id"]).filter(has_text="Order placed")
    await screen.open(f"oversight?tab=search&asked=yes&of=events&order_id={lived['ask_id']}")
    await expect(row).to_contain_text("NEWO")
    await screen.open("oversight?tab=search&asked=yes&of=events&code=VISS")
    await expect(rows.get_by_role("link", name=stage.ids["voucher_id"])).to_be_visible()
    await screen.open("oversight?tab=search&asked=yes&of=events&code=CLMW")
    await expect(screen.page.get_by_text("Nothing fits")).to_be_visible()


async def test_exports_are_saved_whole_and_only_with_a_reason(
    screen: Screen, stage: Stage, tmp_path: Path
) -> None:
    await enter(screen, stage)
    await screen.button("Records").click()
    before = len(await questions(stage, "events"))
    await field(screen, "Kind of step").select_option("NEWO")
    screen.expects(422, f"{EVENTS}/export")
    await screen.button("Export all").click()
    await check_faulty(field(screen, "Reason for asking"))
    await field(screen, "Reason for asking").fill(WHY)
    told = (await stage.cast.regulator.get(EVENTS, code="NEWO", order="oldest_first", limit=1000))["data"]

    async def saved(name: str) -> bytes:
        async with screen.page.expect_download() as coming:
            await screen.button("Export all").click()
        download = await coming.value
        assert download.suggested_filename == name
        await download.save_as(tmp_path / name)
        state = screen.page.get_by_role("group", name="Export: Records").get_by_role("status")
        await expect(state).to_have_text(f"{len(told)} rows exported")
        await expect(screen.button("Export all")).to_be_focused()
        return (tmp_path / name).read_bytes()

    rows = list(csv.DictReader(io.StringIO((await saved("events.csv")).decode("utf-8-sig"))))
    assert [row["number"] for row in rows] == [str(each["number"]) for each in told]
    await screen.button("NDJSON").click()
    lines = (await saved("events.ndjson")).decode().splitlines()
    assert [json.loads(line) for line in lines] == told
    await screen.button("CSV").click()
    await screen.page.get_by_label("ZIP").check()
    with zipfile.ZipFile(io.BytesIO(await saved("events.zip"))) as packed:
        assert len(packed.read("events.csv").splitlines()) == len(told) + 1
    await screen.page.get_by_label("ZIP").uncheck()
    await screen.button("Parquet").click()
    assert (await saved("events.parquet")).startswith(b"PAR1")
    # Neither the choice of records nor a filter asked anything by itself.
    assert len(await questions(stage, "events")) == before + 1
    exported = await questions(stage, "events/export")
    assert [(each["reason"], each["rows"], each["is_whole"]) for each in exported] == [
        (WHY, len(told), True)
    ] * 4


@pytest.mark.long
async def test_an_export_is_stopped_by_the_button_that_began_it(screen: Screen, stage: Stage) -> None:
    await enter(screen, stage)
    await field(screen, "Reason for asking").fill(WHY)
    await screen.page.route(f"**{TRADES}/export**", lambda _: None)
    await screen.button("Export all").click()
    await screen.button("Stop").click()
    await expect(screen.button("Export all")).to_be_focused()
    await expect(screen.page.locator(".form-problem")).to_have_count(0)


async def test_the_life_of_an_order_stands_on_a_line_step_by_step(
    screen: Screen, stage: Stage, lived: dict[str, str]
) -> None:
    await enter(screen, stage, "tab=lives")
    await field(screen, "Order, trade, lease or voucher").fill("par_1")
    await screen.button("Tell its life").click()
    await check_faulty(field(screen, "Order, trade, lease or voucher"))
    await field(screen, "Order, trade, lease or voucher").fill(lived["order_id"])
    await field(screen, "Reason for asking").fill(" ")
    screen.expects(422, f"/v1/oversight/orders/{lived['order_id']}")
    await screen.button("Tell its life").click()
    await check_faulty(field(screen, "Reason for asking"))
    await field(screen, "Reason for asking").fill(WHY)
    await screen.button("Tell its life").click()
    line = screen.page.get_by_role("list", name="Step by step")
    steps = line.get_by_role("listitem")
    life = await stage.cast.regulator.get(f"/v1/oversight/orders/{lived['order_id']}", reason="test")
    assert [each["code"] for each in life["steps"]] == ["NEWO", "PARF", "REME", "REME"]
    await expect(steps).to_have_count(4)
    for step, words in zip(
        await steps.all(),
        ("Order placed", "6 of 16 GPU-hours filled", "8 reduced to 6", lived["other_id"]),
        strict=True,
    ):
        await expect(step).to_contain_text(words)
    await expect(steps.first).to_contain_text(stage.cast.buyer.id)
    [trade] = life["trades"]
    await expect(screen.page.get_by_role("row").filter(has_text=trade["id"])).to_be_visible()
    await steps.last.get_by_role("link", name=lived["other_id"]).click()
    await expect(steps).to_have_count(2)
    await expect(steps.last).to_contain_text("Withdrawn")
    await expect(steps.last).to_contain_text("Withdrawn on request.")
    missing = "ord_0000000000001"
    await field(screen, "Order, trade, lease or voucher").fill(missing)
    screen.expects(404, f"/v1/oversight/orders/{missing}")
    await screen.page.keyboard.press("Enter")
    await expect(screen.page.locator(".form-problem")).to_be_visible()


async def test_the_proof_of_a_trade_is_saved_with_the_reason_given(
    screen: Screen, stage: Stage, tmp_path: Path
) -> None:
    async def sealed() -> dict[str, Any]:
        path = f"{TRADES}/{stage.ids['trade_id']}/proof"
        answer = await stage.cast.regulator.send("GET", path, params={"reason": "test"})
        found: dict[str, Any] = answer.json()
        return found

    told = await eventually(sealed, lambda proof: proof.get("unsealed") == 0)
    await enter(screen, stage, f"tab=lives&thing={stage.ids['trade_id']}")
    await field(screen, "Reason for asking").fill(WHY)
    await screen.button("Tell its life").click()
    async with screen.page.expect_download() as coming:
        await screen.button("Save the proof").click()
    download = await coming.value
    assert download.suggested_filename == f"proof-{stage.ids['trade_id']}.json"
    await download.save_as(tmp_path / "proof.json")
    proof = json.loads((tmp_path / "proof.json").read_bytes())
    assert proof["trade_id"] == told["trade_id"]
    assert [each["bytes"] for each in proof["records"]] == [each["bytes"] for each in told["records"]] != []
    assert (await questions(stage, "trades/proof"))[0]["reason"] == WHY


@pytest.mark.long
async def test_a_trade_of_which_no_hour_is_settled_says_so(screen: Screen, stage: Stage) -> None:
    await stage.cast.provider.post("/v1/orders", stage.order("sell", "unsettled", (400, 402)))
    await stage.cast.buyer.post("/v1/orders", stage.order("buy", "unsettled", (400, 402)))
    [trade, *_] = (await stage.cast.buyer.get("/v1/trades"))["data"]
    await enter(screen, stage, f"tab=lives&thing={trade['id']}")
    await field(screen, "Reason for asking").fill(WHY)
    await screen.button("Tell its life").click()
    settled = screen.page.locator("dl.figures > div").filter(has_text="Settled until")
    await expect(settled).to_contain_text("Nothing settled yet")
    await expect(settled.locator("time")).to_have_count(0)


@pytest.mark.long
async def test_the_lives_of_a_trade_and_its_voucher_lead_to_each_other(screen: Screen, stage: Stage) -> None:
    [trade] = (await stage.cast.regulator.get(TRADES, voucher_funded="true"))["data"]
    await enter(screen, stage, f"tab=lives&thing={trade['id'].replace('trd_', 'lse_')}")
    await field(screen, "Reason for asking").fill(WHY)
    await screen.button("Tell its life").click()
    steps = screen.page.get_by_role("list", name="Step by step").get_by_role("listitem")
    await expect(steps).to_have_count(3)
    await expect(steps.last).to_contain_text("Hour delivered")
    money = screen.page.get_by_role("region", name="Whose money it was")
    await money.get_by_role("link", name=stage.ids["voucher_id"]).first.click()
    await expect(screen.page.get_by_text("Issued", exact=True)).to_be_visible()
    for words in ("Set aside for a bid", "Into escrow for a trade", "Paid for a delivered hour"):
        await expect(steps.filter(has_text=words)).to_have_count(1)
    await steps.filter(has_text="Into escrow").get_by_role("link", name=trade["id"]).click()
    await expect(money).to_be_visible()


@pytest.mark.long
async def test_hours_delivered_on_end_are_told_as_one_and_one_by_one(
    screen: Screen, stage: Stage, lived: dict[str, str]
) -> None:
    await enter(screen, stage, f"tab=lives&thing={lived['lease_id']}")
    await field(screen, "Reason for asking").fill(WHY)
    await screen.button("Tell its life").click()
    line = screen.page.get_by_role("list", name="Step by step")
    together = line.get_by_role("listitem").last
    await expect(together).to_contain_text("Hour delivered, 6 hours in a row")
    await expect(together).to_contain_text("¥12.00")
    await together.locator("summary").click()
    await expect(together.locator("tbody tr")).to_have_count(6)
    await expect(together.locator("tbody tr").first).to_contain_text("¥2.00")


def shown_orders(book: dict[str, Any]) -> list[str]:
    """Return the ids of a book's orders as the page lists them."""
    return [each["order_id"] for each in book["data"]]


@pytest.mark.long
async def test_the_book_follows_the_slider_and_asks_only_where_it_rests(
    screen: Screen, stage: Stage, lived: dict[str, str]
) -> None:
    del lived
    regulator = stage.cast.regulator
    await enter(screen, stage, "tab=book")
    await field(screen, "Reason for asking").fill(WHY)
    await field(screen, "Product").select_option(PRODUCT)
    slider = screen.page.get_by_role("slider")
    reach = await regulator.get(f"{BOOK}/range")
    last = reach["last_sequence"]
    await expect(slider).to_have_value(str(last))
    orders = screen.page.locator("tbody tr th code, tbody tr th a")

    async def check_book(sequence: int) -> None:
        book = await regulator.get(BOOK, sequence=sequence, limit=100)
        await expect(screen.page.get_by_label("The book then")).to_contain_text(f"{sequence}")
        await expect(orders).to_have_text(shown_orders(book))

    await check_book(last)
    before = len(await questions(stage, "books"))
    await slider.focus()
    for _ in range(5):
        await screen.page.keyboard.press("ArrowLeft")
    await check_address(screen, product=PRODUCT, sequence=str(last - 5))
    await check_book(last - 5)
    asked = (await questions(stage, "books"))[: -before or None]
    own = [each for each in asked if each["reason"] == WHY]
    assert [each["asked"]["sequence"] for each in own] == [last - 5]
    await screen.page.get_by_role("button", name="One command on").click()
    await check_book(last - 4)
    await screen.page.get_by_label("Sequence of the command").fill("3")
    await screen.page.keyboard.press("Enter")
    await check_book(3)
    await screen.page.get_by_role("button", name="Before the first command").click()
    await expect(screen.page.get_by_text("No order rested")).to_be_visible()


@pytest.mark.long
async def test_the_book_at_a_time_is_that_of_its_last_command(screen: Screen, stage: Stage) -> None:
    await enter(screen, stage, f"tab=book&product={PRODUCT}")
    at = field(screen, "Or as of a time")
    await expect(at).to_be_visible()
    reach = await stage.cast.regulator.get(f"{BOOK}/range")
    # Venue time in the reader's zone, UTC+8; the first commands all came within its second.
    seconds = await screen.page.evaluate("(at) => Date.parse(at)", reach["first_at"])
    local = await screen.page.evaluate(
        "(at) => new Date(at + 8 * 3600e3 + 1000).toISOString().slice(0, 19)", seconds
    )
    await at.fill(local)
    book = await stage.cast.regulator.get(
        BOOK, at=await screen.page.evaluate("(at) => new Date(at + '+08:00').toISOString()", local)
    )
    await expect(screen.page.get_by_role("slider")).to_have_value(str(book["sequence"]))
    await expect(screen.page.locator("tbody tr th a")).to_have_text(shown_orders(book))
    screen.expects(422, BOOK)
    await at.fill("2099-01-01T00:00:00")
    await check_faulty(at)


@pytest.mark.long
async def test_others_do_not_see_the_page(screen: Screen, stage: Stage) -> None:
    await screen.log_in(stage.cast.buyer)
    await screen.page.goto(f"{screen.origin}/console/oversight")
    await expect(screen.page.get_by_text("This page is not for your login")).to_be_visible()
    await expect(screen.page.get_by_role("link", name="Oversight")).to_have_count(0)
