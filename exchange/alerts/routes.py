"""Alerts over HTTP, for keys with the scope `audit`; regulators work on them. docs/alerts.md tells of both.

Of the application's state: `database`, `clock`, `products`, and `questions`, which records every question.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.alerts import service
from exchange.alerts.models import (
    AlertDetail,
    AlertFilter,
    AlertRulesView,
    AlertStatus,
    AlertView,
    DetectorName,
    NewAlertRules,
    NewClosure,
    NewNote,
    NewReview,
)
from exchange.alerts.rules import Kind, find_blank_fault, rules_view
from exchange.alerts.thresholds import Severity
from exchange.kit.auth import Scope
from exchange.kit.database import Connection
from exchange.kit.errors import Faults
from exchange.kit.fields import (
    ParticipantIdText,
    ProgrammeIdText,
    SlugText,
    TimeText,
    time_us,
    typed_id,
)
from exchange.kit.http_auth import requires
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, Part, page_of, parts_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.oversight.models import ReasonText
from exchange.oversight.questions import Questions, check_reason, names_somebody, was_given
from exchange.products.models import ProductSpec
from exchange.products.naming import check_product

_ALERTS: Final = "alerts"
_RULES: Final = "alert_rules"
_VERSION_END: Final = 2**31 - 1


class AlertQuery(PageQuery, frozen=True, kw_only=True):
    """Which alerts; `found_from` is included and `found_until` is not.

    With a participant the `reason` is needed.
    """

    status: AlertStatus | None = None
    detector: DetectorName | None = None
    severity: Severity | None = None
    participant: ParticipantIdText | None = None
    product: SlugText | None = None
    programme: ProgrammeIdText | None = None
    found_from: TimeText | None = None
    found_until: TimeText | None = None
    reason: ReasonText | None = None


def _filter_of(query: AlertQuery, products: Mapping[str, ProductSpec], faults: Faults) -> AlertFilter:
    """Return what a query means, or raise `InvalidInput` with everything wrong with it, also found before."""
    check_product(faults, products, query.product)
    wanted = AlertFilter(
        status=query.status,
        detector=query.detector,
        severity=query.severity,
        participant_id=typed_id(faults, "?participant", "par", query.participant),
        product_id=query.product,
        programme_id=typed_id(faults, "?programme", "prg", query.programme),
        found_from_us=time_us(faults, "?found_from", query.found_from),
        found_until_us=time_us(faults, "?found_until", query.found_until),
    )
    from_us, until_us = wanted.found_from_us, wanted.found_until_us
    if from_us is not None and until_us is not None and from_us >= until_us:
        faults.add("?found_until", "out_of_range", "must be later than found_from", query.found_until)
    given = [name for name, value in msgspec.structs.asdict(query).items() if was_given(value)]
    check_reason(query.reason, faults, is_needed=names_somebody(given))
    faults.raise_if_any()
    return wanted


class AlertsController(Controller):
    """What surveillance found, and the case of each alert: open, under review, closed."""

    path = "/v1/oversight/alerts"
    tags = ("Oversight",)

    @get("", opt=requires(Scope.AUDIT, query=AlertQuery), summary="List alerts")
    async def list_all(self, request: ApiRequest) -> Page[AlertView]:
        """Return alerts, newest first; `participant` holds for any of their parties, and needs a `reason`."""
        query, faults = request.query_with_holes(AlertQuery)
        parts = parts_in(_ALERTS, query.cursor, faults, Part.TIME_US, Part.ID)
        wanted = _filter_of(query, request.app.state.products, faults)
        before = None if parts is None else (int(parts[0]), int(parts[1]))

        async def answer() -> Page[AlertView]:
            async with request.app.state.database.connection() as connection:
                found = await service.list_alerts(connection, wanted, before, query.limit + 1)
            return page_of(_ALERTS, found, query.limit, lambda each: each[0], lambda each: each[1])

        asked = msgspec.to_builtins(query)
        return await _questions(request).told(
            request.principal, "alerts", asked, answer, lambda page: len(page.data)
        )

    @get("/{alert_id:str}", opt=requires(Scope.AUDIT), summary="Read an alert")
    async def read(self, request: ApiRequest, alert_id: FromPath[str]) -> AlertDetail:
        """Return an alert with its figures and thresholds, the records it rests on, and its case."""
        value = _in_path(alert_id)

        async def answer() -> AlertDetail:
            async with request.app.state.database.snapshot() as connection:
                return await service.get_alert(connection, value)

        return await _questions(request).told(request.principal, "alerts", {"alert_id": alert_id}, answer)

    @post(
        "/{alert_id:str}/review",
        opt=requires(Scope.AUDIT, keep_faults=True, once=True),
        status_code=200,
        summary="Take an alert under review",
    )
    async def review(
        self, request: ApiRequest, alert_id: FromPath[str], data: JSONBody[NewReview]
    ) -> Response[AlertDetail]:
        """Take an open alert under review, as a regulator."""
        return await _step(request, alert_id, "review", data.text)

    @post(
        "/{alert_id:str}/close",
        opt=requires(Scope.AUDIT, keep_faults=True, once=True),
        status_code=200,
        summary="Close an alert",
    )
    async def close(
        self, request: ApiRequest, alert_id: FromPath[str], data: JSONBody[NewClosure]
    ) -> Response[AlertDetail]:
        """Close an alert that is under review, as a regulator, with what the review came to."""
        find_blank_fault(request.faults, "/reason", data.reason)
        return await _step(request, alert_id, "close", data.reason)

    @post(
        "/{alert_id:str}/notes",
        opt=requires(Scope.AUDIT, keep_faults=True, once=True),
        status_code=201,
        summary="Add a note to an alert",
    )
    async def note(
        self, request: ApiRequest, alert_id: FromPath[str], data: JSONBody[NewNote]
    ) -> Response[AlertDetail]:
        """Add a note to an alert, whatever its status; the operator's may explain."""
        find_blank_fault(request.faults, "/text", data.text)
        return await _step(request, alert_id, "note", data.text, status=201)


class AlertRulesController(Controller):
    """The rules of surveillance, version by version."""

    path = "/v1/oversight/alert-rules"
    tags = ("Oversight",)

    @get("", opt=requires(Scope.AUDIT, query=PageQuery), summary="List the versions of the alert rules")
    async def list_all(self, request: ApiRequest) -> Page[AlertRulesView]:
        """Return every version of the rules, newest first: who made it, why, and from when it is in force."""
        query, before = request.listed(PageQuery, _RULES, Part.HOUR, otherwise=_VERSION_END)
        async with request.app.state.database.connection() as connection:
            found = await service.list_rules(connection, before, query.limit + 1)
        return page_of(_RULES, found, query.limit, lambda stored: (stored.version,), rules_view)

    @post(
        "",
        opt=requires(Scope.AUDIT, keep_faults=True, once=True),
        status_code=201,
        summary="Change the alert rules",
    )
    async def add(self, request: ApiRequest, data: JSONBody[NewAlertRules]) -> Response[AlertRulesView]:
        """Add a version of the rules, whole, as a regulator; records of that time on are judged by it."""

        async def work(connection: Connection) -> AlertRulesView:
            now_us = request.app.state.clock.now_us()
            stored = await service.add_rules(connection, request.principal, data, now_us, request.faults)
            return rules_view(stored)

        return await once(request, work, status=201)


def _questions(request: ApiRequest) -> Questions:
    questions: Questions = request.app.state.questions
    return questions


def _in_path(text: str) -> int:
    return id_in_path("alr", text, "no such alert")


async def _step(
    request: ApiRequest, alert_id: str, kind: Kind, text: str, *, status: int = 200
) -> Response[AlertDetail]:
    value = _in_path(alert_id)
    request.faults.raise_if_any()

    async def work(connection: Connection) -> AlertDetail:
        now_us = request.app.state.clock.now_us()
        return await service.take_step(connection, request.principal, value, kind, text, now_us)

    return await once(request, work, status=status)
