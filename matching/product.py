"""What is fungible: one product, one book.

A product is an accelerator variant (never a bare family name) in a hub with an interconnect class.
"""

from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """What a book accepts. Hours advance in every phase.

    open         everything cancel_only  cancels, and reductions of asks and of bids that take part (a smaller
    whole-quantity bid may trade) halted       cancels only: a participant may always withdraw, because a
    resting order holds its money
    """

    OPEN = "open"
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"


class Product(msgspec.Struct, frozen=True, gc=False):
    """The facts of a product that matching needs.

    `lot_gpus`: every quantity is a multiple of it. `collar_bps`: an order further than this from the
    reference price is refused; 0 switches the collar off. `reference_price_ticks`: the reference until the
    first trade.
    """

    id: str
    lot_gpus: int
    collar_bps: int
    reference_price_ticks: int


class Collar(msgspec.Struct, frozen=True, gc=False):
    """What the collar of a product lets in at a moment: prices from `lowest_ticks` to `highest_ticks`."""

    reference_ticks: int
    lowest_ticks: int
    highest_ticks: int
