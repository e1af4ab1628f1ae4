"""Goal: one whole day of the exchange, from the first operator's key to the money paid out, to the fen.

Method: one story over a real socket; nothing is known but what HTTP answers, and only the clock is moved by
hand. Every figure is worked out in the comments. At the end the ledger's check of all balances is empty and
each book is the fold of its journal.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

from exchange.ledger import service as ledger
from tests.e2e.served import Caller, Served, eventually, pointers, problem, served
from tests.e2e.stage import PRODUCT, Stage, join_all, programme


async def cash_of(caller: Caller) -> dict[str, str]:
    """Return a participant's available money by purpose, vouchers' apart."""
    accounts = (await caller.get("/v1/accounts"))["data"]
    return {each["purpose"]: each["available_cny"] for each in accounts if each["asset"] == "CNY"}


async def voucher_of(caller: Caller, voucher_id: str) -> dict[str, str]:
    """Return the parts of a voucher that are not zero."""
    voucher = await caller.get(f"/v1/vouchers/{voucher_id}")
    parts = (
        "available",
        "held",
        "committed",
        "captured",
        "claimed",
        "paid",
        "reduced",
        "recovered",
        "expired",
    )
    return {part: voucher[f"{part}_cny"] for part in parts if voucher[f"{part}_cny"] != "0.00"}


async def test_a_day_of_trade(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path) as house:
        await day_of_trade(house)
        async with house.exchange.database.connection() as connection:
            assert await ledger.check(connection) == []
        verified = await house.exchange.orders.verify()
        assert verified


async def day_of_trade(house: Served) -> None:
    operator = house.operator
    assert (await operator.get("/v1/participants/me"))["kind"] == "operator"
    cast = await join_all(house)
    stage = Stage(house, cast, cast)
    provider, buyer, issuer = cast.provider, cast.buyer, cast.issuer

    # Money comes in, once, however often it is told.
    deposit = {"participant_id": buyer.id, "amount_cny": "1000.00", "note": "bank 1"}
    headers = {"Idempotency-Key": "bank-1"}
    first = await operator.send("POST", "/v1/deposits", json=deposit, headers=headers)
    again = await operator.send("POST", "/v1/deposits", json=deposit, headers=headers)
    assert (first.status_code, first.json()) == (201, again.json())
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = {**deposit, "amount_cny": "1000.01"}
    refused = await operator.send("POST", "/v1/deposits", json=other, headers=headers)
    problem(refused, 422, "idempotency_key_reused")
    assert await cash_of(buyer) == {"cash": "1000.00", "escrow": "0.00"}

    # A programme that pays 30 % at this provider, and a voucher of 100 CNY.
    started = programme("day", provider.id)
    started["rules"] |= {"rate_tiers": [{"bps": 3_000}], "cap_per_year_fen": 10_000}
    programme_id = (await issuer.post("/v1/programmes", started))["id"]
    voucher = {"programme_id": programme_id, "buyer_id": buyer.id, "amount_cny": "100.00"}
    voucher_id = (await issuer.post("/v1/vouchers", voucher))["id"]
    more = await issuer.send("POST", "/v1/vouchers", json={**voucher, "amount_cny": "0.01"})
    problem(more, 409, "yearly_cap_exceeded")

    # 4 GPUs for 10 hours at 4.20; a bid for any 4 of 6 hours of 2 of them at 4.50 takes 33.60 CNY worth.
    ask = stage.order("sell", "ask-1", (0, 10), quantity_gpus=4)
    ask_id = (await provider.post("/v1/orders", ask))["id"]
    bid = stage.order("buy", "bid-1", (0, 6), hours=4, vouchers="auto", price_cny_per_gpu_hour="4.50")
    placed = await buyer.post("/v1/orders", bid)
    assert (placed["status"], placed["average_price_cny_per_gpu_hour"]) == ("filled", "4.2000")
    replay = await buyer.send("POST", "/v1/orders", json=bid)
    assert replay.headers["idempotent-replayed"] == "true"
    assert replay.json()["id"] == placed["id"]
    reused = await buyer.send("POST", "/v1/orders", json={**bid, "quantity_gpus": 4})
    assert pointers(problem(reused, 422, "client_order_id_reused")) == {"/client_order_id"}
    # 30 % of 33.60 is the voucher's, and the price improvement of 2.40 is back.
    assert await cash_of(buyer) == {"cash": "976.48", "escrow": "23.52"}
    assert await voucher_of(buyer, voucher_id) == {"available": "89.92", "committed": "10.08"}
    tape = (await house.http.get(f"/v1/market/{PRODUCT}/trades")).json()["data"]
    assert [(trade["price_cny_per_gpu_hour"], trade["gpu_hours"]) for trade in tape] == [("4.20", 8)]

    # A second bid rests, sets 30 GPU-hours at 4.00 aside, and gives all of it back when it is withdrawn.
    resting = stage.order("buy", "bid-2", (0, 10), quantity_gpus=3, price_cny_per_gpu_hour="4.00")
    resting_id = (await buyer.post("/v1/orders", resting))["id"]
    assert (await cash_of(buyer))["cash"] == "856.48"
    cancelled = await buyer.send("DELETE", f"/v1/orders/{resting_id}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    problem(await buyer.send("DELETE", f"/v1/orders/{resting_id}"), 409, "order_not_live")
    assert (await cash_of(buyer))["cash"] == "976.48"

    # The lease: four hours, of which the provider says beforehand that the last will not be delivered.
    (lease,) = (await buyer.get("/v1/leases"))["data"]
    assert (await provider.get(f"/v1/leases/{lease['id']}"))["amount_cny"] == "33.60"
    last_hour = (await buyer.get(f"/v1/leases/{lease['id']}/delivery"))["hours"][-1]["starts_at"]
    outage = {"hours": [last_hour], "reason": "停电"}
    await provider.post(f"/v1/leases/{lease['id']}/outages", outage)
    problem(await buyer.send("POST", f"/v1/leases/{lease['id']}/outages", json=outage), 403, "forbidden")

    # The hours pass, and each is settled an hour after it was delivered.
    house.pass_hours(7)
    settled = await eventually(
        lambda: buyer.get(f"/v1/leases/{lease['id']}"), lambda each: each["settled_hours"] == 4
    )
    assert (settled["status"], settled["failed_hours"]) == ("settled", 1)
    # Captured is all of three hours of 8.40: 7.56 by the voucher and 17.64 in cash, less a fee of 12.6 fen,
    # rounded up.
    assert (settled["captured_cny"], settled["returned_cny"]) == ("25.20", "8.40")
    assert await cash_of(buyer) == {"cash": "982.36", "escrow": "0.00"}
    assert await cash_of(provider) == {"cash": "17.51", "escrow": "0.00"}
    assert await voucher_of(buyer, voucher_id) == {"available": "92.44", "captured": "7.56"}
    late = await provider.send("POST", f"/v1/leases/{lease['id']}/outages", json=outage)
    problem(late, 409, "hour_settled")

    # The provider claims; the issuer approves, and pays once it has the money.
    claim = await provider.post("/v1/claims", {"programme_id": programme_id})
    assert (claim["amount_cny"], claim["line_count"], claim["status"]) == ("7.56", 3, "submitted")
    path = f"/v1/claims/{claim['id']}"
    assert len((await issuer.get(f"{path}/lines"))["data"]) == 3
    problem(await issuer.send("POST", f"{path}/pay"), 409, "state_conflict")
    await issuer.post(f"{path}/approve", status=200)
    problem(await issuer.send("POST", f"{path}/pay"), 402)
    assert await cash_of(provider) == {"cash": "17.51", "escrow": "0.00"}
    await operator.post("/v1/deposits", {"participant_id": issuer.id, "amount_cny": "50.00"})
    assert (await issuer.post(f"{path}/pay", status=200))["status"] == "paid"
    problem(await issuer.send("POST", f"{path}/pay"), 409, "state_conflict")
    assert (await cash_of(issuer))["cash"] == "42.44"
    assert await voucher_of(buyer, voucher_id) == {"available": "92.44", "paid": "7.56"}

    # The provider withdraws all it earned, and not a fen more.
    withdrawal = {"participant_id": provider.id, "amount_cny": "25.09"}
    problem(await operator.send("POST", "/v1/withdrawals", json=withdrawal), 402)
    await operator.post("/v1/withdrawals", {**withdrawal, "amount_cny": "25.07"})
    assert (await cash_of(provider))["cash"] == "0.00"
    reasons = {line["reason"] for line in (await provider.get("/v1/transfers"))["data"]}
    assert {"delivery", "claim_payment", "withdrawal"} <= reasons
    # What came in is what there is and what went out: 1,050 = 982.36 + 42.44 + fees of 0.13 + 25.07.
    assert (await cash_of(buyer))["cash"] == "982.36"

    await the_regulator_sees_it(cast.regulator, buyer, provider, placed["id"], ask_id)
    withdrawn = await provider.send("DELETE", f"/v1/orders/{ask_id}")
    assert withdrawn.json()["status"] == "cancelled"


async def the_regulator_sees_it(
    regulator: Caller, buyer: Caller, provider: Caller, bid_id: str, ask_id: str
) -> None:
    (trade,) = (await regulator.get("/v1/oversight/trades", product=PRODUCT, voucher_funded="true"))["data"]
    expected = {
        "bid_order_id": bid_id,
        "ask_order_id": ask_id,
        "buyer_id": buyer.id,
        "provider_id": provider.id,
        "gpu_hours": 8,
        "notional_cny": "33.60",
        "voucher_cny": "10.08",
        "aggressor": "buy",
        "buyer_size_class": "micro",
        "provider_ownership": "state",
        "reimbursable_cny": "0.00",
        "programmes": ["day"],
    }
    assert trade | expected == trade
    table = await regulator.send("GET", "/v1/oversight/trades/export?format=csv&reason=a+day")
    assert table.headers["content-type"].startswith("text/csv")
    assert [as_text(row) for row in csv.DictReader(io.StringIO(table.text))] == [as_text(trade)]
    lines = await regulator.send("GET", "/v1/oversight/trades/export?format=ndjson&reason=a+day")
    assert [json.loads(line) for line in lines.text.splitlines()] == [trade]
    life = await regulator.get(f"/v1/oversight/orders/{bid_id}", reason="a day")
    assert life["steps"][0]["code"] == "NEWO"
    assert [each["id"] for each in life["trades"]] == [trade["id"]]
    for path in ("/v1/oversight/trades", "/v1/oversight/trades/export", f"/v1/oversight/orders/{bid_id}"):
        problem(await buyer.send("GET", path), 403, "forbidden")


def as_text(row: dict[str, Any]) -> dict[str, str]:
    """Return a row as a CSV reader would see it."""
    several = {name: " ".join(value) for name, value in row.items() if isinstance(value, list)}
    return {name: "" if value is None else str(value) for name, value in (row | several).items()}
