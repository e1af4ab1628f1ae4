"""Goal: a database is at this schema or untouched. Method: temporary folders of small migrations."""

import asyncio
from pathlib import Path

import pytest

from exchange.kit.database import ConnectionLost, Database
from exchange.kit.migrate import MIGRATIONS_FOLDER, MigrationError, migrate

FIRST = "CREATE TABLE first (id BIGINT PRIMARY KEY);"
SECOND = "CREATE TABLE second (id BIGINT PRIMARY KEY); INSERT INTO second VALUES (1);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text(SECOND)
    (tmp_path / "schema.sql").write_text("nonsense, which is not numbered and not run")
    return tmp_path


async def _tables(url: str) -> list[str]:
    database = await Database.connect(url, connections_min=1)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
    await database.close()
    return [row["tablename"] for row in rows]


async def test_files_are_applied_in_order_once(empty_database_url: str, folder: Path) -> None:
    assert await migrate(empty_database_url, folder) == ["0001_first.sql", "0002_second.sql"]
    assert await migrate(empty_database_url, folder) == []
    (folder / "0003_third.sql").write_text("DROP TABLE first")
    assert await migrate(empty_database_url, folder) == ["0003_third.sql"]
    assert await _tables(empty_database_url) == ["schema_migration", "second"]


async def test_a_lent_connection_is_taken_too(empty_database_url: str, folder: Path) -> None:
    database = await Database.connect(empty_database_url, connections_min=1)
    async with database.connection() as connection:
        assert len(await migrate(connection, folder)) == 2
        assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await database.close()


async def test_eight_starters_apply_each_file_once(empty_database_url: str, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url, folder) for _ in range(8)))
    assert sorted(map(len, applied)) == [0] * 7 + [2]


async def test_a_failing_file_leaves_nothing_and_those_before_it_stay(
    empty_database_url: str, folder: Path
) -> None:
    (folder / "0003_third.sql").write_text("CREATE TABLE third (); SELECT 1 / 0;")
    with pytest.raises(MigrationError, match=r"0003_third\.sql failed and left nothing: division by zero"):
        await migrate(empty_database_url, folder)
    assert await _tables(empty_database_url) == ["first", "schema_migration", "second"]
    (folder / "0003_third.sql").write_text("CREATE TABLE third ();")
    assert await migrate(empty_database_url, folder) == ["0003_third.sql"]


async def test_an_edited_file_is_refused_before_anything_is_changed(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0001_first.sql").write_text(FIRST + " -- edited")
    (folder / "0003_third.sql").write_text("CREATE TABLE third ();")
    with pytest.raises(MigrationError, match=r"0001_first\.sql was edited after it was applied"):
        await migrate(empty_database_url, folder)
    assert "third" not in await _tables(empty_database_url)


async def test_a_renamed_file_and_a_newer_database_are_refused(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0002_second.sql").rename(folder / "0002_other.sql")
    with pytest.raises(MigrationError, match=r"has 0002_second\.sql where we have 0002_other\.sql"):
        await migrate(empty_database_url, folder)
    (folder / "0002_other.sql").unlink()
    with pytest.raises(MigrationError, match=r"newer than this program: it has 0002_second\.sql"):
        await migrate(empty_database_url, folder)


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_twice.sql", "3_short.sql", "0003-dash.sql"])
async def test_a_misnumbered_file_is_refused(empty_database_url: str, folder: Path, name: str) -> None:
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"should be number|is not named like"):
        await migrate(empty_database_url, folder)
    assert await _tables(empty_database_url) == []


async def test_a_file_that_ends_its_transaction_is_refused(empty_database_url: str, folder: Path) -> None:
    (folder / "0003_third.sql").write_text("COMMIT;")
    with pytest.raises(MigrationError, match=r"0003_third\.sql ends its transaction itself"):
        await migrate(empty_database_url, folder)


async def test_an_empty_folder_is_refused(empty_database_url: str, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no migrations"):
        await migrate(empty_database_url, tmp_path)


async def test_a_server_that_is_not_there_is_said_to_be_lost(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConnectionLost):
        await migrate(f"postgresql://exchange@/exchange?host={tmp_path}", folder)


async def test_the_real_migrations_apply(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) == [
        path.name for path in sorted(MIGRATIONS_FOLDER.glob("[0-9]*.sql"))
    ]
