"""Goal: one effect and one answer for a request that is sent twice, even at one moment or over a failure.

Method: `claim` and `store` in real transactions that are interleaved by hand; then routes and the writers of
partitions at work under one key, held in the middle of it or all at once: no batch of theirs may fail.
"""

import asyncio
from pathlib import Path

import pytest

from exchange.kit.auth import Principal
from exchange.kit.database import Database
from exchange.kit.errors import Conflict, InvalidInput
from exchange.kit.idempotency import StoredAnswer, claim, lock_all, lock_name, store, store_all
from exchange.orders.models import OrderStatus, PlacedOrder
from exchange.participants.models import ParticipantKind
from matching.order import Side
from tests.market_world import MarketWorld, open_market, sequencers

PARTICIPANT = 1  # the exchange itself, which the migrations enter
PRINT, OTHER_PRINT = bytes(32), bytes([1]) * 32
ROUNDS = 25
ANSWER = StoredAnswer(201, b'{"id":"prg_0000000000001"}')


async def test_the_second_sending_gets_the_first_answer(database: Database) -> None:
    async with database.transaction() as connection:
        assert await claim(connection, PARTICIPANT, "k", PRINT) is None
        await store(connection, PARTICIPANT, "k", PRINT, ANSWER)
    for _ in range(2):
        async with database.transaction() as connection:
            assert await claim(connection, PARTICIPANT, "k", PRINT) == ANSWER


async def test_another_payload_under_the_same_key_is_refused(database: Database) -> None:
    async with database.transaction() as connection:
        await claim(connection, PARTICIPANT, "k", PRINT)
        await store(connection, PARTICIPANT, "k", PRINT, ANSWER)
    with pytest.raises(InvalidInput) as caught:
        async with database.transaction() as connection:
            await claim(connection, PARTICIPANT, "k", OTHER_PRINT)
    assert (caught.value.status, caught.value.code) == (422, "idempotency_key_reused")


async def test_a_sending_in_flight_is_refused_at_once_and_other_keys_are_not(database: Database) -> None:
    async with database.transaction() as first:
        await claim(first, PARTICIPANT, "k", PRINT)
        with pytest.raises(Conflict) as caught:
            async with database.transaction() as second:
                await claim(second, PARTICIPANT, "k", PRINT)
        assert (caught.value.code, caught.value.retryable) == ("in_flight", True)
        async with database.transaction() as second:
            assert await claim(second, PARTICIPANT, "k2", PRINT) is None
        await store(first, PARTICIPANT, "k", PRINT, ANSWER)
    async with database.transaction() as third:
        assert await claim(third, PARTICIPANT, "k", PRINT) == ANSWER


async def test_a_failed_effect_leaves_the_key_free(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await claim(connection, PARTICIPANT, "k", PRINT)
            await store(connection, PARTICIPANT, "k", PRINT, ANSWER)
            raise ZeroDivisionError
    async with database.transaction() as connection:
        assert await claim(connection, PARTICIPANT, "k", OTHER_PRINT) is None


async def test_names_are_made_a_transactions_own_each_if_it_can_be(database: Database) -> None:
    async with database.transaction() as first, database.transaction() as second:
        await claim(first, PARTICIPANT, "k", PRINT)
        assert await lock_all(second, [lock_name(PARTICIPANT, name) for name in ("k", "k2")]) == {"1:k"}
        with pytest.raises(Conflict):
            await claim(first, PARTICIPANT, "k2", PRINT)


async def test_an_answer_kept_without_the_lock_is_a_conflict_and_no_fault(database: Database) -> None:
    with pytest.raises(Conflict) as caught:
        async with database.transaction() as first:
            await claim(first, PARTICIPANT, "k", PRINT)
            async with database.transaction() as second:
                await store_all(second, 200, [(PARTICIPANT, "k", PRINT, b"{}")])
            await store(first, PARTICIPANT, "k", PRINT, ANSWER)
    assert (caught.value.code, caught.value.retryable) == ("in_flight", True)


def failures(world: MarketWorld) -> int:
    """Return how many batches were not committed."""
    return sum(sum(each.meters.failures.values()) for each in sequencers(world.exchange).values())


async def route(world: MarketWorld, owner: Principal, key: str) -> str:
    """Do what a route does under an Idempotency-Key; return what came of it."""
    try:
        async with world.database.transaction() as connection:
            if await claim(connection, owner.participant_id, key, PRINT) is not None:
                raise AssertionError("no other route has this key")
            await store(connection, owner.participant_id, key, PRINT, ANSWER)
    except (Conflict, InvalidInput) as refusal:
        return refusal.code
    return "done"


async def test_an_amendment_under_a_key_that_a_route_works_on_is_in_flight(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        buyer = await world.join(ParticipantKind.BUYER)
        await world.deposit(buyer, 10_000)
        bid = await world.bid(buyer, world.product(), price=100, quantity_gpus=2)
        async with world.database.transaction() as connection:
            await claim(connection, buyer.participant_id, "k", PRINT)
            with pytest.raises(Conflict) as refused:
                await world.amend(buyer, bid, price=101, once_key="k")
            assert (refused.value.code, refused.value.retryable) == ("in_flight", True)
            await store(connection, buyer.participant_id, "k", PRINT, ANSWER)
        with pytest.raises(InvalidInput) as reused:
            await world.amend(buyer, bid, price=101, once_key="k")
        assert reused.value.code == "idempotency_key_reused"
        assert (await world.amend(buyer, bid, price=101, once_key="k2")).replaces == bid.id
        assert failures(world) == 0


async def test_a_route_under_a_key_that_an_amendment_works_on_is_in_flight(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        buyer = await world.join(ParticipantKind.BUYER)
        await world.deposit(buyer, 10_000)
        bid = await world.bid(buyer, world.product(), price=100, quantity_gpus=2)
        async with world.database.transaction() as connection:
            await connection.execute(
                "SELECT FROM ledger_account WHERE participant_id = $1 FOR UPDATE", buyer.participant_id
            )
            amending = asyncio.create_task(world.amend(buyer, bid, price=101, once_key="k"))
            await world.somebody_waits_for_a_lock()
            assert await route(world, buyer, "k") == "in_flight"
        assert (await amending).replaces == bid.id
        assert await route(world, buyer, "k") == "idempotency_key_reused"
        assert failures(world) == 0


async def test_whoever_comes_first_with_a_key_no_batch_fails(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        buyer = await world.join(ParticipantKind.BUYER)
        await world.deposit(buyer, 10**9)
        bid = await world.bid(buyer, world.product(), price=100, quantity_gpus=ROUNDS + 1)

        async def amend(key: str, quantity_gpus: int) -> str:
            try:
                await world.amend(buyer, bid, quantity_gpus=quantity_gpus, once_key=key)
            except (Conflict, InvalidInput) as refusal:
                return refusal.code
            return "done"

        for number in range(ROUNDS):
            key = f"k{number}"
            outcomes = await asyncio.gather(amend(key, ROUNDS - number), route(world, buyer, key))
            assert set(outcomes) <= {"done", "in_flight", "idempotency_key_reused"}
            assert outcomes.count("done") <= 1
        assert failures(world) == 0


async def two_partitions(database_url: str, folder: Path) -> tuple[str, str]:
    """Move a product to another partition; return one of each."""
    async with open_market(database_url, folder) as world:
        first, second, *_ = (each.id for each in world.exchange.products.values() if each.lot_gpus == 1)
        async with world.database.transaction() as connection:
            await connection.execute("UPDATE product SET partition_id = 2 WHERE id = $1", second)
    return first, second


async def test_a_client_order_id_sent_to_two_partitions_at_once_places_one_order(
    database_url: str, tmp_path: Path
) -> None:
    here, there = await two_partitions(database_url, tmp_path)
    async with open_market(database_url, tmp_path) as world:
        assert len(sequencers(world.exchange)) == 2
        provider = await world.join(ParticipantKind.PROVIDER)
        order = world.order(Side.SELL, here, client_order_id="mine")
        name = f"order:{provider.participant_id}:mine"
        async with world.database.transaction() as connection:
            assert await lock_all(connection, [name]) == frozenset()
            with pytest.raises(Conflict) as refused:
                await world.exchange.orders.place(provider, order)
            assert (refused.value.code, refused.value.retryable) == ("in_flight", True)
        assert (await world.exchange.orders.place(provider, order)).view.status is OrderStatus.RESTING
        for number in range(ROUNDS):
            orders = [
                world.order(Side.SELL, each, client_order_id=f"both-{number}") for each in (here, there)
            ]
            outcomes = await asyncio.gather(
                *(world.exchange.orders.place(provider, each) for each in orders), return_exceptions=True
            )
            assert sum(isinstance(each, PlacedOrder) for each in outcomes) <= 1
            codes = {getattr(each, "code", "") for each in outcomes if not isinstance(each, PlacedOrder)}
            assert codes <= {"in_flight", "client_order_id_reused"}
        assert failures(world) == 0
