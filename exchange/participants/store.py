"""The tables of participants, trade groups and keys: one typed function for each named query."""

from collections.abc import Collection, Sequence
from datetime import datetime

from exchange.kit.auth import NewKey, Principal, Scope, StoredKey
from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.names import name_key
from exchange.kit.queries import load_queries
from exchange.participants.models import (
    Key,
    KeyGrant,
    KeyUse,
    OpenSession,
    Ownership,
    Participant,
    ParticipantKind,
    SizeClass,
    StoredLogin,
    StoredSession,
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
    signing_public_key, address = record["signing_public_key"], record["last_used_from"]
    return Key(
        id=record["id"],
        participant_id=record["participant_id"],
        label=record["label"],
        scopes=frozenset(map(Scope, record["scopes"])),
        allowed_networks=tuple(record["allowed_networks"]),
        created_at_us=to_us(record["created_at"]),
        expires_at_us=_us(record["expires_at"]),
        revoked_at_us=_us(record["revoked_at"]),
        signing_public_key=None if signing_public_key is None else bytes(signing_public_key),
        algorithm=record["algorithm"],
        maker_id=record["maker_key_id"],
        successor_id=record["successor_key_id"],
        last_used_at_us=_us(record["last_used_at"]),
        last_used_from=None if address is None else str(address),
    )


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


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
        name_key(participant.name),
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


async def buyers_found(
    connection: Connection, text: str, buyer_id: int | None, let_in_after_us: int, after_id: int, limit: int
) -> list[Participant]:
    """Return a page of buyers by a part of their name, or by their id, in the order of their ids."""
    records = await connection.fetch(
        QUERIES.buyers_found, text, buyer_id, from_us(let_in_after_us), after_id, limit
    )
    return [_participant(record) for record in records]


async def insert_trade_group(connection: Connection, group: TradeGroup) -> None:
    """Store a new trade group."""
    await connection.execute(
        QUERIES.insert_trade_group, group.id, group.name, from_us(group.created_at_us), name_key(group.name)
    )


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
        grant.signing_public_key,
        grant.algorithm,
    )


async def key_by_id(connection: Connection, key_id: int) -> Key | None:
    """Return what may be shown of a key, or None."""
    record = await connection.fetchrow(QUERIES.key_by_id, key_id)
    return None if record is None else _key(record)


async def lock_key(connection: Connection, key_id: int) -> Key | None:
    """Return what may be shown of a key, or None, and let nobody change it until the transaction ends."""
    record = await connection.fetchrow(QUERIES.lock_key, key_id)
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


async def succeed_key(connection: Connection, key_id: int, successor_id: int, expires_at_us: int) -> None:
    """Put a key in the place of another, which ends at a time."""
    await connection.execute(QUERIES.succeed_key, key_id, successor_id, from_us(expires_at_us))


async def ended_keys(connection: Connection, key_ids: Collection[int], now_us: int) -> list[int]:
    """Return those of the keys that open nothing any more."""
    records = await connection.fetch(QUERIES.ended_keys, list(key_ids), from_us(now_us))
    return [record["id"] for record in records]


async def mark_keys_used(connection: Connection, uses: Sequence[KeyUse]) -> None:
    """Store when keys were last used, unless a later use is stored already."""
    await connection.execute(
        QUERIES.mark_keys_used,
        [use.key_id for use in uses],
        [from_us(use.at_us) for use in uses],
        [use.address for use in uses],
    )


async def stored_key(connection: Connection, key_id: int) -> StoredKey | None:
    """Return a key that is not revoked, with its participant, or None."""
    record = await connection.fetchrow(QUERIES.stored_key, key_id)
    if record is None:
        return None
    signing_public_key = record["signing_public_key"]
    return StoredKey(
        principal=_principal(record, signs_requests=signing_public_key is not None),
        secret_sha256=bytes(record["secret_sha256"]),
        expires_at_us=_us(record["expires_at"]),
        allowed_networks=tuple(record["allowed_networks"]),
        signing_public_key=None if signing_public_key is None else bytes(signing_public_key),
    )


def _principal(record: Record, *, signs_requests: bool = False, session_id: int | None = None) -> Principal:
    return Principal(
        key_id=record["id"],
        participant_id=record["participant_id"],
        kind=record["kind"],
        name=record["name"],
        trade_group_id=record["trade_group_id"],
        scopes=frozenset(map(Scope, record["scopes"])),
        signs_requests=signs_requests,
        session_id=session_id,
    )


async def insert_session(
    connection: Connection,
    session: NewKey,
    key_id: int,
    created_at_us: int,
    expires_at_us: int,
    *,
    address: str | None,
) -> None:
    """Store a new session that stands for a key, and from which address it was begun."""
    await connection.execute(
        QUERIES.insert_session,
        session.key_id,
        key_id,
        session.secret_sha256,
        from_us(created_at_us),
        from_us(expires_at_us),
        address,
    )


async def stored_session(connection: Connection, session_id: int) -> StoredSession | None:
    """Return a session that has not ended, with its key and its participant, or None."""
    record = await connection.fetchrow(QUERIES.stored_session, session_id)
    if record is None:
        return None
    expires_at_us = to_us(record["expires_at"])
    key = StoredKey(
        principal=_principal(record, session_id=session_id),
        secret_sha256=bytes(record["secret_sha256"]),
        expires_at_us=expires_at_us,
        allowed_networks=tuple(record["allowed_networks"]),
    )
    return StoredSession(key, expires_at_us)


async def touch_session(
    connection: Connection, session_id: int, now_us: int, unused_since_us: int, *, address: str | None
) -> bool:
    """Note that a session is used from an address; False where it has ended, or was not used since a time."""
    found = await connection.fetchval(
        QUERIES.touch_session, session_id, from_us(now_us), from_us(unused_since_us), address
    )
    return found is not None


def _open_session(record: Record) -> OpenSession:
    address = record["last_used_from"]
    return OpenSession(
        id=record["id"],
        key_id=record["key_id"],
        key_label=record["label"],
        scopes=frozenset(map(Scope, record["scopes"])),
        created_at_us=to_us(record["created_at"]),
        last_used_at_us=to_us(record["last_used_at"]),
        last_used_from=None if address is None else str(address),
        expires_at_us=to_us(record["expires_at"]),
    )


async def open_sessions_before(
    connection: Connection,
    participant_id: int,
    now_us: int,
    unused_since_us: int,
    *,
    before_id: int,
    limit: int,
) -> list[OpenSession]:
    """Return a page of a participant's open sessions, the latest first."""
    records = await connection.fetch(
        QUERIES.open_sessions_before,
        participant_id,
        from_us(now_us),
        from_us(unused_since_us),
        before_id,
        limit,
    )
    return [_open_session(record) for record in records]


async def lock_open_sessions(
    connection: Connection,
    participant_id: int,
    now_us: int,
    unused_since_us: int,
    *,
    session_id: int | None = None,
    key_id: int | None = None,
) -> list[OpenSession]:
    """Return a participant's open sessions, or one or a key's of them, while others wait to change them."""
    records = await connection.fetch(
        QUERIES.lock_open_sessions,
        participant_id,
        from_us(now_us),
        from_us(unused_since_us),
        session_id,
        key_id,
    )
    return [_open_session(record) for record in records]


async def end_session(connection: Connection, session_id: int, at_us: int) -> bool:
    """End a session; return whether it had not ended before."""
    return await connection.fetchval(QUERIES.end_session, session_id, from_us(at_us)) is not None


async def ended_sessions(
    connection: Connection, session_ids: Collection[int], now_us: int, unused_since_us: int
) -> list[int]:
    """Return those of the sessions that open nothing any more, their keys apart."""
    records = await connection.fetch(
        QUERIES.ended_sessions, list(session_ids), from_us(now_us), from_us(unused_since_us)
    )
    return [record["id"] for record in records]


async def insert_login(
    connection: Connection, login: NewKey, key_id: int, created_at_us: int, expires_at_us: int
) -> None:
    """Store a new login code, whose session will stand for a key."""
    await connection.execute(
        QUERIES.insert_login,
        login.key_id,
        key_id,
        login.secret_sha256,
        from_us(created_at_us),
        from_us(expires_at_us),
    )


async def login_by_id(connection: Connection, login_id: int, now_us: int) -> StoredLogin | None:
    """Return a login code that is still good, or None."""
    record = await connection.fetchrow(QUERIES.login_by_id, login_id, from_us(now_us))
    return None if record is None else StoredLogin(record["key_id"], bytes(record["secret_sha256"]))


async def use_login(connection: Connection, login_id: int, at_us: int) -> bool:
    """Use a login code; False where it was used before, or has expired."""
    return await connection.fetchval(QUERIES.use_login, login_id, from_us(at_us)) is not None


async def drop_sessions(connection: Connection, before_us: int, limit: int) -> int:
    """Drop sessions that expired before a time, so many at most; return how many there were."""
    status = await connection.execute(QUERIES.drop_sessions, from_us(before_us), limit)
    return int(status.rpartition(" ")[2])


async def drop_logins(connection: Connection, before_us: int, limit: int) -> int:
    """Drop login codes that expired before a time, so many at most; return how many there were."""
    status = await connection.execute(QUERIES.drop_logins, from_us(before_us), limit)
    return int(status.rpartition(" ")[2])


async def lock_key_table(connection: Connection) -> None:
    """Keep others from making keys until the transaction ends."""
    await connection.execute(QUERIES.lock_key_table)


async def any_key_exists(connection: Connection) -> bool:
    """Whether any key was ever made."""
    return bool(await connection.fetchval(QUERIES.any_key_exists))
