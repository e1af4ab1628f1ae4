"""Goal: what has left a book leaves nothing behind. Method: long churn, then count what the book still holds.

A book that was restored holds what rests and nothing else: one that lived through it all must hold no more.
"""

from collections.abc import Iterator

import pytest

from matching.book import OrderBook
from matching.commands import AdvanceHour, CancelAll, Command
from matching.engine import execute
from matching.index import RestingIndex
from matching.live import LiveOrder
from matching.snapshot import restore, snapshot
from matching.supply import Supply
from tests.hypothesis_profiles import sampled
from tests.tapes import tape

COMMANDS = 6_000
SEEDS = range(11, 21)


def after_churn(seed: int) -> tuple[OrderBook, list[Command]]:
    """Return a book that has seen thousands of commands, its free GPUs by hour kept from early on."""
    product, commands = tape(seed, COMMANDS)
    book = OrderBook(product)
    for command in commands:
        execute(book, command)
        if command.sequence == 1:
            book.kept_supply()
    return book, commands


def indexed(index: RestingIndex[LiveOrder]) -> Iterator[LiveOrder]:
    """Yield what an index holds, having seen that it holds no more than that."""
    assert index.ladder == sorted(index.ladder, key=lambda block: index.better * block.price_ticks)
    assert index.ranks == [index.better * block.price_ticks for block in index.ladder]
    assert index.blocks == {block.number: block for block in index.ladder}
    prices = {block.price_ticks for block in index.ladder}
    assert index.newest.keys() <= prices
    for block in index.ladder:
        assert block.orders
        # What has left may be in the cover until as many have left as stay.
        assert block.gone <= len(block.orders)
        yield from block.orders.values()


def sizes(book: OrderBook) -> dict[int, tuple[int, int]]:
    """Return for each live order the runs of its profile and the orders that it was told of."""
    return {
        order_id: (
            1 if order.profile is None else len(order.profile.free),
            len(order.prevented or ()),
        )
        for order_id, order in book.orders.items()
    }


@pytest.mark.parametrize("seed", sampled(SEEDS, first=1))
def test_after_a_long_churn_a_book_holds_what_rests_and_nothing_else(seed: int) -> None:
    book, _ = after_churn(seed)
    held = [*indexed(book.asks), *indexed(book.bids)]  # type: ignore[arg-type]
    assert sorted(order.order_id for order in held) == sorted(book.orders)
    assert sizes(book) == sizes(restore(snapshot(book)))
    counted = Supply(book.hour)
    for ask in book.asks:
        counted.add(ask)
    assert book.supply is not None
    length = max(len(counted.changes), len(book.supply.changes))
    assert book.supply.free(book.hour, book.hour + length) == counted.free(book.hour, book.hour + length)


@pytest.mark.parametrize("seed", sampled(SEEDS, first=1))
def test_a_book_that_all_have_left_is_empty(seed: int) -> None:
    book, commands = after_churn(seed)
    sequence = len(commands)
    for participant in {order.participant for order in book.orders.values()}:
        sequence += 1
        execute(book, CancelAll(sequence=sequence, participant=participant))
    assert not book.orders
    for index in (book.asks, book.bids):
        assert not list(index)
        assert not any([index.ladder, index.ranks, index.blocks, index.newest])
    assert book.supply is not None
    assert not any(book.supply.changes)
    execute(book, AdvanceHour(sequence=sequence + 1, hour=book.hour + 100))
    assert book.supply.changes == [0]


def test_a_book_whose_orders_all_expire_is_empty() -> None:
    book, commands = after_churn(SEEDS[0])
    execute(book, AdvanceHour(sequence=len(commands) + 1, hour=book.hour + 100))
    assert not book.orders
    assert not any([book.asks.blocks, book.asks.newest, book.bids.blocks, book.bids.newest])
    assert book.supply is not None
    assert book.supply.changes == [0]
