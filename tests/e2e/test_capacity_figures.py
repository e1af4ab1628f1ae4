"""Goal: what a provider reads of what it listed, sold, delivered and earned is so.

Method: over HTTP on a served exchange whose clock is driven by hand: asks that rest, sell, are cancelled,
amended and fail in part, and each figure against the lists that say the same otherwise.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from exchange.kit.fields import format_hour
from tests.e2e.served import Caller, eventually, pointers, problem
from tests.e2e.stage import PRODUCT, Stage, staged

PATH = "/v1/capacity"


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("figures")) as ready:
        yield ready


async def column(caller: Caller, span: tuple[str, str]) -> Any:
    found = await caller.get(PATH, starts_at=span[0], ends_at=span[1])
    assert [each["product"] for each in found["products"]] == [PRODUCT]
    return found["products"][0]


async def test_what_the_scene_sold_is_told_by_hour(stage: Stage) -> None:
    """In the scene 2 GPUs for 12 hours, one delivered, three to come, and another ask of 10 hours."""
    now = stage.house.clock.hour()
    start = now - 3  # four hours have passed since the first ask's first hour was for sale
    span = format_hour(start), format_hour(start + 50)
    told = await column(stage.cast.provider, span)
    first = now + 1 - start
    assert told["listed_gpus"][:12] == [2] * 12
    assert told["sold_gpus"][:12] == [2] + [0] * 8 + [2] * 3
    assert told["free_gpus"][:12] == [0] * first + [2] * (9 - first) + [0] * 3
    assert told["delivered_gpus"][:12] == [2] + [0] * 11
    assert told["failed_gpu_hours"] == 0
    assert told["listed_gpu_hours"] == 2 * 12 + 2 * 10
    assert told["sold_gpu_hours"] == 8
    leases = (await stage.cast.provider.get("/v1/leases"))["data"]
    hours = sum(2 * (1 if each["status"] == "settled" else 3) for each in leases)
    assert told["sold_gpu_hours"] == hours


async def test_what_was_cancelled_amended_or_failed(stage: Stage) -> None:
    me, buyer = stage.strangers.provider, stage.cast.buyer
    start = stage.house.clock.hour() + 1
    span = format_hour(start), format_hour(start + 20)
    six = stage.order("sell", "kept", (0, 10), quantity_gpus=6, price_cny_per_gpu_hour="3.10")
    four = stage.order("sell", "gone", (0, 10), quantity_gpus=4, price_cny_per_gpu_hour="3.20")
    kept, gone = await me.post("/v1/orders", six), await me.post("/v1/orders", four)
    bid = stage.order("buy", "figures", (1, 4), quantity_gpus=5, price_cny_per_gpu_hour="3.15")
    await buyer.post("/v1/orders", bid)
    told = await column(me, span)
    assert told["listed_gpus"] == [10] * 10 + [0] * 10
    assert told["sold_gpus"] == [0, 5, 5, 5] + [0] * 16
    assert told["free_gpus"] == [10, 5, 5, 5] + [10] * 6 + [0] * 10
    smaller = await me.send("PATCH", f"/v1/orders/{kept['id']}", json={"quantity_gpus": 5})
    assert smaller.status_code == 200, smaller.text
    stage.house.pass_hours(4)
    await eventually(lambda: column(me, span), lambda found: found["delivered_gpu_hours"] == 5)
    assert (await me.send("DELETE", f"/v1/orders/{gone['id']}")).status_code == 200
    told = await column(me, span)
    # The running hour and those before it were on offer; what was to come is withdrawn.
    assert told["listed_gpus"] == [9] * 4 + [5] * 6 + [0] * 10
    assert told["free_gpus"] == [0] * 4 + [5] * 6 + [0] * 10
    [lease] = (await me.get("/v1/leases"))["data"]
    failed = {"hours": [format_hour(start + 3)], "reason": "停电"}
    await me.post(f"/v1/leases/{lease['id']}/outages", failed)
    stage.house.pass_hours(3)
    told = await eventually(lambda: column(me, span), lambda found: found["delivered_gpu_hours"] == 10)
    assert told["failed_gpus"] == [0, 0, 0, 5] + [0] * 16
    assert told["delivered_gpus"] == [0, 5, 5] + [0] * 17

    view = await me.get(f"{PATH}/earnings", starts_at=span[0], ends_at=span[1], utc_offset_hours=8)
    total = view["total"]
    assert (total["sold_gpu_hours"], total["delivered_gpu_hours"], total["failed_gpu_hours"]) == (15, 10, 5)
    assert total["delivered_cny"] == "31.00"
    assert total["returned_cny"] == "15.50"
    assert total["booked_cny"] == "0.00"
    cash = (await me.get("/v1/accounts"))["data"]
    assert total["cash_cny"] == next(each["available_cny"] for each in cash if each["purpose"] == "cash")
    parts = sum(Decimal(total[name]) for name in ("cash_cny", "receivable_cny", "fee_cny"))
    assert parts == Decimal(total["delivered_cny"])
    assert len(view["days"]) == (2 if (start + 8) % 24 > 4 else 1)
    for name in ("delivered_cny", "cash_cny", "fee_cny", "booked_cny"):
        assert sum(Decimal(day[name]) for day in view["days"]) == Decimal(total[name])


async def test_a_voucher_s_part_is_to_be_claimed(stage: Stage) -> None:
    start = stage.house.clock.hour() - 40
    view = await stage.cast.provider.get(
        f"{PATH}/earnings", starts_at=format_hour(start), ends_at=format_hour(start + 60)
    )
    total = view["total"]
    [claim] = (await stage.cast.provider.get("/v1/claims"))["data"]
    assert total["receivable_cny"] == claim["amount_cny"] != "0.00"


async def test_others_have_nothing_of_it(stage: Stage) -> None:
    start = stage.house.clock.hour() - 40
    span = {"starts_at": format_hour(start), "ends_at": format_hour(start + 60)}
    for caller in (stage.cast.buyer, stage.cast.issuer):
        assert (await caller.get(PATH, **span))["products"] == []
        assert (await caller.get(f"{PATH}/earnings", **span))["total"]["sold_gpu_hours"] == 0


@pytest.mark.parametrize("path", ["", "/earnings"])
@pytest.mark.parametrize(
    "span,names",
    [
        ({}, {"?starts_at", "?ends_at"}),
        ({"starts_at": "2026-02-25T07:30:00Z", "ends_at": "never"}, {"?starts_at", "?ends_at"}),
        ({"starts_at": "2026-02-25T07:00:00Z", "ends_at": "2026-02-25T07:00:00Z"}, {"?ends_at"}),
        ({"starts_at": "2026-02-25T07:00:00Z", "ends_at": "2026-06-25T07:00:00Z"}, {"?ends_at"}),
    ],
)
async def test_a_bad_span_is_named(stage: Stage, path: str, span: dict[str, str], names: set[str]) -> None:
    answer = problem(await stage.cast.provider.send("GET", PATH + path, params=span), 422, "invalid_query")
    assert pointers(answer) <= names
