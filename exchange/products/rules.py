"""The catalogue's rules: how its files make products, and what must hold before they reach the database.

Everything here is pure; the files come in as bytes. `faults` names every broken rule at once, in plain words.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from exchange.kit.clock import format_rfc3339
from exchange.kit.errors import Faults
from exchange.kit.fields import Readable, format_cny, money_fen
from exchange.kit.ids import encode_id
from exchange.products.list_price_models import ListPrice, ListPriceView
from exchange.products.models import (
    Accelerator,
    AcceleratorView,
    Catalogue,
    CatalogueError,
    Cluster,
    Confidence,
    Hub,
    HubView,
    ListedProduct,
    LotInterconnect,
    PlacesFile,
    PricedAccelerator,
    ProductsFile,
    ProductSpec,
    ProductView,
    TraceModel,
)
from matching.product import Product

T = TypeVar("T")

FILES: Final = (
    "accelerators_domestic.json",
    "accelerators_foreign.json",
    "interconnects.json",
    "places.json",
    "products.json",
    "trace_models.json",
)
NODE_GPUS: Final = 8
"""A whole node, the lot of every class with a network for training; single cards trade by one."""

PRICE_TICKS_MAX: Final = 10**9
"""The highest price of a GPU-hour: keeps price x quantity x hours inside 63 bits for every order."""

LISTED_FOREVER: Final = ("lot_gpus", "tick_fen", "accelerator_id", "cluster_code", "interconnect_code")
"""Orders rest and leases run under these, so a listed product keeps them; a change needs a new product."""


_PRODUCT_ID: Final = re.compile(r"[a-z0-9-]{1,60}(\.[a-z0-9-]{1,60}){2}")


def is_product_id(text: str) -> bool:
    """Whether a text could be a product's id; one that could not is never looked up."""
    return _PRODUCT_ID.fullmatch(text) is not None


def product_id(accelerator_id: str, cluster_code: str, interconnect_code: str) -> str:
    """Return the id of a product, such as nvidia-h100-sxm.guian.ib-ndr400."""
    return f"{accelerator_id}.{cluster_code}.{interconnect_code}"


def read_catalogue(files: Mapping[str, bytes]) -> Catalogue:
    """Return the catalogue of the files named in `FILES`; raises `CatalogueError` naming every fault."""
    accelerators = (
        *_decode(files, "accelerators_domestic.json", tuple[PricedAccelerator, ...]),
        *_decode(files, "accelerators_foreign.json", tuple[PricedAccelerator, ...]),
    )
    interconnects = _decode(files, "interconnects.json", tuple[LotInterconnect, ...])
    places = _decode(files, "places.json", PlacesFile)
    listed = _decode(files, "products.json", ProductsFile)
    trace_models = _decode(files, "trace_models.json", tuple[TraceModel, ...])
    catalogue = Catalogue(
        accelerators=accelerators,
        hubs=places.hubs,
        clusters=places.clusters,
        interconnects=interconnects,
        products=tuple(_products(listed, accelerators, interconnects)),
        trace_models=trace_models,
    )
    if broken := list(faults(catalogue)):
        raise CatalogueError("the catalogue breaks its rules: " + "; ".join(broken))
    return catalogue


def _decode(files: Mapping[str, bytes], name: str, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(files[name], type=type_)
    except msgspec.DecodeError as error:
        raise CatalogueError(f"{name}: {error}") from error


def _products(
    listed: ProductsFile,
    accelerators: Iterable[PricedAccelerator],
    interconnects: Iterable[LotInterconnect],
) -> Iterator[ListedProduct]:
    price_of = {each.id: each.reference_price_ticks for each in accelerators}
    lot_of = {each.code: each.lot_gpus for each in interconnects}
    for listing in listed.listings:
        if listing.accelerator_id not in price_of:
            raise CatalogueError(f"products.json: there is no accelerator {listing.accelerator_id}")
        if listing.interconnect_code not in lot_of:
            raise CatalogueError(f"products.json: there is no interconnect {listing.interconnect_code}")
        for cluster_code in listing.clusters:
            yield ListedProduct(
                id=product_id(listing.accelerator_id, cluster_code, listing.interconnect_code),
                accelerator_id=listing.accelerator_id,
                cluster_code=cluster_code,
                interconnect_code=listing.interconnect_code,
                lot_gpus=lot_of[listing.interconnect_code],
                tick_fen=listed.terms.tick_fen,
                collar_bps=listed.terms.collar_bps,
                reference_price_ticks=price_of[listing.accelerator_id],
                listing_horizon_hours=listed.terms.listing_horizon_hours,
                partition_id=listed.terms.partition_id,
            )


def faults(catalogue: Catalogue) -> Iterator[str]:
    """Yield every broken rule of a catalogue in plain words; a good catalogue yields nothing."""
    yield from _repeated("accelerator", (each.id for each in catalogue.accelerators))
    yield from _repeated("hub", (each.code for each in catalogue.hubs))
    yield from _repeated("cluster", (each.code for each in catalogue.clusters))
    yield from _repeated("interconnect", (each.code for each in catalogue.interconnects))
    yield from _repeated("product", (each.id for each in catalogue.products))
    yield from _repeated("trace model", (f"{each.trace}: {each.model}" for each in catalogue.trace_models))
    for accelerator in catalogue.accelerators:
        yield from accelerator_faults(accelerator)
    hubs = {each.code for each in catalogue.hubs}
    for cluster in catalogue.clusters:
        if cluster.hub_code not in hubs:
            yield f"cluster {cluster.code} names no hub of the catalogue: {cluster.hub_code}"
    clusters = {each.code for each in catalogue.clusters}
    for product in catalogue.products:
        if product.cluster_code not in clusters:
            yield f"product {product.id} names no cluster of the catalogue"
        if product.lot_gpus not in {1, NODE_GPUS}:
            yield f"product {product.id} has a lot of neither 1 nor {NODE_GPUS}"
    listed = {each.accelerator_id for each in catalogue.products}
    for each in catalogue.trace_models:
        if each.accelerator_id is not None and each.accelerator_id not in listed:
            yield f"trace model {each.model} stands for {each.accelerator_id}, which has no product"


def accelerator_faults(accelerator: PricedAccelerator) -> Iterator[str]:
    """Yield what an accelerator's entry lacks: a source of a figure, or the note that a doubt needs."""
    named = {figure for source in accelerator.sources for figure in source.figures}
    present = {
        "memory": accelerator.memory_gb,
        "fp16_dense": accelerator.fp16_dense_tflops_tenths,
        "reference_price": accelerator.reference_price_ticks,
    }
    for figure, value in present.items():
        if value is not None and figure not in named:
            yield f"{accelerator.id} has no source for {figure}"
        if value is None and figure in named:
            yield f"{accelerator.id} has a source for {figure} but no figure"
        if value is None and not accelerator.note:
            yield f"{accelerator.id} has no {figure} and no note that says why"
    if accelerator.confidence is not Confidence.VENDOR and not accelerator.note:
        yield f"{accelerator.id} is {accelerator.confidence} and has no note that says what the doubt is"
    by_vendor = any(source.kind == "vendor" for source in accelerator.sources)
    if by_vendor != (accelerator.confidence is Confidence.VENDOR):
        yield f"{accelerator.id} is {accelerator.confidence}, but its sources say otherwise"


def _repeated(kind: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{kind} {name} stands {times} times"


def contradictions(listed: Mapping[str, ListedProduct], wanted: Iterable[ListedProduct]) -> Iterator[str]:
    """Yield each product whose listed form differs from the catalogue's in a term that it must keep."""
    for product in wanted:
        stored = listed.get(product.id)
        for field in LISTED_FOREVER if stored is not None else ():
            kept, changed = getattr(stored, field), getattr(product, field)
            if kept != changed:
                yield f"{product.id} is listed with {field} {kept} and cannot change to {changed}"


def relocations(listed: Mapping[str, ProductSpec], wanted: Catalogue) -> Iterator[str]:
    """Yield each listed product that would be of another origin, or stand at another hub, than it did."""
    origins = {each.id: each.origin for each in wanted.accelerators}
    hubs = {each.code: each.hub_code for each in wanted.clusters}
    for product in listed.values():
        origin = origins.get(product.accelerator_id, product.origin)
        hub_code = hubs.get(product.cluster_code, product.hub_code)
        if origin != product.origin:
            yield f"{product.id} is listed with origin {product.origin} and cannot change to {origin}"
        if hub_code != product.hub_code:
            yield f"{product.id} is listed at {product.hub_code} and cannot move to {hub_code}"


def read_price_ticks(faults: Faults, pointer: str, text: Readable) -> int | None:
    """Return a price per GPU-hour in ticks, or record a fault; one that is too high is returned as well."""
    price_ticks = money_fen(faults, pointer, text)
    if price_ticks is not None and price_ticks > PRICE_TICKS_MAX:
        faults.add(pointer, "out_of_range", f"must be at most {format_cny(PRICE_TICKS_MAX)}", text)
    return price_ticks


def format_tenths(tenths: int | None) -> str | None:
    """Return tenths as a decimal string with one decimal; 9894 gives 989.4."""
    return None if tenths is None else f"{tenths // 10}.{tenths % 10}"


def view_of_accelerator(accelerator: Accelerator) -> AcceleratorView:
    """Return an accelerator as the API shows it."""
    return AcceleratorView(
        id=accelerator.id,
        vendor=accelerator.vendor,
        name=accelerator.name,
        origin=accelerator.origin,
        memory_gb=accelerator.memory_gb,
        fp16_dense_tflops=format_tenths(accelerator.fp16_dense_tflops_tenths),
        confidence=accelerator.confidence,
        sources=accelerator.sources,
        note=accelerator.note,
    )


def view_of_hub(hub: Hub, clusters: Iterable[Cluster]) -> HubView:
    """Return a hub as the API shows it, with those of the clusters that are its own."""
    own = tuple(cluster for cluster in clusters if cluster.hub_code == hub.code)
    return HubView(code=hub.code, name_en=hub.name_en, name_zh=hub.name_zh, clusters=own)


def view_of_product(product: ProductSpec) -> ProductView:
    """Return a product as the API shows it."""
    return ProductView(
        id=product.id,
        accelerator=product.accelerator_id,
        origin=product.origin,
        hub=product.hub_code,
        cluster=product.cluster_code,
        interconnect=product.interconnect_code,
        lot_gpus=product.lot_gpus,
        tick_cny_per_gpu_hour=format_cny(product.tick_fen),
        collar_bps=product.collar_bps,
        reference_price_cny_per_gpu_hour=format_cny(product.reference_price_ticks * product.tick_fen),
        listing_horizon_hours=product.listing_horizon_hours,
    )


def view_of_list_price(price: ListPrice) -> ListPriceView:
    """Return a list price as the API shows it."""
    return ListPriceView(
        product=price.product_id,
        provider_id=encode_id("par", price.provider_id),
        number=price.number,
        price_cny_per_gpu_hour=format_cny(price.price_ticks),
        listed_at=format_rfc3339(price.listed_at_us),
    )


def products_of_partition(products: Mapping[str, ProductSpec], partition_id: int) -> dict[str, Product]:
    """Return what the books of a partition know of their products, by product id."""
    return {
        product.id: product.book_product()
        for product in products.values()
        if product.partition_id == partition_id
    }
