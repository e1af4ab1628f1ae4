"""One `exchange serve` with everything: killed, started again on its port, suspended, its memory measured."""

import re
import signal
from pathlib import Path
from typing import Final, Self

from exchange.app import OPERATOR_KEY_FILE
from tests.fleet import ServedProcess, environment_of_others
from tests.plain_http import Line
from tests.ports import HeldPort

_KIB: Final = 1024


class ServerProcess:
    """A server on a data folder; it has the same port in each of its lives."""

    def __init__(self, data_dir: Path, database_url: str, **settings: str) -> None:
        """`settings` are of the environment."""
        self._held_port = HeldPort()
        self.port = self._held_port.number
        self._data_dir = data_dir
        self._environment = {**environment_of_others(), "DATABASE_URL": database_url, **settings}
        self._lives: list[ServedProcess] = []

    @property
    def operator_key(self) -> str:
        """The key of the first operator."""
        return (self._data_dir / OPERATOR_KEY_FILE).read_text().strip()

    def line(self) -> Line:
        """A way to the server."""
        return Line("127.0.0.1", self.port)

    def start(self) -> None:
        """Start, and return once it listens."""
        self._data_dir.mkdir(exist_ok=True)
        name = f"server-{len(self._lives) + 1}"
        life = ServedProcess(name, "all", self._data_dir, self._environment, port=self.port)
        self._lives.append(life)
        life.wait_until_up()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._lives[-1].kill()

    def suspend(self) -> None:
        """Let it not run until `resume`."""
        self._lives[-1].send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        self._lives[-1].send(signal.SIGCONT)

    def resident_bytes(self) -> int:
        """How much memory it has in use."""
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """The most memory that it had in use since `forget_peak`, or its start."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Begin anew to look for the peak."""
        Path(f"/proc/{self._lives[-1].pid}/clear_refs").write_text("5")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lives[-1].stop()
        self._held_port.release()

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self._lives[-1].pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * _KIB
