"""Goal: money moves all or none, is never overdrawn, never rewritten, and every movement can be read back.

Method: the real service on a real PostgreSQL, many connections at a time where that is the point; faults are
planted past the service to see that the database refuses them and that `check` finds what it cannot refuse.
"""

import pytest

from exchange.kit.auth import Scope
from exchange.kit.database import CheckViolation, Database, ForeignKeyViolation, RefusedChange
from exchange.kit.errors import Conflict, Forbidden, NotEnoughMoney, NotFound
from exchange.ledger import rules, service
from exchange.ledger.models import (
    CNY,
    AccountKey,
    DifferenceKind,
    Purpose,
    StatementFilter,
    Transfer,
    TransferKind,
    TransferReason,
)
from tests.integration.books import AT_US, PROGRAMME, cash_of, new_provider, operator, sums, transfer


@pytest.fixture
async def alice(database: Database) -> int:
    return await new_provider(database, "alice")


@pytest.fixture
async def bob(database: Database) -> int:
    return await new_provider(database, "bob")


async def test_a_hold_is_set_aside_then_moved_in_part_and_given_back_in_part(
    database: Database, alice: int
) -> None:
    accounts = await cash_of(database, alice, 1_000)
    cash, escrow = accounts.cash_id, accounts.escrow_id
    async with database.transaction() as connection:
        await service.post(connection, [transfer(TransferKind.PENDING, cash, escrow, 600)], AT_US)
        assert await sums(connection, alice) == {
            Purpose.CASH: (600, 0, 0, 1_000),
            Purpose.ESCROW: (0, 0, 600, 0),
        }
        assert await service.available_for_update(connection, [escrow, cash]) == {cash: 400, escrow: 0}
        parts = [
            transfer(TransferKind.POST_PENDING, cash, escrow, 450),
            transfer(TransferKind.VOID_PENDING, cash, escrow, 150),
        ]
        await service.post(connection, parts, AT_US)
        assert await sums(connection, alice) == {
            Purpose.CASH: (0, 450, 0, 1_000),
            Purpose.ESCROW: (0, 0, 0, 450),
        }
        assert await service.check_balances(connection) == []


async def test_one_overdraft_refuses_the_whole_call(database: Database, alice: int, bob: int) -> None:
    rich, poor = await cash_of(database, alice, 1_000), await cash_of(database, bob, 10)
    linked = [
        transfer(TransferKind.POSTED, rich.cash_id, poor.escrow_id, 500),
        transfer(TransferKind.POSTED, poor.cash_id, rich.escrow_id, 11),
    ]
    with pytest.raises(NotEnoughMoney) as refused:
        async with database.transaction() as connection:
            await service.post(connection, linked, AT_US)
    assert (refused.value.status, refused.value.code) == (402, "insufficient_funds")
    async with database.connection() as connection:
        assert await service.available_for_update(connection, [rich.cash_id, poor.cash_id]) == {
            rich.cash_id: 1_000,
            poor.cash_id: 10,
        }
        assert len(await service.statement(connection, alice, StatementFilter(), 10)) == 1


async def test_after_an_overdraft_in_a_savepoint_the_transaction_goes_on(
    database: Database, alice: int
) -> None:
    accounts = await cash_of(database, alice, 100)
    async with database.transaction() as connection:
        with pytest.raises(NotEnoughMoney):
            async with connection.transaction():
                too_much = transfer(TransferKind.PENDING, accounts.cash_id, accounts.escrow_id, 101)
                await service.post(connection, [too_much], AT_US)
        all_of_it = transfer(TransferKind.PENDING, accounts.cash_id, accounts.escrow_id, 100)
        await service.post(connection, [all_of_it], AT_US)
        assert (await service.available_for_update(connection, [accounts.cash_id]))[accounts.cash_id] == 0


async def test_what_counts_is_the_sum_of_a_call_not_its_order(
    database: Database, alice: int, bob: int
) -> None:
    giver, taker = await cash_of(database, alice, 100), await cash_of(database, bob)
    through = [
        transfer(TransferKind.POSTED, taker.cash_id, taker.escrow_id, 100),
        transfer(TransferKind.POSTED, giver.cash_id, taker.cash_id, 100),
    ]
    async with database.transaction() as connection:
        await service.post(connection, through, AT_US)
        assert (await sums(connection, bob))[Purpose.ESCROW] == (0, 0, 0, 100)


@pytest.mark.parametrize("kind", [TransferKind.POST_PENDING, TransferKind.VOID_PENDING])
async def test_resolving_more_than_was_set_aside_is_a_broken_invariant(
    database: Database, alice: int, kind: TransferKind
) -> None:
    accounts = await cash_of(database, alice, 1_000)
    hold = transfer(TransferKind.PENDING, accounts.cash_id, accounts.escrow_id, 100)
    too_much = transfer(kind, accounts.cash_id, accounts.escrow_id, 101)
    with pytest.raises(CheckViolation):
        async with database.transaction() as connection:
            await service.post(connection, [hold], AT_US)
            await service.post(connection, [too_much], AT_US)


async def test_transfers_stay_within_an_asset_and_between_two_existing_accounts(
    database: Database, alice: int
) -> None:
    accounts = await cash_of(database, alice, 1_000)
    async with database.transaction() as connection:
        await service.create_asset(connection, PROGRAMME, AT_US)
        voucher_id = await service.open_account(connection, alice, PROGRAMME, Purpose.VOUCHER, 5, at_us=AT_US)
    wrong: list[tuple[Transfer, type[Exception]]] = [
        (transfer(TransferKind.POSTED, accounts.cash_id, voucher_id, 1), ForeignKeyViolation),
        (transfer(TransferKind.POSTED, accounts.cash_id, voucher_id, 1, PROGRAMME), ForeignKeyViolation),
        (transfer(TransferKind.POSTED, accounts.cash_id, 10**9, 1), ForeignKeyViolation),
        (transfer(TransferKind.POSTED, accounts.cash_id, accounts.cash_id, 1), CheckViolation),
        (transfer(TransferKind.POSTED, accounts.cash_id, accounts.escrow_id, 0), CheckViolation),
        (transfer(TransferKind.POSTED, accounts.cash_id, accounts.escrow_id, -5), CheckViolation),
    ]
    for each, error in wrong:
        with pytest.raises(error):
            async with database.transaction() as connection:
                await service.post(connection, [each], AT_US)
    async with database.connection() as connection:
        assert await service.check(connection) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_transfer SET amount_fen = amount_fen + 1",
        "UPDATE ledger_transfer SET amount_fen = amount_fen WHERE FALSE",
        "DELETE FROM ledger_transfer",
        "TRUNCATE ledger_transfer",
    ],
)
async def test_transfers_are_insert_only(database: Database, alice: int, statement: str) -> None:
    await cash_of(database, alice, 1_000)
    async with database.connection() as connection:
        with pytest.raises(RefusedChange, match="insert-only"):
            await connection.execute(statement)
        # "A": not even a session that plays the replica, which silences ordinary triggers, gets past it.
        enabled = await connection.fetchval(
            "SELECT tgenabled FROM pg_trigger WHERE tgname = 'ledger_transfer_insert_only'"
        )
        assert enabled == b"A"
        assert len(await service.statement(connection, alice, StatementFilter(), 10)) == 1


async def test_accounts_and_assets_are_opened_once(database: Database, alice: int) -> None:
    key = AccountKey(alice, PROGRAMME, Purpose.RECEIVABLE)
    async with database.transaction() as connection:
        await service.create_asset(connection, PROGRAMME, AT_US)
        opened = await service.ensure_accounts(connection, [key, key], AT_US)
        again = await service.open_account(connection, alice, PROGRAMME, Purpose.RECEIVABLE, at_us=AT_US)
        assert opened == {key: again}
        source = await service.open_account(
            connection, alice, PROGRAMME, Purpose.PROGRAMME_SOURCE, allows_overdraft=True, at_us=AT_US
        )
        await service.post(connection, [transfer(TransferKind.POSTED, source, again, 900, PROGRAMME)], AT_US)
    with pytest.raises(Conflict):
        async with database.transaction() as connection:
            await service.create_asset(connection, PROGRAMME, AT_US)
    with pytest.raises(CheckViolation):
        async with database.transaction() as connection:
            await service.open_account(
                connection, alice, CNY, Purpose.CASH, 9, allows_overdraft=True, at_us=AT_US
            )
    async with database.connection() as connection:
        assert await service.check_balances(connection) == []


async def test_deposits_and_withdrawals_are_booked_by_operators_against_the_outside_world(
    database: Database, alice: int
) -> None:
    async with database.transaction() as connection:
        put_in = await service.deposit(connection, operator(), alice, 10_000, "bank ref 77", AT_US)
        took = await service.withdraw(connection, operator(), alice, 2_500, "", AT_US)
    assert (put_in.available_fen, took.available_fen) == (10_000, 7_500)
    with pytest.raises(NotEnoughMoney, match=r"75\.01 CNY were asked for, 75\.00 CNY are available"):
        async with database.transaction() as connection:
            await service.withdraw(connection, operator(), alice, 7_501, "", AT_US)
    with pytest.raises(Forbidden):
        async with database.transaction() as connection:
            await service.deposit(connection, operator(Scope.TRADE), alice, 1, "", AT_US)
    with pytest.raises(NotFound):
        async with database.transaction() as connection:
            await service.deposit(connection, operator(), 12345, 1, "", AT_US)
    async with database.connection() as connection:
        lines = await service.statement(connection, alice, StatementFilter(), 10)
        assert [(line.transfer_id, line.reason, line.amount_fen, line.subject_id) for line in lines] == [
            (took.transfer_id, TransferReason.WITHDRAWAL, 2_500, alice),
            (put_in.transfer_id, TransferReason.DEPOSIT, 10_000, alice),
        ]
        assert (lines[1].debit_account_id, lines[1].credit_purpose) == (None, Purpose.CASH)
        audited = await connection.fetch(
            "SELECT participant_id, subject_id, detail->>'note' AS note FROM audit_record WHERE code = 'CASH'"
            " ORDER BY id"
        )
        assert [tuple(row) for row in audited] == [
            (alice, put_in.transfer_id, "bank ref 77"),
            (alice, took.transfer_id, ""),
        ]
        assert await service.check(connection) == []


async def test_the_statement_pages_without_gaps_or_repeats_while_money_moves(
    database: Database, alice: int, bob: int
) -> None:
    mine, other = await cash_of(database, alice, 1_000), await cash_of(database, bob, 1_000)
    async with database.transaction() as connection:
        for _ in range(5):
            await service.post(
                connection,
                [
                    transfer(TransferKind.PENDING, mine.cash_id, mine.escrow_id, 10),
                    transfer(TransferKind.POSTED, other.cash_id, mine.cash_id, 3),
                    transfer(TransferKind.POSTED, other.cash_id, other.escrow_id, 1),
                ],
                AT_US,
            )
    seen: list[int] = []
    wanted = StatementFilter()
    async with database.connection() as connection:
        while page := await service.statement(connection, alice, wanted, 3):
            assert all(line.debit_account_id in {mine.cash_id, None} for line in page)
            seen += [line.transfer_id for line in page]
            wanted = StatementFilter(before_id=seen[-1])
            await service.post(
                connection, [transfer(TransferKind.PENDING, mine.cash_id, mine.escrow_id, 1)], AT_US
            )
        assert len(seen) == 11
        assert seen == sorted(set(seen), reverse=True)
        holds = StatementFilter(account_id=mine.escrow_id, reason=TransferReason.HOLD, before_id=seen[0] + 1)
        assert len(await service.statement(connection, alice, holds, 100)) == 5
        assert await service.statement(connection, alice, StatementFilter(account_id=other.cash_id), 9) == []
        assert await service.statement(connection, alice, StatementFilter(asset=PROGRAMME), 9) == []


async def test_every_reason_says_what_its_subject_is() -> None:
    assert set(rules.SUBJECT_PREFIX) == set(TransferReason)


async def test_the_check_finds_each_planted_fault(database: Database, alice: int) -> None:
    accounts = await cash_of(database, alice, 1_000)
    planted = {
        "UPDATE ledger_account SET credits_posted_fen = credits_posted_fen + 1 WHERE id = $1": {
            DifferenceKind.BALANCE_NOT_FOLD,
            DifferenceKind.ASSET_NOT_ZERO,
        },
        "UPDATE ledger_account SET debits_pending_fen = 5 WHERE id = $1": {
            DifferenceKind.BALANCE_NOT_FOLD,
            DifferenceKind.ASSET_NOT_ZERO,
            DifferenceKind.HOLD_NOT_PENDING,
        },
        "INSERT INTO ledger_transfer (group_id, kind, reason, asset, debit_account_id, credit_account_id,"
        " amount_fen, subject_id, created_at) VALUES (1, 'posted', 'deposit', 'CNY', 1, $1, 5, 1, now())": {
            DifferenceKind.BALANCE_NOT_FOLD,
        },
    }
    for statement, kinds in planted.items():
        async with database.connection() as connection:
            undone = connection.transaction()
            await undone.start()
            for table in ("ledger_account", "ledger_transfer"):
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await connection.execute(statement, accounts.cash_id)
            found = await service.check(connection)
            await undone.rollback()
            assert {each.kind for each in found} == kinds, statement
            assert await service.check(connection) == []


async def test_the_check_finds_a_hold_without_an_order_and_an_overdraft_past_the_constraint(
    database: Database, alice: int
) -> None:
    accounts = await cash_of(database, alice, 1_000)
    async with database.transaction() as connection:
        await service.post(
            connection, [transfer(TransferKind.PENDING, accounts.cash_id, accounts.escrow_id, 400)], AT_US
        )
        found = await service.check(connection)
        assert [each.kind for each in found] == [DifferenceKind.HOLD_NOT_PENDING] * 2
        assert "400 fen are set aside from it and orders hold 0" in found[0].detail
        await connection.execute("ALTER TABLE ledger_account DROP CONSTRAINT ledger_account_not_overdrawn")
        await service.post(
            connection, [transfer(TransferKind.POSTED, accounts.cash_id, accounts.escrow_id, 601)], AT_US
        )
        kinds = {each.kind: each.detail for each in await service.check(connection)}
        assert kinds[DifferenceKind.OVERDRAWN] == "may not be overdrawn and is, by 1 fen"


async def test_a_thousand_transfers_are_kept_in_the_order_sent(
    database: Database, alice: int, bob: int
) -> None:
    mine, other = await cash_of(database, alice, 10_000), await cash_of(database, bob)
    amounts = [1 + turn * 7 % 13 for turn in range(1_000)]
    many = [transfer(TransferKind.POSTED, mine.cash_id, other.cash_id, amount) for amount in amounts]
    async with database.transaction() as connection:
        await service.post(connection, many, AT_US)
        assert (await sums(connection, alice))[Purpose.CASH] == (0, sum(amounts), 0, 10_000)
        lines = await service.statement(connection, alice, StatementFilter(), 1_000)
        assert [line.amount_fen for line in reversed(lines)] == amounts
        assert await service.check(connection) == []
