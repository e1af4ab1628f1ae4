"""Goal: what a request brings beside its key: body, query, Idempotency-Key, and a caller who stays.

Method: a small application built as the real one is, asked over ASGI.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient

from exchange.kit.auth import Scope
from exchange.kit.http_app import BODY_BYTES_MAX, IMPORT_BYTES_MAX
from tests.things_app import GOOD, bearer, problem, served


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    with served() as client:
        yield client


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


def test_a_path_without_a_query_takes_none(client: TestClient[Any]) -> None:
    for path in ("/open", "/healthz", "/problems", "/problems/not_found"):
        faults = problem(client.get(f"{path}?dry_run=true&x=%ff"), 422, "invalid_query")["errors"]
        assert {fault["pointer"] for fault in faults} == {"?dry_run", "?x"}, path
        assert client.get(f"{path}?").status_code == 200, path
    answer = client.post("/v1/things?dry_run=true", json=GOOD, headers=bearer())
    assert [fault["pointer"] for fault in problem(answer, 422, "invalid_query")["errors"]] == ["?dry_run"]
    problem(client.post("/v1/things?dry_run=true", json=GOOD), 401, "unauthenticated")
    # Browsers and caches add what they like to the addresses of pages and files.
    assert client.get("/schema?x=1").status_code == 200
    assert client.get("/static/openapi-page.js?v=1").status_code == 200
    assert client.options("/open?x=1").status_code == 204


@pytest.mark.parametrize("content", [b"{}", b" ", b'{"side":', iter([b"{}"]), iter([b"", b"{}"])])
def test_a_path_without_a_body_takes_none(client: TestClient[Any], content: Any) -> None:
    paths: list[tuple[str, str, dict[str, str]]] = [("GET", "/open", {}), ("GET", "/schema", {})]
    paths += [("GET", "/v1/things", bearer(Scope.READ)), ("DELETE", "/v1/things/a", bearer())]
    for method, path, headers in paths if isinstance(content, bytes) else paths[-1:]:
        refused = client.request(method, path, content=content, headers=headers)
        assert "takes no body" in problem(refused, 422, "unexpected_body")["detail"], path
    problem(client.request("DELETE", "/v1/things/a", content=b"{}"), 401, "unauthenticated")
    assert client.request("OPTIONS", "/open", content=b"{}").status_code == 204


@pytest.mark.parametrize("content", [b"", iter([])])
def test_a_body_of_no_bytes_is_none(client: TestClient[Any], content: Any) -> None:
    assert client.request("DELETE", "/v1/things/a", content=content, headers=bearer()).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_whatever_they_bring(client: TestClient[Any], method: str, path: str) -> None:
    for content in (b"{}", iter([b"{}"])):
        assert client.request(method, path, content=content).status_code == 200


async def told_raw(
    client: TestClient[Any],
    method: str,
    path: str,
    coming: list[Any],
    *headers: tuple[bytes, bytes],
) -> tuple[int, dict[str, Any]]:
    """Send what no client does: headers as they are, and a body as it comes; return status and answer."""
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "client": None,
        "headers": list(headers),
    }
    await client.app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


AUTHORIZED = (b"authorization", bearer()["Authorization"].encode())
GONE = {"type": "http.disconnect"}


async def test_a_body_that_is_cut_before_it_begins_is_not_taken_for_none(client: TestClient[Any]) -> None:
    in_chunks = (b"transfer-encoding", b"chunked")
    status, body = await told_raw(client, "DELETE", "/v1/things/a", [GONE], AUTHORIZED, in_chunks)
    assert (status, body["code"]) == (422, "unexpected_body")


@pytest.mark.parametrize(
    "name, told", [(b"authorization", "Authorization"), (b"idempotency-key", "Idempotency-Key")]
)
async def test_a_header_that_may_come_once_is_refused_twice(
    client: TestClient[Any], name: bytes, told: str
) -> None:
    sent = {b"authorization": bearer()["Authorization"].encode(), b"idempotency-key": b"a"}

    async def asked(*more: tuple[bytes, bytes]) -> tuple[int, dict[str, Any]]:
        whole = [{"type": "http.request", "body": json.dumps(GOOD).encode(), "more_body": False}]
        return await told_raw(client, "POST", "/v1/things/once", whole, *sent.items(), *more)

    status, _ = await asked()
    assert status == 201
    for other in (sent[name], b"b"):
        status, body = await asked((name, other))
        assert (status, body["code"], body["title"]) == (400, "invalid_header", "A header breaks a rule")
        assert body["errors"] == [{"pointer": told, "code": "repeated", "detail": "may be given once only"}]


def test_a_socket_without_a_query_takes_none(client: TestClient[Any]) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as caught,
        client.websocket_connect("/v1/socket?x=1", headers=bearer(Scope.READ)),
    ):
        pass
    assert caught.value.code == 4422


def test_idempotency_keys_are_read_and_requests_told_apart(client: TestClient[Any]) -> None:
    def once(key: str | None, body: dict[str, Any] = GOOD) -> Any:
        extra = {} if key is None else {"Idempotency-Key": key}
        return client.post("/v1/things/once", json=body, headers={**bearer(), **extra})

    first, again, other = once("k-1"), once("k-1"), once("k-1", {**GOOD, "count": 2})
    assert first.json() == again.json()
    assert first.json()[0] == other.json()[0] == "k-1"
    assert first.json()[1] != other.json()[1]
    assert problem(once(None), 400, "idempotency_key_missing")["title"] == "A header breaks a rule"
    for unfit in ("", "a b", "x" * 201):
        assert problem(once(unfit), 400, "invalid_header")["title"] == "A header breaks a rule"
    answer = client.post("/v1/things/unsaid", headers={**bearer(), "Idempotency-Key": "k-1"})
    problem(answer, 500, "internal_error")


async def test_a_length_of_thousands_of_digits_is_no_fault_of_ours(client: TestClient[Any]) -> None:
    whole = json.dumps(GOOD).encode()
    sent = {"type": "http.request", "body": whole, "more_body": False}
    for digits, told in ((4_000, 201), (5_000, 400)):
        length = (b"content-length", str(len(whole)).rjust(digits, "0").encode())
        status, _ = await told_raw(client, "POST", "/v1/things", [sent], AUTHORIZED, length)
        assert status == told


def announced(size: int) -> list[tuple[bytes, bytes]]:
    """Return the headers of who announces a body of so many bytes, and of who announces none."""
    return [(b"content-length", str(size).encode()), (b"transfer-encoding", b"chunked")]


async def test_a_body_in_pieces_is_the_body(client: TestClient[Any]) -> None:
    whole = json.dumps(GOOD).encode()
    pieces = [
        {"type": "http.request", "body": whole[at : at + 7], "more_body": at + 7 < len(whole)}
        for at in range(0, len(whole), 7)
    ]
    for header in announced(len(whole)):
        status, _ = await told_raw(client, "POST", "/v1/things", list(pieces), AUTHORIZED, header)
        assert status == 201, header


async def test_a_caller_who_leaves_in_the_middle_is_no_fault_of_ours(
    client: TestClient[Any], caplog: pytest.LogCaptureFixture
) -> None:
    begun = {"type": "http.request", "body": b'{"name":', "more_body": True}
    for header in announced(20):
        status, body = await told_raw(client, "POST", "/v1/things", [begun, GONE], AUTHORIZED, header)
        assert (status, body["code"]) == (400, "body_cut"), header
    assert not caplog.records
