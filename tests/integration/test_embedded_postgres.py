"""Goal: acknowledged rows survive anything, and no server is left behind. Method: real processes and kill -9.

Run as root, the data folder lies below a folder with mode 0700, which the server's user cannot pass.
"""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, running_url

CHECKOUT = Path(__file__).parents[2]
DEADLINE_S = 60.0

# An owner that inserts 1, 2, 3 ... and prints each number once its commit is acknowledged.
INSERTER = """
import asyncio, sys
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres

async def main(server):
    database = await Database.connect(server.start(), connections_min=1, connections_max=1)
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS number (value INTEGER PRIMARY KEY)")
        value = await connection.fetchval("SELECT coalesce(max(value), 0) FROM number")
        print("started", server.pid, flush=True)
        while True:
            value += 1
            await connection.execute("INSERT INTO number VALUES ($1)", value)
            print(value, flush=True)

asyncio.run(main(EmbeddedPostgres(sys.argv[1])))
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed / "below" / "data"


@pytest.fixture
def inserter(data_dir: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", INSERTER, data_dir],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_until(condition: Callable[[], bool]) -> None:
    gives_up_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < gives_up_at
        time.sleep(0.005)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _numbers(url: str) -> list[int]:
    async def read() -> list[int]:
        database = await Database.connect(url, connections_min=1)
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT value FROM number ORDER BY value")
        await database.close()
        return [row["value"] for row in rows]

    return asyncio.run(read())


def _read_until(process: subprocess.Popen[str], count: int) -> tuple[int, list[int]]:
    """Return the server's process id and the first `count` acknowledged numbers."""
    assert process.stdout is not None
    word, pid = process.stdout.readline().split()
    assert word == "started"
    return int(pid), [int(process.stdout.readline()) for _ in range(count)]


def test_kill_9_of_the_owner_ends_the_server_and_loses_no_acknowledged_row(
    data_dir: Path, inserter: Callable[[], subprocess.Popen[str]]
) -> None:
    acknowledged = 0
    for count in (1, 40, 150):
        owner = inserter()
        server_pid, _ = _read_until(owner, count)
        os.killpg(owner.pid, signal.SIGKILL)
        assert owner.stdout is not None
        tail = owner.stdout.read().splitlines()  # what was acknowledged before the kill but not read yet
        _wait_until(lambda pid=server_pid: not _is_running(pid))  # type: ignore[misc]
        with EmbeddedPostgres(data_dir) as server:
            numbers = _numbers(server.url)
        acknowledged = max([acknowledged + count, *map(int, tail[:-1])])
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= acknowledged
        acknowledged = len(numbers)


def test_kill_9_of_owner_and_server_at_once_loses_no_acknowledged_row(
    data_dir: Path, inserter: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = inserter()
    server_pid, numbers = _read_until(owner, 100)
    os.kill(server_pid, signal.SIGKILL)
    os.killpg(owner.pid, signal.SIGKILL)
    # At once, while the dead server's children may still be ending.
    with EmbeddedPostgres(data_dir) as server:
        assert _numbers(server.url)[: len(numbers)] == numbers


def test_a_zombie_and_a_reused_process_id_do_not_count_as_running(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        socket_folder = Path(server.url.partition("host=")[2])
    zombie = subprocess.Popen([sys.executable, "-c", ""])  # dead and not waited for
    _wait_until(lambda: not _is_running(zombie.pid))
    for pid in (zombie.pid, os.getpid()):
        cluster = data_dir / "cluster"
        (cluster / "postmaster.pid").write_text(f"{pid}\n{cluster}\n0\n5432\n/tmp\n\n0 0\nready   \n")
        socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (socket_folder / ".s.PGSQL.5432.lock").write_text(f"{pid}\n{cluster}\n0\n5432\n{socket_folder}\n")
        (data_dir / "owner").write_text(f"{zombie.pid}\npostgresql://nowhere\n")
        assert running_url(data_dir) is None
        with EmbeddedPostgres(data_dir) as server:
            assert server.pid != pid
    zombie.wait()


def test_a_second_starter_is_refused_by_name_and_leaves_the_first_alone(
    data_dir: Path, inserter: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = inserter()
    server_pid, _ = _read_until(owner, 1)
    with pytest.raises(EmbeddedPostgresError, match=f"is in use by process {owner.pid}"):
        EmbeddedPostgres(data_dir).start()
    url = running_url(data_dir)
    assert url is not None
    assert _numbers(url)[0] == 1
    assert _is_running(server_pid)


def test_the_server_outlives_the_thread_that_started_it(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(server.start).result()
    pid = server.pid
    assert pid is not None
    assert "pool" not in {thread.name for thread in threading.enumerate()}
    asyncio.run(_select_one(server.url))
    server.stop()
    assert not _is_running(pid)
    assert not Path(f"/proc/{pid}").exists()  # not even as a zombie


def test_start_and_stop_are_idempotent_and_restart_finds_the_same_address(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.stop()
    url = server.start()
    assert server.start() == url
    server.stop()
    server.stop()
    assert server.pid is None
    assert not Path(url.partition("host=")[2]).parent.exists()
    with pytest.raises(RuntimeError):
        _ = server.url
    assert server.start() == url
    server.stop()


def test_an_interrupted_first_start_is_made_good(data_dir: Path) -> None:
    (data_dir / "cluster.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres(data_dir) as server:
        asyncio.run(_select_one(server.url))


def test_data_of_another_major_version_is_refused_untouched(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "cluster" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="is of PostgreSQL 17, the installed server is 18"):
        EmbeddedPostgres(data_dir).start()


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match="pg_control"):
        EmbeddedPostgres(data_dir).start()


def test_the_socket_is_private_its_path_short_and_nothing_listens_on_tcp(
    postgres: EmbeddedPostgres,
) -> None:
    folder = Path(postgres.url.partition("host=")[2])
    assert len(os.fsencode(folder / ".s.PGSQL.5432")) <= 107
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", 5432)) != 0 or not _listens(postgres.pid)


def test_what_an_acknowledged_order_rests_on_is_switched_on(data_dir: Path) -> None:
    names = ["fsync", "synchronous_commit", "full_page_writes", "autovacuum", "data_checksums"]

    async def read(url: str) -> list[str]:
        database = await Database.connect(url, connections_min=1)
        async with database.connection() as connection:
            values = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]
        await database.close()
        return values

    # Of a server as the product starts it, not of that of the tests.
    with EmbeddedPostgres(data_dir) as server:
        assert asyncio.run(read(server.url)) == ["on"] * len(names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_root_runs_the_server_as_nobody_and_changes_no_folder_of_others(data_dir: Path) -> None:
    modes = {folder: folder.stat().st_mode for folder in [*data_dir.parents][-4:]}
    with EmbeddedPostgres(data_dir) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "Uid:\t0" not in status
    assert (data_dir / "cluster").stat().st_uid != 0
    assert {folder: folder.stat().st_mode for folder in modes} == modes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_is_not_let_in(postgres: EmbeddedPostgres) -> None:
    program = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    path = postgres.url.partition("host=")[2] + "/.s.PGSQL.5432"
    said = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", program, path],
        user=1,
        group=1,
        extra_groups=[],
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "PermissionError" in said.stderr


def _listens(pid: int | None) -> bool:
    """Tell whether a process has a listening TCP socket."""
    inodes = {
        str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")
        for descriptor in Path(f"/proc/{pid}/fd").iterdir()
    }
    lines = [line.split() for name in ("tcp", "tcp6") for line in _lines(Path("/proc/net") / name)]
    return any(line[3] == "0A" and line[9] in inodes for line in lines)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:] if path.exists() else []


async def _select_one(url: str) -> None:
    database = await Database.connect(url, connections_min=1)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await database.close()
