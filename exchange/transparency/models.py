"""What the transparency log is made of, inside and as callers see it."""

from enum import StrEnum
from typing import Annotated

import msgspec

from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit


class Replaced(msgspec.Struct, frozen=True):
    """A key of the log that was lost: its name and id, and the size of the log when another took its place.

    Nobody signed for the other but itself. Every checkpoint from then on says so.
    """

    key: str
    after_size: int


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says: the first `size` records have this `root`.

    `form` tells how the records after the checkpoint before were written as bytes, `previous` is the SHA-256
    of that checkpoint's text, zeros for the first, and `sealed_at_us` wall time. `replaced` are the keys of
    before that were lost, oldest first.
    """

    origin: str
    size: int
    root: bytes
    form: int
    sealed_at_us: int
    previous: bytes
    replaced: tuple[Replaced, ...] = ()


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A block of sealed records, as it is stored; transactions are numbered as text."""

    first_position: int
    size: int
    from_xact: str
    until_xact: str
    form: int
    hashes: bytes
    root: bytes
    note: str
    sealed_at_us: int


class FaultKind(StrEnum):
    """What is wrong with the record or with its checkpoints."""

    CHANGED = "changed"
    """A record has other bytes than those that were sealed."""
    DELETED = "deleted"
    INSERTED = "inserted"
    SWAPPED = "swapped"
    """Two records have each other's place."""
    TRUNCATED = "truncated"
    """The record, or the log in the database, ends before what was sealed."""
    FORKED = "forked"
    """Two checkpoints that this log signed contradict each other."""
    CHECKPOINT_REPLACED = "checkpoint_replaced"
    """A checkpoint is not the one that the next one names, or one is missing between them."""
    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    """It cannot be read, or is not what was signed."""
    WRONG_KEY = "wrong_key"
    """It is signed by another key than the log's."""
    KEY_REPLACED = "key_replaced"
    """A key took the place of a lost one and is not named as accepted, or what is signed denies it."""
    HASHES_CHANGED = "hashes_changed"
    """The records are whole, but the hashes that the database keeps of them are not."""
    UNKNOWN = "unknown"
    """The records of a block are not those that were sealed; which one cannot be told without the leaves."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first thing that is wrong: what, where, and between which checkpoints.

    `position` counts from 0; where it is not known, it is in the records from `after_size` until before
    `until_size`. `record_id` is that of the record found there, where one is.
    """

    kind: FaultKind
    detail: str
    position: int | None = None
    record_id: int | None = None
    other_position: int | None = None
    after_size: int
    until_size: int


class SealStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How the log stood at a look: its size, when the last checkpoint was signed (wall time), what waits."""

    size: int
    sealed_at_us: int | None
    unsealed_records: int


class SealBreak(msgspec.Struct, frozen=True, kw_only=True):
    """What surveillance found of the log: the position that was looked for, and what was there instead."""

    kind: str
    expected: int
    found: int


class CheckpointView(msgspec.Struct, frozen=True, kw_only=True):
    """A signed checkpoint. `note` is what was signed and the signature, as the log's files have it."""

    size: int
    root: str
    sealed_at: str
    note: str


class LogKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the log's: `verifier` in the form of signed notes, `public_key` the same in plain base64.

    Each key but the first is endorsed by the one before, and accepts to follow it: two signatures over
    `VERIFIER`, a line feed, `follows VERIFIER OF THE ONE BEFORE`, a line feed. One that took the place of a
    lost key has no endorsement: `after_size` and `after_digest` (base64) name the last checkpoint before it,
    and its acceptance is over `VERIFIER`, a line feed, `replaces VERIFIER OF THE ONE BEFORE`, a line feed,
    `after SIZE DIGEST without its signature`, a line feed. Who trusts the one before need not trust it.
    """

    verifier: str
    public_key: str
    begun_at: str
    endorsement: str | None
    acceptance: str | None
    after_size: int | None
    after_digest: str | None


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log stands: its latest checkpoint, null before the first, and its keys, the latest last."""

    checkpoint: CheckpointView | None
    keys: list[LogKey]


class ListCheckpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of the checkpoints, oldest first."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


LogSize = Annotated[
    int,
    msgspec.Meta(ge=1, le=2**53, description="how many records the log had, such as a checkpoint's size"),
]


class AskConsistency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Between which two sizes of the log."""

    old_size: LogSize
    new_size: LogSize


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the log of the new size goes on from that of the old one; `path` in base64 (RFC 6962, 2.1.2)."""

    old_size: int
    new_size: int
    path: list[str]


class RecordProof(msgspec.Struct, frozen=True, kw_only=True):
    """That one record is under the checkpoint: its `bytes` and its audit path, in base64."""

    position: int
    record_id: int
    bytes: str
    path: list[str]


class TradeProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the records of a trade are under a signed checkpoint.

    `unsealed` further ones are not yet: ask again in some seconds.
    """

    trade_id: str
    checkpoint: str
    verifier: str
    records: list[RecordProof]
    unsealed: int
