"""The steps of a programme over HTTP: its issuer takes them, everyone who sees the programme reads them.

Of the application's state: `database`, `clock` and `programmes` (the registry, read again after a step).
"""

from typing import Final

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import READERS, Scope
from exchange.kit.database import Connection
from exchange.kit.http_auth import requires
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, Part, page_of
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.programmes import life
from exchange.programmes.models import ProgrammeStatus, ProgrammeView
from exchange.programmes.rules import view_of_programme, view_of_programme_step
from exchange.programmes.step_models import NewProgrammeStep, ProgrammeStepView

_STEPS: Final = "programme_steps"


class ProgrammeStepsController(Controller):
    """What became of a programme."""

    path = "/v1/programmes/{programme_id:str}/steps"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(Scope.ISSUE, once=True),
        status_code=200,
        summary="Open or close a programme",
    )
    async def step(
        self, request: ApiRequest, programme_id: FromPath[str], data: JSONBody[NewProgrammeStep]
    ) -> Response[ProgrammeView]:
        """Open a draft, which books its budget, or close a programme for good, with a reason for all to read.

        A closed programme issues nothing more, and what it has not issued goes back to its source; vouchers
        already issued live and pay on.
        """
        state = request.app.state
        value = id_in_path("prg", programme_id, "there is no such programme")

        async def work(connection: Connection) -> ProgrammeView:
            stepped = await life.step_programme(
                connection,
                request.principal,
                value,
                ProgrammeStatus(data.to),
                data.reason,
                state.clock.now_us(),
            )
            return view_of_programme(stepped)

        answer = await once(request, work, status=200)
        async with state.database.connection(after_commit=True) as connection:
            await state.programmes.refresh(connection, value)
        return answer

    @get(
        "",
        opt=requires(*READERS, query=PageQuery),
        summary="List a programme's steps",
    )
    async def list_all(self, request: ApiRequest, programme_id: FromPath[str]) -> Page[ProgrammeStepView]:
        """Return what became of a programme, in order: who, when, why, and what went back to its source."""
        query, after = request.listed(PageQuery, _STEPS, Part.HOUR, otherwise=0)
        value = id_in_path("prg", programme_id, "there is no such programme")
        now_us = request.app.state.clock.now_us()
        async with request.app.state.database.connection() as connection:
            found = await life.list_steps(
                connection, request.principal, value, after=after, limit=query.limit + 1, at_us=now_us
            )
        return page_of(_STEPS, found, query.limit, lambda step: (step.number,), view_of_programme_step)
