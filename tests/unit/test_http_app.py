"""Goal: what holds for every answer of the application: keys, problems, limits, headers, documentation.

Method: a small application built as the real one is, asked over ASGI; the OpenAPI description read as a
client would.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote_from_bytes

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Controller, MediaType, Response, WebSocket, get, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient

from exchange.kit.auth import Authenticator, Principal, Scope, StoredKey, new_key
from exchange.kit.database import ConnectionLost
from exchange.kit.error_codes import ERROR_CODES
from exchange.kit.errors import Conflict, NotFound
from exchange.kit.fields import CnyText, NameText
from exchange.kit.http_app import BODY_BYTES_MAX, IMPORT_BYTES_MAX, build_app
from exchange.kit.http_auth import declared_access, public, requires
from exchange.kit.http_pages import Limit, Page
from exchange.kit.http_request import ApiRequest

SECRET_DETAIL = "the wine is in the cellar"  # noqa: S105  (stands for what must not leak)


class Thing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body."""

    name: NameText
    price_cny: CnyText
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class ListThings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query."""

    limit: Limit = 10


class ThingsController(Controller):
    """Routes of every kind."""

    path = "/v1/things"
    tags = ("Things",)
    opt = requires(Scope.READ)

    @post("", opt=requires(Scope.TRADE, Scope.LIST_CAPACITY))
    async def create(self, data: JSONBody[Thing]) -> Thing:
        """Take a thing."""
        return data

    @post("/judged", opt=requires(Scope.TRADE, keep_faults=True))
    async def judge(self, request: ApiRequest, data: JSONBody[Thing]) -> Thing:
        """Take a thing after checks of its own."""
        if data.name == "nobody":
            request.faults.add("/name", "not_one_of", "must be somebody", data.name)
        request.faults.raise_if_any()
        return data

    @get("", opt=requires(Scope.READ, query=ListThings))
    async def list_things(self, request: ApiRequest) -> Page[str]:
        """List things."""
        return Page([request.principal.name] * request.query(ListThings).limit)

    @get("/undeclared")
    async def undeclared(self, request: ApiRequest) -> Page[str]:
        """Read a query without declaring it."""
        return Page([str(request.query(ListThings).limit)])

    @get("/{thing:str}")
    async def read(self, thing: FromPath[str]) -> Thing:
        """Fail in the way that the path says."""
        failures = {
            "conflict": Conflict(detail="the thing is taken", retryable=True),
            "lost": ConnectionLost("x", outcome="unknown"),
            "broken": RuntimeError(SECRET_DETAIL),
        }
        raise failures.get(thing, NotFound(detail="no such thing"))

    @post("/import", opt=requires(Scope.TRADE), request_max_body_size=IMPORT_BYTES_MAX)
    async def import_things(self, request: ApiRequest) -> Page[int]:
        """Count the bytes of a large body as they come."""
        return Page([sum([len(chunk) async for chunk in request.stream()])])

    @post("/once", opt=requires(Scope.TRADE))
    async def once(self, request: ApiRequest, data: JSONBody[Thing]) -> Any:
        """Show the key and the fingerprint of a request."""
        del data
        shown = json.dumps([request.idempotency_key(), (await request.fingerprint()).hex()]).encode()
        return Response(shown, media_type=MediaType.JSON)


@websocket("/v1/socket", opt=requires(Scope.READ))
async def greet(socket: WebSocket[Any, Any, Any]) -> None:
    """Say who is there."""
    await socket.accept()
    await socket.send_text(socket.scope["user"].name)
    await socket.close()


@get("/open", opt=public(), sync_to_thread=False)
def open_to_all() -> Page[int]:
    """Answer anyone."""
    return Page([])


KEYS = {scope: new_key() for scope in Scope}


async def load(key_id: int) -> StoredKey | None:
    for scope, key in KEYS.items():
        if key.key_id == key_id:
            principal = Principal(
                key_id=key_id,
                participant_id=7,
                kind="buyer",
                name="Acme",
                trade_group_id=None,
                scopes=frozenset({scope}),
            )
            return StoredKey(principal=principal, secret_sha256=key.secret_sha256)
    return None


async def ready() -> bool:
    return READY[0]


READY = [True]


def build(*controllers: Any) -> Any:
    return build_app(controllers, authenticator=Authenticator(load), is_ready=ready, echo_type=Thing)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    with TestClient(
        build(ThingsController, greet, open_to_all), raise_server_exceptions=False
    ) as test_client:
        yield test_client


def bearer(scope: Scope = Scope.TRADE) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[scope].text}"}


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a whole problem of this code, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) == {
        *("type", "title", "status", "detail", "instance", "code"),
        *("request_id", "outcome", "retryable", "errors"),
    }
    assert body["type"] == f"/problems/{code}"
    assert body["code"] == code
    assert code in ERROR_CODES
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["detail"]
    return body


GOOD = {"name": "a", "price_cny": "1.00"}


def test_a_right_request_is_answered(client: TestClient[Any]) -> None:
    answer = client.post("/v1/things", json=GOOD, headers=bearer())
    assert (answer.status_code, answer.json()) == (201, {**GOOD, "count": 1})
    assert client.get("/v1/things?limit=2", headers=bearer(Scope.READ)).json() == {
        "data": ["Acme", "Acme"],
        "next_cursor": None,
    }


def test_every_answer_carries_the_same_headers(client: TestClient[Any]) -> None:
    for path in ("/open", "/nowhere", "/v1/things", "/schema", "/problems"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert re.fullmatch("req_[0-9a-f]{20}", headers["x-request-id"])
    assert client.get("/open").headers["x-request-id"] != client.get("/open").headers["x-request-id"]


@pytest.mark.parametrize(
    "sent,kept", [("a-1.b_C", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("<", False)]
)
def test_a_harmless_request_id_is_kept(client: TestClient[Any], sent: str, *, kept: bool) -> None:
    answer = client.get("/nowhere", headers={"X-Request-Id": sent})
    assert (problem(answer, 404, "not_found")["request_id"] == sent) is kept


def test_without_a_key_nobody_gets_in(client: TestClient[Any]) -> None:
    for headers in ({}, {"Authorization": "Bearer cx_x_y"}, {"Authorization": "Basic eDp5"}):
        answer = client.post("/v1/things", content=b"not even json", headers=headers)
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_any_of_the_scopes_opens_a_route_and_others_do_not(client: TestClient[Any]) -> None:
    for scope in Scope:
        answer = client.post("/v1/things", json=GOOD, headers=bearer(scope))
        if scope in {Scope.TRADE, Scope.LIST_CAPACITY}:
            assert answer.status_code == 201
        else:
            assert "list_capacity or trade" in problem(answer, 403, "forbidden")["detail"]


def test_a_socket_needs_a_key_too(client: TestClient[Any]) -> None:
    with client.websocket_connect("/v1/socket", headers=bearer(Scope.READ)) as socket:
        assert socket.receive_text() == "Acme"
    for headers, code in (({}, 4401), (bearer(Scope.TRADE), 4403)):
        with (
            pytest.raises(WebSocketDisconnect) as caught,
            client.websocket_connect("/v1/socket", headers=headers),
        ):
            pass
        assert caught.value.code == code


def test_a_route_that_declares_nothing_stops_the_application() -> None:
    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> None:
        pass

    with pytest.raises(TypeError, match="GET /forgotten"):
        build(forgotten)
    with pytest.raises(TypeError, match="public"):
        requires()


def test_declarations_can_be_listed() -> None:
    access = {
        (entry.method, entry.path): entry.scopes for entry in declared_access(build(ThingsController, greet))
    }
    assert access["POST", "/v1/things"] == frozenset({Scope.TRADE, Scope.LIST_CAPACITY})
    assert access["GET", "/v1/things/{thing:str}"] == frozenset({Scope.READ})
    assert access["WEBSOCKET", "/v1/socket"] == frozenset({Scope.READ})
    assert access["GET", "/healthz"] == frozenset()
    assert None not in access.values()


def test_unknown_paths_and_methods_are_problems(client: TestClient[Any]) -> None:
    problem(client.get("/nowhere"), 404, "not_found")
    problem(client.get("/schema/nowhere"), 404, "not_found")
    problem(client.get("/static/nowhere.js"), 404, "not_found")
    answer = client.delete("/v1/things", headers=bearer())
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}


def test_static_files_do_not_lead_elsewhere(client: TestClient[Any]) -> None:
    for path in (
        "/static/../http_app.py",
        "/static/%2e%2e/http_app.py",
        "/static/..%2fhttp_app.py",
        "/static//etc/passwd",
    ):
        problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_another_content_type_is_refused(client: TestClient[Any], content_type: str) -> None:
    answer = client.post(
        "/v1/things", content=json.dumps(GOOD), headers={**bearer(), "Content-Type": content_type}
    )
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"]
)
def test_json_content_types_are_taken(client: TestClient[Any], content_type: str) -> None:
    answer = client.post(
        "/v1/things", content=json.dumps(GOOD), headers={**bearer(), "Content-Type": content_type}
    )
    assert answer.status_code == 201


def test_large_bodies_are_refused_with_and_without_announced_length(client: TestClient[Any]) -> None:
    large = b" " * BODY_BYTES_MAX
    fits = large[: -len(json.dumps(GOOD))] + json.dumps(GOOD).encode()
    assert client.post("/v1/things", content=fits, headers=bearer()).status_code == 201
    for content in (large + b" ", iter([large, b" "])):
        answer = client.post("/v1/things", content=content, headers=bearer())
        assert str(BODY_BYTES_MAX) in problem(answer, 413, "body_too_large")["detail"]
    assert client.post("/v1/things/import", content=large * 2, headers=bearer()).json()["data"] == [
        2 * BODY_BYTES_MAX
    ]
    problem(
        client.post("/v1/things/import", content=b" " * (IMPORT_BYTES_MAX + 1), headers=bearer()),
        413,
        "body_too_large",
    )


def test_an_empty_body_says_so(client: TestClient[Any]) -> None:
    assert "empty" in problem(client.post("/v1/things", headers=bearer()), 400, "not_json")["detail"]


def test_faults_of_the_body_and_of_the_handler_come_together(client: TestClient[Any]) -> None:
    body = {"name": "nobody", "price_cny": 5, "extra": 1}
    answer = client.post("/v1/things/judged", json=body, headers=bearer())
    pointers = [fault["pointer"] for fault in problem(answer, 422, "invalid_body")["errors"]]
    assert pointers == ["/price_cny", "/extra", "/name"]
    problem(
        client.post("/v1/things/judged", json={**GOOD, "name": "nobody"}, headers=bearer()),
        422,
        "invalid_body",
    )
    assert client.post("/v1/things/judged", json=GOOD, headers=bearer()).status_code == 201


def test_a_query_is_checked_and_must_be_declared(client: TestClient[Any]) -> None:
    answer = client.get("/v1/things?limit=0&x=1", headers=bearer(Scope.READ))
    assert [fault["pointer"] for fault in problem(answer, 422, "invalid_query")["errors"]] == ["?limit", "?x"]
    problem(client.get("/v1/things/undeclared", headers=bearer(Scope.READ)), 500, "internal_error")


def test_refusals_keep_their_outcome(client: TestClient[Any]) -> None:
    conflict = problem(client.get("/v1/things/conflict", headers=bearer(Scope.READ)), 409, "state_conflict")
    assert (conflict["outcome"], conflict["retryable"]) == ("not_applied", True)
    lost = problem(client.get("/v1/things/lost", headers=bearer(Scope.READ)), 503, "unavailable")
    assert (lost["outcome"], lost["retryable"]) == ("unknown", True)


def test_a_fault_of_ours_is_logged_and_not_told(
    client: TestClient[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="exchange.http"):
        answer = client.get("/v1/things/broken", headers=bearer(Scope.READ))
    body = problem(answer, 500, "internal_error")
    assert SECRET_DETAIL not in answer.text
    assert body["outcome"] == "unknown"
    assert SECRET_DETAIL in caplog.text
    assert body["request_id"] in caplog.text


def test_idempotency_keys_are_read_and_requests_told_apart(client: TestClient[Any]) -> None:
    def once(key: str | None, body: dict[str, Any] = GOOD) -> Any:
        extra = {} if key is None else {"Idempotency-Key": key}
        return client.post("/v1/things/once", json=body, headers={**bearer(), **extra})

    first, again, other = once("k-1"), once("k-1"), once("k-1", {**GOOD, "count": 2})
    assert first.json() == again.json()
    assert first.json()[0] == other.json()[0] == "k-1"
    assert first.json()[1] != other.json()[1]
    problem(once(None), 400, "idempotency_key_missing")
    for unfit in ("", "a b", "x" * 201):
        problem(once(unfit), 400, "invalid_header")


def test_readiness_follows_the_service(client: TestClient[Any]) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    READY[0] = False
    try:
        problem(client.get("/readyz"), 503, "not_ready")
        assert client.get("/healthz").status_code == 200
    finally:
        READY[0] = True


def test_every_code_has_a_page(client: TestClient[Any]) -> None:
    listed = {entry["code"]: entry["meaning"] for entry in client.get("/problems").json()["data"]}
    assert listed == ERROR_CODES
    for code, meaning in listed.items():
        assert client.get(f"/problems/{code}").json() == {"code": code, "meaning": meaning}
    problem(client.get("/problems/no_such_code"), 404, "not_found")


def test_the_api_page_loads_nothing_from_elsewhere(client: TestClient[Any]) -> None:
    page = client.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?:|//[a-z]", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*", policy)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert client.get(path).status_code == 200, path
    script = client.get("/static/openapi-page.js")
    assert not re.search(r"https?:", script.text)
    assert script.headers["cache-control"] == "max-age=3600, public"


def test_the_description_holds_what_the_routes_declare(client: TestClient[Any]) -> None:
    document = client.get("/schema/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    create = document["paths"]["/v1/things"]["post"]
    assert create["security"] == [{"bearer": []}]
    assert "`list_capacity` or `trade`" in create["description"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Thing"
    }
    assert list(create["responses"]["default"]["content"]) == ["application/problem+json"]
    thing = document["components"]["schemas"]["Thing"]
    assert thing["additionalProperties"] is False
    assert thing["required"] == ["name", "price_cny"]
    assert (thing["properties"]["count"]["minimum"], thing["properties"]["count"]["maximum"]) == (1, 9)
    (limit,) = document["paths"]["/v1/things"]["get"]["parameters"]
    assert (limit["name"], limit["in"], limit["required"]) == ("limit", "query", False)
    assert limit["schema"]["maximum"] == 1000
    assert document["paths"]["/open"]["get"]["security"] == []
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    path=st.sampled_from(
        ["v1/things", "v1/things/", "v1/things/once", "v1/bench/echo", "problems/", "schema"]
    )
    | st.binary(max_size=20).map(quote_from_bytes),
    query=st.binary(max_size=20).map(quote_from_bytes),
    content=st.binary(max_size=40),
)
def test_no_request_makes_the_exchange_fail(
    client: TestClient[Any], method: str, path: str, query: str, content: bytes
) -> None:
    answer = client.request(method, f"/{path}?{query}", content=content, headers=bearer())
    assert answer.status_code < 500
    if answer.status_code >= 400 and method != "HEAD":
        problem(answer, answer.status_code, answer.json()["code"])
