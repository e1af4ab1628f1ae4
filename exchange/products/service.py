"""Use cases of the catalogue: seed it from its files, and read it.

The files are the truth for facts: seeding writes what differs and never deletes. A product that has left the
files stays listed, because orders and leases may name it; its trading phase takes it off the market.
"""

from importlib.resources import files
from typing import Final

from exchange.kit.database import Connection
from exchange.kit.errors import NotFound
from exchange.products import rules, store
from exchange.products.models import (
    Accelerator,
    Catalogue,
    CatalogueError,
    Hub,
    HubView,
    Interconnect,
    ProductFilter,
    ProductSpec,
)

FOLDER: Final = files("exchange.products") / "catalogue"


def read_catalogue() -> Catalogue:
    """Return the catalogue of the checkout's files; raises `CatalogueError` naming every broken rule."""
    return rules.read_catalogue({name: (FOLDER / name).read_bytes() for name in rules.FILES})


async def seed_catalogue(connection: Connection) -> None:
    """Bring the catalogue's tables to what the files say. Idempotent; run it inside a transaction.

    Raises `CatalogueError` when the files are at fault or would change what a listed product must keep.
    """
    catalogue = read_catalogue()
    await store.lock_catalogue(connection)
    listed = {product.id: product for product in await store.select_products(connection, ProductFilter())}
    if broken := [
        *rules.contradictions(listed, catalogue.products),
        *rules.relocations(listed, catalogue),
    ]:
        raise CatalogueError("; ".join(broken))
    await store.upsert_accelerators(connection, catalogue.accelerators)
    await store.upsert_hubs(connection, catalogue.hubs)
    await store.upsert_clusters(connection, catalogue.clusters)
    await store.upsert_interconnects(connection, catalogue.interconnects)
    await store.upsert_products(connection, catalogue.products)


async def load_products(connection: Connection) -> list[ProductSpec]:
    """Return every listed product with what orders are judged by, by id."""
    return await store.select_products(connection, ProductFilter())


async def list_products(connection: Connection, wanted: ProductFilter) -> list[ProductSpec]:
    """Return the products the filter lets through, by id."""
    return await store.select_products(connection, wanted)


async def get_product(connection: Connection, product_id: str) -> ProductSpec:
    """Return one product; raises `NotFound`."""
    products = []
    if rules.is_product_id(product_id):
        products = await store.select_products(connection, ProductFilter(id=product_id))
    if not products:
        raise NotFound(detail="there is no product of this id; GET /v1/products lists them")
    return products[0]


async def list_accelerators(connection: Connection) -> list[Accelerator]:
    """Return every accelerator, by id."""
    return await store.select_accelerators(connection)


async def list_hubs(connection: Connection) -> list[HubView]:
    """Return every hub with its clusters, by code."""
    hubs: list[Hub] = await store.select_hubs(connection)
    clusters = await store.select_clusters(connection)
    return [rules.view_of_hub(hub, clusters) for hub in hubs]


async def list_interconnects(connection: Connection) -> list[Interconnect]:
    """Return every interconnect class, by code."""
    return await store.select_interconnects(connection)
