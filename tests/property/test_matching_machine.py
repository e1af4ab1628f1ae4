"""Goal: no order of commands breaks the book. Method: a Hypothesis state machine, one rule a kind of command.

After each of them everything that `tests.inspection` lists must hold; where the steps and their order are
what breaks it, Hypothesis shrinks them.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from matching.commands import Command
from matching.product import Product
from matching.snapshot import restore, snapshot
from tests import kept
from tests.hypothesis_profiles import examples
from tests.inspection import Inspection
from tests.interpreter import Interpreter
from tests.strategies import products, raw_asks, raw_bids, raw_changes


class MatchingMachine(RuleBasedStateMachine):
    """One book under every kind of command, and everything it is compared with."""

    @initialize(product=products)
    def open_book(self, product: Product) -> None:
        """Start a book at its first hour."""
        self.interpreter = Interpreter(product)
        self.inspection = Inspection(product)
        self.run(self.interpreter.opening())

    def run(self, command: Command) -> None:
        """Carry out a command everywhere; no property may break."""
        broken = self.inspection.step(command)
        assert not broken, kept.report(
            "machine", self.interpreter.product, self.inspection.commands, str(broken)
        )

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

    @precondition(lambda self: bool(self.inspection.book.orders))
    @rule(picked=st.integers(0, 100), quantity=st.integers(1, 4))
    def reduce_a_live_order(self, picked: int, quantity: int) -> None:
        """Reduce an order that is there."""
        place = [order.order_id for order in self.interpreter.placed]
        live = sorted(self.inspection.book.orders)
        self.run(self.interpreter.command(("reduce", place.index(live[picked % len(live)]), quantity)))

    @rule()
    def restart(self) -> None:
        """Go on from a snapshot."""
        self.inspection.book = restore(snapshot(self.inspection.book))


TestMatchingMachine = MatchingMachine.TestCase
TestMatchingMachine.settings = examples(60, steps=40)
