"""Idempotency-Key: one effect and one answer for a request that is sent twice.

The stored answer is written in the transaction of its effect, so either both exist or neither. Two sendings
at the same moment are told apart by an advisory lock that ends with the transaction: the second is not made
to wait but answered 409, retryable. Keys are kept for ever and belong to a participant.
"""

import msgspec

from exchange.kit.clock import wall_now_us
from exchange.kit.database import Connection, from_us
from exchange.kit.errors import Conflict, InvalidInput

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_READ = """
SELECT fingerprint, status, response
FROM idempotency_record
WHERE participant_id = $1 AND idempotency_key = $2
"""
_INSERT = """
INSERT INTO idempotency_record (participant_id, idempotency_key, fingerprint, status, response, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""


class StoredAnswer(msgspec.Struct, frozen=True):
    """The answer given the first time; `body` is encoded JSON."""

    status: int
    body: bytes


async def claim(
    connection: Connection, participant_id: int, idempotency_key: str, fingerprint: bytes
) -> StoredAnswer | None:
    """Return the stored answer of this key, or None after making the key this transaction's own.

    Call it first in the transaction, and `store` last. Raises `InvalidInput` (422) when the key was used with
    another payload and `Conflict` (409, retryable) while another transaction works on it.
    """
    if not await connection.fetchval(_LOCK, f"{participant_id}:{idempotency_key}"):
        raise Conflict(
            "in_flight", "a request with this Idempotency-Key is still being worked on", retryable=True
        )
    record = await connection.fetchrow(_READ, participant_id, idempotency_key)
    if record is None:
        return None
    if bytes(record["fingerprint"]) != fingerprint:
        raise InvalidInput(
            "idempotency_key_reused", "this Idempotency-Key was used before with another request"
        )
    return StoredAnswer(record["status"], bytes(record["response"]))


async def store(
    connection: Connection,
    participant_id: int,
    idempotency_key: str,
    fingerprint: bytes,
    answer: StoredAnswer,
) -> None:
    """Keep the answer of the key that `claim` made this transaction's own."""
    await connection.execute(
        _INSERT,
        participant_id,
        idempotency_key,
        fingerprint,
        answer.status,
        answer.body,
        from_us(wall_now_us()),
    )
