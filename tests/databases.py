"""Databases for tests: one embedded PostgreSQL a session, and on it a migrated database a test or a module.

Started when a test first asks, so tests that need no database pay nothing. A database is a copy of one that
the real migrations made, and is dropped after its test.

Fixtures: `postgres` (the server), `database_url` and `database` (fresh for each test), `module_database_url`
and `module_database` (shared by a module's tests), `empty_database_url` (fresh, without any table). Every
test finds them, because pyproject.toml names this module as a plugin.
"""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager

import pytest
from asyncpg import ObjectInUseError

from exchange.kit.database import Database
from exchange.kit.embedded_postgres import DATABASE, EmbeddedPostgres
from exchange.kit.migrate import migrate

TEMPLATE = "template_migrated"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Run a server for the session."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """Migrate one database, for the others to be copies of."""
    _run(lambda: _execute(postgres.url, f"CREATE DATABASE {TEMPLATE}"))
    _run(lambda: migrate(_url_of(postgres, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """Give a test a migrated database of its own."""
    with _new_database(postgres, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """Give a module's tests a migrated database to share."""
    with _new_database(postgres, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Give a test a database without tables."""
    with _new_database(postgres, "template1") as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give a test a pool on a migrated database of its own."""
    pool = await Database.connect(database_url, connections_min=1)
    yield pool
    await pool.close()


@pytest.fixture(scope="module")
async def module_database(module_database_url: str) -> AsyncIterator[Database]:
    """Give a module's tests a pool on a migrated database to share."""
    pool = await Database.connect(module_database_url, connections_min=1)
    yield pool
    await pool.close()


@contextmanager
def _new_database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _run(lambda: _execute(postgres.url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield _url_of(postgres, name)
    try:
        # A plain drop lets an autovacuum worker go first; by force it is refused, as the worker is not ours.
        _run(lambda: _execute(postgres.url, f"DROP DATABASE {name}"))
    except ObjectInUseError:
        # A test that failed with a connection open shall fail for its own reason only.
        _run(lambda: _execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))


def _url_of(postgres: EmbeddedPostgres, name: str) -> str:
    return postgres.url.replace(f"/{DATABASE}?", f"/{name}?")


async def _execute(url: str, statement: str) -> None:
    pool = await Database.connect(url, connections_min=1, connections_max=1)
    try:
        async with pool.connection() as connection:
            await connection.execute(statement)
    finally:
        await pool.close()


def _run(work: Callable[[], Coroutine[object, object, object]]) -> None:
    """Run to its end in a thread of its own: the caller's may have an event loop of the test's."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
