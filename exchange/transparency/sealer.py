"""The task that seals: records become leaves of the tree, and blocks of them get a signed checkpoint.

A block has the records of transactions that are all over (`exchange.kit.audit_reading`), in the order
(transaction, number), so nothing of them can come later. It is sealed once `BLOCK_RECORDS` wait, or
`period_s` after the one before; it ends with a transaction, so it may be larger. Sealing is behind the order
path, takes no lock that an order needs, and rests after each block (`exchange.kit.courtesy`).

**Commit, then publish.** A block is committed in the database, where one alone can begin at a position, and
its checkpoint goes to the folder outside afterwards: of what was ended in between, and of what another
process sealed, the folder gets the rest at the next turn. So no end can make two histories.

Before anything is signed, the tree in the database must come to the root of the last checkpoint, which must
be the last one in the folder; the last block must have as many records as it was sealed with; and the log's
latest key must be the one here, or follow it. Who changed any of that gets no signature on top (`Doubt`).
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final

from exchange.kit.audit_reading import EPOCH_BITS, FIRST_XACT, whole_until
from exchange.kit.chores import Chore
from exchange.kit.clock import US_PER_SECOND, monotonic_s, wall_now_us
from exchange.kit.courtesy import Courtesy
from exchange.kit.database import Connection, Database, unhurried
from exchange.transparency import store
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.keys import registered
from exchange.transparency.models import Block, Checkpoint
from exchange.transparency.notes import (
    FIRST,
    BadNote,
    Signer,
    digest_of,
    is_as_signed,
    read_checkpoint,
    text_of,
)
from exchange.transparency.records import FORM, place_of
from exchange.transparency.tree import Tree, last_leaf, leaf_hash, perfect_parts, stored_index
from exchange.transparency.trust import KeyBreak, breaks_of, trusted_from

BLOCK_RECORDS: Final = 4096
PERIOD_S: Final = 30.0
LOOK_S: Final = 1.0
RETRY_FAULT_S: Final = 30.0
PIECE_RECORDS: Final = 256
"""So many are hashed in a row, in half a millisecond: who serves callers in this process waits no longer."""
PIECE_REST_S: Final = 0.0003
_BLOCKS_AT_ONCE: Final = 16

_log = logging.getLogger(__name__)


class Doubt(Exception):
    """What was sealed and what is there now contradict each other: nothing is signed on top of it."""


class Sealer:
    """Seals and publishes. `start` and `stop`, or `turn` and `publish` by hand."""

    def __init__(
        self,
        database: Database,
        folder: CheckpointFolder,
        *,
        period_s: float = PERIOD_S,
        block_records: int = BLOCK_RECORDS,
    ) -> None:
        """Seal into a database and publish in a folder; nothing is sealed before `signer` is set."""
        self.signer: Signer | None = None
        self.sealed = 0
        """Records sealed here since the start."""
        self.size = 0
        """The size of the log, as it was last seen here."""
        self.published = 0
        """The size of the last checkpoint in the folder."""
        self.sealed_at_us = 0
        """When the latest checkpoint that was seen here was signed."""
        self.waiting_since_s: float | None = None
        """Since when, by the monotonic clock, the next block's records wait; None while none does."""
        self._waiting_from_xact: str | None = None
        self.doubt: str | None = None
        """Why nothing is sealed, while that is so."""
        self._database = database
        self._folder = folder
        self.period_s = period_s
        """How long records wait for their seal where they are few."""
        self._block_records = block_records
        self._courtesy = Courtesy()
        self._is_followed = False
        self._chore = Chore(
            "sealer",
            self._catch_up,
            undone="the record is not sealed",
            period_s=LOOK_S,
            fault_s=RETRY_FAULT_S,
        )

    @property
    def can_sign(self) -> bool:
        """Whether this process has the log's latest key, as far as it was seen here."""
        return self.signer is not None and not self._is_followed

    def start(self) -> None:
        """Begin to seal, where there is a key to sign with."""
        if self.signer is not None:
            self._folder.hold()
            self._chore.start()

    async def stop(self) -> None:
        """Seal no more; the next start goes on where this one stopped."""
        await self._chore.stop()
        self._folder.let_go()

    async def _catch_up(self) -> float | None:
        """Seal and publish what is due; return how long to wait where something has to be looked into."""
        try:
            while await self._timed_turn():
                pass
            await self._publish()
        except (Doubt, BadNote) as doubt:
            is_damaged = isinstance(doubt, BadNote)
            self.doubt = f"{self._folder.checkpoints} is damaged: {doubt}" if is_damaged else str(doubt)
            _log.critical("the record is not sealed: %s", self.doubt)
            return RETRY_FAULT_S
        self.doubt = None
        return None

    async def _timed_turn(self) -> bool:
        """Seal a block, publish and rest; whether there was one."""
        begun_s = monotonic_s()
        if not await self.turn():
            return False
        await self._publish()
        await self._courtesy.rest(monotonic_s() - begun_s)
        return True

    async def _publish(self) -> None:
        """Publish; a folder that cannot be written keeps nothing from being sealed."""
        try:
            await self.publish()
        except OSError as error:
            _log.error("checkpoints are not published: %s", error)

    async def turn(self, *, at_once: bool = False) -> bool:
        """Seal the next block where one is due, or `at_once` whatever waits; whether there was one.

        Raises `Doubt`.
        """
        if self.signer is None:
            return False
        async with self._database.transaction() as connection:
            await unhurried(connection)
            if not await store.claim_sealing(connection):
                return False
            last = await store.last_block(connection)
            self._see(last)
            if last is not None and not is_as_signed(last):
                raise Doubt(f"what the database says of its block of size {last.size} is not what was signed")
            from_xact = FIRST_XACT if last is None else last.until_xact
            found = await whole_until(connection, from_xact, self._block_records)
            self._note_waiting(from_xact if found.is_waiting else None)
            if found.is_to_come:
                raise Doubt(
                    f"what was sealed goes up to transaction {from_xact}, and there have not been so many: "
                    "the database was made from a dump and not brought up to the record (pg_resetwal "
                    f"--epoch={(int(from_xact) >> EPOCH_BITS) + 1}, before anything is written), or its last "
                    "block was changed"
                )
            if found.until_xact is None:
                return False
            waited_us = wall_now_us() - (0 if last is None else last.sealed_at_us)
            if not (found.is_full or at_once or waited_us >= self.period_s * US_PER_SECOND):
                return False
            breaks = await self._may_sign(connection, self.signer)
            if breaks is None:
                return False
            _check_breaks(breaks, last)
            tree = await self._tree(connection, last)
            await self._check_last(connection, last)
            await asyncio.to_thread(self._compare, last)
            records = await store.canonical_records(connection, FORM, from_xact, found.until_xact)
            block = await asyncio.to_thread(self._sealed, self.signer, tree, last, records, breaks)
            await store.insert_block(connection, block)
        self.sealed += len(records)
        self.waiting_since_s = None
        self._see(block)
        return True

    async def publish(self) -> None:
        """Bring the folder up to what is committed. Raises `Doubt` where it has another history."""
        while True:
            begin = await asyncio.to_thread(self._folder.missing_from)
            last = await asyncio.to_thread(self._folder.last_note)
            async with self._database.connection() as connection:
                blocks = await store.blocks_from(connection, begin, _BLOCKS_AT_ONCE)
                if last is not None:
                    await self._agree(connection, last)
            if not blocks:
                break
            await asyncio.to_thread(self._folder.publish, blocks)
        self.published = 0 if last is None else read_checkpoint(last).size

    async def _agree(self, connection: Connection, note: str) -> None:
        size = read_checkpoint(note).size
        block = await store.block_of_size(connection, size)
        if block is None:
            raise Doubt(
                f"{self._folder.checkpoints} has a checkpoint of size {size}, and the database has none"
            )
        if block.note != note:
            raise Doubt(
                f"{self._folder.checkpoints} and the database differ in the checkpoint of size {size}"
            )

    async def _may_sign(self, connection: Connection, signer: Signer) -> list[KeyBreak] | None:
        """Return where keys were lost, None where another one seals; `Doubt` where that does not follow."""
        known = await registered(connection)
        latest = known[-1].verifier if known else None
        if latest == signer.verifier:
            return breaks_of(known)
        if latest not in trusted_from([signer.verifier], known):
            raise Doubt(
                "the database has another key as the log's latest, which the one here has not endorsed"
            )
        if not self._is_followed:
            _log.warning("nothing more is sealed here: the key %s follows the one of this process", latest)
        self._is_followed = True
        return None

    async def _check_last(self, connection: Connection, last: Block | None) -> None:
        """Raise `Doubt` where the last block has not as many records as were sealed, or begins elsewhere."""
        if last is None:
            return
        before = await store.block_of_size(connection, last.first_position)
        begins = FIRST_XACT if before is None else before.until_xact
        records = await store.count_records(connection, last.from_xact, last.until_xact)
        ends = await store.count_records(connection, str(int(last.until_xact) - 1), last.until_xact)
        if begins != last.from_xact or records != last.size - last.first_position or not ends:
            raise Doubt(f"the block of size {last.size} has not the records that it was sealed with")

    async def _tree(self, connection: Connection, last: Block | None) -> Tree:
        if last is None:
            return Tree()
        places = [
            (last_leaf(level, number), stored_index(level, number))
            for level, number in perfect_parts((0, last.size))
        ]
        tree = Tree(last.size, await store.stored_hashes(connection, places))
        if tree.root() != last.root:
            raise Doubt(
                f"the hashes in the database do not come to the root of the checkpoint of size {last.size}"
            )
        return tree

    def _compare(self, last: Block | None) -> None:
        """Raise `Doubt` where the folder is ahead of the database, or has another checkpoint of this size."""
        note = self._folder.last_note()
        if note is None:
            return
        published, size = read_checkpoint(note).size, 0 if last is None else last.size
        if published > size:
            raise Doubt(
                f"{self._folder.checkpoints} goes up to size {published}, the database up to {size} only"
            )
        if last is not None and published == size and note != last.note:
            raise Doubt(
                f"{self._folder.checkpoints} and the database differ in the checkpoint of size {size}"
            )

    @staticmethod
    def _sealed(
        signer: Signer, tree: Tree, last: Block | None, records: list[bytes], breaks: Sequence[KeyBreak]
    ) -> Block:
        first_position = tree.size
        hashes = b"".join(_hashed(tree, records))
        checkpoint = Checkpoint(
            origin=signer.verifier.name,
            size=tree.size,
            root=tree.root(),
            form=FORM,
            sealed_at_us=max(wall_now_us(), 0 if last is None else last.sealed_at_us),
            previous=FIRST if last is None else digest_of(last.note),
            replaced=tuple(each.replaced for each in breaks),
        )
        return Block(
            first_position=first_position,
            size=tree.size,
            from_xact=FIRST_XACT if last is None else last.until_xact,
            until_xact=str(place_of(records[-1])[0] + 1),
            form=FORM,
            hashes=hashes,
            root=checkpoint.root,
            note=signer.sign(text_of(checkpoint)),
            sealed_at_us=checkpoint.sealed_at_us,
        )

    def _note_waiting(self, from_xact: str | None) -> None:
        """Note from which transaction on records wait, None where none does; another one may have sealed."""
        if from_xact is None:
            self.waiting_since_s = None
        elif self.waiting_since_s is None or from_xact != self._waiting_from_xact:
            self.waiting_since_s = monotonic_s()
        self._waiting_from_xact = from_xact

    def _see(self, block: Block | None) -> None:
        if block is not None:
            self.size, self.sealed_at_us = block.size, block.sealed_at_us


def _check_breaks(breaks: Sequence[KeyBreak], last: Block | None) -> None:
    """Raise `Doubt` where the log does not end at the checkpoint after which a lost key was replaced."""
    end = (0, FIRST) if last is None else (last.size, digest_of(last.note))
    for each in breaks:
        if end[0] < each.after_size or (end[0] == each.after_size and end[1] != each.after_digest):
            raise Doubt(
                f"a lost key was replaced after the checkpoint of size {each.after_size}, and the database "
                f"goes up to size {end[0]}, or has another one of it"
            )


def _hashed(tree: Tree, records: Sequence[bytes]) -> Iterator[bytes]:
    """Yield what becomes known as records are added, some at a time; the interpreter is let go in between."""
    for begin in range(0, len(records), PIECE_RECORDS):
        yield tree.append([leaf_hash(record) for record in records[begin : begin + PIECE_RECORDS]])
        time.sleep(PIECE_REST_S)
