"""Goal: whatever is done to the record or its checkpoints, the first bad record is found, and the deed named.

Method: random records, sealed in blocks of random sizes; one of the eight deeds, at random places, by one who
can write anything in the database and in the folder; the oracle is the list of records as they were sealed,
compared with those that are there now, one by one. Where only the checkpoints are false, the place is the
checkpoint's. Then everything is put back, and nothing must be found.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import event, given
from hypothesis import strategies as st

from exchange.kit.database import Database
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.models import FaultKind
from exchange.transparency.notes import Signer, digest_of, read_checkpoint, text_of
from exchange.transparency.records import decoded
from exchange.transparency.tree import leaf_hash
from tests.hypothesis_profiles import examples
from tests.sealed_world import RECORD, SealedWorld, first_difference, sealed_world

TRANSACTIONS: Final = 30
CHANGES: Final = {
    "code": "translate(code, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'BCDEFGHIJKLMNOPQRSTUVWXYZA')",
    "detail": "(detail::TEXT || ' ')::JSON",
    "event_at": "event_at + interval '1 microsecond'",
    "event_index": "event_index + 1",
    "order_id": "CASE WHEN order_id IS NULL THEN 0 END",
    "product_id": "coalesce(product_id, '')|| 'x'",
    "key_id": "coalesce(key_id, 0) + 1",
}
"""Ways to change one field of a record, the least there are."""


class Deed(msgspec.Struct, kw_only=True):
    """What was done: what verification must call it, and where it must say that it is."""

    kind: FaultKind
    after_size: int | None = None
    """Of a false checkpoint: the size up to which all is well. Else the oracle says where."""


class Tampering:
    """The deeds, on a world whose records were sealed as `sealed`."""

    def __init__(self, world: SealedWorld, sealed: list[bytes], sizes: list[int], rng: random.Random) -> None:
        self.world = world
        self.sealed = sealed
        self.sizes = sizes
        self.rng = rng

    async def flip(self) -> Deed:
        """Change the least bit of one field of one record."""
        await self._change(self.rng.choice(self.sealed))
        return Deed(kind=FaultKind.CHANGED)

    async def flip_and_hide(self) -> Deed:
        """Change a record, and the leaf that the database keeps of it."""
        raw = self.rng.choice(self.sealed)
        await self._change(raw)
        changed = next(
            each for each in await self.world.records() if decoded(each)["id"] == decoded(raw)["id"]
        )
        await self.world.execute(
            f"UPDATE audit_block SET hashes = decode(replace(encode(hashes, 'hex'), '{leaf_hash(raw).hex()}',"  # noqa: S608 - ours
            f" '{leaf_hash(changed).hex()}'), 'hex')"
        )
        return Deed(kind=FaultKind.CHANGED)

    async def delete(self) -> Deed:
        """Delete one to three records, but the last."""
        count = self.rng.randint(1, 3)
        begin = self.rng.randrange(len(self.sealed) - count)
        await self._delete(self.sealed[begin : begin + count])
        return Deed(kind=FaultKind.DELETED)

    async def insert(self) -> Deed:
        """Add a copy of a record to a transaction of the past, before or after its others."""
        raw, into = self.rng.choice(self.sealed), self.rng.choice(self.sealed)
        columns = RECORD.replace("id, xact_id,", "", 1)
        new_id = self.rng.choice([-1, 10**9])
        await self.world.execute(
            f"INSERT INTO audit_record (id, xact_id, {columns}) OVERRIDING SYSTEM VALUE"  # noqa: S608 - ours
            f" SELECT {new_id}, '{decoded(into)['xact_id']}'::XID8, {columns} FROM audit_record"
            f" WHERE id = {decoded(raw)['id']}"
        )
        return Deed(kind=FaultKind.INSERTED)

    async def truncate(self) -> Deed:
        """Delete the last sealed records; or all that came after too; or the blocks that tell of them too."""
        begin = self.rng.randrange(len(self.sealed))
        await self._delete(self.sealed[begin:])
        if self.rng.random() < 0.5:
            await self.world.execute(f"DELETE FROM audit_record WHERE id > {decoded(self.sealed[-1])['id']}")  # noqa: S608 - ours
        if self.rng.random() < 0.5:
            await self.world.execute(f"DELETE FROM audit_block WHERE size > {begin}")  # noqa: S608 - ours
        return Deed(kind=FaultKind.TRUNCATED)

    async def swap(self) -> Deed:
        """Let two records of a block have each other's place."""
        end = self.rng.choice([each for each in range(1, len(self.sizes)) if self._span(each) > 1])
        first, second = self.rng.sample(self.sealed[self.sizes[end - 1] : self.sizes[end]], 2)
        columns = [column for column in RECORD.split(", ") if column not in {"id", "xact_id"}]
        sets = ", ".join(f"{column} = other.{column}" for column in columns)
        one, two = decoded(first)["id"], decoded(second)["id"]
        await self.world.execute(
            f"UPDATE audit_record AS record SET {sets} FROM audit_record AS other"  # noqa: S608 - ours
            f" WHERE (record.id, other.id) IN (({one}, {two}), ({two}, {one}))"
        )
        return Deed(kind=FaultKind.SWAPPED)

    async def fork(self) -> Deed:
        """Change a record, and with the log's own key seal everything from there on anew, in the database."""
        position = self.rng.randrange(len(self.sealed))
        await self._change(self.sealed[position])
        await self.world.execute(f"DELETE FROM audit_block WHERE size > {position}")  # noqa: S608 - ours
        elsewhere = self.world.sealer(5, CheckpointFolder(self.world.settings.data_dir / "nowhere"))
        while await elsewhere.turn(at_once=True):
            pass
        return Deed(kind=FaultKind.FORKED)

    async def replace_checkpoint(self) -> Deed:
        """Put another checkpoint, signed by the log's own key, in the place of one that has a next."""
        notes = list(self.world.folder.notes())
        place = self.rng.randrange(1, len(notes) - 1)
        if self.rng.random() < 0.5:
            false = notes[self.rng.randrange(place)]
        else:
            true = read_checkpoint(notes[place])
            false = self.world.signer.sign(text_of(msgspec.structs.replace(true, root=bytes(32))))
        self._write_notes([*notes[:place], false, *notes[place + 1 :]])
        return Deed(kind=FaultKind.CHECKPOINT_REPLACED, after_size=self.sizes[place])

    async def sign_by_another(self) -> Deed:
        """Sign checkpoints anew by another key under the same name, from one on, linked as they must be."""
        notes = list(self.world.folder.notes())
        place = self.rng.randrange(len(notes))
        other = Signer(self.world.signer.verifier.name, Ed25519PrivateKey.generate())
        false = notes[:place]
        for note in notes[place:]:
            true = read_checkpoint(note)
            previous = digest_of(false[-1]) if false else true.previous
            false.append(other.sign(text_of(msgspec.structs.replace(true, previous=previous))))
        self._write_notes(false)
        return Deed(kind=FaultKind.WRONG_KEY, after_size=self.sizes[place])

    def _write_notes(self, notes: list[str]) -> None:
        self.world.folder.checkpoints.write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")

    def _span(self, end: int) -> int:
        return self.sizes[end] - self.sizes[end - 1]

    async def _change(self, raw: bytes) -> None:
        column = self.rng.choice(sorted(CHANGES))
        await self.world.execute(
            f"UPDATE audit_record SET {column} = {CHANGES[column]} WHERE id = {decoded(raw)['id']}"  # noqa: S608 - ours
        )

    async def _delete(self, records: list[bytes]) -> None:
        ids = ", ".join(str(decoded(raw)["id"]) for raw in records)
        await self.world.execute(f"DELETE FROM audit_record WHERE id IN ({ids})")  # noqa: S608 - ours


DEEDS: Final[dict[str, Callable[[Tampering], Awaitable[Deed]]]] = {
    "flipped byte": Tampering.flip,
    "flipped byte, hidden": Tampering.flip_and_hide,
    "deleted row": Tampering.delete,
    "inserted row": Tampering.insert,
    "truncated tail": Tampering.truncate,
    "swapped rows": Tampering.swap,
    "forked chain": Tampering.fork,
    "replaced checkpoint": Tampering.replace_checkpoint,
    "wrong key": Tampering.sign_by_another,
}


@pytest.fixture(scope="module")
async def world(
    module_database: Database, module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SealedWorld]:
    rng = random.Random(7)
    folder: Path = tmp_path_factory.mktemp("sealed")
    async with sealed_world(module_database, module_database_url, folder) as opened:
        for _ in range(TRANSACTIONS // 5):
            await opened.write(rng, 5)
            await opened.seal(rng.randint(3, 12))
        await opened.write(rng, 3)
        await opened.keep()
        yield opened


@pytest.mark.parametrize("name", DEEDS)
@examples(6)
@given(seed=st.integers(0, 2**32))
async def test_the_first_bad_record_is_found_and_what_was_done_to_it(
    world: SealedWorld, name: str, seed: int
) -> None:
    verdict = await world.verify()
    assert verdict.fault is None
    assert verdict.unsealed > 0
    notes = list(world.folder.notes())
    sizes = [0, *(read_checkpoint(note).size for note in notes)]
    assert verdict.records == sizes[-1]
    before = await world.records()
    sealed = before[: sizes[-1]]
    try:
        tampering = Tampering(world, sealed, sizes, random.Random(seed))
        deed = await DEEDS[name](tampering)
        fault = await world.fault()
        event(f"{name}: {fault.kind}")
        assert fault.kind is deed.kind, fault
        if deed.after_size is None:
            last_xact = decoded(sealed[-1])["xact_id"]
            now = [raw for raw in await world.records() if decoded(raw)["xact_id"] <= last_xact]
            position = first_difference(sealed, now)
            assert position is not None
            assert fault.position == position, fault
            assert fault.after_size <= position <= fault.until_size
        else:
            assert fault.position is None
            assert fault.after_size in sizes[: sizes.index(deed.after_size) + 1]
            assert sizes.index(deed.after_size) - sizes.index(fault.after_size) <= 1
    finally:
        await world.restore()
