"""The Merkle tree over all records, as RFC 6962 defines it: growing it, its stored hashes, and audit paths.

Positions count records from 0. A node (level, number) is the root of the perfect tree over the `2**level`
leaves from `number * 2**level` on. Hashes are stored in the order in which they become known: each leaf, then
the nodes that it completes: of a tree of `size` leaves `2 * size - popcount(size)`, and none ever changes.

Pure. Hashes are SHA-256, 32 bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
LEAF: Final = b"\x00"
NODE: Final = b"\x01"
EMPTY_ROOT: Final = sha256(b"").digest()

Range = tuple[int, int]
"""Positions from the first until before the second."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a record's bytes as a leaf."""
    return sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(NODE + left + right).digest()


class Tree:
    """The right edge of a tree: enough to append to it, and to tell its root."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Go on from a tree of `size` leaves, with the hashes of its `peaks(size)`."""
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self._peaks = list(peaks)

    def copy(self) -> "Tree":
        """Return a tree that goes on by itself."""
        return Tree(self.size, self._peaks)

    def append(self, leaves: Iterable[bytes]) -> bytes:
        """Add leaves; return the hashes that became known, in the order in which they are stored."""
        size, peaks = self.size, self._peaks
        known: list[bytes] = []
        for leaf in leaves:
            rest, top = size, leaf
            known.append(top)
            while rest & 1:  # spelt out, without calls: verification spends its time here
                top = sha256(NODE + peaks.pop() + top).digest()
                known.append(top)
                rest >>= 1
            peaks.append(top)
            size += 1
        self.size = size
        return b"".join(known)

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        return folded(self._peaks)


def folded(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect trees that stand beside each other, the largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def stored_count(size: int) -> int:
    """Return how many hashes are stored of a tree of `size` leaves."""
    return 2 * size - size.bit_count()


def last_leaf(level: int, number: int) -> int:
    """Return the position of the leaf that completes a node."""
    return ((number + 1) << level) - 1


def stored_index(level: int, number: int) -> int:
    """Return where among all stored hashes a node's is."""
    return stored_count(last_leaf(level, number)) + level


def leaves_of(hashes: bytes, first_position: int, size: int) -> list[bytes]:
    """Return the leaves among the stored hashes of positions from `first_position` until before `size`."""
    begin = stored_count(first_position)
    places = (HASH_BYTES * (stored_count(position) - begin) for position in range(first_position, size))
    return [hashes[place : place + HASH_BYTES] for place in places]


def perfect_parts(span: Range) -> Iterator[tuple[int, int]]:
    """Yield the perfect trees, (level, number), that a range of a tree consists of, the largest first.

    The range must be one that the tree's recursion has: what begins it is a multiple of its largest part.
    """
    begin, end = span
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def audit_path(position: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that a leaf is in a tree of `size`, from the leaf upwards."""
    if not 0 <= position < size:
        raise ValueError(f"position {position} is not in a tree of {size}")
    path: list[Range] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        if position < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return path[::-1]


def root_by_path(leaf: bytes, position: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a leaf and its audit path lead to, None where the path has another length.

    RFC 9162, 2.1.3.2.
    """
    number, last, top = position, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            top = node_hash(sibling, top)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            top = node_hash(top, sibling)
        number, last = number >> 1, last >> 1
    return top if last == 0 else None


def consistency_path(old: int, new: int) -> list[Range]:
    """Return the ranges whose hashes prove that a tree goes on from a smaller one; RFC 6962, 2.1.2."""
    if not 0 < old <= new:
        raise ValueError(f"a tree of {new} leaves does not go on from one of {old}")
    path: list[Range] = []
    begin, end, is_whole = 0, new, True
    while old != end:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin, is_whole = middle, False
    return [*([] if is_whole else [(begin, end)]), *path[::-1]]


def goes_on(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether hashes prove that one tree goes on from another; RFC 9162, 2.1.4.2."""
    if old == new:
        return not path and old_root == new_root
    hashes = [old_root, *path] if old.bit_count() == 1 else list(path)
    if not (0 < old < new and hashes):
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        number, last = number >> 1, last >> 1
    return (first, second, last) == (old_root, new_root, 0)
