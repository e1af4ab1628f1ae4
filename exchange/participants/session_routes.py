"""Sessions of the console over HTTP: log in by a key or by a code, look, log out; and issue codes.

Needs `database`, `clock`, `limits` (`Limits`), `settings` (`Settings`), `authenticator` and `sessions`
(`kit.auth.Authenticator`) in the application's state.
"""

from http import HTTPStatus

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import Principal, Scope
from exchange.kit.auth_guard import GuardedAuthenticator
from exchange.kit.clock import US_PER_SECOND, Clock, format_rfc3339, wall_now_us
from exchange.kit.database import Connection, Database
from exchange.kit.errors import BadSignature, Faults, Forbidden, NotFound, Unauthenticated
from exchange.kit.http_auth import from_own_pages, public, requires
from exchange.kit.http_described import refuses
from exchange.kit.http_limits import Limits, address_of
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, page_of
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.http_session import cleared_cookie, origin_of, session_cookie
from exchange.kit.ids import ID_MAX, encode_id
from exchange.kit.settings import Settings
from exchange.participants import console_sessions, rules
from exchange.participants.models import (
    EndedSessions,
    IssuedLogin,
    NewLogin,
    NewSession,
    OpenSession,
    OpenSessionView,
    ParticipantKind,
    SessionsOf,
    SessionView,
    StoredSession,
)


class EndOthers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose sessions end beside the one that asks: those of its key, or of its whole participant."""

    of: SessionsOf = SessionsOf.KEY


class SessionController(Controller):
    """The session of the console, which its cookie names."""

    path = "/v1/session"
    tags = ("Sessions",)
    opt = requires(*Scope) | refuses(HTTPStatus.NOT_FOUND)

    @post(
        "",
        opt=public() | from_own_pages() | refuses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN),
        status_code=201,
        summary="Log in",
    )
    async def begin(self, request: ApiRequest, data: JSONBody[NewSession]) -> Response[SessionView]:
        """Begin a session that stands for a key, or for what an operator's login code gives, as a cookie.

        The session can do what its key can, as long as that can, until it is ended or unused for too long.
        Taken from the exchange's own pages only: `Sec-Fetch-Site: same-origin`, or without that header an
        `Origin` that is the exchange's own. A key that signs its requests opens none.
        """
        _check_which(data)
        state, address = request.app.state, address_of(request.scope)
        database: Database = state.database
        lifetime_s, now_us = _settings(request).session_lifetime_s, _clock(request).now_us()
        if data.key is not None:
            principal = await _holder(request, data.key)
            async with database.transaction() as connection:
                session, text = await console_sessions.begin_session(
                    connection, principal, client_ip=address, lifetime_s=lifetime_s, now_us=now_us
                )
        else:
            authenticator: GuardedAuthenticator = state.authenticator
            try:
                async with authenticator.tries.one(address), database.transaction() as connection:
                    principal = await console_sessions.redeem_login(
                        connection, data.login_code or "", address
                    )
                    session, text = await console_sessions.begin_session(
                        connection, principal, client_ip=address, lifetime_s=lifetime_s, now_us=now_us
                    )
            except Unauthenticated as refusal:
                authenticator.fail(refusal, address, None, is_counted=True)
                raise
        max_age_s = (session.expires_at_us - wall_now_us()) // US_PER_SECOND
        cookie = session_cookie(request.scope, text, max(1, max_age_s))
        return Response(_view(session), status_code=201, headers={"Set-Cookie": cookie})

    @get("", summary="Read the session")
    async def read(self, request: ApiRequest) -> SessionView:
        """Return the session that the request's cookie names; 404 where it came with a key instead."""
        session_id = _session_id(request.principal)
        database: Database = request.app.state.database
        async with database.connection() as connection:
            session = await console_sessions.find_session(connection, session_id)
        if session is None:
            raise Unauthenticated
        return _view(session)

    @delete("", summary="Log out")
    async def end(self, request: ApiRequest) -> Response[None]:
        """End the session for good, in every process: what it has open is closed too."""
        session_id = _session_id(request.principal)
        database: Database = request.app.state.database
        async with database.transaction() as connection:
            await console_sessions.end_session(
                connection, request.principal, session_id, _clock(request).now_us()
            )
        request.app.state.sessions.forget(session_id)
        return Response(None, status_code=204, headers={"Set-Cookie": cleared_cookie(request.scope)})


class SessionsController(Controller):
    """The open sessions of the console: a participant sees and ends its own."""

    path = "/v1/sessions"
    tags = ("Sessions",)
    opt = requires(*Scope)

    @get("", opt=requires(*Scope, query=PageQuery), summary="List open sessions")
    async def list_sessions(self, request: ApiRequest) -> Page[OpenSessionView]:
        """List the open sessions of the caller's participant, of all its keys, the latest first."""
        query, before_id = request.listed(PageQuery, "sessions", otherwise=ID_MAX)
        database: Database = request.app.state.database
        idle_s, principal = _settings(request).session_idle_s, request.principal
        async with database.connection() as connection:
            found = await console_sessions.open_sessions(
                connection, principal, idle_s, before_id=before_id, limit=query.limit + 1
            )

        def view(session: OpenSession) -> OpenSessionView:
            return _open_view(session, is_current=session.id == principal.session_id)

        return page_of("sessions", found, query.limit, lambda each: (each.id,), view)

    @delete("", opt=requires(*Scope, query=EndOthers), status_code=200, summary="End all other sessions")
    async def end_others(self, request: ApiRequest) -> EndedSessions:
        """End every open session of the caller's key but the one that asks, in every process.

        With `of=participant` those of all keys of the caller's participant, other people's too; those of keys
        with scopes that the caller lacks go on. Asked with a key, it spares none.
        """
        whose = request.query(EndOthers).of  # before the database is asked for anything
        database: Database = request.app.state.database
        async with database.transaction() as connection:
            ended = await console_sessions.end_others(
                connection,
                request.principal,
                _settings(request).session_idle_s,
                _clock(request).now_us(),
                of=whose,
            )
        for session_id in ended:
            request.app.state.sessions.forget(session_id)
        return EndedSessions(ended=len(ended))

    @delete(
        "/{session_id:str}",
        opt=requires(*Scope) | refuses(HTTPStatus.NOT_FOUND),
        summary="End a session",
    )
    async def end_one(self, request: ApiRequest, session_id: FromPath[str]) -> None:
        """End an open session of the caller's participant for good, in every process.

        What it has open is closed too. A key may not end the session of one that has scopes it lacks.
        """
        value = id_in_path("ses", session_id, "there is no such session, or it has ended")
        database: Database = request.app.state.database
        async with database.transaction() as connection:
            await console_sessions.end_one(
                connection,
                request.principal,
                value,
                _settings(request).session_idle_s,
                _clock(request).now_us(),
            )
        request.app.state.sessions.forget(value)


class LoginsController(Controller):
    """Codes that let a participant into the console, once."""

    path = "/v1/participants/{participant_id:str}/logins"
    tags = ("Sessions",)
    opt = requires(Scope.OPERATE)

    @post(
        "",
        opt=requires(Scope.OPERATE, keep_faults=True, once=True),
        status_code=201,
        summary="Issue a login",
    )
    async def issue(
        self, request: ApiRequest, participant_id: FromPath[str], data: JSONBody[NewLogin]
    ) -> Response[IssuedLogin]:
        """Issue a code that logs its bearer in as this participant, once, within `valid_s` seconds.

        It makes a key with these scopes, whose secret nobody has, for the session to stand for: it is listed
        and revoked as any key. The code stands in this answer only, and is null when the request is replayed.
        """
        value = id_in_path("par", participant_id, "there is no such participant")
        lifetime_s = _settings(request).session_lifetime_s

        async def work(connection: Connection) -> IssuedLogin:
            key, code, ends_at_us = await console_sessions.issue_login(
                connection,
                request.principal,
                value,
                frozenset(rules.present(data.scopes) or ()),
                valid_s=rules.present(data.valid_s) or 0,
                lifetime_s=lifetime_s,
                now_us=_clock(request).now_us(),
                faults=request.faults,
            )
            return IssuedLogin(
                participant_id=participant_id,
                key_id=encode_id("key", key.id),
                scopes=sorted(key.scopes),
                login_code=code,
                login_url=console_sessions.login_url(origin_of(request.scope), code),
                expires_at=format_rfc3339(ends_at_us),
            )

        return await once(request, work, remember=_without_code)


def _without_code(login: IssuedLogin) -> IssuedLogin:
    return msgspec.structs.replace(login, login_code=None, login_url=None)


def _check_which(data: NewSession) -> None:
    """Raise `InvalidInput` unless there is either a key or a code."""
    faults = Faults()
    if data.key is None and data.login_code is None:
        faults.add("/key", "required", "is required where there is no login_code")
    elif data.key is not None and data.login_code is not None:
        faults.add("/login_code", "not_applicable", "does not go with a key: send one of the two")
    faults.raise_if_any()


async def _holder(request: ApiRequest, key: str) -> Principal:
    """Return who holds a key; counts the request against the key's budgets, and failures as everywhere."""
    authenticator: GuardedAuthenticator = request.app.state.authenticator
    limits: Limits = request.app.state.limits
    try:
        principal = await authenticator.open(key, address_of(request.scope))
    except BadSignature as refusal:
        # Only who has the key's secret comes here: nothing was signed, because a session could sign nothing.
        detail = "a key that signs its requests opens no session: log in with another one"
        raise Forbidden("key_signs_requests", detail) from refusal
    await limits.admit(request.scope, principal, {})
    return principal


def _session_id(principal: Principal) -> int:
    if principal.session_id is None:
        raise NotFound(detail="the request came with a key: there is no session")
    return principal.session_id


def _view(session: StoredSession) -> SessionView:
    principal = session.key.principal
    return SessionView(
        participant_id=encode_id("par", principal.participant_id),
        participant_name=principal.name,
        kind=ParticipantKind(principal.kind),
        scopes=sorted(principal.scopes),
        key_id=encode_id("key", principal.key_id),
        expires_at=format_rfc3339(session.expires_at_us),
    )


def _open_view(session: OpenSession, *, is_current: bool) -> OpenSessionView:
    return OpenSessionView(
        id=encode_id("ses", session.id),
        key_id=encode_id("key", session.key_id),
        key_label=session.key_label,
        scopes=sorted(session.scopes),
        started_at=format_rfc3339(session.created_at_us),
        last_used_at=format_rfc3339(session.last_used_at_us),
        last_used_from=session.last_used_from,
        expires_at=format_rfc3339(session.expires_at_us),
        is_current=is_current,
    )


def _settings(request: ApiRequest) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _clock(request: ApiRequest) -> Clock:
    clock: Clock = request.app.state.clock
    return clock
