"""Providers' list prices over HTTP: each provider publishes its own, anyone with a key reads them.

Of the application's state: `database`, `clock` and `list_prices` (what the order path knows of them).
"""

from typing import Final

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import READERS, Scope
from exchange.kit.fields import ParticipantIdText, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_pages import Page, PageQuery, Part, page_of, parts_in
from exchange.kit.http_request import ApiRequest
from exchange.products import list_prices
from exchange.products.list_price_models import ListPriceView, NewListPrice
from exchange.products.list_prices import ListPrices
from exchange.products.rules import view_of_list_price

_PRESENT: Final = "list_prices"
_HISTORY: Final = "list_price_history"


class HistoryQuery(PageQuery, frozen=True, kw_only=True):
    """Whose list prices, and which page of them."""

    provider_id: ParticipantIdText | None = None


class ListPricesController(Controller):
    """What providers publish as their prices, whatever they trade at."""

    path = "/v1/products/{product_id:str}"
    tags = ("Catalogue",)

    @put(
        "/list-price",
        opt=requires(Scope.LIST_CAPACITY, keep_faults=True),
        summary="Publish your list price of a product",
    )
    async def publish(
        self, request: ApiRequest, product_id: FromPath[str], data: JSONBody[NewListPrice]
    ) -> ListPriceView:
        """Publish, as a provider, your list price; vouchers capped at list prices pay nowhere without one.

        It is for asks placed from now on: one that rests keeps the list price it was placed with. The price
        that stands already adds nothing.
        """
        state = request.app.state
        known: ListPrices = state.list_prices
        async with state.database.transaction() as connection:
            price = await list_prices.publish_list_price(
                connection, request.principal, product_id, data, state.clock.now_us(), request.faults
            )
        known.learn([price])
        return view_of_list_price(price)

    @get(
        "/list-prices",
        opt=requires(*READERS, query=PageQuery),
        summary="List the list prices of a product",
    )
    async def list_present(self, request: ApiRequest, product_id: FromPath[str]) -> Page[ListPriceView]:
        """Return the present list price of every provider that has one."""
        query, after_id = request.listed(PageQuery, _PRESENT, otherwise=0)
        async with request.app.state.database.connection() as connection:
            found = await list_prices.list_present(
                connection, product_id, after_provider_id=after_id, limit=query.limit + 1
            )
        return page_of(_PRESENT, found, query.limit, lambda price: (price.provider_id,), view_of_list_price)

    @get(
        "/list-prices/history",
        opt=requires(*READERS, query=HistoryQuery),
        summary="List all list prices of a product that ever were",
    )
    async def list_history(self, request: ApiRequest, product_id: FromPath[str]) -> Page[ListPriceView]:
        """Return every list price that was published, by all or one provider, newest first."""
        query, faults = request.query_with_holes(HistoryQuery)
        provider_id = typed_id(faults, "?provider_id", "par", query.provider_id)
        parts = parts_in(_HISTORY, query.cursor, faults, Part.TIME_US, Part.ID, Part.HOUR)
        faults.raise_if_any()
        before = None
        if parts is not None:
            before = (int(parts[0]), int(parts[1]), int(parts[2]))
        async with request.app.state.database.connection() as connection:
            found = await list_prices.list_history(
                connection, product_id, provider_id=provider_id, before=before, limit=query.limit + 1
            )
        return page_of(
            _HISTORY,
            found,
            query.limit,
            lambda price: (price.listed_at_us, price.provider_id, price.number),
            view_of_list_price,
        )
