"""Reports over HTTP.

Needs `reports` (`Reports`) and `questions` (`Questions`) in the application's state.
"""

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath

from exchange.kit.auth import Scope
from exchange.kit.csv_file import CSV_TYPE
from exchange.kit.errors import NotFound
from exchange.kit.http_auth import requires
from exchange.kit.http_described import produces
from exchange.kit.http_request import ApiRequest
from exchange.oversight.questions import Questions, check_reason
from exchange.oversight.report_definitions import KINDS
from exchange.oversight.report_models import Report, ReportList, ReportName, ReportQuery
from exchange.oversight.reports import Reports, as_csv


class ReportsController(Controller):
    """What the record adds up to, for regulators."""

    path = "/v1/oversight/reports"
    tags = ("Oversight",)
    opt = requires(Scope.AUDIT)

    @get("", summary="List the reports")
    async def list_reports(self) -> ReportList:
        """Return every report there is, with its definition and its columns."""
        return ReportList(data=list(KINDS.values()))

    @get("/{report:str}", opt=requires(Scope.AUDIT, query=ReportQuery), summary="Read a report")
    async def report(self, request: ApiRequest, report: FromPath[str]) -> Report:
        """Return a report with its definition, of some days, from summaries a moment behind the market."""
        return await _report(request, report, "reports")

    @get(
        "/{report:str}/export",
        opt=requires(Scope.AUDIT, query=ReportQuery) | produces(CSV_TYPE),
        summary="Export a report as a file",
    )
    async def export_report(self, request: ApiRequest, report: FromPath[str]) -> Response[bytes]:
        """Return a report's rows as CSV."""
        told = await _report(request, report, "reports/export")
        return Response(
            as_csv(told),
            media_type=CSV_TYPE,
            headers={"Content-Disposition": f'attachment; filename="{told.name}.csv"'},
        )


async def _report(request: ApiRequest, name: str, what: str) -> Report:
    if name not in KINDS:
        raise NotFound(detail="there is no such report; GET /v1/oversight/reports lists them")
    query, faults = request.query_with_holes(ReportQuery)
    check_reason(query.reason, faults, is_needed=False)
    reports: Reports = request.app.state.reports
    questions: Questions = request.app.state.questions
    span = reports.span_of(query, faults)
    asked = {"report": name, **msgspec.to_builtins(query)}
    return await questions.told(
        request.principal,
        what,
        asked,
        lambda: reports.report(ReportName(name), span),
        lambda report: len(report.rows),
    )
