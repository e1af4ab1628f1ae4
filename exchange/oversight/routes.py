"""Trades and records over HTTP, for keys with the scope `audit`.

Needs `oversight` (`OversightService`) and `questions` (`Questions`) in the application's state.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Controller, get
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from exchange.kit.auth import Scope
from exchange.kit.errors import Faults, InvalidInput
from exchange.kit.http_auth import requires
from exchange.kit.http_described import produces
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, decode_cursor, page_of
from exchange.kit.http_request import ApiRequest
from exchange.oversight.event_models import EventQuery, EventRow
from exchange.oversight.export import EVERY_TYPE, FileForm, has_parquet
from exchange.oversight.listing import EVENTS, TRADES
from exchange.oversight.models import (
    ExportFormat,
    MarketQuery,
    Place,
    ReasonText,
    RowOrder,
    TradeQuery,
    TradeRow,
)
from exchange.oversight.questions import Questions, check_reason, names_somebody
from exchange.oversight.service import Export, OversightService

ROWS_HEADER = "Export-Rows"
Q = TypeVar("Q", bound=MarketQuery)
F = TypeVar("F")


class ListTrades(TradeQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which trades, and which page of them."""

    order: RowOrder = RowOrder.NEWEST_FIRST
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class ListEvents(EventQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, and which page of them."""

    order: RowOrder = RowOrder.NEWEST_FIRST
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class ExportTrades(TradeQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which trades, how the file is written, and why it is asked for."""

    reason: ReasonText
    format: ExportFormat = ExportFormat.CSV
    zip: bool = False
    order: RowOrder = RowOrder.OLDEST_FIRST


class ExportEvents(EventQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, how the file is written, and why it is asked for."""

    reason: ReasonText
    format: ExportFormat = ExportFormat.CSV
    zip: bool = False
    order: RowOrder = RowOrder.OLDEST_FIRST


def _service(request: ApiRequest) -> OversightService:
    service: OversightService = request.app.state.oversight
    return service


def _rows_of(page: Page[Any]) -> int:
    return len(page.data)


def _questions(request: ApiRequest) -> Questions:
    questions: Questions = request.app.state.questions
    return questions


async def _filter(
    request: ApiRequest,
    type_: type[Q],
    parameters: type[MarketQuery],
    resolve: Callable[[Mapping[str, Any], Faults], Awaitable[F]],
) -> tuple[Q, F]:
    """Read the query string; every parameter at fault is named, whether its form or its meaning is wrong."""
    faults = Faults("invalid_query")
    try:
        query = request.query(type_)
    except InvalidInput as refusal:
        faults.extend(refusal.errors)
        # The rest is read as well, so that one answer names everything.
        given = {
            name: text
            for name, text in request.query_params.items()
            if name in parameters.__struct_fields__ and f"?{name}" not in faults
        }
        check_reason(given.get("reason"), faults, is_needed=names_somebody(given))
        await resolve(given, faults)
        raise
    given = {name: value for name, value in msgspec.structs.asdict(query).items() if value is not None}
    check_reason(query.reason, faults, is_needed=names_somebody(given))
    if given.get("format") is ExportFormat.PARQUET and not has_parquet():
        faults.add("?format", "not_installed", "must be csv or ndjson: Parquet is not installed here")
    return query, await resolve(given, faults)


async def _file(
    request: ApiRequest, what: str, query: MarketQuery, form: FileForm, begin: Callable[[], Awaitable[Export]]
) -> Stream:
    """Write the question down, answer with a file, and write down how much went out, however it ended."""
    questions = _questions(request)
    question_id = await questions.ask(request.principal, what, msgspec.to_builtins(query))
    export = await begin()

    async def over() -> None:
        # Of a reader that went away as well: nothing else would close what it had left to read.
        await export.chunks.aclose()
        await questions.answer(request.principal, question_id, export.rows, is_whole=export.is_whole)

    return Stream(
        export.chunks,
        media_type=form.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{form.file_name}"',
            ROWS_HEADER: str(export.total),
        },
        background=BackgroundTask(over),
    )


class OversightController(Controller):
    """The record of the whole venue, for regulators. Every question is itself recorded, with its reason."""

    path = "/v1/oversight"
    tags = ("Oversight",)
    opt = requires(Scope.AUDIT)

    @get("/trades", opt=requires(Scope.AUDIT, query=ListTrades), summary="Search trades")
    async def list_trades(self, request: ApiRequest) -> Page[TradeRow]:
        """Trades of all participants; `cursor` is the `next_cursor` of a page in the same `order`."""
        service = _service(request)
        query, wanted = await _filter(request, ListTrades, TradeQuery, service.trade_filter)
        list_name = f"oversight-trades-{query.order}"
        after = None
        if query.cursor is not None:
            traded_at_us, trade_id = decode_cursor(list_name, query.cursor, Part.TIME_US, Part.ID)
            after = Place(int(traded_at_us), int(trade_id))

        async def answer() -> Page[TradeRow]:
            rows = await service.page(TRADES, wanted, query.order, after, query.limit + 1)
            return page_of(
                list_name,
                rows,
                query.limit,
                lambda placed: (placed[0].traded_at_us, placed[0].trade_id),
                lambda placed: placed[1],
            )

        asked = msgspec.to_builtins(query)
        return await _questions(request).told(request.principal, "trades", asked, answer, _rows_of)

    @get(
        "/trades/export",
        opt=requires(Scope.AUDIT, query=ExportTrades) | produces(*EVERY_TYPE, counts_rows=True),
        summary="Export trades as a file",
    )
    async def export_trades(self, request: ApiRequest) -> Stream:
        """Stream every trade that fits, as of one moment. The file has no row limit.

        `Export-Rows` tells beforehand how many rows are to come.
        """
        service = _service(request)
        query, wanted = await _filter(request, ExportTrades, TradeQuery, service.trade_filter)
        form = FileForm("trades", query.format, query.zip)
        return await _file(
            request, "trades/export", query, form, lambda: service.export(TRADES, wanted, query.order, form)
        )

    @get("/events", opt=requires(Scope.AUDIT, query=ListEvents), summary="Search the record")
    async def list_events(self, request: ApiRequest) -> Page[EventRow]:
        """Steps of all orders, trades, vouchers and claims, by their numbers; pages as those of trades."""
        service = _service(request)
        query, wanted = await _filter(request, ListEvents, EventQuery, service.event_filter)
        list_name = f"oversight-events-{query.order}"
        after = None if query.cursor is None else int(decode_cursor(list_name, query.cursor, Part.ID)[0])

        async def answer() -> Page[EventRow]:
            rows = await service.page(EVENTS, wanted, query.order, after, query.limit + 1)
            return page_of(
                list_name, rows, query.limit, lambda placed: (placed[0],), lambda placed: placed[1]
            )

        asked = msgspec.to_builtins(query)
        return await _questions(request).told(request.principal, "events", asked, answer, _rows_of)

    @get(
        "/events/export",
        opt=requires(Scope.AUDIT, query=ExportEvents) | produces(*EVERY_TYPE, counts_rows=True),
        summary="Export the record as a file",
    )
    async def export_events(self, request: ApiRequest) -> Stream:
        """Stream every record that fits, as of one moment. The file has no row limit.

        `Export-Rows` tells beforehand how many rows are to come.
        """
        service = _service(request)
        query, wanted = await _filter(request, ExportEvents, EventQuery, service.event_filter)
        form = FileForm("events", query.format, query.zip)
        return await _file(
            request, "events/export", query, form, lambda: service.export(EVENTS, wanted, query.order, form)
        )
