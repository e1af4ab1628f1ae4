"""The catalogue's rows: one typed function a query."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from exchange.kit.database import Connection, Record, from_us, to_us
from exchange.kit.queries import load_queries
from exchange.products.list_price_models import ListPrice
from exchange.products.models import (
    Accelerator,
    Cluster,
    Hub,
    Interconnect,
    ListedProduct,
    ProductFilter,
    ProductSpec,
    Source,
)

QUERIES: Final = load_queries("exchange.products")


async def lock_catalogue(connection: Connection) -> None:
    """Wait until no other transaction writes the catalogue, and keep others out until this one ends."""
    await connection.execute(QUERIES.lock_catalogue)


async def upsert_accelerators(connection: Connection, accelerators: Iterable[Accelerator]) -> None:
    """Write accelerators."""
    await connection.execute(QUERIES.upsert_accelerators, _rows(accelerators))


async def upsert_hubs(connection: Connection, hubs: Iterable[Hub]) -> None:
    """Write hubs."""
    await connection.execute(QUERIES.upsert_hubs, _rows(hubs))


async def upsert_clusters(connection: Connection, clusters: Iterable[Cluster]) -> None:
    """Write clusters; their hubs must be there."""
    await connection.execute(QUERIES.upsert_clusters, _rows(clusters))


async def upsert_interconnects(connection: Connection, interconnects: Iterable[Interconnect]) -> None:
    """Write interconnect classes."""
    await connection.execute(QUERIES.upsert_interconnects, _rows(interconnects))


async def upsert_products(connection: Connection, products: Iterable[ListedProduct]) -> None:
    """List products; of listed ones only collar, reference price and horizon change."""
    await connection.execute(QUERIES.upsert_products, _rows(products))


async def select_products(connection: Connection, wanted: ProductFilter) -> list[ProductSpec]:
    """Return the products the filter lets through, by id."""
    rows = await connection.fetch(
        QUERIES.select_products,
        wanted.id,
        wanted.accelerator_id,
        wanted.origin,
        wanted.hub_code,
        wanted.interconnect_code,
        wanted.after_id,
        wanted.limit,
    )
    return [msgspec.convert(dict(row), ProductSpec) for row in rows]


async def select_accelerators(connection: Connection) -> list[Accelerator]:
    """Return every accelerator, by id."""
    rows = await connection.fetch(QUERIES.select_accelerators)
    return [_accelerator(dict(row)) for row in rows]


async def select_hubs(connection: Connection) -> list[Hub]:
    """Return every hub, by code."""
    rows = await connection.fetch(QUERIES.select_hubs)
    return [msgspec.convert(dict(row), Hub) for row in rows]


async def select_clusters(connection: Connection) -> list[Cluster]:
    """Return every cluster, by hub and code."""
    rows = await connection.fetch(QUERIES.select_clusters)
    return [msgspec.convert(dict(row), Cluster) for row in rows]


async def select_interconnects(connection: Connection) -> list[Interconnect]:
    """Return every interconnect class, by code."""
    rows = await connection.fetch(QUERIES.select_interconnects)
    return [msgspec.convert(dict(row), Interconnect) for row in rows]


async def lock_list_price(connection: Connection, provider_id: int, product_id: str) -> None:
    """Wait until no other transaction publishes this list price, and keep others out until this one ends."""
    await connection.execute(QUERIES.lock_list_price, provider_id, product_id)


async def latest_list_price(connection: Connection, provider_id: int, product_id: str) -> ListPrice | None:
    """Return a provider's list price of a product, or None."""
    row = await connection.fetchrow(QUERIES.latest_list_price, provider_id, product_id)
    return None if row is None else _list_price(row)


async def insert_list_price(connection: Connection, price: ListPrice) -> None:
    """Store a further list price; the database refuses one that does not follow the one before it."""
    await connection.execute(
        QUERIES.insert_list_price,
        price.provider_id,
        price.product_id,
        price.number,
        price.price_ticks,
        from_us(price.listed_at_us),
    )


async def present_list_prices(
    connection: Connection,
    *,
    product_id: str | None = None,
    after_provider_id: int = 0,
    limit: int | None = None,
) -> list[ListPrice]:
    """Return the present list prices of a product, or of all, by product and provider."""
    rows = await connection.fetch(QUERIES.present_list_prices, product_id, after_provider_id, limit)
    return [_list_price(row) for row in rows]


async def list_prices_before(
    connection: Connection,
    product_id: str,
    *,
    provider_id: int | None,
    before: tuple[int, int, int] | None,
    limit: int,
) -> list[ListPrice]:
    """Return the list prices of a product before one (its time, provider and number), newest first."""
    at_us, before_provider_id, number = before or (None, None, None)
    rows = await connection.fetch(
        QUERIES.list_prices_before,
        product_id,
        provider_id,
        None if at_us is None else from_us(at_us),
        before_provider_id,
        number,
        limit,
    )
    return [_list_price(row) for row in rows]


def _list_price(row: Record) -> ListPrice:
    return ListPrice(
        provider_id=row["provider_id"],
        product_id=row["product_id"],
        number=row["number"],
        price_ticks=row["price_ticks"],
        listed_at_us=to_us(row["listed_at"]),
    )


def _rows(structs: Iterable[msgspec.Struct]) -> str:
    """Return structs as the JSON array a query takes; members that are no column are ignored there."""
    return msgspec.json.encode(list(structs)).decode()


def _accelerator(row: dict[str, Any]) -> Accelerator:
    row["sources"] = msgspec.json.decode(row["sources"], type=tuple[Source, ...])
    return msgspec.convert(row, Accelerator)
