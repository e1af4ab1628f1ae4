"""Goal: a new exchange makes its first operator's key once, in a file that only its owner reads, or not."""

import stat
from pathlib import Path

import pytest

from exchange.kit.database import Database
from exchange.participants import service, store
from tests.integration.members import Caller, running


async def test_the_first_operators_key_is_made_once_and_in_a_private_file(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "keys" / "operator.key"
    path.parent.mkdir()
    path.write_text("left by a start that never committed\n")
    async with database.transaction() as connection:
        text = await service.first_operator_key(connection, path)
    assert text is not None
    assert path.read_text() == f"{text}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = [each for each in path.parent.iterdir() if each != path]
    assert [each.read_text() for each in kept] == ["left by a start that never committed\n"]
    async with running(database) as http:
        caller = Caller(http=http, participant_id=0, secret=text)
        me = (await caller.get("/v1/participants/me")).json()
    assert (me["kind"], me["name"]) == ("operator", "operator")
    async with database.transaction() as connection:
        assert await service.first_operator_key(connection, tmp_path / "other.key") is None
    assert not (tmp_path / "other.key").exists()


async def test_a_first_key_that_cannot_be_written_is_not_made(database: Database, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="file"):
        async with database.transaction() as connection:
            await service.first_operator_key(connection, blocked / "operator.key")
    async with database.transaction() as connection:
        assert not await store.any_key_exists(connection)
        assert await service.first_operator_key(connection, tmp_path / "operator.key") is not None
