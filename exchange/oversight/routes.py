"""Oversight over HTTP, for keys with the scope `audit`.

Needs `oversight` (`OversightService`) in the application's state.
"""

from typing import TypeVar

import msgspec
from litestar import Controller, get
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath
from litestar.response import Stream

from exchange.kit.auth import Scope
from exchange.kit.errors import Faults, InvalidInput
from exchange.kit.http_auth import requires
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, decode_cursor, encode_cursor
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.oversight.export import MEDIA_TYPES
from exchange.oversight.models import (
    ExportFormat,
    OrderLife,
    Place,
    RowOrder,
    TradeFilter,
    TradeQuery,
    TradeRow,
)
from exchange.oversight.service import OversightService

Q = TypeVar("Q", bound=TradeQuery)


class ListTrades(TradeQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which trades, and which page of them."""

    order: RowOrder = RowOrder.NEWEST_FIRST
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class ExportTrades(TradeQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which trades, and how the file is written."""

    format: ExportFormat = ExportFormat.CSV
    order: RowOrder = RowOrder.OLDEST_FIRST


def _service(request: ApiRequest) -> OversightService:
    service: OversightService = request.app.state.oversight
    return service


async def _filter(request: ApiRequest, type_: type[Q]) -> tuple[Q, TradeFilter]:
    """Read the query string; every parameter at fault is named, whether its form or its meaning is wrong."""
    faults = Faults("invalid_query")
    try:
        query = request.query(type_)
    except InvalidInput as refusal:
        faults.extend(refusal.errors)
        # The rest is read as well, so that one answer names everything.
        fields = TradeQuery.__struct_fields__
        given = {
            name: text
            for name, text in request.query_params.items()
            if name in fields and f"?{name}" not in faults
        }
        await _service(request).filter_of(given, faults)
        raise
    return query, await _service(request).filter_of(msgspec.structs.asdict(query), faults)


class OversightController(Controller):
    """The record of the whole venue, for regulators. Every question is itself recorded."""

    path = "/v1/oversight"
    tags = ("Oversight",)
    opt = requires(Scope.AUDIT)

    @get("/trades", opt=requires(Scope.AUDIT, query=ListTrades), summary="Search trades")
    async def list_trades(self, request: ApiRequest) -> Page[TradeRow]:
        """Trades of all participants; `cursor` is the `next_cursor` of a page in the same `order`."""
        query, wanted = await _filter(request, ListTrades)
        list_name = f"oversight-trades-{query.order}"
        after = None
        if query.cursor is not None:
            traded_at_us, trade_id = decode_cursor(list_name, query.cursor, Part.TIME_US, Part.ID)
            after = Place(int(traded_at_us), int(trade_id))
        await _service(request).record(request.principal, "trades", msgspec.to_builtins(query))
        rows = await _service(request).page(wanted, query.order, after, query.limit + 1)
        page = rows[: query.limit]
        more = None
        if len(rows) > len(page):
            last = page[-1][0]
            more = encode_cursor(list_name, last.traded_at_us, last.trade_id)
        return Page([row for _, row in page], more)

    @get("/trades/export", opt=requires(Scope.AUDIT, query=ExportTrades), summary="Export trades as a file")
    async def export_trades(self, request: ApiRequest) -> Stream:
        """Stream every trade that fits, as of one moment, as CSV or NDJSON. The file has no row limit."""
        query, wanted = await _filter(request, ExportTrades)
        service = _service(request)
        await service.record(request.principal, "trades/export", msgspec.to_builtins(query))
        chunks = await service.export(wanted, query.order, query.format)
        return Stream(
            chunks,
            media_type=MEDIA_TYPES[query.format],
            headers={"Content-Disposition": f'attachment; filename="trades.{query.format}"'},
            # Of a reader that went away as well: nothing else would close what it had left to read.
            background=BackgroundTask(chunks.aclose),
        )

    @get("/orders/{order_id:str}", summary="Read the life of an order")
    async def order_life(self, request: ApiRequest, order_id: FromPath[str]) -> OrderLife:
        """Return an order of any participant with every step it took, in order, and its trades."""
        value = id_in_path("ord", order_id, "no such order")
        await _service(request).record(request.principal, "orders", {"order_id": order_id})
        return await _service(request).order_life(value)
