"""Goal: an issuer finds active buyers by a part of their name or by their id, and learns what it needs.

Method: the routes over a real database. What is found is compared with a plain search in Python over what was
registered, for many texts and page sizes; whoever may not issue, and texts that find too much, are refused.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from exchange.kit.auth import Scope
from exchange.kit.clock import US_PER_DAY, wall_now_us
from exchange.kit.database import Database, from_us
from exchange.participants import rules
from exchange.participants.models import NewParticipant, Ownership, ParticipantKind, SizeClass
from tests.integration import members
from tests.integration.members import Caller, join, join_as

http = members.http

NAMES = ("深圳智算科技", "智算未来", "Guian AI Lab", "guian models", "100% Computing_", "贵安训练")
SEARCHES = ("智算", "GUIAN", "ai", "训练", "0%", "g_", "lab", "nobody", "\\\\", "''")


def buyer(name: str) -> NewParticipant:
    return NewParticipant(
        kind=ParticipantKind.BUYER,
        name=name,
        region="shenzhen",
        size_class=SizeClass.SMALL,
        founded_on="2025-05-01",
        sectors=("large-models",),
    )


@pytest.fixture
async def issuer(database: Database, http: httpx.AsyncClient) -> Caller:
    return await join_as(database, http, ParticipantKind.ISSUER, "智算 city")


@pytest.fixture
async def buyers(database: Database, http: httpx.AsyncClient) -> list[Caller]:
    provider = NewParticipant(
        kind=ParticipantKind.PROVIDER, name="智算 provider", region="hebei", ownership=Ownership.STATE
    )
    await join(database, http, provider)
    return [await join(database, http, buyer(name)) for name in NAMES]


async def found(caller: Caller, search: str, limit: int = 20) -> list[dict[str, Any]]:
    """Return all that a search finds, page by page."""
    rows: list[dict[str, Any]] = []
    path = f"/v1/buyers?search={quote(search)}&limit={limit}"
    cursor = ""
    while True:
        answer = await caller.get(path + cursor)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["data"]) <= limit
        rows += page["data"]
        if page["next_cursor"] is None:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_a_search_finds_what_a_plain_one_finds(
    issuer: Caller, buyers: Sequence[Caller], limit: int
) -> None:
    by_name = dict(zip(NAMES, buyers, strict=True))
    for search in SEARCHES:
        wanted = [by_name[name].id for name in NAMES if search.lower() in name.lower()]
        assert [each["id"] for each in await found(issuer, search, limit)] == wanted, search


async def test_an_id_finds_its_buyer_and_nobody_else(issuer: Caller, buyers: Sequence[Caller]) -> None:
    [one] = await found(issuer, buyers[0].id)
    assert one == {
        "id": buyers[0].id,
        "name": NAMES[0],
        "region": "shenzhen",
        "size_class": "small",
        "is_startup": True,
    }
    assert await found(issuer, issuer.id) == []


async def test_no_cache_keeps_an_answer(issuer: Caller, buyers: Sequence[Caller]) -> None:
    answer = await issuer.get(f"/v1/buyers?search={buyers[0].id}")
    assert answer.headers["cache-control"] == "no-store"


async def set_keys(database: Database, owner: Caller, **ends: int | None) -> None:
    async with database.transaction() as connection:
        for column, at_us in ends.items():
            await connection.execute(
                f"UPDATE api_key SET {column} = $2 WHERE participant_id = $1",  # noqa: S608 - ours
                owner.participant_id,
                None if at_us is None else from_us(at_us),
            )


async def test_who_is_not_let_in_is_not_found(
    database: Database, issuer: Caller, buyers: Sequence[Caller]
) -> None:
    active, now_us = buyers[0], wall_now_us()
    days_us = rules.ACTIVE_DAYS * US_PER_DAY
    for expired_us, is_found in (
        (now_us - days_us + US_PER_DAY, True),
        (now_us - days_us - US_PER_DAY, False),
    ):
        await set_keys(database, active, expires_at=expired_us)
        assert bool(await found(issuer, active.id)) is is_found
    await set_keys(database, active, expires_at=None)
    assert await found(issuer, active.id)
    await set_keys(database, active, revoked_at=now_us)
    assert await found(issuer, active.id) == []
    assert active.id not in [each["id"] for each in await found(issuer, "智算")]


async def test_only_who_issues_may_search(
    database: Database, http: httpx.AsyncClient, buyers: Sequence[Caller]
) -> None:
    regulator = await join_as(database, http, ParticipantKind.REGULATOR, "regulator")
    reader = await join(
        database, http, NewParticipant(kind=ParticipantKind.ISSUER, name="reader"), Scope.READ
    )
    for caller in (buyers[0], regulator, reader):
        answer = await caller.get(f"/v1/buyers?search={buyers[1].id}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "query", ["", "search=", "search=x", "search=%20%20%20", "search=a%0A", f"search={'x' * 201}"]
)
async def test_a_text_that_says_too_little_is_refused(issuer: Caller, query: str) -> None:
    answer = await issuer.get(f"/v1/buyers?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_query")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["?search"]
