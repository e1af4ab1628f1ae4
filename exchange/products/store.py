"""The catalogue's rows: one typed function a query."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from exchange.kit.database import Connection
from exchange.kit.queries import load_queries
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


def _rows(structs: Iterable[msgspec.Struct]) -> str:
    """Return structs as the JSON array a query takes; members that are no column are ignored there."""
    return msgspec.json.encode(list(structs)).decode()


def _accelerator(row: dict[str, Any]) -> Accelerator:
    row["sources"] = msgspec.json.decode(row["sources"], type=tuple[Source, ...])
    return msgspec.convert(row, Accelerator)
