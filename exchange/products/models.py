"""What is traded: accelerators, places, interconnect classes, and the products made of them.

The facts are reviewed by hand and live in `catalogue/*.json`; `catalogue/README.md` says how. Rates are
integers in tenths of a TFLOPS and prices integers in ticks: no floats. A figure that no source gives is None.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from exchange.kit.fields import exact
from matching.product import Product

Slug = Annotated[str, msgspec.Meta(pattern=exact(r"[a-z0-9]+(?:-[a-z0-9]+)*"), max_length=60)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=600)]
Positive = Annotated[int, msgspec.Meta(gt=0)]


class Origin(StrEnum):
    """Who designed an accelerator: domestic is a company of mainland China, wherever the chip was made."""

    DOMESTIC = "domestic"
    FOREIGN = "foreign"


class Confidence(StrEnum):
    """How far an accelerator's figures can be trusted."""

    VENDOR = "vendor"
    """The vendor publishes them."""
    REPORTED = "reported"
    """The vendor does not, but the sources found agree."""
    DISPUTED = "disputed"
    """The vendor does not, and the sources found disagree; the note says how."""


Figure = Literal["memory", "fp16_dense", "reference_price"]


class Source(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Where figures come from: `says` is what the document gives, before any conversion of ours."""

    figures: Annotated[tuple[Figure, ...], msgspec.Meta(min_length=1)]
    publisher: Text
    title: Text
    kind: Literal["vendor", "third_party", "exchange"]
    """`exchange` marks a figure that is our own choice."""
    read: bool
    """Whether the document itself was read at review; a False one is known through a source that was."""
    says: Text


class Accelerator(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One variant, never a family: an Ascend 910B3, not a 910B. Rates are dense: without sparsity."""

    id: Slug
    vendor: Text
    name: Text
    origin: Origin
    memory_gb: Positive | None
    fp16_dense_tflops_tenths: Positive | None
    confidence: Confidence
    sources: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1)]
    note: Annotated[str, msgspec.Meta(max_length=600)] = ""


class PricedAccelerator(Accelerator, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """An accelerator with the reference price, in ticks per GPU-hour, at which its products start."""

    reference_price_ticks: Positive


class Hub(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A national hub node of the East Data, West Compute programme."""

    code: Slug
    name_en: Text
    name_zh: Text


class Cluster(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A data-centre cluster of a hub: the place that a product names."""

    code: Slug
    hub_code: Slug
    name_en: Text
    name_zh: Text
    province: Text


class Interconnect(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """How accelerators reach each other, inside a node and between nodes."""

    code: Slug
    name: Text
    description: Text


class LotInterconnect(Interconnect, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """An interconnect class and its products' lot: a class with a network for training sells whole nodes."""

    lot_gpus: Positive


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The terms that all products of the catalogue share."""

    tick_fen: Literal[1]
    collar_bps: Positive
    listing_horizon_hours: Annotated[int, msgspec.Meta(ge=24, le=8784)]
    partition_id: Positive


class Listing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One accelerator with one interconnect, tradable in each of the clusters: one product a cluster."""

    accelerator_id: Slug
    interconnect_code: Slug
    clusters: Annotated[tuple[Slug, ...], msgspec.Meta(min_length=1)]


class ProductsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `products.json`."""

    terms: Terms
    listings: tuple[Listing, ...]


class PlacesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `places.json`."""

    hubs: tuple[Hub, ...]
    clusters: tuple[Cluster, ...]


class TraceModel(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Which accelerator stands for a model name of a public trace; None where no product does."""

    trace: Text
    model: Text
    accelerator_id: Slug | None
    assumption: bool
    """True where the mapping is our assumption and not what the source says."""
    reason: Text


class ListedProduct(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the table `product`: what is fungible, and its terms."""

    id: str
    accelerator_id: str
    cluster_code: str
    interconnect_code: str
    lot_gpus: int
    tick_fen: int
    collar_bps: int
    reference_price_ticks: int
    listing_horizon_hours: int
    partition_id: int


class ProductSpec(ListedProduct, frozen=True, kw_only=True, gc=False):
    """A product with what orders are judged by besides its terms: its accelerator's origin and its hub."""

    origin: Origin
    hub_code: str

    def book_product(self) -> Product:
        """Return what the product's order book knows of it."""
        return Product(self.id, self.lot_gpus, self.collar_bps, self.reference_price_ticks)


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The whole catalogue, as its files give it."""

    accelerators: tuple[PricedAccelerator, ...]
    hubs: tuple[Hub, ...]
    clusters: tuple[Cluster, ...]
    interconnects: tuple[LotInterconnect, ...]
    products: tuple[ListedProduct, ...]
    trace_models: tuple[TraceModel, ...]


class ProductFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which products a list shows; None does not narrow."""

    id: str | None = None
    accelerator_id: str | None = None
    origin: Origin | None = None
    hub_code: str | None = None
    interconnect_code: str | None = None
    after_id: str | None = None
    limit: int | None = None


class AcceleratorView(msgspec.Struct, frozen=True, kw_only=True):
    """An accelerator as the API shows it."""

    id: str
    vendor: str
    name: str
    origin: Origin
    memory_gb: int | None
    fp16_dense_tflops: str | None
    """FP16 or BF16 matrix rate without sparsity, a decimal string; null where no source gives one."""
    confidence: Confidence
    sources: tuple[Source, ...]
    note: str


class HubView(msgspec.Struct, frozen=True, kw_only=True):
    """A hub as the API shows it, with its clusters."""

    code: str
    name_en: str
    name_zh: str
    clusters: tuple[Cluster, ...]


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """A product as the API shows it."""

    id: str
    accelerator: str
    origin: Origin
    hub: str
    cluster: str
    interconnect: str
    lot_gpus: int
    tick_cny_per_gpu_hour: str
    collar_bps: int
    reference_price_cny_per_gpu_hour: str
    listing_horizon_hours: int


class CatalogueError(Exception):
    """The catalogue's files break a rule, or contradict what is listed already."""
