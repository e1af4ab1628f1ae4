"""Idempotency-Key: one effect and one answer for a request that is sent twice.

The stored answer is written in the transaction of its effect, so either both exist or neither. Two sendings
at the same moment are told apart by an advisory lock that ends with the transaction: the second is not made
to wait but answered 409, retryable. Keys are kept for ever and belong to a participant.

A writer that works on many requests at a time makes all their keys its own by `lock_all`, asks for the
`known_answers` of them, and keeps new ones by `store_all`, each in one statement. The lock has a statement of
its own: a statement sees the tables as they were before it took any lock.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from exchange.kit.bundle import Read, Writer
from exchange.kit.clock import wall_now_us
from exchange.kit.database import Connection, UniqueViolation, from_us
from exchange.kit.errors import Conflict, InvalidInput
from exchange.kit.rows import bytes_of

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_LOCK_MANY = """
SELECT asked.name
FROM unnest($1::text[]) AS asked (name)
WHERE NOT pg_try_advisory_xact_lock(hashtextextended(asked.name, 0))
"""
_READ = """
SELECT fingerprint, status, response
FROM idempotency_record
WHERE participant_id = $1 AND idempotency_key = $2
"""
_INSERT = """
INSERT INTO idempotency_record (participant_id, idempotency_key, fingerprint, status, response, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_READ_MANY = """
SELECT record.participant_id, record.idempotency_key, record.fingerprint, record.response
FROM unnest($1::bigint[], $2::text[]) AS asked (participant_id, idempotency_key)
JOIN idempotency_record AS record USING (participant_id, idempotency_key)
"""
_INSERT_MANY = """
INSERT INTO idempotency_record (participant_id, idempotency_key, fingerprint, status, response, created_at)
SELECT participant_id, idempotency_key, fingerprint, $5::smallint, response, $6::timestamptz
FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[])
    AS answered (participant_id, idempotency_key, fingerprint, response)
"""


class StoredAnswer(msgspec.Struct, frozen=True):
    """The answer given the first time; `body` is encoded JSON."""

    status: int
    body: bytes


class KnownAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer that was kept under a key; bytes as PostgreSQL writes them."""

    participant_id: int
    idempotency_key: str
    fingerprint: str
    response: str

    def body_for(self, fingerprint: bytes) -> bytes:
        """Return the encoded answer to the same payload; `InvalidInput` (422) for another one."""
        if bytes_of(self.fingerprint) != fingerprint:
            raise reused()
        return bytes_of(self.response)


_known_answers: Final = msgspec.json.Decoder(list[KnownAnswer])


def reused() -> InvalidInput:
    """Return the refusal of a key under which something else was sent before."""
    return InvalidInput("idempotency_key_reused", "this Idempotency-Key was used before with another request")


def in_flight() -> Conflict:
    """Return the refusal of a key under which a request is being worked on elsewhere."""
    return Conflict(
        "in_flight", "a request with this Idempotency-Key is still being worked on", retryable=True
    )


def lock_name(participant_id: int, idempotency_key: str) -> str:
    """Return what a participant's key is called among the advisory locks."""
    return f"{participant_id}:{idempotency_key}"


async def lock_all(connection: Connection, names: Collection[str]) -> frozenset[str]:
    """Make names this transaction's own, each if it can be; return those that are another transaction's.

    Never waits. What the holder before has committed is seen by the statements after this one.
    """
    return frozenset(row["name"] for row in await connection.fetch(_LOCK_MANY, list(names)))


def known_answers(keys: Collection[tuple[int, str]]) -> Read[KnownAnswer]:
    """Ask for the answers kept under (participant, key) pairs."""
    return Read(_READ_MANY, ([key[0] for key in keys], [key[1] for key in keys]), _known_answers)


async def store_all(
    connection: Writer, status: int, answers: Sequence[tuple[int, str, bytes, bytes]]
) -> None:
    """Keep (participant, key, fingerprint, encoded answer) of several keys, all new and locked."""
    await connection.execute(
        _INSERT_MANY,
        [answer[0] for answer in answers],
        [answer[1] for answer in answers],
        [answer[2] for answer in answers],
        [answer[3] for answer in answers],
        status,
        from_us(wall_now_us()),
    )


async def claim(
    connection: Connection, participant_id: int, idempotency_key: str, fingerprint: bytes
) -> StoredAnswer | None:
    """Return the stored answer of this key, or None after making the key this transaction's own.

    Call it first in the transaction, and `store` last. Raises `InvalidInput` (422) when the key was used with
    another payload and `Conflict` (409, retryable) while another transaction works on it.
    """
    if not await connection.fetchval(_LOCK, lock_name(participant_id, idempotency_key)):
        raise in_flight()
    record = await connection.fetchrow(_READ, participant_id, idempotency_key)
    if record is None:
        return None
    if bytes(record["fingerprint"]) != fingerprint:
        raise reused()
    return StoredAnswer(record["status"], bytes(record["response"]))


async def store(
    connection: Connection,
    participant_id: int,
    idempotency_key: str,
    fingerprint: bytes,
    answer: StoredAnswer,
) -> None:
    """Keep the answer of the key that `claim` made this transaction's own.

    Raises `Conflict` (409, retryable) where a writer that did not ask for the lock has kept one meanwhile.
    """
    try:
        await connection.execute(
            _INSERT,
            participant_id,
            idempotency_key,
            fingerprint,
            answer.status,
            answer.body,
            from_us(wall_now_us()),
        )
    except UniqueViolation as error:
        raise in_flight() from error
