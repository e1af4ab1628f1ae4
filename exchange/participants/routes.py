"""Participants, trade groups and keys over HTTP.

Needs `database` (kit.database.Database), `clock` (kit.clock.Clock) and `authenticator`
(kit.auth.Authenticator) in the application's state.
"""

from http import HTTPStatus

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import Scope
from exchange.kit.clock import Clock, format_rfc3339
from exchange.kit.database import Connection, Database
from exchange.kit.errors import NotFound
from exchange.kit.fields import ParticipantIdText, time_us, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_described import refuses
from exchange.kit.http_once import once
from exchange.kit.http_pages import (
    LIMIT_DEFAULT,
    CursorText,
    Limit,
    Page,
    PageQuery,
    Part,
    page_of,
    place_in,
)
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import decode_id, encode_id
from exchange.kit.signing_keys import public_text
from exchange.participants import rotation, rules, service
from exchange.participants.models import (
    IssuedKey,
    Key,
    KeyGrant,
    KeyView,
    NewKey,
    NewParticipant,
    NewTradeGroup,
    Participant,
    ParticipantKind,
    ParticipantView,
    RotateKey,
    TradeGroup,
    TradeGroupView,
)


class ListParticipants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of the list of participants."""

    kind: ParticipantKind | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class ListKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of the list of keys; `participant_id` is for operators."""

    participant_id: ParticipantIdText | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


def participant_view(participant: Participant) -> ParticipantView:
    """Return a participant as the API shows it."""
    group_id = participant.trade_group_id
    return ParticipantView(
        id=encode_id("par", participant.id),
        kind=participant.kind,
        name=participant.name,
        trade_group_id=None if group_id is None else encode_id("grp", group_id),
        region=participant.region,
        ownership=participant.ownership,
        size_class=participant.size_class,
        founded_on=participant.founded_on,
        sectors=participant.sectors,
        created_at=format_rfc3339(participant.created_at_us),
    )


def _group_view(group: TradeGroup) -> TradeGroupView:
    created_at = format_rfc3339(group.created_at_us)
    return TradeGroupView(id=encode_id("grp", group.id), name=group.name, created_at=created_at)


def _key_view(key: Key) -> KeyView:
    return KeyView(
        id=encode_id("key", key.id),
        participant_id=encode_id("par", key.participant_id),
        label=key.label,
        scopes=sorted(key.scopes),
        allowed_networks=[str(network) for network in key.allowed_networks],
        signing_public_key=None if key.signing_public_key is None else public_text(key.signing_public_key),
        algorithm=key.algorithm,
        created_at=format_rfc3339(key.created_at_us),
        expires_at=_time(key.expires_at_us),
        revoked_at=_time(key.revoked_at_us),
        maker_id=_public_id(key.maker_id),
        successor_id=_public_id(key.successor_id),
        last_used_at=_time(key.last_used_at_us),
        last_used_from=key.last_used_from,
    )


def _public_id(key_id: int | None) -> str | None:
    return None if key_id is None else encode_id("key", key_id)


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else format_rfc3339(at_us)


def _issued(key: Key, text: str) -> IssuedKey:
    return IssuedKey(**msgspec.structs.asdict(_key_view(key)), secret=text)


def _without_secret(issued: IssuedKey) -> IssuedKey:
    return msgspec.structs.replace(issued, secret=None)


class ParticipantsController(Controller):
    """Who takes part in the exchange."""

    path = "/v1/participants"
    tags = ("Participants",)
    opt = requires(Scope.OPERATE)

    @post(
        "",
        opt=requires(Scope.OPERATE, keep_faults=True, once=True),
        status_code=201,
        summary="Register a participant",
    )
    async def create(self, request: ApiRequest, data: JSONBody[NewParticipant]) -> Response[ParticipantView]:
        """Register a provider, buyer, issuer, regulator or operator."""
        clock: Clock = request.app.state.clock

        async def work(connection: Connection) -> ParticipantView:
            actor, faults = request.principal, request.faults
            return participant_view(
                await service.create_participant(connection, actor, data, clock.now_us(), faults)
            )

        return await once(request, work)

    @get("", opt=requires(Scope.OPERATE, query=ListParticipants), summary="List participants")
    async def list_participants(self, request: ApiRequest) -> Page[ParticipantView]:
        """List participants, oldest first, but not the exchange itself, which takes part in nothing."""
        query, after_id = request.listed(ListParticipants, "participants", otherwise=0)
        database: Database = request.app.state.database
        async with database.connection() as connection:
            found = await service.list_participants(
                connection, kind=query.kind, after_id=after_id, limit=query.limit + 1
            )
        return page_of("participants", found, query.limit, lambda each: (each.id,), participant_view)

    @get("/me", opt=requires(*Scope), summary="Who am I")
    async def me(self, request: ApiRequest) -> ParticipantView:
        """Return the participant behind the key."""
        database: Database = request.app.state.database
        async with database.connection() as connection:
            return participant_view(
                await service.get_participant(connection, request.principal.participant_id)
            )

    @get("/{participant_id:str}", opt=requires(*Scope), summary="Read a participant")
    async def get_participant(self, request: ApiRequest, participant_id: FromPath[str]) -> ParticipantView:
        """Return a participant: operators any, others themselves."""
        value = decode_id("par", participant_id)
        principal = request.principal
        if value is None or (Scope.OPERATE not in principal.scopes and value != principal.participant_id):
            raise NotFound(detail="there is no such participant")
        database: Database = request.app.state.database
        async with database.connection() as connection:
            return participant_view(await service.get_participant(connection, value))


class TradeGroupsController(Controller):
    """Participants under one control, whose orders never trade with each other."""

    path = "/v1/trade-groups"
    tags = ("Participants",)
    opt = requires(Scope.OPERATE)

    @post("", opt=requires(Scope.OPERATE, once=True), status_code=201, summary="Register a trade group")
    async def create(self, request: ApiRequest, data: JSONBody[NewTradeGroup]) -> Response[TradeGroupView]:
        """Register a trade group, to which participants can then belong."""
        clock: Clock = request.app.state.clock

        async def work(connection: Connection) -> TradeGroupView:
            actor = request.principal
            return _group_view(await service.create_trade_group(connection, actor, data.name, clock.now_us()))

        return await once(request, work)

    @get("", opt=requires(Scope.OPERATE, query=PageQuery), summary="List trade groups")
    async def list_trade_groups(self, request: ApiRequest) -> Page[TradeGroupView]:
        """List trade groups, oldest first."""
        query, after_id = request.listed(PageQuery, "trade_groups", otherwise=0)
        database: Database = request.app.state.database
        async with database.connection() as connection:
            found = await service.list_trade_groups(connection, after_id=after_id, limit=query.limit + 1)
        return page_of("trade_groups", found, query.limit, lambda group: (group.id,), _group_view)


class KeysController(Controller):
    """API keys: shown once, stored as a hash."""

    path = "/v1/keys"
    tags = ("Keys",)
    opt = requires(*Scope)

    @post(
        "",
        opt=requires(*Scope, keep_faults=True, once=True) | refuses(HTTPStatus.NOT_FOUND),
        status_code=201,
        summary="Make a key",
    )
    async def create(self, request: ApiRequest, data: JSONBody[NewKey]) -> Response[IssuedKey]:
        """Make a key; its `secret` stands in this answer only, and is null when the request is replayed.

        Operators make keys for any participant, others for their own, never wider than the key they use: in
        scopes, expiry and networks. With `signing_public_key` each request with the key must be signed by the
        private one; docs/keys.md tells how.
        """
        clock: Clock = request.app.state.clock
        grant = _read_grant(request, data)

        async def work(connection: Connection) -> IssuedKey:
            key, text = await service.create_key(
                connection, request.principal, grant, clock.now_us(), request.faults
            )
            return _issued(key, text)

        return await once(request, work, remember=_without_secret)

    @get("", opt=requires(*Scope, query=ListKeys) | refuses(HTTPStatus.NOT_FOUND), summary="List keys")
    async def list_keys(self, request: ApiRequest) -> Page[KeyView]:
        """List the caller's keys, or for an operator any participant's; oldest first, revoked ones too."""
        query, faults = request.query_with_holes(ListKeys)
        after_id = place_in("keys", query.cursor, Part.ID, otherwise=0, faults=faults)
        owner_id = typed_id(faults, "?participant_id", "par", query.participant_id)
        faults.raise_if_any()
        principal = request.principal
        owner_id = principal.participant_id if owner_id is None else owner_id
        if Scope.OPERATE not in principal.scopes and owner_id != principal.participant_id:
            raise NotFound(detail="there is no such participant")
        database: Database = request.app.state.database
        async with database.connection() as connection:
            found = await service.list_keys(connection, owner_id, after_id=after_id, limit=query.limit + 1)
        return page_of("keys", found, query.limit, lambda key: (key.id,), _key_view)

    @get("/{key_id:str}", summary="Read a key")
    async def get_key(self, request: ApiRequest, key_id: FromPath[str]) -> KeyView:
        """Return what may be shown of a key."""
        database: Database = request.app.state.database
        async with database.connection() as connection:
            return _key_view(await service.get_key(connection, request.principal, _key_id(key_id)))

    @delete("/{key_id:str}", summary="Revoke a key")
    async def revoke(self, request: ApiRequest, key_id: FromPath[str]) -> None:
        """Revoke a key for good, in every process: what it has open is closed too."""
        value = _key_id(key_id)
        database: Database = request.app.state.database
        clock: Clock = request.app.state.clock
        async with database.transaction() as connection:
            await service.revoke_key(connection, request.principal, value, clock.now_us())
        request.app.state.authenticator.forget(value)

    @post(
        "/{key_id:str}/rotate",
        opt=requires(*Scope, keep_faults=True, once=True),
        status_code=201,
        summary="Put a key in the place of another",
    )
    async def rotate(
        self, request: ApiRequest, key_id: FromPath[str], data: JSONBody[RotateKey]
    ) -> Response[IssuedKey]:
        """Make a key that can do what this one can; this one ends after `overlap_s`.

        The new key's `secret` stands in this answer only. It lives as long from now on as this one did from
        its making, but no longer than the key that asks; a key that rotates itself keeps its `expires_at`.
        Operators rotate any key, others those that come of the same key as their own.
        """
        value = _key_id(key_id)
        clock: Clock = request.app.state.clock
        faults = request.faults
        public_key = rules.read_signing_key(faults, "/signing_public_key", data.signing_public_key)
        faults.raise_if_any()

        async def work(connection: Connection) -> IssuedKey:
            key, text = await rotation.rotate_key(
                connection,
                request.principal,
                value,
                overlap_s=data.overlap_s,
                signing_public_key=public_key,
                now_us=clock.now_us(),
            )
            return _issued(key, text)

        answer = await once(request, work, remember=_without_secret)
        request.app.state.authenticator.forget(value)
        return answer


def _key_id(text: str) -> int:
    return id_in_path("key", text, "there is no such key")


def _read_grant(request: ApiRequest, data: NewKey) -> KeyGrant:
    """Read what is well-formed of a request for a key; what is not is in the request's faults already."""
    faults = request.faults
    owner_id = typed_id(faults, "/participant_id", "par", data.participant_id)
    networks = rules.read_networks(faults, "/allowed_networks", rules.present(data.allowed_networks) or ())
    expires_at_us = time_us(faults, "/expires_at", data.expires_at)
    public_key = rules.read_signing_key(faults, "/signing_public_key", data.signing_public_key)
    if owner_id is None and data.participant_id is not None:
        faults.raise_if_any()  # what a key may do depends on whose it is
    return KeyGrant(
        participant_id=request.principal.participant_id if owner_id is None else owner_id,
        label=rules.present(data.label) or "",
        scopes=frozenset(rules.present(data.scopes) or ()),
        allowed_networks=networks,
        expires_at_us=expires_at_us,
        signing_public_key=public_key,
        algorithm=rules.present(data.algorithm),
    )
