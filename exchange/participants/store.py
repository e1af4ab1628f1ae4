"""The tables of participants, trade groups and keys: one typed function for each named query."""

from collections.abc import Collection

from exchange.kit.auth import Principal, Scope, StoredKey
from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.participants.models import (
    Key,
    KeyGrant,
    Ownership,
    Participant,
    ParticipantKind,
    SizeClass,
    TradeGroup,
)

QUERIES = load_queries("exchange.participants")


def _participant(record: Record) -> Participant:
    ownership, size_class = record["ownership"], record["size_class"]
    return Participant(
        id=record["id"],
        kind=ParticipantKind(record["kind"]),
        name=record["name"],
        trade_group_id=record["trade_group_id"],
        region=record["region"],
        ownership=None if ownership is None else Ownership(ownership),
        size_class=None if size_class is None else SizeClass(size_class),
        founded_on=record["founded_on"],
        sectors=tuple(record["sectors"]),
        created_at_us=to_us(record["created_at"]),
    )


def _key(record: Record) -> Key:
    expires_at, revoked_at = record["expires_at"], record["revoked_at"]
    return Key(
        id=record["id"],
        participant_id=record["participant_id"],
        label=record["label"],
        scopes=frozenset(map(Scope, record["scopes"])),
        allowed_networks=tuple(record["allowed_networks"]),
        created_at_us=to_us(record["created_at"]),
        expires_at_us=None if expires_at is None else to_us(expires_at),
        revoked_at_us=None if revoked_at is None else to_us(revoked_at),
    )


async def insert_participant(connection: Connection, participant: Participant) -> None:
    """Store a new participant."""
    await connection.execute(
        QUERIES.insert_participant,
        participant.id,
        participant.kind,
        participant.name,
        participant.trade_group_id,
        participant.region,
        participant.ownership,
        participant.size_class,
        participant.founded_on,
        participant.sectors,
        from_us(participant.created_at_us),
    )


async def participant_by_id(connection: Connection, participant_id: int) -> Participant | None:
    """Return a participant, or None."""
    record = await connection.fetchrow(QUERIES.participant_by_id, participant_id)
    return None if record is None else _participant(record)


async def participants_by_ids(
    connection: Connection, participant_ids: Collection[int]
) -> dict[int, Participant]:
    """Return those of the participants that exist, by id."""
    records = await connection.fetch(QUERIES.participants_by_ids, list(participant_ids))
    return {record["id"]: _participant(record) for record in records}


async def participants_after(
    connection: Connection, after_id: int, kind: ParticipantKind | None, limit: int
) -> list[Participant]:
    """Return a page of participants in the order of their ids."""
    return [
        _participant(record)
        for record in await connection.fetch(QUERIES.participants_after, after_id, kind, limit)
    ]


async def insert_trade_group(connection: Connection, group: TradeGroup) -> None:
    """Store a new trade group."""
    await connection.execute(QUERIES.insert_trade_group, group.id, group.name, from_us(group.created_at_us))


async def trade_group_exists(connection: Connection, trade_group_id: int) -> bool:
    """Whether there is such a trade group."""
    return bool(await connection.fetchval(QUERIES.trade_group_exists, trade_group_id))


async def trade_groups_after(connection: Connection, after_id: int, limit: int) -> list[TradeGroup]:
    """Return a page of trade groups in the order of their ids."""
    return [
        TradeGroup(id=record["id"], name=record["name"], created_at_us=to_us(record["created_at"]))
        for record in await connection.fetch(QUERIES.trade_groups_after, after_id, limit)
    ]


async def insert_key(
    connection: Connection,
    key_id: int,
    grant: KeyGrant,
    secret_sha256: bytes,
    created_at_us: int,
    maker_key_id: int | None,
) -> None:
    """Store a new key and which key made it, of its secret only the hash."""
    await connection.execute(
        QUERIES.insert_key,
        key_id,
        grant.participant_id,
        grant.label,
        secret_sha256,
        sorted(grant.scopes),
        grant.allowed_networks,
        from_us(created_at_us),
        None if grant.expires_at_us is None else from_us(grant.expires_at_us),
        maker_key_id,
    )


async def key_by_id(connection: Connection, key_id: int) -> Key | None:
    """Return what may be shown of a key, or None."""
    record = await connection.fetchrow(QUERIES.key_by_id, key_id)
    return None if record is None else _key(record)


async def key_root(connection: Connection, key_id: int) -> int:
    """Return the key that a key comes of in the end."""
    root_id: int = await connection.fetchval(QUERIES.key_root, key_id)
    return root_id


async def keys_after(connection: Connection, participant_id: int, after_id: int, limit: int) -> list[Key]:
    """Return a page of a participant's keys in the order of their ids."""
    return [
        _key(record) for record in await connection.fetch(QUERIES.keys_after, participant_id, after_id, limit)
    ]


async def revoke_key(connection: Connection, key_id: int, at_us: int) -> bool:
    """Revoke a key; return whether it was not revoked before."""
    return await connection.fetchval(QUERIES.revoke_key, key_id, from_us(at_us)) is not None


async def stored_key(connection: Connection, key_id: int) -> StoredKey | None:
    """Return a key that is not revoked, with its participant, or None."""
    record = await connection.fetchrow(QUERIES.stored_key, key_id)
    if record is None:
        return None
    principal = Principal(
        key_id=record["id"],
        participant_id=record["participant_id"],
        kind=record["kind"],
        name=record["name"],
        trade_group_id=record["trade_group_id"],
        scopes=frozenset(map(Scope, record["scopes"])),
    )
    expires_at = record["expires_at"]
    return StoredKey(
        principal=principal,
        secret_sha256=bytes(record["secret_sha256"]),
        expires_at_us=None if expires_at is None else to_us(expires_at),
        allowed_networks=tuple(record["allowed_networks"]),
    )


async def lock_key_table(connection: Connection) -> None:
    """Keep others from making keys until the transaction ends."""
    await connection.execute(QUERIES.lock_key_table)


async def any_key_exists(connection: Connection) -> bool:
    """Whether any key was ever made."""
    return bool(await connection.fetchval(QUERIES.any_key_exists))
