"""The programme of a state machine over vouchers: its budget raised, lowered and it closed, beside a model.

The machine that extends this has a programme of an issuer, and keeps `issued` and `closed` in mind when it
issues.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exchange.kit.auth import Principal
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Conflict, InvalidInput
from exchange.programmes.models import Programme, ProgrammeStatus
from exchange.programmes.service import get_programme
from exchange.vouchers.models import Voucher
from tests.voucher_world import VoucherWorld

T = TypeVar("T")


class ProgrammeMachine(RuleBasedStateMachine):
    """A programme on a database, and what the model knows of it."""

    issuer: Principal
    programme: Programme

    def __init__(self, runner: asyncio.Runner, database: Database, budget_fen: int) -> None:
        """Begin with a budget and nothing issued."""
        super().__init__()
        self.runner = runner
        self.world = VoucherWorld(database)
        self.issued: list[Voucher] = []
        self.budget_fen = budget_fen
        self.closed = False

    def within(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Do some work in a transaction."""

        async def transact() -> T:
            async with self.world.database.transaction() as connection:
                return await work(connection)

        return self.runner.run(transact())

    @rule(fen=st.integers(1_500, 4_500))
    def change_budget(self, fen: int) -> None:
        """Give the programme another budget, or be refused below what is issued and once it is closed."""
        issued_fen = sum(each.face_fen for each in self.issued)
        change = self.world.change(self.issuer, self.programme, budget_fen=fen)
        if fen != self.budget_fen and (self.closed or fen < issued_fen):
            with pytest.raises(InvalidInput) as caught:
                self.runner.run(change)
            assert [fault.pointer for fault in caught.value.errors] == ["/rules/budget_fen"]
            return
        self.runner.run(change)
        self.budget_fen = fen

    @rule(chance=st.integers(0, 9))
    def close(self, chance: int) -> None:
        """Close the programme, now and then; a second time is refused."""
        if chance:
            return
        closing = self.world.step_programme(self.issuer, self.programme, ProgrammeStatus.CLOSED)
        if self.closed:
            with pytest.raises(Conflict):
                self.runner.run(closing)
            return
        self.runner.run(closing)
        self.closed = True

    @invariant()
    def the_budget_is_what_the_model_has(self) -> None:
        """Compare the programme with the model: never issued beyond the budget, and told so."""
        if not self.issued:
            return
        programme = self.within(lambda at: get_programme(at, self.programme.id, self.world.now_us))
        issued_fen = sum(each.face_fen for each in self.issued)
        assert (programme.budget_fen, programme.issued_fen) == (self.budget_fen, issued_fen)
        told = "closed" if self.closed else "exhausted" if issued_fen == self.budget_fen else "open"
        assert programme.status.value == told
