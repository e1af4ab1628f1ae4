"""Goal: a signature is taken once, and remembered for as long as it could be. Method: many at a time."""

import asyncio

import pytest

from exchange.kit import nonces
from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.database import Database
from exchange.kit.signatures import WINDOW_S, Signature
from tests.signers import KEY_ID, head_with, signed


def signature_of(nonce: str, created_s: int) -> Signature:
    return Signature.of(signed(head_with(), created_s=created_s, nonce=nonce), KEY_ID)


async def test_one_of_many_at_a_time_is_the_first(database: Database) -> None:
    signature = signature_of("n", wall_now_us() // US_PER_SECOND)
    taken = await asyncio.gather(*(nonces.spend(database, 1, signature) for _ in range(20)))
    assert sorted(taken) == [False] * 19 + [True]
    # Another key's, and another nonce, are others.
    assert await nonces.spend(database, 2, signature)
    assert await nonces.spend(database, 1, signature_of("m", signature.created_s))


async def test_only_what_can_come_no_more_is_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonces, "DROPPED_AT_ONCE", 3)
    now_s = wall_now_us() // US_PER_SECOND
    old_s = now_s - WINDOW_S - nonces.KEPT_S - 10
    for number in range(10):
        await nonces.spend(database, 1, signature_of(f"old-{number}", old_s))
    for name, created_s in (("past", now_s - WINDOW_S - 60), ("now", now_s), ("ahead", now_s + WINDOW_S)):
        await nonces.spend(database, 1, signature_of(name, created_s))
    await nonces.drop_old(database)
    async with database.connection() as connection:
        kept = await connection.fetch("SELECT nonce FROM request_nonce ORDER BY expires_at")
    assert [row["nonce"] for row in kept] == ["past", "now", "ahead"]
