"""Goal: any process tells how far sealing is behind, and that nobody holds the key, where that is so.

Method: records counted beside the plain list of them, before and after they are sealed; a whole exchange on a
database whose key stayed on another machine.
"""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exchange.kit.database import Database
from exchange.transparency.standing import SealWatch
from tests.e2e.served import Served, eventually, served
from tests.sealed_world import SealedWorld, sealed_world
from tests.unit.test_meters import parsed


@pytest.fixture
async def world(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[SealedWorld]:
    async with sealed_world(database, database_url, tmp_path) as opened:
        yield opened


async def test_what_waits_is_counted_and_for_how_long_whoever_seals(world: SealedWorld) -> None:
    rng, watch = random.Random(31), SealWatch()
    sealed = 0
    for _ in range(4):
        before = watch.waiting_s
        await world.write(rng, 3)
        records = len(await world.records())
        async with world.database.connection() as connection:
            standing = await watch.look(connection)
        assert (standing.size, standing.unsealed_records) == (sealed, records - sealed)
        assert watch.waiting_s > 0 == before
        since = watch.waiting_s
        async with world.database.connection() as connection:
            await watch.look(connection)
        assert watch.waiting_s > since  # it is the same wait
        assert watch.checkpoint_age_s > 0
        await world.seal()
        sealed = len(await world.records())
        async with world.database.connection() as connection:
            standing = await watch.look(connection)
        assert (standing.size, standing.unsealed_records) == (sealed, 0)
        assert standing.sealed_at_us is not None
        assert watch.waiting_s == watch.checkpoint_age_s == 0


async def _told(house: Served) -> Any:
    return await house.operator.get("/v1/operations")


async def _metrics(house: Served) -> dict[Any, float]:
    return parsed((await house.operator.send("GET", "/metrics")).text)


async def test_an_exchange_whose_key_is_elsewhere_says_so_everywhere(
    database_url: str, tmp_path: Path
) -> None:
    async with served(database_url, tmp_path / "first", checkpoint_period_s=0.5) as house:
        now = await eventually(
            lambda: _told(house),
            lambda told: (
                told["sealing"]["size"] > 0 and told["sealing"]["unsealed_records"] == 0 and told["processes"]
            ),
        )
        assert now["sealing"]["signers"] == [now["process"]]
        assert "nobody_can_sign" not in now["sealing"]["warnings"]
        assert now["sealing"]["period_s"] == 0.5
        assert (await _metrics(house))["exchange_audit_can_sign", ()] == 1
        assert "no process" not in (await house.http.get("/readyz")).text
        key = (tmp_path / "first" / "operator.key").read_text()
    # Another machine: the operator's key came along, that of the checkpoints did not.
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "operator.key").write_text(key)
    async with served(database_url, tmp_path / "second") as house:
        await house.join("regulator", ["read"])
        # A process tells of itself a moment after it takes requests.
        now = await eventually(lambda: _told(house), lambda told: told["processes"])
        assert now["sealing"]["signers"] == []
        assert now["sealing"]["warnings"] == ["nobody_can_sign"]
        assert now["sealing"]["unsealed_records"] > 0
        assert now["sealing"]["sealed_at"] is not None
        assert [each["report"]["can_sign"] for each in now["processes"]] == [False]
        seen = await _metrics(house)
        assert seen["exchange_audit_can_sign", ()] == 0
        assert seen["exchange_audit_unsealed_records", ()] > 0
        assert seen["exchange_audit_checkpoint_age_seconds", ()] > 0
        answer = await house.http.get("/readyz")  # it is no reason to send callers elsewhere
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ready",
            "notes": ["the record is not sealed: no process holds the signing key"],
        }
