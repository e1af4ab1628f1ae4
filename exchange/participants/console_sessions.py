"""Sessions of the console, and the logins that operators issue: the use cases, in the caller's transaction.

A session stands for a key: what the key may do, from where and how long, its session may; in the journal and
the audit trail stands the key. A login that an operator issues makes a key of its own, whose secret nobody
has, and a code; who sends the code first gets a session of that key.

Audit records: LNEW (login issued, beside the KNEW of its key), SNEW (session begun), SEND (session ended by
its owner, or by another key of its participant); `subject_id` is the key that the session stands for.

Invariants:
- of cookies and codes only hashes are stored;
- a code makes one session, however many send it at once: using it is one statement's update of its row;
- a key that signs its requests gets no session, which could sign nothing;
- no session outlives its key, its lifetime, or what it may stay unused.
"""

from collections.abc import Collection
from typing import Final

from exchange.kit.auth import (
    LOGIN_SCHEME,
    SESSION_SCHEME,
    Principal,
    Scope,
    is_secret_of,
    is_within,
    new_key,
    split_key,
)
from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.database import Connection
from exchange.kit.errors import Faults, Forbidden, NotFound, Unauthenticated
from exchange.kit.ids import ID_MAX
from exchange.participants import rules, service, store
from exchange.participants.models import (
    Key,
    KeyGrant,
    OpenSession,
    ParticipantKind,
    SessionsOf,
    StoredSession,
)

TOUCH_S: Final = 60
"""How often it is written down that a session is used; it may stay unused by so much longer."""
KEPT_S: Final = 24 * 3600
DROPPED_AT_ONCE: Final = 10_000
LOGIN_LABEL: Final = "console login"


async def issue_login(
    connection: Connection,
    actor: Principal | None,
    participant_id: int,
    scopes: frozenset[Scope],
    *,
    valid_s: int,
    lifetime_s: int,
    now_us: int,
    faults: Faults | None = None,
) -> tuple[Key, str, int]:
    """Issue a login; return its key, its code, and when the code ends.

    `lifetime_s` is how long its session may last. Raises as `service.create_key`, and `Forbidden`
    (key_signs_requests) where a key that signs would let an operator in. `actor` is None for the exchange
    itself.
    """
    wall_us = wall_now_us()
    code_ends_at_us = wall_us + valid_s * US_PER_SECOND
    ends_at_us = code_ends_at_us + lifetime_s * US_PER_SECOND
    maker_key = await _bounding_key(connection, actor, participant_id)
    if maker_key is not None and maker_key.signing_public_key is not None:
        detail = "a key that signs its requests issues no login of an operator: that one could not sign"
        raise Forbidden("key_signs_requests", detail)
    if maker_key is not None and maker_key.expires_at_us is not None:
        ends_at_us = min(ends_at_us, maker_key.expires_at_us)
        code_ends_at_us = min(code_ends_at_us, maker_key.expires_at_us)
    grant = KeyGrant(
        participant_id=participant_id,
        label=LOGIN_LABEL,
        scopes=scopes,
        allowed_networks=() if maker_key is None else maker_key.allowed_networks,
        expires_at_us=ends_at_us,
    )
    # The key's own text is forgotten here: it opens sessions only.
    key, _ = await service.create_key(connection, actor, grant, now_us, faults)
    made = new_key(LOGIN_SCHEME)
    await store.insert_login(connection, made, key.id, wall_us, code_ends_at_us)
    await service.record_step(
        connection,
        "LNEW",
        actor,
        now_us,
        participant_id=participant_id,
        subject_id=key.id,
        detail={"scopes": sorted(scopes), "valid_s": valid_s},
    )
    return key, made.text, code_ends_at_us


def login_url(origin: str, code: str) -> str:
    """Return the address that logs in; the code is behind the `#`, which browsers send to nobody."""
    return f"{origin}/console/login#code={code}"


async def _bounding_key(connection: Connection, actor: Principal | None, participant_id: int) -> Key | None:
    """Return the key that `service.create_key` bounds a new one by, None where nothing does."""
    if actor is None:
        return None
    owner = await service.get_participant(connection, participant_id)
    if owner.id != actor.participant_id and owner.kind is not ParticipantKind.OPERATOR:
        return None
    return await store.key_by_id(connection, actor.key_id)


async def redeem_login(connection: Connection, text: str, client_ip: str) -> Principal:
    """Use a login code, and return whom its session is for; raises `Unauthenticated` where it is not good."""
    parts = split_key(text, LOGIN_SCHEME)
    if parts is None:
        raise Unauthenticated
    login_id, secret = parts
    wall_us = wall_now_us()
    login = await store.login_by_id(connection, login_id, wall_us)
    if login is None or not is_secret_of(secret, login.secret_sha256):
        raise Unauthenticated
    key = await store.stored_key(connection, login.key_id)
    if key is None or (key.allowed_networks and not is_within(client_ip, key.allowed_networks)):
        raise Unauthenticated
    if not await store.use_login(connection, login_id, wall_us):
        raise Unauthenticated
    return key.principal


async def begin_session(
    connection: Connection, principal: Principal, *, client_ip: str, lifetime_s: int, now_us: int
) -> tuple[StoredSession, str]:
    """Begin a session that stands for a key; return it and what its cookie says.

    Raises `Forbidden` (key_signs_requests) for a key that signs, `Unauthenticated` for one that has ended.
    """
    if principal.signs_requests:
        detail = "a key that signs its requests opens no session: log in with another one"
        raise Forbidden("key_signs_requests", detail)
    made, wall_us = new_key(SESSION_SCHEME), wall_now_us()
    ends_at_us = wall_us + lifetime_s * US_PER_SECOND
    await store.insert_session(
        connection, made, principal.key_id, wall_us, ends_at_us, address=rules.address_of(client_ip)
    )
    session = await store.stored_session(connection, made.key_id)
    if session is None or session.expires_at_us <= wall_us:
        raise Unauthenticated
    await service.record_step(
        connection,
        "SNEW",
        principal,
        now_us,
        participant_id=principal.participant_id,
        subject_id=principal.key_id,
    )
    return session, made.text


async def find_session(connection: Connection, session_id: int) -> StoredSession | None:
    """Return a session that has not ended, or None."""
    return await store.stored_session(connection, session_id)


async def end_session(connection: Connection, principal: Principal, session_id: int, now_us: int) -> None:
    """End a session for good; ending it again changes nothing."""
    if await store.end_session(connection, session_id, wall_now_us()):
        await service.record_step(
            connection,
            "SEND",
            principal,
            now_us,
            participant_id=principal.participant_id,
            subject_id=principal.key_id,
        )


async def open_sessions(
    connection: Connection, principal: Principal, idle_s: int, *, before_id: int = ID_MAX, limit: int
) -> list[OpenSession]:
    """Return the open sessions of the caller's participant, the latest first, before an id."""
    wall_us = wall_now_us()
    return await store.open_sessions_before(
        connection,
        principal.participant_id,
        wall_us,
        _unused_since_us(wall_us, idle_s),
        before_id=before_id,
        limit=limit,
    )


async def end_one(
    connection: Connection, principal: Principal, session_id: int, idle_s: int, now_us: int
) -> None:
    """End one open session of the caller's participant for good, also the one that asks.

    Raises `NotFound` where there is none that is open, `Forbidden` where its key may do what the caller's may
    not: who finds a session that only reads must not throw out who trades.
    """
    wall_us = wall_now_us()
    found = await store.lock_open_sessions(
        connection,
        principal.participant_id,
        wall_us,
        _unused_since_us(wall_us, idle_s),
        session_id=session_id,
    )
    if not found:
        raise NotFound(detail="there is no such session, or it has ended")
    if not service.covers(principal, found[0].scopes):
        raise Forbidden(detail="a key may not end a session of one that has scopes it lacks")
    await _end(connection, principal, found, now_us)


async def end_others(
    connection: Connection, principal: Principal, idle_s: int, now_us: int, *, of: SessionsOf
) -> list[int]:
    """End the open sessions of the caller's key, or those of its participant's keys that it may end.

    Not the one that asks. Returns their ids.
    """
    wall_us = wall_now_us()
    found = [
        each
        for each in await store.lock_open_sessions(
            connection,
            principal.participant_id,
            wall_us,
            _unused_since_us(wall_us, idle_s),
            key_id=principal.key_id if of is SessionsOf.KEY else None,
        )
        if each.id != principal.session_id and service.covers(principal, each.scopes)
    ]
    await _end(connection, principal, found, now_us)
    return [each.id for each in found]


async def _end(
    connection: Connection, principal: Principal, sessions: Collection[OpenSession], now_us: int
) -> None:
    for each in sessions:
        await store.end_session(connection, each.id, wall_now_us())
        await service.record_step(
            connection,
            "SEND",
            principal,
            now_us,
            participant_id=principal.participant_id,
            subject_id=each.key_id,
        )


async def touch_session(connection: Connection, session_id: int, idle_s: int, client_ip: str | None) -> bool:
    """Note that a session is used, and from where; False where it has ended, or was unused for too long."""
    wall_us = wall_now_us()
    return await store.touch_session(
        connection,
        session_id,
        wall_us,
        _unused_since_us(wall_us, idle_s),
        address=rules.address_of(client_ip),
    )


async def ended_sessions(connection: Connection, session_ids: Collection[int], idle_s: int) -> list[int]:
    """Return those of the sessions that open nothing any more, their keys apart."""
    wall_us = wall_now_us()
    return await store.ended_sessions(connection, session_ids, wall_us, _unused_since_us(wall_us, idle_s))


def _unused_since_us(wall_us: int, idle_s: int) -> int:
    return wall_us - (idle_s + TOUCH_S) * US_PER_SECOND


async def drop_old(connection: Connection) -> bool:
    """Drop sessions and codes that ended long ago; return whether there may be more."""
    before_us = wall_now_us() - KEPT_S * US_PER_SECOND
    dropped = [
        await drop(connection, before_us, DROPPED_AT_ONCE)
        for drop in (store.drop_sessions, store.drop_logins)
    ]
    return DROPPED_AT_ONCE in dropped
