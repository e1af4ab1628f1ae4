"""Goal: capacity from a file is listed all or not at all, or the good lines, and each bad one is named.

Method: over HTTP on a served exchange, files good and bad; what was placed is read from the order list, and a
file sent again must place nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from exchange.kit.error_codes import FAULT_CODES
from exchange.orders.capacity import FILES_MAX
from exchange.orders.capacity_models import LINES_MAX
from tests.e2e.served import Caller, eventually, pointers, problem
from tests.e2e.stage import PRODUCT, Stage, staged

HEAD = "client_order_id,product,quantity_gpus,starts_at,ends_at,price_cny_per_gpu_hour,min_hours"
PATH = "/v1/capacity/import"


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("capacity")) as ready:
        yield ready


def line(
    stage: Stage, name: str, gpus: object = 4, price: str = "5.10", window: tuple[int, int] = (50, 60)
) -> str:
    return f"{name},{PRODUCT},{gpus},{stage.hour(window[0])},{stage.hour(window[1])},{price},2"


async def send(
    caller: Caller, body: str | bytes, media_type: str = "text/csv", **query: object
) -> httpx.Response:
    content = body.encode() if isinstance(body, str) else body
    return await caller.send(
        "POST", PATH, content=content, headers={"Content-Type": media_type}, params=query
    )


async def listed(stage: Stage, prefix: str) -> list[dict[str, Any]]:
    found = await stage.cast.provider.get("/v1/orders", limit=1000, side="sell")
    return sorted(
        (each for each in found["data"] if each["client_order_id"].startswith(prefix)),
        key=lambda each: each["client_order_id"],
    )


async def test_a_good_file_is_listed_and_sent_again_it_places_nothing(stage: Stage) -> None:
    body = "\r\n".join([HEAD, *(line(stage, f"good-{n:04}", window=(50, 52 + n % 3)) for n in range(1200))])
    seen = (await send(stage.cast.provider, body, preview="true")).json()
    assert await listed(stage, "good-") == []
    answer = await send(stage.cast.provider, body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    hours = sum(2 + n % 3 for n in range(1200))
    assert told == {
        "preview": False, "lines": 1200, "placed": 1200, "replayed": 0, "refused": 0,
        "gpu_hours": 4 * hours, "problems": [],
    }  # fmt: skip
    assert seen == {**told, "preview": True}
    found = await listed(stage, "good-")
    assert len(found) == 1000  # a page of the list
    assert {(each["side"], each["quantity_gpus"], each["min_hours"]) for each in found} == {("sell", 4, 2)}
    for query in ({}, {"partial": "true"}, {"preview": "true"}):
        again = (await send(stage.cast.provider, body, **query)).json()
        assert (again["placed"], again["replayed"], again["gpu_hours"]) == (0, 1200, 0)


async def test_one_bad_line_keeps_all_out_and_every_one_is_named(stage: Stage) -> None:
    body = "\n".join(
        [
            HEAD,
            line(stage, "bad-1"),
            line(stage, "bad-2", gpus=0),
            "",
            line(stage, "bad-3", price="5.105").replace(PRODUCT, "nothing"),
            line(stage, "bad-4", window=(60, 50)),
            line(stage, "bad-1"),
            "only,three,cells",
            line(stage, "bad-5", price="0.00"),
        ]
    )
    before = await stage.house.rows()
    answer = await send(stage.cast.provider, body)
    body_of = problem(answer, 422, "lines_refused")
    assert body_of["outcome"] == "not_applied"
    assert pointers(body_of) == {
        "/lines/3/quantity_gpus", "/lines/5/price_cny_per_gpu_hour", "/lines/5/product", "/lines/6/ends_at",
        "/lines/7/client_order_id", "/lines/8", "/lines/9/price_cny_per_gpu_hour",
    }  # fmt: skip
    assert "6 of 7 lines" in body_of["detail"]
    assert await stage.house.rows() == before
    seen = (await send(stage.cast.provider, body, preview="true")).json()
    assert (seen["lines"], seen["placed"], seen["refused"]) == (7, 1, 6)
    assert [each["line"] for each in seen["problems"]] == [3, 5, 6, 7, 8, 9]
    assert await stage.house.rows() == before


async def test_partial_places_the_good_and_the_mended_file_the_rest(stage: Stage) -> None:
    lines = [HEAD, line(stage, "part-1"), line(stage, "part-2", gpus="many"), line(stage, "part-3")]
    told = (await send(stage.cast.provider, "\n".join(lines), partial="true")).json()
    assert (told["placed"], told["replayed"], told["refused"]) == (2, 0, 1)
    [wrong] = told["problems"]
    assert (wrong["line"], wrong["client_order_id"], wrong["status"]) == (3, "part-2", 422)
    assert [(fault["pointer"], fault["code"], fault["value"]) for fault in wrong["errors"]] == [
        ("/quantity_gpus", "wrong_type", "many")
    ]
    lines[2] = line(stage, "part-2")
    told = (await send(stage.cast.provider, "\n".join(lines))).json()
    assert (told["placed"], told["replayed"], told["refused"]) == (1, 2, 0)
    assert [each["client_order_id"] for each in await listed(stage, "part-")] == [
        "part-1",
        "part-2",
        "part-3",
    ]


async def test_ndjson_takes_orders_as_they_are_sent_alone(stage: Stage) -> None:
    order = stage.order("sell", "json-1", (70, 80), reserved_for=["startup"])
    content = msgspec.json.encode(order) + b"\n"
    answer = await send(stage.cast.provider, content, "application/x-ndjson")
    assert answer.json()["placed"] == 1
    alone = await stage.cast.provider.send("POST", "/v1/orders", json=order)
    assert alone.headers["Idempotent-Replayed"] == "true"
    bid = stage.order("buy", "json-2", (70, 80), vouchers="auto")
    content = msgspec.json.encode(bid)
    refused = problem(await send(stage.cast.provider, content, "application/x-ndjson"), 422)
    assert pointers(refused) == {"/lines/1/side"}


async def test_what_the_book_refuses_is_foreseen(stage: Stage) -> None:
    head = HEAD + ",post_only"
    bid = stage.order("buy", "wants-more", (100, 110), price_cny_per_gpu_hour="6.00")
    await stage.cast.buyer.post("/v1/orders", bid)
    body = "\n".join(
        [
            head,
            line(stage, "cross-1", window=(100, 110)) + ",true",
            line(stage, "cross-2", window=(200, 210)) + ",true",
            line(stage, "part-1", price="9.99") + ",false",
        ]
    )
    answer = problem(await send(stage.cast.provider, body), 422, "lines_refused")
    assert pointers(answer) == {"/lines/2/post_only", "/lines/4/client_order_id"}
    assert {fault["code"] for fault in answer["errors"]} <= set(FAULT_CODES)
    told = (await send(stage.cast.provider, body, partial="true")).json()
    assert (told["placed"], [each["line"] for each in told["problems"]]) == (1, [2, 4])
    assert [each["code"] for each in told["problems"]] == ["order_rejected", "client_order_id_reused"]


async def test_a_file_sells_at_once_where_a_bid_waits(stage: Stage) -> None:
    bid = stage.order("buy", "wants-now", (300, 310), price_cny_per_gpu_hour="6.00")
    await stage.cast.buyer.post("/v1/orders", bid)
    told = (await send(stage.cast.provider, f"{HEAD}\n{line(stage, 'sells-1', window=(300, 310))}")).json()
    assert told["placed"] == 1
    [order] = await listed(stage, "sells-")
    assert order["filled_gpu_hours"] == 20


@pytest.mark.parametrize(
    "body,media_type,status,code",
    [
        ("", "text/csv", 422, "lines_refused"),
        (HEAD, "text/csv", 422, "lines_refused"),
        ("a,b\n1,2", "text/csv", 422, "invalid_body"),
        ("{}", "application/json", 415, "unsupported_media_type"),
        (b"x" * (32 * 1024 * 1024 + 1), "text/csv", 413, "body_too_large"),
        ("7\n" * (LINES_MAX + 1), "application/x-ndjson", 400, "too_many_lines"),
        ("7\n" * 2_000, "application/x-ndjson", 422, "lines_refused"),
    ],
)
async def test_what_is_no_file_of_capacity_is_refused(
    stage: Stage, body: str | bytes, media_type: str, status: int, code: str
) -> None:
    problem(await send(stage.cast.provider, body, media_type), status, code)


async def test_only_who_lists_capacity_may(stage: Stage) -> None:
    problem(await send(stage.cast.buyer, f"{HEAD}\n{line(stage, 'no-1')}"), 403, "forbidden")
    told = problem(await send(stage.operator, f"{HEAD}\n{line(stage, 'no-1')}"), 422, "lines_refused")
    assert [fault["code"] for fault in told["errors"]] == ["wrong_role"]


async def test_it_counts_as_many_orders_as_it_has_lines(database_url: str, tmp_path: Any) -> None:
    async with staged(database_url, tmp_path / "data", rate_key=(30, 60), rate_participant=None) as stage:
        body = "\n".join([HEAD, *(line(stage, f"rate-{n}") for n in range(40))])
        answer = await send(stage.strangers.provider, body)
        problem(answer, 429, "rate_limited")
        few = "\n".join([HEAD, *(line(stage, f"rate-{n}") for n in range(20))])
        assert (await send(stage.strangers.provider, few)).json()["placed"] == 20


async def test_so_many_files_are_read_at_a_time_and_one_that_breaks_off_is_none(stage: Stage) -> None:
    held = asyncio.Event()
    text = f"{HEAD}\n{line(stage, 'slow-1')}\n"

    async def slowly() -> AsyncIterator[bytes]:
        yield text.encode()
        await held.wait()

    def start() -> asyncio.Task[httpx.Response]:
        headers = {"Authorization": f"Bearer {stage.cast.provider.key}", "Content-Type": "text/csv"}
        return asyncio.create_task(stage.house.http.post(PATH, content=slowly(), headers=headers))

    capacity = stage.house.app.state.capacity
    waiting = [start() for _ in range(FILES_MAX)]

    async def files_now() -> int:
        files: int = capacity._files
        return files

    await eventually(files_now, lambda files: files == FILES_MAX)
    answer = await send(stage.cast.provider, text)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "5"
    waiting[0].cancel()
    await eventually(files_now, lambda files: files < FILES_MAX)
    assert await listed(stage, "slow-") == []
    held.set()
    told = [answer.json() for answer in await asyncio.gather(*waiting[1:])]
    assert sum(each["placed"] for each in told) == 1
    assert sum(each["replayed"] for each in told) == FILES_MAX - 2
