"""Goal: no order of commands breaks the book. Method: a Hypothesis state machine, one rule a kind of command.

Beside the oracle and the auditor, books that were replayed and restored on the way go on in step with the
live one.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from matching.book import OrderBook, apply
from matching.commands import Command
from matching.engine import execute
from matching.invariants import check_book
from matching.product import Product
from matching.snapshot import restore, snapshot
from tests.auditor import Auditor
from tests.reference_book import ReferenceBook
from tests.strategies import Interpreter, products, raw_asks, raw_bids, raw_changes


class MatchingMachine(RuleBasedStateMachine):
    """One book under every kind of command, and everything it is compared with."""

    @initialize(product=products)
    def open_book(self, product: Product) -> None:
        """Start a book at its first hour."""
        self.interpreter = Interpreter(product)
        self.book, self.replayed = OrderBook(product), OrderBook(product)
        self.reference, self.auditor = ReferenceBook(product), Auditor(product)
        self.run(self.interpreter.opening())

    def run(self, command: Command) -> None:
        """Carry out a command everywhere."""
        events = execute(self.book, command)
        assert events == self.reference.execute(command)
        self.auditor.hear(command, events)
        for event in events:
            apply(self.replayed, event)

    @rule(raw=raw_asks)
    def offer(self, raw: tuple[Any, ...]) -> None:
        """Place an ask."""
        self.run(self.interpreter.command(raw))

    @rule(raw=raw_bids)
    def need(self, raw: tuple[Any, ...]) -> None:
        """Place a bid."""
        self.run(self.interpreter.command(raw))

    @precondition(lambda self: bool(self.interpreter.placed))
    @rule(raw=raw_changes)
    def change(self, raw: tuple[Any, ...]) -> None:
        """Cancel, reduce, replace, advance the hour or change the phase."""
        self.run(self.interpreter.command(raw))

    @precondition(lambda self: bool(self.book.orders))
    @rule(picked=st.integers(0, 100), quantity=st.integers(1, 4))
    def reduce_a_live_order(self, picked: int, quantity: int) -> None:
        """Reduce an order that is there."""
        place = [order.order_id for order in self.interpreter.placed]
        live = sorted(self.book.orders)
        self.run(self.interpreter.command(("reduce", place.index(live[picked % len(live)]), quantity)))

    @rule()
    def restart(self) -> None:
        """Go on from a snapshot."""
        self.book = restore(snapshot(self.book))

    @invariant()
    def sound(self) -> None:
        """The book is consistent and uncrossed, and replay gives the same bytes."""
        check_book(self.book)
        assert snapshot(self.book) == snapshot(self.replayed)


TestMatchingMachine = MatchingMachine.TestCase
TestMatchingMachine.settings = settings(max_examples=60, stateful_step_count=40)
