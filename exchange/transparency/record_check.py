"""Every record against checkpoints that are believed: hashed anew, in order, and on to each signed root.

The records are streamed, and hashed in a thread while the database makes the next ones ready, so two cores
have work. Memory holds a block or two. Where a root is missed, the leaves that were sealed (the folder's, or
the database's, whichever come to the root) tell which record it is. The hashes that the database keeps for
proofs are compared on the way.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import msgspec

from exchange.kit.audit_reading import FIRST_XACT
from exchange.kit.database import Connection, Database, unhurried
from exchange.transparency import store
from exchange.transparency.diagnosis import first_fault
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.models import Block, Checkpoint, Fault, FaultKind
from exchange.transparency.records import place_of
from exchange.transparency.tree import Tree, last_leaf, leaf_hash, leaves_of, perfect_parts, stored_index

RECORDS_AT_ONCE: Final = 8192
BLOCKS_AT_ONCE: Final = 64
IN_THREAD: Final = 100
LOOK_AHEAD: Final = 4096
"""Records and leaves after a bad block that are read to tell what was done to it."""


class Outline(msgspec.Struct, frozen=True, gc=False):
    """What the database says of a block."""

    first_position: int
    until_xact: int


class RecordCheck:
    """The records against trusted checkpoints. `verified` is up to where they are what was sealed."""

    def __init__(
        self,
        database: Database,
        folder: CheckpointFolder | None,
        trusted: Sequence[Checkpoint],
        blocks: Mapping[int, Outline],
        size: int,
    ) -> None:
        """Take the checkpoints to believe, and what the database says of its blocks, up to which size."""
        self.verified = 0
        self.unsealed = 0
        self._database = database
        self._folder = folder
        self._trusted = trusted
        self._outlines = blocks
        self._size = size

    async def run(self, first: int, last: int, show: Callable[[int, int], None]) -> Fault | None:
        """Verify the records from a checkpoint's size until another's; return the first fault."""
        self.verified = first
        due = [each for each in self._trusted if first < each.size <= last]
        async with (
            self._database.transaction(isolation="repeatable_read") as connection,
            self._database.transaction() as beside,
        ):
            await unhurried(connection)
            await unhurried(beside)
            tree, fault = await self._begin(beside, first)
            if fault is not None:
                return fault
            while due:
                form = due[0].form
                same = [each for each in due if each.form == form]
                records = _Ahead(
                    store.walk_records(
                        connection, form, self._xact_after(tree.size), store.LAST_XACT, RECORDS_AT_ONCE
                    )
                )
                try:
                    fault = await self._blocks(
                        beside, tree, same, records, lambda: show(tree.size - first, last - first)
                    )
                    if fault is None and same[-1] is due[-1]:
                        fault = await self._end(records, last)
                finally:
                    await records.close()
                if fault is not None:
                    return fault
                due = due[len(same) :]
            if last == self._size:
                self.unsealed = await store.count_records(beside, self._xact_after(last), store.LAST_XACT)
        return None

    def _xact_after(self, size: int) -> str:
        """Return the transaction from which the records after a checkpoint are, as the database has it."""
        if size == 0 or size not in self._outlines:
            return FIRST_XACT
        return str(self._outlines[size].until_xact)

    async def _begin(self, beside: Connection, first: int) -> tuple[Tree, Fault | None]:
        """Return the tree at a checkpoint, from the database's hashes where they come to the signed root."""
        if first == 0:
            return Tree(), None
        nodes = list(perfect_parts((0, first)))
        places = [(last_leaf(*node), stored_index(*node)) for node in nodes]
        hashes = await store.stored_hashes(beside, places)
        tree = Tree(first, hashes) if len(hashes) == len(nodes) else Tree()
        if tree.root() == next(each.root for each in self._trusted if each.size == first):
            return tree, None
        detail = (
            "the hashes in the database do not come to the signed root here; verify from the first record on"
        )
        return tree, Fault(kind=FaultKind.HASHES_CHANGED, detail=detail, after_size=0, until_size=first)

    async def _blocks(
        self,
        beside: Connection,
        tree: Tree,
        due: Sequence[Checkpoint],
        records: "_Ahead",
        show: Callable[[], None],
    ) -> Fault | None:
        stored = _Stored(beside)
        for checkpoint in due:
            begin = tree.size
            before = tree.copy()
            found = await records.take(checkpoint.size - begin)
            is_small = len(found) < IN_THREAD  # then to change threads takes longer
            hashes = _grow(tree, found) if is_small else await asyncio.to_thread(_grow, tree, found)
            if tree.size != checkpoint.size or tree.root() != checkpoint.root:
                return await self._diagnose(
                    stored, before, checkpoint, [*found, *await records.take(LOOK_AHEAD)]
                )
            kept = await stored.hashes(begin, checkpoint.size)
            block = self._outlines.get(checkpoint.size)
            is_told_so = block is None or block.until_xact == place_of(found[-1])[0] + 1
            if (kept is not None and kept != hashes) or not is_told_so:
                what = "hashes in the database are" if is_told_so else "end of their block in the database is"
                return Fault(
                    kind=FaultKind.HASHES_CHANGED,
                    detail=f"the records are whole, but the {what} not theirs",
                    after_size=begin,
                    until_size=checkpoint.size,
                )
            self.verified = tree.size
            show()
        return None

    async def _diagnose(
        self, stored: "_Stored", before: Tree, checkpoint: Checkpoint, found: Sequence[bytes]
    ) -> Fault:
        begin, size = before.size, checkpoint.size
        block = self._outlines.get(size)
        for leaves in await self._leaves(stored, begin, size):
            tree = before.copy()
            tree.append(leaves[: size - begin])
            if tree.size != size or tree.root() != checkpoint.root:
                continue
            fault = await asyncio.to_thread(
                first_fault,
                leaves,
                found,
                after_size=begin,
                until_size=size,
                until_xact=None if block is None else block.until_xact,
            )
            if fault is not None:
                return fault
        return Fault(
            kind=FaultKind.UNKNOWN,
            detail="the records are not those that were sealed, and no leaves come to the signed root",
            after_size=begin,
            until_size=size,
        )

    async def _leaves(self, stored: "_Stored", begin: int, size: int) -> list[list[bytes]]:
        """Return what may be the leaves that were sealed, some further ones included."""
        found: list[list[bytes]] = []
        if self._folder is not None:
            found.append(await asyncio.to_thread(self._folder.read_leaves, begin, size + LOOK_AHEAD))
        kept = await stored.leaves(begin, size + LOOK_AHEAD)
        return [*found, kept]

    async def _end(self, records: "_Ahead", last: int) -> Fault | None:
        """Look at what follows the last record: it must not be of a transaction that was sealed with it."""
        following = await records.take(1)
        block = self._outlines.get(last)
        if not following or block is None or place_of(following[0])[0] >= block.until_xact:
            return None
        record_id = place_of(following[0])[1]
        return Fault(
            kind=FaultKind.INSERTED,
            detail=f"record {record_id} is of a transaction that was sealed without it",
            position=last,
            record_id=record_id,
            after_size=block.first_position,
            until_size=last,
        )


def _grow(tree: Tree, records: Sequence[bytes]) -> bytes:
    return tree.append([leaf_hash(record) for record in records])


class _Stored:
    """The hashes that the database keeps, read some blocks at a time, forwards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._blocks: dict[int, Block] = {}

    async def hashes(self, begin: int, size: int) -> bytes | None:
        """Return those of a block; None where the database has no such block."""
        if begin not in self._blocks:
            found = await store.blocks_from(self._connection, begin, BLOCKS_AT_ONCE)
            self._blocks = {block.first_position: block for block in found}
        block = self._blocks.get(begin)
        return block.hashes if block is not None and block.size == size else None

    async def leaves(self, begin: int, end: int) -> list[bytes]:
        """Return the leaves of some positions, as many of them as there are; `begin` is a block's."""
        found: list[bytes] = []
        while begin < end:
            blocks = await store.blocks_from(self._connection, begin, 1)
            if not blocks or blocks[0].first_position != begin:
                break
            found += leaves_of(blocks[0].hashes, begin, blocks[0].size)
            begin = blocks[0].size
        return found


class _Ahead:
    """A stream of records, one piece of which is always being read."""

    def __init__(self, pieces: AsyncIterator[list[bytes]]) -> None:
        self._pieces = pieces
        self._piece: list[bytes] = []
        self._taken = 0
        self._next: asyncio.Task[list[bytes] | None] | None = None

    async def take(self, count: int) -> list[bytes]:
        """Return the next records, fewer only where the stream ends."""
        while len(self._piece) - self._taken < count:
            if self._next is None:
                self._next = asyncio.create_task(self._read())
            piece = await self._next
            if piece is None:
                break
            self._next = asyncio.create_task(self._read())
            self._piece, self._taken = [*self._piece[self._taken :], *piece], 0
        taken = self._piece[self._taken : self._taken + count]
        self._taken += len(taken)
        return taken

    async def close(self) -> None:
        """End what is being read."""
        if self._next is not None:
            await self._next

    async def _read(self) -> list[bytes] | None:
        return await anext(self._pieces, None)
