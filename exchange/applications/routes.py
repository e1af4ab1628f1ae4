"""Applications over HTTP: companies apply and withdraw, issuers score, decide and allocate.

Of the application's state: `database` and `clock`.
"""

from http import HTTPStatus
from typing import Final

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.applications import admission, allocation, service
from exchange.applications.models import (
    AdmissionView,
    AllocationView,
    ApplicationStatus,
    ApplicationStepView,
    ApplicationView,
    NewApplication,
    NewApplicationStep,
    NewScore,
    WantedStep,
)
from exchange.applications.rules import (
    find_blank_fault,
    find_step_faults,
    view_of_allocation,
    view_of_application,
    view_of_step,
)
from exchange.kit.auth import READERS, Scope
from exchange.kit.database import Connection
from exchange.kit.fields import ProgrammeIdText, money_fen, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_described import refuses
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, Part, page_of, place_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX

_APPLICATIONS: Final = "applications"
_STEPS: Final = "application_steps"


class ApplicationQuery(PageQuery, frozen=True, kw_only=True):
    """What narrows a list of applications."""

    programme_id: ProgrammeIdText | None = None
    status: ApplicationStatus | None = None


def _in_path(text: str) -> int:
    return id_in_path("app", text, "there is no such application")


class ApplicationsController(Controller):
    """Applications: a company applies to a programme; the programme's issuer decides."""

    path = "/v1/applications"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(Scope.TRADE, keep_faults=True, once=True) | refuses(HTTPStatus.NOT_FOUND),
        status_code=201,
        summary="Apply for a voucher",
    )
    async def apply(self, request: ApiRequest, data: JSONBody[NewApplication]) -> Response[ApplicationView]:
        """Apply to a programme for a voucher of an amount.

        Refused at once, with all that is in the way, where it could not be granted now. It waits for the
        issuer, unless the programme's rules approve so small an amount at once: then the voucher is in the
        answer.
        """
        faults = request.faults
        programme_id = typed_id(faults, "/programme_id", "prg", data.programme_id)
        amount_fen = money_fen(faults, "/amount_cny", data.amount_cny)
        find_blank_fault(faults, "/purpose", data.purpose)
        if faults or programme_id is None or amount_fen is None:
            raise faults.refusal()

        async def work(connection: Connection) -> ApplicationView:
            now_us = request.app.state.clock.now_us()
            application = await service.apply(
                connection, request.principal, programme_id, amount_fen, data.purpose, now_us
            )
            return view_of_application(application)

        return await once(request, work)

    @get("", opt=requires(*READERS, query=ApplicationQuery), summary="List applications")
    async def list_all(self, request: ApiRequest) -> Page[ApplicationView]:
        """Return the caller's applications, or as an issuer those to its programmes, newest first."""
        query, faults = request.query_with_holes(ApplicationQuery)
        programme_id = typed_id(faults, "?programme_id", "prg", query.programme_id)
        before_id = place_in(_APPLICATIONS, query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
        faults.raise_if_any()
        async with request.app.state.database.connection() as connection:
            found = await service.list_applications(
                connection,
                request.principal,
                programme_id=programme_id,
                status=query.status,
                before_id=before_id,
                limit=query.limit + 1,
            )
        return page_of(
            _APPLICATIONS, found, query.limit, lambda application: (application.id,), view_of_application
        )

    @get("/{application_id:str}", opt=requires(*READERS), summary="Read an application")
    async def read(self, request: ApiRequest, application_id: FromPath[str]) -> ApplicationView:
        """Return one application."""
        value = _in_path(application_id)
        async with request.app.state.database.connection() as connection:
            return view_of_application(await service.get_application(connection, request.principal, value))

    @get(
        "/{application_id:str}/steps",
        opt=requires(*READERS, query=PageQuery),
        summary="List an application's steps",
    )
    async def steps(self, request: ApiRequest, application_id: FromPath[str]) -> Page[ApplicationStepView]:
        """Return every step that an application has taken, in order: who, when and why."""
        query, after = request.listed(PageQuery, _STEPS, Part.HOUR, otherwise=0)
        value = _in_path(application_id)
        async with request.app.state.database.connection() as connection:
            application = await service.get_application(connection, request.principal, value)
            found = await service.list_steps(
                connection, request.principal, value, after=after, limit=query.limit + 1
            )
        shows_key = request.principal.participant_id != application.buyer_id
        return page_of(
            _STEPS,
            found,
            query.limit,
            lambda step: (step.number,),
            lambda step: view_of_step(step, shows_key=shows_key),
        )

    @get(
        "/{application_id:str}/eligibility",
        opt=requires(*READERS),
        summary="Could this application be granted",
    )
    async def eligibility(self, request: ApiRequest, application_id: FromPath[str]) -> AdmissionView:
        """Say whether the company could be granted now, of how much, and if not why, rule by rule."""
        value = _in_path(application_id)
        now_us = request.app.state.clock.now_us()
        async with request.app.state.database.connection() as connection:
            return await admission.ask_before_deciding(connection, request.principal, value, now_us)

    @post(
        "/{application_id:str}/steps",
        opt=requires(Scope.ISSUE, Scope.TRADE, keep_faults=True, once=True),
        status_code=200,
        summary="Decide or withdraw an application",
    )
    async def step(
        self, request: ApiRequest, application_id: FromPath[str], data: JSONBody[NewApplicationStep]
    ) -> Response[ApplicationView]:
        """Take the next step of an application: its company withdraws it, its issuer approves or rejects it.

        Approving issues the voucher, of all that was asked or of less. An amount above the programme's
        committee_above_fen goes to in_committee by the first key, and is approved by a second one.
        """
        value = _in_path(application_id)
        faults = request.faults
        amount_fen = money_fen(faults, "/amount_cny", data.amount_cny)
        if isinstance(data.to, str):
            to = ApplicationStatus(data.to)
            find_step_faults(to, data.reason, has_amount=amount_fen is not None, faults=faults)
        faults.raise_if_any()
        wanted = WantedStep(to_status=ApplicationStatus(data.to), reason=data.reason, amount_fen=amount_fen)

        async def work(connection: Connection) -> ApplicationView:
            now_us = request.app.state.clock.now_us()
            return view_of_application(
                await service.take_step(connection, request.principal, value, wanted, now_us)
            )

        return await once(request, work, status=200)

    @post(
        "/{application_id:str}/score",
        opt=requires(Scope.ISSUE, keep_faults=True, once=True),
        status_code=200,
        summary="Score an application",
    )
    async def score(
        self, request: ApiRequest, application_id: FromPath[str], data: JSONBody[NewScore]
    ) -> Response[ApplicationView]:
        """Give a submitted application a score of 0 to 1000, where its programme allocates by score."""
        value = _in_path(application_id)
        find_blank_fault(request.faults, "/reason", data.reason)
        request.faults.raise_if_any()

        async def work(connection: Connection) -> ApplicationView:
            now_us = request.app.state.clock.now_us()
            return view_of_application(
                await service.score_application(
                    connection, request.principal, value, data.score, data.reason, now_us
                )
            )

        return await once(request, work, status=200)


class AdmissionController(Controller):
    """Who may apply to a programme."""

    path = "/v1/programmes/{programme_id:str}/eligibility"
    tags = ("Vouchers",)

    @get("", opt=requires(Scope.READ, Scope.TRADE), summary="May I apply")
    async def ask(self, request: ApiRequest, programme_id: FromPath[str]) -> AdmissionView:
        """Say whether the caller may apply now, for how much, and if not why, rule by rule."""
        value = id_in_path("prg", programme_id, "there is no such programme")
        now_us = request.app.state.clock.now_us()
        async with request.app.state.database.connection() as connection:
            return await admission.ask_before_applying(connection, request.principal, value, now_us)


class AllocationController(Controller):
    """The allocation of a programme's vouchers by score."""

    path = "/v1/programmes/{programme_id:str}/allocation"
    tags = ("Vouchers",)

    @post("", opt=requires(Scope.ISSUE, once=True), status_code=200, summary="Allocate vouchers by score")
    async def allocate(self, request: ApiRequest, programme_id: FromPath[str]) -> Response[AllocationView]:
        """Decide all scored applications at once: by score, then time of submission, then id.

        Each is approved whole while the budget and its company's cap last, else rejected with the reason; one
        that does not fit leaves its room to the next. Applications without a score stay as they are. Not
        while a window is open.
        """
        value = id_in_path("prg", programme_id, "there is no such programme")

        async def work(connection: Connection) -> AllocationView:
            now_us = request.app.state.clock.now_us()
            return view_of_allocation(
                await allocation.allocate_by_score(connection, request.principal, value, now_us)
            )

        return await once(request, work, status=200)
