"""Goal: migrations/schema.sql, which people read, is what the migrations make. Method: compare dumps."""

import subprocess
from collections.abc import Callable

from exchange.kit.database import Database
from exchange.kit.migrate import MIGRATIONS_FOLDER
from exchange.kit.postgres_files import binaries_folder

# What is not the schema: the migrations' own record, the months of the audit trail that a clock has made, and
# a key that newer dumps draw at random.
OPTIONS = (
    "--no-owner",
    "--exclude-table=schema_migration",
    "--exclude-table=audit_record_2*",
    "--restrict-key=schema",
)


def _dump(url: str, *options: str) -> list[str]:
    said = subprocess.run(
        [binaries_folder() / "pg_dump", *OPTIONS, *options, url], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()


async def _read_schema(url: str, change: Callable[[str], str] = str) -> None:
    database = await Database.connect(url, connections_min=1)
    async with database.connection() as connection:
        await connection.execute(change((MIGRATIONS_FOLDER / "schema.sql").read_text(encoding="utf-8")))
    await database.close()


async def test_the_readable_schema_is_what_the_migrations_make(
    database_url: str, empty_database_url: str
) -> None:
    await _read_schema(empty_database_url)
    migrated = _dump(database_url)
    assert len(migrated) > 100
    assert _dump(empty_database_url) == migrated


async def test_a_difference_of_one_constraint_is_seen(database_url: str, empty_database_url: str) -> None:
    await _read_schema(empty_database_url, lambda text: text.replace("CHECK (id > 0)", "CHECK (id > 1)", 1))
    assert _dump(empty_database_url, "--schema-only") != _dump(database_url, "--schema-only")
