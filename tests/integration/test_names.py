"""Goal: no two participants and no two trade groups have names that look alike, or cannot be seen.

Method: the routes over a real database; then the database by itself, whatever the service thinks of a name.
"""

import pytest

from exchange.kit.database import Database, UniqueViolation
from tests.integration import members
from tests.integration.members import BUYER_BODY, Caller, faults_of

http, operator = members.http, members.operator


@pytest.mark.parametrize(
    "alike", ["HOLDING ONE", "Holding  One", "Ｈｏｌｄｉｎｇ\u00a0Ｏｎｅ", "Holding\ufe0f One"]
)
async def test_a_name_that_looks_like_anothers_is_taken(
    database: Database, operator: Caller, alike: str
) -> None:
    body = {**BUYER_BODY, "name": "Holding One"}
    assert (await operator.post("/v1/participants", body)).status_code == 201
    assert (await operator.post("/v1/trade-groups", {"name": "Holding One"})).status_code == 201
    for path, again in (
        ("/v1/participants", {**body, "name": alike}),
        ("/v1/trade-groups", {"name": alike}),
    ):
        refused = await operator.post(path, again)
        assert (refused.status_code, refused.json()["code"]) == (409, "already_exists")
    # The database's own word: whatever the service thinks of a name.
    for table in ("participant", "trade_group"):
        async with database.connection() as connection:
            with pytest.raises(UniqueViolation):
                await connection.execute(
                    f"INSERT INTO {table} SELECT (jsonb_populate_record(row, '{{\"id\": 7}}')).*"  # noqa: S608 - names of ours
                    f" FROM {table} AS row WHERE name = 'Holding One'"
                )


@pytest.mark.parametrize("name", ["   ", "\u200b", "a\nb", "\u202ecba", " a", "a "])
async def test_a_name_that_cannot_be_seen_is_refused(operator: Caller, name: str) -> None:
    for path, body in (
        ("/v1/participants", {**BUYER_BODY, "name": name, "sectors": ["ai", "ai"]}),
        ("/v1/trade-groups", {"name": name}),
    ):
        refused = await operator.post(path, body)
        assert refused.status_code == 422
        assert ("/name", "bad_name") in faults_of(refused)
        assert len(faults_of(refused)) == (2 if "sectors" in body else 1)
