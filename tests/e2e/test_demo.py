"""Goal: what a newcomer does works: start the demo, paste every printed curl, stop it, start it again.

Its market shows an order that two programmes pay, an application that is granted, and a company's claim that
is decided.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from exchange.kit.clock import monotonic_s
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


def read_until(command: str, path: str, holds: Callable[[Any], bool]) -> Any:
    """Read a path with the key of a printed command until what it answers is as wanted."""
    found = re.search(r"(http://\S+?)/v1/.*Authorization: (Bearer [^']+)'", command)
    assert found is not None
    reading = f"curl -s {found[1]}/v1/{path} -H 'Authorization: {found[2]}'"
    deadline_s = monotonic_s() + DEADLINE_S
    while not holds(answer := json.loads(paste(reading))):
        assert monotonic_s() < deadline_s, f"still {answer}"
    return answer


def claimed(command: str) -> Any:
    """Paste the claimant's command until hours of its company are delivered, and return its claim."""
    deadline_s = monotonic_s() + DEADLINE_S
    while True:
        (outcome,) = json.loads(paste(command))["data"]
        if outcome["claim"] is not None:
            return outcome["claim"]
        assert outcome["code"] == "nothing_to_claim", outcome
        assert monotonic_s() < deadline_s, "nothing was delivered to the company"


def test_a_newcomer_can_paste_every_command_and_come_back(tmp_path: Path) -> None:
    with running_demo(tmp_path / "demo") as demo:
        commands = demo.commands()
        kinds = {"buyer", "provider", "issuer", "regulator", "operator"}
        assert set(commands) == kinds | {"before buying", "applicant", "claimant"}

        told = json.loads(paste(commands["before buying"]))
        # Of 8 x 2 x 3.50 CNY the city pays 30 % and the nation 20 %, half of it together.
        assert (told["subsidised"], told["amount_cny"], told["voucher_cny"]) == (True, "56.00", "28.00")
        first, bid = (json.loads(paste(commands["buyer"])) for _ in range(2))
        assert first["id"] != bid["id"], "a pasted command can be pasted again"
        for placed in (first, bid):
            assert (placed["status"], placed["vouchers"]) == ("filled", "auto"), placed
            assert [share["rate_bps"] for share in placed["shares"]] == [3_000, 2_000]
            assert [share["programme_id"] for share in placed["shares"]] == [
                share["programme_id"] for share in told["shares"]
            ]
            for fill in placed["fills"]:
                price_fen = round(float(fill["price_cny_per_gpu_hour"]) * 100) * fill["quantity_gpus"] * 2
                # Each of two shares is rounded down by less than a fen, of what all fills come to.
                assert -2 <= round(float(fill["voucher_cny"]) * 100) - price_fen // 2 <= 2, fill
        ask = json.loads(paste(commands["provider"]))
        assert (ask["status"], ask["side"]) in {("resting", "sell"), ("partially_filled", "sell")}, ask
        voucher = json.loads(paste(commands["issuer"]))
        assert (voucher["face_cny"], voucher["status"]) == ("1000.00", "active"), voucher
        trades = list(csv.DictReader(io.StringIO(paste(commands["regulator"]))))
        assert bid["id"] in {trade["bid_order_id"] for trade in trades}
        accounts = json.loads(paste(commands["operator"]))["data"]
        assert voucher["id"] in {account["voucher_id"] for account in accounts}

        exports = demo.exports()
        for kind in kinds:
            key = f"KEY_{kind.upper()}"
            me = json.loads(
                paste(
                    f"{exports['EXCHANGE_URL']}\n{exports[key]}\n"
                    f'curl -s "$EXCHANGE_URL/v1/participants/me" -H "Authorization: Bearer ${key}"'
                )
            )
            assert me["kind"] == kind, me

        wish = json.loads(paste(commands["applicant"]))
        assert (wish["status"], wish["amount_cny"]) == ("submitted", "20000.00"), wish
        granted = read_until(
            commands["applicant"], f"applications/{wish['id']}", lambda read: read["status"] != "submitted"
        )
        assert (granted["status"], granted["approved_cny"]) == ("approved", "20000.00")

        demo.status_with_claims()
        claim = claimed(commands["claimant"])
        assert (claim["claimant_kind"], claim["status"]) == ("buyer", "submitted"), claim
        decided = read_until(
            commands["claimant"], f"claims/{claim['id']}", lambda read: read["status"] in {"paid", "rejected"}
        )
        paid = {"paid": claim["amount_cny"], "rejected": None}
        assert decided["approved_cny"] == paid[decided["status"]], decided
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
