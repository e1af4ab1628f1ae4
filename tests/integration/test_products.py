"""Goal: the database holds the catalogue exactly, and anyone can read it over HTTP.

Method: seed a migrated database, more than once and from several sides at a time, and read it back through
the service and through the application with only this controller.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import msgspec
import pytest

from exchange.kit.auth import Authenticator, StoredKey
from exchange.kit.database import CheckViolation, Database, RefusedChange
from exchange.kit.http_app import build_app
from exchange.products import rules, service, store
from exchange.products.models import CatalogueError, Origin, ProductFilter
from exchange.products.routes import CatalogueController
from matching.product import Product

CATALOGUE = service.read_catalogue()
T4 = "nvidia-t4.zhangjiakou.pcie3"
TABLES = ("accelerator", "hub", "cluster", "interconnect", "product")


async def seed(database: Database) -> None:
    async with database.transaction() as connection:
        await service.seed_catalogue(connection)


async def row_versions(database: Database) -> list[tuple[str, str, int]]:
    """Return each row's key and the transaction that wrote it last: the same later means untouched."""
    found: list[tuple[str, str, int]] = []
    async with database.connection() as connection:
        for table in TABLES:
            key = "id" if table in {"accelerator", "product"} else "code"
            rows = await connection.fetch(f"SELECT {key} AS key, xmin::text::bigint AS written FROM {table}")  # noqa: S608
            found += sorted((table, row["key"], row["written"]) for row in rows)
    return found


async def test_the_database_holds_what_the_files_say(database: Database) -> None:
    await seed(database)
    async with database.connection() as connection:
        specs = await service.load_products(connection)
        accelerators = await service.list_accelerators(connection)
        hubs = await service.list_hubs(connection)
        interconnects = await service.list_interconnects(connection)
    wanted = {each.id: each for each in CATALOGUE.products}
    origin_of = {each.id: each.origin for each in CATALOGUE.accelerators}
    hub_of = {each.code: each.hub_code for each in CATALOGUE.clusters}
    assert [each.id for each in specs] == sorted(wanted)
    for spec in specs:
        listed = msgspec.structs.asdict(wanted[spec.id])
        assert msgspec.structs.asdict(spec) == listed | {
            "origin": origin_of[spec.accelerator_id],
            "hub_code": hub_of[spec.cluster_code],
        }
    assert [rules.view_of_accelerator(each) for each in accelerators] == [
        rules.view_of_accelerator(each) for each in sorted(CATALOGUE.accelerators, key=lambda each: each.id)
    ]
    assert {each.code for hub in hubs for each in hub.clusters} == set(hub_of)
    assert {each.code for each in interconnects} == {each.code for each in CATALOGUE.interconnects}


async def test_a_spec_gives_its_book_the_terms_of_the_catalogue(database: Database) -> None:
    await seed(database)
    async with database.connection() as connection:
        spec = await service.get_product(connection, "nvidia-h100-sxm.guian.ib-ndr400")
    assert spec.book_product() == Product("nvidia-h100-sxm.guian.ib-ndr400", 8, 80_000, 1319)


async def test_seeding_again_touches_no_row(database: Database) -> None:
    await seed(database)
    before = await row_versions(database)
    await seed(database)
    assert await row_versions(database) == before


async def test_several_starters_seed_at_once(database: Database) -> None:
    await asyncio.gather(*(seed(database) for _ in range(4)))
    rows = await row_versions(database)
    assert len([key for table, key, _ in rows if table == "product"]) == len(CATALOGUE.products)
    assert len({written for _, _, written in rows}) == 1  # the first wrote all, the others nothing


async def test_an_edited_fact_is_brought_back_and_only_that_row_is_written(database: Database) -> None:
    await seed(database)
    async with database.transaction() as connection:
        await connection.execute("UPDATE accelerator SET note = 'guess' WHERE id = 'nvidia-t4'")
        await connection.execute("UPDATE product SET reference_price_ticks = 1 WHERE id = $1", T4)
    before = await row_versions(database)
    await seed(database)
    after = await row_versions(database)
    changed = {new[:2] for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {("accelerator", "nvidia-t4"), ("product", T4)}
    async with database.connection() as connection:
        spec = await service.get_product(connection, T4)
    assert spec.reference_price_ticks == 231


async def test_a_listed_lot_is_never_changed_by_seeding(database: Database) -> None:
    await seed(database)
    async with database.transaction() as connection:
        await connection.execute("UPDATE product SET lot_gpus = 2 WHERE id = $1", T4)
    before = await row_versions(database)
    with pytest.raises(CatalogueError, match=r"nvidia-t4\.zhangjiakou\.pcie3 is listed with lot_gpus 2"):
        await seed(database)
    assert await row_versions(database) == before


async def test_what_was_traded_stays_of_its_origin_and_at_its_hub(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed(database)
    before = await row_versions(database)
    domestic = tuple(
        msgspec.structs.replace(each, origin=Origin.DOMESTIC) if each.id == "nvidia-t4" else each
        for each in CATALOGUE.accelerators
    )
    moved = tuple(
        msgspec.structs.replace(each, hub_code="guizhou") if each.code == "zhangjiakou" else each
        for each in CATALOGUE.clusters
    )
    other = msgspec.structs.replace(CATALOGUE, accelerators=domestic, clusters=moved)
    monkeypatch.setattr(service, "read_catalogue", lambda: other)
    with pytest.raises(CatalogueError) as caught:
        await seed(database)
    assert f"{T4} is listed with origin foreign and cannot change to domestic" in str(caught.value)
    assert f"{T4} is listed at beijing-tianjin-hebei and cannot move to guizhou" in str(caught.value)
    assert await row_versions(database) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accelerator SET origin = 'domestic' WHERE id = 'nvidia-t4'",
        "UPDATE cluster SET hub_code = 'guizhou' WHERE code = 'zhangjiakou'",
        "UPDATE product SET interconnect_code = 'other'",
    ],
)
async def test_the_database_itself_keeps_what_was_traded(database: Database, statement: str) -> None:
    await seed(database)
    with pytest.raises(RefusedChange, match="stays as it was written"):
        async with database.transaction() as connection:
            await connection.execute(statement)


async def test_a_product_moved_to_another_partition_stays_there(database: Database) -> None:
    await seed(database)
    async with database.transaction() as connection:
        await connection.execute("UPDATE product SET partition_id = 7 WHERE id = $1", T4)
    await seed(database)
    async with database.connection() as connection:
        assert (await service.get_product(connection, T4)).partition_id == 7


async def test_the_database_itself_refuses_a_product_without_a_price(database: Database) -> None:
    await seed(database)
    worthless = msgspec.structs.replace(CATALOGUE.products[0], reference_price_ticks=0)
    with pytest.raises(CheckViolation):
        async with database.transaction() as connection:
            await store.upsert_products(connection, [worthless])


async def test_filters_narrow_and_combine(database: Database) -> None:
    await seed(database)
    async with database.connection() as connection:
        every = await service.load_products(connection)
        for wanted in (
            ProductFilter(accelerator_id="huawei-ascend-910b3"),
            ProductFilter(origin=Origin.DOMESTIC),
            ProductFilter(hub_code="guizhou"),
            ProductFilter(interconnect_code="pcie4"),
            ProductFilter(origin=Origin.FOREIGN, hub_code="ningxia", interconnect_code="pcie4"),
        ):
            found = await service.list_products(connection, wanted)
            set_fields = {
                name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None
            }
            by_hand = [each for each in every if all(getattr(each, k) == v for k, v in set_fields.items())]
            assert found == by_hand
            assert found


@pytest.fixture(scope="module")
async def client(module_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async def no_key(_key_id: int) -> StoredKey | None:
        return None

    async def is_ready() -> bool:
        return True

    await seed(module_database)
    async with module_database.connection() as connection:
        products = {each.id: each for each in await service.load_products(connection)}
    app = build_app(
        [CatalogueController],
        authenticator=Authenticator(no_key),
        is_ready=is_ready,
        state={"database": module_database, "products": products},
    )
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
        yield client


async def read(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_products_are_read_without_a_key(client: httpx.AsyncClient) -> None:
    page = await read(client, "/v1/products?accelerator=nvidia-h100-sxm&hub=guizhou")
    assert page == {
        "data": [
            {
                "id": "nvidia-h100-sxm.guian.ib-ndr400",
                "accelerator": "nvidia-h100-sxm",
                "origin": "foreign",
                "hub": "guizhou",
                "cluster": "guian",
                "interconnect": "ib-ndr400",
                "lot_gpus": 8,
                "tick_cny_per_gpu_hour": "0.01",
                "collar_bps": 80000,
                "reference_price_cny_per_gpu_hour": "13.19",
                "listing_horizon_hours": 2160,
            }
        ],
        "next_cursor": None,
    }
    assert await read(client, "/v1/products/nvidia-h100-sxm.guian.ib-ndr400") == page["data"][0]


async def test_pages_of_products_join_to_the_whole(client: httpx.AsyncClient) -> None:
    whole = await read(client, "/v1/products?limit=1000")
    joined: list[Any] = []
    cursor = ""
    while True:
        page = await read(client, f"/v1/products?limit=7{cursor}")
        joined += page["data"]
        if page["next_cursor"] is None:
            break
        assert len(page["data"]) == 7
        cursor = f"&cursor={page['next_cursor']}"
    assert joined == whole["data"]
    assert len(joined) == len(CATALOGUE.products)


async def test_accelerators_come_with_the_source_of_each_figure(client: httpx.AsyncClient) -> None:
    data = (await read(client, "/v1/accelerators"))["data"]
    assert len(data) == len(CATALOGUE.accelerators)
    of_id = {each["id"]: each for each in data}
    assert of_id["nvidia-h100-sxm"]["fp16_dense_tflops"] == "989.4"
    assert of_id["enflame-s60"]["fp16_dense_tflops"] is None
    assert of_id["cambricon-mlu590"]["confidence"] == "disputed"
    for each in data:
        assert {"memory"} <= {figure for source in each["sources"] for figure in source["figures"]}


async def test_hubs_come_with_their_clusters_in_both_languages(client: httpx.AsyncClient) -> None:
    data = (await read(client, "/v1/hubs"))["data"]
    assert len(data) == 8
    guizhou = next(each for each in data if each["code"] == "guizhou")
    assert guizhou["name_zh"] == "贵州枢纽"
    assert [each["name_zh"] for each in guizhou["clusters"]] == ["贵安集群"]
    assert len((await read(client, "/v1/interconnects"))["data"]) == len(CATALOGUE.interconnects)


@pytest.mark.parametrize(
    "query,pointer",
    [
        ("origin=martian", "?origin"),
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("hub=Guizhou", "?hub"),
        ("accelerator=a%0Ab", "?accelerator"),
        ("cursor=zzz", "?cursor"),
        ("colour=red", "?colour"),
    ],
)
async def test_a_bad_query_is_refused_with_its_pointer(
    client: httpx.AsyncClient, query: str, pointer: str
) -> None:
    answer = await client.get(f"/v1/products?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "product", ["nvidia-h100-sxm", "nvidia-h100-sxm.guian.ib-ndr401", "%F0%9F%92%A5", "a%00b"]
)
async def test_an_unknown_product_is_not_found(client: httpx.AsyncClient, product: str) -> None:
    answer = await client.get(f"/v1/products/{product}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
