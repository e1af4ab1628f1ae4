"""Goal: the database itself moves balances with transfers only, and resolves what was set aside once.

Method: each rule is broken past the service, as the tables' owner; then many connections try at once, some of
them cut off in the middle, while a reader watches.
"""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from exchange.kit.database import CheckViolation, ConnectionLost, Database, RefusedChange
from exchange.kit.errors import NotEnoughMoney
from exchange.kit.ids import decode_id, new_id
from exchange.ledger import service
from exchange.ledger.models import Transfer, TransferKind
from tests.databases import crowded
from tests.integration.books import AT_US, cash_of, new_provider, transfer
from tests.market_world import open_market

CONNECTIONS = 50
ASSET_SUMS = """
    SELECT asset, sum(credits_posted_fen) - sum(debits_posted_fen) AS posted_fen,
        sum(credits_pending_fen) - sum(debits_pending_fen) AS pending_fen
    FROM ledger_account GROUP BY asset"""


def of_group(group_id: int, debit_id: int, credit_id: int, amount_fen: int) -> Transfer:
    return Transfer(
        group_id=group_id,
        kind=TransferKind.POSTED,
        reason=transfer(TransferKind.POSTED, 1, 2, 1).reason,
        asset="CNY",
        debit_account_id=debit_id,
        credit_account_id=credit_id,
        amount_fen=amount_fen,
        subject_id=group_id,
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_account SET credits_posted_fen = credits_posted_fen + 1",
        "UPDATE ledger_account SET debits_pending_fen = 0",
        "UPDATE ledger_account SET debits_posted_fen = debits_posted_fen, created_at = created_at",
        "UPDATE ledger_account SET allows_overdraft = FALSE",
        "UPDATE ledger_account SET asset = 'CNY'",
        "DELETE FROM ledger_account WHERE FALSE",
        "TRUNCATE ledger_account CASCADE",
        (
            "INSERT INTO ledger_account"
            " (participant_id, asset, purpose, reference, credits_posted_fen, created_at)"
            " VALUES (1, 'CNY', 'cash', 77, 1, now())"
        ),
        (
            "INSERT INTO ledger_account AS account (participant_id, asset, purpose, created_at)"
            " VALUES (1, 'CNY', 'fees', now()) ON CONFLICT (participant_id, asset, purpose, reference)"
            " DO UPDATE SET credits_posted_fen = account.credits_posted_fen + 1"
        ),
        (
            "MERGE INTO ledger_account USING (SELECT 1) AS one ON TRUE"
            " WHEN MATCHED THEN UPDATE SET credits_pending_fen = 9"
        ),
    ],
)
async def test_a_balance_moves_with_transfers_only(database: Database, statement: str) -> None:
    await cash_of(database, await new_provider(database, "alice"), 1_000)
    with pytest.raises(RefusedChange, match=r"moved by transfers only|insert-only"):
        async with database.transaction() as connection:
            await connection.execute(statement)


async def test_no_session_silences_a_guard_by_playing_the_replica(database: Database) -> None:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal AND tgname <> 'participant_tell'"
            " AND tgrelid = ANY (ARRAY['ledger_account', 'ledger_transfer', 'orders', 'order_hold', 'trade',"
            " 'lease', 'lease_funding', 'participant', 'product']::regclass[])"
        )
    assert len(rows) == 23
    assert {row["tgname"] for row in rows if row["tgenabled"] != b"A"} == set()


async def test_a_transfer_inserted_past_the_service_moves_its_balances_too(database: Database) -> None:
    alice = await cash_of(database, await new_provider(database, "alice"), 1_000)
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO ledger_transfer (group_id, kind, reason, asset, debit_account_id, credit_account_id,"
            " amount_fen, subject_id, created_at)"
            " SELECT 1, 'posted', 'trade', 'CNY', $1, $2, 3, 1, now() FROM generate_series(1, 100)",
            alice.cash_id,
            alice.escrow_id,
        )
        assert await service.available_for_update(connection, [alice.cash_id, alice.escrow_id]) == {
            alice.cash_id: 700,
            alice.escrow_id: 300,
        }
        assert await service.check_balances(connection) == []


@pytest.mark.parametrize("kind", [TransferKind.POST_PENDING, TransferKind.VOID_PENDING])
async def test_of_fifty_that_resolve_one_hold_one_does(
    database_url: str, database: Database, kind: TransferKind
) -> None:
    alice = await cash_of(database, await new_provider(database, "alice"), 1_000)
    async with database.transaction() as connection:
        await service.post(
            connection, [transfer(TransferKind.PENDING, alice.cash_id, alice.escrow_id, 600)], AT_US
        )
    async with crowded(database_url, CONNECTIONS) as pool:

        async def resolve() -> bool:
            try:
                async with pool.transaction() as connection:
                    await service.post(
                        connection, [transfer(kind, alice.cash_id, alice.escrow_id, 600)], AT_US
                    )
            except CheckViolation:
                return False
            return True

        won = await asyncio.gather(*(resolve() for _ in range(CONNECTIONS)))
    assert sum(won) == 1
    async with database.connection() as connection:
        moved_fen = 600 if kind is TransferKind.POST_PENDING else 0
        assert await service.available_for_update(connection, [alice.cash_id, alice.escrow_id]) == {
            alice.cash_id: 1_000 - moved_fen,
            alice.escrow_id: moved_fen,
        }
        assert await service.check_balances(connection) == []


async def test_fifty_that_resolve_an_orders_hold_never_touch_another_orders(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    """Two orders hold on the same accounts, so only the holds themselves can tell them apart."""
    async with open_market(database_url, tmp_path) as world:
        _, buyer = await world.traders(1_000_000)
        product = world.product()
        bids = [await world.bid(buyer, product, price=1_000, window=(0, 4)) for _ in range(2)]
    order_id = decode_id("ord", bids[0].id)
    async with crowded(database_url, CONNECTIONS) as pool:
        async with pool.connection() as connection:
            hold = await connection.fetchrow("SELECT * FROM order_hold WHERE order_id = $1", order_id)
            assert hold is not None
        part_fen = hold["placed_fen"] // 3 - 1

        async def resolve(number: int) -> int:
            """Commit or release a third, with its transfer, in one transaction."""
            kind, statement = [
                (
                    TransferKind.POST_PENDING,
                    "UPDATE order_hold SET committed_fen = committed_fen + $2 WHERE order_id = $1",
                ),
                (
                    TransferKind.VOID_PENDING,
                    "UPDATE order_hold SET released_fen = released_fen + $2 WHERE order_id = $1",
                ),
            ][number % 2]
            try:
                async with pool.transaction() as connection:
                    part = transfer(kind, hold["source_account_id"], hold["escrow_account_id"], part_fen)
                    await service.post(connection, [part], AT_US)
                    await connection.execute(statement, order_id, part_fen)
            except CheckViolation:
                return 0
            return 1

        assert sum(await asyncio.gather(*(resolve(number) for number in range(CONNECTIONS)))) == 3
    async with database.connection() as connection:
        left = await connection.fetch(
            "SELECT placed_fen - committed_fen - released_fen AS open_fen FROM order_hold ORDER BY order_id"
        )
        account = await connection.fetchrow(
            "SELECT debits_pending_fen FROM ledger_account WHERE id = $1", hold["source_account_id"]
        )
        assert account is not None
        assert [row["open_fen"] for row in left] == [hold["placed_fen"] - 3 * part_fen, hold["placed_fen"]]
        assert account["debits_pending_fen"] == sum(row["open_fen"] for row in left)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE order_hold SET committed_fen = committed_fen - 1",
        "UPDATE order_hold SET released_fen = released_fen - 1",
        "UPDATE order_hold SET placed_fen = placed_fen + 1",
        "UPDATE order_hold SET source_account_id = escrow_account_id",
        "DELETE FROM order_hold",
        "TRUNCATE order_hold",
        "UPDATE lease_funding SET captured_fen = captured_fen - 1",
        "UPDATE lease_funding SET returned_fen = returned_fen - 1",
        "UPDATE lease_funding SET committed_fen = committed_fen + 1",
        "UPDATE lease_funding SET escrow_account_id = source_account_id",
        "DELETE FROM lease_funding",
        "TRUNCATE lease_funding",
    ],
)
async def test_what_was_resolved_stays_resolved(half_delivered: Database, statement: str) -> None:
    async with half_delivered.connection() as connection:
        with pytest.raises(RefusedChange, match="stays resolved"):
            await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE order_hold SET released_fen = placed_fen - committed_fen + 1",
        "UPDATE lease_funding SET captured_fen = committed_fen + 1",
    ],
)
async def test_no_more_is_resolved_than_was_set_aside(half_delivered: Database, statement: str) -> None:
    async with half_delivered.connection() as connection:
        with pytest.raises(CheckViolation):
            await connection.execute(statement)


@pytest.fixture(scope="module")
async def half_delivered(
    module_database_url: str, module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Database:
    """Give a market with a lease of which two hours are delivered, and a bid that rests."""
    async with open_market(module_database_url, tmp_path_factory.mktemp("market")) as world:
        provider, buyer = await world.traders(1_000_000)
        product = world.product()
        await world.ask(provider, product, price=1_000, window=(0, 4))
        await world.bid(buyer, product, price=1_100, window=(0, 4))
        await world.bid(buyer, product, price=1_000, window=(0, 4))
        await world.pass_hours(2)
    return module_database


async def test_a_linked_set_is_there_whole_or_not_at_all(database_url: str, database: Database) -> None:
    """Sets of five over eight accounts: some overdraw in their last leg, some lose their connection."""
    owners = [await new_provider(database, f"owner {number}") for number in range(8)]
    ids = [(await cash_of(database, owner, 2_000)).cash_id for owner in owners]
    sets = {new_id(): number for number in range(300)}
    backends: set[int] = set()

    async def book(group_id: int, number: int) -> str:
        ring = [*ids[number % 8 :], *ids[: number % 8]]
        legs = [of_group(group_id, a, b, 1 + number % 7) for a, b in pairwise(ring[:5])]
        legs.append(of_group(group_id, ring[5], ring[6], 10**9 if number % 5 == 0 else 2))
        try:
            async with pool.transaction() as connection:
                pid = await connection.fetchval("SELECT pg_backend_pid()")
                backends.add(pid)
                try:
                    await service.post(connection, legs, AT_US)
                finally:
                    backends.discard(pid)
        except NotEnoughMoney:
            return "refused"
        except ConnectionLost as lost:
            return "cut off" if lost.outcome == "not_applied" else "unknown"
        return "booked"

    async def watch() -> int:
        """Read whole sets only, and assets that net to zero, while there are any; cut some off."""
        seen = 0
        while not booking.done():
            async with database.connection() as connection:
                legs = await connection.fetch(
                    "SELECT group_id, count(*) FROM ledger_transfer GROUP BY group_id"
                )
                assert {row["count"] for row in legs if row["group_id"] in sets} <= {5}
                nets = await connection.fetch(ASSET_SUMS)
                assert {(row["posted_fen"], row["pending_fen"]) for row in nets} == {(0, 0)}
                if backends and seen % 3 == 0:
                    await connection.execute("SELECT pg_terminate_backend($1)", max(backends))
                seen += 1
        return seen

    async with crowded(database_url, CONNECTIONS) as pool:
        booking = asyncio.gather(*(book(group_id, number) for group_id, number in sets.items()))
        seen, outcomes = await asyncio.gather(watch(), booking)
    async with database.connection() as connection:
        legs = await connection.fetch("SELECT group_id, count(*) FROM ledger_transfer GROUP BY group_id")
        stored = {row["group_id"]: row["count"] for row in legs if row["group_id"] in sets}
        assert await service.check(connection) == []
    told = Counter(outcomes)
    assert seen
    assert told["refused"] >= 1
    assert told["cut off"] >= 1
    for group_id, outcome in zip(sets, outcomes, strict=True):
        if outcome != "unknown":
            assert stored.get(group_id, 0) == (5 if outcome == "booked" else 0), outcome
    assert set(stored.values()) <= {5}
