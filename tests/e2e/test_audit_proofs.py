"""Goal: a third party checks a trade, and a regulator the whole record, with what leaves the house alone.

Method: the real server on a scene with one of everything, which seals by itself; the published script runs in
an interpreter of its own that has nothing of ours; commands run at a terminal, on the database and over HTTP.
"""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.database import Database
from exchange.kit.ids import encode_id
from exchange.transparency.keys import KEY_FILE, read_signer
from exchange.transparency.models import Replaced
from exchange.transparency.notes import Signer, each_note, read_checkpoint, text_of
from tests.e2e.served import Caller, eventually, problem
from tests.e2e.stage import Stage, staged

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"
WHY = {"reason": "case 7"}
LINES_MAX = 100


class Desk:
    """The scene, where it is kept, and a terminal beside it."""

    def __init__(self, stage: Stage, database_url: str, folder: Path) -> None:
        self.stage = stage
        self.regulator = stage.cast.regulator
        self.trade_id = stage.ids["trade_id"]
        self._database_url = database_url
        self._folder = folder

    async def call(self, *arguments: str, caller: Caller | None = None) -> Result:
        """Run `exchange audit ...`; over HTTP as `caller`, on the database without one."""
        where = [] if caller else ["--database-url", self._database_url, "--data-dir", str(self._folder)]
        variables = {
            "EXCHANGE_URL": str(self.stage.house.http.base_url),
            "EXCHANGE_KEY": (caller or self.regulator).key,
        }
        return await asyncio.to_thread(CliRunner().invoke, cli, ["audit", *arguments, *where], env=variables)

    async def proven(self) -> Any:
        """Return the proof of the trade once all of it is sealed."""

        async def ask() -> Any:
            path = f"/v1/oversight/trades/{self.trade_id}/proof"
            answer = await self.regulator.send("GET", path, params=WHY)
            return answer.json()

        return await eventually(ask, lambda told: told.get("unsealed") == 0)

    @property
    def key_file(self) -> Path:
        """Where the log's key is."""
        return self._folder / KEY_FILE

    async def verifier(self) -> str:
        """Return the public key, as anybody reads it."""
        answer = await self.stage.house.http.get("/v1/checkpoints/latest")
        verifier: str = answer.json()["keys"][-1]["verifier"]
        return verifier


@pytest.fixture(scope="module")
async def desk(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("proofs")
    async with staged(module_database_url, folder, checkpoint_period_s=1) as stage:
        yield Desk(stage, module_database_url, folder)


def script(folder: Path, proof: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the published script as somebody who has it, the proof and the public key, and nothing else."""
    file = folder / "proof.json"
    file.write_text(proof if isinstance(proof, str) else json.dumps(proof), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", str(SCRIPT), str(file), *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={},
    )


async def test_a_third_party_checks_a_trade_without_anything_of_ours(desk: Desk, tmp_path: Path) -> None:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES_MAX
    assert not any(line.startswith(("import exchange", "from exchange")) for line in lines)
    proof, verifier = await desk.proven(), await desk.verifier()
    said = script(tmp_path, proof, verifier)
    assert (said.returncode, said.stderr) == (0, "")
    *records, last = said.stdout.splitlines()
    assert (
        last == f"PROVEN: {len(proof['records'])} records of {desk.trade_id} are under the signed checkpoint"
    )
    told = [json.loads(line.partition(": ")[2]) for line in records]
    life = await desk.regulator.get(f"/v1/oversight/trades/{desk.trade_id}", **WHY)
    assert [each["code"] for each in told] == [step["code"] for step in life["steps"]]
    assert {encode_id("trd", each["trade_id"]) for each in told} == {desk.trade_id}
    assert [json.loads(each["detail"]) for each in told] == [step["detail"] for step in life["steps"]]
    again = await desk.call("prove", desk.trade_id, "--reason", "case 7", caller=desk.regulator)
    assert script(tmp_path, again.stdout, verifier).returncode == 0


async def test_a_key_in_the_place_of_a_lost_one_proves_nothing_before_that_is_named(
    desk: Desk, tmp_path: Path
) -> None:
    proof, lost = await desk.proven(), (await desk.verifier()).rpartition("+")[0]
    checkpoint = read_checkpoint(proof["checkpoint"])
    new = Signer(checkpoint.origin, Ed25519PrivateKey.generate())
    told = msgspec.structs.replace(checkpoint, replaced=(Replaced(lost, 3),))
    proof["checkpoint"], verifier = new.sign(text_of(told)), str(new.verifier)
    for others in ((), ("test.example/audit+00000000",)):
        said = script(tmp_path, proof, verifier, *others)
        assert said.returncode != 0
        assert f"KEY REPLACED: {lost} was lost after 3 records" in said.stdout
        assert "PROVEN:" not in said.stdout
        assert f"name {lost} as a further argument" in said.stderr
    said = script(tmp_path, proof, verifier, lost)
    assert (said.returncode, said.stderr) == (0, "")
    assert "KEY REPLACED: " in said.stdout
    assert "PROVEN: " in said.stdout


FURTHER = {"position": 1, "far position": 1 << 40}
TIMES = {"no records": 0, "records twice": 2}


def _forged(proof: Any, how: str) -> Any:
    forged = json.loads(json.dumps(proof))
    record = forged["records"][0]
    raw = bytearray(base64.b64decode(record["bytes"]))
    if how == "record":
        raw[-2] ^= 1
        record["bytes"] = base64.b64encode(raw).decode()
    elif how in FURTHER:
        record["position"] += FURTHER[how]
    elif how == "path":
        record["path"] = record["path"][:-1]
    elif how == "longer path":
        record["path"].append(record["path"][-1])
    elif how == "checkpoint":
        lines = forged["checkpoint"].split("\n")
        lines[1] = str(int(lines[1]) + 1)
        forged["checkpoint"] = "\n".join(lines)
    elif how == "signature":
        at = len(forged["checkpoint"]) - 20
        other = "A" if forged["checkpoint"][at] != "A" else "B"
        forged["checkpoint"] = forged["checkpoint"][:at] + other + forged["checkpoint"][at + 1 :]
    elif how == "trade":
        forged["trade_id"] = encode_id("trd", 5)
    elif how in TIMES:
        forged["records"] *= TIMES[how]
    return forged


@pytest.mark.parametrize(
    "how",
    [
        *("record", *FURTHER, "path", "longer path", "checkpoint", "signature", "trade", "key"),
        *TIMES,
    ],
)
async def test_what_was_forged_is_not_proven(desk: Desk, tmp_path: Path, how: str) -> None:
    proof, verifier = await desk.proven(), await desk.verifier()
    if how == "key":
        verifier = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    said = script(tmp_path, _forged(proof, how), verifier)
    assert said.returncode != 0
    assert "PROVEN:" not in said.stdout
    assert said.stderr.startswith("NOT PROVEN: "), said.stderr


@pytest.mark.parametrize(
    "verifier",
    ["", "x", "a+b", "a+00000000+!!!", "a+00000000+QUJ", "a+00000000+QUJD  since 2026", "贵安+0+贵安"],
)
async def test_a_verifier_that_is_none_is_told_in_one_line(desk: Desk, tmp_path: Path, verifier: str) -> None:
    proof = await desk.proven()
    said = script(tmp_path, proof, verifier)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("NOT PROVEN: VERIFIER must be NAME+ID+KEY, of `exchange audit key` (")
    assert said.stderr.count("\n") == 1
    said = script(tmp_path, proof)
    assert (said.returncode, said.stderr[:24]) == (1, "NOT PROVEN: VERIFIER mus")


@pytest.mark.parametrize("proof", ["", "[]", "{}", '{"trade_id": 5}', "贵安"])
async def test_a_file_that_is_no_proof_is_told_in_one_line(desk: Desk, tmp_path: Path, proof: str) -> None:
    said = script(tmp_path, proof, await desk.verifier())
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("NOT PROVEN: PROOF.json is not what `exchange audit prove` wrote (")
    assert said.stderr.count("\n") == 1


async def test_the_first_word_of_the_last_key_is_the_verifier(desk: Desk) -> None:
    shown = await desk.call("key", caller=desk.regulator)
    keys = shown.stdout.split("\n\n")[0].splitlines()
    assert keys[-1].split()[0] == await desk.verifier()


async def test_a_proof_is_asked_for_as_every_question_is(desk: Desk) -> None:
    path = f"/v1/oversight/trades/{desk.trade_id}/proof"
    refused = problem(await desk.regulator.send("GET", path), 422)
    assert [fault["pointer"] for fault in refused["errors"]] == ["?reason"]
    problem(await desk.regulator.send("GET", "/v1/oversight/trades/trd_0000000000001/proof", params=WHY), 404)
    problem(await desk.stage.cast.buyer.send("GET", path, params=WHY), 403, "forbidden")
    await desk.proven()
    [asked] = (await desk.regulator.get("/v1/oversight/questions", limit=1))["data"]
    assert (asked["query"], asked["reason"], asked["is_whole"]) == ("trades/proof", "case 7", True)


async def test_a_regulator_keeps_checkpoints_and_holds_the_exchange_to_them(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.proven()
    kept = tmp_path / "kept"
    written = await desk.call("checkpoints", "--output", str(kept), caller=desk.regulator)
    assert written.exit_code == ExitCode.DONE, written.output
    pages = await desk.regulator.get("/v1/oversight/checkpoints", limit=1)
    assert kept.read_text(encoding="utf-8").startswith(pages["data"][0]["note"])
    if pages["next_cursor"] is not None:
        more = await desk.regulator.get("/v1/oversight/checkpoints", limit=1, cursor=pages["next_cursor"])
        assert more["data"][0]["size"] > pages["data"][0]["size"]
    verifier = await desk.verifier()
    shown = await desk.call("key", caller=desk.regulator)
    assert verifier in shown.stdout
    good = await desk.call("verify", "--checkpoints", str(kept), "--verifier", verifier, "--json")
    assert good.exit_code == ExitCode.DONE, good.output
    verdict = json.loads(good.stdout)
    assert verdict["fault"] is None
    [journal] = verdict["journals"]
    assert journal["fault"] is None
    assert journal["commands"] > 0
    assert verdict["records"] == verdict["log_size"] > 0
    said = await desk.call("verify", "--from", "1", "--to", "2099-01-01T00:00:00Z")
    assert said.exit_code == ExitCode.DONE, said.output
    assert "are as they were sealed" in said.stdout
    wrong = await desk.call(
        "verify", "--verifier", "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    )
    assert wrong.exit_code == ExitCode.CHECK_FAILED
    assert "FIRST FAULT: wrong_key" in wrong.stdout
    for bad in (["--verifier", "x"], ["--from", "soon"], ["--checkpoint-dir", str(tmp_path / "nowhere")]):
        assert (await desk.call("verify", *bad)).exit_code == ExitCode.USAGE


async def test_anyone_follows_the_log_by_its_checkpoints_alone(desk: Desk, tmp_path: Path) -> None:
    await desk.proven()
    kept, verifier = tmp_path / "kept", await desk.verifier()
    nobody = msgspec.structs.replace(desk.regulator, key="")

    async def follow() -> Result:
        return await desk.call("follow", str(kept), "--verifier", verifier, caller=nobody)

    first = await follow()
    assert first.exit_code == ExitCode.DONE, first.output

    async def said_again() -> str:
        return (await follow()).stdout

    def kept_notes() -> list[str]:
        return list(each_note(kept.read_text(encoding="utf-8").splitlines(keepends=True)))

    await eventually(
        said_again, lambda said: "as it was" in said
    )  # what came before may still have been sealed
    size, count = read_checkpoint(kept_notes()[-1]).size, len(kept_notes())
    await desk.stage.cast.regulator.get("/v1/oversight/events")  # which is itself recorded, and sealed

    async def grown() -> int:
        answer = await desk.stage.house.http.get("/v1/checkpoints/latest")
        return int(answer.json()["checkpoint"]["size"])

    await eventually(grown, lambda now: now > size)
    again = await follow()
    assert again.exit_code == ExitCode.DONE, again.output
    assert f"goes on from that of size {size}" in again.stdout
    notes = kept_notes()
    assert len(notes) == count + 1
    # Another history of the same key: what was kept tells.
    key = read_signer(desk.stage.house.exchange.settings.checkpoint_origin, desk.key_file)
    forged = key.sign(text_of(msgspec.structs.replace(read_checkpoint(notes[0]), root=bytes(32))))
    kept.write_text(f"{forged}\n", encoding="utf-8")
    forked = await follow()
    assert forked.exit_code == ExitCode.CHECK_FAILED
    assert "forked" in forked.stdout
    answer = await desk.stage.house.http.get("/v1/checkpoints/consistency?old_size=2&new_size=1")
    assert [fault["pointer"] for fault in problem(answer, 422)["errors"]] == ["?old_size"]
    far = await desk.stage.house.http.get(f"/v1/checkpoints/consistency?old_size=2&new_size={2**53}")
    problem(far, 404)


async def test_a_changed_record_is_found_at_a_terminal_while_the_exchange_runs(
    desk: Desk, module_database_url: str
) -> None:
    proof = await desk.proven()
    record = proof["records"][0]
    superuser = await Database.connect(
        module_database_url.replace("//exchange@", "//postgres@"), connections_min=1
    )
    statements = (
        "ALTER TABLE audit_record DISABLE TRIGGER ALL",
        f"UPDATE audit_record SET event_index = event_index + {{}} WHERE id = {record['record_id']}",  # noqa: S608 - ours
        "ALTER TABLE audit_record ENABLE TRIGGER ALL",
        "ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_record_insert_only",
    )
    try:
        async with superuser.transaction() as connection:
            for statement in statements:
                await connection.execute(statement.format(1))
        found = await desk.call("verify")
        assert found.exit_code == ExitCode.CHECK_FAILED
        where = f"FIRST FAULT: changed at position {record['position']}, record {record['record_id']}: "
        assert where in found.stdout
        path = f"/v1/oversight/trades/{desk.trade_id}/proof"
        problem(await desk.regulator.send("GET", path, params=WHY), 409, "record_damaged")
    finally:
        async with superuser.transaction() as connection:
            for statement in statements:
                await connection.execute(statement.format(-1))
        await superuser.close()
    assert (await desk.call("verify")).exit_code == ExitCode.DONE
