"""Goal: an issuer does its whole job on the page of vouchers, from a programme to a claim that is over.

Method: Chromium on the served exchange; what the page did is read through the API by the issuer's own key.
"""

import csv
import io
import json
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import LOOKS, Look, Screen
from tests.browser.voucher_scene import (
    card_of,
    check_look,
    claimed,
    deliver,
    downloaded,
    issue,
    make_programme,
)
from tests.e2e.stage import SCOPES, Stage

PHONE = Look(language="zh", is_phone=True)


async def step(screen: Screen, button: str, title: str) -> Locator:
    """Ask for a step by its button, and return its dialog."""
    await screen.button(button).click()
    return screen.page.get_by_role("dialog", name=title)


async def agree(dialog: Locator, button: str) -> None:
    await dialog.get_by_role("button", name=button, exact=True).click()
    await expect(dialog).to_be_hidden()


async def test_a_claim_goes_through_its_whole_life(screen: Screen, stage: Stage) -> None:
    claim = await claimed(stage, "life")
    path = f"/v1/claims/{claim['id']}"
    await stage.cast.provider.send(
        "POST",
        f"{path}/evidence",
        params={"name": "log"},
        content=b"ran",
        headers={"Content-Type": "text/plain"},
    )
    await screen.log_in(stage.cast.issuer)
    await screen.open("vouchers")
    row = screen.page.locator("tbody tr").filter(has_text=claim["id"])
    await expect(row).to_contain_text("provider")
    await row.click()
    head = screen.page.locator(".voucher-head")
    await expect(head.get_by_role("heading", name="Claim of ¥8.40")).to_be_focused()
    assert await downloaded(screen, screen.page.get_by_role("link", name="log")) == b"ran"
    await expect(screen.button("Attach a file")).to_have_count(0)

    dialog = await step(screen, "Audit it", "Bring this claim into audit?")
    await dialog.get_by_label("Reason").fill("first of this provider")
    await agree(dialog, "Audit it")
    dialog = await step(screen, "Ask the claimant", "Ask the claimant?")
    await dialog.get_by_label("Reason").fill("which jobs ran?")
    await agree(dialog, "Ask the claimant")
    await expect(screen.page.get_by_text("Its claimant takes the next step.")).to_be_visible()
    answer = {"to": "in_audit", "reason": "see the log"}
    await stage.cast.provider.post(f"{path}/steps", answer, status=200)
    await screen.page.reload()

    dialog = await step(screen, "Reduce", "Reduce this claim?")
    amount = dialog.get_by_label("Amount that will be paid")
    await amount.fill("8.40")
    screen.expects(422, f"{path}/steps")
    await dialog.get_by_role("button", name="Reduce").click()
    await expect(dialog.get_by_label("Reason")).to_be_focused()
    await expect(dialog.get_by_label("Reason")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Reason").fill("an hour was idle")
    screen.expects(422, f"{path}/steps")
    await dialog.get_by_role("button", name="Reduce").click()
    await expect(amount).to_be_focused()
    await expect(dialog).to_contain_text("At most ¥8.39")
    await check_look(screen, "claim-reduce")
    await amount.fill("5.00")
    await agree(dialog, "Reduce")
    await expect(head).to_contain_text("Reduced")
    assert (await stage.cast.issuer.get(path))["approved_cny"] == "5.00"
    lines = card_of(screen, "Delivered hours").locator("tbody tr")
    await expect(lines.first).to_contain_text("¥1.70")

    dialog = await step(screen, "Pay", "Pay this claim?")
    await expect(dialog).to_contain_text("¥5.00 goes from your cash")
    await agree(dialog, "Pay")
    await agree(await step(screen, "Close the claim", "Close this claim?"), "Close the claim")
    dialog = await step(screen, "Demand back", "Demand an amount back?")
    await dialog.get_by_label("Amount demanded back").fill("2")
    await dialog.get_by_label("Reason").fill("paid twice")
    await agree(dialog, "Demand back")
    dialog = await step(screen, "Write off", "Write off what is demanded back?")
    await dialog.get_by_label("Reason").fill("not worth it")
    await agree(dialog, "Write off")
    await expect(screen.page.get_by_text("Nothing more can be done with this claim.")).to_be_visible()
    told = await stage.cast.issuer.get(path)
    assert (told["status"], told["next_steps"]) == ("written_off", [])
    steps = (await stage.cast.issuer.get(f"{path}/steps"))["data"]
    await expect(card_of(screen, "History").locator("tbody tr")).to_have_count(len(steps) + 1)
    await check_look(screen, "claim-life")


@pytest.mark.long
async def test_a_drawn_claim_shows_its_draw_and_is_rejected_on_a_phone(
    open_screen: OpenScreen, stage: Stage
) -> None:
    programme = await make_programme(stage, "drawn", audit_sample_bps=10_000)
    voucher = await issue(stage, programme["id"])
    await deliver(stage, voucher["id"], hours=1)
    claim = await stage.cast.provider.post("/v1/claims", {"programme_id": programme["id"]})
    async with open_screen(PHONE) as screen:
        await screen.log_in(stage.cast.issuer)
        await screen.open(f"vouchers?status=in_audit&programme={programme['id']}")
        await screen.page.locator("tbody tr").click()
        await screen.page.locator("summary").filter(has_text="被抽中核查").click()
        await expect(screen.page.locator("details")).to_contain_text(claim["draw"]["seed"])
        dialog = await step(screen, "驳回", "驳回此申领？")
        await dialog.get_by_label("理由").fill("未运行")
        await check_look(screen, "claim-reject")
        await agree(dialog, "驳回")
        await expect(screen.page.locator(".voucher-head")).to_contain_text("已驳回")
        await check_look(screen, "claim-rejected")
    assert (await stage.cast.issuer.get(f"/v1/claims/{claim['id']}"))["reason"] == "未运行"


@pytest.mark.long
async def test_the_burn_is_what_the_api_says(screen: Screen, stage: Stage) -> None:
    claim = await claimed(stage, "burn")
    for to in ("approve", "pay"):
        await stage.cast.issuer.post(f"/v1/claims/{claim['id']}/{to}", status=200)
    stage.house.pass_hours(1)
    await screen.log_in(stage.cast.issuer)
    await screen.open(f"vouchers?tab=burn&programme={claim['programme_id']}")
    card = card_of(screen, "Budget burn")
    await card.get_by_role("button", name="7 days by hour").click()
    query = {"programme_id": claim["programme_id"], "interval": "hour", "points": 168}
    points = (await stage.cast.issuer.get("/v1/statements/programmes/burn", **query))["data"]
    last = {"budget_cny": "100000.00", "issued_cny": "200.00", "committed_cny": "8.40", "paid_cny": "8.40"}
    assert points[-1].items() >= last.items()
    assert points[0]["budget_cny"] == "0.00"
    name = "How far the money has come"
    await expect(card.get_by_role("img", name=f"{name}: Budget ¥100,000.00, Issued ¥200.00")).to_be_visible()
    await check_look(screen, "burn")
    await card.get_by_role("button", name="From issued on").click()
    await expect(card.get_by_role("img", name=f"{name}: Issued ¥200.00, Committed ¥8.40")).to_be_visible()
    await card.get_by_role("button", name="With the budget").click()
    await card.get_by_role("button", name=f"{name}: Show as table").click()
    rows = card.locator(".chart-table tbody tr")
    await expect(rows).to_have_count(len(points))
    await expect(rows.last).to_contain_text("¥100,000.00¥200.00¥8.40¥8.40¥8.40")
    text = (await downloaded(screen, card.get_by_role("link", name="Download CSV"))).decode()
    assert [row["paid_cny"] for row in csv.DictReader(io.StringIO(text))] == [
        each["paid_cny"] for each in points
    ]
    await expect(
        card_of(screen, "Each programme").locator("tbody tr").filter(has_text="burn")
    ).to_contain_text("0.2%")


def document(code: str, **rules: object) -> dict[str, Any]:
    base: dict[str, Any] = {"budget_fen": 5_000_000, "rate_tiers": [{"bps": 3_000}], "validity_days": 90}
    return {"code": code, "name": "新券", "rules": {**base, "provider": {}, **rules}}


async def test_a_programme_is_written_opened_changed_and_closed(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    await screen.log_in(issuer)
    await screen.open("vouchers?tab=programmes")
    await screen.button("New programme").click()
    field = screen.page.get_by_label("Rules as JSON")
    words = card_of(screen, "What it says, in words")
    await screen.page.get_by_label("Begin with an example").select_option(label="hangzhou")
    await expect(words).to_contain_text("30% where origin of the chip: Domestic")
    await expect(words).to_contain_text("price of the order is at most ¥500,000.00")
    await field.fill("{")
    await screen.button("Store as a draft").click()
    await expect(screen.page.locator(".fault")).to_contain_text("It is no JSON")
    wrong = document("written", rate_tiers=[{"bps": 3_000}, {"bps": 0}], validity_days=0)
    text = json.dumps(wrong, ensure_ascii=False, indent=2)
    await field.fill(text)
    screen.expects(422, "/v1/programmes")
    await screen.button("Store as a draft").click()
    faults = screen.page.get_by_role("alert")
    await expect(faults).to_contain_text("2 places need attention")
    await expect(faults).to_be_focused()
    await check_look(screen, "programme-faults")
    await faults.get_by_role("button", name="/rules/rate_tiers/1/bps").click()
    chosen = "node => node.value.slice(node.selectionStart, node.selectionEnd)"
    assert await field.evaluate(chosen) == "0"
    await field.fill(json.dumps(document("written"), ensure_ascii=False))
    await screen.button("Store as a draft").click()
    head = screen.page.locator(".voucher-head")
    await expect(head).to_contain_text("Draft")
    [made] = (await issuer.get("/v1/programmes", code="written"))["data"]

    dialog = await step(screen, "Open it", "Open this programme?")
    await expect(dialog).to_contain_text("¥50,000.00 is booked")
    await dialog.get_by_label("Reason").fill("市政府批准")
    await agree(dialog, "Open it")
    await expect(head).to_contain_text("Open")

    await screen.button("Change the rules").click()
    changed = {"rules": document("written", rate_tiers=[{"bps": 4_000}])["rules"]}
    await field.fill(json.dumps(changed))
    await expect(words.locator(".rule").filter(has_text="changed")).to_have_count(1)
    await check_look(screen, "programme-version")
    await screen.button("Store this version").click()
    await screen.button("Rules of version 2").click()
    versions = card_of(screen, "Versions of the rules")
    await expect(versions.locator(".rule").filter(has_text="changed")).to_contain_text("40% of the price")
    assert (await issuer.get(f"/v1/programmes/{made['id']}"))["version"] == 2
    await check_look(screen, "programme")

    dialog = await step(screen, "Close it", "Close this programme for good?")
    await dialog.get_by_label("Reason").fill("试点结束")
    await agree(dialog, "Close it")
    await expect(head).to_contain_text("Closed")
    await expect(card_of(screen, "History")).to_contain_text("试点结束")
    assert (await issuer.get(f"/v1/programmes/{made['id']}"))["returned_cny"] == "50000.00"


@pytest.mark.long
async def test_a_reason_of_the_exchange_itself_is_told_in_the_readers_language(
    open_screen: OpenScreen, stage: Stage
) -> None:
    programme = await make_programme(stage, "spent", budget_fen=20_000)
    await issue(stage, programme["id"], "200.00")
    path = f"/v1/programmes/{programme['id']}/steps"
    [*_, step_] = (await stage.cast.issuer.get(path))["data"]
    assert (step_["reason"], step_["reason_code"]) == ("the whole budget is issued", "budget_issued")
    for look, told in ((Look(), "the whole budget is issued"), (Look(language="zh"), "预算已全部发放")):
        async with open_screen(look) as screen:
            await screen.log_in(stage.cast.issuer)
            await screen.open(f"vouchers?tab=programmes&open={programme['id']}")
            await expect(screen.page.get_by_role("cell", name=told)).to_be_visible()


async def test_applications_are_approved_rejected_and_brought_to_a_committee(
    screen: Screen, stage: Stage
) -> None:
    issuer, buyer = stage.cast.issuer, stage.cast.buyer
    programme = await make_programme(stage, "asked", review={"committee_above_fen": 20_000})
    ids = []
    for amount in ("100.00", "50.00", "500.00"):
        wish = {"programme_id": programme["id"], "amount_cny": amount, "purpose": f"训练 {amount}"}
        ids.append((await buyer.post("/v1/applications", wish))["id"])
    await screen.log_in(issuer)
    await screen.open(f"vouchers?tab=applications&programme={programme['id']}")
    await expect(screen.page.locator("tbody tr")).to_have_count(3)
    await screen.page.locator("tbody tr").filter(has_text=ids[0]).click()
    standing = card_of(screen, "What the rules say of the company")
    await expect(standing).to_contain_text("up to ¥10,000.00 can be granted now")
    await expect(standing).to_contain_text("must be micro, and it is micro")
    dialog = await step(screen, "Approve", "Approve this application?")
    await expect(dialog.get_by_label("Amount granted")).to_have_value("100.00")
    await dialog.get_by_label("Amount granted").fill("80")
    await check_look(screen, "application-approve")
    await agree(dialog, "Approve")
    await expect(screen.page.locator(".voucher-head")).to_contain_text("Approved")
    assert (await issuer.get(f"/v1/applications/{ids[0]}"))["approved_cny"] == "80.00"
    await screen.button("All applications").click()

    await screen.page.locator("tbody tr").filter(has_text=ids[1]).click()
    dialog = await step(screen, "Reject", "Reject this application?")
    await dialog.get_by_label("Reason").fill("purpose unclear")
    await agree(dialog, "Reject")
    await expect(card_of(screen, "History")).to_contain_text("purpose unclear")

    await screen.open(f"vouchers?tab=applications&open={ids[2]}")
    await agree(await step(screen, "Approve", "Approve this application?"), "Approve")
    await expect(screen.page.locator(".voucher-head")).to_contain_text("In committee")
    dialog = await step(screen, "Approve", "Approve this application?")
    screen.expects(409, f"/v1/applications/{ids[2]}/steps")
    await dialog.get_by_role("button", name="Approve").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("needs a second key")
    second = (await stage.operator.key_of(issuer.id, SCOPES["issuer"]))["secret"]
    approved = {"to": "approved"}
    await issuer.with_key(second).post(f"/v1/applications/{ids[2]}/steps", approved, status=200)
    await screen.page.reload()
    await expect(screen.page.locator(".voucher-head")).to_contain_text("Approved")
    await expect(card_of(screen, "History").locator("tbody tr").filter(has_text="key_")).to_have_count(2)
    await screen.button("See the voucher that came of it").click()
    await expect(card_of(screen, "Where its money is")).to_contain_text("Face¥500.00")


@pytest.mark.long
async def test_scored_applications_are_allocated_at_once(screen: Screen, stage: Stage) -> None:
    rules = {"allocation": "scored", "budget_fen": 10_000}
    programme = await make_programme(stage, "by-score", **rules)
    ids = []
    for amount in ("70.00", "60.00"):
        wish = {"programme_id": programme["id"], "amount_cny": amount, "purpose": "训练"}
        ids.append((await stage.cast.buyer.post("/v1/applications", wish))["id"])
    await screen.log_in(stage.cast.issuer)
    for application_id, score in zip(ids, ("500", "900"), strict=True):
        await screen.open(f"vouchers?tab=applications&open={application_id}")
        await expect(screen.button("Approve")).to_have_count(0)
        form = screen.page.get_by_role("form", name="Score it")
        if application_id == ids[0]:
            await form.get_by_label("Score").fill("1001")
            screen.expects(422, f"/v1/applications/{application_id}/score")
            await form.get_by_role("button").click()
            await expect(form.get_by_label("Score")).to_be_focused()
        await form.get_by_label("Score").fill(score)
        await form.get_by_label("Reason").fill("reviewed")
        await form.get_by_role("button").click()
        await expect(card_of(screen, "History")).to_contain_text(f"Score {score}")
    await screen.open(f"vouchers?tab=applications&programme={programme['id']}")
    dialog = await step(screen, "Allocate by score", "Allocate by score")
    await dialog.get_by_role("button", name="Decide them all").click()
    rows = dialog.locator("tbody tr")
    await expect(rows.first).to_contain_text("Approved")
    await expect(rows.last).to_contain_text("Rejected")
    await check_look(screen, "allocation")
    told = (await stage.cast.issuer.get("/v1/applications", programme_id=programme["id"]))["data"]
    assert {each["id"]: each["status"] for each in told} == {ids[0]: "rejected", ids[1]: "approved"}


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
async def test_the_company_to_issue_to_is_found_by_a_part_of_its_name(
    open_screen: OpenScreen, stage: Stage, look: Look
) -> None:
    """By mouse and by keyboard; what is typed on after a choice is another search."""
    issuer = stage.cast.issuer
    programme = await make_programme(stage, f"found-{look.language}")
    facts = {"region": "hangzhou", "size_class": "micro", "founded_on": "2025-05-01"}
    new = {"kind": "buyer", "name": f"杭州智算 {look.language}", **facts}
    found = await stage.operator.post("/v1/participants", new)
    await stage.operator.key_of(found["id"], ["read"])
    async with open_screen(look) as screen:
        await screen.log_in(issuer)
        await screen.open(f"vouchers?tab=issued&programme={programme['id']}")
        company = screen.page.get_by_role("combobox", name={"en": "Company", "zh": "企业"}[look.language])
        listed = screen.page.locator(".picker-list [role=option]")
        await company.fill("x")
        await expect(screen.page.locator(".picker-list")).to_be_hidden()
        await company.press_sequentially("y no such company")
        none = {"en": "No active company has this name or id", "zh": "没有此名称或编号的活跃企业"}
        await expect(screen.page.get_by_text(none[look.language])).to_be_visible()
        await company.fill("州智算")
        one = listed.filter(has_text=found["id"])
        place = {"en": "Hangzhou · microStart-up", "zh": "杭州 · 微型初创企业"}
        await expect(one).to_contain_text(f"{new['name']}{place[look.language]}")
        await check_look(screen, "company-found")
        await one.click()
        await expect(company).to_have_value(new["name"])
        await expect(company).to_be_focused()
        await expect(listed).to_have_count(0)
        await expect(screen.page.locator(".picker-chosen")).to_contain_text(found["id"])
        await check_look(screen, "company-chosen")
        await company.fill("buyer")
        await expect(screen.page.locator(".picker-chosen")).to_have_count(0)
        await expect(listed.first).to_be_visible()
        await company.press("Escape")
        await expect(listed).to_have_count(0)
        await expect(company).to_have_value("buyer")


async def test_a_voucher_is_issued_suspended_resumed_and_revoked(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    programme = await make_programme(stage, "direct")
    await screen.log_in(issuer)
    await screen.open(f"vouchers?tab=issued&programme={programme['id']}")
    form = screen.page.get_by_role("form", name="Issue a voucher")
    company = form.get_by_role("combobox", name="Company")
    listed = screen.page.locator(".picker-list [role=option]")
    await company.fill("par_1")
    screen.expects(422, "/v1/vouchers")
    await screen.button("Issue it").click()
    await expect(company).to_be_focused()
    await expect(form.get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
    await company.fill(stage.cast.buyer.id)
    await expect(listed).to_have_count(1)
    await company.press("ArrowDown")
    await company.press("Enter")
    await expect(company).to_have_value((await stage.cast.buyer.get("/v1/participants/me"))["name"])
    await form.get_by_label("Amount").fill("123.45")
    await screen.button("Issue it").click()
    await expect(screen.page.locator(".toast-good")).to_contain_text("¥123.45 issued to buyer")
    [made] = (await issuer.get("/v1/vouchers", programme_id=programme["id"]))["data"]
    await screen.page.locator("tbody tr").filter(has_text=made["id"]).click()
    head = screen.page.locator(".voucher-head")
    for button, title, status in (
        ("Suspend", "Suspend this voucher?", "Suspended"),
        ("Resume", "Resume this voucher?", "Active"),
        ("Revoke", "Revoke this voucher for good?", "Revoked"),
    ):
        dialog = await step(screen, button, title)
        await dialog.get_by_label("Reason").fill(f"{button} it")
        await agree(dialog, button)
        await expect(head).to_contain_text(status)
    told = await issuer.get(f"/v1/vouchers/{made['id']}")
    assert (told["status"], told["revoked_cny"], told["available_cny"]) == ("revoked", "123.45", "0.00")
    await expect(card_of(screen, "History").locator("tbody tr").last).to_contain_text("¥123.45")
    await expect(screen.button("Resume")).to_have_count(0)
    await check_look(screen, "revoked")
