"""Goal: what holds for every answer of the application: keys, problems, headers, documentation.

Method: a small application built as the real one is, asked over ASGI; the OpenAPI description read as a
client would.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import get
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient

from exchange.kit.auth import Scope
from exchange.kit.error_codes import ERROR_CODES
from exchange.kit.http_auth import declared_access, requires
from tests.things_app import (
    GOOD,
    READY,
    SECRET_DETAIL,
    ThingsController,
    bearer,
    build,
    greet,
    problem,
    served,
)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    with served() as client:
        yield client


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
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


def test_static_files_do_not_lead_elsewhere(client: TestClient[Any]) -> None:
    for path in (
        "/static/../http_app.py",
        "/static/%2e%2e/http_app.py",
        "/static/..%2fhttp_app.py",
        "/static//etc/passwd",
    ):
        problem(client.get(path), 404, "not_found")


def test_refusals_keep_their_outcome(client: TestClient[Any]) -> None:
    conflict = problem(client.get("/v1/things/conflict", headers=bearer(Scope.READ)), 409, "state_conflict")
    assert (conflict["outcome"], conflict["retryable"]) == ("not_applied", True)
    lost = problem(client.get("/v1/things/lost", headers=bearer(Scope.READ)), 503, "unavailable")
    assert (lost["outcome"], lost["retryable"]) == ("unknown", True)
    for held in ("held", "crossed"):
        refused = client.get(f"/v1/things/{held}", headers=bearer(Scope.READ))
        answer = problem(refused, 503, "contended")
        assert (answer["outcome"], answer["retryable"]) == ("not_applied", True)
        assert refused.headers.get_list("retry-after") == ["1"]


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


def test_readiness_follows_the_service(client: TestClient[Any]) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    READY[0] = False
    try:
        refused = client.get("/readyz")
        told = problem(refused, 503, "not_ready")
        assert refused.headers["retry-after"] == "1"
        assert told["detail"] == "partition 7: it is being rebuilt"
        assert client.get("/healthz").status_code == 200
    finally:
        READY[0] = True


def test_probes_may_ask_for_the_head_alone(client: TestClient[Any]) -> None:
    for path in ("/healthz", "/readyz"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        asked = client.get(path).headers
        for name in ("content-length", "content-type"):
            assert answer.headers[name] == asked[name], (path, name)
        assert set(client.options(path).headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    READY[0] = False
    try:
        answer = client.head("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.head("/healthz").status_code == 200
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
    assert "default" not in create["responses"]
    assert set(create["responses"]) == {
        *("201", "400", "401", "403", "409", "413", "415", "422", "429", "503"),
    }
    for status in set(create["responses"]) - {"201"}:
        name = create["responses"][status]["$ref"].rpartition("/")[2]
        refusal = document["components"]["responses"][name]
        assert list(refusal["content"]) == ["application/problem+json"]
        assert "X-Request-Id" in refusal["headers"]
        assert ("Retry-After" in refusal["headers"]) is (status in {"429", "503"})
    thing = document["components"]["schemas"]["Thing"]
    assert thing["additionalProperties"] is False
    assert thing["required"] == ["name", "price_cny"]
    assert (thing["properties"]["count"]["minimum"], thing["properties"]["count"]["maximum"]) == (1, 9)
    (limit,) = document["paths"]["/v1/things"]["get"]["parameters"]
    assert (limit["name"], limit["in"], limit["required"]) == ("limit", "query", False)
    assert limit["schema"]["maximum"] == 1000
    assert document["paths"]["/open"]["get"]["security"] == []
    (key,) = document["paths"]["/v1/things/once"]["post"]["parameters"]
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", True)
    assert re.fullmatch(key["schema"]["pattern"], "k-1")
    assert not re.fullmatch(key["schema"]["pattern"], "k 1")
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
