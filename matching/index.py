"""Resting orders in priority order: blocks of one price each, that know which spans their orders can serve.

`ladder` holds the blocks from worst to best, so that the best comes off the end; those of one price stand
newest first. A block holds few orders, by sequence, oldest first: a walk from the end of the ladder through
each block is price-time priority. Placing, removing and finding the best touch one block; only a block that
opens or closes is searched for. `cover` is the OR of the spans of a block's orders, and of at most as many
that have left: a block whose cover lacks a span that a window needs is skipped whole, so what is sold out is
not looked at again.

Blocks are small for two reasons: a dictionary that is emptied from the front is slow to find its first entry,
and a cover of many different windows says little. A block whose orders turn out to be of the same spans when
it is full takes `UNIFORM_FACTOR` times as many: its cover says all there is, and each block that opens costs.
Orders know their block by number, because they are kept from the garbage collector and must not be part of a
cycle. Known limit: the ladder is flat, so a search that nothing can satisfy still looks at each block once.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from matching.units import BookCorrupt

BLOCK_MAX: Final = 16
UNIFORM_FACTOR: Final = 4


class Indexed(Protocol):
    """What the index needs to know of an order. `block`: where it rests, 0 while it does not."""

    price_ticks: int
    sequence: int
    spans: int
    block: int


T = TypeVar("T", bound=Indexed)


class Block(Generic[T]):
    """Orders of one price by sequence, oldest first."""

    __slots__ = ("cover", "gone", "number", "orders", "price_ticks", "size_max")

    def __init__(self, number: int, price_ticks: int) -> None:
        self.number = number
        self.price_ticks = price_ticks
        self.orders: dict[int, T] = {}
        self.cover = 0
        # Orders that have left since the cover was last worked out.
        self.gone = 0
        self.size_max = BLOCK_MAX

    def renew_cover(self) -> None:
        """Work the cover out again."""
        cover = 0
        for order in self.orders.values():
            cover |= order.spans
        self.cover = cover
        self.gone = 0


class RestingIndex(Generic[T]):
    """The resting orders of one side. `better`: 1 where the higher price comes first, -1 where the lower."""

    __slots__ = ("better", "blocks", "ladder", "newest", "opened", "ranks")

    def __init__(self, better: int) -> None:
        self.better = better
        self.ladder: list[Block[T]] = []
        # `ranks[i]` is `better` times the price of `ladder[i]`.
        self.ranks: list[int] = []
        self.blocks: dict[int, Block[T]] = {}
        # The block of each price that takes new orders.
        self.newest: dict[int, Block[T]] = {}
        self.opened = 0

    def __iter__(self) -> Iterator[T]:
        for block in reversed(self.ladder):
            yield from block.orders.values()

    def insert(self, order: T) -> None:
        """Place an order behind all others of its price."""
        block = self.newest.get(order.price_ticks)
        if block is None or len(block.orders) >= block.size_max:
            block = self._next(order, block)
        block.orders[order.sequence] = order
        block.cover |= order.spans
        order.block = block.number

    def remove(self, order: T) -> None:
        """Take an order out; raises BookCorrupt where it is not there."""
        try:
            block = self.blocks[order.block]
            orders = block.orders
            del orders[order.sequence]
        except KeyError:
            raise BookCorrupt(f"no order with sequence {order.sequence} in the index") from None
        if not orders:
            self._close(block)
            return
        gone = block.gone + 1
        block.gone = gone
        if gone > len(orders):
            block.renew_cover()

    def shrink(self, order: T) -> None:
        """Tell that the order has lost some of its spans."""
        self.blocks[order.block].renew_cover()

    def rebase(self, spans: int) -> None:
        """Move the covers' first span forward; the orders' spans are moved by the book."""
        for block in self.ladder:
            block.cover >>= spans

    def _next(self, order: T, full: Block[T] | None) -> Block[T]:
        """Return the block for an order that finds none of its price, or a full one."""
        if full is not None and full.size_max == BLOCK_MAX and full.cover == order.spans:
            full.size_max = BLOCK_MAX * UNIFORM_FACTOR
            return full
        return self._open(order.price_ticks)

    def _open(self, price_ticks: int) -> Block[T]:
        """Return a new block behind all others of its price."""
        self.opened += 1
        block: Block[T] = Block(self.opened, price_ticks)
        rank = self.better * price_ticks
        place = bisect_left(self.ranks, rank)
        self.ranks.insert(place, rank)
        self.ladder.insert(place, block)
        self.blocks[block.number] = block
        self.newest[price_ticks] = block
        return block

    def _close(self, block: Block[T]) -> None:
        """Take an empty block out."""
        ladder = self.ladder
        if ladder[-1] is block:
            ladder.pop()
            self.ranks.pop()
        else:
            place = bisect_left(self.ranks, self.better * block.price_ticks)
            while ladder[place] is not block:
                place += 1
            del ladder[place]
            del self.ranks[place]
        del self.blocks[block.number]
        if self.newest.get(block.price_ticks) is block:
            del self.newest[block.price_ticks]
