"""Goal: whenever the process that seals is killed, one history stands, in the database and outside of it.

Method: a real server that seals every second is killed at random moments while it writes, and started again;
at the end the whole record is verified by the command, against checkpoints that were kept before each kill.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import httpx
from click.testing import CliRunner

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from tests.e2e.served import DEADLINE_S, eventually
from tests.hypothesis_profiles import is_long
from tests.server_process import ServerProcess

ROUNDS = 20 if is_long() else 2
WRITES = 15


def _other_than(had: str | None) -> Callable[[str | None], bool]:
    return lambda note: note not in {None, had}


async def test_killed_at_any_moment_it_goes_on_with_the_history_that_it_had(
    database_url: str, tmp_path: Path
) -> None:
    rng, folder, kept = random.Random(1), tmp_path / "data", tmp_path / "kept"
    notes: list[str] = []
    with ServerProcess(folder, database_url, EXCHANGE_CHECKPOINT_PERIOD_S="1") as server:
        for number in range(ROUNDS):
            if number:
                await asyncio.to_thread(server.start)
            address = f"http://127.0.0.1:{server.port}"
            async with httpx.AsyncClient(base_url=address, timeout=DEADLINE_S, trust_env=False) as http:

                async def latest(http: httpx.AsyncClient = http) -> str | None:
                    found = (await http.get("/v1/checkpoints/latest")).json()["checkpoint"]
                    return None if found is None else str(found["note"])

                had = notes[-1] if notes else None
                for write in range(WRITES):
                    answer = await http.post(
                        "/v1/trade-groups",
                        json={"name": f"group {number} {write}"},
                        headers={
                            "Authorization": f"Bearer {server.operator_key}",
                            "Idempotency-Key": f"{number}-{write}",
                        },
                    )
                    assert answer.status_code == 201
                told: str = await eventually(latest, _other_than(had))
                notes.append(told)
                kept.write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")
                # Just sealed: between the commit and the folder, or in the folder.
                await asyncio.sleep(rng.random() * 0.05)
            await asyncio.to_thread(server.kill)
    command = ["audit", "verify", "--database-url", database_url, "--data-dir", str(folder)]
    said = await asyncio.to_thread(CliRunner().invoke, cli, [*command, "--checkpoints", str(kept)])
    assert said.exit_code == ExitCode.DONE, said.output
    assert "are as they were sealed" in said.stdout
