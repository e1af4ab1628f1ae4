"""The catalogue over HTTP: public reference data, open without a key.

Of the application's state: `database` and `products`.
"""

from typing import Final

import msgspec
from litestar import Controller, get
from litestar.params import FromPath

from exchange.kit.fields import SlugText
from exchange.kit.http_auth import public
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, page_of, parts_in
from exchange.kit.http_request import ApiRequest
from exchange.products import rules, service
from exchange.products.models import (
    AcceleratorView,
    HubView,
    Interconnect,
    Origin,
    ProductFilter,
    ProductView,
)
from exchange.products.naming import check_parts

_PRODUCTS: Final = "products"


class ProductQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What narrows the list of products: ids and codes as the other lists of the catalogue give them."""

    accelerator: SlugText | None = None
    origin: Origin | None = None
    hub: SlugText | None = None
    interconnect: SlugText | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class CatalogueController(Controller):
    """Products and what they are made of."""

    path = "/v1"
    tags = ("Catalogue",)

    @get("/products", opt=public(query=ProductQuery), summary="List products")
    async def list_products(self, request: ApiRequest) -> Page[ProductView]:
        """Return the products in the order of their ids."""
        query, faults = request.query_with_holes(ProductQuery)
        check_parts(
            faults,
            request.app.state.products,
            accelerator=query.accelerator,
            hub=query.hub,
            interconnect=query.interconnect,
        )
        after = parts_in(_PRODUCTS, query.cursor, faults, Part.SLUG)
        faults.raise_if_any()
        wanted = ProductFilter(
            accelerator_id=query.accelerator,
            origin=query.origin,
            hub_code=query.hub,
            interconnect_code=query.interconnect,
            after_id=None if after is None else str(after[0]),
            limit=query.limit + 1,
        )
        async with request.app.state.database.connection() as connection:
            found = await service.list_products(connection, wanted)
        return page_of(_PRODUCTS, found, query.limit, lambda product: (product.id,), rules.view_of_product)

    @get("/products/{product_id:str}", opt=public(), summary="Read a product")
    async def get_product(self, request: ApiRequest, product_id: FromPath[str]) -> ProductView:
        """Return one product."""
        async with request.app.state.database.connection() as connection:
            return rules.view_of_product(await service.get_product(connection, product_id))

    @get("/accelerators", opt=public(), summary="List accelerators with the source of each figure")
    async def list_accelerators(self, request: ApiRequest) -> Page[AcceleratorView]:
        """Return the accelerators in the order of their ids."""
        async with request.app.state.database.connection() as connection:
            accelerators = await service.list_accelerators(connection)
        return Page([rules.view_of_accelerator(each) for each in accelerators])

    @get("/hubs", opt=public(), summary="List the national hubs and their clusters")
    async def list_hubs(self, request: ApiRequest) -> Page[HubView]:
        """Return the hubs in the order of their codes."""
        async with request.app.state.database.connection() as connection:
            return Page(await service.list_hubs(connection))

    @get("/interconnects", opt=public(), summary="List the interconnect classes")
    async def list_interconnects(self, request: ApiRequest) -> Page[Interconnect]:
        """Return the interconnect classes in the order of their codes."""
        async with request.app.state.database.connection() as connection:
            return Page(await service.list_interconnects(connection))
