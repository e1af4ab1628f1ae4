"""Goal: orders over the stream are what they are over HTTP: the same judgement, the same words, once.

Method: a whole exchange behind a real server; each request is sent through both doors, by two participants
alike or by the same one twice, and what they answer is compared.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exchange.feed.stream_models import BATCH_BYTES_MAX
from exchange.kit.auth import Principal, Scope
from exchange.kit.http_limits import Limits, Rates
from matching.order import Side
from tests.streams import (
    DEADLINE_S,
    Server,
    ask,
    body_of,
    key_of,
    open_server,
    opened,
    receive,
    send,
    trading_key_of,
)


@pytest.fixture(scope="module")
async def server(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder: Path = tmp_path_factory.mktemp("stream_orders")
    async with open_server(module_database_url, folder) as running:
        yield running


@pytest.fixture
async def traders(server: Server) -> tuple[Principal, Principal]:
    return await server.world.traders(10_000_000)


def same_problem(told: Any, answered: Any) -> bool:
    """Whether a problem says the same over both doors, but for where and under which request."""
    own = {"instance", "request_id"}
    return {name: value for name, value in told.items() if name not in own} == {
        name: value for name, value in answered.items() if name not in own
    }


async def over_http(
    server: Server, key: str, method: str, path: str, body: object = None, once_key: str | None = None
) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    if once_key is not None:
        headers["Idempotency-Key"] = once_key
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if content is not None:
        headers["Content-Type"] = "application/json"
    return await server.http.request(method, path, content=content, headers=headers)


async def test_an_order_is_answered_as_over_http_and_is_the_same_order_there(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (provider, _) = server.world, traders
    key = await trading_key_of(world, provider)
    order = body_of(world.order(Side.SELL, world.product()))
    async with opened(server.url, key) as connection:
        told = await ask(connection, op="place", id="first", order=order)
        assert (told["event"], told["status"], told["replayed"]) == ("result", 201, False)
        assert told["order"]["sequence"] > 0
        read = await over_http(server, key, "GET", f"/v1/orders/{told['order']['id']}")
        assert told["order"] == read.json()
        again = await ask(connection, op="place", id="second", order=order)
        assert (again["status"], again["replayed"], again["order"]) == (201, True, told["order"])
        over = await over_http(server, key, "POST", "/v1/orders", order)
        assert (over.headers["idempotent-replayed"], over.json()) == ("true", told["order"])
        other = await ask(connection, op="place", id="third", order=order | {"quantity_gpus": 7})
        assert (other["status"], other["problem"]["code"]) == (422, "client_order_id_reused")


async def test_an_order_that_is_wrong_is_refused_in_the_same_words_with_every_fault(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (_, buyer) = server.world, traders
    key = await trading_key_of(world, buyer)
    good = body_of(world.order(Side.BUY, world.product()))
    wrong: list[dict[str, Any]] = [
        {},
        good | {"product": "nothing"},
        good | {"quantity_gpus": 0, "price_cny_per_gpu_hour": "1.234", "product": "nothing"},
        good | {"starts_at": good["ends_at"], "fill": "some", "weather": "fine"},
        good | {"side": "sell"},
        good | {"hours": 10**30, "vouchers": [1, "vch_x"]},
        good | {"min_hours": 2},
        good | {"price_cny_per_gpu_hour": "9999999.00"},
    ]
    async with opened(server.url, key) as connection:
        for number, order in enumerate(wrong):
            told = await ask(connection, op="place", id=f"wrong-{number}", order=order)
            answer = await over_http(server, key, "POST", "/v1/orders", order)
            assert told["status"] == answer.status_code >= 400
            assert same_problem(told["problem"], answer.json()), (told, answer.json())
        twice = json.dumps(good)[:-1] + ',"side":"buy"}'
        await connection.send(f'{{"op":"place","id":"twice","order":{twice}}}')
        told = await receive(connection)
        answer = await over_http(server, key, "POST", "/v1/orders", twice.encode())
        assert same_problem(told["problem"], answer.json())
        around = await ask(connection, op="place", id="around", order={"product": "nothing"}, more=1)
        pointers = {fault["pointer"] for fault in around["problem"]["errors"]}
        assert {"/more", "/product", "/client_order_id"} <= pointers
        no_object = await ask(connection, op="place", id="none", order=[1])
        assert [each["pointer"] for each in no_object["problem"]["errors"]] == ["/order"]
        await send(connection, op="place", id="bad id!", order=good)
        nameless = await receive(connection)
        assert "id" not in nameless
        assert [each["pointer"] for each in nameless["problem"]["errors"]] == ["/id"]


async def test_amendments_are_one_through_both_doors(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (provider, _) = server.world, traders
    key = await trading_key_of(world, provider)
    order = await world.ask(provider, world.product(), quantity_gpus=8)
    changes = '{"quantity_gpus": 6}'
    async with opened(server.url, key) as connection:
        message = (
            f'{{"op":"amend","id":"a1","order_id":"{order.id}","changes":{changes},"idempotency_key":"k-1"}}'
        )
        await connection.send(message)
        told = await receive(connection)
        assert (told["status"], told["replayed"], told["order"]["priority"]) == (200, False, "kept")
        again = await over_http(server, key, "PATCH", f"/v1/orders/{order.id}", changes.encode(), "k-1")
        assert (again.headers["idempotent-replayed"], again.json()) == ("true", told["order"])
        asked: dict[str, Any] = {"op": "amend", "order_id": order.id}
        other = await ask(connection, **asked, id="a2", changes={"quantity_gpus": 5}, idempotency_key="k-1")
        assert other["problem"]["code"] == "idempotency_key_reused"
        lost = await ask(connection, **asked, id="a3", changes={"quantity_gpus": 9}, idempotency_key="k-2")
        assert (lost["order"]["priority"], lost["order"]["replaces"]) == ("lost", order.id)
        for number, wish in enumerate(({}, {"quantity_gpus": -1, "starts_at": "x", "colour": 1})):
            told = await ask(
                connection, **asked, id=f"w{number}", changes=wish, idempotency_key=f"w-{number}"
            )
            path = f"/v1/orders/{order.id}"
            answer = await over_http(server, key, "PATCH", path, wish, f"v-{number}")
            assert same_problem(told["problem"], answer.json())
        for bad in ("ord_0000000000000", "trd_0000000000005", order.id[:-1] + "!"):
            gone = await ask(connection, op="amend", id="w", order_id=bad, changes={}, idempotency_key="x")
            assert (gone["status"], gone["problem"]["code"]) == (404, "not_found")
        empty = await ask(connection, **asked, id="w", changes={})
        named = {(fault["pointer"], fault["code"]) for fault in empty["problem"]["errors"]}
        assert named == {("/idempotency_key", "required"), ("", "required")}


async def test_a_batch_has_the_outcomes_that_it_has_over_http(server: Server) -> None:
    world = server.world
    answers = []
    for door in ("stream", "http"):
        provider, _ = await world.traders(1)
        key = await trading_key_of(world, provider)
        good = body_of(world.order(Side.SELL, world.product()))
        orders: list[Any] = [
            good | {"client_order_id": "one"},
            good | {"client_order_id": "two", "quantity_gpus": 0},
            7,
            good | {"client_order_id": "one"},
            good | {"client_order_id": "three", "side": "buy"},
        ]
        if door == "stream":
            async with opened(server.url, key) as connection:
                told = await ask(connection, op="place_batch", id="b", orders=orders)
                answers.append(told["outcomes"])
                for wrong in ([], [good] * 1001, {"a": 1}):
                    refused = await ask(connection, op="place_batch", id="b", orders=wrong)
                    answer = await over_http(server, key, "POST", "/v1/orders/batch", {"orders": wrong})
                    assert same_problem(refused["problem"], answer.json())
        else:
            answers.append(
                (await over_http(server, key, "POST", "/v1/orders/batch", {"orders": orders})).json()["data"]
            )
    both: list[list[Any]] = []
    for outcomes in answers:
        seen = [
            (each["status"], each["replayed"], each["client_order_id"], (each["order"] or {}).get("status"))
            for each in outcomes
        ]
        both.append([*seen, *((each["problem"] or {}).get("errors") for each in outcomes)])
    assert both[0] == both[1]
    assert [each["status"] for each in answers[0]] == [201, 422, 422, 201, 403]


async def test_a_batch_may_be_longer_than_other_messages(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (provider, _) = server.world, traders
    key = await trading_key_of(world, provider)
    good = body_of(world.order(Side.SELL, world.product(), window=(100, 101)))
    orders = [good | {"client_order_id": f"many-{number}"} for number in range(1000)]
    async with opened(server.url, key) as connection:
        told = await ask(connection, op="place_batch", id="b", orders=orders)
        assert [each["status"] for each in told["outcomes"]] == [201] * 1000
        gone = await ask(connection, op="cancel_all", id="c")
        assert len(gone["withdrawn"]) == 1000
        await connection.send('{"op":"place_batch","id":"b","orders":[' + " " * BATCH_BYTES_MAX + "]}")
        assert (await receive(connection))["problem"]["code"] == "body_too_large"


async def test_cancels_and_switches_are_answered_as_over_http(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (provider, _) = server.world, traders
    key = await trading_key_of(world, provider)
    products = [world.product(), world.product(domestic=True)]
    orders = [await world.ask(provider, product) for product in products * 2]
    async with opened(server.url, key) as connection:
        told = await ask(connection, op="cancel", id="c1", order_id=orders[0].id)
        assert (told["status"], told["order"]["status"]) == (200, "cancelled")
        again = await ask(connection, op="cancel", id="c2", order_id=orders[0].id)
        answer = await over_http(server, key, "DELETE", f"/v1/orders/{orders[0].id}")
        assert same_problem(again["problem"], answer.json())
        nothing = await ask(connection, op="cancel", id="c3", order_id="ord_0000000000005")
        assert nothing["status"] == 404
        some = await ask(connection, op="cancel_all", id="c4", product=products[1], side="sell")
        assert {each["id"] for each in some["withdrawn"]} == {orders[1].id, orders[3].id}
        rest = await ask(connection, op="cancel_all", id="c5")
        assert [each["id"] for each in rest["withdrawn"]] == [orders[2].id]
        unknown = await ask(connection, op="cancel_all", id="c6", product="nothing")
        [fault] = unknown["problem"]["errors"]
        assert (unknown["status"], fault["pointer"], fault["code"]) == (422, "/product", "unknown_product")
        wrong = await ask(connection, op="cancel_all", id="c6", product="nothing", side="up", x=1)
        named = {(fault["pointer"], fault["code"]) for fault in wrong["problem"]["errors"]}
        assert named == {
            *(("/product", "unknown_product"), ("/side", "not_one_of"), ("/x", "unknown_field")),
        }
        switch = await ask(connection, op="cancel_all_after", id="c7", timeout_s=3600)
        assert switch["switch"]["cancels_at"] is not None
        off = await ask(connection, op="cancel_all_after", id="c8", timeout_s=0)
        assert off["switch"] == {"timeout_s": 0, "cancels_at": None}


async def test_who_may_not_is_told_so_and_goes_on(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (provider, buyer) = server.world, traders
    order = body_of(world.order(Side.SELL, world.product()))
    foreign = await world.bid(buyer, world.product(), price=1)
    async with opened(server.url) as connection:
        told = await ask(connection, op="place", id="p", order=order)
        assert (told["event"], told["problem"]["code"]) == ("error", "unauthenticated")
        told = await ask(connection, op="cancel_on_disconnect", id="q", enabled=True)
        assert told["problem"]["code"] == "unauthenticated"
    async with opened(server.url, await key_of(world, provider, Scope.READ)) as connection:
        for number, op in enumerate(
            ("place", "place_batch", "amend", "cancel", "cancel_all", "cancel_all_after")
        ):
            told = await ask(connection, op=op, id=f"p-{number}")
            assert (told["status"], told["problem"]["code"]) == (403, "forbidden"), op
        told = await ask(connection, op="cancel_on_disconnect", id="q", enabled=True)
        assert told["problem"]["code"] == "forbidden"
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        told = await ask(connection, op="cancel", id="c", order_id=foreign.id)
        assert (told["status"], told["problem"]["code"]) == (404, "not_found")


async def test_limits_are_those_of_the_key_and_told_in_the_answer(
    server: Server, traders: tuple[Principal, Principal], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, (provider, _) = server.world, traders
    rates = Rates(key=(5, 3600), cancels=(2, 3600))
    monkeypatch.setattr(world.exchange.watched.limits, "__dict__", Limits(rates).__dict__)
    order = body_of(world.order(Side.SELL, world.product()))
    async with opened(server.url, await trading_key_of(world, provider)) as connection:
        told = await ask(connection, op="place", id="1", order=order)
        assert told["rate_limit_policy"] == '"key";q=5;w=3600'
        assert told["rate_limit"].startswith('"key";r=4;t=')
        many = await ask(connection, op="place_batch", id="2", orders=[order] * 5)
        assert (many["status"], many["problem"]["code"]) == (429, "rate_limited")
        assert many["retry_after_s"] > 0
        for number in range(3):
            await ask(connection, op="ping", id=f"ping-{number}")
        spent = await ask(connection, op="place", id="3", order=order)
        assert (spent["status"], spent["problem"]["retryable"]) == (429, True)
        gone = await ask(connection, op="cancel_all", id="4")
        assert [each["client_order_id"] for each in gone["withdrawn"]] == [order["client_order_id"]]
        assert gone["rate_limit_policy"] == '"key-cancels";q=2;w=3600, "participant-cancels";q=4;w=3600'


async def test_a_cancel_has_its_effect_before_the_order_that_was_sent_behind_it(server: Server) -> None:
    world = server.world
    product, price = world.product(), 200  # in the collar, and below what anyone asks for
    _, buyer = await world.traders(4 * price)  # for one GPU over four hours, and no more
    key = await trading_key_of(world, buyer)
    async with opened(server.url, key) as connection:
        first = body_of(world.order(Side.BUY, product, price=price))
        live = (await ask(connection, op="place", id="p", order=first))["order"]
        for number in range(20):
            order = body_of(world.order(Side.BUY, product, price=price))
            await send(connection, op="cancel", id=f"c-{number}", order_id=live["id"])
            placed = await ask(connection, op="place", id=f"p-{number}", order=order)
            assert placed["status"] == 201, placed
            live = placed["order"]
    await world.exchange.orders.cancel_all(buyer)


async def test_five_hundred_orders_at_once_are_all_answered_in_the_order_of_their_commits(
    server: Server, traders: tuple[Principal, Principal]
) -> None:
    world, (provider, _) = server.world, traders
    key = await trading_key_of(world, provider)
    async with opened(server.url, key) as connection:
        await send(connection, op="subscribe", channels=["orders"])
        await receive(connection)
        for number in range(500):
            order = body_of(world.order(Side.SELL, world.product(), window=(200, 201)))
            await send(connection, op="place", id=f"n-{number}", order=order)
        results: list[Any] = []
        events: list[Any] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(results) < 500 or len(events) < 1000:
                told = await receive(connection)
                if told["event"] == "result":
                    results.append(told)
                else:
                    events += told["orders"]
    assert [each["id"] for each in results] == [f"n-{number}" for number in range(500)]
    sequences = [each["order"]["sequence"] for each in results]
    assert sequences == sorted(set(sequences))
    assert [(each["order_id"], each["sequence"]) for each in events if each["kind"] == "accepted"] == [
        (each["order"]["id"], each["order"]["sequence"]) for each in results
    ]
    assert len(await world.exchange.orders.cancel_all(provider)) == 500


async def test_what_is_no_request_is_answered_with_its_fault(server: Server) -> None:
    async with opened(server.url) as connection:
        for text, pointer, code in (
            ('{"op":"sell"}', "/op", "not_one_of"),
            ('{"op":7}', "/op", "not_one_of"),
            ('{"id":"x"}', "/op", "required"),
            ("[]", "", "wrong_type"),
            ('{"op":"ping","colour":1}', "/colour", "unknown_field"),
            ('{"op":"heartbeat","interval_s":3}', "/interval_s", "out_of_range"),
            ('{"op":"heartbeat","interval_s":61}', "/interval_s", "out_of_range"),
            ('{"op":"resync","channels":[],"after":{"1":2}}', "/channels", "too_short"),
            ('{"op":"subscribe","channels":["orders"],"after":{"999":2}}', "/channels/0", "key_needed"),
            ('{"op":"subscribe","channels":[],"after":{"a":2}}', "/after/a", "pattern"),
        ):
            await connection.send(text)
            told = await receive(connection)
            first = told["problem"]["errors"][0]
            assert (told["event"], first["pointer"], first["code"]) == ("error", pointer, code), text
        unreadable: list[str | bytes] = ["", "{", '{"op":"place","id":', b"\x00\xd8"]
        for message in unreadable:
            await connection.send(message)
            assert (await receive(connection))["problem"]["code"] == "not_json"
        assert (await ask(connection, op="ping", id="still-here"))["event"] == "pong"
