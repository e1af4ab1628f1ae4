"""Goal: a database that was restored goes on as before, by the handbook, and is not traded in without.

Method: PostgreSQL's own programs, on servers of our own: a dump with sealed records, restored twice. One is
used as it is, the other after the step that docs/operations.md tells, with the statement that stands there.
Elsewhere a log that lost its last blocks, beside a folder that has their checkpoints.
"""

import asyncio
import random
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.app import Exchange, StartError
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate
from exchange.kit.postgres_files import binaries_folder
from exchange.kit.settings import Settings
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.models import FaultKind
from exchange.transparency.notes import read_checkpoint
from exchange.transparency.sealer import Doubt
from exchange.transparency.starting import check_transactions
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


async def refusal(settings: Settings) -> str:
    """Return why an exchange does not start; it names a chapter of the handbook."""
    with pytest.raises(StartError) as refused:
        await Exchange.open(settings)
    chapter = re.search(r'docs/operations.md, "(.*)"', str(refused.value))
    assert chapter is not None
    assert f"\n## {chapter[1]}\n" in HANDBOOK.read_text(encoding="utf-8")
    return str(refused.value)


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
        settings = msgspec.structs.replace(world.settings, database_url=new_url)
        for role in ("all", "engine"):
            told = await refusal(
                msgspec.structs.replace(settings, role=role, redis_url="redis://127.0.0.1:1")
            )
            assert f" pg_resetwal --epoch={epoch} " in told
        if is_by_the_handbook:
            await asyncio.to_thread(begin_epoch, servers[1], epoch)
            async with (
                opened(servers[1].url, world) as restored,
                restored.database.connection() as connection,
            ):
                await check_transactions(connection)
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


@pytest.mark.parametrize(
    "lost", ["DELETE FROM audit_block WHERE size > {size}", "UPDATE audit_block SET note = note || ' '"]
)
async def test_a_database_that_lacks_what_its_folder_has_is_not_traded_in_before_the_folder_is_moved(
    database: Database, database_url: str, tmp_path: Path, lost: str
) -> None:
    """As it was once, or with another history since. A folder that says less than the database is well."""
    async with sealed_world(database, database_url, tmp_path) as world:
        settings = msgspec.structs.replace(world.settings, database_url=database_url)
        await world.write(random.Random(43), 9)
        await world.sealer().turn(at_once=True)
        await world.sealer().publish()
        first = read_checkpoint(next(iter(world.folder.notes()))).size
        await (await Exchange.open(settings)).close()
        await world.seal()
        last = read_checkpoint(list(world.folder.notes())[-1]).size
        assert last > first
        await world.execute("ALTER TABLE audit_block DISABLE TRIGGER ALL", lost.format(size=first))
        records, goes_to = await world.records(), first if "DELETE" in lost else last
        told = await refusal(settings)
        assert f" of {last} records that the database, which goes up to {goes_to}, does not have: " in told
        assert f" mv {world.folder.path} {world.folder.path}.before-restore," in told
        assert await world.records() == records
        world.folder.path.rename(f"{world.folder.path}.before-restore")
        await (await Exchange.open(settings)).close()
