"""Goal: whatever is booked, held, moved, given back or refused, the books are the fold of the transfers.

Method: a Hypothesis state machine drives the real service on a real PostgreSQL beside a model in which an
account is four plain sums. Every example runs in one transaction that is rolled back at its end, every step
in a savepoint. After each step the database must equal the model, every asset must net to zero, and a refused
step must have changed nothing.
"""

import asyncio
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, event, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from exchange.kit.auth import Principal, Scope
from exchange.kit.database import CheckViolation, Connection, Database
from exchange.kit.errors import NotEnoughMoney
from exchange.ledger import service
from exchange.ledger.models import (
    CNY,
    AccountKey,
    Purpose,
    Transfer,
    TransferKind,
    TransferReason,
)
from exchange.participants.models import EXCHANGE_ID, NewParticipant, Ownership, ParticipantKind
from exchange.participants.service import create_participant

AT_US = 1_800_000_000_000_000
PROGRAMME = "prg_0000000000001"
OPERATOR = Principal(
    key_id=1,
    participant_id=EXCHANGE_ID,
    kind="operator",
    name="exchange",
    trade_group_id=None,
    scopes=frozenset(Scope),
)
AMOUNTS = st.one_of(st.integers(1, 100), st.sampled_from([999, 1_000, 10**12]))
PARTICIPANTS = st.integers(0, 2)
SIDES = st.integers(0, 5)
STEPS = st.lists(
    st.tuples(st.sampled_from(list(TransferKind)), SIDES, SIDES, AMOUNTS, st.booleans()),
    min_size=1,
    max_size=6,
)
EFFECT = {
    TransferKind.POSTED: (0, 1),
    TransferKind.PENDING: (1, 0),
    TransferKind.POST_PENDING: (-1, 1),
    TransferKind.VOID_PENDING: (-1, 0),
}

Sums = tuple[int, int, int, int]


class Model:
    """What accounts should read: debits pending and posted, credits pending and posted."""

    def __init__(self, assets: dict[int, str], overdraft_ids: set[int]) -> None:
        self.assets = assets
        self.overdraft_ids = overdraft_ids
        self.sums: dict[int, Sums] = dict.fromkeys(assets, (0, 0, 0, 0))
        self.open: Counter[tuple[int, int]] = Counter()
        self.transfers: list[Transfer] = []

    def available(self, account_id: int) -> int:
        """Return what the account can still use."""
        debits_pending, debits_posted, _, credits_posted = self.sums[account_id]
        return credits_posted - debits_posted - debits_pending

    def after(self, transfers: list[Transfer]) -> dict[int, Sums]:
        """Return every account as it would be after the transfers."""
        change: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for each in transfers:
            pending, posted = EFFECT[each.kind]
            for offset, account_id in ((0, each.debit_account_id), (2, each.credit_account_id)):
                change[account_id][offset] += pending * each.amount_fen
                change[account_id][offset + 1] += posted * each.amount_fen
        result = dict(self.sums)
        for account_id, changes in change.items():
            a, b, c, d = self.sums[account_id]
            result[account_id] = (a + changes[0], b + changes[1], c + changes[2], d + changes[3])
        return result

    def refusals(self, result: dict[int, Sums]) -> set[type[Exception]]:
        """Return the errors of which one must be raised; none means that the step is allowed."""
        errors: set[type[Exception]] = set()
        for account_id, (debits_pending, debits_posted, credits_pending, credits_posted) in result.items():
            if debits_pending < 0 or credits_pending < 0:
                errors.add(CheckViolation)
            overdrawn = debits_pending + debits_posted > credits_posted
            if overdrawn and account_id not in self.overdraft_ids:
                errors.add(NotEnoughMoney)
        return errors

    def accept(self, transfers: list[Transfer], result: dict[int, Sums]) -> None:
        """Take over a result, and what it leaves set aside between which accounts."""
        self.sums = result
        self.transfers += transfers
        for each in transfers:
            self.open[each.debit_account_id, each.credit_account_id] += EFFECT[each.kind][0] * each.amount_fen


class LedgerMachine(RuleBasedStateMachine):
    """Drives the service and the model side by side. Class attributes are set by the test."""

    runner: asyncio.Runner
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.connection: Connection

    def run(self, work: Any) -> Any:
        """Run a coroutine to its end on the one event loop."""
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Open the example's transaction and its accounts."""
        self.run(self._begin())

    async def _begin(self) -> None:
        lent = await self.stack.enter_async_context(self.database.connection())
        self.connection = lent
        example = lent.transaction()
        await example.start()
        self.stack.push_async_callback(example.rollback)
        owners = []
        for number in range(3):
            new = NewParticipant(
                kind=ParticipantKind.PROVIDER,
                name=f"provider {number}",
                region="guizhou",
                ownership=Ownership.PRIVATE,
            )
            owners.append((await create_participant(lent, None, new, AT_US)).id)
        self.owners = owners
        directory = service.AccountDirectory()
        cash = await directory.cash_of(lent, owners)
        self.external_id = await directory.external_id(lent)
        await service.create_asset(lent, PROGRAMME, AT_US)
        source_id = await service.open_account(
            lent, owners[0], PROGRAMME, Purpose.PROGRAMME_SOURCE, allows_overdraft=True, at_us=AT_US
        )
        keys = [AccountKey(owner, PROGRAMME, Purpose.VOUCHER, n) for owner in owners for n in (1, 2)]
        vouchers = await service.ensure_accounts(lent, keys[:5], AT_US)
        self.cash_ids = {owner: cash[owner].cash_id for owner in owners}
        self.source_id = source_id
        self.sides = {
            CNY: [each for owner in owners for each in (cash[owner].cash_id, cash[owner].escrow_id)],
            PROGRAMME: [source_id, *vouchers.values()],
        }
        assets = {each: asset for asset, ids in self.sides.items() for each in ids} | {self.external_id: CNY}
        self.model = Model(assets, {self.external_id, source_id})

    def _post(self, transfers: list[Transfer]) -> None:
        result = self.model.after(transfers)
        expected = self.model.refusals(result)
        raised = self.run(self._attempt(service.post(self.connection, transfers, AT_US)))
        if expected:
            assert raised is not None, f"must be refused with one of {expected}"
            assert any(isinstance(raised, each) for each in expected), (expected, raised)
            event("refused")
        else:
            assert raised is None, raised
            self.model.accept(transfers, result)
            event("accepted")

    async def _attempt(self, work: Any) -> Exception | None:
        try:
            async with self.connection.transaction():
                await work
        except (NotEnoughMoney, CheckViolation) as error:
            return error
        return None

    def _transfer(self, kind: TransferKind, debit_id: int, credit_id: int, amount_fen: int) -> Transfer:
        return Transfer(
            group_id=1,
            kind=kind,
            reason=TransferReason.HOLD,
            asset=self.model.assets[debit_id],
            debit_account_id=debit_id,
            credit_account_id=credit_id,
            amount_fen=amount_fen,
            subject_id=1,
        )

    @rule(number=PARTICIPANTS, amount_fen=AMOUNTS)
    def deposit(self, number: int, amount_fen: int) -> None:
        """A deposit always works and can be used at once."""
        owner = self.owners[number]
        cash_id = self.cash_ids[owner]
        moved = self.run(service.deposit(self.connection, OPERATOR, owner, amount_fen, "", AT_US))
        transfers = [self._transfer(TransferKind.POSTED, self.external_id, cash_id, amount_fen)]
        self.model.accept(transfers, self.model.after(transfers))
        assert moved.available_fen == self.model.available(cash_id)

    @rule(number=PARTICIPANTS, amount_fen=AMOUNTS, all_of_it=st.booleans())
    def withdraw(self, number: int, amount_fen: int, *, all_of_it: bool) -> None:
        """A withdrawal works exactly when it is within what is available."""
        owner = self.owners[number]
        cash_id = self.cash_ids[owner]
        available_fen = self.model.available(cash_id)
        amount_fen = available_fen if all_of_it and available_fen else amount_fen
        work = service.withdraw(self.connection, OPERATOR, owner, amount_fen, "", AT_US)
        raised = self.run(self._attempt(work))
        assert isinstance(raised, NotEnoughMoney) == (amount_fen > available_fen)
        if raised is None:
            transfers = [self._transfer(TransferKind.POSTED, cash_id, self.external_id, amount_fen)]
            self.model.accept(transfers, self.model.after(transfers))

    @rule(number=PARTICIPANTS, amount_fen=AMOUNTS, all_of_it=st.booleans())
    def hold(self, number: int, amount_fen: int, *, all_of_it: bool) -> None:
        """Cash is set aside for the owner's escrow, down to the last fen but not beyond."""
        cash_id, escrow_id = self.sides[CNY][2 * number : 2 * number + 2]
        available_fen = self.model.available(cash_id)
        amount_fen = available_fen if all_of_it and available_fen else amount_fen
        self._post([self._transfer(TransferKind.PENDING, cash_id, escrow_id, amount_fen)])

    @rule(pick=st.integers(0, 99), posted=st.integers(0, 100), voided=st.integers(0, 101))
    def resolve(self, pick: int, posted: int, voided: int) -> None:
        """An open hold is moved in part and given back in part; in one of 101 draws, one fen too much."""
        pairs = sorted(pair for pair, amount_fen in self.model.open.items() if amount_fen > 0)
        if not pairs:
            return
        pair = pairs[pick % len(pairs)]
        open_fen = self.model.open[pair]
        post_fen = open_fen * posted // 100
        void_fen = (open_fen - post_fen) * min(voided, 100) // 100 + (voided > 100)
        parts = [
            self._transfer(kind, *pair, amount_fen)
            for kind, amount_fen in (
                (TransferKind.POST_PENDING, post_fen),
                (TransferKind.VOID_PENDING, void_fen),
            )
            if amount_fen
        ]
        self._post(parts)

    @rule(pick=st.integers(0, 4), amount_fen=AMOUNTS)
    def issue(self, pick: int, amount_fen: int) -> None:
        """A programme's source gives a voucher its face."""
        voucher_id = self.sides[PROGRAMME][1 + pick]
        self._post([self._transfer(TransferKind.POSTED, self.source_id, voucher_id, amount_fen)])

    @rule()
    def expire(self) -> None:
        """Whatever is free of all vouchers goes back, and what is held of them stays held."""
        free = [(each, self.model.available(each)) for each in self.sides[PROGRAMME][1:]]
        self._post(
            [
                self._transfer(TransferKind.POSTED, voucher_id, self.source_id, free_fen)
                for voucher_id, free_fen in free
                if free_fen > 0
            ]
        )

    @rule(steps=STEPS, asset=st.sampled_from([CNY, PROGRAMME]))
    def linked(self, steps: list[tuple[TransferKind, int, int, int, bool]], asset: str) -> None:
        """Any transfers at all between accounts of one asset stand or fall together."""
        transfers = []
        for kind, debit, credit, drawn_fen, fitting in steps:
            sides = self.sides[asset]
            debit_id = sides[debit]
            credit_id = sides[credit if credit != debit else (debit + 1) % len(sides)]
            available_fen = self.model.available(debit_id)
            fits = fitting and available_fen > 0
            transfers.append(self._transfer(kind, debit_id, credit_id, available_fen if fits else drawn_fen))
        self._post(transfers)

    @invariant()
    def books_are_right(self) -> None:
        """Database and model agree, and every asset nets to zero."""
        if not hasattr(self, "model"):
            return
        stored, differences = self.run(self._read())
        assert stored == self.model.sums
        assert differences == []
        for asset in (CNY, PROGRAMME):
            totals = [
                sum(column) for column in zip(*(stored[each] for each in self._ids_of(asset)), strict=True)
            ]
            assert totals[0] == totals[2]
            assert totals[1] == totals[3]

    def _ids_of(self, asset: str) -> list[int]:
        return [account_id for account_id, each in self.model.assets.items() if each == asset]

    async def _read(self) -> tuple[dict[int, Sums], list[Any]]:
        stored: dict[int, Sums] = {}
        for owner in (EXCHANGE_ID, *self.owners):
            for each in await service.balances(self.connection, owner, limit=100):
                if each.account_id in self.model.assets:
                    stored[each.account_id] = (
                        each.debits_pending_fen,
                        each.debits_posted_fen,
                        each.credits_pending_fen,
                        each.credits_posted_fen,
                    )
        return stored, await service.check_balances(self.connection)

    def teardown(self) -> None:
        """Roll the example back."""
        self.run(self.stack.aclose())


def test_the_books_equal_a_model_whatever_happens(module_database_url: str) -> None:
    with asyncio.Runner() as runner:
        LedgerMachine.runner = runner
        LedgerMachine.database = runner.run(Database.connect(module_database_url, connections_min=1))
        try:
            run_state_machine_as_test(
                LedgerMachine,
                settings=settings(
                    max_examples=60,
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(LedgerMachine.database.close())
