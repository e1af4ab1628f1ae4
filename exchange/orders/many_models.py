"""Batches, mass cancels and dead man's switches as they are sent and as they are told."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from exchange.orders.models import NewOrder
from matching.order import Side

ORDERS_MAX = 1_000
"""How many orders a batch may have."""
TIMEOUT_S_MAX = 86_400


class Cause(StrEnum):
    """What withdrew orders where nobody asked for it then; told as their reason."""

    CANCEL_ALL_AFTER = "cancel_all_after"
    CANCEL_ON_DISCONNECT = "cancel_on_disconnect"


class NewOrders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to a thousand orders, each of which has an outcome of its own."""

    orders: Annotated[list[NewOrder], msgspec.Meta(min_length=1, max_length=ORDERS_MAX)]


class WithdrawnView(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was cancelled, and what was left of it; GPUs of an ask are those of its freest hour."""

    id: str
    client_order_id: str
    product: str
    side: Side
    filled_gpu_hours: int
    cancelled_gpus: int
    cancelled_gpu_hours: int


class WithdrawnOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was cancelled, product by product, oldest first."""

    data: list[WithdrawnView]


class NewSwitch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In how many seconds all own orders shall be cancelled; 0 for never."""

    timeout_s: Annotated[int, msgspec.Meta(ge=0, le=TIMEOUT_S_MAX)]


class SwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """When all own orders will be cancelled, by the wall clock; null: they will not."""

    timeout_s: int
    cancels_at: str | None


class DueSwitch(msgspec.Struct, frozen=True, gc=False):
    """A dead man's switch whose time has come: in which partition, whose, and by which of its keys."""

    partition_id: int
    participant_id: int
    key_id: int
    fires_at_us: int
