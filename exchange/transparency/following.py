"""A look at each block soon after it was sealed, for surveillance: cheap, because each is looked at once.

Whether a block follows on what was looked at before, its checkpoint is signed (by the log's first key, or one
that follows it by signatures) and says what is stored with it, and its records are still those that were
sealed. What is changed later, `transparency.verify` finds. That a key took the place of a lost one is told
once, and what it signs is looked at as before: surveillance has nobody's word whose it is.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from exchange.kit.database import Connection
from exchange.transparency import store
from exchange.transparency.diagnosis import first_fault
from exchange.transparency.keys import registered
from exchange.transparency.models import Block, SealBreak
from exchange.transparency.notes import (
    FIRST,
    BadNote,
    Verifier,
    check_signature,
    digest_of,
    is_as_signed,
    read_checkpoint,
)
from exchange.transparency.tree import leaves_of
from exchange.transparency.trust import breaks_of, trusted_from


class Looked(msgspec.Struct, frozen=True):
    """Up to where the log was looked at: its size, and the digest of that checkpoint."""

    size: int = 0
    digest: bytes = FIRST


async def look_on(connection: Connection, looked: Looked) -> tuple[Looked, SealBreak | None]:
    """Look at the next block, where there is one; after a break, go on from what is there."""
    blocks = await store.blocks_from(connection, looked.size, 1)
    if not blocks:
        last = await store.last_block(connection)
        if looked.size == 0 or (last is not None and last.size == looked.size):
            return looked, None
        there = Looked() if last is None else Looked(last.size, digest_of(last.note))
        return there, SealBreak(kind="seals_missing", expected=looked.size, found=there.size)
    block = blocks[0]
    now = Looked(block.size, digest_of(block.note))
    known = await registered(connection)
    breaks = breaks_of(known)
    trusted = trusted_from([key.verifier for key in known[:1]], known, [each.by for each in breaks])
    if not _follows(looked, block, trusted):
        return now, SealBreak(kind="seal_replaced", expected=looked.size, found=block.first_position)
    records = await store.canonical_records(connection, block.form, block.from_xact, block.until_xact)
    leaves = leaves_of(block.hashes, block.first_position, block.size)
    fault = await asyncio.to_thread(
        first_fault,
        leaves,
        records,
        after_size=block.first_position,
        until_size=block.size,
        until_xact=int(block.until_xact),
    )
    position = fault.position if fault else block.size if len(records) > len(leaves) else None
    if position is None:
        is_replaced = any(each.after_size == block.first_position for each in breaks)
        if not is_replaced:
            return now, None
        return now, SealBreak(kind="key_replaced", expected=block.first_position, found=block.size)
    return now, SealBreak(kind="sealed_changed", expected=position, found=block.size)


def _follows(looked: Looked, block: Block, verifiers: Sequence[Verifier]) -> bool:
    try:
        checkpoint = read_checkpoint(block.note)
        check_signature(block.note, verifiers)
    except BadNote:
        return False
    is_next = (block.first_position, looked.digest) == (looked.size, checkpoint.previous)
    return is_next and is_as_signed(block)
