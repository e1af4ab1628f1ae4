"""Goal: a rotated key has one heir, which can do what it could, no more, no longer, and is in the same hand.

Method: the routes over a real database; keys of one participant that come of one another and that do not.
"""

import asyncio
from typing import Any

import httpx
import pytest

from exchange.kit.auth import Scope
from exchange.kit.clock import US_PER_DAY, format_rfc3339, parse_rfc3339, wall_now_us
from exchange.kit.database import Database
from exchange.kit.ids import decode_id, encode_id
from exchange.participants import service
from exchange.participants.models import KeyGrant, ParticipantKind
from tests.integration import members
from tests.integration.members import AT_US, Caller, join_as

http, operator = members.http, members.operator


@pytest.fixture
async def city(database: Database, http: httpx.AsyncClient) -> Caller:
    return await join_as(database, http, ParticipantKind.ISSUER, "city")


def id_of(caller: Caller) -> str:
    return f"key_{caller.secret.split('_')[1]}"


async def made(caller: Caller, **more: object) -> tuple[dict[str, Any], Caller]:
    answer = await caller.post("/v1/keys", {"scopes": ["read"], **more})
    assert answer.status_code == 201, answer.text
    return answer.json(), caller.with_key(answer.json()["secret"])


async def rotate(caller: Caller, key_id: str, overlap_s: int = 600, **more: object) -> httpx.Response:
    return await caller.post(f"/v1/keys/{key_id}/rotate", {"overlap_s": overlap_s, **more})


async def rotated(caller: Caller, key_id: str, overlap_s: int = 600, **more: object) -> dict[str, Any]:
    answer = await rotate(caller, key_id, overlap_s, **more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return str(answer.json()["detail"])


async def root_of(database: Database, key_id: str) -> str:
    async with database.connection() as connection:
        return encode_id("key", await service.key_root(connection, decode_id("key", key_id) or 0))


def in_days(days: int) -> str:
    return format_rfc3339(wall_now_us() + days * US_PER_DAY)


async def test_the_heir_can_do_what_the_key_could_and_the_key_ends(city: Caller, database: Database) -> None:
    facts = {"label": "desk 7", "allowed_networks": ["127.0.0.0/8"], "expires_at": in_days(30)}
    key, holder = await made(city, scopes=["read", "issue"], **facts)
    before_us = wall_now_us()
    heir = await rotated(holder, key["id"])
    for field in ("participant_id", "label", "scopes", "allowed_networks", "expires_at", "revoked_at"):
        assert heir[field] == key[field], field
    assert heir["secret"] != key["secret"]
    for text in (key["secret"], heir["secret"]):
        assert (await city.with_key(text).get("/v1/participants/me")).status_code == 200
    shown = (await city.get(f"/v1/keys/{key['id']}")).json()
    assert (shown["maker_id"], shown["successor_id"]) == (id_of(city), heir["id"])
    assert heir["maker_id"] == key["id"]
    assert (await city.get(f"/v1/keys/{id_of(city)}")).json()["maker_id"] is None
    ends_us = parse_rfc3339(shown["expires_at"]) or 0
    assert before_us + 600_000_000 <= ends_us <= wall_now_us() + 600_000_000
    at_once = await rotated(city.with_key(heir["secret"]), heir["id"], overlap_s=0)
    assert (await city.with_key(heir["secret"]).get("/v1/participants/me")).status_code == 401
    assert (await city.with_key(at_once["secret"]).get("/v1/participants/me")).status_code == 200
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT subject_id, key_id, detail::text FROM audit_record WHERE code = 'KROT' ORDER BY id"
        )
    assert [encode_id("key", row["subject_id"]) for row in rows] == [key["id"], heir["id"]]
    assert [encode_id("key", row["key_id"]) for row in rows] == [key["id"], heir["id"]]
    assert heir["id"] in rows[0]["detail"]


async def test_a_rotation_sent_again_is_the_same_one_without_its_secret(city: Caller) -> None:
    key_id = id_of(city)
    path, body = f"/v1/keys/{key_id}/rotate", {"overlap_s": 600}
    first = await city.post(path, body, key="once")
    again = await city.post(path, body, key="once")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json() | {"secret": None}
    refused(await city.post(path, {"overlap_s": 601}, key="once"), 422, "idempotency_key_reused")
    refused(await city.post(path, body), 409, "key_ended")


async def test_what_has_ended_cannot_be_rotated(city: Caller, operator: Caller) -> None:
    key, holder = await made(city)
    assert (await city.delete(f"/v1/keys/{key['id']}")).status_code == 204
    for caller in (city, operator):
        assert "revoked" in refused(await rotate(caller, key["id"]), 409, "key_ended")
    gone, holder = await made(city)
    await rotated(holder, gone["id"], overlap_s=0)
    refused(await rotate(city, gone["id"]), 409, "key_ended")


async def test_a_key_has_one_heir_at_a_time_however_many_ask(city: Caller) -> None:
    key, holder = await made(city, expires_at=in_days(30))
    answers = await asyncio.gather(*(rotate(holder, key["id"]) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    [heir] = [answer.json() for answer in answers if answer.status_code == 201]
    assert heir["id"] in refused(await rotate(holder, key["id"]), 409, "key_ended")
    # Its text may have been lost: revoked, it makes place for another, which lives no longer, nor the key.
    ended = (await city.get(f"/v1/keys/{key['id']}")).json()["expires_at"]
    assert (await holder.delete(f"/v1/keys/{heir['id']}")).status_code == 204
    other = await rotated(holder, key["id"], overlap_s=7 * 86_400)
    assert other["expires_at"] == key["expires_at"]
    assert (await city.get(f"/v1/keys/{key['id']}")).json()["expires_at"] == ended


async def test_a_key_renews_itself_for_no_longer_than_it_had(
    city: Caller, operator: Caller, database: Database
) -> None:
    key, holder = await made(city, expires_at=in_days(30))
    async with database.transaction() as connection:  # made ten days ago
        await connection.execute(
            "UPDATE api_key SET created_at = created_at - interval '10 days' WHERE id = $1",
            decode_id("key", key["id"]),
        )
    # Who may give more gives the time that the key was made with, forty days; the key gives what it has.
    for caller in (city, operator):
        heir = await rotated(caller, key["id"])
        days = ((parse_rfc3339(heir["expires_at"]) or 0) - wall_now_us()) / US_PER_DAY
        assert 39.9 < days < 40.1
        assert (await caller.delete(f"/v1/keys/{heir['id']}")).status_code == 204
    other, holder = await made(city, expires_at=in_days(30))
    assert (await rotated(holder, other["id"]))["expires_at"] == other["expires_at"]
    # A key that ends gives nothing that ends later.
    short, hand = await made(city, expires_at=in_days(5))
    long_, _ = await made(hand, expires_at=in_days(4))
    assert (await rotated(hand, long_["id"]))["expires_at"] <= short["expires_at"]


async def test_nobody_rotates_what_goes_beyond_the_own_key(
    city: Caller, operator: Caller, database: Database, http: httpx.AsyncClient
) -> None:
    _, reader = await made(city)
    refused(await rotate(reader, id_of(city)), 403, "forbidden")
    wide, _ = await made(city)
    _, bound = await made(city, allowed_networks=["127.0.0.0/8"])
    assert "networks" in refused(await rotate(bound, wide["id"]), 403, "forbidden")
    stranger = await join_as(database, http, ParticipantKind.ISSUER, "other city")
    for key_id in (id_of(city), "key_0000000000001", "key_nonsense", "x"):
        refused(await rotate(stranger, key_id), 404, "not_found")
    other_desk = await join_as(database, http, ParticipantKind.OPERATOR, "other desk")
    narrow, _ = await made(operator)
    _, poor = await made(other_desk, scopes=["operate"])
    assert "scopes" in refused(await rotate(poor, narrow["id"]), 403, "forbidden")


async def test_the_heir_is_in_the_hand_that_asks(city: Caller, operator: Caller, database: Database) -> None:
    """Two hands of one city grant together what neither may alone; rotation must not make one hand two."""
    async with database.transaction() as connection:
        grant = KeyGrant(participant_id=city.participant_id, scopes=frozenset({Scope.READ, Scope.ISSUE}))
        _, text = await service.create_key(connection, None, grant, AT_US)
    second = city.with_key(text)
    assert await root_of(database, id_of(city)) != await root_of(database, id_of(second))
    detail = refused(await rotate(city, id_of(second)), 403, "forbidden")
    assert "come of the same" in detail
    child, _ = await made(second, scopes=["read", "issue"])
    for asking, key_id in ((second, child["id"]), (second, id_of(second)), (operator, id_of(city))):
        root = await root_of(database, key_id)
        heir = await rotated(asking, key_id)
        assert await root_of(database, heir["id"]) == root
        # And so for what it makes.
        grandchild, _ = await made(city.with_key(heir["secret"]))
        assert await root_of(database, grandchild["id"]) == root


@pytest.mark.parametrize(
    "body,expected",
    [
        ({}, {("/overlap_s", "required")}),
        ({"overlap_s": -1, "x": 1}, {("/overlap_s", "out_of_range"), ("/x", "unknown_field")}),
        (
            {"overlap_s": 604_801, "signing_public_key": "AAAA"},
            {("/overlap_s", "out_of_range"), ("/signing_public_key", "bad_signing_key")},
        ),
    ],
)
async def test_every_fault_of_the_wish_is_named(
    city: Caller, body: dict[str, object], expected: set[tuple[str, str]]
) -> None:
    answer = await city.post(f"/v1/keys/{id_of(city)}/rotate", body)
    assert answer.status_code == 422
    assert {(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]} == expected
    assert (await city.get(f"/v1/keys/{id_of(city)}")).json()["successor_id"] is None
