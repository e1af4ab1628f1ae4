"""Goal: a lost key is replaced in the open; nobody is led across unasked, and nothing of before changes.

Method: the commands at a terminal, on a sealed record whose key file is gone; the same as somebody would do
it who never lost the key, or changed the record first; and over HTTP as a witness sees it.
"""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.database import Database
from exchange.transparency import keys
from exchange.transparency.following import Looked, look_on
from exchange.transparency.models import FaultKind, Replaced
from exchange.transparency.notes import Signer, digest_of, read_checkpoint
from exchange.transparency.records import decoded
from exchange.transparency.sealer import Doubt
from exchange.transparency.trust import RegisteredKey, breaks_of, trusted_from
from exchange.transparency.verify import Copy
from tests.e2e.served import eventually, served
from tests.sealed_world import SealedWorld, sealed_world

WHY = ("--reason", "the machine burnt down")


@pytest.fixture
async def world(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[SealedWorld]:
    async with sealed_world(database, database_url, tmp_path) as opened:
        yield opened


class Terminal:
    """`exchange audit ...` on the world's database and folder."""

    def __init__(self, world: SealedWorld, database_url: str) -> None:
        self._world = world
        self._where = ("--database-url", database_url, "--data-dir", str(world.settings.data_dir))

    async def call(self, *arguments: str, **environment: str) -> Result:
        """Run a command."""
        variables = {"EXCHANGE_CHECKPOINT_ORIGIN": self._world.signer.verifier.name, **environment}
        command = ["audit", *arguments, *self._where]
        return await asyncio.to_thread(CliRunner().invoke, cli, command, env=variables)


@pytest.fixture
def terminal(world: SealedWorld, database_url: str) -> Terminal:
    return Terminal(world, database_url)


async def grow(world: SealedWorld, seed: int) -> None:
    await world.write(random.Random(seed), 5)
    await world.seal()


def lose(world: SealedWorld) -> None:
    path = keys.key_file(world.settings)
    path.rename(path.with_name("found-later.key"))


async def replaced(world: SealedWorld, terminal: Terminal, *more: str) -> Signer:
    """Lose the key, put another in its place, and let the world seal with that."""
    lose(world)
    file = world.settings.data_dir / "new.pem"
    said = await terminal.call("replace-lost-key", str(file), *WHY, *more)
    assert said.exit_code == ExitCode.DONE, said.output
    world.signer = keys.read_signer(world.signer.verifier.name, file)
    assert str(world.signer.verifier) in said.stdout
    return world.signer


async def known(world: SealedWorld) -> list[RegisteredKey]:
    async with world.database.connection() as connection:
        return await keys.registered(connection)


async def test_a_lost_key_is_replaced_in_the_open_and_nothing_of_before_can_change(
    world: SealedWorld, terminal: Terminal
) -> None:
    old = world.signer
    await grow(world, 1)
    size = len(await world.records())
    before = list(world.folder.notes())
    new = await replaced(world, terminal)
    await grow(world, 2)
    notes = list(world.folder.notes())
    assert notes[: len(before)] == before  # what was signed stays
    told = (Replaced(old.verifier.short, size),)
    assert {read_checkpoint(note).replaced for note in notes[len(before) :]} == {told}
    [step] = [decoded(raw) for raw in await world.records() if decoded(raw)["code"] == "CKLO"]
    assert "the machine burnt down" in step["detail"]
    file = str(world.settings.data_dir / "new.pem")
    # Whoever trusts one side, or nothing but the database, is led across by nobody.
    for asked in (["--verifier", str(old.verifier)], []):
        for environment in ({}, {"EXCHANGE_CHECKPOINT_KEY_FILE": file}):
            refused = await terminal.call("verify", *asked, **environment)
            assert refused.exit_code == ExitCode.CHECK_FAILED, refused.output
            assert "FIRST FAULT: key_replaced" in refused.stdout
            assert old.verifier.short in refused.stdout
            assert f"{size} records, from position 0 until before {size}, are as they were" in refused.stdout
            good = await terminal.call("verify", *asked, "--accept-key", str(new.verifier), **environment)
            assert good.exit_code == ExitCode.DONE, good.output
            assert f"KEY REPLACED: {old.verifier.short} was lost after {size} records" in good.stdout
    stranger = str(Signer(old.verifier.name, Ed25519PrivateKey.generate()).verifier)
    wrong = await terminal.call("verify", "--accept-key", stranger)
    assert "FIRST FAULT: key_replaced" in wrong.stdout
    assert (await terminal.call("verify", "--accept-key", "x")).exit_code == ExitCode.USAGE
    # A byte of a record of before: found, though all is accepted.
    await world.keep()
    await world.execute("UPDATE audit_record SET event_index = event_index + 1 WHERE id = 2")
    changed = await terminal.call("verify", "--accept-key", str(new.verifier))
    assert changed.exit_code == ExitCode.CHECK_FAILED
    assert "FIRST FAULT: changed" in changed.stdout
    await world.restore()
    # And surveillance tells of it once.
    looked, found = Looked(), []
    async with world.database.connection() as connection:
        while True:
            now, broken = await look_on(connection, looked)
            found += [broken] if broken else []
            if now == looked:
                break
            looked = now
    assert [(each.kind, each.expected) for each in found] == [("key_replaced", size)]


async def test_a_key_that_is_not_lost_or_a_record_that_is_not_whole_is_refused(
    world: SealedWorld, terminal: Terminal, tmp_path: Path
) -> None:
    await grow(world, 3)
    file = tmp_path / "new.pem"

    async def refused(*more: str, why: tuple[str, str] = WHY) -> Result:
        said = await terminal.call("replace-lost-key", str(file), *why, *more)
        assert said.exit_code != ExitCode.DONE
        assert len(await known(world)) == 1
        return said

    assert "rotate-key" in (await refused()).stderr
    assert not file.exists()
    lose(world)
    assert "--reason" in (await refused(why=("--reason", " "))).stderr
    nowhere = await refused("--checkpoint-dir", str(tmp_path / "nowhere"))
    assert (nowhere.exit_code, "--checkpoints" in nowhere.stderr) == (ExitCode.USAGE, True)
    await world.keep()
    await world.execute("UPDATE audit_record SET event_index = event_index + 1 WHERE id = 1")
    bad = await refused()
    assert bad.exit_code == ExitCode.CHECK_FAILED
    assert "FIRST FAULT: changed" in bad.stdout
    await world.restore()
    # With what somebody has kept it goes without the folder, where that is the same history.
    kept = tmp_path / "kept-notes"
    shutil.copy(world.folder.checkpoints, kept)
    shutil.rmtree(world.folder.path)
    other = tmp_path / "other"
    text = kept.read_text(encoding="utf-8")
    other.write_text(text.replace("test.example/audit", "other.example/audit"), encoding="utf-8")
    assert (await refused("--checkpoints", str(other))).exit_code == ExitCode.CHECK_FAILED
    said = await terminal.call("replace-lost-key", str(file), *WHY, "--checkpoints", str(kept))
    assert said.exit_code == ExitCode.DONE, said.output


async def test_a_lost_key_that_is_found_again_signs_nothing_that_is_believed(
    world: SealedWorld, terminal: Terminal
) -> None:
    old = world.signer
    await grow(world, 4)
    size = len(await world.records())
    new = await replaced(world, terminal)
    world.signer = old
    await world.write(random.Random(5), 3)
    with pytest.raises(Doubt, match="not endorsed"):
        await world.sealer().turn(at_once=True)
    world.signer = new
    await grow(world, 5)
    registered = await known(world)
    trusted = trusted_from([old.verifier], registered, [new.verifier])
    given = {"verifiers": trusted, "breaks": breaks_of(registered)}
    assert (await world.verify(**given)).fault is None
    last = list(world.folder.notes())[-1]
    text, _, _ = last.rpartition("\n\n")
    told = f"replaced {old.verifier.short} {size}\n"
    for note in (old.sign(f"{text}\n"), old.sign(f"{text}\n".replace(told, ""))):
        fault = await world.fault(copies=[Copy(where="mine", notes=[note])], **given)
        assert fault.kind is FaultKind.KEY_REPLACED
    # Nor does the new one speak of what was before it.
    first = next(iter(world.folder.notes())).rpartition("\n\n")[0]
    fault = await world.fault(copies=[Copy(where="mine", notes=[new.sign(f"{first}\n")])], **given)
    assert fault.kind is FaultKind.KEY_REPLACED


async def test_the_next_key_is_endorsed_and_still_tells_of_the_lost_one(
    world: SealedWorld, terminal: Terminal, tmp_path: Path
) -> None:
    old = world.signer
    await grow(world, 6)
    new = await replaced(world, terminal)
    await grow(world, 7)
    third_file = tmp_path / "third.pem"
    said = await terminal.call(
        "rotate-key", str(third_file), EXCHANGE_CHECKPOINT_KEY_FILE=str(tmp_path / "new.pem")
    )
    assert said.exit_code == ExitCode.DONE, said.output
    world.signer = keys.read_signer(old.verifier.name, third_file)
    await grow(world, 8)
    assert read_checkpoint(list(world.folder.notes())[-1]).replaced[0].key == old.verifier.short
    for anchor in (old, new, world.signer):
        asked = ["verify", "--verifier", str(anchor.verifier)]
        assert (await terminal.call(*asked, "--accept-key", str(new.verifier))).exit_code == ExitCode.DONE
        refused = await terminal.call(*asked)
        assert refused.exit_code == (ExitCode.DONE if anchor is new else ExitCode.CHECK_FAILED)
    # Another loss is another replacement, and each must be named.
    third_file.unlink()
    (tmp_path / "new.pem").rename(tmp_path / "new-old.pem")
    fourth = tmp_path / "fourth.pem"
    unnamed = await terminal.call("replace-lost-key", str(fourth), *WHY)
    assert unnamed.exit_code == ExitCode.CHECK_FAILED
    named = await terminal.call("replace-lost-key", str(fourth), *WHY, "--accept-key", str(new.verifier))
    assert named.exit_code == ExitCode.DONE, named.output
    world.signer = keys.read_signer(old.verifier.name, fourth)
    await grow(world, 9)
    accepted = ["--accept-key", str(new.verifier)]
    assert (await terminal.call("verify", *accepted)).exit_code == ExitCode.CHECK_FAILED
    accepted += ["--accept-key", str(world.signer.verifier)]
    assert (await terminal.call("verify", *accepted)).exit_code == ExitCode.DONE


async def test_who_writes_a_replacement_to_the_database_is_believed_by_nobody(world: SealedWorld) -> None:
    """The forger has the database, the folder and a key of its own, and never had the log's."""
    old = world.signer
    await grow(world, 10)
    kept = list(world.folder.notes())
    forger = Signer(old.verifier.name, Ed25519PrivateKey.generate())
    await world.keep()
    await world.execute(
        "ALTER TABLE audit_block DISABLE TRIGGER ALL",
        "DELETE FROM audit_block",
        "UPDATE audit_record SET event_index = event_index + 1 WHERE id = 1",
    )
    shutil.rmtree(world.folder.path)
    async with world.database.transaction() as connection:
        await keys.replace_lost(connection, forger, verified_size=0, reason="forged", now_us=0)
    world.signer = forger
    await world.seal()
    registered = await known(world)
    assert (await world.fault(verifiers=trusted_from([old.verifier], registered))).kind is (
        FaultKind.KEY_REPLACED
    )
    # Who is talked into naming the forger's key holds it to what was signed before.
    given = {
        "verifiers": trusted_from([old.verifier], registered, [forger.verifier]),
        "breaks": breaks_of(registered),
    }
    assert (await world.verify(**given)).fault is None
    fault = await world.fault(copies=[Copy(where="mine", notes=kept)], **given)
    assert fault.kind in {FaultKind.KEY_REPLACED, FaultKind.FORKED}
    # And where it claims to have gone on from what was signed, the tree must be that.
    world.signer = old
    await world.restore()
    await world.execute("ALTER TABLE audit_key DISABLE TRIGGER ALL", "DELETE FROM audit_key WHERE number = 2")
    await world.execute("UPDATE audit_record SET event_index = event_index + 1 WHERE id = 1")
    async with world.database.transaction() as connection:
        size = read_checkpoint(kept[-1]).size
        await keys.replace_lost(connection, forger, verified_size=size, reason="forged", now_us=0)
    world.signer = forger
    await grow(world, 11)
    registered = await known(world)
    given = {
        "verifiers": trusted_from([old.verifier], registered, [forger.verifier]),
        "breaks": breaks_of(registered),
    }
    assert (await world.fault(**given)).kind is FaultKind.CHANGED


async def test_a_replacement_after_another_checkpoint_is_in_doubt(world: SealedWorld) -> None:
    await grow(world, 12)
    size = len(await world.records())
    new = Signer(world.signer.verifier.name, Ed25519PrivateKey.generate())
    async with world.database.transaction() as connection:
        with pytest.raises(keys.BadKeyFile, match="not lost"):
            await keys.replace_lost(connection, new, verified_size=size - 1, reason="x", now_us=0)
        with pytest.raises(keys.BadKeyFile, match="before"):
            await keys.replace_lost(connection, world.signer, verified_size=size, reason="x", now_us=0)
        await keys.replace_lost(connection, new, verified_size=size, reason="x", now_us=0)
    assert (await known(world))[-1].after == (size, digest_of(list(world.folder.notes())[-1]))
    await world.keep()
    await world.execute("DELETE FROM audit_block WHERE size = (SELECT max(size) FROM audit_block)")
    world.signer = new
    with pytest.raises(Doubt, match="a lost key was replaced after the checkpoint"):
        await world.sealer().turn(at_once=True)


async def test_a_witness_is_told_and_asked_before_it_goes_on(database_url: str, tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"

    async def audit(*arguments: str, url: str = "") -> Result:
        variables = {"EXCHANGE_URL": url, "EXCHANGE_KEY": ""}
        return await asyncio.to_thread(CliRunner().invoke, cli, ["audit", *arguments], env=variables)

    async with served(database_url, data, checkpoint_period_s=0.5) as house:
        address = str(house.http.base_url)

        async def begun() -> Result:
            old = (await house.http.get("/v1/checkpoints/latest")).json()["keys"][-1]["verifier"]
            return await audit("follow", str(kept), "--verifier", old, url=address)

        first = await eventually(begun, lambda said: said.exit_code == ExitCode.DONE)
        assert first.exit_code == ExitCode.DONE, first.output
        old = (await house.http.get("/v1/checkpoints/latest")).json()["keys"][-1]["verifier"]
    (data / keys.KEY_FILE).unlink()
    new_file = data / "new.pem"
    where = ("--database-url", database_url, "--data-dir", str(data))
    said = await audit("replace-lost-key", str(new_file), *WHY, *where)
    assert said.exit_code == ExitCode.DONE, said.output
    async with served(database_url, data, checkpoint_period_s=0.5, checkpoint_key_file=new_file) as house:
        address = str(house.http.base_url)

        async def latest() -> dict[str, Any]:
            head: dict[str, Any] = (await house.http.get("/v1/checkpoints/latest")).json()
            return head

        head = await eventually(latest, lambda told: "\nreplaced " in told["checkpoint"]["note"])
        first_key, new = head["keys"]
        assert (first_key["verifier"], first_key["after_size"], new["endorsement"]) == (old, None, None)
        asked = ("follow", str(kept), "--verifier", old)
        refused = await audit(*asked, url=address)
        assert refused.exit_code == ExitCode.CHECK_FAILED
        assert "was lost after" in refused.stdout
        accepted = await audit(*asked, "--accept-key", new["verifier"], url=address)
        assert accepted.exit_code == ExitCode.DONE, accepted.output
        shown = await audit("key", url=address)
        assert "in the place of a lost key" in shown.stdout
