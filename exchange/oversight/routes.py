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
from exchange.kit.errors import Faults
from exchange.kit.http_auth import requires
from exchange.kit.http_described import produces
from exchange.kit.http_pages import (
    LIMIT_DEFAULT,
    CursorPart,
    CursorText,
    Limit,
    Page,
    Part,
    page_of,
    parts_in,
)
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
from exchange.oversight.questions import Questions, check_reason, names_somebody, was_given
from exchange.oversight.service import Export, OversightService

ROWS_HEADER = "Export-Rows"
_TRADES = "oversight-trades"
_EVENTS = "oversight-events"
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
    resolve: Callable[[Mapping[str, Any], Faults], Awaitable[F]],
    list_name: str = "",
    *kinds: Part,
) -> tuple[Q, F, tuple[CursorPart, ...] | None]:
    """Read the query string, and what its page goes on after.

    Every parameter at fault is named, whether its form or its meaning is wrong. The lists of each order are
    lists of their own, of the name `list_name` and the order's.
    """
    query, faults = request.query_with_holes(type_)
    given = {name: value for name, value in msgspec.structs.asdict(query).items() if was_given(value)}
    after = None
    if "order" in given:
        after = parts_in(f"{list_name}-{given['order']}", given.get("cursor"), faults, *kinds)
    check_reason(query.reason, faults, is_needed=names_somebody(given))
    if given.get("format") is ExportFormat.PARQUET and not has_parquet():
        faults.add("?format", "not_installed", "must be csv or ndjson: Parquet is not installed here")
    return query, await resolve(given, faults), after


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
        query, wanted, parts = await _filter(
            request, ListTrades, service.trade_filter, _TRADES, Part.TIME_US, Part.ID
        )
        after = None if parts is None else Place(int(parts[0]), int(parts[1]))

        async def answer() -> Page[TradeRow]:
            rows = await service.page(TRADES, wanted, query.order, after, query.limit + 1)
            return page_of(
                f"{_TRADES}-{query.order}",
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
        query, wanted, _ = await _filter(request, ExportTrades, service.trade_filter)
        form = FileForm("trades", query.format, query.zip)
        return await _file(
            request, "trades/export", query, form, lambda: service.export(TRADES, wanted, query.order, form)
        )

    @get("/events", opt=requires(Scope.AUDIT, query=ListEvents), summary="Search the record")
    async def list_events(self, request: ApiRequest) -> Page[EventRow]:
        """Steps of all orders, trades, vouchers and claims, by their numbers; pages as those of trades."""
        service = _service(request)
        query, wanted, parts = await _filter(request, ListEvents, service.event_filter, _EVENTS, Part.ID)
        after = None if parts is None else int(parts[0])

        async def answer() -> Page[EventRow]:
            rows = await service.page(EVENTS, wanted, query.order, after, query.limit + 1)
            return page_of(
                f"{_EVENTS}-{query.order}",
                rows,
                query.limit,
                lambda placed: (placed[0],),
                lambda placed: placed[1],
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
        query, wanted, _ = await _filter(request, ExportEvents, service.event_filter)
        form = FileForm("events", query.format, query.zip)
        return await _file(
            request, "events/export", query, form, lambda: service.export(EVENTS, wanted, query.order, form)
        )
