"""A small application built as the real one is: a route of every kind, and keys of every scope for it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from litestar import Controller, MediaType, Response, WebSocket, delete, get, post, websocket
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient

from exchange.kit.auth import Principal, Scope, StoredKey, new_key
from exchange.kit.auth_guard import FailureRecord, GuardedAuthenticator
from exchange.kit.database import ConnectionLost, Database, Deadlock, LockTimeout
from exchange.kit.error_codes import ERROR_CODES
from exchange.kit.errors import Conflict, NotFound
from exchange.kit.fields import CnyText, NameText
from exchange.kit.http_app import IMPORT_BYTES_MAX, build_app
from exchange.kit.http_auth import public, requires
from exchange.kit.http_limits import Limits, cancels
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
            "held": LockTimeout("x"),
            "crossed": Deadlock("x"),
            "broken": RuntimeError(SECRET_DETAIL),
        }
        raise failures.get(thing, NotFound(detail="no such thing"))

    @post("/import", opt=requires(Scope.TRADE, raw_body=True), request_max_body_size=IMPORT_BYTES_MAX)
    async def import_things(self, request: ApiRequest) -> Page[int]:
        """Count the bytes of a large body as they come."""
        return Page([sum([len(chunk) async for chunk in request.stream()])])

    @post("/once", opt=requires(Scope.TRADE, once=True))
    async def once(self, request: ApiRequest, data: JSONBody[Thing]) -> Any:
        """Show the key and the fingerprint of a request."""
        del data
        shown = json.dumps([request.idempotency_key(), (await request.fingerprint()).hex()]).encode()
        return Response(shown, media_type=MediaType.JSON)

    @post("/many", opt=requires(Scope.TRADE))
    async def many(self, request: ApiRequest, data: JSONBody[Thing]) -> Thing:
        """Take as many things as one says, each of which counts."""
        await request.app.state.limits.charge(request.scope, request.principal, data.count - 1)
        return data

    @delete("/{thing:str}", opt=requires(Scope.TRADE) | cancels(), status_code=200)
    async def withdraw(self, thing: FromPath[str]) -> Page[str]:
        """Withdraw a thing."""
        return Page([thing])

    @post("/unsaid", opt=requires(Scope.TRADE))
    async def unsaid(self, request: ApiRequest) -> Page[str]:
        """Read the key without declaring it."""
        return Page([request.idempotency_key()])


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


def build(*controllers: Any, limits: Limits | None = None) -> Any:
    limits = limits or Limits()
    record = FailureRecord(Database.__new__(Database), lambda: 0)  # never written
    return build_app(
        controllers,
        authenticator=GuardedAuthenticator(load, limits, record),
        is_ready=ready,
        echo_type=Thing,
        limits=limits,
        state={"limits": limits},
        troubles=lambda: ["partition 7: it is being rebuilt"],
    )


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


@contextmanager
def served() -> Iterator[TestClient[Any]]:
    """Give a client of the application, to whom a fault of ours is an answer as to any other."""
    with TestClient(build(ThingsController, greet, open_to_all), raise_server_exceptions=False) as client:
        yield client
