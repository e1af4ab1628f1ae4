"""Participants, trade groups and keys: the use cases. All run inside the caller's transaction.

Every change writes its audit record: PNEW (participant), GNEW (trade group), KNEW (key made), KREV (key
revoked), KROT (key rotated, see `rotation`). Audit records carry venue time, keys themselves wall-clock time.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal, Scope, StoredKey, new_key
from exchange.kit.clock import US_PER_DAY, wall_now_us
from exchange.kit.database import Connection, UniqueViolation
from exchange.kit.errors import Conflict, Faults, Forbidden, NotFound
from exchange.kit.fields import typed_id
from exchange.kit.ids import decode_id, new_id
from exchange.kit.names import check_name
from exchange.kit.secret_files import write_secret
from exchange.participants import rules, store
from exchange.participants.models import (
    Key,
    KeyGrant,
    KeyUse,
    NewParticipant,
    Participant,
    ParticipantKind,
    TradeGroup,
)

FIRST_OPERATOR_NAME = "operator"


async def create_participant(
    connection: Connection,
    actor: Principal | None,
    new: NewParticipant,
    now_us: int,
    faults: Faults | None = None,
) -> Participant:
    """Register a participant; `actor` is None for the exchange itself (its seed).

    `faults` may hold what was wrong with the request already; everything wrong is raised together as
    `InvalidInput`. Raises `Conflict` (already_exists) when the name, or one that looks like it, is taken.
    """
    faults = Faults() if faults is None else faults
    check_name(faults, "/name", new.name)
    rules.check_facts(faults, new)
    founded_on = rules.read_date(faults, "/founded_on", new.founded_on, now_us)
    trade_group_id = await _existing_group(connection, faults, new)
    faults.raise_if_any()
    participant = Participant(
        id=new_id(),
        kind=new.kind,
        name=new.name,
        trade_group_id=trade_group_id,
        region=new.region,
        ownership=new.ownership,
        size_class=new.size_class,
        founded_on=founded_on,
        sectors=new.sectors,
        created_at_us=now_us,
    )
    try:
        await store.insert_participant(connection, participant)
    except UniqueViolation as error:
        rule = "a participant of this name, or of one that looks like it, exists already"
        raise Conflict("already_exists", rule) from error
    await record_step(
        connection,
        "PNEW",
        actor,
        now_us,
        participant_id=participant.id,
        trade_group_id=trade_group_id,
        # Without its name: the record is kept for ever, and a name may be a person's.
        detail={
            "kind": participant.kind,
            "region": participant.region,
            "ownership": participant.ownership,
            "size_class": participant.size_class,
            "founded_on": participant.founded_on,
            "sectors": participant.sectors,
        },
    )
    return participant


async def _existing_group(connection: Connection, faults: Faults, new: NewParticipant) -> int | None:
    group_id = typed_id(faults, "/trade_group_id", "grp", new.trade_group_id)
    if group_id is not None and not await store.trade_group_exists(connection, group_id):
        faults.add("/trade_group_id", "unknown_reference", "is not a trade group", new.trade_group_id)
    return group_id


async def find_participant(connection: Connection, participant_id: int) -> Participant | None:
    """Return a participant, or None."""
    return await store.participant_by_id(connection, participant_id)


async def get_participant(connection: Connection, participant_id: int) -> Participant:
    """Return a participant, or raise `NotFound`."""
    participant = await store.participant_by_id(connection, participant_id)
    if participant is None:
        raise NotFound(detail="there is no such participant")
    return participant


async def participants_by_ids(
    connection: Connection, participant_ids: Collection[int]
) -> dict[int, Participant]:
    """Return those of the participants that exist, by id."""
    return await store.participants_by_ids(connection, participant_ids)


async def list_participants(
    connection: Connection, *, kind: ParticipantKind | None = None, after_id: int = 0, limit: int
) -> list[Participant]:
    """Return participants but the exchange itself, all kinds or one, by their ids, after one."""
    return await store.participants_after(connection, after_id, kind, limit)


async def find_buyers(
    connection: Connection, text: str, *, after_id: int = 0, limit: int
) -> list[Participant]:
    """Return active buyers by a part of their name, in any case, or by their id, in the order of their ids.

    A buyer is active once it has been let in: it has a key that was not revoked, and that has not expired
    longer than `rules.ACTIVE_DAYS` ago.
    """
    let_in_after_us = wall_now_us() - rules.ACTIVE_DAYS * US_PER_DAY
    return await store.buyers_found(
        connection, text, decode_id("par", text), let_in_after_us, after_id, limit
    )


async def create_trade_group(
    connection: Connection, actor: Principal | None, name: str, now_us: int
) -> TradeGroup:
    """Register a trade group.

    Raises `InvalidInput` for a name that cannot be seen, and `Conflict` (already_exists) when it, or one that
    looks like it, is taken.
    """
    faults = Faults()
    check_name(faults, "/name", name)
    faults.raise_if_any()
    group = TradeGroup(id=new_id(), name=name, created_at_us=now_us)
    try:
        await store.insert_trade_group(connection, group)
    except UniqueViolation as error:
        rule = "a trade group of this name, or of one that looks like it, exists already"
        raise Conflict("already_exists", rule) from error
    await record_step(connection, "GNEW", actor, now_us, trade_group_id=group.id)
    return group


async def list_trade_groups(connection: Connection, *, after_id: int = 0, limit: int) -> list[TradeGroup]:
    """Return trade groups in the order of their ids, after an id."""
    return await store.trade_groups_after(connection, after_id, limit)


async def create_key(
    connection: Connection,
    actor: Principal | None,
    grant: KeyGrant,
    now_us: int,
    faults: Faults | None = None,
) -> tuple[Key, str]:
    """Make a key; return it with its whole text, which is never to be had again.

    Operators make keys for anyone, others for themselves. A key for its maker's own participant, or for any
    operator, is never wider than the key that makes it; nobody makes one for the exchange itself. Raises
    `InvalidInput` with everything wrong (also what `faults` holds), and `NotFound` for a participant that the
    actor may not see. `actor` is None for the exchange itself.
    """
    faults = Faults() if faults is None else faults
    if (
        actor is not None
        and Scope.OPERATE not in actor.scopes
        and grant.participant_id != actor.participant_id
    ):
        raise NotFound(detail="there is no such participant")
    owner = await get_participant(connection, grant.participant_id)
    maker_key = None
    if actor is not None and (owner.id == actor.participant_id or owner.kind is ParticipantKind.OPERATOR):
        maker_key = await store.key_by_id(connection, actor.key_id)
    rules.check_grant(faults, grant, owner.kind, maker_key, wall_now_us())
    faults.raise_if_any()
    maker_key_id = None if actor is None else actor.key_id
    return await issue_key(connection, actor, owner, grant, now_us, maker_key_id=maker_key_id)


async def issue_key(
    connection: Connection,
    actor: Principal | None,
    owner: Participant,
    grant: KeyGrant,
    now_us: int,
    *,
    maker_key_id: int | None,
) -> tuple[Key, str]:
    """Make a key that was found to be allowed; return it with its whole text."""
    made = new_key()
    await store.insert_key(connection, made.key_id, grant, made.secret_sha256, wall_now_us(), maker_key_id)
    await record_step(
        connection,
        "KNEW",
        actor,
        now_us,
        participant_id=owner.id,
        trade_group_id=owner.trade_group_id,
        subject_id=made.key_id,
        detail={"scopes": sorted(grant.scopes)},  # without its label, which may be a name
    )
    key = await store.key_by_id(connection, made.key_id)
    if key is None:
        raise LookupError(f"key {made.key_id} vanished in its own transaction")
    return key, made.text


async def list_keys(
    connection: Connection, participant_id: int, *, after_id: int = 0, limit: int
) -> list[Key]:
    """Return a participant's keys in the order of their ids, after an id; revoked ones too."""
    return await store.keys_after(connection, participant_id, after_id, limit)


async def get_key(connection: Connection, actor: Principal | None, key_id: int) -> Key:
    """Return a key, or raise `NotFound`: others' keys are for operators and the exchange itself only."""
    key = await store.key_by_id(connection, key_id)
    sees_all = actor is None or Scope.OPERATE in actor.scopes
    if key is None or (not sees_all and actor is not None and key.participant_id != actor.participant_id):
        raise NotFound(detail="there is no such key")
    return key


async def key_root(connection: Connection, key_id: int) -> int:
    """Return the key that a key comes of in the end: its maker, its maker's maker and so on.

    Only makers of the same participant are followed, so a key that an operator or the command line made is
    its own root. Keys with one root count as one hand where two are asked for.
    """
    return await store.key_root(connection, key_id)


async def revoke_key(connection: Connection, actor: Principal, key_id: int, now_us: int) -> None:
    """Revoke a key for good; revoking it again changes nothing.

    A key that does not have all the scopes of another may not revoke it (`Forbidden`): whoever finds a key
    that can only read must not be able to stop its owner's trading. Operators may revoke any key.
    """
    key = await get_key(connection, actor, key_id)
    must_cover(actor, key)
    if await store.revoke_key(connection, key_id, wall_now_us()):
        await record_step(
            connection, "KREV", actor, now_us, participant_id=key.participant_id, subject_id=key_id
        )


def covers(actor: Principal, scopes: frozenset[Scope]) -> bool:
    """Whether the actor operates, or has all the scopes."""
    return Scope.OPERATE in actor.scopes or scopes <= actor.scopes


def must_cover(actor: Principal, key: Key) -> None:
    """Raise `Forbidden` unless the actor operates, or has all the scopes of the key."""
    if not covers(actor, key.scopes):
        raise Forbidden(detail="a key may not revoke or rotate one that has scopes it lacks")


async def ended_keys(connection: Connection, key_ids: Collection[int]) -> list[int]:
    """Return those of the keys that open nothing any more: revoked or expired."""
    return await store.ended_keys(connection, key_ids, wall_now_us())


async def mark_keys_used(connection: Connection, uses: Sequence[KeyUse]) -> None:
    """Store when keys were last used, unless a later use is stored already."""
    await store.mark_keys_used(connection, uses)


async def load_stored_key(connection: Connection, key_id: int) -> StoredKey | None:
    """Return what the door needs to know of a key; None when it is unknown or revoked."""
    return await store.stored_key(connection, key_id)


async def first_operator_key(connection: Connection, path: Path) -> str | None:
    """Make the first operator and its key where no key exists yet; return the key's text, otherwise None.

    The key is in the file `path`, readable by its owner only, before the transaction can commit. A file of
    that name left by a start that never committed, or by another database, is kept beside it.
    """
    await store.lock_key_table(connection)
    if await store.any_key_exists(connection):
        return None
    now_us = wall_now_us()
    new = NewParticipant(kind=ParticipantKind.OPERATOR, name=FIRST_OPERATOR_NAME)
    operator = await create_participant(connection, None, new, now_us)
    grant = KeyGrant(participant_id=operator.id, label="first operator key", scopes=frozenset(Scope))
    key, text = await create_key(connection, None, grant, now_us)
    write_secret(path, f"{text}\n", keep_as=f"{path.name}.before-{key.id}")
    return text


async def record_step(
    connection: Connection,
    code: str,
    actor: Principal | None,
    now_us: int,
    *,
    participant_id: int | None = None,
    trade_group_id: int | None = None,
    subject_id: int | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Write what was done to a participant, a trade group or a key (`subject_id`) to the audit trail."""
    record = AuditRecord(
        code=code,
        event_at_us=now_us,
        actor_participant_id=None if actor is None else actor.participant_id,
        key_id=None if actor is None else actor.key_id,
        participant_id=participant_id,
        trade_group_id=trade_group_id,
        subject_id=subject_id,
        detail=detail or {},
    )
    await insert_audit_records(connection, [record])
