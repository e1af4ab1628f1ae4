"""A fleet of real processes: `exchange serve --role ...`, each on its own port, to be stopped and killed.

Each process writes its log to a file of its own in the fleet's folder, and dies with the fleet. Nothing here
knows of the processes what their users do not: they are asked over HTTP, and told by signals.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx

from exchange.app import OPERATOR_KEY_FILE
from exchange.kit import postgres_child

START_S: Final = 60.0
STOP_S: Final = 60.0
POLL_S: Final = 0.02
ROLE = Literal["all", "gateway", "engine"]
_ADDRESS: Final = re.compile(r"exchange at (http://[0-9.]+:\d+)")


class ServedProcess:
    """One process. `pid` is its own: signals reach it and nothing else."""

    def __init__(
        self, name: str, role: ROLE, folder: Path, environment: dict[str, str], *, port: int = 0
    ) -> None:
        """Start it on a port, or any free one; `wait_until_up` says when it answers."""
        self.name = name
        self.role = role
        self.log = folder / f"{name}.log"
        self._url = ""
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    # Dies with us, however we die.
                    *(sys.executable, postgres_child.__file__, str(os.geteuid()), str(os.getegid())),
                    *(str(os.getpid()), sys.executable, "-m", "exchange", "serve", "--role", role),
                    *("--port", str(port), "--data-dir", str(folder)),
                ],
                env=environment,
                stdout=errors,
                stderr=errors,
                text=True,
            )

    @property
    def pid(self) -> int:
        """Its process, to send signals to."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def url(self) -> str:
        """Its address, once it is up."""
        if not self._url:
            self.wait_until_up()
        return self._url

    @property
    def port(self) -> int:
        """The port of its address."""
        return int(self.url.rpartition(":")[2])

    def wait_until_up(self) -> None:
        """Return once it answers on its address."""

        def has_address() -> bool:
            assert self.is_running, f"{self.name} has ended with {self.process.poll()}:\n{self.told()}"
            found = _ADDRESS.search(self.told())
            self._url = "" if found is None else found[1]
            return found is not None

        wait_until(has_address, START_S, lambda: f"{self.name} did not start:\n{self.told()}")

    def told(self) -> str:
        """Return what it has logged."""
        return self.log.read_text(errors="replace")

    def ready(self) -> dict[str, Any]:
        """Return what /readyz says: `status` is ready, standby, or 503 with `detail`."""
        try:
            said: dict[str, Any] = httpx.get(f"{self.url}/readyz", timeout=10.0, trust_env=False).json()
        except httpx.TransportError as error:
            return {"status": "unreachable", "detail": repr(error)}
        return said

    def wait_until(self, status: str | int, within_s: float = START_S) -> None:
        """Return once it says of itself that it is `ready`, `standby`, or (503) neither."""
        wait_until(lambda: self.ready()["status"] == status, within_s, lambda: f"{self.name}: {self.ready()}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP and SIGCONT, say."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self.is_running:
            self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """End it as an operator does, and return its exit code."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(STOP_S)


class ProcessFleet:
    """Processes on one database and one Redis. All are killed at its end."""

    def __init__(self, database_url: str, redis_url: str, folder: Path, **settings: str) -> None:
        """Start none; `settings` are further variables of their environment."""
        self.folder = folder
        self.processes: list[ServedProcess] = []
        self._started = 0
        self._environment = {
            **environment_of_others(),
            "DATABASE_URL": database_url,
            "EXCHANGE_REDIS_URL": redis_url,
            "EXCHANGE_LOG_FORMAT": "text",
            **settings,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()

    def start(self, role: ROLE, **settings: str) -> ServedProcess:
        """Start a process, and do not wait for it."""
        self._started += 1
        name = f"{role}-{self._started}"
        process = ServedProcess(name, role, self.folder, {**self._environment, **settings})
        self.processes.append(process)
        return process

    def make_whole(self, *, gateways: int, engines: int) -> None:
        """Start others in the places of processes that have ended; return once all are ready, or stand by."""
        self.processes = [each for each in self.processes if each.is_running]
        wanted: list[tuple[ROLE, int]] = [("engine", engines), ("gateway", gateways)]
        for role, count in wanted:
            for _ in range(count - sum(each.role == role for each in self.processes)):
                self.start(role)
        leader = self.leader()
        for process in self.processes:
            is_standby = process.role == "engine" and process is not leader
            process.wait_until("standby" if is_standby else "ready")

    @property
    def operator_key(self) -> str:
        """The first operator's key, once any process was up."""
        return (self.folder / OPERATOR_KEY_FILE).read_text().strip()

    def leader(self, within_s: float = START_S) -> ServedProcess:
        """Return the engine that leads, once one does."""
        found: list[ServedProcess] = []

        def leads() -> bool:
            found[:] = [
                each
                for each in self.processes
                if each.role == "engine" and each.is_running and each.ready()["status"] == "ready"
            ]
            return bool(found)

        wait_until(leads, within_s, lambda: f"none of {len(self.processes)} processes leads")
        return found[0]


def environment_of_others() -> dict[str, str]:
    """Return our environment without what is meant for a server of ours, which stops when it is told to."""
    ours = ("EXCHANGE_", "DATABASE_URL")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**others, "EXCHANGE_DRAIN_S": "0"}


@contextmanager
def fleet_of(
    database_url: str, redis_url: str, folder: Path, *, gateways: int, engines: int, **settings: str
) -> Iterator[ProcessFleet]:
    """Run a fleet: one engine leads, the others stand by, and the gateways are ready."""
    with ProcessFleet(database_url, redis_url, folder, **settings) as fleet:
        # The first makes the tables and the key.
        first = fleet.start("engine")
        first.wait_until("ready")
        started = [fleet.start("engine") for _ in range(engines - 1)]
        serving = [fleet.start("gateway") for _ in range(gateways)]
        for process in started:
            process.wait_until("standby")
        for process in serving:
            process.wait_until("ready")
        yield fleet


def wait_until(holds: Callable[[], bool], within_s: float, otherwise: Callable[[], str]) -> float:
    """Return once a condition of other processes holds, and after how many seconds; fails past the time."""
    begun_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begun_s < within_s, otherwise()
        time.sleep(POLL_S)
    return time.monotonic() - begun_s
