"""Applications over HTTP: the way of one, lists with filters and cursors, and what each route refuses."""

import itertools
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest

from exchange.applications.routes import AdmissionController, AllocationController, ApplicationsController
from exchange.kit.auth import Authenticator, Principal, StoredKey, hash_secret
from exchange.kit.clock import ManualClock
from exchange.kit.database import Database
from exchange.kit.http_app import build_app
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import BuyerRule, ReviewRule
from exchange.programmes.registry import ProgrammeRegistry
from exchange.programmes.routes import ProgrammesController
from exchange.vouchers.routes import VouchersController
from tests.application_world import HOUR_US, ApplicationWorld, another_key
from tests.voucher_door import SECRET, Caller
from tests.voucher_world import NOW_US

_RULES = {"budget_fen": 1_000, "rate_tiers": [{"bps": 3_000}], "validity_days": 90, "provider": {}}


class Door:
    """The application on a world, and callers with keys."""

    def __init__(self, database: Database) -> None:
        """Open the application."""
        self.world = ApplicationWorld(database)
        self.clock = ManualClock(NOW_US)
        self._keys: dict[int, StoredKey] = {}
        self._numbers = itertools.count(1)
        app = build_app(
            [
                AdmissionController,
                AllocationController,
                ApplicationsController,
                ProgrammesController,
                VouchersController,
            ],
            authenticator=Authenticator(self._stored_key),
            is_ready=self._is_ready,
            state={"database": database, "clock": self.clock, "programmes": ProgrammeRegistry()},
        )
        transport = httpx.ASGITransport(cast("Any", app))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://exchange")

    async def _stored_key(self, key_id: int) -> StoredKey | None:
        return self._keys.get(key_id)

    async def _is_ready(self) -> bool:
        return True

    def caller(self, principal: Principal) -> Caller:
        """Give a principal's key to a caller."""
        self._keys[principal.key_id] = StoredKey(principal=principal, secret_sha256=hash_secret(SECRET))
        caller = Caller(self.client, principal)
        caller._numbers = itertools.count(next(self._numbers) * 1_000)  # keys of one participant share names
        return caller


@pytest.fixture
async def door(module_database: Database) -> AsyncIterator[Door]:
    door = Door(module_database)
    await door.world.settle()
    yield door
    await door.client.aclose()


async def wish(door: Door, amount_cny: str, **rules: Any) -> dict[str, Any]:
    plan = await door.world.plan(**rules)
    return {
        "programme_id": encode_id("prg", plan.id),
        "amount_cny": amount_cny,
        "purpose": "训练大模型",
    }


async def test_the_way_of_an_application_to_a_voucher_by_two_keys(door: Door) -> None:
    buyer, first = door.caller(door.world.buyer), door.caller(door.world.issuer)
    second = door.caller(another_key(door.world.issuer))
    body = await wish(door, "250.00", review=ReviewRule(committee_above_fen=10_000))
    made = await buyer.post("/v1/applications", body, key="one")
    assert await buyer.post("/v1/applications", body, key="one") == made
    assert (made["status"], made["amount_cny"], made["buyer_id"]) == ("submitted", "250.00", buyer.id)
    path = f"/v1/applications/{made['id']}"
    approval = {"to": "approved", "amount_cny": "200.00", "reason": "plausible"}
    seen = await first.post(f"{path}/steps", approval, 200)
    assert (seen["status"], seen["approved_cny"], seen["voucher_id"]) == ("in_committee", "200.00", None)
    again = await first.post(f"{path}/steps", {"to": "approved"}, 409)
    assert again["code"] == "second_key_needed"
    granted = await second.post(f"{path}/steps", {"to": "approved"}, 200)
    assert (granted["status"], granted["approved_cny"]) == ("approved", "200.00")
    assert await buyer.get(path) == granted
    voucher = await buyer.get(f"/v1/vouchers/{granted['voucher_id']}")
    assert (voucher["face_cny"], voucher["buyer_id"]) == ("200.00", buyer.id)
    told = (await first.get(f"{path}/steps"))["data"]
    keys = [encode_id("key", each.principal.key_id) for each in (first, second)]
    assert [(each["to_status"], each["key_id"]) for each in told] == [
        ("in_committee", keys[0]),
        ("approved", keys[1]),
    ]
    shown = await buyer.get(f"{path}/steps?limit=1")
    assert [each["key_id"] for each in shown["data"]] == [None]
    rest = await buyer.get(f"{path}/steps?cursor={shown['next_cursor']}")
    assert [(each["number"], each["key_id"]) for each in rest["data"]] == [(2, None)]
    assert rest["next_cursor"] is None


async def test_whether_one_may_apply_is_told_rule_by_rule_to_its_company_and_its_issuer(door: Door) -> None:
    world = door.world
    issuer, buyer = door.caller(world.issuer), door.caller(world.buyer)
    review = ReviewRule(auto_below_fen=1_000)
    far = BuyerRule(regions=("atlantis",))
    shut = await world.plan(allocation="window", windows=(world.window(1, 2),), buyer=far)
    told = await buyer.get(f"/v1/programmes/{encode_id('prg', shut.id)}/eligibility")
    assert {each["rule"]: each["holds"] for each in told.pop("rules")} == {
        "/buyer/regions": False,
        "/windows": False,
    }
    assert told == {
        "programme_id": encode_id("prg", shut.id),
        "programme_version": 1,
        "is_admitted": False,
        "closed_because": None,
        "amount_max_cny": "0.00",
        "at_once_max_cny": None,
    }
    body = await wish(door, "300.00", review=review)
    path = f"/v1/programmes/{body['programme_id']}/eligibility"
    told = await buyer.get(path)
    assert (told["is_admitted"], told["amount_max_cny"], told["at_once_max_cny"]) == (True, "500.00", "9.99")
    made = await buyer.post("/v1/applications", body)
    about = await issuer.get(f"/v1/applications/{made['id']}/eligibility")
    assert about == told
    await issuer.post(f"/v1/applications/{made['id']}/steps", {"to": "approved"}, status=200)
    for reader in (issuer, buyer):
        left = await reader.get(f"/v1/applications/{made['id']}/eligibility")
        assert (left["amount_max_cny"], left["at_once_max_cny"]) == ("200.00", None)
    no_buyer = await issuer.get(path)
    assert [(each["rule"], each["holds"]) for each in no_buyer["rules"]] == [("/buyer", False)]
    assert (no_buyer["is_admitted"], no_buyer["amount_max_cny"]) == (False, "0.00")
    stranger = door.caller(await world.join(ParticipantKind.BUYER))
    other = door.caller(await world.join(ParticipantKind.ISSUER))
    for each in (stranger, other):
        missing = await each.get(f"/v1/applications/{made['id']}/eligibility", status=404)
        assert missing["code"] == "not_found"
    draft = {"code": "secret", "name": "x", "draft": True, "rules": _RULES}
    hidden = (await issuer.post("/v1/programmes", draft))["id"]
    assert (await buyer.get(f"/v1/programmes/{hidden}/eligibility", status=404))["code"] == "not_found"


async def test_a_list_is_narrowed_by_programme_and_status_and_goes_on_at_its_cursor(door: Door) -> None:
    buyer, issuer = door.caller(door.world.buyer), door.caller(door.world.issuer)
    body, other = await wish(door, "1.00"), await wish(door, "2.00")
    made = [(await buyer.post("/v1/applications", each))["id"] for each in (body, body, other, body)]
    await buyer.post(f"/v1/applications/{made[0]}/steps", {"to": "withdrawn"}, 200)
    newest_first = made[::-1]
    assert [each["id"] for each in (await issuer.get("/v1/applications"))["data"]] == newest_first
    page = await buyer.get("/v1/applications?limit=2")
    rest = await buyer.get(f"/v1/applications?limit=2&cursor={page['next_cursor']}")
    assert [each["id"] for each in page["data"] + rest["data"]] == newest_first
    assert rest["next_cursor"] is None
    narrow = f"/v1/applications?programme_id={body['programme_id']}&status=submitted"
    assert [each["id"] for each in (await buyer.get(narrow))["data"]] == [made[3], made[1]]
    stranger = door.caller(await door.world.join(ParticipantKind.BUYER))
    assert (await stranger.get("/v1/applications"))["data"] == []
    assert (await stranger.get(f"/v1/applications/{made[0]}", 404))["code"] == "not_found"
    wrong = await buyer.get("/v1/applications?programme_id=vch_1&status=granted", 422)
    assert {fault["pointer"] for fault in wrong["errors"]} == {"?programme_id", "?status"}


async def test_scores_and_an_allocation_that_lists_every_outcome(door: Door) -> None:
    buyer, issuer = door.caller(door.world.buyer), door.caller(door.world.issuer)
    plan = await wish(door, "300.00", allocation="scored", windows=(door.world.window(0, 1),))
    made = [(await buyer.post("/v1/applications", plan))["id"] for _ in range(3)]
    for application_id, score in ((made[0], 10), (made[1], 990)):
        scored = await issuer.post(
            f"/v1/applications/{application_id}/score", {"score": score, "reason": "评审"}, 200
        )
        assert (scored["status"], scored["score"], scored["reason"]) == ("submitted", score, "评审")
    path = f"/v1/programmes/{plan['programme_id']}/allocation"
    assert (await issuer.post(path, status=409))["code"] == "window_open"
    door.clock.advance_to_us(NOW_US + HOUR_US)
    done = await issuer.post(path, status=200, key="allocate")
    assert (done["approved_cny"], done["unissued_cny"]) == ("300.00", "700.00")
    assert [(each["id"], each["status"]) for each in done["data"]] == [
        (made[1], "approved"),
        (made[0], "rejected"),
    ]
    assert "200.00 is left" in done["data"][1]["reason"]
    assert await issuer.post(path, status=200, key="allocate") == done
    assert (await issuer.post(path, status=200))["data"] == []
    assert (await buyer.get(f"/v1/applications/{made[2]}"))["status"] == "submitted"
    assert (await buyer.post(path, status=403))["code"] == "forbidden"


async def test_all_that_is_wrong_with_a_body_is_told_at_once(door: Door) -> None:
    buyer, issuer = door.caller(door.world.buyer), door.caller(door.world.issuer)
    bad = {"programme_id": "vch_0000000000001", "amount_cny": "0", "purpose": " "}
    refused = await buyer.post("/v1/applications", bad, 422)
    assert [(fault["pointer"], fault["code"]) for fault in refused["errors"]] == [
        ("/programme_id", "bad_id"),
        ("/amount_cny", "not_positive"),
        ("/purpose", "required"),
    ]
    made = await buyer.post("/v1/applications", await wish(door, "1.00"))
    step = {"to": "rejected", "reason": "", "amount_cny": "1.00"}
    refused = await issuer.post(f"/v1/applications/{made['id']}/steps", step, 422)
    assert {fault["pointer"] for fault in refused["errors"]} == {"/reason", "/amount_cny"}
    score = {"score": 1_001, "reason": " "}
    refused = await issuer.post(f"/v1/applications/{made['id']}/score", score, 422)
    assert {fault["pointer"] for fault in refused["errors"]} == {"/score", "/reason"}
    for to in ("submitted", "in_committee"):
        await issuer.post(f"/v1/applications/{made['id']}/steps", {"to": to}, 422)
    large = await wish(door, "1000.01")
    refused = await buyer.post("/v1/applications", large, 409)
    assert refused["code"] == "yearly_cap_exceeded"
    assert [fault["code"] for fault in refused["errors"]] == ["yearly_cap_exceeded", "budget_exhausted"]
    refused = await issuer.post("/v1/applications", large, 403)
    assert refused["code"] == "forbidden"


async def test_direct_issue_is_refused_where_vouchers_are_applied_for(door: Door) -> None:
    issuer = door.caller(door.world.issuer)
    body = await wish(door, "1.00", allocation="scored")
    del body["purpose"]
    body["buyer_id"] = door.caller(door.world.buyer).id
    refused = await issuer.post("/v1/vouchers", body, 409)
    assert refused["code"] == "allocated_by_application"
    assert "companies that apply" in refused["detail"]
