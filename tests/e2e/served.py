"""An exchange behind a real socket, and callers who know of it only what HTTP tells them.

The server is the one of `exchange serve`; only the clock is driven by hand. Callers send what they are told
to, good or bad, and `problem` checks that a refusal is whole.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
import websockets
from litestar import Litestar

from exchange.api import create_app
from exchange.app import OPERATOR_KEY_FILE, Exchange
from exchange.cli.serve import bound_socket, serve_until
from exchange.kit.clock import US_PER_HOUR, ManualClock, monotonic_s
from exchange.kit.error_codes import ERROR_CODES, FAULT_CODES, PROBLEM_CODES
from exchange.kit.http_described import completed
from exchange.kit.http_wire import Wire
from exchange.kit.settings import Settings
from tests.e2e.document import undocumented
from tests.no_tls import NO_TLS
from tests.stored_state import KEPT_BESIDE, tables_without

NOW_US: Final = 1_772_000_000_000_000
"""2026-02-25T06:13:20Z: where venue time begins here."""
DEADLINE_S: Final = 60.0
_PROBLEM_MEMBERS: Final = {
    *("type", "title", "status", "detail", "instance", "code"),
    *("request_id", "outcome", "retryable", "errors"),
}

_descriptions: dict[frozenset[tuple[str, ...]], Mapping[str, Any]] = {}
_numbers = itertools.count(1)


async def refused_handshake(address: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Ask for a WebSocket that must be refused, and return the answer."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with websockets.connect(address, additional_headers=headers):
            pass
    told = caught.value.response
    asked = httpx.Request("GET", address)
    return httpx.Response(
        told.status_code, headers=list(told.headers.raw_items()), content=bytes(told.body), request=asked
    )


def problem(answer: httpx.Response, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """Check that an answer is a whole problem of the list of codes, and return it."""
    where = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}"
    assert 400 <= answer.status_code < 500, where
    assert answer.headers["content-type"] == "application/problem+json", where
    body: dict[str, Any] = answer.json()
    assert set(body) == _PROBLEM_MEMBERS, where
    assert body["code"] in PROBLEM_CODES, where
    assert body["type"] == f"/problems/{body['code']}", where
    assert body["status"] == answer.status_code, where
    assert body["request_id"] == answer.headers["x-request-id"], where
    assert body["title"], where
    assert body["detail"], where
    assert body["instance"].startswith("/"), where
    for fault in body["errors"]:
        assert fault["detail"], where
        # A line of a file is told what its order would be, alone.
        known = FAULT_CODES if body["code"] != "lines_refused" else ERROR_CODES
        assert fault["code"] in known, where
    assert (status or answer.status_code) == answer.status_code, where
    assert (code or body["code"]) == body["code"], where
    return body


def pointers(body: Mapping[str, Any]) -> set[str]:
    """Return the fields that a problem names."""
    return {fault["pointer"] for fault in body["errors"]}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A participant as it knows itself: its id, its key, and the door."""

    http: httpx.AsyncClient
    id: str
    key: str

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request as it is, with the key, and a fresh Idempotency-Key where there is none.

        As from a page of the exchange's own, which is asked of logins only.
        """
        headers = {"Authorization": f"Bearer {self.key}", "Sec-Fetch-Site": "same-origin"}
        if method in {"POST", "PATCH"}:
            headers["Idempotency-Key"] = f"e2e-{next(_numbers)}"
        headers |= request.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **request)

    async def send_text(self, method: str, path: str, text: str | bytes) -> httpx.Response:
        """Send a body letter by letter as JSON."""
        return await self.send(method, path, content=text, headers={"Content-Type": "application/json"})

    async def get(self, path: str, **params: Any) -> Any:
        """Read a path that must be there."""
        answer = await self.send("GET", path, params=params)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    async def post(self, path: str, body: object = None, status: int = 201) -> Any:
        """Post a body that must be taken."""
        answer = await self.send("POST", path, json=body)
        assert answer.status_code == status, f"{path}: {answer.text}"
        return answer.json()

    async def key_of(self, participant_id: str, scopes: list[str], **more: object) -> Any:
        """Make a key."""
        return await self.post("/v1/keys", {"participant_id": participant_id, "scopes": scopes, **more})

    def with_key(self, key: str) -> "Caller":
        """Return the same participant with another key."""
        return msgspec.structs.replace(self, key=key)


class Served:
    """The exchange, its clock, and its door."""

    def __init__(
        self,
        exchange: Exchange,
        clock: ManualClock,
        app: Litestar,
        http: httpx.AsyncClient,
        key: str,
        *,
        wire: Wire,
        stopping: asyncio.Event,
    ) -> None:
        self.exchange = exchange
        self.wire = wire
        self.stopping = stopping
        """Set to stop as `exchange serve` does on a signal."""
        self.clock = clock
        self.app = app
        self.http = http
        self.operator = Caller(http=http, id="", key=key)

    async def join(self, kind: str, scopes: list[str], **facts: object) -> Caller:
        """Register a participant and give it a key, both through the operator's HTTP."""
        body = {"kind": kind, "name": f"{kind} {next(_numbers)}", **facts}
        participant = await self.operator.post("/v1/participants", body)
        key = await self.operator.key_of(participant["id"], scopes)
        return Caller(http=self.http, id=participant["id"], key=key["secret"])

    def pass_hours(self, hours: int) -> None:
        """Let venue time pass; what comes of it shows over HTTP a moment later."""
        for _ in range(hours):
            self.clock.advance_to_us(self.clock.now_us() + US_PER_HOUR)

    async def rows(self) -> dict[str, int]:
        """Count what the exchange has stored, table by table.

        The record is left out, because a regulator's question is on it too, and so is what is made of it.
        """
        async with self.exchange.database.connection() as connection:
            counts = " UNION ALL ".join(
                f"SELECT '{table}' AS name, count(*) FROM {table}"  # noqa: S608 - a name read from the catalogue
                for table in await tables_without(connection, {"audit_record", *KEPT_BESIDE})
            )
            return {record["name"]: record["count"] for record in await connection.fetch(counts)}


def description_of(app: Litestar) -> Mapping[str, Any]:
    """Return the OpenAPI document as it is served: made once for each set of routes, as it takes a while."""
    routes = frozenset((route.path, *sorted(getattr(route, "methods", ()))) for route in app.routes)
    if routes not in _descriptions:
        _descriptions[routes] = completed(app, app.openapi_schema.to_schema())
    return _descriptions[routes]


async def eventually(read: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """Read until a condition holds, and return what was read last; fails past a deadline."""
    deadline_s = monotonic_s() + DEADLINE_S
    while not holds(value := await read()):
        assert monotonic_s() < deadline_s, f"still {value}"
        await asyncio.sleep(0.01)
    return value


@asynccontextmanager
async def served(
    database_url: str,
    data_dir: Path,
    now_us: int = NOW_US,
    *,
    trusted_proxies: Sequence[str] = (),
    wire: Wire | None = None,
    clock: ManualClock | None = None,
    **more: Any,
) -> AsyncIterator[Served]:
    """Open an exchange on a new database and serve it on a free port, by a clock of its own or another.

    Nobody is limited unless `more` settings say so: tests that try every door fail more often than callers.
    Fails at the end where a route answered with a status that its description does not have.
    """
    clock = clock or ManualClock(now_us)
    usual = {"rate_address": None, "rate_failures": None, "bench_echo": True}
    settings = Settings(database_url=database_url, data_dir=data_dir, **{**usual, **more})
    exchange = await Exchange.open(settings, clock)
    exchange.watched.connections = wire = wire or Wire()
    app = create_app(exchange)
    listener = bound_socket("127.0.0.1", 0)
    stopping, listening = asyncio.Event(), asyncio.Event()
    server = asyncio.create_task(
        serve_until(
            app,
            listener,
            stopping,
            listening.set,
            trusted_proxies=trusted_proxies,
            wire=wire,
            on_stopping=exchange.announce_stop,
        )
    )
    try:
        await asyncio.wait_for(listening.wait(), DEADLINE_S)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        key = (data_dir / OPERATOR_KEY_FILE).read_text().strip()
        async with httpx.AsyncClient(
            base_url=address, timeout=DEADLINE_S, trust_env=False, verify=NO_TLS
        ) as http:
            yield Served(exchange, clock, app, http, key, wire=wire, stopping=stopping)
        unknown = list(undocumented(description_of(app), exchange.watched.answers))
        assert not unknown, f"not in the description: {unknown}"
    finally:
        stopping.set()
        await server
        await exchange.close()
