"""Goal: records are sealed once, in order, whoever seals and whenever it ends; proofs hold.

Method: the real tables; commits that come late, several sealers at once, ends between the commit of a block
and the file outside, and keys that follow each other.
"""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.database import (
    Database,
)
from exchange.kit.errors import Conflict, NotFound
from exchange.kit.settings import Settings
from exchange.transparency import keys, store
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.models import Block, FaultKind
from exchange.transparency.notes import from_base64, read_checkpoint
from exchange.transparency.proofs import Proofs
from exchange.transparency.records import COLUMNS, decoded
from exchange.transparency.sealer import Sealer
from exchange.transparency.tree import Tree, leaf_hash, root_by_path
from exchange.transparency.trust import trusted_from
from exchange.transparency.verify import Copy, Span
from tests.e2e.served import eventually
from tests.sealed_world import TIMES, SealedWorld, plain_bytes, sealed_world

DEADLINE_S = 60.0


@pytest.fixture
async def world(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[SealedWorld]:
    async with sealed_world(database, database_url, tmp_path) as opened:
        yield opened


async def test_every_column_is_sealed_and_each_is_written_as_the_document_says(world: SealedWorld) -> None:
    async with world.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'audit_record'::REGCLASS AND attnum > 0"
            " AND NOT attisdropped"
        )
    assert {row["attname"] for row in rows} == set(COLUMNS)
    await world.write(random.Random(1), 5)
    for raw in await world.records():
        assert plain_bytes(decoded(raw)) == raw
        async with world.database.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM audit_record WHERE id = $1", decoded(raw)["id"])
        assert row is not None
        plain = {name: value for name, value in decoded(raw).items() if name not in TIMES}
        assert {name: row[name] for name in plain} == plain


async def test_what_commits_late_is_sealed_in_its_place(world: SealedWorld) -> None:
    rng = random.Random(2)
    async with world.database.transaction() as slow:
        await insert_audit_records(slow, [AuditRecord(code="SLOW", event_at_us=0)])
        await world.write(rng, 3)
        await world.seal()
        verdict = await world.verify()
        assert (verdict.log_size, verdict.fault) == (0, None)
        assert verdict.unsealed > 0
    await world.seal()
    await world.write(rng, 3)
    await world.seal()
    verdict = await world.verify()
    assert (verdict.fault, verdict.unsealed) == (None, 0)
    records = await world.records()
    assert decoded(records[0])["code"] == "SLOW"
    notes = list(world.folder.notes())
    for note in notes:  # the oracle: the root over all records up to there, made at once
        checkpoint = read_checkpoint(note)
        tree = Tree()
        tree.append([leaf_hash(raw) for raw in records[: checkpoint.size]])
        assert tree.root() == checkpoint.root
    assert read_checkpoint(notes[-1]).size == len(records)
    assert world.folder.read_leaves(0, 10**6) == [leaf_hash(raw) for raw in records]


async def test_many_sealers_seal_each_record_once(world: SealedWorld) -> None:
    rng = random.Random(3)
    sealers = [world.sealer(4) for _ in range(4)]
    folders = [CheckpointFolder(world.settings.data_dir / f"host-{number}") for number in range(2)]
    elsewhere = [world.sealer(5, folder) for folder in folders]

    async def go_on(sealer: Sealer) -> None:
        await sealer.turn(at_once=True)
        await sealer.publish()

    async with asyncio.timeout(DEADLINE_S):
        for _ in range(6):
            await asyncio.gather(world.write(rng, 3), *(go_on(each) for each in (*sealers, *elsewhere)))
        while (await world.verify()).unsealed:
            await asyncio.gather(*(go_on(each) for each in (*sealers, *elsewhere)))
    await asyncio.gather(*(each.publish() for each in (sealers[0], *elsewhere)))
    assert (await world.verify()).fault is None
    for folder in folders:  # each host has all of it, whoever sealed
        assert folder.checkpoints.read_bytes() == world.folder.checkpoints.read_bytes()
        assert folder.leaves.read_bytes() == world.folder.leaves.read_bytes()
    assert sum(each.sealed for each in (*sealers, *elsewhere)) == len(await world.records())


async def test_an_end_between_the_commit_and_the_file_makes_no_second_history(world: SealedWorld) -> None:
    rng = random.Random(4)
    await world.write(rng, 4)
    await world.seal()
    await world.write(rng, 4)
    ended = world.sealer()
    while await ended.turn(at_once=True):  # and it never publishes
        pass
    in_database = await world.verify()
    assert (in_database.fault, in_database.unsealed) == (None, 0)
    assert in_database.published_size is not None
    assert in_database.published_size < in_database.log_size == len(await world.records())
    await world.write(rng, 4)
    await world.seal()
    verdict = await world.verify()
    assert verdict.published_size == verdict.log_size == len(await world.records())
    assert verdict.fault is None


async def test_a_block_that_does_not_commit_leaves_nothing(
    world: SealedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.write(random.Random(5), 4)

    async def fails(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert_block", fails)
        with pytest.raises(ZeroDivisionError):
            await world.sealer().turn(at_once=True)
    assert not world.folder.checkpoints.exists()
    await world.seal()
    assert (await world.verify()).fault is None


async def test_a_block_is_due_by_its_records_or_by_time(world: SealedWorld) -> None:
    await world.write(random.Random(6), 1, records_max=1)
    await world.seal()
    patient = Sealer(world.database, world.folder, period_s=3600, block_records=5)
    patient.signer = world.signer
    await world.write(random.Random(6), 4, records_max=1)
    assert not await patient.turn()
    assert _waits(patient)
    await world.write(random.Random(6), 1, records_max=1)
    assert await patient.turn()
    assert not _waits(patient)
    async with world.database.transaction() as slow:  # what waits for others to end waits as well
        await slow.execute("SELECT pg_current_xact_id()")
        await world.write(random.Random(6), 1, records_max=1)
        assert not await patient.turn(at_once=True)
        assert _waits(patient)
    hurried = Sealer(world.database, world.folder, period_s=0, block_records=5)
    hurried.signer = world.signer
    assert await hurried.turn()
    assert not await hurried.turn()


def _waits(sealer: Sealer) -> bool:
    return sealer.waiting_since_s is not None


async def test_the_task_seals_and_publishes_by_itself(world: SealedWorld) -> None:
    sealer = Sealer(world.database, world.folder, period_s=0)
    sealer.signer = world.signer
    await world.write(random.Random(7), 3)
    sealer.start()
    records = len(await world.records())

    async def published() -> int:
        return sealer.published

    await eventually(published, lambda size: size == records)
    await sealer.stop()
    assert (await world.verify()).fault is None


async def test_a_proof_of_a_trade_holds_and_a_damaged_record_gives_none(world: SealedWorld) -> None:
    rng = random.Random(10)
    proofs = Proofs(reads=world.database)
    with pytest.raises(NotFound):
        await proofs.trade(1)
    assert (await proofs.head()).checkpoint is None
    await world.write(rng, 20)
    with pytest.raises(Conflict) as refused:
        await proofs.trade(1)
    assert (refused.value.code, refused.value.retryable) == ("not_sealed", True)
    await world.seal()
    await world.write(rng, 20)
    await world.seal(3)
    async with world.database.transaction() as connection:
        await insert_audit_records(connection, [AuditRecord(code="DLVR", event_at_us=0, trade_id=1)])
    records = await world.records()
    head = await proofs.head()
    assert head.checkpoint is not None
    assert [key.verifier for key in head.keys] == [str(world.signer.verifier)]
    at: list[int] = []
    for trade_id in (1, 2):
        proof = await proofs.trade(trade_id)
        assert proof.checkpoint == head.checkpoint.note
        assert proof.unsealed == (1 if trade_id == 1 else 0)
        at = [position for position, raw in enumerate(records) if decoded(raw)["trade_id"] == trade_id]
        assert [each.position for each in proof.records] == at[: len(proof.records)]
        assert len(at) == len(proof.records) + proof.unsealed
        for each in proof.records:
            raw = from_base64(each.bytes)
            assert raw == records[each.position]
            path = [from_base64(text) or b"" for text in each.path]
            root = root_by_path(leaf_hash(raw or b""), each.position, head.checkpoint.size, path)
            assert root == read_checkpoint(proof.checkpoint).root
    assert [each.size for each in await proofs.page(0, 3)] == [
        read_checkpoint(note).size for note in list(world.folder.notes())[:3]
    ]
    await world.execute(
        "ALTER TABLE audit_record DISABLE TRIGGER ALL",
        f"UPDATE audit_record SET event_index = 99 WHERE id = {decoded(records[at[0]])['id']}",  # noqa: S608 - ours
    )
    with pytest.raises(Conflict, match="record_damaged"):
        await proofs.trade(2)


async def test_a_span_is_verified_from_a_checkpoint_to_a_checkpoint(world: SealedWorld) -> None:
    rng = random.Random(11)
    for _ in range(4):
        await world.write(rng, 5)
        await world.seal()
    sizes = [0, *(read_checkpoint(note).size for note in list(world.folder.notes()))]
    some = sizes[2] + 1
    verdict = await world.verify(span=Span(from_position=some, until_position=sizes[4]))
    assert (verdict.first_position, verdict.records, verdict.fault) == (sizes[2], sizes[4] - sizes[2], None)
    assert verdict.checkpoints == 2
    at_us = read_checkpoint(list(world.folder.notes())[2]).sealed_at_us
    by_time = await world.verify(span=Span(from_us=at_us, until_us=at_us))
    assert (by_time.first_position, by_time.records) == (sizes[2], sizes[3] - sizes[2])
    records = await world.records()
    await world.execute(
        "ALTER TABLE audit_record DISABLE TRIGGER ALL",
        f"UPDATE audit_record SET event_index = 99 WHERE id = {decoded(records[some])['id']}",  # noqa: S608 - ours
    )
    assert (await world.verify(span=Span(until_position=sizes[2]))).fault is None
    assert (await world.verify(span=Span(from_position=sizes[3]))).fault is None
    fault = await world.fault(span=Span(from_position=some))
    assert (fault.kind, fault.position) == (FaultKind.CHANGED, some)


async def test_without_the_folder_a_hidden_change_shows_and_kept_checkpoints_hold_the_house(
    world: SealedWorld,
) -> None:
    rng = random.Random(12)
    await world.write(rng, 12)
    await world.seal()
    copy = Copy(where="mine", notes=list(world.folder.notes())[::2])
    assert (await world.verify(folder=None, copies=[copy])).fault is None
    records = await world.records()
    await world.execute(
        "ALTER TABLE audit_record DISABLE TRIGGER ALL",
        "ALTER TABLE audit_block DISABLE TRIGGER ALL",
        f"UPDATE audit_record SET event_index = 99 WHERE id = {decoded(records[3])['id']}",  # noqa: S608 - ours
        "UPDATE audit_block SET hashes = overlay(hashes PLACING '\\x0123' FROM 1) WHERE first_position = 0",
    )
    fault = await world.fault(folder=None)
    assert fault.kind is FaultKind.UNKNOWN
    assert fault.after_size <= 3 < fault.until_size
    # Who has the key, and the folder too, seals all of it anew: only what left the house tells.
    await world.execute("DELETE FROM audit_block")
    shutil.rmtree(world.folder.path)
    await world.seal()
    assert (await world.verify()).fault is None
    fault = await world.fault(copies=[copy])
    assert (fault.kind, fault.after_size) == (FaultKind.FORKED, 0)


async def test_the_key_is_made_once_and_followed_by_another(world: SealedWorld, tmp_path: Path) -> None:
    path = keys.key_file(world.settings)
    assert path.stat().st_mode & 0o777 == 0o600

    async def begun(settings: Settings) -> object:
        async with world.database.transaction() as connection:
            return await keys.begin(connection, settings)

    again = await begun(world.settings)
    assert again is not None
    assert await begun(Settings(data_dir=tmp_path / "other-host")) is None
    assert not (tmp_path / "other-host").exists()
    with pytest.raises(keys.BadKeyFile, match="cannot be read"):
        await begun(Settings(data_dir=tmp_path, checkpoint_key_file=tmp_path / "nowhere.pem"))
    path.chmod(0o640)
    with pytest.raises(keys.BadKeyFile, match="chmod 600"):
        await begun(world.settings)
    path.chmod(0o600)
    await world.write(random.Random(13), 4)
    await world.seal()
    new_file = tmp_path / "new.pem"
    keys.make_key_file(new_file)
    old, new = world.signer, keys.read_signer(world.signer.verifier.name, new_file)
    async with world.database.transaction() as connection:
        await keys.rotate(connection, old, new, 0)
    assert not await world.sealer().turn(at_once=True)  # the old key seals no more
    assert await begun(world.settings) is None
    with pytest.raises(keys.BadKeyFile, match="not the one"):
        async with world.database.transaction() as connection:
            await keys.rotate(connection, old, new, 0)
    world.signer = new
    await world.write(random.Random(13), 4)
    await world.seal()
    async with world.database.connection() as connection:
        known = await keys.registered(connection)
    for anchor in (old.verifier, new.verifier):
        trusted = trusted_from([anchor], known)
        verdict = await world.verify(verifiers=trusted)
        assert (verdict.fault, verdict.unsealed) == (None, 0)
    assert (await world.fault(verifiers=[old.verifier])).kind is FaultKind.WRONG_KEY
    assert any(decoded(raw)["code"] == "CKEY" for raw in await world.records())


async def test_transactions_are_in_the_order_of_their_numbers_and_not_of_digits(world: SealedWorld) -> None:
    """A trade of transaction 9 was looked for in the block that ends at 10, and its record called damaged."""
    first = Block(
        first_position=0,
        size=1,
        from_xact="0",
        until_xact="9",
        form=1,
        hashes=bytes(32),
        root=bytes(32),
        note="",
        sealed_at_us=0,
    )
    second = msgspec.structs.replace(
        first, first_position=1, size=2, from_xact="9", until_xact="10", hashes=bytes(64)
    )
    async with world.database.transaction() as connection:
        for block in (first, second):
            await store.insert_block(connection, block)
        for xact_id, size in ((8, 1), (9, 2)):
            found = await store.block_of_transaction(connection, xact_id)
            assert found is not None
            assert found.size == size


async def test_the_key_is_rotated_at_a_terminal_and_the_old_one_still_verifies_everything(
    world: SealedWorld, database_url: str, tmp_path: Path
) -> None:
    await world.write(random.Random(15), 4)
    await world.seal()
    old, new_file = world.signer.verifier, tmp_path / "new.pem"

    async def audit(*arguments: str, **environment: str) -> Result:
        command = ["audit", *arguments, "--database-url", database_url, "--data-dir", str(tmp_path)]
        variables = {"EXCHANGE_CHECKPOINT_ORIGIN": old.name, **environment}
        return await asyncio.to_thread(CliRunner().invoke, cli, command, env=variables)

    rotated = await audit("rotate-key", str(new_file))
    assert rotated.exit_code == ExitCode.DONE, rotated.output
    again = await audit("rotate-key", str(new_file))
    assert again.exit_code == ExitCode.USAGE
    assert "not the one" in again.stderr
    world.signer = keys.read_signer(old.name, new_file)
    assert str(world.signer.verifier) in rotated.stdout
    await world.write(random.Random(15), 4)
    await world.seal()
    for said in (
        await audit("verify", "--verifier", str(old)),
        await audit("verify", EXCHANGE_CHECKPOINT_KEY_FILE=str(new_file)),
    ):
        assert said.exit_code == ExitCode.DONE, said.output
    new_file.chmod(0o644)
    loose = await audit("verify", EXCHANGE_CHECKPOINT_KEY_FILE=str(new_file))
    assert loose.exit_code == ExitCode.USAGE
    assert "chmod 600" in loose.stderr
