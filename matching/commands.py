"""Commands: what a book is asked to do. Ids, hours and the sequence come from outside.

`sequence` rises strictly within a book (dense per partition). A live order of another participant is unknown
to the caller. Every command gives a tuple of events, an empty one where nothing changes (a phase or hour
already reached).
"""

import msgspec

from matching.order import Order, Side
from matching.product import Phase


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Match a new order now; its sequence is its priority at its price."""

    sequence: int
    order: Order


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Withdraw what remains of a live order."""

    sequence: int
    order_id: int
    participant: int


class ReduceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Make an order smaller, keeping its priority.

    `quantity_gpus` is the new total, filled part included, smaller than the present total. A bid whose new
    total is already filled, and an ask left with nothing free, leave the book as cancelled. An ask's free
    capacity falls by the difference in every hour, to 0 where less is free.
    """

    sequence: int
    order_id: int
    participant: int
    quantity_gpus: int


class ReplaceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Cancel `order_id` and place `order` in one step, with the priority of this command.

    `order` stands on the same side and belongs to the same participant; it may keep the id. Where it is
    refused, the replaced order stays as it was.
    """

    sequence: int
    order_id: int
    participant: int
    order: Order


class CancelAll(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Withdraw every live order of a participant, of one side where `side` is given; oldest first."""

    sequence: int
    participant: int
    side: Side | None = None


class AdvanceHour(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Make `hour` the earliest hour that can be traded: earlier hours fall off every order."""

    sequence: int
    hour: int


class SetPhase(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Open, restrict or halt the book."""

    sequence: int
    phase: Phase


Command = PlaceOrder | CancelOrder | ReduceOrder | ReplaceOrder | CancelAll | AdvanceHour | SetPhase
