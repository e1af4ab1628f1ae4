"""Goal: nobody gets through a door that is not theirs, and no refusal tells what is behind it.

Method: over a real socket, every route that the application declares, tried without a key and with unfit,
unknown, revoked or expired ones (with each of them in the long run), and with keys of each wrong scope; every
row stays as it was. Strangers whose key opens the door are in test_access_matrix.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import websockets

from exchange.feed import routes as feed_routes
from exchange.kit.auth import Scope
from exchange.kit.clock import format_rfc3339, wall_now_us
from exchange.kit.database import from_us
from exchange.kit.http_auth import RouteAccess, declared_access
from exchange.kit.ids import decode_id
from tests.e2e.access_places import UNKNOWN, kept_rows
from tests.e2e.document import path_of
from tests.e2e.good_bodies import BODIES, good, route_of
from tests.e2e.served import Caller, eventually, problem, refused_handshake
from tests.e2e.stage import Stage, staged
from tests.hypothesis_profiles import is_long

PUBLIC = {
    *("/healthz", "/readyz", "/problems", "/problems/{code}", "/static/{file_path}", "/schema"),
    *("/schema/openapi.json", "/schema/{path}", "/v1/products/{product_id}", "/v1/accelerators", "/v1/hubs"),
    *("/v1/interconnects", "/v1/products", "/v1/market", "/v1/market/{product}/calendar"),
    *("/v1/market/{product}/depth", "/v1/market/{product}/ticker", "/v1/market/{product}/trades"),
    *("/v1/market/calendar", "/v1/market/{product}/candles", "/v1/market/indices"),
    *("/v1/market/indices/{index}", "/v1/stream", "/v1/time"),
    *("/v1/checkpoints/latest", "/v1/checkpoints/consistency"),
    *("/v1/session", "/", "/console", "/console/{file_path}"),
}
"""The routes meant to be open; any other that opens itself fails a test."""
IN_EVERY_WAY = {"GET /v1/orders", "POST /v1/orders", "DELETE /v1/orders", "POST /v1/withdrawals"}
"""Routes that are tried with every bad key, and not only in the long run."""


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("access")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def bodies(stage: Stage) -> dict[str, dict[str, Any]]:
    return {route_of(name): (await good(stage, name)).body for name in BODIES}


def closed_routes(stage: Stage) -> Iterator[tuple[RouteAccess, str]]:
    """Yield each route that needs a key, and an address of it at which there is something."""
    for route in declared_access(stage.house.app):
        if route.scopes:
            yield route, path_of(route).format(**stage.ids)


async def send(
    caller: Caller, route: RouteAccess, path: str, bodies: dict[str, dict[str, Any]]
) -> httpx.Response:
    return await caller.send(route.method, path, json=bodies.get(f"{route.method} {path_of(route)}"))


def without_request(answer: httpx.Response) -> str:
    """Return a problem without what tells requests apart."""
    return json.dumps(answer.json() | {"request_id": "", "instance": ""})


def test_only_what_is_meant_to_be_open_is_open(stage: Stage) -> None:
    routes = list(declared_access(stage.house.app))
    public = [route for route in routes if not route.scopes]
    assert {path_of(route) for route in public} == PUBLIC
    changing = {path_of(each) for each in public if each.method not in {"GET", "HEAD", "WEBSOCKET"}}
    assert changing == {"/v1/session"}  # to log in
    assert len([route for route in routes if route.scopes]) > 30


async def test_without_a_good_key_every_door_is_shut_alike(
    stage: Stage, bodies: dict[str, dict[str, Any]]
) -> None:
    buyer = stage.cast.buyer
    issued = await stage.operator.key_of(buyer.id, ["read", "trade"])
    revoked = buyer.with_key(issued["secret"])
    await revoked.get("/v1/orders")
    assert (await stage.operator.send("DELETE", f"/v1/keys/{issued['id']}")).status_code == 204
    until = format_rfc3339(wall_now_us() + 3_600_000_000)
    ends = await stage.operator.key_of(buyer.id, ["read"], expires_at=until)
    expired = buyer.with_key(ends["secret"])
    async with stage.house.exchange.database.transaction() as connection:  # its hour has passed
        await connection.execute(
            "UPDATE api_key SET expires_at = $2 WHERE id = $1",
            decode_id("key", ends["id"]),
            from_us(wall_now_us()),
        )
    await eventually(lambda: expired.send("GET", "/v1/orders"), lambda answer: answer.status_code == 401)
    elsewhere = await stage.operator.key_of(buyer.id, ["read"], allowed_networks=["192.0.2.0/24"])
    scheme, public, secret = buyer.key.split("_", 2)
    other_secret = stage.cast.provider.key.split("_", 2)[2]
    headers = [
        "",
        "Bearer",
        f"Basic {buyer.key}",
        f"Bearer {buyer.key}x",
        f"Bearer {buyer.key[:-1]}",
        f"Bearer {scheme}_{public}_{other_secret}",
        f"Bearer {scheme}_{UNKNOWN}_{secret}",
        f"Bearer cy_{public}_{secret}",
        f"Bearer {scheme}_{public.upper()}_{secret}",
        f"Bearer {'x' * 5_000}",
        "Bearer \xff\xc3",
        f"Bearer {revoked.key}",
        f"Bearer {expired.key}",
        f"Bearer {elsewhere['secret']}",
    ]
    before = await kept_rows(stage)
    for number, (route, path) in enumerate(closed_routes(stage)):
        told = set()
        # Each at every route in the long run, and at some routes always; at the others one after another.
        every = is_long() or f"{route.method} {path_of(route)}" in IN_EVERY_WAY
        for header in (None, *(headers if every else (headers[number % len(headers)],))):
            given = {} if header is None else {b"Authorization": header.encode("latin-1")}
            answer = await stage.house.http.request(
                route.method, path, headers=given, json=bodies.get(f"{route.method} {path_of(route)}")
            )
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
            told.add(without_request(answer))
        assert len(told) == 1, route
    assert await kept_rows(stage) == before


async def test_a_key_opens_what_its_scopes_say_and_nothing_else(
    stage: Stage, bodies: dict[str, dict[str, Any]]
) -> None:
    operator_id = (await stage.operator.get("/v1/participants/me"))["id"]
    callers = {
        scope: Caller(
            http=stage.house.http,
            id=operator_id,
            key=(await stage.operator.key_of(operator_id, [scope.value]))["secret"],
        )
        for scope in Scope
    }
    before = await kept_rows(stage)
    for route, path in closed_routes(stage):
        assert route.scopes
        for scope in set(Scope) - route.scopes:
            answer = await send(callers[scope], route, path, bodies)
            refused = problem(answer, 403, "forbidden")
            assert all(f"{needed}" in refused["detail"] for needed in route.scopes)
            for text in stage.ids.values():
                assert text not in json.dumps(refused | {"instance": ""})
    assert await kept_rows(stage) == before
    for route, path in closed_routes(stage):
        if route.method == "GET":
            for scope in route.scopes or ():
                answer = await callers[scope].send("GET", path)
                assert answer.status_code in {200, 404, 422}, f"{route} {scope}: {answer.text}"


async def test_nobody_acts_for_another(stage: Stage) -> None:
    before = await kept_rows(stage)
    cast, strangers, ids = stage.cast, stage.strangers, stage.ids
    for kind in ("provider", "buyer", "issuer", "regulator"):
        stranger = strangers.of(kind)
        key = {"scopes": ["read"], "participant_id": cast.buyer.id}
        problem(await stranger.send("POST", "/v1/keys", json=key), 404, "not_found")
        for scope in {each.value for each in Scope} - {"read"}:
            wider = await stranger.send("POST", "/v1/keys", json={"scopes": ["read", scope]})
            if wider.status_code == 201:
                before = await kept_rows(stage)  # a scope of its own, which it may pass on
            else:
                problem(wider, 422, "invalid_body")
    voucher = {"programme_id": ids["programme_id"], "buyer_id": cast.buyer.id, "amount_cny": "1.00"}
    # That the programme exists is no secret: anyone with a key may read it.
    problem(await strangers.issuer.send("POST", "/v1/vouchers", json=voucher), 403, "forbidden")
    voucher["programme_id"] = f"prg_{UNKNOWN}"
    problem(await strangers.issuer.send("POST", "/v1/vouchers", json=voucher), 404, "not_found")
    claim = {"programme_id": ids["programme_id"]}
    problem(await strangers.provider.send("POST", "/v1/claims", json=claim), 409, "nothing_to_claim")
    assert await kept_rows(stage) == before


async def test_a_key_that_reads_does_not_outgrow_itself(stage: Stage) -> None:
    buyer = stage.cast.buyer
    secret = (await buyer.post("/v1/keys", {"scopes": ["read"]}))["secret"]
    reader = buyer.with_key(secret)
    problem(await reader.send("POST", "/v1/keys", json={"scopes": ["trade"]}), 422, "invalid_body")
    problem(await reader.send("DELETE", f"/v1/keys/{stage.ids['key_id']}"), 403, "forbidden")
    problem(await reader.send("DELETE", f"/v1/orders/{stage.ids['order_id']}"), 403, "forbidden")
    await buyer.get("/v1/orders")
    listed = await stage.house.http.get("/v1/keys", headers={"Authorization": f"Bearer {secret}"})
    assert secret not in listed.text
    assert secret.split("_", 2)[2] not in listed.text


async def test_the_stream_takes_good_keys_and_none_but_no_bad_ones(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(stage.house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
    subscribe = json.dumps({"op": "subscribe", "channels": ["orders"]})
    async with websockets.connect(address) as anyone:
        await anyone.send(subscribe)
        assert "key_needed" in str(await anyone.recv())
    headers = {"Authorization": f"Bearer {stage.strangers.buyer.key}"}
    async with websockets.connect(address, additional_headers=headers) as stranger:
        await stranger.send(subscribe)
        assert stage.ids["order_id"] not in str(await stranger.recv())
    for header in ("Bearer rubbish", f"Bearer {stage.cast.buyer.key}x", ""):
        answer = await refused_handshake(address, {"Authorization": header})
        told = problem(answer, 401, "unauthenticated")
        assert told["instance"] == "/v1/stream"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
    told = problem(await refused_handshake(f"{address}?from=now"), 422, "invalid_query")
    assert [fault["pointer"] for fault in told["errors"]] == ["?from"]
    for elsewhere in ("strem", "orders"):
        problem(await refused_handshake(address.replace("stream", elsewhere), headers), 404, "not_found")
    # What anyone can send any number of is no fault.
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def test_a_fault_of_ours_refuses_a_handshake_and_tells_its_id_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("not to be told")

    monkeypatch.setattr(feed_routes, "principal_of", fail)
    address = str(stage.house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
    answer = await refused_handshake(address)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    assert "not to be told" not in answer.text
