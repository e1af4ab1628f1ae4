"""Goal: `exchange ledger check` names each wrong sum, stored and recomputed, and runs beside live trading.

Method: the books of the benchmark in small, faults planted past the triggers; the command in this process; a
market that trades while it is checked.
"""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.database import Database
from exchange.kit.ids import encode_id
from exchange.ledger import checking, service
from exchange.ledger.models import Difference, DifferenceKind, Purpose
from tests.benchmarks.ledger import make_books
from tests.market_world import open_market

ORDERS = 60
BUYERS = 7
TURNS_MIN = 5


@pytest.fixture(scope="module")
async def books_url(module_database_url: str) -> str:
    assert await make_books(module_database_url, orders=ORDERS, buyers=BUYERS) == 8 * ORDERS + 2 * BUYERS + 1
    return module_database_url


def call(url: str, *options: str) -> Result:
    return CliRunner().invoke(
        cli, ("ledger", "check", "--database-url", url, *options), env={"DATABASE_URL": None}
    )


async def plant(url: str, *statements: str) -> None:
    database = await Database.connect(url, connections_min=1)
    async with database.transaction() as connection:
        for table in ("ledger_account", "ledger_transfer"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            await connection.execute(statement)
        for table in ("ledger_account", "ledger_transfer"):
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    await database.close()


async def test_books_in_order_are_exact_and_the_answer_is_alone_on_standard_output(books_url: str) -> None:
    told = await asyncio.to_thread(call, books_url)
    assert (told.exit_code, told.stdout) == (ExitCode.DONE, "the books are exact\n")
    assert "check" in told.stderr
    assert "100%" in told.stderr
    told = await asyncio.to_thread(call, books_url, "--json")
    assert (told.exit_code, told.stdout) == (ExitCode.DONE, "[]\n")


async def test_each_wrong_sum_is_told_as_stored_and_as_recomputed(books_url: str) -> None:
    """Two sums of one account of the exchange's: the account that stands for the outside world."""
    await plant(
        books_url,
        "UPDATE ledger_account SET debits_posted_fen = debits_posted_fen + 5,"
        " credits_posted_fen = credits_posted_fen + 7 WHERE purpose = 'external'",
    )
    try:
        told = await asyncio.to_thread(call, books_url, "--json")
        assert told.exit_code == ExitCode.CHECK_FAILED
        found = [
            Difference(**{**each, "kind": DifferenceKind(each["kind"])}) for each in json.loads(told.stdout)
        ]
        text = await asyncio.to_thread(call, books_url)
    finally:
        await plant(
            books_url,
            "UPDATE ledger_account SET debits_posted_fen = debits_posted_fen - 5,"
            " credits_posted_fen = credits_posted_fen - 7 WHERE purpose = 'external'",
        )
    paid_in = BUYERS * 10**8
    account = encode_id("acc", 1)
    wrong = DifferenceKind.BALANCE_NOT_FOLD
    assert [
        (each.kind, each.subject, each.measure, each.stored_fen, each.recomputed_fen) for each in found[:2]
    ] == [
        (wrong, account, "debits_posted", paid_in + 5, paid_in),
        (wrong, account, "credits_posted", 7, 0),
    ]
    assert [(each.kind, each.subject) for each in found[2:]] == [(DifferenceKind.ASSET_NOT_ZERO, "CNY")]
    assert found[2].stored_fen - found[2].recomputed_fen == 2
    assert text.exit_code == ExitCode.CHECK_FAILED
    assert text.stdout.splitlines() == [
        *(f"{each.kind}  {each.subject}: {each.detail}" for each in found),
        "3 differences",
    ]


@pytest.mark.parametrize(
    "statement,kinds",
    [
        (
            "DELETE FROM ledger_transfer WHERE id = (SELECT max(id) FROM ledger_transfer)",
            {"balance_not_fold"},
        ),
        (
            "UPDATE ledger_transfer SET debit_account_id = 999999, credit_account_id = -5 WHERE id = 3",
            {"balance_not_fold", "transfers_of_no_account"},
        ),
        (
            "UPDATE ledger_transfer SET asset = 'CNY' WHERE reason = 'programme_budget'",
            {"balance_not_fold", "transfers_of_no_account"},
        ),
        (
            "UPDATE ledger_account SET credits_pending_fen = credits_pending_fen + 1",
            {"balance_not_fold", "asset_not_zero", "hold_not_pending"},
        ),
    ],
)
async def test_small_steps_find_what_large_ones_do(
    books_url: str, monkeypatch: pytest.MonkeyPatch, statement: str, kinds: set[str]
) -> None:
    """However the transfers are cut into blocks and the accounts into passes, the answer is the same."""
    database = await Database.connect(books_url, connections_min=1)
    try:
        async with database.connection() as connection:
            undone = connection.transaction()
            await undone.start()
            for table in ("ledger_account", "ledger_transfer"):
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await connection.execute(statement)
            whole = await service.check(connection)
            for transfers, accounts in ((1, 1000), (7, 3), (1000, 1), (64, 4)):
                monkeypatch.setattr(checking, "TRANSFERS_AT_A_TIME", transfers)
                monkeypatch.setattr(checking, "ACCOUNTS_AT_A_TIME", accounts)
                shares: list[float] = []
                found = [
                    each
                    async for each in checking.differences(
                        connection,
                        progress=lambda _, share: shares.append(share),  # noqa: B023 - used at once
                    )
                ]
                assert sorted(found, key=repr) == sorted(whole, key=repr)
                assert shares == sorted(shares)
                assert (shares[0], shares[-1]) == (0, 1)
            await undone.rollback()
    finally:
        await database.close()
    assert {str(each.kind) for each in whole} == kinds


async def test_it_sees_one_moment_while_the_market_trades(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "TRANSFERS_AT_A_TIME", 5)
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(100_000_000)
        product = world.product()
        await world.ask(provider, product, price=1_000, window=(0, 24), quantity_gpus=1_000)

        turns = 0

        async def check_while_trading() -> list[Difference]:
            found = []
            while turns < TURNS_MIN:
                found += await world.differences()
            return found

        checked = asyncio.create_task(check_while_trading())
        while not checked.done():
            await world.bid(buyer, product, price=1_100 if turns % 3 else 900, window=(2, 8))
            turns += 1
        assert await checked == []
        assert await world.free_fen(buyer, purpose=Purpose.ESCROW) > 0
