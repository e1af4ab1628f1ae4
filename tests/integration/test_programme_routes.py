"""Programmes over HTTP: the way of one from draft to closed, and every fault of its rules in its place."""

from collections.abc import AsyncIterator

import pytest

from exchange.kit.database import Database
from exchange.participants.models import ParticipantKind
from tests.voucher_door import Door, code_of, rules


@pytest.fixture
async def door(module_database: Database) -> AsyncIterator[Door]:
    door = Door(module_database)
    yield door
    await door.client.aclose()


async def test_a_draft_is_opened_changed_and_closed(door: Door) -> None:
    issuer, other, buyer, provider, regulator = [
        await door.join(kind)
        for kind in (
            ParticipantKind.ISSUER,
            ParticipantKind.ISSUER,
            ParticipantKind.BUYER,
            ParticipantKind.PROVIDER,
            ParticipantKind.REGULATOR,
        )
    ]
    body = {"code": code_of(), "name": "x", "rules": rules(provider), "draft": True}
    draft = await issuer.post("/v1/programmes", body)
    assert (draft["status"], draft["unissued_cny"]) == ("draft", "1000.00")
    path = f"/v1/programmes/{draft['id']}"
    for suffix in ("", "/versions", "/steps"):
        await buyer.get(f"{path}{suffix}", status=404)
        await other.get(f"{path}{suffix}", status=404)
        await issuer.get(f"{path}{suffix}")
        await regulator.get(f"{path}{suffix}")
    step = {"to": "open", "reason": "approved"}
    for caller, status in ((other, 404), (buyer, 403)):
        await caller.post(f"{path}/steps", step, status=status)
        assert draft["id"] not in [
            each["id"] for each in (await caller.get("/v1/programmes?limit=1000"))["data"]
        ]
    request = {"programme_id": draft["id"], "buyer_id": buyer.id, "amount_cny": "300"}
    assert (await issuer.post("/v1/vouchers", request, status=409))["code"] == "programme_not_open"
    assert (await other.post("/v1/vouchers", request, status=404))["code"] == "not_found"
    opened = await issuer.post(f"{path}/steps", step, status=200, key="open")
    assert opened["status"] == "open"
    assert await issuer.post(f"{path}/steps", step, status=200, key="open") == opened
    assert await buyer.get(path) == opened
    await issuer.post("/v1/vouchers", request)

    raised = {"rules": rules(provider, budget_fen=200_000)}
    first = await issuer.post(f"{path}/versions", raised | {"effective_from": "2026-03-01T00:00:00Z"}, 422)
    assert [(each["pointer"], each["code"]) for each in first["errors"]] == [
        ("/rules/budget_fen", "not_applicable")
    ]
    await issuer.post(f"{path}/versions", raised)
    lower = await issuer.post(f"{path}/versions", {"rules": rules(provider, budget_fen=29_999)}, 422)
    assert [(each["pointer"], each["code"]) for each in lower["errors"]] == [
        ("/rules/budget_fen", "out_of_range")
    ]
    await issuer.post(
        f"{path}/versions",
        {"rules": rules(provider, budget_fen=200_000), "effective_from": "2026-03-01T00:00:00Z"},
    )
    await issuer.post(f"{path}/versions", {"rules": rules(provider, budget_fen=150_000)})
    versions = (await buyer.get(f"{path}/versions"))["data"]
    now_at = "2026-02-25T06:13:20Z"
    assert [(each["version"], each["effective_at"], each["superseded_at"]) for each in versions] == [
        (4, now_at, None),
        (3, "2026-03-01T00:00:00Z", now_at),
        (2, now_at, now_at),
        (1, now_at, now_at),
    ]

    problem = await issuer.post(f"{path}/steps", {"to": "exhausted", "reason": ""}, status=422)
    assert {each["pointer"]: each["code"] for each in problem["errors"]} == {
        "/to": "not_one_of",
        "/reason": "too_short",
    }
    problem = await issuer.post(f"{path}/steps", {"to": "closed", "reason": "  "}, status=422)
    assert [each["pointer"] for each in problem["errors"]] == ["/reason"]
    assert (await other.post(f"{path}/steps", step, status=403))["code"] == "forbidden"
    closed = await issuer.post(f"{path}/steps", {"to": "closed", "reason": "spent elsewhere"}, status=200)
    assert [closed[f"{name}_cny"] for name in ("budget", "issued", "unissued", "returned")] == [
        "1500.00",
        "300.00",
        "0.00",
        "1200.00",
    ]
    problem = await issuer.post(f"{path}/steps", {"to": "open", "reason": "after all"}, status=409)
    assert (problem["code"], "is closed" in problem["detail"]) == ("state_conflict", True)
    told = await buyer.get(f"{path}/steps")
    assert [(each["from_status"], each["to_status"], each["returned_cny"]) for each in told["data"]] == [
        ("draft", "open", "0.00"),
        ("open", "closed", "1200.00"),
    ]
    assert told["data"][1]["reason"] == "spent elsewhere"
    page = await buyer.get(f"{path}/steps?limit=1")
    assert page["data"] == told["data"][:1]
    rest = await buyer.get(f"{path}/steps?limit=1&cursor={page['next_cursor']}")
    assert (rest["data"], rest["next_cursor"]) == (told["data"][1:], None)


@pytest.mark.parametrize(
    "changes, faults",
    [
        ({"code": "Not A Code"}, {"/code": "pattern"}),
        ({"code": "a" * 65}, {"/code": "too_long"}),
        ({"code": 5, "name": ""}, {"/code": "wrong_type", "/name": "too_short"}),
        ({"more": 1}, {"/more": "unknown_field"}),
        ({"rules": None}, {"/rules": "wrong_type"}),
        ({"rules": {}}, {f"/rules/{name}": "required" for name in rules() if name != "cap_per_year_fen"}),
        ({"rules": rules(budget_fen=0)}, {"/rules/budget_fen": "out_of_range"}),
        ({"rules": rules(budget_fen="5")}, {"/rules/budget_fen": "wrong_type"}),
        ({"rules": rules(budget_fen=1.5)}, {"/rules/budget_fen": "wrong_type"}),
        ({"rules": rules(cap_per_year_fen=10**15)}, {"/rules/cap_per_year_fen": "out_of_range"}),
        ({"rules": rules(validity_days=0)}, {"/rules/validity_days": "out_of_range"}),
        ({"rules": rules(rate_tiers=[])}, {"/rules/rate_tiers": "too_short"}),
        ({"rules": rules(rate_tiers=[{"bps": 10_001}])}, {"/rules/rate_tiers/0/bps": "out_of_range"}),
        ({"rules": rules(mode="later")}, {"/rules/mode": "not_one_of"}),
        ({"rules": rules(evidence=["log", "invoice/receipt"])}, {"/rules/evidence/1": "pattern"}),
        ({"rules": rules(colour="red")}, {"/rules/colour": "unknown_field"}),
        ({"rules": rules(buyer={"regions": ["X"]})}, {"/rules/buyer/regions/0": "pattern"}),
        ({"rules": rules(capacity={"origin": "lunar"})}, {"/rules/capacity/origin": "not_one_of"}),
    ],
)
async def test_every_fault_of_a_programme_has_its_place(
    door: Door, changes: dict[str, object], faults: dict[str, str]
) -> None:
    issuer = await door.join(ParticipantKind.ISSUER)
    provider = await door.join(ParticipantKind.PROVIDER)
    body = {"code": code_of(), "name": "x", "rules": rules(provider)} | changes
    problem = await issuer.post("/v1/programmes", body, status=422)
    found = {fault["pointer"]: fault["code"] for fault in problem["errors"]}
    assert found == faults


async def test_faults_of_form_and_of_sense_are_told_together(door: Door) -> None:
    issuer = await door.join(ParticipantKind.ISSUER)
    buyer = await door.join(ParticipantKind.BUYER)
    body = {"code": "No", "name": "x", "rules": rules(buyer, cashable=True)}
    problem = await issuer.post("/v1/programmes", body, status=422)
    assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [
        ("/code", "pattern"),
        ("/rules/cashable", "not_supported_yet"),
        ("/rules/provider/admitted/0", "not_a_provider"),
    ]
    assert problem["errors"][1]["value"] is True
