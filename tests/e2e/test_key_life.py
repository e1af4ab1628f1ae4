"""Goal: a key that was revoked, rotated or has expired opens nothing, in any process, and keeps nothing open.

Method: two exchanges on one database, a key used at both, ended at one; the listening connection killed and
kept from coming back. Whatever must come is waited for by asking, with a deadline.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exchange.kit import auth as auth_module
from exchange.kit import notices as notices_module
from exchange.kit.clock import format_rfc3339, wall_now_us
from exchange.kit.database import from_us
from exchange.kit.ids import decode_id
from tests.e2e.served import Caller, Served, eventually, problem, served

LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND query = 'SELECT'"
)


@pytest.fixture
async def two(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Served, Served]]:
    async with served(database_url, tmp_path) as one, served(database_url, tmp_path) as other:
        yield one, other


async def me(house: Served, key: str) -> httpx.Response:
    return await house.http.get("/v1/participants/me", headers={"Authorization": f"Bearer {key}"})


async def made(house: Served, **more: object) -> tuple[str, str]:
    """Make an operator's key that reads; return its id and its text."""
    issued = await house.operator.post("/v1/keys", {"scopes": ["read"], **more})
    return issued["id"], issued["secret"]


def reads_of(house: Served) -> list[int]:
    """Note which keys a process reads of its database from now on."""
    authenticator = house.exchange.keys.authenticator
    load, read = authenticator._load, []

    async def noted(key_id: int) -> object:
        read.append(key_id)
        return await load(key_id)

    authenticator._load = noted  # type: ignore[assignment]
    return read


async def test_a_key_that_is_used_is_not_read_again(
    two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = two
    _, key = await made(one)
    read = reads_of(one)
    for minutes in range(4):
        monkeypatch.setattr(auth_module, "wall_now_us", lambda m=minutes: wall_now_us() + m * 60_000_000)
        assert (await me(one, key)).status_code == 200
    assert len(read) == 1


async def test_a_revoked_key_is_refused_by_every_process_at_the_notice(two: tuple[Served, Served]) -> None:
    """By the notice: a process that hears would believe what it knows for minutes."""
    one, other = two
    for _ in range(5):
        key_id, key = await made(one)
        for house in two:
            assert (await me(house, key)).status_code == 200
        assert (await one.operator.send("DELETE", f"/v1/keys/{key_id}")).status_code == 204
        problem(await me(one, key), 401, "unauthenticated")
        await eventually(lambda key=key: me(other, key), lambda answer: answer.status_code == 401)  # type: ignore[misc]


async def test_a_process_that_does_not_hear_soon_asks_again(
    two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    key_id, key = await made(one)
    for house in two:
        assert (await me(house, key)).status_code == 200

    async def refuse() -> object:
        raise ConnectionRefusedError("cut off")

    monkeypatch.setattr(other.exchange.database, "_connect", refuse)
    async with one.exchange.database.connection() as connection:
        await connection.fetch(LISTENERS)

    async def is_deaf() -> bool:
        return not other.exchange.notices.is_listening

    await eventually(is_deaf, bool)
    assert (await me(other, key)).status_code == 200  # what it knew was dropped, and read anew
    assert (await one.operator.send("DELETE", f"/v1/keys/{key_id}")).status_code == 204
    # Without a notice, by having grown old: a second, which tests/unit/test_auth.py holds it to.
    await eventually(lambda: me(other, key), lambda answer: answer.status_code == 401)
    assert await is_deaf()
    monkeypatch.undo()

    async def hears() -> bool:
        return other.exchange.notices.is_listening

    await eventually(hears, bool)
    problem(await me(other, key), 401, "unauthenticated")


async def test_a_change_that_is_missed_while_deaf_is_known_when_it_hears_again(
    two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is revoked between the end of one connection and the beginning of the next."""
    one, other = two
    monkeypatch.setattr(notices_module, "RETRY_S", 0.5)
    key_id, key = await made(one)
    assert (await me(other, key)).status_code == 200
    async with one.exchange.database.connection() as connection:
        await connection.fetch(LISTENERS)
    assert (await one.operator.send("DELETE", f"/v1/keys/{key_id}")).status_code == 204

    async def hears() -> bool:
        return other.exchange.notices.is_listening

    await eventually(hears, bool)
    await eventually(lambda: me(other, key), lambda answer: answer.status_code == 401)
    problem(await me(other, key), 401, "unauthenticated")


async def test_what_a_key_has_open_ends_with_it(two: tuple[Served, Served]) -> None:
    """Revoked elsewhere, expired, and revoked before it was held: the stream's owner is told each time."""
    one, other = two
    ends = other.exchange.keys.ends
    told: asyncio.Queue[int] = asyncio.Queue()
    ends.on_ended.append(told.put_nowait)
    revoked, live = [(await made(one, label=label))[0] for label in ("revoked", "live")]
    until = format_rfc3339(wall_now_us() + 3_600_000_000)
    expiring, _ = await made(one, expires_at=until)
    ids = {text: decode_id("key", text) or 0 for text in (revoked, expiring, live)}
    with ends.held(ids[revoked]), ends.held(ids[expiring]), ends.held(ids[live]), ends.held(ids[revoked]):
        assert (await one.operator.send("DELETE", f"/v1/keys/{revoked}")).status_code == 204
        async with one.exchange.database.transaction() as connection:  # nearly all of its hour has passed
            await connection.execute(
                "UPDATE api_key SET expires_at = $2 WHERE id = $1",
                ids[expiring],
                from_us(wall_now_us() + 300_000),
            )
        ended = {await asyncio.wait_for(told.get(), 60), await asyncio.wait_for(told.get(), 60)}
        assert ended == {ids[revoked], ids[expiring]}
    with ends.held(ids[revoked]):
        assert await asyncio.wait_for(told.get(), 60) == ids[revoked]
    assert told.empty()


async def test_who_is_behind_a_key_is_read_again_when_that_changes(two: tuple[Served, Served]) -> None:
    """Nobody's name or trade group changes over HTTP today; whoever changes it in the database is heard."""
    one, other = two
    _, key = await made(one)
    authenticator = other.exchange.keys.authenticator
    before = await authenticator.authenticate(f"Bearer {key}", "127.0.0.1")
    async with one.exchange.database.transaction() as connection:
        await connection.execute(
            "UPDATE participant SET name = 'renamed' WHERE id = $1", before.participant_id
        )

    async def name() -> str:
        return (await authenticator.authenticate(f"Bearer {key}", "127.0.0.1")).name

    assert before.name != "renamed"
    await eventually(name, lambda found: found == "renamed")


async def test_when_a_key_was_last_used_is_told(two: tuple[Served, Served]) -> None:
    one, other = two
    key_id, key = await made(one)

    async def view() -> dict[str, object]:
        return await one.operator.get(f"/v1/keys/{key_id}")  # type: ignore[no-any-return]

    assert (await view())["last_used_at"] is None
    await me(one, key)
    await one.exchange.keys.write_uses()
    first = await view()
    minute = format_rfc3339(wall_now_us() // 60_000_000 * 60_000_000)
    assert str(first["last_used_at"]) <= minute
    assert str(first["last_used_at"]).endswith(":00Z") or ":00.000000" in str(first["last_used_at"])
    assert first["last_used_from"] == "127.0.0.1"
    # A process that comes late with what is older changes nothing; one with what is newer does.
    id_ = decode_id("key", key_id) or 0
    for after_us, expected in ((-3_600_000_000, first["last_used_at"]), (3_600_000_000, None)):
        other.exchange.keys.authenticator.used = {id_: (wall_now_us() + after_us, "::1")}
        await other.exchange.keys.write_uses()
        shown = (await view())["last_used_at"]
        assert shown == expected or expected is None
    last = await view()
    assert str(last["last_used_at"]) > minute
    assert last["last_used_from"] == "::1"


async def test_a_key_that_was_used_is_no_change_that_others_hear(two: tuple[Served, Served]) -> None:
    one, other = two
    _, key = await made(one)
    await me(other, key)
    read = reads_of(other)
    for _ in range(3):
        await one.exchange.keys.write_uses()
        await other.exchange.keys.write_uses()
        assert (await me(other, key)).status_code == 200
    id_, changed = await made(one)
    await me(other, changed)
    read.clear()
    assert (await one.operator.send("DELETE", f"/v1/keys/{id_}")).status_code == 204
    await eventually(lambda: me(other, changed), lambda answer: answer.status_code == 401)
    assert (await me(other, key)).status_code == 200
    assert (decode_id("key", id_) or 0) in read
    assert len(set(read)) == 1


async def test_a_rotated_key_ends_everywhere_when_its_overlap_does(two: tuple[Served, Served]) -> None:
    one, other = two
    key_id, key = await made(one)
    assert (await me(other, key)).status_code == 200
    holder = Caller(http=one.http, id="", key=key)
    rotated = await holder.post(f"/v1/keys/{key_id}/rotate", {"overlap_s": 1})
    assert (await me(other, rotated["secret"])).status_code == 200
    assert (await one.operator.get(f"/v1/keys/{key_id}"))["successor_id"] == rotated["id"]
    for house in (other, one):
        await eventually(lambda house=house: me(house, key), lambda answer: answer.status_code == 401)  # type: ignore[misc]
    key_id, key = rotated["id"], rotated["secret"]
    at_once = await holder.with_key(key).post(f"/v1/keys/{key_id}/rotate", {"overlap_s": 0})
    problem(await me(one, key), 401, "unauthenticated")
    await eventually(lambda: me(other, key), lambda answer: answer.status_code == 401)
    assert (await me(other, at_once["secret"])).status_code == 200
