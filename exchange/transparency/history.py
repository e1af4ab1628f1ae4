"""The checkpoints themselves: whether they are signed, follow each other, and agree with those elsewhere.

Nothing here reads records. A `History` is what remains to check them against: the checkpoints that can be
trusted, up to the first that cannot. Pure.

Known limit: a history is in memory, half a kilobyte a checkpoint.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from exchange.transparency.models import Checkpoint, Fault, FaultKind
from exchange.transparency.notes import (
    FIRST,
    BadNote,
    OtherKey,
    Verifier,
    check_signature,
    digest_of,
    read_checkpoint,
)
from exchange.transparency.trust import KeyBreak


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint that one place has: what it says, and the SHA-256 of its text and of the whole note."""

    checkpoint: Checkpoint
    text_digest: bytes
    note_digest: bytes

    @property
    def size(self) -> int:
        """The size of the log that it is about."""
        return self.checkpoint.size


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Checkpoints that can be trusted, oldest first, and what is wrong after them."""

    trusted: list[Kept]
    fault: Fault | None

    @property
    def size(self) -> int:
        """How many records they are about."""
        return self.trusted[-1].size if self.trusted else 0


def note_digest(note: str) -> bytes:
    """Return by what two notes are the same, signatures included."""
    return sha256(note.encode("utf-8", "surrogateescape")).digest()


def read_history(
    notes: Iterable[str],
    verifiers: Sequence[Verifier],
    *,
    where: str,
    is_whole: bool,
    after: Kept | None = None,
    breaks: Sequence[KeyBreak] = (),
) -> History:
    """Read checkpoints that one place has, oldest first, up to the first that cannot be trusted.

    `is_whole` tells that none may be missing between two; a copy may have gaps. `where` names the place in
    what is told of a fault. `after` is the one that they follow, and is not among those returned. `breaks`
    are where lost keys were replaced by others that are accepted; any other such place is a fault.
    """
    trusted: list[Kept] = []
    for note in notes:
        before = trusted[-1] if trusted else after
        try:
            checkpoint = read_checkpoint(note)
            denied = _denied(checkpoint, breaks)
            signer = None if denied else check_signature(note, verifiers)
        except BadNote as error:
            kind = FaultKind.WRONG_KEY if isinstance(error, OtherKey) else FaultKind.CHECKPOINT_DAMAGED
            detail = f"{where}: after the checkpoint of size {_size(before)}: {error}"
            return History(trusted=trusted, fault=_fault(kind, detail, before, note))
        denied = denied or _misplaced(checkpoint, signer, before, breaks, is_whole=is_whole)
        if denied:
            detail = f"{where}: after the checkpoint of size {_size(before)}: {denied}"
            return History(trusted=trusted, fault=_fault(FaultKind.KEY_REPLACED, detail, before, note))
        if before is not None and (found := _contradiction(before, checkpoint, is_whole=is_whole)):
            kind, detail, is_either = found
            if is_either and trusted:
                trusted.pop()
            fault = _fault(kind, f"{where}: {detail}", trusted[-1] if trusted else after, note)
            return History(trusted=trusted, fault=fault)
        trusted.append(Kept(checkpoint, digest_of(note), note_digest(note)))
    return History(trusted=trusted, fault=None)


def _contradiction(
    kept: Kept, checkpoint: Checkpoint, *, is_whole: bool
) -> tuple[FaultKind, str, bool] | None:
    """Return how a checkpoint cannot follow another: the kind, in words, and whether either may be false."""
    before = kept.checkpoint
    if checkpoint.origin != before.origin:
        detail = f"the checkpoint after that of size {before.size} is of another log"
        return FaultKind.CHECKPOINT_REPLACED, detail, False
    if checkpoint.size == before.size and checkpoint.root != before.root:
        detail = f"two checkpoints of size {before.size} are signed, with different roots"
        return FaultKind.FORKED, detail, True
    if checkpoint.size <= before.size or checkpoint.sealed_at_us < before.sealed_at_us:
        detail = f"an older checkpoint stands after that of size {before.size}"
        return FaultKind.CHECKPOINT_REPLACED, detail, False
    if is_whole and checkpoint.previous != kept.text_digest:
        detail = (
            f"the checkpoint of size {checkpoint.size} follows another one than that of size {before.size}, "
            "which stands before it"
        )
        return FaultKind.CHECKPOINT_REPLACED, detail, True
    return None


def _denied(checkpoint: Checkpoint, breaks: Sequence[KeyBreak]) -> str:
    """Return how what a checkpoint says of lost keys is not what is accepted; '' where it is."""
    accepted = [each.replaced for each in breaks if each.after_size < checkpoint.size]
    for told in checkpoint.replaced:
        if told not in accepted:
            return (
                f"the key {told.key} was lost after {told.after_size} records, and another took its place "
                "without its signature: only who knows from elsewhere whose that is may accept it"
            )
    if list(checkpoint.replaced) != accepted:
        lost = accepted[0] if not checkpoint.replaced else accepted[-1]
        return f"it does not say that the key {lost.key} was lost after {lost.after_size} records"
    return ""


def _misplaced(
    checkpoint: Checkpoint,
    signer: Verifier | None,
    before: Kept | None,
    breaks: Sequence[KeyBreak],
    *,
    is_whole: bool,
) -> str:
    """Return why a checkpoint cannot be on its side of the end of a lost key; '' where it can."""
    size, digest = (0, FIRST) if before is None else (before.size, before.text_digest)
    for each in breaks:
        is_after = checkpoint.size > each.after_size
        if (signer in each.since) != is_after:
            return f"it is signed by a key of the other side of size {each.after_size}, where one was lost"
        is_last_known = is_whole or (before is not None and size == each.after_size)
        is_other = is_last_known and (size, digest) != (each.after_size, each.after_digest)
        if is_after and size <= each.after_size and is_other:
            return (
                f"the key {each.by.short} took the place of {each.lost.short} after another checkpoint, of "
                f"size {each.after_size}"
            )
    return ""


def _size(kept: Kept | None) -> int:
    return 0 if kept is None else kept.size


def _fault(kind: FaultKind, detail: str, before: Kept | None, note: str) -> Fault:
    until = _size(before)
    with contextlib.suppress(BadNote):
        until = max(until, read_checkpoint(note).size)
    return Fault(kind=kind, detail=detail, after_size=_size(before), until_size=until)


def compare(ours: History, others: Mapping[int, Kept], others_size: int, *, where: str) -> Fault | None:
    """Return the first checkpoint that another place, by size of the log, has not or has otherwise."""
    before = 0
    for kept in ours.trusted:
        size, other = kept.size, others.get(kept.size)
        if other is None and size > others_size:
            return Fault(
                kind=FaultKind.TRUNCATED,
                detail=f"{where} ends at size {others_size}, and size {size} is signed",
                position=others_size,
                after_size=others_size,
                until_size=size,
            )
        kind, detail = FaultKind.FORKED, ""
        if other is None:
            detail = f"{where} has no checkpoint of size {size}, and goes further"
        elif other.text_digest != kept.text_digest:
            detail = f"{where} has another checkpoint of size {size}"
        elif other.note_digest != kept.note_digest:
            kind, detail = FaultKind.CHECKPOINT_DAMAGED, f"{where} has another signature of size {size}"
        if detail:
            return Fault(kind=kind, detail=detail, after_size=before, until_size=size)
        before = size
    return None
