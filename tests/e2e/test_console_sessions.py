"""Goal: a browser's session can do what its key can, as long as that can, and no other site can use it.

Method: two exchanges on one database, over real sockets; browsers are clients with a jar of cookies of their
own, that say where a request comes from as browsers do. What ends a session is done at one exchange and felt
at the other. Whatever must come is waited for by asking, with a deadline.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets

from exchange.kit import auth as auth_module
from exchange.kit.auth import SESSION_SCHEME
from exchange.kit.clock import format_rfc3339, parse_rfc3339, wall_now_us
from exchange.kit.database import from_us
from exchange.kit.ids import decode_id
from exchange.participants import console_sessions, session_door
from tests.e2e.served import DEADLINE_S, Caller, Served, eventually, problem, refused_handshake, served
from tests.no_tls import NO_TLS

SAME = {"Sec-Fetch-Site": "same-origin"}
ME = "/v1/participants/me"
IDLE_S = 600


class Browser(msgspec.Struct, frozen=True):
    """A client with cookies of its own."""

    http: httpx.AsyncClient

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request as a page of the exchange's own does."""
        return await self.http.request(method, path, headers=SAME | request.pop("headers", {}), **request)

    async def log_in(self, status: int = 201, **body: str) -> Any:
        """Log in, and return what the session is told to be."""
        answer = await self.send("POST", "/v1/session", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def status(self, path: str = ME) -> int:
        """Return with what a path is answered."""
        return (await self.send("GET", path)).status_code

    @property
    def cookie(self) -> str:
        """What the browser sends of itself."""
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())


@pytest.fixture(scope="module")
async def two(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Served, Served]]:
    folder = tmp_path_factory.mktemp("two")
    async with (
        served(module_database_url, folder, session_idle_s=IDLE_S) as one,
        served(module_database_url, folder, session_idle_s=IDLE_S) as other,
    ):
        yield one, other


@pytest.fixture
async def doors() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as open_:
        yield open_


async def browser(doors: AsyncExitStack, house: Served, like: Browser | None = None) -> Browser:
    """Return a browser at an exchange, with the cookies of another if there is one."""
    cookies = None if like is None else dict(like.http.cookies)
    client = httpx.AsyncClient(
        base_url=house.http.base_url, cookies=cookies, timeout=DEADLINE_S, trust_env=False, verify=NO_TLS
    )
    return Browser(await doors.enter_async_context(client))


async def key_of(house: Served, scopes: list[str], **more: object) -> tuple[Caller, Any]:
    """Register a buyer, and make it a key."""
    facts = {"region": "beijing", "size_class": "small", "founded_on": "2024-05-01"}
    buyer = await house.join("buyer", ["read", "trade"], **facts)
    return buyer, await house.operator.key_of(buyer.id, scopes, **more)


async def login_of(house: Served, participant_id: str, scopes: list[str], **more: object) -> Any:
    """Issue a login."""
    return await house.operator.post(f"/v1/participants/{participant_id}/logins", {"scopes": scopes, **more})


async def audited(house: Served, key_id: str) -> list[tuple[str, bool]]:
    """Return what was done to a key or its sessions: the code, and whether the key did it itself."""
    async with house.exchange.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT code, key_id FROM audit_record WHERE subject_id = $1 ORDER BY id", number_of(key_id)
        )
    return [(row["code"], row["key_id"] == number_of(key_id)) for row in rows]


def number_of(key_id: str) -> int:
    """Return the number of a key's id."""
    return decode_id("key", key_id) or 0


async def stored(house: Served, table: str, key_id: str) -> list[str]:
    """Return the rows of a table that are of a key."""
    async with house.exchange.database.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {table}::text AS row FROM {table} WHERE key_id = $1",  # noqa: S608 - ours
            number_of(key_id),
        )
    return [row["row"] for row in rows]


async def test_a_session_is_its_key_without_showing_it(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, other = two
    buyer, key = await key_of(one, ["read"], label="desk")
    page = await browser(doors, one)
    answer = await page.send("POST", "/v1/session", json={"key": key["secret"]})
    told = answer.json()
    assert told | {"expires_at": ""} == {
        "participant_id": buyer.id,
        "participant_name": (await buyer.get(ME))["name"],
        "kind": "buyer",
        "scopes": ["read"],
        "key_id": key["id"],
        "expires_at": "",
    }
    attributes = answer.headers["set-cookie"].split("; ")
    assert attributes[0].startswith(f"cx_session={SESSION_SCHEME}_")
    assert set(attributes[1:4]) == {"HttpOnly", "SameSite=Strict", "Path=/"}
    lifetime_s = one.exchange.settings.session_lifetime_s
    assert lifetime_s - 60 <= int(attributes[4].removeprefix("Max-Age=")) <= lifetime_s
    assert len(attributes) == 5  # by plain HTTP not Secure
    # The same in the other process, and for what needs a scope.
    there = await browser(doors, other, page)
    assert (await there.send("GET", "/v1/session")).json() == told
    assert (await there.send("GET", ME)).json()["id"] == buyer.id
    problem(await there.send("POST", "/v1/orders", json={}), 403, "forbidden")
    problem(await there.send("GET", "/v1/session", headers={"Cookie": ""}), 401, "unauthenticated")
    # A header counts before the cookie, good or bad.
    operator = {"Authorization": f"Bearer {one.operator.key}"}
    assert (await page.send("GET", ME, headers=operator)).json()["kind"] == "operator"
    problem(await page.send("GET", ME, headers={"Authorization": "Bearer nonsense"}), 401)
    problem(await page.send("GET", "/v1/session", headers=operator), 404, "not_found")
    # What is stored is no cookie.
    [row] = await stored(one, "console_session", key["id"])
    assert page.http.cookies["cx_session"].split("_", 2)[2] not in row


async def test_what_is_done_with_a_session_is_done_by_its_key(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    """In the trail stands the key; and what a key's session makes never goes beyond the key."""
    one, _ = two
    _, key = await key_of(one, ["read", "trade"])
    page = await browser(doors, one)
    await page.log_in(key=key["secret"])
    fresh = {"Idempotency-Key": "of-a-page"}
    made = await page.send("POST", "/v1/keys", json={"scopes": ["read"]}, headers=fresh)
    assert made.json()["maker_id"] == key["id"]
    wide = {"scopes": ["issue"]}
    problem(await page.send("POST", "/v1/keys", json=wide, headers={"Idempotency-Key": "w"}), 422)
    assert (await page.send("DELETE", "/v1/session")).status_code == 204
    assert await audited(one, key["id"]) == [("KNEW", False), ("SNEW", True), ("SEND", True)]
    await one.exchange.keys.write_uses()
    assert (await one.operator.get(f"/v1/keys/{key['id']}"))["last_used_from"] == "127.0.0.1"


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "{own}.evil.example"},
    {"Origin": "{own}0"},
    {"Origin": "https{own}"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_another_site_can_do_nothing_with_a_cookie(
    two: tuple[Served, Served], doors: AsyncExitStack, headers: dict[str, str]
) -> None:
    one, _ = two
    own = str(one.http.base_url).rstrip("/")
    sent = {name: text.format(own=own).replace("httpshttp", "https") for name, text in headers.items()}
    _, key = await key_of(one, ["read", "trade"])
    page = await browser(doors, one)
    # Nor can it log somebody in as somebody else.
    login = await page.http.request("POST", "/v1/session", json={"key": key["secret"]}, headers=sent)
    problem(login, 403, "cross_site")
    assert "set-cookie" not in login.headers
    await page.log_in(key=key["secret"])
    before = await one.rows()
    for method, path in (
        ("POST", "/v1/orders"),
        ("POST", "/v1/orders/cancel-all-after"),
        ("PATCH", "/v1/orders/ord_0000000000001"),
        ("PUT", "/v1/products/nvidia-t4.zhangjiakou.pcie3/phase"),
        ("DELETE", "/v1/orders?product=x"),
        ("DELETE", "/v1/session"),
    ):
        answer = await page.http.request(method, path, headers=sent, json={} if method != "DELETE" else None)
        problem(answer, 403, "cross_site")
    address = str(one.http.base_url.join("/v1/stream")).replace("http://", "ws://")
    problem(await refused_handshake(address, {"Cookie": page.cookie, **sent}), 403, "cross_site")
    assert await one.rows() == before
    # Reading changes nothing, and is let in: what it answers no other site's page may read.
    assert (await page.http.get(ME, headers=sent)).status_code == 200


@pytest.mark.parametrize("headers", [SAME, SAME | {"Origin": "https://elsewhere"}, {"Origin": "{own}"}])
async def test_the_own_pages_can(
    two: tuple[Served, Served], doors: AsyncExitStack, headers: dict[str, str]
) -> None:
    one, _ = two
    own = str(one.http.base_url).rstrip("/")
    sent = {name: text.format(own=own) for name, text in headers.items()}
    _, key = await key_of(one, ["read", "trade"])
    page = await browser(doors, one)
    login = await page.http.request("POST", "/v1/session", json={"key": key["secret"]}, headers=sent)
    assert login.status_code == 201
    set_ = await page.http.post("/v1/orders/cancel-all-after", json={"timeout_s": 0}, headers=sent)
    assert set_.status_code == 200
    async with stream_of(one, page, **sent) as stream:
        await stream.send(json.dumps({"op": "subscribe", "channels": ["orders"]}))
        assert "key_needed" not in str(await stream.recv())
    assert (await page.http.delete("/v1/session", headers=sent)).status_code == 204
    assert not page.http.cookies


def stream_of(house: Served, page: Browser, **headers: str) -> websockets.connect:
    """Open a stream as a browser's page does."""
    address = str(house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
    return websockets.connect(address, additional_headers={"Cookie": page.cookie, **headers})


async def test_https_as_a_trusted_proxy_tells_it_makes_a_cookie_of_this_host_alone(
    database_url: str, tmp_path: Path, doors: AsyncExitStack
) -> None:
    async with served(database_url, tmp_path, trusted_proxies=("127.0.0.0/8",)) as house:
        _, key = await key_of(house, ["read"])
        page = await browser(doors, house)
        secure = {
            "X-Forwarded-For": "192.0.2.1",
            "X-Forwarded-Proto": "https",
            "Host": "Exchange.example",
            "Origin": "https://exchange.example",
        }
        body = {"key": key["secret"]}
        login = await page.http.post("/v1/session", json=body, headers=secure)
        assert login.status_code == 201, login.text
        cookie = login.headers["set-cookie"]
        assert cookie.startswith("__Host-cx_session=cs_")
        assert "; Secure" in cookie
        text = cookie.partition(";")[0].partition("=")[2]
        for name, status in (("__Host-cx_session", 200), ("cx_session", 401)):
            sent = secure | {"Cookie": f"other=1; {name}={text}"}
            assert (await page.http.get(ME, headers=sent)).status_code == status
        plain = {"Cookie": f"__Host-cx_session={text}"}
        assert (await house.http.get(ME, headers=plain)).status_code == 401
        # The scheme is a part of the origin.
        for other in ("http://exchange.example", "https://exchange.example:8443"):
            problem(await page.http.post("/v1/session", json=body, headers=secure | {"Origin": other}), 403)
    async with served(database_url, tmp_path) as house:  # a proxy that nobody named is not believed
        page = await browser(doors, house)
        problem(await page.http.post("/v1/session", json=body, headers=secure), 403, "cross_site")


async def ended(stream: websockets.ClientConnection) -> int | None:
    """Read a stream to its end, and return the code it ended with."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            while True:
                await stream.recv()
        except websockets.ConnectionClosed as end:
            return None if end.rcvd is None else end.rcvd.code


@pytest.mark.parametrize("how", ["logout", "revoked", "rotated", "expired", "idle"])
async def test_what_ends_a_session_ends_it_and_its_streams_in_every_process(
    two: tuple[Served, Served], doors: AsyncExitStack, how: str
) -> None:
    one, other = two
    until = format_rfc3339(wall_now_us() + 3_600_000_000)
    _, key = await key_of(one, ["read"], **({"expires_at": until} if how == "expired" else {}))
    page, beside = await browser(doors, one), await browser(doors, one)
    told = await page.log_in(key=key["secret"])
    await beside.log_in(key=key["secret"])
    there, cookie = await browser(doors, other, page), page.cookie
    assert await there.status() == 200
    if how == "expired":
        assert parse_rfc3339(told["expires_at"]) == parse_rfc3339(until)
    async with (
        stream_of(other, page, **SAME) as stream,
        stream_of(other, beside, **SAME) as second,
    ):
        if how == "logout":
            assert (await page.send("DELETE", "/v1/session")).status_code == 204
        elif how == "revoked":
            assert (await one.operator.send("DELETE", f"/v1/keys/{key['id']}")).status_code == 204
        elif how == "rotated":
            await one.operator.post(f"/v1/keys/{key['id']}/rotate", {"overlap_s": 0})
        elif how == "expired":
            await soon_over(one, key["id"])
        elif how == "idle":
            await unused_for(one, IDLE_S + console_sessions.TOUCH_S + 1)
        assert await ended(stream) is not None
        await eventually(there.status, lambda status: status == 401)
        if how == "logout":  # another session of the same key goes on, and so does what it has open
            assert await beside.status() == 200
            await second.send(json.dumps({"op": "ping", "id": "1"}))
            assert "pong" in str(await second.recv())
        else:
            assert await ended(second) is not None
    answer = await one.http.get("/v1/session", headers={"Cookie": cookie})
    problem(answer, 401, "unauthenticated")
    assert answer.headers["set-cookie"].startswith("cx_session=; ")  # a dead cookie is taken away
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def soon_over(house: Served, key_id: str) -> None:
    """Let a key and its sessions expire in a moment, by what is stored, whenever they were made to."""
    async with house.exchange.database.transaction() as connection:
        for table, whose in (("console_session", "key_id"), ("api_key", "id")):
            await connection.execute(
                f"UPDATE {table} SET expires_at = $2 WHERE {whose} = $1",  # noqa: S608 - ours
                number_of(key_id),
                from_us(wall_now_us() + 300_000),
            )


async def unused_for(house: Served, seconds: int) -> None:
    """Let every session be unused for so long, by what is stored, and every process ask for it again."""
    async with house.exchange.database.transaction() as connection:
        await connection.execute(
            "UPDATE console_session SET last_used_at = last_used_at - make_interval(secs => $1),"
            " created_at = created_at - make_interval(secs => $1), expires_at = expires_at",
            float(seconds),
        )


async def test_a_session_in_use_is_not_idle_whichever_process_it_is_used_at(
    two: tuple[Served, Served], doors: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By clocks that are moved on: used at one process every five minutes, at the other after an hour."""
    one, other = two
    _, key = await key_of(one, ["read"])
    page = await browser(doors, one)
    await page.log_in(key=key["secret"])
    there = await browser(doors, other, page)
    now_us = wall_now_us()
    for module in (auth_module, session_door, console_sessions):
        monkeypatch.setattr(module, "wall_now_us", lambda: now_us)
    for _ in range(12):
        now_us += 300_000_000
        assert await page.status() == 200
    assert await there.status() == 200
    now_us += (IDLE_S + 2 * console_sessions.TOUCH_S) * 1_000_000
    kept = page.cookie
    answers = await asyncio.gather(*(page.http.get(ME, headers={"Cookie": kept}) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {401}  # none slips in while it is asked
    assert await there.status() == 401


async def test_a_session_costs_a_statement_a_minute(
    two: tuple[Served, Served], doors: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = two
    _, key = await key_of(one, ["read"])
    page = await browser(doors, one)
    await page.log_in(key=key["secret"])
    sessions = one.exchange.keys.sessions
    asked: list[str] = []

    async def load(session_id: int, read: Any = sessions._load) -> Any:
        asked.append("load")
        return await read(session_id)

    async def touch(session_id: int, client_ip: str | None, write: Any = sessions._touch) -> Any:
        asked.append("touch")
        return await write(session_id, client_ip)

    monkeypatch.setattr(sessions, "_load", load)
    monkeypatch.setattr(sessions, "_touch", touch)
    now_us = wall_now_us()
    for module in (auth_module, session_door, console_sessions):
        monkeypatch.setattr(module, "wall_now_us", lambda: now_us)
    for _ in range(2):
        for _ in range(20):
            assert await page.status() == 200
        now_us += 61_000_000
    assert asked == ["load", "touch", "touch"]


async def test_what_is_long_over_is_dropped(two: tuple[Served, Served], doors: AsyncExitStack) -> None:
    one, _ = two
    buyer, key = await key_of(one, ["read"])
    page, old = await browser(doors, one), await browser(doors, one)
    await old.log_in(key=key["secret"])
    await login_of(one, buyer.id, ["read"])
    async with one.exchange.database.transaction() as connection:
        for table in ("console_session", "console_login"):
            await connection.execute(
                f"UPDATE {table} SET created_at = created_at - interval '9 days',"  # noqa: S608
                " expires_at = expires_at - interval '9 days'"
            )
    await page.log_in(key=key["secret"])
    await one.exchange.keys.drop_old_sessions()
    assert {table: (await one.rows())[table] for table in ("console_session", "console_login")} == {
        "console_session": 1,
        "console_login": 0,
    }
    assert await page.status() == 200
    assert await old.status() == 401
