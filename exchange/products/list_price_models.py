"""A provider's list price of a product: what it publishes as its price to everyone, whatever it trades at.

It binds nobody: asks may be cheaper or dearer. Programmes whose `price_cap` is list pay their share of at
most the list price that stood when the ask was placed. Prices are ticks (1 tick = 1 fen) per GPU-hour.

A list price is never changed or withdrawn: a further one, of the next number, takes its place.
"""

import msgspec

from exchange.kit.fields import CnyText


class NewListPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider puts to publish its list price."""

    price_cny_per_gpu_hour: CnyText


class ListPrice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A list price as it was published: the `number`th of this provider for this product, counted from 1."""

    provider_id: int
    product_id: str
    number: int
    price_ticks: int
    listed_at_us: int


class ListPriceView(msgspec.Struct, frozen=True, kw_only=True):
    """A list price as anyone with a key sees it."""

    product: str
    provider_id: str
    number: int
    price_cny_per_gpu_hour: str
    listed_at: str
