"""Proofs for others: that the records of a trade are under a signed checkpoint, and checkpoints themselves.

A proof is worked out from what the database keeps and tried before it is handed out: where it does not lead
to the signed root, the record or its hashes were changed since, and that is said instead.
"""

from collections.abc import Sequence

from exchange.kit.clock import format_rfc3339
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Conflict, NotFound
from exchange.kit.ids import encode_id
from exchange.transparency import store
from exchange.transparency.keys import registered
from exchange.transparency.models import (
    Block,
    CheckpointView,
    ConsistencyProof,
    LogHead,
    LogKey,
    RecordProof,
    TradeProof,
)
from exchange.transparency.notes import is_as_signed, to_base64
from exchange.transparency.records import FORM, place_of
from exchange.transparency.tree import (
    Range,
    audit_path,
    consistency_path,
    folded,
    last_leaf,
    leaf_hash,
    perfect_parts,
    root_by_path,
    stored_index,
)


class Proofs:
    """Tells checkpoints and proofs from a database that may be a replica."""

    def __init__(self, *, reads: Database) -> None:
        """Answer from `reads`."""
        self._reads = reads

    async def head(self) -> LogHead:
        """Return where the log stands, and its keys."""
        async with self._reads.snapshot() as connection:
            last = await store.last_block(connection)
            known = await registered(connection)
        return LogHead(
            checkpoint=None if last is None else _view(last),
            keys=[
                LogKey(
                    verifier=str(key.verifier),
                    public_key=to_base64(key.verifier.public_key),
                    begun_at=format_rfc3339(key.begun_at_us),
                    endorsement=None if key.endorsement is None else to_base64(key.endorsement),
                    acceptance=None if key.acceptance is None else to_base64(key.acceptance),
                    after_size=None if key.after is None else key.after[0],
                    after_digest=None if key.after is None else to_base64(key.after[1]),
                )
                for key in known
            ],
        )

    async def page(self, after_size: int, limit: int) -> list[CheckpointView]:
        """Return checkpoints above a size, oldest first."""
        async with self._reads.connection() as connection:
            return [_view(block) for block in await store.outlines_from(connection, after_size, limit)]

    async def consistency(self, old_size: int, new_size: int) -> ConsistencyProof:
        """Return the proof that the log of one size goes on from that of another, no larger one.

        Raises `NotFound` where the log has not come to the new size.
        """
        async with self._reads.snapshot() as connection:
            last = await store.last_block(connection)
            if last is None or last.size < new_size:
                raise NotFound(detail="the log has not come to this size")
            path = await _hashes_of(connection, consistency_path(old_size, new_size))
        return ConsistencyProof(
            old_size=old_size, new_size=new_size, path=[to_base64(sibling) for sibling in path]
        )

    async def trade(self, trade_id: int) -> TradeProof:
        """Return the proof of what is recorded of a trade.

        Raises `NotFound`, and `Conflict`: `not_sealed` before any of it is, `record_damaged` where what is
        stored does not lead to the signed root.
        """
        async with self._reads.snapshot() as connection:
            last = await store.last_block(connection)
            known = await registered(connection)
            records = await store.canonical_of_trade(connection, FORM, trade_id)
            if not records:
                raise NotFound(detail="no such trade")
            until = 0 if last is None else int(last.until_xact)
            sealed = [record for record in records if place_of(record)[0] < until]
            if last is None or not sealed:
                detail = (
                    "the record of the trade is not under a signed checkpoint yet; ask again in some seconds"
                )
                raise Conflict("not_sealed", detail, retryable=True)
            proofs = [
                await _proof(connection, trade_id, number, record, last)
                for number, record in enumerate(sealed)
            ]
        return TradeProof(
            trade_id=encode_id("trd", trade_id),
            checkpoint=last.note,
            verifier=str(known[-1].verifier),
            records=proofs,
            unsealed=len(records) - len(sealed),
        )


async def _proof(
    connection: Connection, trade_id: int, number: int, record: bytes, last: Block
) -> RecordProof:
    """Return the proof that a trade's record, one of several, is under the last block's checkpoint."""
    place = place_of(record)
    block = await store.block_of_transaction(connection, place[0])
    if block is None:
        raise AssertionError("a sealed transaction is in a block")
    if not (is_as_signed(block) and is_as_signed(last)):
        raise _damaged()
    if block.form != FORM:
        record = (await store.canonical_of_trade(connection, block.form, trade_id))[number]
    position = block.first_position + await store.count_before(connection, block.from_xact, place)
    path = await _hashes_of(connection, audit_path(min(position, last.size - 1), last.size))
    if root_by_path(leaf_hash(record), position, last.size, path) != last.root:
        raise _damaged()
    return RecordProof(
        position=position,
        record_id=place[1],
        bytes=to_base64(record),
        path=[to_base64(sibling) for sibling in path],
    )


def _damaged() -> Conflict:
    return Conflict(
        "record_damaged",
        "what is stored of the trade does not lead to the signed root: `audit verify` says more",
    )


async def _hashes_of(connection: Connection, spans: Sequence[Range]) -> list[bytes]:
    """Return the hash over each of some ranges of the log, from what is stored."""
    parts = [list(perfect_parts(span)) for span in spans]
    places = [(last_leaf(*node), stored_index(*node)) for nodes in parts for node in nodes]
    hashes = iter(await store.stored_hashes(connection, places))
    return [folded([next(hashes) for _ in nodes]) for nodes in parts]


def _view(block: Block) -> CheckpointView:
    return CheckpointView(
        size=block.size,
        root=to_base64(block.root),
        sealed_at=format_rfc3339(block.sealed_at_us),
        note=block.note,
    )
