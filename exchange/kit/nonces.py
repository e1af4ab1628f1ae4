"""Signatures that were used: each opens the exchange once, whichever process it is sent to.

One row for each signed request, in PostgreSQL because every process asks it and nothing is lost there: a
memory that loses (Redis) would let a request in twice. That is one more statement and commit for each request
of a key that signs, and none for others.

Known limit: a row is dropped `KEPT_S` after its request could no longer be taken for new, by the clock of
whoever drops it. Where the wall clock of a process is set back by more than that, it takes old signatures.
"""

from typing import Final

from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.database import Database, from_us
from exchange.kit.signatures import WINDOW_S, Signature

KEPT_S: Final = 600
DROPPED_AT_ONCE: Final = 10_000

_INSERT = """
INSERT INTO request_nonce (key_id, nonce, expires_at) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING TRUE
"""
_DROP = """
DELETE FROM request_nonce
WHERE (key_id, nonce) IN (
    SELECT key_id, nonce FROM request_nonce WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""


async def spend(database: Database, key_id: int, signature: Signature) -> bool:
    """Keep a signature; return whether it was not kept before. It is, once this returns."""
    expires_at = from_us((signature.created_s + WINDOW_S) * US_PER_SECOND)
    # Outside of a transaction: one statement is one. Where the connection is lost, nothing of the request was
    # done, whether or not the row is there.
    async with database.connection() as connection:
        return await connection.fetchval(_INSERT, key_id, signature.nonce, expires_at) is not None


async def drop_old(database: Database) -> None:
    """Drop what no request could be taken for new with, in the whole exchange."""
    before = from_us(wall_now_us() - KEPT_S * US_PER_SECOND)
    dropped = DROPPED_AT_ONCE
    while dropped == DROPPED_AT_ONCE:
        async with database.transaction() as connection:
            status = await connection.execute(_DROP, before, DROPPED_AT_ONCE)
        dropped = int(status.rpartition(" ")[2])
