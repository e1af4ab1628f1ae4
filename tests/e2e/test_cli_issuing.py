"""The life of one voucher, and the proof of a claim, by commands against a served exchange."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.cli.failures import ExitCode
from tests.e2e.stage import Stage, staged
from tests.e2e.test_cli_claims import call, done


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("cli_issuing")) as ready:
        yield ready


async def test_a_voucher_is_issued_suspended_resumed_and_revoked_and_its_company_is_told(
    stage: Stage,
) -> None:
    issuer, buyer = stage.cast.issuer, stage.cast.buyer
    named = "vouchers", "issue", stage.ids["programme_id"], buyer.id, "12.30"
    [issued] = await done(issuer, *named)
    voucher_id = issued["id"]
    assert (issued["face_cny"], issued["available_cny"]) == ("12.30", "12.30")
    for to in ("suspended", "active", "revoked"):
        [stepped] = await done(issuer, "vouchers", "step", voucher_id, to, "--reason", f"now {to}", "-y")
        assert stepped["status"] == to
    asked = await call(issuer, "vouchers", "step", voucher_id, "active", "--reason", "x")
    assert asked.exit_code == ExitCode.INTERRUPTED
    over = await call(issuer, "vouchers", "step", voucher_id, "active", "--reason", "x", "-y")
    assert over.exit_code == ExitCode.REFUSED
    foreign = await call(buyer, "vouchers", "step", voucher_id, "suspended", "--reason", "x", "-y")
    assert foreign.exit_code == ExitCode.REFUSED
    told = await done(buyer, "vouchers", "steps", voucher_id)
    assert [(each["to_status"], each["returned_cny"]) for each in told] == [
        ("suspended", "0.00"),
        ("active", "0.00"),
        ("revoked", "12.30"),
    ]
    newest = (await done(buyer, "vouchers", "steps", "--limit", "1"))[0]
    assert newest == told[-1]
    shown = (await call(buyer, "vouchers", "get", voucher_id)).stdout
    assert "revoked CNY" in shown
    assert "held CNY" not in shown
    refused = await call(issuer, *named[:-1], "0")
    assert refused.exit_code == ExitCode.REFUSED
    assert "/amount_cny" in refused.stderr


async def test_an_issuer_finds_the_company_to_issue_to(stage: Stage) -> None:
    issuer, buyer = stage.cast.issuer, stage.cast.buyer
    name = (await buyer.get("/v1/participants/me"))["name"]
    [found] = await done(issuer, "vouchers", "buyers", name.upper())
    assert found == {
        "id": buyer.id,
        "name": name,
        "region": "beijing",
        "size_class": "micro",
        "is_startup": True,
    }
    assert await done(issuer, "vouchers", "buyers", buyer.id) == [found]
    assert await done(issuer, "vouchers", "buyers", "nobody of this name") == []
    shown = (await call(issuer, "vouchers", "buyers", name)).stdout
    assert buyer.id in shown
    too_short = await call(issuer, "vouchers", "buyers", "x")
    assert too_short.exit_code == ExitCode.REFUSED
    assert "search" in too_short.stderr
    assert (await call(buyer, "vouchers", "buyers", name)).exit_code == ExitCode.REFUSED


async def test_a_claim_is_proven_by_files(stage: Stage, tmp_path: Path) -> None:
    issuer, provider, claim_id = stage.cast.issuer, stage.cast.provider, stage.ids["claim_id"]
    lines = await done(provider, "claims", "lines", claim_id)
    assert len(lines) == 1
    invoice = tmp_path / "发票.pdf"
    invoice.write_bytes(b"%PDF-1.7 \x00\xff")
    [attached] = await done(provider, "claims", "attach", claim_id, str(invoice), "--name", "invoice")
    assert (attached["name"], attached["content_type"]) == ("invoice", "application/pdf")
    assert attached["sha256"] == hashlib.sha256(invoice.read_bytes()).hexdigest()
    assert attached in await done(issuer, "claims", "evidence", claim_id)
    copy = tmp_path / "copy"
    read = await call(issuer, "claims", "download", claim_id, attached["id"], "--output", str(copy))
    assert read.exit_code == ExitCode.DONE
    assert copy.read_bytes() == invoice.read_bytes()
    by_name = await done(provider, "claims", "attach", claim_id, str(invoice), "--type", "text/plain")
    assert (by_name[0]["name"], by_name[0]["content_type"]) == ("发票.pdf", "text/plain")
    empty = tmp_path / "empty"
    empty.touch()
    refused = await call(provider, "claims", "attach", claim_id, str(empty))
    assert refused.exit_code == ExitCode.REFUSED
    strange = await call(issuer, "claims", "attach", claim_id, str(invoice))
    assert strange.exit_code == ExitCode.REFUSED
