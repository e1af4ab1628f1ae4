"""Goal: what is done on the exchange is found, and a regulator can work on it, by HTTP and from a terminal.

Method: abuse through the real doors; the task that reads the record runs as it does in `exchange serve`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest
from click.testing import CliRunner, Result

from exchange.alerts import reading
from exchange.alerts.recorded import CODES, RecordedStep
from exchange.alerts.thresholds import default_rules
from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.clock import format_rfc3339
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id
from tests.e2e.served import Caller, Served, eventually, pointers, problem, served
from tests.e2e.stage import FACTS, PRODUCT, programme
from tests.surveillance import DAY, HOUR, START_US, Tape, party

ALERTS, RULES = "/v1/oversight/alerts", "/v1/oversight/alert-rules"
WHY = {"reason": "case 7"}


class Market(msgspec.Struct, frozen=True):
    """A served exchange with those who trade on it, and a regulator."""

    house: Served
    regulator: Caller
    seller: Caller
    buyer: Caller
    group: str

    def order(
        self, side: str, name: str, gpus: int, window: tuple[int, int], price: str, **more: object
    ) -> dict[str, object]:
        """Return an order for a window of hours from the first one for sale."""
        first = self.house.clock.hour() + 1
        return {
            "client_order_id": name,
            "product": PRODUCT,
            "side": side,
            "quantity_gpus": gpus,
            "starts_at": format_hour(first + window[0]),
            "ends_at": format_hour(first + window[1]),
            "price_cny_per_gpu_hour": price,
            **more,
        }

    async def join(self, kind: str, scopes: list[str], **facts: object) -> Caller:
        """Register a participant, with money where it pays."""
        joined = await self.house.join(kind, scopes, **(FACTS.get(kind, {}) | facts))
        if kind in {"buyer", "issuer"}:
            money = {"participant_id": joined.id, "amount_cny": "100000.00"}
            await self.house.operator.post("/v1/deposits", money)
        return joined

    async def found(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the alerts that fit, once there is one."""

        async def read() -> Any:
            return (await self.regulator.get(ALERTS, **wanted))["data"]

        return list(await eventually(read, bool))


@pytest.fixture(scope="module")
async def market(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with served(module_database_url, tmp_path_factory.mktemp("alerts")) as house:
        group = (await house.operator.post("/v1/trade-groups", {"name": "集团"}))["id"]
        regulator = await house.join("regulator", ["read", "audit"])
        bare = Market(house, regulator, regulator, regulator, group)
        seller = await bare.join("provider", ["read", "list_capacity"])
        buyer = await bare.join("buyer", ["read", "trade"])
        yield Market(house, regulator, seller, buyer, group)


async def match(market: Market, seller: Caller, buyer: Caller, times: int, name: str) -> None:
    """Trade by appointment."""
    for number in range(times):
        window = (10 + number, 12 + number)
        await seller.post("/v1/orders", market.order("sell", f"{name}-{number}", 2, window, "4.20"))
        await buyer.post("/v1/orders", market.order("buy", f"{name}-{number}", 2, window, "4.20"))


async def test_trades_by_appointment_become_a_case_that_is_closed(market: Market) -> None:
    await match(market, market.seller, market.buyer, 3, "match")
    [alert] = await market.found(detector="matched_orders")
    assert alert["severity"] == "high"
    assert alert["status"] == "open"
    assert set(alert["participant_ids"]) == {market.seller.id, market.buyer.id}
    assert alert["product"] == PRODUCT
    assert {"name": "trades", "value": "3", "threshold": "3"} in alert["figures"]
    assert {"name": "notional_cny", "value": "50.40", "threshold": None} in alert["figures"]
    path = f"{ALERTS}/{alert['id']}"
    detail = await market.regulator.get(path)
    assert detail["thresholds"] == msgspec.to_builtins(default_rules().matched_orders)
    trades = (await market.buyer.get("/v1/trades"))["data"]
    assert set(detail["trade_ids"]) == {each["id"] for each in trades}
    assert [each["code"] for each in detail["records"]] == ["FILL"] * 3
    assert all(each["sequence"] and each["order_id"] and each["trade_id"] for each in detail["records"])

    operator = market.house.operator
    refused = await operator.send("POST", f"{path}/review", json={})
    problem(refused, 403, "wrong_role")
    early = await market.regulator.send("POST", f"{path}/close", json={"reason": "x"})
    problem(early, 409, "alert_not_there")
    noted = await operator.post(f"{path}/notes", {"text": "两家公司共用一间办公室"})
    assert noted["steps"][0]["kind"] == "note"
    assert noted["status"] == "open"
    reviewed = await market.regulator.post(f"{path}/review", {}, 200)
    assert reviewed["status"] == "under_review"
    twice = await market.regulator.send("POST", f"{path}/review", json={})
    problem(twice, 409, "alert_not_there")
    blank = await market.regulator.send("POST", f"{path}/close", json={"reason": " "})
    assert pointers(problem(blank, 422)) == {"/reason"}
    closed = await market.regulator.post(f"{path}/close", {"reason": "confirmed, referred"}, 200)
    assert closed["status"] == "closed"
    assert [each["kind"] for each in closed["steps"]] == ["note", "review", "close"]
    assert closed["steps"][-1]["actor_id"] == market.regulator.id
    assert (await market.regulator.get(ALERTS, status="closed"))["data"][0]["id"] == alert["id"]
    async with market.house.exchange.database.connection() as connection:
        codes = await connection.fetch(
            "SELECT code FROM audit_record WHERE subject_id = $1 ORDER BY id", decode_id("alr", alert["id"])
        )
    assert [row["code"] for row in codes] == ["ALNT", "ALRV", "ALCL"]


async def test_filters_and_pages_of_alerts(market: Market) -> None:
    seller = await market.join("provider", ["read", "list_capacity"])
    await match(market, seller, market.buyer, 6, "pages")
    of_it = {"participant": seller.id, **WHY}
    found = await eventually(
        lambda: market.regulator.get(ALERTS, **of_it), lambda page: len(page["data"]) == 2
    )
    first = await market.regulator.get(ALERTS, **of_it, limit=1)
    second = await market.regulator.get(ALERTS, **of_it, limit=1, cursor=first["next_cursor"])
    assert first["data"] + second["data"] == found["data"]
    assert second["next_cursor"] is None
    now = format_rfc3339(market.house.clock.now_us())
    nothing: list[dict[str, str]] = [
        {"product": "nvidia-h100-sxm.guian.ib-ndr400"},
        {"detector": "hoarding"},
        {"severity": "low"},
        {"found_until": now},
        {"status": "under_review"},
    ]
    for narrower in nothing:
        assert (await market.regulator.get(ALERTS, **of_it, **narrower))["data"] == []
    kept = await market.regulator.get(ALERTS, **of_it, found_from=now, severity="high")
    assert kept["data"] == found["data"]
    wrong = await market.regulator.send(
        "GET", ALERTS, params={"participant": "par_1", "found_from": now, "found_until": now}
    )
    assert pointers(problem(wrong, 422, "invalid_query")) == {"?participant", "?found_until", "?reason"}


async def test_who_asks_for_the_alerts_of_somebody_says_why(market: Market) -> None:
    who = {"participant": market.seller.id}
    for asked in (who, who | {"reason": " \t"}):
        refused = await market.regulator.send("GET", ALERTS, params=asked)
        assert pointers(problem(refused, 422, "invalid_query")) == {"?reason"}
    await market.regulator.get(ALERTS)
    await market.regulator.get(ALERTS, **who, **WHY)
    listed = (await market.regulator.get("/v1/oversight/questions", limit=2))["data"]
    assert [(each["query"], each["reason"]) for each in listed] == [("alerts", "case 7"), ("alerts", None)]


async def test_own_orders_that_meet_and_a_budget_that_is_issued(market: Market) -> None:
    seller = await market.join("provider", ["read", "list_capacity"], trade_group_id=market.group)
    buyer = await market.join("buyer", ["read", "trade"], trade_group_id=market.group)
    await seller.post("/v1/orders", market.order("sell", "own", 8, (100, 110), "3.00"))
    for number in range(3):
        await buyer.post("/v1/orders", market.order("buy", f"own-{number}", 1, (100, 102), "3.10"))
    [alert] = await market.found(detector="self_match")
    assert set(alert["participant_ids"]) == {seller.id, buyer.id}
    assert alert["trade_group_ids"] == [market.group]
    issuer = await market.join("issuer", ["read", "issue"])
    rules = programme("spent", seller.id, budget_fen=100_000)
    programme_id = (await issuer.post("/v1/programmes", rules))["id"]
    voucher = {"programme_id": programme_id, "buyer_id": market.buyer.id, "amount_cny": "960.00"}
    await issuer.post("/v1/vouchers", voucher)
    [used] = await market.found(programme=programme_id)
    assert used["detector"] == "budget_use"
    assert {"name": "used_bps", "value": "9600", "threshold": "9500"} in used["figures"]


async def test_hours_paid_by_vouchers_while_the_provider_is_out(market: Market) -> None:
    house = market.house
    seller = await market.join("provider", ["read", "list_capacity"])
    payer = await market.join("buyer", ["read", "trade"])
    issuer = await market.join("issuer", ["read", "issue"])
    programme_id = (await issuer.post("/v1/programmes", programme("out", seller.id)))["id"]
    voucher = {"programme_id": programme_id, "buyer_id": market.buyer.id, "amount_cny": "1000.00"}
    voucher_id = (await issuer.post("/v1/vouchers", voucher))["id"]
    await seller.post("/v1/orders", market.order("sell", "out", 4, (2, 8), "2.00"))
    await payer.post("/v1/orders", market.order("buy", "out", 2, (2, 6), "2.00"))
    bid = market.order(
        "buy", "aided", 2, (2, 6), "2.00", vouchers=[voucher_id], voucher_policy="only_eligible"
    )
    placed = await market.buyer.post("/v1/orders", bid)
    assert placed["status"] == "filled", placed
    [lease] = (await payer.get("/v1/leases"))["data"]
    hours = [format_hour(house.clock.hour() + 3 + each) for each in range(4)]
    await seller.post(f"/v1/leases/{lease['id']}/outages", {"hours": hours, "reason": "停电"})
    house.pass_hours(9)
    [alert] = await market.found(detector="paid_not_run")
    assert set(alert["participant_ids"]) == {seller.id, market.buyer.id}
    assert {"name": "hours", "value": "3", "threshold": "3"} in alert["figures"]


async def test_rules_are_versions_that_only_a_regulator_makes(market: Market) -> None:
    rules = json.loads(msgspec.json.encode(default_rules()))
    first = (await market.regulator.get(RULES))["data"]
    assert [each["version"] for each in first] == [1]
    assert first[0]["rules"] == rules
    new = {"rules": rules | {"hoarding": rules["hoarding"] | {"enabled": False}}, "reason": "复核"}
    problem(await market.house.operator.send("POST", RULES, json=new), 403, "wrong_role")
    made = await market.regulator.post(RULES, new)
    assert (made["version"], made["changed_by"]) == (2, market.regulator.id)
    assert made["effective_from"] == format_rfc3339(market.house.clock.now_us())
    listed = (await market.regulator.get(RULES))["data"]
    assert listed == [made, *first]
    broken = json.loads(json.dumps(new))
    del broken["rules"]["self_match"]
    broken["rules"]["round_trip"]["parties_max"] = 6
    broken["rules"]["layering"]["levels"] = 3
    broken["rules"]["budget_use"]["levels_bps"] = [9_000, 0]
    broken |= {"reason": " ", "effective_from": "2020-01-01T00:00:00Z"}
    answer = problem(await market.regulator.send("POST", RULES, json=broken), 422)
    assert pointers(answer) == {
        "/rules/self_match",
        "/rules/round_trip/parties_max",
        "/rules/layering/levels",
        "/rules/budget_use/levels_bps/1",
        "/reason",
        "/effective_from",
    }


def shape(step: RecordedStep) -> dict[str, Any]:
    """Return which facts a step has, and the names in its detail that detectors read."""
    read = {
        *("side", "quantity_gpus", "starts_hour", "ends_hour", "hours", "price_ticks", "reason"),
        *("ask_order_id", "amount_fen", "face_fen", "delivery_hour"),
    }
    return {
        "detail": set(step.detail) & read,
        "facts": {
            name
            for name in ("product_id", "order_id", "trade_id", "trade", "programme")
            if getattr(step, name)
        },
    }


async def test_the_tapes_of_the_tests_are_written_as_the_record_is(market: Market) -> None:
    async with market.house.exchange.database.connection() as connection:
        last_id = await connection.fetchval("SELECT max(id) FROM audit_record")
        steps, _ = await reading.read_steps(connection, 0, last_id, 100_000)
    real = {step.code: shape(step) for step in steps}
    tape, seller, buyer = Tape(), party(), party()
    trade = tape.deal(START_US, buyer, seller, PRODUCT, 1, (1, 3), 400, aid_bps=5_000)
    ask = tape.place(START_US, seller, "sell", PRODUCT, 1, (1, 3), 400)
    bid = tape.place(START_US, buyer, "buy", PRODUCT, 1, (1, 3), 400)
    tape.meet_own(START_US, bid, ask)
    tape.outage(START_US, seller, PRODUCT, trade, [1])
    tape.deliver(START_US + HOUR, seller, PRODUCT, trade, 1)
    tape.cash(START_US, buyer, "deposit", 1)
    compared = 0
    for step in tape.steps:
        if step.code in real:
            assert shape(step) == real[step.code], step.code
            compared += 1
    assert compared >= 8
    assert set(real) <= set(CODES)


async def call(caller: Caller, *arguments: str) -> Result:
    """Run a command in a thread, because it brings its own event loop."""
    environment = {"EXCHANGE_URL": str(caller.http.base_url), "EXCHANGE_KEY": caller.key}
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)


async def test_a_regulator_works_from_a_terminal(market: Market) -> None:
    seller = await market.join("provider", ["read", "list_capacity"])
    await match(market, seller, market.buyer, 3, "terminal")
    [alert] = await market.found(participant=seller.id, **WHY)
    listing = ("oversight", "alerts", "list", "--participant", seller.id)
    unreasoned = await call(market.regulator, *listing)
    assert unreasoned.exit_code == ExitCode.REFUSED
    assert "reason" in unreasoned.stderr
    listed = await call(market.regulator, *listing, "--reason", "case 7")
    assert alert["id"] in listed.stdout, listed.output
    shown = await call(market.regulator, "oversight", "alerts", "show", alert["id"])
    assert "matched_orders" in shown.stdout
    assert "trades" in shown.stdout
    closed: Any = None
    for words in (
        ("review", alert["id"], "--text", "desk 3"),
        ("note", alert["id"], "asked both"),
        ("close", alert["id"], "--reason", "explained", "-y"),
    ):
        done = await call(market.regulator, "oversight", "alerts", *words, "--json")
        assert done.exit_code == ExitCode.DONE, done.output
        closed = json.loads(done.stdout)
    assert [each["text"] for each in closed["steps"]] == ["desk 3", "asked both", "explained"]
    again = await call(market.regulator, "oversight", "alerts", "close", alert["id"], "--reason", "x", "-y")
    assert again.exit_code == ExitCode.REFUSED


async def test_rules_are_tried_on_the_record_and_store_nothing(
    market: Market, module_database_url: str, tmp_path: Path
) -> None:
    before = await market.house.rows()
    rules = msgspec.to_builtins(default_rules())
    rules["matched_orders"]["trades_min"] = 1
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    arguments = ("oversight", "backtest", str(file), "--database-url", module_database_url)
    result = await call(market.regulator, *arguments, "--json")
    assert result.exit_code == ExitCode.DONE, result.output
    told = json.loads(result.stdout)
    by_name = {each["detector"]: each for each in told["detectors"]}
    assert by_name["matched_orders"]["alerts"] >= 12
    assert by_name["matched_orders"]["alerts_per_10000_orders"] > 0
    assert told["orders"] > 20
    table = await call(market.regulator, *arguments)
    assert "matched_orders" in table.stdout
    none = await call(market.regulator, *arguments, "--from", "2100-01-01", "--json")
    assert json.loads(none.stdout)["orders"] == 0
    rules["matched_orders"] |= {"trades_min": 0, "no_such": 1}
    file.write_text(json.dumps(rules))
    wrong = await call(market.regulator, *arguments)
    assert wrong.exit_code == ExitCode.USAGE
    assert "/matched_orders/trades_min" in wrong.stderr
    assert "/matched_orders/no_such" in wrong.stderr
    assert await market.house.rows() == before


async def test_a_regulator_tries_rules_over_http_and_only_the_question_is_kept(
    market: Market, module_database_url: str, tmp_path: Path
) -> None:
    seller = await market.join("provider", ["read", "list_capacity"])
    await match(market, seller, market.buyer, 3, "tried")
    rules = msgspec.to_builtins(default_rules())
    rules["matched_orders"]["trades_min"] = 1
    now_us = market.house.clock.now_us()
    span = {
        "found_from": format_rfc3339(now_us - 20 * DAY),
        "found_until": format_rfc3339(now_us + 10 * DAY),
    }
    body = {"rules": rules, "reason": "case 7", **span}
    path = f"{RULES}/backtest"
    before = await market.house.rows()
    answer = await market.regulator.send("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    await check_lines(market, path, answer, lines)
    *way, last = lines
    assert all(each["result"] is None and each["read"] <= each["all"] for each in way)
    assert last["read"] == last["all"] > 0
    told = last["result"]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    where = ("--database-url", module_database_url, "--json")
    times = ("--from", span["found_from"], "--to", span["found_until"])
    same = await call(market.regulator, "oversight", "backtest", str(file), *times, *where)
    assert told["detectors"] == json.loads(same.stdout)["detectors"]
    assert told["alerts_found"] == len(told["alerts"]) == sum(each["alerts"] for each in told["detectors"])
    matched = [each for each in told["alerts"] if each["detector"] == "matched_orders"]
    assert {seller.id, market.buyer.id} <= {who for each in matched for who in each["participant_ids"]}
    # Of it all nothing stands but who asked what, and how much was answered.
    after = await market.house.rows()
    assert {table for table, rows in after.items() if rows != before[table]} <= {"audit_record"}
    [asked] = (await market.regulator.get("/v1/oversight/questions", limit=1))["data"]
    assert (asked["query"], asked["reason"]) == ("alert-rules/backtest", "case 7")
    assert asked["asked"]["rules"] == json.loads(json.dumps(rules))
    assert (asked["rows"], asked["is_whole"]) == (told["alerts_found"], True)


async def check_lines(market: Market, path: str, answer: httpx.Response, lines: list[Any]) -> None:
    """Check an answer of lines against the API's own description: its type, its headers, and each line."""
    document = await market.regulator.get("/schema/openapi.json")
    described = document["paths"][path]["post"]["responses"]["200"]
    [(media_type, content)] = described["content"].items()
    assert answer.headers["content-type"] == media_type
    headers = document["components"]["headers"]
    assert {name for name in described["headers"] if headers[name].get("required")} <= {
        name.title() for name in answer.headers
    }
    schema = {**content["x-itemSchema"], "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert [error.message for line in lines for error in validator.iter_errors(line)] == []
    assert not validator.is_valid({**lines[-1], "read": "all"})


async def test_what_cannot_be_tried_is_refused_with_every_fault(market: Market) -> None:
    path, rules = f"{RULES}/backtest", msgspec.to_builtins(default_rules())
    good = {
        "rules": rules,
        "reason": "case 7",
        "found_from": "2026-01-01T00:00:00Z",
        "found_until": "2026-02-01T00:00:00Z",
    }
    operator = problem(await market.house.operator.send("POST", path, json=good), 403, "wrong_role")
    assert "regulator" in operator["detail"]
    problem(await market.buyer.send("POST", path, json=good), 403)
    late = {**good, "found_until": "2026-02-01T00:00:01Z", "reason": " "}
    assert pointers(problem(await market.regulator.send("POST", path, json=late), 422)) == {
        "/found_until",
        "/reason",
    }
    for until in ("2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "soon"):
        refused = await market.regulator.send("POST", path, json={**good, "found_until": until})
        assert pointers(problem(refused, 422)) == {"/found_until"}
    worse = {**rules, "matched_orders": {**rules["matched_orders"], "trades_min": 0}}
    refused = await market.regulator.send("POST", path, json={"rules": worse, "found_from": "x"})
    assert pointers(problem(refused, 422)) >= {"/rules/matched_orders/trades_min"}
