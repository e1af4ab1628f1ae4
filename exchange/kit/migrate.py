"""Bring a database to the schema of this program: numbered SQL files, each applied once, in order.

Each file is one transaction, recorded in schema_migration with its SHA-256. An advisory lock makes concurrent
starters wait for each other. A database that was migrated by other files (edited, missing here, or slipped in
below ones already applied) is refused before anything is changed.

Known limit: forward only. A file cannot hold what PostgreSQL forbids inside a transaction.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from exchange.kit.database import Connection, ConnectionLost
from exchange.kit.silence import WatchedConnection

MIGRATIONS_FOLDER = Path(__file__).resolve().parents[2] / "migrations"
LOCK_KEY = 0x65786368616E6765  # "exchange"

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_CREATE_TABLE = """
CREATE TABLE schema_migration (
    version     INTEGER PRIMARY KEY CHECK (version > 0),
    name        TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    applied_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
)"""


class MigrationError(Exception):
    """The files and the database do not go together, or a file failed; the message names the file."""


class Migration(NamedTuple):
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The file's checksum, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def file_name(self) -> str:
        """The file's name, `0001_participants.sql`."""
        return f"{self.version:04}_{self.name}.sql"


async def migrate(target: str | Connection, folder: Path = MIGRATIONS_FOLDER) -> list[str]:
    """Apply what is missing and return the names of the files applied, in order.

    `target` is an address, or a connection outside of a transaction. MigrationError where files and database
    do not go together or a file fails; files before it stay applied, it leaves nothing.
    """
    migrations = read_migrations(folder)
    async with _locked(target) as connection:
        # A role that may not create tables can still start on a database that lacks nothing.
        if await connection.fetchval("SELECT to_regclass('schema_migration') IS NULL"):
            await connection.execute(_CREATE_TABLE)
        rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migration ORDER BY version")
        check_history(migrations, [(row["version"], row["name"], row["sha256"]) for row in rows])
        missing = migrations[len(rows) :]
        for migration in missing:
            await _apply(connection, migration)
    return [migration.file_name for migration in missing]


def read_migrations(folder: Path) -> list[Migration]:
    """Read a folder's numbered files, in order. MigrationError unless they are numbered 1, 2, 3 ..."""
    migrations = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named like 0001_what_it_does.sql")
        migrations.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    for position, migration in enumerate(migrations, start=1):
        if migration.version != position:
            raise MigrationError(f"{migration.file_name} should be number {position:04}")
    if not migrations:
        raise MigrationError(f"there are no migrations in {folder}")
    return migrations


def check_history(migrations: Sequence[Migration], applied: Sequence[tuple[int, str, str]]) -> None:
    """Raise MigrationError unless `applied` (version, name, checksum) is how `migrations` begins."""
    if len(applied) > len(migrations):
        version, name, _ = applied[len(migrations)]
        raise MigrationError(f"the database is newer than this program: it has {version:04}_{name}.sql")
    for migration, (version, name, sha256) in zip(migrations, applied, strict=False):
        if (migration.version, migration.name) != (version, name):
            raise MigrationError(
                f"the database has {version:04}_{name}.sql where we have {migration.file_name}"
            )
        if migration.sha256 != sha256:
            raise MigrationError(f"{migration.file_name} was edited after it was applied")


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            if not connection.is_in_transaction():
                raise MigrationError(f"{migration.file_name} ends its transaction itself")
            await connection.execute(
                "INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.file_name} failed and left nothing: {error}") from error


@asynccontextmanager
async def _locked(target: str | Connection) -> AsyncIterator[Connection]:
    """Hold the migrations' lock on a connection, one of our own where an address is given."""
    if isinstance(target, PoolConnectionProxy):
        async with _advisory_lock(target):
            yield target
        return
    try:
        try:
            pool = await asyncpg.create_pool(
                target, min_size=1, max_size=1, connection_class=WatchedConnection
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            detail = f"the database does not let us in: {error}"
            raise ConnectionLost(detail, outcome="not_applied") from error
        except (ValueError, OverflowError) as error:
            # Python's own words could repeat a part of the address, which may hold the password.
            detail = "the database's address cannot be read: its host or port is wrong"
            raise ConnectionLost(detail, outcome="not_applied") from error
        async with pool, pool.acquire() as connection, _advisory_lock(connection):
            yield connection
    except OSError as error:
        raise ConnectionLost(f"the database cannot be reached: {error}", outcome="not_applied") from error


@asynccontextmanager
async def _advisory_lock(connection: Connection) -> AsyncIterator[None]:
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
