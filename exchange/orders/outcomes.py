"""What comes of a request to a partition; `as_committed` is what its caller may be told of it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from exchange.kit.errors import Refusal
from exchange.orders.models import LIVE_STATUSES, LiveOrder, Priority
from exchange.orders.views import open_holds_of
from matching.product import Phase


class Placed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The order has its outcome: accepted by the book, rejected by it, or denied before it.

    `open_holds`: what it sets aside, (voucher id, 0 for cash; fen) pairs, once `as_committed`.
    """

    order: LiveOrder
    open_holds: list[tuple[int, int]] = []


class Duplicate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The participant's client order id had its outcome before."""

    order_id: int
    fingerprint: bytes


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a cancel: the order as it stands now, or None where no such order is live."""

    order: LiveOrder | None


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order that a mass cancel withdrew, and what was left of it then."""

    order: LiveOrder
    remaining_gpus: int
    remaining_gpu_hours: int


class AllCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What a mass cancel withdrew in one partition, product by product, oldest first."""

    withdrawn: list[Withdrawn]


class Amended(msgspec.Struct, frozen=True, kw_only=True):
    """The order is as was wished: the same one, or the one in its place."""

    order: LiveOrder
    priority: Priority
    open_holds: list[tuple[int, int]] = []


class AmendedBefore(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The same wish had its outcome before: which order went on, and how."""

    order_id: int
    priority: Priority


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was done, and this is why."""

    refusal: Refusal


class PhaseSet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The product is in the phase that was asked for."""

    phase: Phase


Outcome = Placed | Duplicate | Cancelled | AllCancelled | Amended | AmendedBefore | Refused | PhaseSet

_STILL_CHANGING: Final = (Placed, Amended)
"""What speaks of an order that may go on; as a tuple, since every order asks and a union is made anew."""


def as_committed(outcome: Outcome) -> Outcome:
    """An outcome as it stands now: the next batch changes the order that memory keeps, and its money."""
    if not isinstance(outcome, _STILL_CHANGING):
        return outcome  # what was cancelled changes no more
    order = outcome.order
    if order.status not in LIVE_STATUSES:
        return outcome  # it has left memory, and sets nothing aside
    kept = replace(order, funded=None)
    holds = open_holds_of(order)
    if isinstance(outcome, Placed):
        return Placed(order=kept, open_holds=holds)
    return Amended(order=kept, priority=outcome.priority, open_holds=holds)
