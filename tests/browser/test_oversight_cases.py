"""Goal: a regulator reads reports, works on alerts as cases, and everybody who may sees who asked what.

Method: Chromium on the served exchange; what the page shows, saves and does is compared with what the API
tells.
"""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Route, expect

from exchange.kit.clock import US_PER_DAY, format_rfc3339
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
from tests.e2e.served import Caller, eventually
from tests.e2e.stage import Stage

ALERTS, REPORTS = "/v1/oversight/alerts", "/v1/oversight/reports"


async def summed(regulator: Caller) -> None:
    """Wait until the whole scene is summed up, so that what reports say does not change any more."""
    await eventually(lambda: regulator.get(f"{REPORTS}/stacking"), lambda told: len(told["rows"]) == 2)
    # The delivery of an hour comes after both trades.
    await eventually(
        lambda: regulator.get(f"{REPORTS}/budget-burn", by="all"),
        lambda told: any(row["captured_cny"] != "0.00" for row in told["rows"]),
    )


@pytest.mark.parametrize("look", LOOKS)
async def test_reports_alerts_and_questions_in_every_look(
    open_screen: OpenScreen, stage: Stage, look: Look
) -> None:
    await summed(stage.cast.regulator)
    async with open_screen(look) as screen:
        await enter(screen, stage)
        for place, shown, name in (
            ("tab=reports&report=fill-rate", ".bars-line", "report"),
            (f"tab=alerts&alert={stage.ids['alert_id']}", ".ov-case .life-step", "alert"),
            ("tab=questions", "tbody tr", "questions"),
        ):
            await screen.open(f"oversight?{place}")
            await expect(screen.page.locator(shown).first).to_be_visible()
            await look_at(screen, name)


async def test_every_report_has_its_definition_its_picture_its_rows_and_its_file(
    screen: Screen, stage: Stage, tmp_path: Path
) -> None:
    regulator = stage.cast.regulator
    await summed(regulator)
    await enter(screen, stage, "tab=reports")
    await expect(screen.page.get_by_text("Each has its definition")).to_be_visible()
    await field(screen, "Reason for asking").fill(WHY)
    for kind in (await regulator.get(REPORTS))["data"]:
        path = f"{REPORTS}/{kind['name']}"
        await screen.page.get_by_label("Report", exact=True).select_option(kind["name"])
        shown = screen.page.get_by_role("region", name=kind["title"], exact=True)
        await expect(shown).to_contain_text(kind["definition"])
        await expect(shown).to_contain_text("Summed up until")
        await check_address(screen, tab="reports", report=kind["name"])
        told = await regulator.get(path, by="day")
        table = screen.page.get_by_role("table", name=f"Rows: {kind['title']}", exact=True)
        if told["rows"]:
            await expect(shown.get_by_role("img").first).to_be_visible()
            await expect(table.locator("tbody tr")).to_have_count(len(told["rows"]))
            await expect(table.locator("thead th")).to_have_count(len(told["columns"]))
        else:
            await expect(shown.get_by_text("Nothing in these days")).to_be_visible()
    [newest, *_] = await questions(stage, "reports")
    assert newest["asked"]["report"] == "stacking"
    async with screen.page.expect_download() as coming:
        await screen.button("Download CSV").click()
    download = await coming.value
    await download.save_as(tmp_path / "report.csv")
    file = await regulator.send("GET", f"{REPORTS}/{newest['asked']['report']}/export?by=day")
    assert (tmp_path / "report.csv").read_bytes() == file.content
    assert [each["reason"] for each in await questions(stage, "reports/export")][-1] == WHY


@pytest.mark.long
async def test_a_report_of_other_days_put_together_otherwise(screen: Screen, stage: Stage) -> None:
    regulator = stage.cast.regulator
    await summed(regulator)
    await enter(screen, stage, "tab=reports&report=stacking")
    day = (await regulator.get("/v1/time"))["now_at"][:10]
    rows = screen.page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await screen.button("All in one").click()
    await check_address(screen, report="stacking", by="all")
    await expect(rows).to_have_count(2)
    await field(screen, "From day").fill("2025-01-01")
    await field(screen, "Until day").fill(day)
    await screen.page.keyboard.press("Enter")
    await check_address(screen, **{"from": "2025-01-01", "until": day})
    await expect(screen.page.get_by_text("Nothing in these days")).to_be_visible()
    await field(screen, "Until day").fill("2024-01-01")
    screen.expects(422, f"{REPORTS}/stacking")
    await screen.button("Show").click()
    await check_faulty(field(screen, "Until day"))
    await field(screen, "Until day").fill("")
    await screen.button("Show").click()
    await expect(rows).to_have_count(2)
    picture = screen.page.get_by_role("img").first
    await expect(picture).to_have_accessible_name(
        "Trades by number of programmes. No programme: Trades 1; 1 programme: Trades 1"
    )
    await screen.button("Trades by number of programmes: Show as table").click()
    await expect(screen.page.get_by_role("table", name="Trades by number of programmes")).to_contain_text(
        "1 programme"
    )


async def test_an_alert_becomes_a_case_that_is_closed(screen: Screen, stage: Stage) -> None:
    alert_id = stage.ids["alert_id"]
    path = f"{ALERTS}/{alert_id}"
    await enter(screen, stage, "tab=alerts")
    await field(screen, "Participant").fill(stage.cast.buyer.id)
    screen.expects(422, ALERTS)
    await screen.button("List").click()
    await check_faulty(field(screen, "Reason for asking"))
    await field(screen, "Reason for asking").fill(WHY)
    await screen.button("List").click()
    row = screen.page.locator("tbody tr").filter(has_text=alert_id)
    await expect(row).to_contain_text("Open")
    assert (await questions(stage, "alerts"))[0]["reason"] == WHY
    await row.get_by_role("link", name="Self-match attempts").click()
    case = screen.page.locator(".ov-case")
    await expect(case.get_by_role("heading").first).to_be_focused()
    await expect(case.get_by_role("row").filter(has_text="Pairs")).to_contain_text("3")
    records = case.get_by_role("list", name="What it rests on").get_by_role("listitem")
    await expect(records).to_have_count(1)
    work = case.get_by_role("form", name="Work on the case")
    await work.get_by_role("button", name="Add a note").click()
    screen.expects(422, f"{path}/notes")
    await work.locator("button[type=submit]").click()
    await check_faulty(work.get_by_label("Note"))
    await work.get_by_label("Note").fill("asked both")
    await work.locator("button[type=submit]").click()
    steps = case.get_by_role("list", name="The case").get_by_role("listitem")
    await expect(steps).to_have_count(1)
    await work.get_by_role("button", name="Take under review").first.click()
    await work.get_by_label("Why, or by whom").fill("desk 3")
    await work.locator("button[type=submit]").click()
    await expect(row).to_contain_text("Under review")
    await work.get_by_role("button", name="Close the case").first.click()
    await work.get_by_label("What the review came to").fill("explained")
    await work.locator("button[type=submit]").click()
    sure = screen.page.get_by_role("dialog", name="Close this case for good?")
    await expect(sure).to_contain_text("explained")
    await screen.check_accessible()
    await sure.get_by_role("button", name="Close the case").click()
    await expect(steps).to_have_count(3)
    await expect(row).to_contain_text("Closed")
    told = await stage.cast.regulator.get(path)
    assert [(each["kind"], each["text"]) for each in told["steps"]] == [
        ("note", "asked both"),
        ("review", "desk 3"),
        ("close", "explained"),
    ]
    await look_at(screen, "case")
    await records.get_by_role("link", name=stage.ids["order_id"]).click()
    await expect(screen.page.get_by_role("list", name="Step by step")).to_be_visible()


@pytest.mark.long
async def test_a_note_whose_answer_is_lost_is_written_once(screen: Screen, stage: Stage) -> None:
    path = f"{ALERTS}/{stage.ids['alert_id']}"
    case = await stage.cast.regulator.get(path)
    before = case["steps"]
    await enter(screen, stage, f"tab=alerts&alert={stage.ids['alert_id']}")
    lost: list[str] = []

    async def lose(route: Route) -> None:
        if lost:
            await route.continue_()
            return
        lost.append(route.request.headers["idempotency-key"])
        await route.fetch()
        await route.abort()

    await screen.page.route(f"**{path}/notes", lose)
    work = screen.page.get_by_role("form", name="Work on the case")
    if case["status"] != "closed":  # where there is no other work a note is what the form is for
        await work.get_by_role("button", name="Add a note").click()
    await work.get_by_label("Note").fill("told once")
    await work.locator("button[type=submit]").click()
    await expect(screen.page.locator(".toast").last).to_contain_text("Note added")
    after = (await stage.cast.regulator.get(path))["steps"]
    assert [each["text"] for each in after[len(before) :]] == ["told once"]
    assert len(lost) == 1


@pytest.mark.long
async def test_rules_are_read_by_version_and_the_next_one_is_made_or_saved(
    screen: Screen, stage: Stage, tmp_path: Path
) -> None:
    await enter(screen, stage, "tab=alerts")
    await screen.page.get_by_text("Rules of surveillance").click()
    await expect(screen.page.get_by_role("row").filter(has_text="Hoarding")).to_contain_text("40%")
    await screen.page.get_by_text("Make the next version from this one").click()
    form = screen.page.get_by_role("form", name="Make the next version from this one")
    hoarding = form.get_by_role("group", name="Hoarding")
    await hoarding.get_by_label("Share, at least").fill("20000")
    screen.expects(422, "/v1/oversight/alert-rules")
    await form.get_by_role("button", name="Put in force").click()
    await check_faulty(hoarding.get_by_label("Share, at least"))
    await check_faulty(form.get_by_label("Why they change"))
    await look_at(screen, "rules")
    await hoarding.get_by_label("Share, at least").fill("3000")
    await form.get_by_label("Why they change").fill("复核")
    async with screen.page.expect_download() as coming:
        await form.get_by_role("button", name="Save as a file").click()
    await (await coming.value).save_as(tmp_path / "rules.json")
    await form.get_by_role("button", name="Put in force").click()
    await expect(screen.page.locator(".toast").last).to_contain_text("Version 2 is made")
    await expect(screen.page.get_by_role("row").filter(has_text="Hoarding")).to_contain_text("30%")
    [made, first] = (await stage.cast.regulator.get("/v1/oversight/alert-rules"))["data"]
    hoards: dict[str, Any] = first["rules"]["hoarding"]
    assert made["rules"] == first["rules"] | {"hoarding": hoards | {"share_min_bps": 3000}}
    assert '"share_min_bps": 3000' in (tmp_path / "rules.json").read_text(encoding="utf-8")


@pytest.mark.long
async def test_rules_are_tried_on_the_record_before_they_are_in_force(screen: Screen, stage: Stage) -> None:
    path = "/v1/oversight/alert-rules/backtest"
    await enter(screen, stage, "tab=alerts")
    await screen.page.get_by_text("Rules of surveillance").click()
    await screen.page.get_by_text("Make the next version from this one").click()
    form = screen.page.get_by_role("form", name="Try these rules on the record")
    now_us = stage.house.clock.now_us()
    begins, ends = (format_rfc3339(now_us + days * US_PER_DAY)[:19] for days in (-20, 1))
    await form.get_by_label("Alerts from").fill(ends)
    await form.get_by_label("Until before").fill(begins)
    await form.get_by_label("Why you try them").fill("case 7")
    screen.expects(422, path)
    await form.get_by_role("button", name="Try").click()
    await check_faulty(form.get_by_label("Until before"))
    await form.get_by_label("Alerts from").fill(begins)
    await form.get_by_label("Until before").fill(ends)
    await form.get_by_role("button", name="Try").click()
    await expect(form.get_by_role("status")).to_contain_text("orders")
    result = form.get_by_role("table", name="What they would have found")
    await expect(result.get_by_role("row").filter(has_text="Hoarding")).to_be_visible()
    await screen.check_accessible()
    [asked] = (await stage.cast.regulator.get("/v1/oversight/questions", limit=1))["data"]
    assert (asked["query"], asked["reason"], asked["is_whole"]) == ("alert-rules/backtest", "case 7", True)


@pytest.mark.long
async def test_the_operator_sees_who_asked_and_explains_by_notes_only(screen: Screen, stage: Stage) -> None:
    await stage.cast.regulator.get("/v1/oversight/trades", participant=stage.cast.buyer.id, reason=WHY)
    await screen.log_in(stage.operator)
    await screen.open(f"oversight?tab=questions&participant={stage.cast.regulator.id}")
    newest = screen.page.locator("tbody tr").first
    await expect(newest).to_contain_text("Search of trades")
    await expect(newest).to_contain_text(WHY)
    await expect(newest).to_contain_text(stage.cast.buyer.id)
    asked = len(await questions(stage, "alerts"))
    await screen.open(f"oversight?tab=alerts&alert={stage.ids['alert_id']}")
    work = screen.page.get_by_role("form", name="Work on the case")
    await expect(work.get_by_role("button")).to_have_text(["Add a note"])
    await work.get_by_label("Note").fill("our desk tested")
    await work.get_by_role("button").click()
    case = screen.page.get_by_role("list", name="The case")
    own_id: str = (await stage.operator.get("/v1/participants/me"))["id"]
    await expect(case.get_by_role("listitem").last).to_contain_text(own_id)
    assert len(await questions(stage, "alerts")) > asked
    await screen.check_accessible()
    made = await stage.operator.key_of(own_id, ["operate"])
    await screen.button("Log out").click()
    await expect(screen.page.get_by_role("link", name="Log in")).to_be_visible()
    await screen.log_in(stage.operator.with_key(made["secret"]))
    await screen.open("oversight?tab=alerts")
    await expect(screen.page.get_by_role("tab")).to_have_text(["Questions"])
    await expect(screen.page.locator("tbody tr").first).to_be_visible()
