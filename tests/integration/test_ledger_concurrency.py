"""Goal: many callers at a time neither overdraw an account, nor deadlock, nor open an account twice.

Method: the real service on a real PostgreSQL over many connections; the order in which a call takes its
accounts is observed by holding one of them.
"""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from exchange.kit.bundle import read_each
from exchange.kit.database import Database
from exchange.kit.errors import NotEnoughMoney
from exchange.ledger import service
from exchange.ledger.models import (
    Available,
    CashAccounts,
    Purpose,
    TransferKind,
)
from exchange.orders.store import KnownOutcome, known_outcomes
from exchange.participants.models import EXCHANGE_ID
from tests.databases import crowded
from tests.integration.books import AT_US, cash_of, new_provider, sums, transfer


@pytest.fixture
async def alice(database: Database) -> int:
    return await new_provider(database, "alice")


@pytest.fixture
async def bob(database: Database) -> int:
    return await new_provider(database, "bob")


async def test_fifty_connections_spending_one_account_never_overdraw_it(
    database_url: str, database: Database, alice: int, bob: int
) -> None:
    spender, shop = await cash_of(database, alice, 1_000), await cash_of(database, bob)
    async with crowded(database_url, 50) as pool:

        async def spend(amount_fen: int) -> int:
            try:
                async with pool.transaction() as connection:
                    payment = transfer(TransferKind.POSTED, spender.cash_id, shop.cash_id, amount_fen)
                    await service.post(connection, [payment], AT_US)
            except NotEnoughMoney:
                return 0
            return amount_fen

        spent = await asyncio.gather(*(spend(30) for _ in range(100)))
    assert sum(spent) == 33 * 30
    async with database.connection() as connection:
        assert (await sums(connection, alice))[Purpose.CASH] == (0, 990, 0, 1_000)
        assert (await sums(connection, bob))[Purpose.CASH] == (0, 0, 0, 990)
        assert await service.check(connection) == []


async def test_calls_over_the_same_accounts_in_opposite_orders_do_not_deadlock(
    database_url: str, database: Database
) -> None:
    owners = [await new_provider(database, f"owner {number}") for number in range(8)]
    ids = [(await cash_of(database, owner, 10_000)).cash_id for owner in owners]
    async with crowded(database_url, 50) as pool:

        async def around(turn: int) -> None:
            ring = ids if turn % 2 else ids[::-1]
            ring = [*ring[turn % len(ring) :], *ring[: turn % len(ring)]]
            async with pool.transaction() as connection:
                pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
                await service.post(
                    connection, [transfer(TransferKind.POSTED, a, b, 1) for a, b in pairs], AT_US
                )

        await asyncio.gather(*(around(turn) for turn in range(200)))
    async with database.connection() as connection:
        assert set((await service.available_for_update(connection, ids)).values()) == {10_000}
        assert await service.check(connection) == []


async def test_the_directory_opens_accounts_once_for_many_callers(database: Database) -> None:
    owners = [await new_provider(database, f"owner {number}") for number in range(5)]
    directory = service.AccountDirectory()

    async def find(order: Sequence[int]) -> dict[int, CashAccounts]:
        async with database.transaction() as connection:
            return await directory.cash_of(connection, order)

    found = await asyncio.gather(*(find(owners if turn % 2 else owners[::-1]) for turn in range(10)))
    assert all(each == found[0] for each in found)
    assert len({id_ for each in found[0].values() for id_ in (each.cash_id, each.escrow_id)}) == 10


async def test_the_directory_forgets_accounts_whose_opening_was_rolled_back(
    database: Database, alice: int
) -> None:
    directory = service.AccountDirectory()
    with pytest.raises(LookupError):
        async with database.transaction() as connection, connection.transaction():
            await directory.cash_of(connection, [alice])
            await directory.cash_of(connection, [alice])
            raise LookupError
    async with database.transaction() as connection:
        found = await directory.cash_of(connection, [alice])
        payment = transfer(
            TransferKind.PENDING, await directory.external_id(connection), found[alice].cash_id, 5
        )
        await service.post(connection, [payment], AT_US)
        assert (await sums(connection, alice))[Purpose.CASH] == (0, 0, 5, 0)


async def test_the_directory_asks_the_database_only_for_what_it_does_not_know(
    database: Database, alice: int
) -> None:
    expected = await cash_of(database, alice, 1)
    directory = service.AccountDirectory()
    async with database.transaction() as connection:
        await directory.cash_of(connection, [alice])
    async with database.transaction() as connection:
        await connection.execute("DROP TABLE ledger_account CASCADE")
        assert await directory.cash_of(connection, [alice]) == {alice: expected}
        with pytest.raises(asyncpg.UndefinedTableError):
            await directory.cash_of(connection, [alice, EXCHANGE_ID])


async def test_a_call_takes_its_accounts_in_the_order_of_their_ids(database: Database) -> None:
    owners = [await new_provider(database, f"owner {number}") for number in range(6)]
    ids = [(await cash_of(database, owner)).cash_id for owner in owners]
    for owner in reversed(owners):
        await cash_of(database, owner, 100)  # so that the rows do not lie in the order of their ids
    shuffled = [ids[position] for position in (3, 0, 5, 2, 4, 1)]
    ring = [
        transfer(TransferKind.POSTED, a, b, 1)
        for a, b in zip(shuffled, [*shuffled[1:], shuffled[0]], strict=True)
    ]

    async def post_ring(pid: asyncio.Future[int]) -> None:
        async with database.transaction() as connection:
            pid.set_result(await connection.fetchval("SELECT pg_backend_pid()"))
            await service.post(connection, ring, AT_US)

    for position, held_id in enumerate(ids):
        pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with database.transaction() as holder, database.connection() as observer:
            await service.available_for_update(holder, [held_id])
            posting = asyncio.create_task(post_ring(pid))
            while not await observer.fetchval("SELECT cardinality(pg_blocking_pids($1))", await pid):
                assert not posting.done()
            free = await observer.fetch(
                "SELECT id FROM ledger_account WHERE id = ANY ($1::BIGINT[]) FOR UPDATE SKIP LOCKED", ids
            )
            assert sorted(row["id"] for row in free) == ids[position + 1 :]
        await posting


async def test_what_is_read_under_a_lock_is_what_its_holder_left(database: Database) -> None:
    owner = await new_provider(database, "owner")
    accounts = await cash_of(database, owner, 100)

    async def available(pid: asyncio.Future[int]) -> tuple[list[Available], list[KnownOutcome]]:
        async with database.transaction() as connection:
            pid.set_result(await connection.fetchval("SELECT pg_backend_pid()"))
            known, found = await read_each(
                connection,
                known_outcomes([(owner, "never placed")]),
                service.lock_available([accounts.cash_id]),
            )
        return found, known

    pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with database.connection() as observer:
        async with database.transaction() as holder:
            hold = transfer(TransferKind.PENDING, accounts.cash_id, accounts.escrow_id, 30)
            await service.post(holder, [hold], AT_US)
            reading = asyncio.create_task(available(pid))
            while not await observer.fetchval("SELECT cardinality(pg_blocking_pids($1))", await pid):
                assert not reading.done()
        found, known = await reading
    assert ([(each.id, each.available_fen) for each in found], known) == ([(accounts.cash_id, 70)], [])
