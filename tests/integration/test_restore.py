"""Goal: a database that was restored from a dump seals and verifies as before, by the step of the handbook.

Method: PostgreSQL's own programs, on servers of our own: a dump with sealed records, restored twice. One is
used as it is, the other after the step that docs/operations.md tells, with the statement that stands there.
"""

import asyncio
import random
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate
from exchange.kit.postgres_files import binaries_folder
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.models import FaultKind
from exchange.transparency.sealer import Doubt
from tests.architecture.source import ROOT
from tests.databases import UNSAFE
from tests.sealed_world import SealedWorld, sealed_world

HANDBOOK = ROOT / "docs" / "operations.md"


def program(name: str, *arguments: str, **more: Any) -> None:
    """Run one of PostgreSQL's programs."""
    done = subprocess.run(
        [str(binaries_folder() / name), *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        **more,
    )
    assert done.returncode == 0, done.stderr


def superuser(url: str) -> str:
    return url.replace("//exchange@", "//postgres@")


def epoch_statement() -> str:
    """Return what the handbook asks the restored database for."""
    found = re.search(
        r"^SELECT .*? AS epoch;$", HANDBOOK.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return found[0]


def dump(url: str, file: Path) -> None:
    program("pg_dump", "--format=custom", "--no-unlogged-table-data", f"--file={file}", superuser(url))


def restore(url: str, file: Path) -> None:
    program("pg_restore", "--exit-on-error", f"--dbname={superuser(url)}", str(file))


def begin_epoch(server: EmbeddedPostgres, epoch: int) -> None:
    """Take the step of the handbook: the server is stopped, and started again."""
    cluster = server.data_dir / "cluster"
    server.stop()
    # As the cluster's owner, in it: the folders above may be closed to that user.
    program("pg_resetwal", f"--epoch={epoch}", ".", cwd=cluster, user=cluster.stat().st_uid)
    server.start()


@asynccontextmanager
async def opened(url: str, before: SealedWorld) -> AsyncIterator[SealedWorld]:
    """Open the restored database with the key and the folder that the log had."""
    database = await Database.connect(url, connections_min=1)
    tamperer = await Database.connect(superuser(url), connections_min=1)
    try:
        yield SealedWorld(database, tamperer, before.settings, before.signer)
    finally:
        await tamperer.close()
        await database.close()


@pytest.mark.parametrize("is_by_the_handbook", [False, True])
async def test_a_database_from_a_dump_goes_on_in_order_by_the_step_of_the_handbook(
    tmp_path: Path, *, is_by_the_handbook: bool
) -> None:
    rng, file = random.Random(41), tmp_path / "dump"
    servers = [EmbeddedPostgres(tmp_path / name, UNSAFE) for name in ("first", "second")]
    try:
        await asyncio.to_thread(servers[0].start)
        await asyncio.to_thread(begin_epoch, servers[0], 3)  # it has lived for long, or was restored before
        url = servers[0].url
        await migrate(url)
        database = await Database.connect(url, connections_min=1)
        async with sealed_world(database, url, tmp_path / "data") as world:
            await world.write(rng, 30)
            await world.seal()
            sealed = await world.records()
            await world.write(rng, 2)  # what was not sealed yet is in the dump as well
            every = await world.records()
            await asyncio.to_thread(dump, url, file)
        await database.close()
        new_url = await asyncio.to_thread(servers[1].start)
        await asyncio.to_thread(restore, new_url, file)
        async with opened(new_url, world) as restored:
            assert await restored.records() == every
            verdict = await restored.verify()
            assert (verdict.fault, verdict.log_size) == (None, len(sealed))
            async with restored.database.connection() as connection:
                epoch = await connection.fetchval(epoch_statement())
        assert epoch == 4
        if is_by_the_handbook:
            await asyncio.to_thread(begin_epoch, servers[1], epoch)
        async with opened(servers[1].url, world) as restored:
            await restored.write(rng, 5)
            if is_by_the_handbook:
                await restored.seal()
                assert (await restored.records())[: len(every)] == every  # whatever is new comes after
                verdict = await restored.verify()
                assert (verdict.fault, verdict.unsealed) == (None, 0)
                assert verdict.log_size == len(await restored.records())
            else:
                with pytest.raises(Doubt, match=f"pg_resetwal --epoch={epoch}"):
                    await restored.sealer().turn(at_once=True)
                assert (await restored.fault()).kind is FaultKind.INSERTED
        assert CheckpointFolder.of(world.settings).checkpoints.exists()
    finally:
        for server in servers:
            await asyncio.to_thread(server.stop)
