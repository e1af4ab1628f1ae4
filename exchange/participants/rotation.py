"""Rotation: a new key in the place of another, which goes on working for a while.

The new key can do what the old one could, under the same label, and signs where that one did. Who changes to
it has the time of the overlap; then the old key has expired.

Invariants:
- a key has one successor at a time. It can be rotated again only where that one was revoked (its text may
  have been lost on the way), and then never lives longer than it did after the first time;
- nobody gains by it what `create_key` would not give: the new key's scopes, networks and signing are within
  those of the key that asks, and so is its time;
- the new key is of the hand that asks for it. So a participant's key rotates keys of its own hand only
  (`service.key_root`): a company whose grants need two hands must not find one of them in the other.
"""

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict, Faults, Forbidden
from exchange.kit.ids import encode_id
from exchange.participants import rules, service, store
from exchange.participants.models import Key, KeyGrant, Participant, ParticipantKind


async def rotate_key(
    connection: Connection,
    actor: Principal | None,
    key_id: int,
    *,
    overlap_s: int,
    signing_public_key: bytes | None,
    now_us: int,
) -> tuple[Key, str]:
    """Make a key in the place of another, which ends after `overlap_s`; return it with its whole text.

    Without `signing_public_key` it signs as the old one does. Raises `NotFound` and `Forbidden` as
    `revoke_key`, and `Conflict` (key_ended) where the old key has ended or has a successor. `actor` is None
    for the exchange itself.
    """
    key = await service.get_key(connection, actor, key_id)
    if actor is not None:
        service.must_cover(actor, key)
    key = await store.lock_key(connection, key_id) or key
    wall_us = wall_now_us()
    successor = None if key.successor_id is None else await store.key_by_id(connection, key.successor_id)
    _must_be_live(key, successor, wall_us)
    owner = await service.get_participant(connection, key.participant_id)
    actor_key = await _actor_key(connection, actor, key, owner)
    grant = KeyGrant(
        participant_id=key.participant_id,
        label=key.label,
        scopes=key.scopes,
        allowed_networks=key.allowed_networks,
        expires_at_us=rules.successor_expires_at_us(key, successor, actor_key, wall_us),
        signing_public_key=signing_public_key or key.signing_public_key,
        algorithm=key.algorithm,
    )
    if actor_key is not None and actor_key.id != key.id:
        faults = Faults()
        rules.check_grant(faults, grant, owner.kind, actor_key, wall_us)
        if faults:
            raise Forbidden(detail=f"a key may not rotate one that goes beyond it: {faults.faults[0].detail}")
    is_own = actor is not None and actor.participant_id == key.participant_id
    maker_key_id = actor.key_id if actor is not None and is_own else key.id
    made, text = await service.issue_key(connection, actor, owner, grant, now_us, maker_key_id=maker_key_id)
    ends_at_us = wall_us + overlap_s * US_PER_SECOND
    if key.expires_at_us is not None:
        ends_at_us = min(ends_at_us, key.expires_at_us)
    await store.succeed_key(connection, key.id, made.id, ends_at_us)
    await service.record_step(
        connection,
        "KROT",
        actor,
        now_us,
        participant_id=owner.id,
        trade_group_id=owner.trade_group_id,
        subject_id=key.id,
        detail={"successor_id": encode_id("key", made.id), "overlap_s": overlap_s},
    )
    return made, text


def _must_be_live(key: Key, successor: Key | None, wall_us: int) -> None:
    if key.has_ended(wall_us):
        raise Conflict("key_ended", "the key has expired or was revoked: make a new one")
    if successor is not None and successor.revoked_at_us is None:
        public_id = encode_id("key", successor.id)
        detail = f"the key was rotated: its successor is {public_id}; revoke that one to rotate this again"
        raise Conflict("key_ended", detail)


async def _actor_key(
    connection: Connection, actor: Principal | None, key: Key, owner: Participant
) -> Key | None:
    """Return the key that bounds what may be made, None where nothing does; raises `Forbidden`."""
    if actor is None:
        return None
    is_own = actor.participant_id == owner.id
    if not is_own and owner.kind is not ParticipantKind.OPERATOR:
        return None
    if is_own and actor.key_id != key.id:
        own_root = await store.key_root(connection, actor.key_id)
        if own_root != await store.key_root(connection, key.id):
            raise Forbidden(detail="a key may rotate itself, and keys that come of the same one as it does")
    return await store.key_by_id(connection, actor.key_id)
