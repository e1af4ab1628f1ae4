"""`exchange claims` and `exchange statements` against a served exchange, as a provider and as an issuer."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.auth import Principal
from exchange.kit.ids import decode_id
from exchange.participants.service import find_participant
from exchange.vouchers.service import list_vouchers
from tests.e2e.served import Caller
from tests.e2e.stage import Stage, programme, staged
from tests.voucher_world import VoucherWorld, principal_of


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("cli_claims")) as ready:
        yield ready


async def call(caller: Caller, *arguments: str) -> Result:
    """Run a command in a thread, because it brings its own event loop."""
    environment = {"EXCHANGE_URL": str(caller.http.base_url), "EXCHANGE_KEY": caller.key}
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)


async def done(caller: Caller, *arguments: str) -> Any:
    """Run a command that must succeed, and return the JSON it wrote."""
    result = await call(caller, *arguments, "--json")
    assert result.exit_code == ExitCode.DONE, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_a_claim_is_stepped_to_payment_and_stated(stage: Stage) -> None:
    issuer, provider, claim_id = stage.cast.issuer, stage.cast.provider, stage.ids["claim_id"]
    [listed] = await done(issuer, "claims", "list", "--programme", stage.ids["programme_id"])
    assert (listed["id"], listed["status"]) == (claim_id, "submitted")
    table = await call(provider, "claims", "list", "--status", "submitted")
    assert claim_id in table.stdout
    bare = await call(issuer, "claims", "step", claim_id, "queried", "-y")
    assert bare.exit_code == ExitCode.REFUSED
    assert "/reason" in bare.stderr
    asked = await call(issuer, "claims", "step", claim_id, "approved")
    assert asked.exit_code == ExitCode.INTERRUPTED
    for step in (
        ("in_audit", "--reason", "spot check"),
        ("reduced", "--reason", "a short hour", "--amount", "0.01"),
        ("paid",),
    ):
        [stepped] = await done(issuer, "claims", "step", claim_id, *step, "-y")
        assert stepped["status"] == step[0]
    assert [row["to_status"] for row in await done(provider, "claims", "steps", claim_id)] == [
        *("submitted", "in_audit", "reduced", "paid"),
    ]
    shown = (await call(provider, "claims", "get", claim_id)).stdout
    assert "a short hour" not in shown  # the reason shown is the last step's
    assert "0.01" in shown
    assert "clawback_open by the issuer, at most 0.01 CNY, with a reason" in shown
    history = (await call(issuer, "claims", "steps", claim_id)).stdout
    assert "a short hour" in history
    for name, caller in (("programmes", issuer), ("receivables", provider), ("claims", provider)):
        stated = await call(caller, "statements", name, "--programme", stage.ids["programme_id"])
        [row] = csv.DictReader(io.StringIO(stated.stdout))
        assert row["programme_id"] == stage.ids["programme_id"]
        assert row.get("paid_cny", "0.01") == "0.01"
    burn = "statements", "burn", "--programme", stage.ids["programme_id"], "--interval", "hour"
    points = list(csv.DictReader(io.StringIO((await call(issuer, *burn, "--points", "2")).stdout)))
    assert [(row["budget_cny"], row["paid_cny"]) for row in points][-1] == ("100000.00", "0.01")
    assert len(points) <= 2
    refused = await call(issuer, "statements", "claims", "--points", "2")
    assert (refused.exit_code, refused.stdout) == (ExitCode.USAGE, "")
    past = await call(issuer, "statements", "claims", "--as-of", "2020-01-01T00:00:00Z")
    assert len(past.stdout.splitlines()) == 1


async def test_a_company_claims_what_it_is_reimbursed(stage: Stage) -> None:
    cast, world = stage.cast, VoucherWorld(stage.house.exchange.database)
    provider, buyer = [await principal(stage, each) for each in (cast.provider, cast.buyer)]
    body = programme("reimbursed", cast.provider.id)
    body["rules"]["mode"] = "reimburse"
    programme_id = (await cast.issuer.post("/v1/programmes", body))["id"]
    wanted = {"programme_id": programme_id, "buyer_id": cast.buyer.id, "amount_cny": "10.00"}
    await cast.issuer.post("/v1/vouchers", wanted)
    async with world.database.connection() as connection:
        voucher, *_ = await list_vouchers(connection, buyer, limit=1)
    await world.captured(voucher, provider, 250, claimant=buyer)
    owed = await call(cast.buyer, "statements", "receivables", "--programme", programme_id)
    [row] = csv.DictReader(io.StringIO(owed.stdout))
    assert (row["claimant_id"], row["receivable_cny"]) == (cast.buyer.id, "2.50")
    [claim] = await done(
        cast.buyer, "claims", "submit"
    )  # under all programmes: the company's, not the provider's
    assert claim["claim"]["claimant_kind"] == "buyer"
    claim_id = claim["claim"]["id"]
    for to in ("approved", "paid"):
        await done(cast.issuer, "claims", "step", claim_id, to, "-y")
    shown = (await call(cast.buyer, "claims", "get", claim_id)).stdout
    assert all(text in shown for text in ("claimant", cast.buyer.id, "paid", "2.50"))
    await done(
        cast.issuer, "claims", "step", claim_id, "clawback_open", "--reason", "resold", "--amount", "1", "-y"
    )
    [back] = await done(cast.buyer, "claims", "step", claim_id, "recovered", "-y")
    assert (back["status"], back["clawback_cny"]) == ("recovered", "1.00")
    refused = await call(cast.provider, "claims", "get", claim_id)
    assert refused.exit_code == ExitCode.REFUSED


async def principal(stage: Stage, caller: Caller) -> Principal:
    """Return the participant behind a caller's key, as the exchange sees it."""
    async with stage.house.exchange.database.connection() as connection:
        found = await find_participant(connection, decode_id("par", caller.id) or 0)
    assert found is not None
    return principal_of(found)


async def test_claims_are_submitted_under_one_programme_or_all(stage: Stage) -> None:
    provider, programme_id = stage.cast.provider, stage.ids["programme_id"]
    alone = await call(provider, "claims", "submit", programme_id)
    assert alone.exit_code == ExitCode.REFUSED
    assert "nothing_to_claim" in alone.stderr
    assert await done(provider, "claims", "submit") == []
    unknown = f"prg_{'7zzzzzzzzzzzz'}"
    outcomes = await done(provider, "claims", "submit", programme_id, unknown)
    assert [each["code"] for each in outcomes] == ["nothing_to_claim", "not_found"]
    table = (await call(provider, "claims", "submit", programme_id, unknown)).stdout
    assert "nothing captured" in table
