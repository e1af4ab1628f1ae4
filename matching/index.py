"""Resting orders in priority order, in blocks that know which hours their orders can serve.

Keys rise from best to worst (`ask_key`, `bid_key`), so a walk from the front is price-time priority. Each
block holds at most `BLOCK_MAX` orders and `cover`, the OR of their hour masks, kept exact: a block whose
cover lacks an hour that a window needs is skipped whole, so capacity that has sold out is not scanned again.
Placing and removing cost two binary searches and a short list move; a removed order leaves nothing behind.

Known limit: the blocks themselves are a flat list, so a search that nothing can satisfy still looks at each
block once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from matching.units import SEQUENCE_BITS, BookCorrupt, run_starts

BLOCK_MAX: Final = 64


def ask_key(price_ticks: int, sequence: int) -> int:
    """Cheaper first, then older."""
    return (price_ticks << SEQUENCE_BITS) + sequence


def bid_key(price_ticks: int, sequence: int) -> int:
    """Dearer first, then older."""
    return (-price_ticks << SEQUENCE_BITS) + sequence


class Indexed(Protocol):
    """What the index needs to know of an order."""

    key: int
    mask: int


T = TypeVar("T", bound=Indexed)


class Block(Generic[T]):
    """A run of neighbouring orders; `keys[i]` is `items[i].key`."""

    __slots__ = ("cover", "items", "keys")

    def __init__(self, items: list[T]) -> None:
        self.items = items
        self.keys = [item.key for item in items]
        self.cover = 0
        for item in items:
            self.cover |= item.mask

    def uncover(self, lost: int) -> None:
        """Drop from the cover those of the `lost` hours that no order of the block has any more."""
        for item in self.items:
            if item.mask & lost == lost:
                return
            lost &= ~item.mask
        self.cover &= ~lost


class RestingIndex(Generic[T]):
    """The resting orders of one side, known by `key`; a change of `mask` is told by `shrink` or `rebase`."""

    __slots__ = ("blocks", "firsts")

    def __init__(self) -> None:
        self.blocks: list[Block[T]] = []
        self.firsts: list[int] = []

    def __len__(self) -> int:
        return sum(len(block.keys) for block in self.blocks)

    def __iter__(self) -> Iterator[T]:
        for block in self.blocks:
            yield from block.items

    def best(self) -> T | None:
        """Return the first order in priority."""
        return self.blocks[0].items[0] if self.blocks else None

    def insert(self, item: T) -> None:
        """Place an order."""
        key = item.key
        firsts = self.firsts
        place = bisect_right(firsts, key) - 1
        if place < 0:
            if not firsts:
                self.blocks.append(Block([item]))
                firsts.append(key)
                return
            # An order before all others goes to the first block.
            place = 0
        block = self.blocks[place]
        keys = block.keys
        i = bisect_left(keys, key)
        keys.insert(i, key)
        block.items.insert(i, item)
        block.cover |= item.mask
        if i == 0:
            firsts[place] = key
        if len(keys) > BLOCK_MAX:
            upper = Block(block.items[BLOCK_MAX // 2 :])
            self.blocks[place : place + 1] = [Block(block.items[: BLOCK_MAX // 2]), upper]
            firsts.insert(place + 1, upper.keys[0])

    def remove(self, item: T) -> None:
        """Take an order out; raises BookCorrupt where it is not there."""
        key = item.key
        firsts = self.firsts
        if not firsts or key < firsts[0]:
            raise BookCorrupt(f"no order with key {key} in the index")
        # Fills take the best order out: nothing to search.
        is_best = key == firsts[0]
        place = 0 if is_best else bisect_right(firsts, key) - 1
        block = self.blocks[place]
        keys = block.keys
        items = block.items
        i = 0 if is_best else bisect_left(keys, key)
        if i == len(keys) or items[i] is not item:
            raise BookCorrupt(f"no order with key {key} in the index")
        del keys[i]
        del items[i]
        if not keys:
            del self.blocks[place]
            del firsts[place]
            return
        if i == 0:
            firsts[place] = keys[0]
        lost = item.mask
        if items[0].mask & lost != lost:
            block.uncover(lost)

    def shrink(self, item: T, lost: int) -> None:
        """Tell that the order's mask has lost these hours."""
        self._block(bisect_right(self.firsts, item.key) - 1).uncover(lost)

    def rebase(self, hours: int) -> None:
        """Move the covers' first hour forward; the orders' masks are moved by the book."""
        for block in self.blocks:
            block.cover >>= hours

    def covering(self, need: int, last_key: int) -> Iterator[T]:
        """Yield, best first and up to `last_key`, the orders that have every hour of `need`."""
        for block in self.blocks:
            if block.cover & need == need:
                for item in block.items:
                    if item.mask & need == need:
                        if item.key > last_key:
                            return
                        yield item
            if block.keys[-1] > last_key:
                return

    def offering(self, starts: int, window: int, hours: int, last_key: int) -> Iterator[T]:
        """Yield, best first, the orders with `hours` on end inside `window`, beginning in one of `starts`."""
        for block in self.blocks:
            if run_starts(block.cover & window, hours) & starts:
                for item in block.items:
                    if run_starts(item.mask & window, hours) & starts:
                        if item.key > last_key:
                            return
                        yield item
            if block.keys[-1] > last_key:
                return

    def touching(self, hours: int, last_key: int) -> Iterator[T]:
        """Yield, best first and up to `last_key`, the orders that have any of these hours.

        An order may be taken out of the index once it has been yielded, and with it a whole block.
        """
        blocks = self.blocks
        place = 0
        while place < len(blocks):
            block = blocks[place]
            beyond = block.keys[-1] > last_key
            if block.cover & hours:
                for item in block.items.copy():
                    if item.mask & hours:
                        if item.key > last_key:
                            return
                        yield item
            if beyond:
                return
            if block.keys:
                place += 1

    def _block(self, place: int) -> Block[T]:
        if place < 0:
            raise BookCorrupt("the index has no block for this key")
        return self.blocks[place]
