"""What a query may name of the catalogue: a mistyped name is told, not answered with an empty list. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from exchange.kit.errors import Faults
from exchange.kit.fields import Readable
from exchange.products.models import ProductSpec

_PARTS: Final[Mapping[str, Callable[[ProductSpec], str]]] = {
    "accelerator": lambda product: product.accelerator_id,
    "hub": lambda product: product.hub_code,
    "interconnect": lambda product: product.interconnect_code,
}


def check_product(faults: Faults, products: Mapping[str, ProductSpec], product_id: Readable) -> None:
    """Record that `?product` names none of the products; None names nothing."""
    if isinstance(product_id, str) and product_id not in products:
        detail = "must be a product listed by GET /v1/products"
        faults.add("?product", "unknown_product", detail, product_id)


def check_parts(
    faults: Faults,
    products: Mapping[str, ProductSpec],
    *,
    accelerator: Readable,
    hub: Readable,
    interconnect: Readable,
) -> None:
    """Record each of these parameters that no product has; None names nothing."""
    for name, text in (("accelerator", accelerator), ("hub", hub), ("interconnect", interconnect)):
        if isinstance(text, str) and all(_PARTS[name](each) != text for each in products.values()):
            faults.add(f"?{name}", "unknown_reference", "is of no product of this exchange", text)
