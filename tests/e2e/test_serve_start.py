"""Goal: a start says what is true of its folder and books. Method: the command in a process of its own."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from exchange.app import OPERATOR_KEY_FILE
from exchange.cli.failures import ExitCode
from exchange.kit.database import Database
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.sealer import Sealer
from tests.e2e.served import eventually, served
from tests.e2e.stage import set_scene
from tests.fleet import environment_of_others

DEADLINE_S = 60.0


async def serve(database_url: str, data_dir: Path) -> asyncio.subprocess.Process:
    arguments = ("serve", "--port", "0", "--database-url", database_url, "--data-dir", str(data_dir))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "exchange",
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        env=environment_of_others(),
    )


async def test_a_key_file_is_named_only_where_it_is(database_url: str, tmp_path: Path) -> None:
    for folder, is_first in (("first", True), ("second", False)):
        process = await serve(database_url, tmp_path / folder)
        assert process.stderr is not None
        told = ""
        async with asyncio.timeout(DEADLINE_S):
            while "API docs at" not in told:
                line = (await process.stderr.readline()).decode()
                assert line, told
                told += line
            process.terminate()
            await process.communicate()
        key_file = tmp_path / folder / OPERATOR_KEY_FILE
        assert key_file.exists() is is_first
        assert (f"operator's key: {key_file}" in told) is is_first


async def test_books_that_are_not_in_order_are_told_in_one_block(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path) as house:
        await set_scene(house)
    database = await Database.connect(database_url, connections_min=1)
    async with database.transaction() as connection:
        await connection.execute("UPDATE partition_head SET last_sequence = last_sequence + 1")
    await database.close()
    process = await serve(database_url, tmp_path)
    async with asyncio.timeout(DEADLINE_S):
        _, errors = await process.communicate()
    told = errors.decode()
    assert process.returncode == ExitCode.CHECK_FAILED, told
    assert "the stored books are not in order" in told
    assert "Traceback" not in told


def _published(sealer: Sealer) -> Callable[[], Awaitable[int]]:
    async def published() -> int:
        return sealer.published

    return published


async def test_a_second_exchange_on_a_data_folder_that_is_in_use_touches_nothing(
    database_url: str, module_database_url: str, tmp_path: Path
) -> None:
    def files() -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(tmp_path)): (path.read_bytes(), path.stat().st_ino)
            for path in tmp_path.rglob("*")
            if path.is_file()
        }

    async with served(database_url, tmp_path) as house:
        sealer = house.exchange.watched.sealer
        await eventually(_published(sealer), bool)
        await sealer.stop()  # so that what is there stands still; the folder stays held
        folder = CheckpointFolder.of(house.exchange.settings)
        folder.hold()
        for has_sealed in (True, False):
            if not has_sealed:
                folder.checkpoints.unlink()
            before = await asyncio.to_thread(files)
            process = await serve(module_database_url, tmp_path)
            async with asyncio.timeout(DEADLINE_S):
                _, errors = await process.communicate()
            assert process.returncode == ExitCode.USAGE, errors.decode()
            assert "EXCHANGE_DATA_DIR" in errors.decode()
            assert await asyncio.to_thread(files) == before
        folder.let_go()
    other = await Database.connect(module_database_url, connections_min=1)
    async with other.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM api_key") == 0  # and it has given out nothing
    await other.close()
