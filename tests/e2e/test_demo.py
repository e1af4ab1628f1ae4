"""Goal: what a newcomer does works: start the demo, paste every printed curl, stop it, start it again.

Method: the real command in a process of its own, on a data folder of its own and any free port, with hours of
one second; the printed commands are run by a shell exactly as they are printed.
"""

import asyncio
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate

DEADLINE_S: Final = 60.0
READY: Final = "Ctrl-C stops it."
_STATUS: Final = re.compile(r"(\d+) trades .* (\d+) claims paid")


def environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("EXCHANGE_", "DATABASE_"))
    }


class Demo:
    """A running demo: what it printed until it was ready, and what it prints from then on."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self._lines = iter(process.stdout)
        self.welcome = self._until(READY)

    def _until(self, text: str) -> list[str]:
        lines: list[str] = []
        for line in self._lines:
            lines.append(line.rstrip("\n"))
            if text in line:
                return lines
        raise AssertionError("the demo ended:\n" + "\n".join(lines))

    def commands(self) -> dict[str, str]:
        """Return the printed commands by kind of user."""
        found = {}
        for comment, command in zip(self.welcome, self.welcome[1:], strict=False):
            if comment.startswith("# "):
                found[comment[2:].partition(":")[0]] = command
        return found

    def exports(self) -> dict[str, str]:
        """Return the printed lines that set variables, by variable."""
        lines = [line for line in self.welcome if line.startswith("export ")]
        return {line.removeprefix("export ").partition("=")[0]: line for line in lines}

    def status_with_claims(self) -> tuple[int, int]:
        """Wait for a status line with a paid claim; return its trades and claims."""
        lines: list[str] = []
        for line in self._lines:
            lines.append(line)
            found = _STATUS.search(line)
            if found is not None and int(found[2]) > 0:
                return int(found[1]), int(found[2])
        raise AssertionError("the demo ended before a claim was paid:\n" + "".join(lines))

    def stop(self) -> int:
        """Press Ctrl-C and return the trades of the last status line."""
        self.process.send_signal(signal.SIGINT)
        rest = "".join(self._lines)
        assert self.process.wait(DEADLINE_S) == 0, rest
        found = _STATUS.search(rest)
        assert found is not None, rest
        return int(found[1])


@contextmanager
def running_demo(data_dir: Path) -> Iterator[Demo]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "exchange",
            "demo",
            "--port",
            "0",
            "--hour-seconds",
            "1",
            "--data-dir",
            str(data_dir),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    try:
        yield Demo(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def paste(command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=DEADLINE_S
    )
    return done.stdout


@pytest.mark.slow
def test_a_newcomer_can_paste_every_command_and_come_back(tmp_path: Path) -> None:
    with running_demo(tmp_path / "demo") as demo:
        commands = demo.commands()
        assert set(commands) == {"buyer", "provider", "issuer", "regulator", "operator"}

        first, bid = (json.loads(paste(commands["buyer"])) for _ in range(2))
        assert first["id"] != bid["id"], "a pasted command can be pasted again"
        for placed in (first, bid):
            assert (placed["status"], placed["vouchers"]) == ("filled", "auto"), placed
            assert all(float(fill["voucher_cny"]) > 0 for fill in placed["fills"])
        ask = json.loads(paste(commands["provider"]))
        assert (ask["status"], ask["side"]) in {("resting", "sell"), ("partially_filled", "sell")}, ask
        voucher = json.loads(paste(commands["issuer"]))
        assert (voucher["face_cny"], voucher["status"]) == ("1000.00", "active"), voucher
        trades = list(csv.DictReader(io.StringIO(paste(commands["regulator"]))))
        assert bid["id"] in {trade["bid_order_id"] for trade in trades}
        accounts = json.loads(paste(commands["operator"]))["data"]
        assert voucher["id"] in {account["voucher_id"] for account in accounts}

        exports = demo.exports()
        for kind in commands:
            key = f"KEY_{kind.upper()}"
            me = json.loads(
                paste(
                    f"{exports['EXCHANGE_URL']}\n{exports[key]}\n"
                    f'curl -s "$EXCHANGE_URL/v1/participants/me" -H "Authorization: Bearer ${key}"'
                )
            )
            assert me["kind"] == kind, me

        demo.status_with_claims()
        key_file = tmp_path / "demo" / "demo-keys.json"
        assert key_file.stat().st_mode & 0o777 == 0o600
        keys = key_file.read_text()
        trades_at_stop = demo.stop()

    with running_demo(tmp_path / "demo") as again:
        assert again.commands().keys() == commands.keys()
        assert key_file.read_text() == keys
        found = list(csv.DictReader(io.StringIO(paste(again.commands()["regulator"]))))
        assert bid["id"] in {trade["bid_order_id"] for trade in found}
        assert json.loads(paste(again.commands()["buyer"]))["status"] == "filled"
        assert again.stop() > trades_at_stop


async def make_data_of_another_version(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        await migrate(server.url)
        database = await Database.connect(server.url, connections_max=1)
        async with database.connection() as connection:
            await connection.execute("UPDATE schema_migration SET sha256 = 'of another version'")
        await database.close()


def test_data_of_another_version_is_told_with_what_to_do(tmp_path: Path) -> None:
    asyncio.run(make_data_of_another_version(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "demo", "--port", "0", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 2
    assert "was edited after it was applied" in done.stderr
    assert f"remove the demo's data: {tmp_path}" in done.stderr


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "exchange",
                "demo",
                "--port",
                str(port),
                "--data-dir",
                str(tmp_path / "demo"),
            ],
            capture_output=True,
            text=True,
            env=environment(),
        )
    assert done.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert not (tmp_path / "demo").exists()
