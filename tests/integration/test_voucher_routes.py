"""Vouchers and claims over HTTP: the way of one voucher, and what each route refuses."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exchange.kit.database import Database
from exchange.kit.ids import encode_id, new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY
from exchange.ledger.rules import available_fen
from exchange.participants.models import ParticipantKind
from exchange.participants.service import get_participant
from exchange.products.service import seed_catalogue
from exchange.vouchers import service
from tests.voucher_door import Door, code_of, rules
from tests.voucher_facts import product


@pytest.fixture
async def door(module_database: Database) -> AsyncIterator[Door]:
    door = Door(module_database)
    yield door
    await door.client.aclose()


async def test_the_way_of_a_voucher_from_rules_to_a_paid_claim(door: Door) -> None:
    issuer, buyer, provider = [
        await door.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
    ]
    async with door.world.database.transaction() as connection:
        await seed_catalogue(connection)  # rules are held against what there is
    posted = rules(provider, capacity={"origin": "domestic"})
    body = {"code": code_of(), "name": "贵州算力券", "rules": posted}
    programme = await issuer.post("/v1/programmes", body)
    assert programme["rules"]["capacity"] == {"origin": "domestic", "accelerators": [], "hubs": []}
    for name in ("budget_fen", "cap_per_year_fen", "validity_days"):
        assert programme["rules"][name] == posted[name]
    assert (programme["issuer_id"], programme["status"], programme["version"]) == (issuer.id, "open", 1)
    assert (programme["budget_cny"], programme["issued_cny"], programme["unissued_cny"]) == (
        "1000.00",
        "0.00",
        "1000.00",
    )
    async with door.world.database.connection() as connection:
        admitted = await get_participant(connection, provider.principal.participant_id)
    assert door.registry.ask_mask(admitted, product("domestic"), None) != 0

    request = {"programme_id": programme["id"], "buyer_id": buyer.id, "amount_cny": "300"}
    voucher = await issuer.post("/v1/vouchers", request)
    assert (voucher["face_cny"], voucher["available_cny"], voucher["status"]) == (
        "300.00",
        "300.00",
        "active",
    )
    assert (voucher["issued_at"], voucher["expires_at"]) == ("2026-02-25T06:13:20Z", "2026-05-26T06:13:20Z")
    assert await buyer.get(f"/v1/vouchers/{voucher['id']}") == voucher
    assert (await buyer.get("/v1/vouchers"))["data"] == [voucher]
    assert (await buyer.get(f"/v1/programmes/{programme['id']}"))["unissued_cny"] == "700.00"

    async with door.world.database.connection() as connection:
        (stored,) = await service.list_vouchers(connection, buyer.principal, limit=1)
    await door.world.captured(stored, provider.principal, 12_345, hour=492_223)
    await door.world.deposit(issuer.principal, 12_345)
    claim = await provider.post("/v1/claims", {"programme_id": programme["id"]})
    assert (claim["amount_cny"], claim["status"], claim["line_count"]) == ("123.45", "submitted", 1)
    lines = await issuer.get(f"/v1/claims/{claim['id']}/lines")
    assert lines == {
        "data": [
            {
                "lease_id": encode_id("lse", stored.id),
                "starts_at": "2026-02-25T07:00:00Z",
                "voucher_id": voucher["id"],
                "programme_version": 1,
                "provider_id": provider.id,
                "amount_cny": "123.45",
                "reduced_cny": "0.00",
                "recovered_cny": "0.00",
            }
        ],
        "next_cursor": None,
    }
    assert (await issuer.post(f"/v1/claims/{claim['id']}/approve", status=200))["status"] == "approved"
    paid = await issuer.post(f"/v1/claims/{claim['id']}/pay", status=200)
    assert (paid["status"], paid["paid_at"]) == ("paid", "2026-02-25T06:13:20Z")
    assert await provider.get(f"/v1/claims/{claim['id']}") == paid
    assert (await provider.get("/v1/claims?status=paid"))["data"] == [paid]
    assert (await provider.get("/v1/claims?status=submitted"))["data"] == []
    seen = await buyer.get(f"/v1/vouchers/{voucher['id']}")
    assert (seen["available_cny"], seen["paid_cny"]) == ("176.55", "123.45")


async def test_the_way_of_a_companys_claim_with_whoever_delivered_on_every_line(door: Door) -> None:
    issuer, buyer, provider, stranger = [
        await door.join(kind)
        for kind in (
            *(ParticipantKind.ISSUER, ParticipantKind.BUYER),
            *(ParticipantKind.PROVIDER, ParticipantKind.BUYER),
        )
    ]
    body = {"code": code_of(), "name": "后补", "rules": rules(provider, mode="reimburse")}
    programme = await issuer.post("/v1/programmes", body)
    assert programme["rules"]["mode"] == "reimburse"
    request = {"programme_id": programme["id"], "buyer_id": buyer.id, "amount_cny": "300"}
    await issuer.post("/v1/vouchers", request)
    async with door.world.database.connection() as connection:
        (stored,) = await service.list_vouchers(connection, buyer.principal, limit=1)
    await door.world.captured(stored, provider.principal, 12_345, claimant=buyer.principal)
    await door.world.deposit(issuer.principal, 12_345)
    wanted = {"programme_id": programme["id"]}
    for other in (provider, stranger):
        assert (await other.post("/v1/claims", wanted, status=409))["code"] == "nothing_to_claim"
    assert (await issuer.post("/v1/claims", wanted, status=403))["code"] == "forbidden"
    claim = await buyer.post("/v1/claims", wanted)
    assert (claim["claimant_id"], claim["claimant_kind"]) == (buyer.id, "buyer")
    assert (claim["amount_cny"], claim["status"]) == ("123.45", "submitted")
    path = f"/v1/claims/{claim['id']}"
    for reader in (buyer, issuer):
        (line,) = (await reader.get(f"{path}/lines"))["data"]
        assert line["provider_id"] == provider.id
    for other in (provider, stranger):
        for each in ("", "/lines", "/steps"):
            assert (await other.get(path + each, status=404))["code"] == "not_found"
        step = {"to": "in_audit", "reason": "x"}
        assert (await other.post(f"{path}/steps", step, status=404))["code"] == "not_found"
        assert (await other.get("/v1/claims"))["data"] == []
    assert (await buyer.post(f"{path}/steps", {"to": "approved"}, status=403))["code"] == "forbidden"
    await issuer.post(f"{path}/approve", status=200)
    paid = await issuer.post(f"{path}/pay", status=200)
    assert (await buyer.get("/v1/claims"))["data"] == [paid]
    async with door.world.database.connection() as connection:
        accounts = await ledger.balances(connection, buyer.principal.participant_id, limit=100)
    for name, expected in (("receivables", {"paid_cny": "123.45"}), ("claims", {"status": "paid"})):
        for reader, count in ((buyer, 1), (issuer, 1), (provider, 0), (stranger, 0)):
            rows = list(csv.DictReader(io.StringIO(await reader.text(f"/v1/statements/{name}/export"))))
            assert [row["claimant_id"] for row in rows] == [buyer.id] * count
            assert all(row.items() >= expected.items() for row in rows)
    assert sum(available_fen(each) for each in accounts if each.asset == CNY) == 12_345


async def test_a_rejection_gives_its_reason(door: Door) -> None:
    issuer, buyer, provider = [
        await door.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
    ]
    programme = await door.world.programme(issuer.principal, provider.principal)
    voucher = await door.world.issue(issuer.principal, programme, buyer.principal, 100)
    await door.world.captured(voucher, provider.principal, 100)
    claim = await provider.post("/v1/claims", {"programme_id": encode_id("prg", programme.id)})
    path = f"/v1/claims/{claim['id']}/reject"
    problem = await issuer.post(path, {"reason": ""}, status=422)
    assert [fault["pointer"] for fault in problem["errors"]] == ["/reason"]
    assert (await issuer.post(path, {"reason": "hours not run"}, status=200))["reason"] == "hours not run"
    assert (await issuer.post(path, {"reason": "again"}, status=409))["code"] == "state_conflict"
    assert (await issuer.get(f"/v1/claims/{claim['id']}/lines"))["data"] == []


async def test_a_request_sent_twice_has_one_effect(door: Door) -> None:
    issuer, buyer, provider = [
        await door.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
    ]
    body = {"code": code_of(), "name": "twice", "rules": rules(provider)}
    programme = await issuer.post("/v1/programmes", body, key="p")
    assert await issuer.post("/v1/programmes", body, key="p") == programme
    request = {"programme_id": programme["id"], "buyer_id": buyer.id, "amount_cny": "10.00"}
    voucher = await issuer.post("/v1/vouchers", request, key="v")
    assert await issuer.post("/v1/vouchers", request, key="v") == voucher
    problem = await issuer.post("/v1/vouchers", request | {"amount_cny": "10.01"}, status=422, key="v")
    assert problem["code"] == "idempotency_key_reused"
    assert len((await issuer.get("/v1/vouchers"))["data"]) == 1
    answer = await door.client.post("/v1/vouchers", headers=issuer._headers, json=request)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


async def test_pages_join_to_the_whole(door: Door) -> None:
    issuer, buyer, provider = [
        await door.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
    ]
    programme = await door.world.programme(issuer.principal, provider.principal)
    vouchers = [await door.world.issue(issuer.principal, programme, buyer.principal, 100) for _ in range(3)]
    for hour in range(3):
        await door.world.captured(vouchers[0], provider.principal, 10, hour)
    claim = await provider.post("/v1/claims", {"programme_id": encode_id("prg", programme.id)})
    await door.world.captured(vouchers[1], provider.principal, 10)
    await provider.post("/v1/claims", {"programme_id": encode_id("prg", programme.id)})
    for path, count in (
        (f"/v1/vouchers?programme_id={encode_id('prg', programme.id)}", 3),
        (f"/v1/claims?programme_id={encode_id('prg', programme.id)}", 2),
        (f"/v1/claims/{claim['id']}/lines?", 3),
    ):
        whole = await issuer.get(path)
        assert (len(whole["data"]), whole["next_cursor"]) == (count, None)
        joined: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await issuer.get(f"{path}&limit=1{cursor}")
            assert len(page["data"]) == 1
            joined += page["data"]
            cursor = None if page["next_cursor"] is None else f"&cursor={page['next_cursor']}"
        assert joined == whole["data"]
    first = await issuer.get("/v1/programmes?limit=1")
    assert [each["id"] for each in first["data"]] == [encode_id("prg", programme.id)]


async def test_each_route_is_closed_to_keys_without_its_scope(door: Door) -> None:
    buyer, issuer = await door.join(ParticipantKind.BUYER), await door.join(ParticipantKind.ISSUER)
    claim = f"/v1/claims/{encode_id('clm', new_id())}"
    for caller, path in (
        (buyer, "/v1/programmes"),
        (buyer, "/v1/vouchers"),
        (buyer, f"/v1/programmes/{encode_id('prg', new_id())}/steps"),
        (buyer, f"{claim}/approve"),
        (buyer, f"{claim}/reject"),
        (buyer, f"{claim}/pay"),
        (issuer, "/v1/claims"),
    ):
        assert (await caller.post(path, {}, status=403))["code"] == "forbidden"
    operator = await door.join(ParticipantKind.OPERATOR)
    body = {"code": code_of(), "name": "x", "rules": rules(await door.join(ParticipantKind.PROVIDER))}
    assert (await operator.post("/v1/programmes", body, status=403))["code"] == "forbidden"


async def test_what_is_not_there_is_not_found(door: Door) -> None:
    issuer = await door.join(ParticipantKind.ISSUER)
    provider = await door.join(ParticipantKind.PROVIDER)
    for noun, prefix in (("programmes", "prg"), ("vouchers", "vch"), ("claims", "clm")):
        for name in ("x", encode_id("ord", 1), encode_id(prefix, new_id())):
            assert (await issuer.get(f"/v1/{noun}/{name}", status=404))["code"] == "not_found"
    for step in ("approve", "pay"):
        await issuer.post(f"/v1/claims/{encode_id('clm', new_id())}/{step}", status=404)
        await issuer.post(f"/v1/claims/nonsense/{step}", status=404)
    unknown = encode_id("prg", new_id())
    await provider.post("/v1/claims", {"programme_id": unknown}, status=404)
    request = {"programme_id": unknown, "buyer_id": provider.id, "amount_cny": "1"}
    await issuer.post("/v1/vouchers", request, status=404)


@pytest.mark.parametrize(
    "changes, faults",
    [
        ({"amount_cny": "0.00"}, {"/amount_cny": "not_positive"}),
        ({"amount_cny": "1.001"}, {"/amount_cny": "pattern"}),
        ({"amount_cny": "-1"}, {"/amount_cny": "pattern"}),
        ({"amount_cny": 5}, {"/amount_cny": "wrong_type"}),
        ({"buyer_id": "par_x", "programme_id": "x"}, {"/buyer_id": "bad_id", "/programme_id": "bad_id"}),
        ({"buyer_id": None, "amount_cny": "x"}, {"/buyer_id": "wrong_type", "/amount_cny": "pattern"}),
        ({"note": "x"}, {"/note": "unknown_field"}),
    ],
)
async def test_every_fault_of_a_voucher_has_its_place(
    door: Door, changes: dict[str, object], faults: dict[str, str]
) -> None:
    issuer = await door.join(ParticipantKind.ISSUER)
    body = {"programme_id": encode_id("prg", 1), "buyer_id": issuer.id, "amount_cny": "1"} | changes
    problem = await issuer.post("/v1/vouchers", body, status=422)
    assert {fault["pointer"]: fault["code"] for fault in problem["errors"]} == faults


async def test_queries_and_claims_are_checked_too(door: Door) -> None:
    issuer = await door.join(ParticipantKind.ISSUER)
    provider = await door.join(ParticipantKind.PROVIDER)
    for path, pointer in (
        ("/v1/vouchers?programme_id=x", "?programme_id"),
        ("/v1/claims?status=lost", "?status"),
        ("/v1/claims?cursor=x", "?cursor"),
        ("/v1/programmes?limit=0", "?limit"),
    ):
        problem = await issuer.get(path, status=422)
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
        assert problem["code"] == "invalid_query"
    problem = await provider.post("/v1/claims", {"programme_id": "prg_"}, status=422)
    assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [("/programme_id", "bad_id")]
