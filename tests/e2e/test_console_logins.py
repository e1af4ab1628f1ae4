"""Goal: a key, or an operator's code, lets somebody in: a code once, for what it may do, and no guess at all.

Method: over real sockets, with browsers as in test_console_sessions; a code sent from fifty connections.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from exchange.kit.auth import KEY_SCHEME, LOGIN_SCHEME, SESSION_SCHEME, new_key
from exchange.kit.clock import format_rfc3339, parse_rfc3339, wall_now_us
from exchange.kit.ids import decode_id
from tests.e2e import test_console_sessions as sessions
from tests.e2e.good_bodies import PUBLIC_KEY
from tests.e2e.served import Served, eventually, pointers, problem, served
from tests.e2e.test_console_sessions import ME, audited, browser, key_of, login_of, stored

two, doors = sessions.two, sessions.doors
BUDGET = 10


async def test_a_login_lets_in_once_as_the_participant(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, other = two
    buyer, _ = await key_of(one, ["read"])
    login = await login_of(one, buyer.id, ["read", "trade"], valid_s=60)
    address = urlsplit(login["login_url"])
    assert f"{address.scheme}://{address.netloc}" == str(one.http.base_url).rstrip("/")
    assert (address.path, address.query, address.fragment) == (
        "/console/login",
        "",
        f"code={login['login_code']}",
    )
    assert 0 < (parse_rfc3339(login["expires_at"]) or 0) - wall_now_us() <= 60_000_000
    page = await browser(doors, other)
    told = await page.log_in(login_code=login["login_code"])
    assert (told["participant_id"], told["key_id"]) == (buyer.id, login["key_id"])
    assert told["scopes"] == ["read", "trade"]
    assert (await page.send("GET", ME)).json()["id"] == buyer.id
    again = await browser(doors, one)
    await again.log_in(401, login_code=login["login_code"])
    # It is a key like others: listed, and what came of it ends when it is revoked. Nobody has its secret.
    [listed] = [each for each in (await buyer.get("/v1/keys"))["data"] if each["id"] == login["key_id"]]
    assert (listed["label"], listed["scopes"]) == ("console login", ["read", "trade"])
    assert (await one.operator.send("DELETE", f"/v1/keys/{login['key_id']}")).status_code == 204
    await eventually(page.status, lambda status: status == 401)
    done = [("KNEW", False), ("LNEW", False), ("SNEW", True), ("KREV", False)]
    assert await audited(one, login["key_id"]) == done
    [row] = await stored(one, "console_login", login["key_id"])
    assert login["login_code"].split("_", 2)[2] not in row


async def test_a_code_from_fifty_connections_makes_one_session(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, _ = two
    buyer, _ = await key_of(one, ["read"])
    login = await login_of(one, buyer.id, ["read"])
    pages = [await browser(doors, two[number % 2]) for number in range(50)]
    answers = await asyncio.gather(
        *(page.send("POST", "/v1/session", json={"login_code": login["login_code"]}) for page in pages)
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * 49
    assert len(await stored(one, "console_session", login["key_id"])) == 1


async def test_a_replayed_login_shows_its_code_no_more(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, _ = two
    buyer, _ = await key_of(one, ["read"])
    path, headers = f"/v1/participants/{buyer.id}/logins", {"Idempotency-Key": "login"}
    first = await one.operator.send("POST", path, json={"scopes": ["read"]}, headers=headers)
    again = await one.operator.send("POST", path, json={"scopes": ["read"]}, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json() | {"login_code": None, "login_url": None}
    page = await browser(doors, one)
    await page.log_in(login_code=first.json()["login_code"])


async def test_a_login_never_goes_beyond_its_participant_or_its_operator(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, _ = two
    buyer, _ = await key_of(one, ["read"])
    path = f"/v1/participants/{buyer.id}/logins"
    refused = problem(await one.operator.send("POST", path, json={"scopes": ["operate", "read"]}), 422)
    assert pointers(refused) == {"/scopes"}
    bad = {"scopes": [], "valid_s": 59, "more": 1}
    refused = problem(await one.operator.send("POST", path, json=bad), 422, "invalid_body")
    assert pointers(refused) == {"/scopes", "/valid_s", "/more"}
    problem(await buyer.send("POST", path, json={"scopes": ["read"]}), 403, "forbidden")
    # An operator's key lets operators in for what it may do itself, from where and as long as it may.
    me = (await one.operator.get(ME))["id"]
    soon = format_rfc3339(wall_now_us() + 3_600_000_000)
    bounds = {"expires_at": soon, "allowed_networks": ["127.0.0.0/8"]}
    narrow = await one.operator.key_of(me, ["operate", "read"], **bounds)
    operator = one.operator.with_key(narrow["secret"])
    path = f"/v1/participants/{me}/logins"
    problem(await operator.send("POST", path, json={"scopes": ["trade"]}), 422)
    login = await operator.post(path, {"scopes": ["read"], "valid_s": 600})
    key = await one.operator.get(f"/v1/keys/{login['key_id']}")
    assert parse_rfc3339(key["expires_at"]) == parse_rfc3339(soon)
    assert key["allowed_networks"] == bounds["allowed_networks"]
    page = await browser(doors, one)
    told = await page.log_in(login_code=login["login_code"])
    assert parse_rfc3339(told["expires_at"]) == parse_rfc3339(soon)


async def test_a_key_of_other_networks_opens_nothing_nor_does_its_session(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, _ = two
    _, elsewhere = await key_of(one, ["read"], allowed_networks=["192.0.2.0/24"])
    page = await browser(doors, one)
    await page.log_in(401, key=elsewhere["secret"])
    _, here = await key_of(one, ["read"], allowed_networks=["127.0.0.0/8"])
    told = await page.log_in(key=here["secret"])
    assert await page.status() == 200
    async with one.exchange.database.transaction() as connection:
        await connection.execute(
            "UPDATE api_key SET allowed_networks = '{192.0.2.0/24}' WHERE id = $1",
            decode_id("key", told["key_id"]),
        )
    await eventually(page.status, lambda status: status == 401)


async def test_a_key_that_signs_opens_no_session(two: tuple[Served, Served], doors: AsyncExitStack) -> None:
    one, _ = two
    _, key = await key_of(one, ["read"], signing_public_key=PUBLIC_KEY)
    page = await browser(doors, one)
    answer = await page.send("POST", "/v1/session", json={"key": key["secret"]})
    assert "opens no session" in problem(answer, 403, "key_signs_requests")["detail"]
    # Without the secret nobody is told that.
    await page.log_in(401, key=f"{key['secret'][:-1]}x")


@pytest.mark.parametrize(
    "body, named",
    [
        ({}, "/key"),
        ({"key": None}, "/key"),
        ({"key": "x", "login_code": "y"}, "/login_code"),
        ({"key": ""}, "/key"),
        ({"login_code": "x" * 201}, "/login_code"),
    ],
)
async def test_a_login_says_what_it_lacks(
    two: tuple[Served, Served], doors: AsyncExitStack, body: dict[str, Any], named: str
) -> None:
    page = await browser(doors, two[0])
    answer = await page.send("POST", "/v1/session", json=body)
    assert named in pointers(problem(answer, 422, "invalid_body"))


@pytest.mark.parametrize("by", ["key", "login_code", "cookie"])
async def test_guesses_use_up_the_budget_of_failures_however_they_come(
    database_url: str, tmp_path: Path, doors: AsyncExitStack, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await doors.enter_async_context(served(database_url, tmp_path, rate_failures=(BUDGET, 3600)))
    _, key = await key_of(one, ["read"])
    known = await browser(doors, one)
    await known.log_in(key=key["secret"])
    assert await known.status() == 200
    guesser = await browser(doors, one)

    scheme = {"key": KEY_SCHEME, "login_code": LOGIN_SCHEME, "cookie": SESSION_SCHEME}[by]
    guesses = [new_key(scheme).text for _ in range(BUDGET + 3)]

    async def guess() -> Any:
        text = guesses.pop()
        if by == "cookie":
            return await guesser.send("GET", ME, headers={"Cookie": f"cx_session={text}"})
        return await guesser.send("POST", "/v1/session", json={by: text})

    for _ in range(BUDGET):
        answer = await guess()
        problem(answer, 401, "unauthenticated")
        assert answer.headers["connection"] == "close"

    def never(_: object) -> None:
        raise LookupError("no secret may be compared any more")

    monkeypatch.setattr("exchange.kit.auth.hash_secret", never)
    for _ in range(3):
        problem(await guess(), 429, "rate_limited")
    monkeypatch.undo()
    assert await known.status() == 200  # who is known goes on
    assert one.exchange.watched.failures.total == BUDGET
    # A request of another site's is no guess: it is not looked at.
    problem(await guesser.http.post("/v1/session", json={"key": "x"}), 403, "cross_site")
