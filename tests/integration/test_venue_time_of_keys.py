"""Goal: what the commands that change keys say and record is venue time, where time is scaled as well.

Method: a database whose market has lived on for years, as in a scaled exchange; commands at a terminal.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.clock import parse_rfc3339
from exchange.kit.database import Database
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.transparency import keys
from exchange.transparency.records import decoded
from tests.sealed_world import SealedWorld, sealed_world
from tests.voucher_world import VoucherWorld

VENUE = "2031-05-01T10:00:00Z"
OF_COMMANDS = ("CKEY", "CKLO", "KNEW", "KROT", "KREV", "LNEW")


@pytest.fixture
async def world(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[SealedWorld]:
    async with sealed_world(database, database_url, tmp_path) as opened:
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO partition_head (partition_id, epoch, last_sequence, last_hash, last_event_at)"
                " VALUES (1, 1, 0, decode(repeat('00', 32), 'hex'), $1)",
                datetime.fromisoformat(VENUE),
            )
        yield opened


async def test_commands_that_change_keys_speak_venue_time(
    world: SealedWorld, database_url: str, tmp_path: Path
) -> None:
    async def call(*command: str) -> str:
        where = ("--database-url", database_url, "--data-dir", str(tmp_path))
        variables = {"EXCHANGE_CHECKPOINT_ORIGIN": world.signer.verifier.name}
        said = await asyncio.to_thread(CliRunner().invoke, cli, [*command, *where], env=variables)
        assert said.exit_code == ExitCode.DONE, said.output
        return said.stdout

    rotated = await call("audit", "rotate-key", str(tmp_path / "second.pem"))
    assert f"signs from {VENUE} (venue time) on" in rotated
    keys.key_file(world.settings).unlink()
    replaced = await call("audit", "replace-lost-key", str(tmp_path / "third.pem"), "--reason", "x")
    assert f"signs from {VENUE} (venue time) on" in replaced
    operator = await VoucherWorld(world.database).join(ParticipantKind.OPERATOR)
    desk = encode_id("par", operator.participant_id)
    made = json.loads(await call("keys", "create", desk, "--scope", "operate", "--json"))
    turned = json.loads(await call("keys", "rotate", made["id"], "--overlap", "1h", "--json"))
    await call("keys", "revoke", turned["id"], "--yes")
    await call("keys", "login", desk)
    codes = {}
    for raw in await world.records():
        record = decoded(raw)
        codes[record["code"]] = record["event_at"]
    assert {code: codes.get(code) for code in OF_COMMANDS} == dict.fromkeys(OF_COMMANDS, parse_rfc3339(VENUE))
