"""Databases for tests: one embedded PostgreSQL a session, and on it a migrated database a test or a module.

Started when a test first asks, so tests that need no database pay nothing. A database is a copy of one that
the real migrations made, and is dropped after its test.

Nobody needs what this server writes once the session is over, so it does not wait for the disk (`UNSAFE`), as
the product's does: that was most of a test's time. Tests of what survives a crash start servers of their own.

Fixtures: `postgres` (the server), `database_url` and `database` (fresh for each test), `module_database_url`
and `module_database` (shared by a module's tests), `empty_database_url` (fresh, without any table), and
`patience`. Every test finds them, because pyproject.toml names this module as a plugin.
"""

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import pytest

from exchange.kit import database as kit
from exchange.kit.audit_months import make_months
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import DATABASE, EmbeddedPostgres
from exchange.kit.migrate import migrate

TEMPLATE: Final = "template_migrated"
TESTS_AT_US: Final = 1_772_000_000_000_000
"""The venue time that most tests begin at."""
UNSAFE: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
    # Its workers would look into each of the short-lived databases, and be in the way of dropping them.
    "autovacuum": "off",
}
PATIENCE_S: Final = 120
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own name is made in it
MEMORY_BYTES_MIN: Final = 1024**3
T = TypeVar("T")
_numbers = itertools.count(1)


class Administrator:
    """Makes and drops databases over one connection, from a thread of its own.

    A thread, because the caller's may have an event loop of a test's.
    """

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        """Connect."""
        self._url = postgres.url
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="administrator")
        self._runner = asyncio.Runner()
        self._database = self._run(Database.connect(self._url, connections_min=1, connections_max=1))

    def make_template(self) -> str:
        """Migrate one database, for the others to be copies of, and return its name.

        Its audit trail has the months that most tests live in, so that none has to make them.
        """
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        self._run(migrate(self._url_of(TEMPLATE)))
        self._run(self._make_months(self._url_of(TEMPLATE)))
        return TEMPLATE

    @staticmethod
    async def _make_months(url: str) -> None:
        database = await Database.connect(url, connections_min=1, connections_max=1)
        async with database.transaction() as connection:
            await make_months(connection, TESTS_AT_US)
        await database.close()

    @contextlib.contextmanager
    def new_database(self, template: str) -> Iterator[str]:
        """Lend the address of a new copy of a template."""
        name = f"test_{next(_numbers)}"
        # Copies files, where the default writes each page to the log: five times as fast without fsync.
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield self._url_of(name)
        # By force: a test that failed with a connection open shall fail for its own reason only.
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Close the connection and end the thread."""
        self._run(self._database.close())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def _url_of(self, name: str) -> str:
        return self._url.replace(f"/{DATABASE}?", f"/{name}?")

    def _execute(self, statement: str) -> None:
        self._run(self._execute_there(statement))

    async def _execute_there(self, statement: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute(statement)

    def _run(self, work: Coroutine[object, object, T]) -> T:
        """Run to its end in the thread."""
        return self._thread.submit(self._runner.run, work).result()


@contextlib.contextmanager
def patient_locks() -> Iterator[None]:
    """Let whoever connects from now on wait for a lock for as long as a test on a busy machine holds it."""
    with pytest.MonkeyPatch.context() as patient:
        patient.setattr(kit, "LOCK_TIMEOUT", f"{PATIENCE_S}s")
        yield


@pytest.fixture
def patience() -> Iterator[None]:
    """Have `patient_locks` for a test."""
    with patient_locks():
        yield


@contextlib.asynccontextmanager
async def crowded(url: str, connections: int) -> AsyncIterator[Database]:
    """Open a pool for so many that all want the same rows at once.

    Patient: what becomes of them in the end is to be seen, and on a busy machine the last of them waits for
    longer than the product lets anybody wait.
    """
    with patient_locks(), pytest.MonkeyPatch.context() as patient:
        patient.setattr(kit, "ACQUIRE_TIMEOUT_S", float(PATIENCE_S))
        patient.setattr(kit, "CONNECT_TIMEOUT_S", float(PATIENCE_S))
        pool = await Database.connect(url, connections_min=1, connections_max=connections)
        try:
            yield pool
        finally:
            await pool.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Run a server for the session, in memory where there is enough.

    A database is 450 files: made and deleted every second, they keep a file system busier than the tests do
    the server.
    """
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("postgres")
        with contextlib.suppress(OSError):
            if shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="exchange-tests-", dir=MEMORY)))
        yield stack.enter_context(EmbeddedPostgres(folder, UNSAFE))


@pytest.fixture(scope="session")
def administrator(postgres: EmbeddedPostgres) -> Iterator[Administrator]:
    """Stand by to make databases."""
    administrator = Administrator(postgres)
    yield administrator
    administrator.close()


@pytest.fixture(scope="session")
def migrated_template(administrator: Administrator) -> str:
    """Migrate one database, for the others to be copies of."""
    return administrator.make_template()


@pytest.fixture
def database_url(administrator: Administrator, migrated_template: str) -> Iterator[str]:
    """Give a test a migrated database of its own."""
    with administrator.new_database(migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(administrator: Administrator, migrated_template: str) -> Iterator[str]:
    """Give a module's tests a migrated database to share."""
    with administrator.new_database(migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(administrator: Administrator) -> Iterator[str]:
    """Give a test a database without tables."""
    with administrator.new_database("template1") as url:
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
