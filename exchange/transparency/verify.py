"""Whether the record is what was sealed: each record, leaf, node, root and signature, to the first bad one.

The checkpoints of the folder outside are believed where their keys' signatures hold, the database is not: its
checkpoints must be those, and its records come to their roots (`record_check`). Copies of checkpoints that
have left the house hold the folder itself to what was signed.

Nothing is locked or written; the exchange may go on meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from exchange.kit.audit_reading import FIRST_XACT
from exchange.kit.database import Database, unhurried
from exchange.transparency import store
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.history import History, Kept, compare, note_digest, read_history
from exchange.transparency.models import Block, Fault, FaultKind, Replaced
from exchange.transparency.notes import BadNote, Verifier, digest_of, is_as_signed, read_checkpoint
from exchange.transparency.record_check import Outline, RecordCheck
from exchange.transparency.trust import KeyBreak


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Checkpoints that somebody has kept, and the name of where they are."""

    where: str
    notes: Sequence[str]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What to verify: the records that were sealed in it; None is from the first, or up to the last one."""

    from_position: int | None = None
    until_position: int | None = None
    from_us: int | None = None
    until_us: int | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `records` were verified, from `first_position` on, under `checkpoints` signatures.

    The log has `log_size` records, `published_size` of them under a checkpoint of the folder, None without a
    folder; `unsealed` further ones are not under any yet, which is no fault.
    """

    first_position: int
    records: int
    checkpoints: int
    log_size: int
    published_size: int | None
    unsealed: int
    replaced: tuple[Replaced, ...]
    """Keys of the log that were lost, and replaced by others which were accepted."""
    fault: Fault | None


class _Log(msgspec.Struct, kw_only=True):
    """The log as the database has it: by size, its blocks and their checkpoints, whoever signed them."""

    blocks: dict[int, Outline]
    notes: dict[int, Kept]
    size: int
    further: list[str]
    """The notes of blocks that come after a size."""
    fault: Fault | None
    """The first block of which the database says anything else than its checkpoint."""


async def verify(
    database: Database,
    folder: CheckpointFolder | None,
    verifiers: Sequence[Verifier],
    *,
    copies: Sequence[Copy] = (),
    breaks: Sequence[KeyBreak] = (),
    span: Span | None = None,
    show: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verdict:
    """Verify the record against the folder's checkpoints, and those against copies that others have kept.

    `breaks` are where lost keys were replaced by others that are among `verifiers` because they were named.
    Without a folder the checkpoints are those of the database, which says less: whoever can change the
    database and has the key can change both.
    """
    span = span or Span()
    outside = History(trusted=[], fault=None)
    if folder is not None:
        # Before the database, which has each checkpoint first: so it can only be ahead.
        outside = await asyncio.to_thread(
            read_history,
            folder.notes(),
            verifiers,
            where=str(folder.checkpoints),
            is_whole=True,
            breaks=breaks,
        )
    log = await _log(database, outside.size)
    faults = [outside.fault, compare(outside, log.notes, log.size, where="the database's log")]
    ours = outside
    if not any(faults):  # what the folder has not got yet: sealed a moment ago, or while it was away
        further = await asyncio.to_thread(
            read_history,
            log.further,
            verifiers,
            where="the database",
            is_whole=True,
            after=outside.trusted[-1] if outside.trusted else None,
            breaks=breaks,
        )
        faults.append(further.fault)
        ours = History(trusted=[*outside.trusted, *further.trusted], fault=None)
    for copy in copies:
        kept = read_history(copy.notes, verifiers, where=copy.where, is_whole=False, breaks=breaks)
        by_size = {each.size: each for each in ours.trusted}
        faults += [kept.fault, compare(kept, by_size, ours.size, where="this log")]
    faults.append(log.fault)
    check = RecordCheck(database, folder, [each.checkpoint for each in ours.trusted], log.blocks, log.size)
    first, last = _bounds(ours, span)
    fault = await check.run(first, last, show)
    suspicion = min((each for each in faults if each), key=lambda each: each.after_size, default=None)
    return Verdict(
        first_position=first,
        records=check.verified - first,
        checkpoints=sum(first < each.size <= check.verified for each in ours.trusted),
        log_size=max(ours.size, log.size),
        published_size=None if folder is None else outside.size,
        unsealed=check.unsealed,
        replaced=ours.trusted[-1].checkpoint.replaced if ours.trusted else (),
        fault=_worse(fault, suspicion),
    )


async def _log(database: Database, further_than: int) -> _Log:
    log = _Log(blocks={}, notes={}, size=0, further=[], fault=None)
    before: Block | None = None
    async with database.transaction() as connection:
        await unhurried(connection)
        while blocks := await store.outlines_from(connection, log.size, 1000):
            for block in blocks:
                if log.fault is None and not (_goes_on(before, block) and is_as_signed(block)):
                    log.fault = Fault(
                        kind=FaultKind.HASHES_CHANGED,
                        detail="what the database says of a block is not what its checkpoint says",
                        after_size=block.first_position,
                        until_size=block.size,
                    )
                before = block
                log.blocks[block.size] = Outline(block.first_position, int(block.until_xact))
                with contextlib.suppress(BadNote):  # then it is another one than that of the folder
                    checkpoint = read_checkpoint(block.note)
                    digests = digest_of(block.note), note_digest(block.note)
                    log.notes[block.size] = Kept(checkpoint, *digests)
                if block.size > further_than:
                    log.further.append(block.note)
            log.size = blocks[-1].size
    return log


def _goes_on(before: Block | None, block: Block) -> bool:
    """Whether a block begins where the one before it ends."""
    end = (0, FIRST_XACT) if before is None else (before.size, before.until_xact)
    return (block.first_position, block.from_xact) == end


def _worse(fault: Fault | None, suspicion: Fault | None) -> Fault | None:
    """Return which of a fault of the records and one of the checkpoints comes first, as what it is."""
    if fault is None or suspicion is None:
        return fault or suspicion
    if (
        suspicion.kind is FaultKind.FORKED
        and fault.kind is not FaultKind.HASHES_CHANGED
        and fault.until_size > suspicion.after_size
    ):  # from there on the records are those of the other history
        detail = f"{suspicion.detail}; {fault.detail}"
        return msgspec.structs.replace(fault, kind=FaultKind.FORKED, detail=detail)
    return fault if fault.after_size <= suspicion.after_size else suspicion


def _bounds(ours: History, span: Span) -> tuple[int, int]:
    """Return the sizes between which a span is: those of checkpoints, so it may be wider."""
    first = max(
        (
            each.size
            for each in ours.trusted
            if (span.from_position is not None and each.size <= span.from_position)
            or (span.from_us is not None and each.checkpoint.sealed_at_us < span.from_us)
        ),
        default=0,
    )
    last = min(
        (
            each.size
            for each in ours.trusted
            if (span.until_position is not None and each.size >= span.until_position)
            or (span.until_us is not None and each.checkpoint.sealed_at_us >= span.until_us)
        ),
        default=ours.size,
    )
    return min(first, last), last
