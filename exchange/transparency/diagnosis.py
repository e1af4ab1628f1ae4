"""Which record is the first bad one, and what was done to it: told from leaves that are known to be right.

`expected` are the leaves of a block, and some of what follows, as they were sealed; `found` the records that
are there now, from the block's first place on. Pure.
"""

from collections.abc import Sequence
from typing import Final

from exchange.transparency.models import Fault, FaultKind
from exchange.transparency.records import exchanged, place_of
from exchange.transparency.tree import leaf_hash

SWAPS_TRIED: Final = 10_000
"""So many records after a bad one are tried as the other side of a swap."""


def first_fault(
    expected: Sequence[bytes],
    found: Sequence[bytes],
    *,
    after_size: int,
    until_size: int,
    until_xact: int | None,
) -> Fault | None:
    """Return the first fault of the block from `after_size` until before `until_size`, None without any.

    `until_xact` is the transaction that the block's records come before, where that is known.
    """
    leaves = [leaf_hash(record) for record in found]
    block = until_size - after_size
    at = next((at for at in range(min(block, len(leaves))) if leaves[at] != expected[at]), len(leaves))
    if at >= block:
        return None
    span = {"after_size": after_size, "until_size": until_size, "position": after_size + at}
    if at == len(found):
        return Fault(
            kind=FaultKind.TRUNCATED, detail=f"the record ends before position {after_size + at}", **span
        )
    xact_id, record_id = place_of(found[at])
    if (missing := _index(expected, leaves[at], at + 1)) is not None:
        return Fault(
            kind=FaultKind.DELETED, detail=f"{_many(missing - at)} missing before record {record_id}", **span
        )
    # Where the database does not tell how far the block goes, that nothing of the rest is left does.
    is_over = xact_id >= until_xact if until_xact is not None else set(expected[at:block]).isdisjoint(leaves)
    if is_over:
        detail = f"{_many(block - at)} missing from the end of what was sealed"
        return Fault(kind=FaultKind.TRUNCATED, detail=detail, **span)
    if (added := _index(leaves, expected[at], at + 1)) is not None:
        kind, detail, other = (
            FaultKind.INSERTED,
            f"{_many(added - at)} there that never came to be sealed",
            None,
        )
    elif (other := _swapped_with(expected, found, leaves, at, block)) is not None:
        kind, detail = FaultKind.SWAPPED, f"it and record {place_of(found[other])[1]} have each other's place"
        other += after_size
    else:
        kind, detail = FaultKind.CHANGED, "it is not what was sealed"
    return Fault(kind=kind, detail=detail, record_id=record_id, other_position=other, **span)


def _index(leaves: Sequence[bytes], leaf: bytes, start: int) -> int | None:
    try:
        return leaves.index(leaf, start)
    except ValueError:
        return None


def _swapped_with(
    expected: Sequence[bytes], found: Sequence[bytes], leaves: Sequence[bytes], at: int, block: int
) -> int | None:
    """Return which other record of the block is what was sealed in the place of the first bad one."""
    for other in range(at + 1, min(block, len(found), at + SWAPS_TRIED)):
        if leaves[other] != expected[other]:
            _, moved = exchanged(found[at], found[other])
            if leaf_hash(moved) == expected[at]:
                return other
    return None


def _many(count: int) -> str:
    return "one record is" if count == 1 else f"{count} records are"
