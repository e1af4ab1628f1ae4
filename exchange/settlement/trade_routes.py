"""A participant's own trades over HTTP. Of the application's state: `database` and `products`."""

from collections.abc import Mapping

import msgspec
from litestar import Controller, get

from exchange.kit.auth import Scope
from exchange.kit.database import Database
from exchange.kit.errors import Faults
from exchange.kit.fields import OrderIdText, SlugText, TimeText, time_us, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_pages import (
    LIMIT_DEFAULT,
    CursorText,
    Limit,
    Page,
    Part,
    as_it_is,
    page_of,
    place_in,
)
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX
from exchange.products.models import ProductSpec
from exchange.products.naming import check_product
from exchange.settlement.trade_models import OwnTradeView, TradeFilter
from exchange.settlement.trades import page_of_trades


class ListTrades(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the own trades to list; `traded_from` is included and `traded_until` is not."""

    product: SlugText | None = None
    order_id: OrderIdText | None = None
    traded_from: TimeText | None = None
    traded_until: TimeText | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


def _filter_of(query: ListTrades, products: Mapping[str, ProductSpec], faults: Faults) -> TradeFilter:
    """Read the parameters; raises `InvalidInput` with every fault, also those that were found before."""
    check_product(faults, products, query.product)
    order_id = typed_id(faults, "?order_id", "ord", query.order_id)
    from_us = time_us(faults, "?traded_from", query.traded_from)
    until_us = time_us(faults, "?traded_until", query.traded_until)
    if from_us is not None and until_us is not None and from_us >= until_us:
        faults.add("?traded_until", "out_of_range", "must be later than traded_from", query.traded_until)
    before_id = place_in("trades", query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
    faults.raise_if_any()
    return TradeFilter(
        product_id=query.product,
        order_id=order_id,
        traded_from_us=from_us,
        traded_until_us=until_us,
        before_id=before_id,
    )


class TradesController(Controller):
    """What one has bought or sold."""

    path = "/v1/trades"
    tags = ("Orders",)

    @get("", opt=requires(Scope.READ, query=ListTrades), summary="List own trades, newest first")
    async def list_trades(self, request: ApiRequest) -> Page[OwnTradeView]:
        """The fills of own orders: all, or those of a product, of one order, of a span of time."""
        query, faults = request.query_with_holes(ListTrades)
        wanted = _filter_of(query, request.app.state.products, faults)
        database: Database = request.app.state.database
        async with database.transaction() as connection:
            trades = await page_of_trades(connection, request.principal, wanted, query.limit + 1)
        return page_of(
            "trades",
            trades,
            query.limit,
            lambda trade: (id_in_path("trd", trade.id, "no such trade"),),
            as_it_is,
        )
