"""Goal: one effect and one answer for a request that is sent twice, even at one moment or over a failure.

Method: `claim` and `store` in real transactions that are interleaved by hand.
"""

import pytest

from exchange.kit.database import Database
from exchange.kit.errors import Conflict, InvalidInput
from exchange.kit.idempotency import StoredAnswer, claim, store

PARTICIPANT = 1  # the exchange itself, which the migrations enter
PRINT, OTHER_PRINT = bytes(32), bytes([1]) * 32
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
