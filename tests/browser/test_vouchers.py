"""Goal: a buyer sees what its vouchers pay and applies for more; whoever delivered, or paid in full, claims.

Method: Chromium on the served exchange; what the page did is read through the API by the participant's own
key.
"""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import Look, Screen
from tests.browser.voucher_scene import (
    card_of,
    check_look,
    claimed,
    deliver,
    downloaded,
    issue,
    make_programme,
)
from tests.e2e.stage import Stage

PHONE = Look(language="zh", is_phone=True)
TABS = {
    "buyer": ["wallet", "programmes", "applications", "claims", "statements"],
    "issuer": ["claims", "applications", "programmes", "issued", "burn", "statements"],
    "provider": ["claims", "statements"],
}


@pytest.mark.parametrize(
    "kind,look",
    [
        *(pytest.param(kind, PHONE, id=kind) for kind in TABS),
        pytest.param("issuer", Look(is_dark=True), id="dark", marks=pytest.mark.long),
    ],
)
async def test_every_tab(open_screen: OpenScreen, stage: Stage, look: Look, kind: str) -> None:
    async with open_screen(look) as screen:
        await screen.log_in(stage.cast.of(kind))
        await screen.open("vouchers")
        heading = {"en": "Vouchers", "zh": "算力券"}[look.language]
        await expect(screen.page.locator("h1")).to_have_text(heading)
        for index, tab in enumerate(TABS[kind]):
            if index:
                await screen.page.get_by_role("tab").nth(index).click()
            await check_look(screen, f"{kind}-{tab}")


@pytest.mark.long
async def test_a_voucher_tells_where_its_money_is_and_what_became_of_it(screen: Screen, stage: Stage) -> None:
    programme = await make_programme(stage, "wallet")
    voucher = await issue(stage, programme["id"])
    await deliver(stage, voucher["id"])
    await screen.log_in(stage.cast.buyer)
    await screen.open("vouchers")
    card = screen.page.locator("li.card").filter(has_text=voucher["id"])
    await expect(card).to_contain_text("¥191.60 of ¥200.00")
    await expect(card).to_contain_text("89 days left")
    button = card.get_by_role("button", name=f"Details of {voucher['id']}")
    await button.focus()
    await screen.page.keyboard.press("Enter")
    await expect(screen.page.get_by_role("heading", name="wallet")).to_be_focused()
    money = card_of(screen, "Where its money is")
    await expect(money).to_contain_text("Delivered, not claimed¥8.40")
    rules = card_of(screen, "Rules of its programme")
    for words in (
        "50% of the price",
        "Companies ofBeijing",
        "Size of companymicro",
        "90 days from its issue",
    ):
        await expect(rules).to_contain_text(words)
    movements = card_of(screen, "Movements")
    await expect(movements.locator("tbody tr").filter(has_text="Trade")).to_contain_text("¥8.40")
    await movements.get_by_role("button", name="In leases").click()
    await expect(movements.locator("tbody tr").filter(has_text="Delivered hour")).to_have_count(2)

    step = {"to": "suspended", "reason": "材料待核"}
    await stage.cast.issuer.post(f"/v1/vouchers/{voucher['id']}/steps", step, status=200)
    await screen.page.reload()
    await expect(card_of(screen, "History")).to_contain_text("材料待核")
    await check_look(screen, "voucher")
    await screen.button("All vouchers").focus()
    await screen.page.keyboard.press("Enter")
    await expect(button).to_be_focused()
    await expect(card).to_contain_text("Suspended")
    news = card_of(screen, "What happened of late")
    await expect(news.locator("tbody tr").filter(has_text=voucher["id"])).to_contain_text("材料待核")


async def test_a_buyer_sees_why_it_may_or_may_not_apply_and_applies(
    open_screen: OpenScreen, screen: Screen, stage: Stage
) -> None:
    shut = await make_programme(stage, "others", buyer={"regions": ["shanghai"]})
    review = {"auto_below_fen": 5_000}
    programme = await make_programme(stage, "apply", review=review, evidence=["invoice"])
    await screen.log_in(stage.cast.buyer)
    await screen.open("vouchers?tab=programmes")
    await screen.page.locator("tbody tr").filter(has_text=shut["code"]).click()
    await expect(card_of(screen, "Apply")).to_contain_text("You cannot apply now")
    await expect(card_of(screen, "Apply")).to_contain_text("must be shanghai, and it is beijing")
    await screen.open(f"vouchers?tab=programmes&open={programme['id']}")
    card = card_of(screen, "Apply")
    await expect(card).to_contain_text("for up to ¥10,000.00. Up to ¥49.99 is approved at once.")
    form = card.get_by_role("form", name="Apply")
    await form.get_by_label("Amount").fill("12.345")
    screen.expects(422, "/v1/applications")
    await form.get_by_role("button", name="Apply").click()
    await expect(form.get_by_label("Amount")).to_be_focused()
    for field in ("Amount", "What you need the computing for"):
        await expect(form.get_by_label(field)).to_have_attribute("aria-invalid", "true")
    await check_look(screen, "apply-faults")
    await form.get_by_label("Amount").fill("300")
    await form.get_by_label("What you need").fill("训练小模型")
    await form.get_by_role("button", name="Apply").click()
    await expect(screen.page.get_by_role("heading", name="Application for ¥300.00")).to_be_focused()
    [made] = (await stage.cast.buyer.get("/v1/applications", programme_id=programme["id"]))["data"]
    assert (made["status"], made["amount_cny"], made["purpose"]) == ("submitted", "300.00", "训练小模型")
    await screen.button("Withdraw").click()
    dialog = screen.page.get_by_role("dialog", name="Withdraw your application?")
    await dialog.get_by_role("button", name="Withdraw").click()
    await expect(dialog).to_be_hidden()
    await expect(screen.page.locator(".voucher-head")).to_contain_text("Withdrawn")
    await expect(screen.button("Withdraw")).to_have_count(0)

    async with open_screen(PHONE) as phone:
        await phone.log_in(stage.cast.buyer)
        await phone.open(f"vouchers?tab=programmes&open={shut['id']}")
        await expect(card_of(phone, "申请")).to_contain_text("企业所在地，要求：上海")
        await phone.open(f"vouchers?tab=programmes&open={programme['id']}")
        await card_of(phone, "申请").get_by_label("申请金额").fill("40")
        await card_of(phone, "申请").get_by_label("算力用途").fill("推理")
        await phone.button("提交申请").click()
        await expect(phone.page.locator(".toast-good")).to_contain_text("算力券已入券包")
        await check_look(phone, "application")
        await phone.button("查看发放的算力券").click()
        await expect(phone.page.locator(".voucher-head")).to_contain_text("有效")


async def test_a_company_that_paid_in_full_claims_with_its_files(
    screen: Screen, stage: Stage, tmp_path: Path
) -> None:
    programme = await make_programme(stage, "repaid", mode="reimburse", evidence=["contract", "invoice"])
    voucher = await issue(stage, programme["id"])
    await deliver(stage, voucher["id"], hours=1)
    await screen.log_in(stage.cast.buyer)
    await screen.open("vouchers?tab=claims")
    owed = card_of(screen, "Receivables").locator("tbody tr").filter(has_text="repaid")
    await expect(owed).to_contain_text("¥4.20")
    await owed.get_by_role("button", name="Claim").click()
    dialog = screen.page.get_by_role("dialog", name="Claim what is owed?")
    await expect(dialog).to_contain_text("contract and invoice")
    await dialog.get_by_role("button", name="Open the claim").click()
    await expect(screen.page.get_by_role("heading", name="Claim of ¥4.20")).to_be_focused()
    [claim] = (await stage.cast.buyer.get("/v1/claims", programme_id=programme["id"]))["data"]
    assert claim["status"] == "open"

    await screen.button("Submit").click()
    asked = screen.page.get_by_role("dialog", name="Submit this claim?")
    screen.expects(409, f"/v1/claims/{claim['id']}/steps")
    await asked.get_by_role("button", name="Submit").click()
    await expect(asked.get_by_role("alert")).to_contain_text("invoice is not attached")
    await asked.get_by_role("button", name="Cancel").click()

    evidence = card_of(screen, "Evidence")
    attach = evidence.get_by_role("button", name="Attach a file")
    await attach.click()
    await expect(evidence.get_by_label("File", exact=True)).to_have_accessible_description(
        "At most 10 MiB; it cannot be changed or taken back Choose a file"
    )
    contents = {"contract": b"%PDF-1.7 contract", "invoice": b"%PDF-1.7 invoice"}
    for name, content in contents.items():
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(content)
        await expect(evidence.get_by_label("Name")).to_have_value(name)
        await evidence.get_by_label("File", exact=True).set_input_files(path)
        await attach.click()
        await expect(evidence.get_by_role("link", name=name)).to_be_visible()
    await check_look(screen, "claim-evidence")
    assert await downloaded(screen, evidence.get_by_role("link", name="invoice")) == contents["invoice"]
    await screen.button("Submit").click()
    await asked.get_by_role("button", name="Submit").click()
    await expect(screen.page.locator(".voucher-head")).to_contain_text("Submitted")
    assert (await stage.cast.buyer.get(f"/v1/claims/{claim['id']}"))["status"] == "submitted"
    await expect(screen.page.get_by_text("Its issuer takes the next step.")).to_be_visible()


async def test_a_provider_claims_answers_and_pays_back(screen: Screen, stage: Stage) -> None:
    issuer = stage.cast.issuer
    programme = await make_programme(stage, "delivered")
    voucher = await issue(stage, programme["id"])
    await deliver(stage, voucher["id"])
    await screen.log_in(stage.cast.provider)
    await screen.open("vouchers")
    owed = card_of(screen, "Receivables").locator("tbody tr").filter(has_text="delivered")
    await owed.get_by_role("button", name="Claim").click()
    dialog = screen.page.get_by_role("dialog", name="Claim what is owed?")
    await check_look(screen, "claim-ask")
    await dialog.get_by_role("button", name="Claim").click()
    head = screen.page.locator(".voucher-head")
    await expect(head).to_contain_text("Submitted")
    [claim] = (await stage.cast.provider.get("/v1/claims", programme_id=programme["id"]))["data"]
    path = f"/v1/claims/{claim['id']}/steps"
    assert (claim["amount_cny"], claim["line_count"]) == ("8.40", 2)
    await expect(card_of(screen, "Delivered hours").locator("tbody tr")).to_have_count(2)

    await issuer.post(path, {"to": "in_audit", "reason": "抽查"}, status=200)
    await issuer.post(path, {"to": "queried", "reason": "请补充日志"}, status=200)
    await screen.page.reload()
    await screen.button("Answer").click()
    asked = screen.page.get_by_role("dialog", name="Answer the issuer's question?")
    screen.expects(422, path)
    await asked.get_by_role("button", name="Answer").click()
    await expect(asked.get_by_label("Reason")).to_be_focused()
    await asked.get_by_label("Reason").fill("日志见附件")
    await asked.get_by_role("button", name="Answer").click()
    await expect(head).to_contain_text("In audit")
    await expect(card_of(screen, "History")).to_contain_text("日志见附件")

    for step in (
        {"to": "approved"},
        {"to": "paid"},
        {"to": "clawback_open", "reason": "重复", "amount_cny": "1"},
    ):
        await issuer.post(path, step, status=200)
    await screen.page.reload()
    await screen.button("Pay back").click()
    asked = screen.page.get_by_role("dialog", name="Pay back what is demanded?")
    await expect(asked).to_contain_text("¥1.00 goes from your cash to the issuer")
    await asked.get_by_role("button", name="Pay back").click()
    await expect(head).to_contain_text("Paid back")
    assert (await stage.cast.provider.get(f"/v1/claims/{claim['id']}"))["status"] == "recovered"
    await check_look(screen, "claim-over")

    await screen.page.get_by_role("tab", name="Statements").click()
    row = screen.page.locator("tbody tr").filter(has_text=programme["code"])
    await expect(row).to_contain_text("8.40")
    text = (await downloaded(screen, screen.page.get_by_role("link", name="Download CSV"))).decode()
    assert text.splitlines()[0].startswith("as_of,programme_id,programme_code,claimant_id,captured_cny")
    assert f"{programme['code']},{stage.cast.provider.id},8.40,0.00,0.00,7.40,0.00,1.00" in text


@pytest.mark.long
async def test_all_that_is_owed_is_claimed_at_once_each_for_itself(screen: Screen, stage: Stage) -> None:
    plain = await make_programme(stage, "plain")
    proven = await make_programme(stage, "proven", evidence=["log"])
    for each in (plain, proven):
        await deliver(stage, (await issue(stage, each["id"]))["id"], hours=1)
    await screen.log_in(stage.cast.provider)
    await screen.open("vouchers")
    await screen.button("Claim all").click()
    dialog = screen.page.get_by_role("dialog", name="Claim all")
    await dialog.get_by_role("button", name="Claim them all").click()
    await expect(dialog.locator("tbody tr").filter(has_text="plain")).to_contain_text("¥4.20Submitted")
    await expect(dialog.locator("tbody tr").filter(has_text="proven")).to_contain_text("log is not attached")
    await check_look(screen, "claim-all")
    await screen.page.keyboard.press("Escape")
    [claim] = (await stage.cast.provider.get("/v1/claims", programme_id=plain["id"]))["data"]
    own = card_of(screen, "Own claims")
    await expect(own.locator("tbody tr").filter(has_text=claim["id"])).to_contain_text("Submitted")


@pytest.mark.long
async def test_another_s_claim_is_not_there(screen: Screen, stage: Stage) -> None:
    claim = await claimed(stage, "hidden", hours=1)
    await screen.log_in(stage.strangers.provider)
    screen.expects(404, f"/v1/claims/{claim['id']}")
    await screen.open(f"vouchers?tab=claims&open={claim['id']}")
    await expect(screen.page.locator(".notice-bad")).to_be_visible()
