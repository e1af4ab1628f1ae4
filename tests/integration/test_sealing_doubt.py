"""Goal: where what was sealed and what is there contradict each other, nothing is signed on top of it.

Method: the real tables, changed past their triggers, and folders that are ahead, false, damaged or another's.
"""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.kit.database import (
    CheckViolation,
    Database,
    ForeignKeyViolation,
    RefusedChange,
    UniqueViolation,
)
from exchange.kit.settings import Settings
from exchange.transparency import keys, store
from exchange.transparency.folder import CheckpointFolder, FolderInUse
from exchange.transparency.following import Looked, look_on
from exchange.transparency.models import FaultKind
from exchange.transparency.notes import BadNote, Signer, read_checkpoint
from exchange.transparency.records import decoded
from exchange.transparency.sealer import Doubt, Sealer
from tests.e2e.served import eventually
from tests.sealed_world import SealedWorld, sealed_world


@pytest.fixture
async def world(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[SealedWorld]:
    async with sealed_world(database, database_url, tmp_path) as opened:
        yield opened


async def test_nothing_is_signed_on_top_of_what_is_in_doubt(world: SealedWorld) -> None:
    rng = random.Random(8)
    await world.write(rng, 6)
    await world.seal()
    kept = world.settings.data_dir / "kept-folder"
    shutil.copytree(world.folder.path, kept)
    await world.write(rng, 6)
    await world.seal()
    ahead = world.settings.data_dir / "ahead"
    shutil.copytree(world.folder.path, ahead)
    await world.execute(
        "ALTER TABLE audit_block DISABLE TRIGGER ALL", "CREATE TABLE kept_block AS TABLE audit_block"
    )
    size = read_checkpoint(list(CheckpointFolder(kept).notes())[-1]).size
    # The database went back to what it was: the folder knows more.
    await world.execute(f"DELETE FROM audit_block WHERE size > {size}")  # noqa: S608 - a number of ours
    with pytest.raises(Doubt, match="up to size"):
        await world.sealer().turn(at_once=True)
    with pytest.raises(Doubt, match="the database has none"):
        await world.sealer().publish()
    # Its last checkpoint is another one.
    shutil.rmtree(world.folder.path)
    shutil.copytree(kept, world.folder.path)
    await world.execute("UPDATE audit_block SET note = note || ' '")
    with pytest.raises(Doubt, match="differ"):
        await world.sealer().turn(at_once=True)
    with pytest.raises(Doubt, match="differ"):
        await world.sealer().publish()
    # Its hashes do not come to the root.
    await world.execute(
        "UPDATE audit_block SET note = rtrim(note, ' '), hashes = overlay(hashes PLACING '\\x00' FROM 1)"
    )
    await world.execute("UPDATE audit_block SET hashes = decode(repeat('00', octet_length(hashes)), 'hex')")
    with pytest.raises(Doubt, match="come to the root"):
        await world.sealer().turn(at_once=True)
    assert (await world.fault()).kind is FaultKind.HASHES_CHANGED


async def test_what_the_database_says_of_a_block_beside_its_checkpoint_is_held_to_it(
    world: SealedWorld,
) -> None:
    rng = random.Random(16)
    for _ in range(3):
        await world.write(rng, 5)
        await world.seal()
    await world.write(rng, 3)
    await world.keep()
    sizes = [0, *(read_checkpoint(note).size for note in world.folder.notes())]
    for change in (
        "root = set_byte(root, 0, get_byte(root, 0) # 1)",
        "sealed_at = sealed_at + INTERVAL '1 day'",
        "form = 2",
        "from_xact = (from_xact::TEXT::BIGINT + 1)::TEXT::XID8",
        "until_xact = (until_xact::TEXT::BIGINT - 1)::TEXT::XID8",
        "until_xact = (until_xact::TEXT::BIGINT + 1)::TEXT::XID8",
        "until_xact = '9999999'",
    ):
        await world.execute(f"UPDATE audit_block SET {change} WHERE size = {sizes[-1]}")  # noqa: S608 - ours
        fault = await world.fault()
        assert (fault.kind, fault.after_size, fault.until_size) == (
            FaultKind.HASHES_CHANGED,
            sizes[-2],
            sizes[-1],
        ), change
        with pytest.raises(Doubt):
            await world.sealer().turn(at_once=True)
        await world.restore()
    last = decoded((await world.records())[sizes[-1] - 1])
    await world.execute(f"DELETE FROM audit_record WHERE id = {last['id']}")  # noqa: S608 - ours
    with pytest.raises(Doubt, match="records that it was sealed with"):
        await world.sealer().turn(at_once=True)
    await world.restore()
    await world.seal()
    assert (await world.verify()).fault is None


async def test_a_key_that_the_logs_own_has_not_endorsed_is_in_doubt_and_not_believed(
    world: SealedWorld,
) -> None:
    await world.write(random.Random(17), 3)
    await world.seal()
    stranger = Signer(world.signer.verifier.name, Ed25519PrivateKey.generate())
    await world.execute(
        "INSERT INTO audit_key (number, origin, public_key, endorsement, acceptance, begun_at)"  # noqa: S608 - ours
        f" SELECT 2, origin, '\\x{stranger.verifier.public_key.hex()}', decode(repeat('00', 64), 'hex'),"
        " decode(repeat('00', 64), 'hex'), begun_at FROM audit_key"
    )
    await world.write(random.Random(17), 3)
    with pytest.raises(Doubt, match="not endorsed"):
        await world.sealer().turn(at_once=True)
    async with world.database.transaction() as connection:
        assert await keys.begin(connection, world.settings) is not None  # so that a start says so, too
    own, world.signer = world.signer, stranger
    await world.seal()
    async with world.database.transaction() as connection:
        looked, found = Looked(), []
        while True:
            now, broken = await look_on(connection, looked)
            found += [broken.kind] if broken else []
            if now == looked:
                break
            looked = now
    assert found
    assert set(found) == {"seal_replaced"}
    world.signer = own
    assert (await world.fault()).kind is FaultKind.WRONG_KEY


async def test_a_folder_whose_end_is_damaged_is_in_doubt(world: SealedWorld) -> None:
    await world.write(random.Random(18), 3)
    await world.seal()
    whole = world.folder.checkpoints.read_bytes()
    for damage in (b"x\n\n\xe2\x80\x94 x\n\n", b"x" * 100_000):
        world.folder.checkpoints.write_bytes(whole + damage)
        await world.write(random.Random(18), 1)
        with pytest.raises(BadNote):
            await world.sealer().turn(at_once=True)
    sealer = Sealer(world.database, world.folder, period_s=0)
    sealer.signer = world.signer
    sealer.start()

    async def doubt() -> str:
        return sealer.doubt or ""

    await eventually(doubt, lambda said: "is damaged" in said)
    await sealer.stop()


async def test_a_log_cannot_branch_or_change_in_the_database(world: SealedWorld) -> None:
    await world.write(random.Random(9), 5)
    await world.seal()
    async with world.database.connection() as connection:
        [first, *_] = await store.blocks_from(connection, 0, 10)
    change = msgspec.structs.replace
    refused = [
        (change(first, until_xact="9999999"), UniqueViolation),
        (
            change(first, first_position=2**20, size=2**20 + 1, until_xact="9999999", hashes=bytes(32)),
            ForeignKeyViolation,
        ),
        (change(first, first_position=first.size, size=9999, until_xact="9999999"), CheckViolation),
    ]
    for block, error in refused:
        with pytest.raises(error):
            async with world.database.transaction() as connection:
                await store.insert_block(connection, block)
    for statement in (
        *("UPDATE audit_block SET note = note", "DELETE FROM audit_block", "TRUNCATE audit_block CASCADE"),
        *("UPDATE audit_key SET origin = origin", "DELETE FROM audit_key", "TRUNCATE audit_key"),
    ):
        with pytest.raises(RefusedChange, match="insert-only"):
            await world.execute("SET LOCAL session_replication_role = 'replica'", statement)


async def test_a_folder_of_another_database_is_put_aside(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    before = CheckpointFolder.of(Settings(data_dir=tmp_path))
    before.path.mkdir()
    before.checkpoints.write_text("of another\n")
    async with sealed_world(database, database_url, tmp_path) as world:
        assert not before.checkpoints.exists()
        [aside] = await asyncio.to_thread(lambda: list(tmp_path.glob("checkpoints.before-*")))
        assert (aside / "checkpoints").read_text() == "of another\n"
        await world.write(random.Random(14), 2)
        await world.seal()
        assert (await world.verify()).fault is None


async def test_a_folder_in_which_another_log_is_published_is_left_alone(world: SealedWorld) -> None:
    await world.write(random.Random(19), 2)
    await world.seal()
    sealer = world.sealer()
    sealer.start()
    for_another = CheckpointFolder(world.folder.path)
    with pytest.raises(FolderInUse, match="EXCHANGE_CHECKPOINT_DIR"):
        for_another.put_aside()
    shutil.rmtree(world.folder.path)
    await sealer.publish()
    with pytest.raises(FolderInUse):
        for_another.put_aside()
    await sealer.stop()
    for_another.put_aside()
    assert not world.folder.checkpoints.exists()
