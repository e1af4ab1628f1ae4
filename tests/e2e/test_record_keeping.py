"""Goal: the record holds what docs/record-keeping.md says. Method: trade, and look for each field.

The scene is one with one of everything; a desk whose key names its algorithm adds what the scene has none of.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.audit import COLUMNS
from exchange.kit.clock import parse_rfc3339
from exchange.orders.store import ENGINE_VERSION
from tests.e2e.served import Caller, eventually
from tests.e2e.stage import FACTS, PRODUCT, SCOPES, Stage, staged

DOCUMENT = Path(__file__).parents[2] / "docs" / "record-keeping.md"
ALGORITHM = "buys-at-night.2"
WHY = {"reason": "case 7"}


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("record")) as ready:
        await _take_every_step(ready)
        yield ready


async def _take_every_step(stage: Stage) -> None:
    """Have an algorithm place, amend, cancel and be refused; what it does is in no other place."""
    buyer = stage.cast.buyer
    key = await stage.operator.key_of(buyer.id, ["read", "trade"], algorithm=ALGORITHM)
    desk = buyer.with_key(key["secret"])
    particular = {
        "time_in_force": "gtd",
        "expires_at": stage.hour(48),
        "fill": "all_or_none",
        "placement": "single_site",
        "require": ["state_owned"],
        "price_cny_per_gpu_hour": "3.00",
    }
    resting = await desk.post("/v1/orders", stage.order("buy", "desk-1", (50, 52), **particular))
    amended = await desk.send("PATCH", f"/v1/orders/{resting['id']}", json={"price_cny_per_gpu_hour": "3.10"})
    assert amended.status_code == 200, amended.text
    for price_cny, code in (("400.00", "order_rejected"), ("9999999.00", "insufficient_funds")):
        wish = {"price_cny_per_gpu_hour": price_cny}
        refused = await desk.send("PATCH", f"/v1/orders/{amended.json()['id']}", json=wish)
        assert refused.json()["code"] == code, refused.text
    passive = stage.order("buy", "desk-2", (50, 52), post_only=True, price_cny_per_gpu_hour="3.00")
    await desk.post("/v1/orders", passive)
    filled = stage.order("buy", "desk-3", (9, 12), quantity_gpus=1)
    await stage.cast.provider.post("/v1/orders", stage.order("sell", "desk-3", (9, 14), quantity_gpus=2))
    assert (await desk.post("/v1/orders", filled))["status"] == "filled"
    steps = f"/v1/vouchers/{stage.ids['voucher_id']}/steps"
    await stage.cast.issuer.post(steps, {"to": "suspended", "reason": "looked into"}, 200)
    named = stage.order("buy", "desk-4", (50, 51), vouchers=[stage.ids["voucher_id"]], quantity_gpus=1)
    assert (await desk.send("POST", "/v1/orders", json=named)).json()["code"] == "no_usable_voucher"
    await stage.cast.issuer.post(steps, {"to": "active", "reason": "sound"}, 200)
    beyond = stage.order("buy", "desk-5", (50, 51), quantity_gpus=1, price_cny_per_gpu_hour="400.00")
    assert (await desk.send("POST", "/v1/orders", json=beyond)).json()["code"] == "order_rejected"
    reserved = stage.order("sell", "desk-6", (60, 62), reserved_for=["startup"])
    await stage.cast.provider.post("/v1/orders", reserved)
    assert (await desk.send("DELETE", f"/v1/orders/{amended.json()['id']}")).status_code == 200
    await _meet_oneself(stage)
    await desk.post("/v1/orders", stage.order("buy", "desk-7", (50, 52), price_cny_per_gpu_hour="3.00"))
    await desk.send("POST", "/v1/orders/cancel-all-after", json={"timeout_s": 1})

    async def resting_orders() -> Any:
        return (await desk.get("/v1/orders", client_order_id="desk-7", status="resting"))["data"]

    await eventually(resting_orders, lambda found: not found)
    phase = await stage.operator.send("PUT", f"/v1/products/{PRODUCT}/phase", json={"phase": "open"})
    assert phase.status_code == 200, phase.text


async def _meet_oneself(stage: Stage) -> None:
    """Have two companies of one group offer and want the same hours."""
    group = await stage.operator.post("/v1/trade-groups", {"name": "one hand"})
    facts = {kind: {**FACTS[kind], "trade_group_id": group["id"]} for kind in ("provider", "buyer")}
    left, right = [await stage.house.join(kind, SCOPES[kind], **each) for kind, each in facts.items()]
    await stage.operator.post("/v1/deposits", {"participant_id": right.id, "amount_cny": "1000.00"})
    await left.post("/v1/orders", stage.order("sell", "left", (80, 82), price_cny_per_gpu_hour="4.10"))
    await right.post("/v1/orders", stage.order("buy", "right", (80, 82), price_cny_per_gpu_hour="4.10"))


def _named_fields() -> Iterator[str]:
    """Yield each field of the first column of the document's table."""
    table = DOCUMENT.read_text(encoding="utf-8").partition("## The table")[2].partition("## ")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1])


def _keys(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield f"{path}.{name}"
            yield from _keys(each, f"{path}.{name}")


async def test_every_field_that_the_table_names_is_there(stage: Stage) -> None:
    named = list(_named_fields())
    assert len(named) == len(set(named)) > 50
    async with stage.house.exchange.database.connection() as connection:
        details = await connection.fetch("SELECT detail FROM audit_record")
        columns = await connection.fetch(
            "SELECT table_name || '.' || column_name AS name FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        )
    known = {row["name"] for row in columns} | set(COLUMNS)
    for row in details:
        known |= set(_keys(msgspec.json.decode(row["detail"]), "detail"))
    assert [each for each in named if each not in known] == []
    assert set(COLUMNS) - {"detail"} <= set(named)


async def _events(stage: Stage, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await stage.cast.regulator.get("/v1/oversight/events", **query))["data"]
    return found


async def test_a_step_tells_who_decided_when_it_came_and_by_which_engine(stage: Stage) -> None:
    events = await _events(stage, participant=stage.cast.buyer.id, order="oldest_first", limit="1000", **WHY)
    decided = {each["client_order_id"]: each["algorithm"] for each in events if each["code"] == "NEWO"}
    assert decided["scene-1"] is None
    assert decided["desk-1"] == ALGORITHM
    for each in events:
        assert each["venue"] == "compute-exchange"
        if each["order_id"] is None:
            continue
        assert each["engine_version"] == ENGINE_VERSION
        if each["received_at"] is None:
            assert each["detail"]["cause"] == "cancel_all_after"  # nobody sent it
        else:
            assert (parse_rfc3339(each["received_at"]) or 0) <= (parse_rfc3339(each["event_at"]) or 0)
    assert any(each["order_id"] and each["received_at"] is None for each in events)


async def test_a_fill_tells_its_counter_order_and_who_was_second(stage: Stage) -> None:
    [fill] = [each for each in await _events(stage, code="FILL") if each["client_order_id"] == "desk-3"]
    [other] = [each for each in await _events(stage, code="PARF") if each["trade_id"] == fill["trade_id"]]
    assert (fill["counter_order_id"], other["counter_order_id"]) == (other["order_id"], fill["order_id"])
    assert fill["aggressor"] == other["aggressor"] == "buy"
    assert fill["fee_bps"] is not None
    assert (fill["status"], other["status"]) == ("filled", "partially_filled")
    assert (fill["detail"]["remaining_gpus"], other["detail"]["remaining_gpu_hours"]) == (0, 7)
    assert fill["received_at"] == other["received_at"]


async def test_the_status_after_each_step_ends_where_the_order_did(stage: Stage) -> None:
    desk: Caller = stage.cast.buyer
    for order in (await desk.get("/v1/orders", limit=100))["data"]:
        life = await stage.cast.regulator.get(f"/v1/oversight/orders/{order['id']}", **WHY)
        told = [each["status"] for each in life["steps"] if each["status"] is not None]
        assert told[-1] == {"resting": "accepted"}.get(order["status"], order["status"])


async def test_a_refused_amendment_is_on_record_and_leaves_its_order_as_it_was(stage: Stage) -> None:
    refused = [each for each in await _events(stage, code="REMO") if "amendment" in each["detail"]]
    assert {each["detail"]["reason"] for each in refused} == {"price_outside_collar", "insufficient_funds"}
    assert {each["status"] for each in refused} == {None}
    wanted = {**WHY, "code": "REMO"}
    file = await stage.cast.regulator.send("GET", "/v1/oversight/events/export", params=wanted)
    assert file.text.count("amendment") == len(refused)


async def test_who_was_refused_a_voucher_is_told_by_which_rule(stage: Stage) -> None:
    details = [each["detail"] for each in await _events(stage, code="REMO")]
    denied = [each for each in details if each.get("denial", {}).get("refusals")]
    assert {each["reason"] for each in denied} == {"no_usable_voucher"}
    assert all(refusal["code"] for each in denied for refusal in each["denial"]["refusals"])
