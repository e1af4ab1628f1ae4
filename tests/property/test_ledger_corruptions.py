"""Goal: the check finds every planted corruption, and of balances and transfers says exactly what it did.

Method: the ledger's state machine, in which now and then a balance or a transfer is falsified past the
triggers and undone again: the check must tell what the model's fold of the falsified transfers tells, and no
more. Then a whole market with orders, leases, vouchers and a claim, of which any sum that means money is made
larger by any amount: the check must tell it by all names that it goes by.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from exchange.claims import service as claims
from exchange.kit.auth import Principal
from exchange.kit.database import Connection, Database
from exchange.kit.ids import encode_id
from exchange.ledger import rules, service
from exchange.ledger.models import Difference, DifferenceKind, Transfer, TransferKind
from exchange.participants.models import ParticipantKind
from tests.market_world import open_market
from tests.property.test_ledger import AT_US, LedgerMachine, Sums

DELTAS: Final = st.integers(1, 10**9)


class CorruptedMachine(LedgerMachine):
    """The ledger's machine with somebody who falsifies its tables."""

    @rule(account=st.integers(0, 30), measure=st.sampled_from(rules.SUMS), delta=DELTAS)
    def falsify_a_balance(self, account: int, measure: str, delta: int) -> None:
        """One sum of one account is too large."""
        account_id = sorted(self.model.sums)[account % len(self.model.sums)]
        found = self.run(
            self._found_after(
                f"UPDATE ledger_account SET {measure}_fen = {measure}_fen + $2 WHERE id = $1",  # noqa: S608 - ours
                account_id,
                delta,
            )
        )
        stored_fen = self.model.sums[account_id][rules.SUMS.index(measure)] + delta
        assert found == {(encode_id("acc", account_id), measure, stored_fen, stored_fen - delta)}

    @precondition(lambda self: self.model.transfers)
    @rule(
        pick=st.integers(0, 10**6),
        how=st.sampled_from(["amount", "delete", "copy", "kind", "turn", "divert"]),
        delta=DELTAS,
        kind=st.sampled_from(list(TransferKind)),
    )
    def falsify_a_transfer(self, pick: int, how: str, delta: int, kind: TransferKind) -> None:
        """One transfer says something else, is gone, or is there twice."""
        position = pick % len(self.model.transfers)
        old = self.model.transfers[position]
        new = self._falsified(old, how, delta, kind)
        kept = self.model.transfers[:position] + self.model.transfers[position + 1 :]
        expected = self._expected([*kept, *new])
        found = self.run(self._found_after_replacing(position, new))
        assert found == expected
        event(f"{how}: {len(found)} sums")

    def _falsified(self, old: Transfer, how: str, delta: int, kind: TransferKind) -> list[Transfer]:
        change = msgspec.structs.replace
        others = [
            each
            for each, asset in self.model.assets.items()
            if asset == old.asset and each not in (old.debit_account_id, old.credit_account_id)
        ]
        return {
            "amount": [change(old, amount_fen=old.amount_fen + delta)],
            "delete": [],
            "copy": [old, old],
            "kind": [change(old, kind=kind)],
            "turn": [
                change(old, debit_account_id=old.credit_account_id, credit_account_id=old.debit_account_id)
            ],
            "divert": [change(old, credit_account_id=others[delta % len(others)])],
        }[how]

    def _expected(self, transfers: list[Transfer]) -> set[tuple[str, str, int, int]]:
        """Return where the model's sums are not the fold of these transfers."""
        empty: dict[int, Sums] = dict.fromkeys(self.model.assets, (0, 0, 0, 0))
        kept, self.model.sums = self.model.sums, empty
        folded = self.model.after(transfers)
        self.model.sums = kept
        return {
            (encode_id("acc", account_id), measure, stored_fen, folded_fen)
            for account_id, sums in kept.items()
            for measure, stored_fen, folded_fen in zip(rules.SUMS, sums, folded[account_id], strict=True)
            if stored_fen != folded_fen
        }

    async def _found_after(self, statement: str, *arguments: object) -> set[tuple[str, str, int, int]]:
        undone = self.connection.transaction()
        await undone.start()
        await falsifiable(self.connection)
        await self.connection.execute(statement, *arguments)
        found = await service.check_balances(self.connection)
        await undone.rollback()
        return told(found)

    async def _found_after_replacing(
        self, position: int, new: list[Transfer]
    ) -> set[tuple[str, str, int, int]]:
        undone = self.connection.transaction()
        await undone.start()
        await falsifiable(self.connection)
        await self.connection.execute(
            "DELETE FROM ledger_transfer WHERE id ="
            " (SELECT id FROM ledger_transfer ORDER BY id OFFSET $1 LIMIT 1)",
            position,
        )
        await service.post(self.connection, new, AT_US)  # with triggers off: the rows alone
        found = await service.check_balances(self.connection)
        await undone.rollback()
        return told(found)


def told(found: list[Difference]) -> set[tuple[str, str, int, int]]:
    """Return the balances that are not the fold of their transfers, as the check tells them."""
    return {
        (each.subject, each.measure, each.stored_fen, each.recomputed_fen)
        for each in found
        if each.kind is DifferenceKind.BALANCE_NOT_FOLD
    }


async def falsifiable(connection: Connection) -> None:
    """Take away what stands in the way of who falsifies, until the transaction is undone."""
    for table in (
        "ledger_account",
        "ledger_transfer",
        "order_hold",
        "lease_funding",
        "trade",
        "programme",
        "voucher_capture",
    ):
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for table, constraint in (
        ("ledger_account", "ledger_account_not_overdrawn"),
        ("order_hold", "order_hold_within_placed"),
        ("lease_funding", "lease_funding_within_committed"),
        ("trade", "trade_notional_exact"),
        ("trade", "trade_programmes_named"),
        ("trade", "trade_aid_within_price"),
        ("programme", "programme_within_budget"),
        ("programme", "programme_exhausted_when_issued"),
    ):
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")


def test_the_check_tells_exactly_what_was_falsified(module_database_url: str) -> None:
    with asyncio.Runner() as runner:
        CorruptedMachine.runner = runner
        CorruptedMachine.database = runner.run(Database.connect(module_database_url, connections_min=1))
        try:
            run_state_machine_as_test(
                CorruptedMachine,
                settings=settings(
                    max_examples=30,
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
                ),
            )
        finally:
            runner.run(CorruptedMachine.database.close())


FOLD = DifferenceKind.BALANCE_NOT_FOLD
HOLD = DifferenceKind.HOLD_NOT_PENDING
ESCROW = DifferenceKind.ESCROW_NOT_LEASED
CAPTURES = DifferenceKind.CAPTURES_NOT_FUNDED
VOUCHER = DifferenceKind.VOUCHER_NOT_WHAT_IS_LEFT
TRADE = DifferenceKind.TRADE_NOT_FUNDED
COLUMNS: Final[dict[tuple[str, str], set[DifferenceKind]]] = {
    ("ledger_account", "debits_pending_fen"): {FOLD},
    ("ledger_account", "debits_posted_fen"): {FOLD},
    ("ledger_account", "credits_pending_fen"): {FOLD},
    ("ledger_account", "credits_posted_fen"): {FOLD},
    ("ledger_transfer", "amount_fen"): {FOLD},
    ("order_hold", "placed_fen"): {HOLD},
    ("order_hold", "committed_fen"): {HOLD, DifferenceKind.COMMITMENT_NOT_LEASED},
    ("order_hold", "released_fen"): {HOLD},
    ("lease_funding", "committed_fen"): {ESCROW, TRADE, DifferenceKind.COMMITMENT_NOT_LEASED},
    ("lease_funding", "captured_fen"): {ESCROW},
    ("lease_funding", "returned_fen"): {ESCROW},
    ("trade", "notional_fen"): {TRADE},
    ("trade", "voucher_fen"): {TRADE},
    ("trade", "reimbursable_fen"): {TRADE},
    ("voucher", "face_fen"): {VOUCHER, DifferenceKind.ISSUED_NOT_IN_VOUCHERS},
    ("voucher_capture", "amount_fen"): {CAPTURES},
    ("programme", "issued_fen"): {
        DifferenceKind.ISSUED_NOT_IN_VOUCHERS,
        DifferenceKind.BUDGET_NOT_WHAT_IS_LEFT,
    },
    ("programme", "budget_fen"): {DifferenceKind.BUDGET_NOT_WHAT_IS_LEFT},
}
"""Every sum that means money, and by which names a wrong one must be told; without claims."""


@pytest.fixture(scope="module")
async def market(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Database]:
    """Give a market with bids that rest and that were filled; hours delivered, captured and claimed.

    Its exchange has stopped: what it reads beside would wait for tables that are locked to be falsified,
    and lock others that are wanted then.
    """
    async with open_market(module_database_url, tmp_path_factory.mktemp("market")) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        issuer = await world.join(ParticipantKind.ISSUER)
        programme = await world.programme(issuer, provider)
        buyers: list[Principal] = []
        product = world.product()
        await world.ask(provider, product, price=1_001, window=(0, 12), quantity_gpus=3)
        for face_fen in (9_000, 5_001, 0):
            buyer = await world.join(ParticipantKind.BUYER)
            await world.deposit(buyer, 1_000_000)
            if face_fen:
                await world.issue(issuer, programme, buyer, face_fen)
            buyers.append(buyer)
        for number, buyer in enumerate(buyers):
            await world.bid(buyer, product, price=1_100, window=(0, 6 + number), vouchers="auto")
            await world.bid(buyer, product, price=900, window=(2, 6), vouchers="auto")
        await world.pass_hours(3)
        async with world.database.transaction() as connection:
            await claims.submit_claim(connection, provider, programme.id, world.now_us)
        await world.pass_hours(1)
    database = await Database.connect(module_database_url, connections_min=1)
    yield database
    await database.close()


@pytest.mark.parametrize("column", sorted(COLUMNS))
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(row=st.integers(0, 200), delta=DELTAS)
async def test_any_sum_of_money_that_is_wrong_is_told(
    market: Database, column: tuple[str, str], row: int, delta: int
) -> None:
    table, name = column
    async with market.connection() as connection:
        assert await service.check(connection) == []
        undone = connection.transaction()
        await undone.start()
        await falsifiable(connection)
        rows = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
        await connection.execute(
            f"UPDATE {table} SET {name} = {name} + $1 WHERE ctid ="  # noqa: S608 - ours
            f" (SELECT ctid FROM {table} ORDER BY ctid OFFSET $2 LIMIT 1)",
            delta,
            row % rows,
        )
        found = await service.check(connection)
        await undone.rollback()
    assert {each.kind for each in found} >= COLUMNS[column]
