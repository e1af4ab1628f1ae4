"""Goal: a participant sees its open sessions of the console and ends them, at once and in every process.

Method: two exchanges on one database, with browsers as in `test_console_sessions`. What is listed is compared
with what was begun; what is ended at one exchange is felt at the other, with the streams it had open.
"""

from contextlib import AsyncExitStack
from typing import Any

from exchange.participants import console_sessions
from tests.e2e import test_console_sessions as sessions
from tests.e2e.served import Served, eventually, problem
from tests.e2e.test_console_sessions import (
    IDLE_S,
    SAME,
    Browser,
    audited,
    browser,
    ended,
    key_of,
    stream_of,
    unused_for,
)

two, doors = sessions.two, sessions.doors
SESSIONS = "/v1/sessions"
ALL = {"of": "participant"}


async def listed(page: Browser, **params: Any) -> list[dict[str, Any]]:
    answer = await page.send("GET", SESSIONS, params=params)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def test_a_participant_sees_the_open_sessions_of_all_its_keys_and_nobody_elses(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, other = two
    buyer, desk = await key_of(one, ["read", "trade"], label="desk")
    reader = await one.operator.key_of(buyer.id, ["read"], label="reader")
    stranger, _ = await key_of(one, ["read"])
    pages = [await browser(doors, house) for house in (one, other, one)]
    for page, key in zip(pages, (desk, desk, reader), strict=True):
        await page.log_in(key=key["secret"])
    rows = await listed(pages[0])
    assert [(row["key_id"], row["key_label"], row["is_current"]) for row in rows] == [
        (reader["id"], "reader", False),
        (desk["id"], "desk", False),
        (desk["id"], "desk", True),
    ]
    assert {row["last_used_from"] for row in rows} == {"127.0.0.1"}
    assert all(row["started_at"] <= row["last_used_at"] < row["expires_at"] for row in rows)
    assert [row["is_current"] for row in await listed(pages[2])] == [True, False, False]
    by_key = (await buyer.get(SESSIONS))["data"]
    assert [row["id"] for row in by_key] == [row["id"] for row in rows]
    assert not any(row["is_current"] for row in by_key)
    assert (await stranger.get(SESSIONS))["data"] == []
    first = await buyer.get(SESSIONS, limit=2)
    rest = await buyer.get(SESSIONS, limit=2, cursor=first["next_cursor"])
    assert first["data"] + rest["data"] == by_key
    # What is logged out, or was not used for too long, is not open.
    await pages[2].send("DELETE", "/v1/session")
    assert [row["key_id"] for row in await listed(pages[0])] == [desk["id"]] * 2
    await unused_for(one, IDLE_S + console_sessions.TOUCH_S + 1)
    assert (await buyer.get(SESSIONS))["data"] == []


async def test_one_that_is_ended_is_over_in_every_process_and_the_others_go_on(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, other = two
    _, key = await key_of(one, ["read"])
    page, lost = await browser(doors, one), await browser(doors, one)
    await lost.log_in(key=key["secret"])
    await page.log_in(key=key["secret"])
    there = await browser(doors, other, lost)
    assert await there.status() == 200
    [current, found] = await listed(page)
    assert (current["is_current"], found["is_current"]) == (True, False)
    async with stream_of(other, lost, **SAME) as stream:
        assert (await page.send("DELETE", f"{SESSIONS}/{found['id']}")).status_code == 204
        assert await lost.status() == 401
        assert await ended(stream) is not None
        await eventually(there.status, lambda status: status == 401)
    assert await page.status() == 200
    assert [row["id"] for row in await listed(page)] == [current["id"]]
    problem(await page.send("DELETE", f"{SESSIONS}/{found['id']}"), 404, "not_found")
    assert (await audited(one, key["id"]))[-1] == ("SEND", True)
    # Its own, too: that is logging out.
    assert (await page.send("DELETE", f"{SESSIONS}/{current['id']}")).status_code == 204
    assert await page.status() == 401


async def test_all_others_of_a_key_are_ended_and_a_colleagues_goes_on(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, other = two
    buyer, key = await key_of(one, ["read"])
    colleague = await one.operator.key_of(buyer.id, ["read"])
    pages = [await browser(doors, house) for house in (one, one, other)]
    theirs = await browser(doors, one)
    await theirs.log_in(key=colleague["secret"])
    for page in pages:
        await page.log_in(key=key["secret"])
    answer = await pages[0].send("DELETE", SESSIONS)
    assert answer.json() == {"ended": 2}
    assert await pages[1].status() == 401
    await eventually(pages[2].status, lambda status: status == 401)
    assert (await pages[0].status(), await theirs.status()) == (200, 200)
    assert [row["key_id"] for row in await listed(pages[0])] == [key["id"], colleague["id"]]
    assert (await pages[0].send("DELETE", SESSIONS, params={"of": "key"})).json() == {"ended": 0}
    assert (await buyer.with_key(key["secret"]).send("DELETE", SESSIONS)).json() == {"ended": 1}
    assert await pages[0].status() == 401


async def test_all_others_of_the_participant_are_ended_where_that_is_asked(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, _ = two
    buyer, key = await key_of(one, ["read"])
    colleague = await one.operator.key_of(buyer.id, ["read"])
    own, beside, theirs = [await browser(doors, one) for _ in range(3)]
    for page, logged_in in ((own, key), (beside, key), (theirs, colleague)):
        await page.log_in(key=logged_in["secret"])
    answer = await own.send("DELETE", SESSIONS, params={"of": "company"})
    faults = problem(answer, 422, "invalid_query")["errors"]
    assert [each["pointer"] for each in faults] == ["?of"]
    assert (await own.send("DELETE", SESSIONS, params=ALL)).json() == {"ended": 2}
    assert [await page.status() for page in (own, beside, theirs)] == [200, 401, 401]
    assert [row["is_current"] for row in await listed(own)] == [True]
    assert (await buyer.send("DELETE", SESSIONS, params=ALL)).json() == {"ended": 1}
    assert await own.status() == 401


async def test_who_only_reads_ends_no_session_that_trades(
    two: tuple[Served, Served], doors: AsyncExitStack
) -> None:
    one, _ = two
    buyer, desk = await key_of(one, ["read", "trade"])
    reader = await one.operator.key_of(buyer.id, ["read"])
    trading, reading = await browser(doors, one), await browser(doors, one)
    await trading.log_in(key=desk["secret"])
    await reading.log_in(key=reader["secret"])
    [_, theirs] = await listed(reading)
    problem(await reading.send("DELETE", f"{SESSIONS}/{theirs['id']}"), 403, "forbidden")
    assert (await reading.send("DELETE", SESSIONS, params=ALL)).json() == {"ended": 0}
    assert await trading.status() == 200
    assert (await trading.send("DELETE", SESSIONS, params=ALL)).json() == {"ended": 1}
    assert await reading.status() == 401


async def test_nobody_ends_a_strangers_session(two: tuple[Served, Served], doors: AsyncExitStack) -> None:
    one, _ = two
    buyer, key = await key_of(one, ["read", "trade"])
    stranger, _ = await key_of(one, ["read", "trade"])
    page = await browser(doors, one)
    await page.log_in(key=key["secret"])
    [own] = (await buyer.get(SESSIONS))["data"]
    for caller in (stranger, one.operator):
        answer = await caller.send("DELETE", f"{SESSIONS}/{own['id']}")
        problem(answer, 404, "not_found")
    assert (await stranger.send("DELETE", SESSIONS, params=ALL)).json() == {"ended": 0}
    assert await page.status() == 200


async def test_no_key_and_no_login_is_made_for_the_exchange_itself(two: tuple[Served, Served]) -> None:
    operator = two[0].operator
    exchange = "par_0000000000001"
    for path, more in (
        ("/v1/keys", {"participant_id": exchange}),
        (f"/v1/participants/{exchange}/logins", {}),
    ):
        answer = await operator.post(path, {"scopes": ["read"], **more}, status=422)
        assert [(each["pointer"], each["code"]) for each in answer["errors"]] == [
            ("/participant_id", "not_for_exchange")
        ]
    listed_ids = [each["id"] for each in (await operator.get("/v1/participants", limit=1000))["data"]]
    assert exchange not in listed_ids
    assert (await operator.get(f"/v1/participants/{exchange}"))["name"] == "exchange"
