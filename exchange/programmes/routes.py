"""Programmes over HTTP.

Of the application's state: `database`, `clock` and `programmes` (the registry, read again after a programme
was made).
"""

from typing import Final

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import READERS, Scope
from exchange.kit.database import Connection
from exchange.kit.http_auth import requires
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, page_of
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX
from exchange.programmes import service
from exchange.programmes.models import NewProgramme, NewVersion, ProgrammeCode, ProgrammeView, VersionView
from exchange.programmes.rules import superseded_us, view_of_programme, view_of_version

_PROGRAMMES: Final = "programmes"
_VERSIONS: Final = "programme_versions"


class ProgrammeQuery(PageQuery, frozen=True, kw_only=True):
    """What narrows a list of programmes."""

    code: ProgrammeCode | None = None


class ProgrammesController(Controller):
    """Programmes: anyone with a key reads them, issuers make them."""

    path = "/v1/programmes"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(Scope.ISSUE, keep_faults=True, once=True),
        status_code=201,
        summary="Start a programme",
    )
    async def create(self, request: ApiRequest, data: JSONBody[NewProgramme]) -> Response[ProgrammeView]:
        """Store a programme by its rules; it is open at once, its whole budget booked, unless it is a draft.

        It issues and pays while rules of it are in force: from `effective_from`, else at once. A draft waits
        until its issuer opens it, and is seen by nobody else but operators and regulators.
        """
        state = request.app.state
        made_id: int | None = None

        async def work(connection: Connection) -> ProgrammeView:
            nonlocal made_id
            programme = await service.create_programme(
                connection, request.principal, data, state.clock.now_us(), request.faults
            )
            made_id = programme.id
            return view_of_programme(programme)

        answer = await once(request, work)
        async with state.database.connection(after_commit=True) as connection:
            await state.programmes.refresh(connection, made_id)
        return answer

    @get("", opt=requires(*READERS, query=ProgrammeQuery), summary="List programmes")
    async def list_all(self, request: ApiRequest) -> Page[ProgrammeView]:
        """Return programmes with their present rules, newest first."""
        query, before_id = request.listed(ProgrammeQuery, _PROGRAMMES, otherwise=ID_MAX)
        now_us = request.app.state.clock.now_us()
        async with request.app.state.database.connection() as connection:
            found = await service.list_programmes(
                connection,
                now_us,
                before_id=before_id,
                code=query.code,
                viewer=request.principal,
                limit=query.limit + 1,
            )
        return page_of(_PROGRAMMES, found, query.limit, lambda programme: (programme.id,), view_of_programme)

    @get("/{programme_id:str}", opt=requires(*READERS), summary="Read a programme")
    async def read(self, request: ApiRequest, programme_id: FromPath[str]) -> ProgrammeView:
        """Return one programme with its present rules."""
        value = id_in_path("prg", programme_id, "there is no such programme")
        now_us = request.app.state.clock.now_us()
        async with request.app.state.database.connection() as connection:
            found = await service.get_programme(connection, value, now_us, request.principal)
        return view_of_programme(found)

    @post(
        "/{programme_id:str}/versions",
        opt=requires(Scope.ISSUE, keep_faults=True, once=True),
        status_code=201,
        summary="Change a programme's rules",
    )
    async def add_version(
        self, request: ApiRequest, programme_id: FromPath[str], data: JSONBody[NewVersion]
    ) -> Response[VersionView]:
        """Store a further version of the rules; orders and claims keep the one they were held under.

        From its beginning on it supersedes all versions before it, also those that are scheduled later. Only
        rules that begin at once may change the budget, which is never less than what is issued.
        """
        state = request.app.state
        value = id_in_path("prg", programme_id, "there is no such programme")

        async def work(connection: Connection) -> VersionView:
            version = await service.add_version(
                connection, request.principal, value, data, state.clock.now_us(), request.faults
            )
            return view_of_version(version)

        answer = await once(request, work)
        async with state.database.connection(after_commit=True) as connection:
            await state.programmes.refresh(connection, value)
        return answer

    @get(
        "/{programme_id:str}/versions",
        opt=requires(*READERS, query=PageQuery),
        summary="List the versions of a programme's rules",
    )
    async def list_versions(self, request: ApiRequest, programme_id: FromPath[str]) -> Page[VersionView]:
        """Return every version of the rules, the newest first."""
        query, before = request.listed(PageQuery, _VERSIONS, otherwise=ID_MAX)
        value = id_in_path("prg", programme_id, "there is no such programme")
        async with request.app.state.database.connection() as connection:
            found = await service.list_versions(connection, value, request.principal)
        kept = [version for version in reversed(found) if version.number < before]
        return page_of(
            _VERSIONS,
            kept,
            query.limit,
            lambda version: (version.number,),
            lambda version: view_of_version(version, superseded_us(found, version.number)),
        )
