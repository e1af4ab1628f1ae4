"""Goal: the fast book does what the specification says, event for event, and its events are the whole truth.

Method: command lists run on the fast book, on the reference book and past the auditor, which holds the
promises that need no oracle (no oversell, limits, one run, all-or-none, uncrossed, priority, conservation).
Replay, snapshot and `decide` alone are compared with the live book by its bytes.
"""

import pytest
from hypothesis import given, settings

from matching import index
from matching.book import OrderBook, apply
from matching.codec import decode_command, decode_events, encode_command, encode_events
from matching.commands import Command
from matching.engine import decide, execute
from matching.invariants import check_book
from matching.product import Product
from matching.snapshot import restore, snapshot
from tests.auditor import Auditor
from tests.reference_book import ReferenceBook
from tests.strategies import command_lists
from tests.tapes import tape

Case = tuple[Product, list[Command]]


def run(product: Product, commands: list[Command]) -> OrderBook:
    """Run the commands on every book there is; each step must agree."""
    book, reference, auditor = OrderBook(product), ReferenceBook(product), Auditor(product)
    for command in commands:
        events = execute(book, command)
        assert events == reference.execute(command)
        auditor.hear(command, events)
        check_book(book)
    return book


@settings(max_examples=500)
@given(command_lists())
def test_the_book_agrees_with_the_oracle_and_keeps_its_promises(case: Case) -> None:
    run(*case)


@pytest.mark.parametrize("block_max", [2, 4, 64])
def test_long_tapes_agree_with_the_oracle(block_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Books this small fill one block of the real size: small blocks make the index split, skip and merge.
    monkeypatch.setattr(index, "BLOCK_MAX", block_max)
    for seed in range(block_max * 1_000, block_max * 1_000 + 50):
        run(*tape(seed, 20 + seed % 120))


@settings(max_examples=150)
@given(command_lists())
def test_deciding_changes_nothing_and_says_what_executing_does(case: Case) -> None:
    product, commands = case
    book = OrderBook(product)
    for command in commands:
        before = snapshot(book)
        events = decide(book, command)
        assert snapshot(book) == before
        assert execute(book, command) == events


@settings(max_examples=150)
@given(command_lists())
def test_replay_snapshot_and_tail_and_encoding_give_the_same_book(case: Case) -> None:
    product, commands = case
    book, replayed, continued = OrderBook(product), OrderBook(product), OrderBook(product)
    for number, command in enumerate(commands):
        assert decode_command(encode_command(command)) == command
        events = execute(book, command)
        for event in decode_events(encode_events(events)):
            apply(replayed, event)
        if number % 3 == 0:
            continued = restore(snapshot(continued))
        assert execute(continued, command) == events
    check_book(replayed)
    assert snapshot(book) == snapshot(replayed) == snapshot(continued)
