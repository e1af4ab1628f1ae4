"""What came of placing an order, and why one, or its amendment, was rejected, as its owner is told. Pure.

A rejected order stays on record under its id, and so does this answer: the same request gets it again. Of a
refused amendment only the audit trail knows: the order is as it was, and the same wish may be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from exchange.kit.errors import Conflict, Fault, NotEnoughMoney
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.orders.amending import shown_order
from exchange.orders.models import DenialReason, OrderStatus, PlacedOrder
from exchange.orders.outcomes import Placed, Refused
from exchange.orders.views import view_of
from exchange.products.rules import PRICE_TICKS_MAX
from matching.events import RejectReason
from matching.units import HORIZON_HOURS, NOTIONAL_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.kit.errors import Refusal
    from exchange.orders.models import Denial, LiveOrder
    from exchange.orders.outcomes import Outcome
    from matching.product import Collar

_RULES: Final = {
    RejectReason.PHASE: ("product", "is not open for new orders"),
    RejectReason.UNKNOWN_ORDER: ("", "must be of an order that still rests in the book"),
    RejectReason.WRONG_PRODUCT: ("product", "must be the product of the book"),
    RejectReason.REPLACEMENT_DIFFERS: ("side", "must be that of the order that is replaced"),
    RejectReason.DUPLICATE_ORDER_ID: ("", "must have an id that no other order in the book has"),
    RejectReason.QUANTITY_NOT_POSITIVE: ("quantity_gpus", "must be more than 0"),
    RejectReason.NOT_A_LOT_MULTIPLE: ("quantity_gpus", "must be a multiple of the product's lot"),
    RejectReason.QUANTITY_NOT_SMALLER: ("quantity_gpus", "must be less than the order has"),
    RejectReason.PRICE_NOT_POSITIVE: ("price_cny_per_gpu_hour", "must be more than 0"),
    RejectReason.WINDOW_EMPTY: ("ends_at", "must be later than starts_at"),
    RejectReason.WINDOW_TOO_SHORT: ("hours", "must fit between starts_at and ends_at"),
    RejectReason.WINDOW_IN_PAST: ("starts_at", "has passed while the order was under way"),
    RejectReason.WINDOW_BEYOND_HORIZON: (
        "ends_at",
        f"must be at most {HORIZON_HOURS} hours after the first hour for sale",
    ),
    RejectReason.MIN_HOURS_OUT_OF_RANGE: ("min_hours", "must be from 1 to the hours of the window"),
    RejectReason.NOTIONAL_TOO_LARGE: (
        "",
        f"must be worth at most {format_cny(NOTIONAL_MAX)} CNY, price by GPUs by hours",
    ),
    RejectReason.MASK_NEGATIVE: ("", "must ask of others only what the exchange knows of"),
    RejectReason.EXPIRE_HOUR_UNEXPECTED: ("expires_at", "must only be given with time_in_force gtd"),
    RejectReason.EXPIRE_HOUR_IN_PAST: ("expires_at", "has passed while the order was under way"),
    RejectReason.POST_ONLY_IMMEDIATE: (
        "post_only",
        "must be false with time_in_force ioc and fok, which never rest",
    ),
    RejectReason.PRICE_OUTSIDE_COLLAR: (
        "price_cny_per_gpu_hour",
        "must lie within the product's collar around its reference price",
    ),
    RejectReason.POST_ONLY_WOULD_TRADE: ("post_only", "forbids it, and the order would trade at once"),
}
"""The field ("": no single one) and the rule of each reason of a book; a collar tells its figures, too."""

NOT_LIVE: Final = "order_not_live"

# Reading a member off its class is slow, and every order asks.
_REJECTED: Final = OrderStatus.REJECTED


def placed_of(outcome: Outcome) -> PlacedOrder | Refusal:
    """Return the answer to an order's first sending; TypeError for what does not come of placing one."""
    if isinstance(outcome, Refused):
        return outcome.refusal
    if not isinstance(outcome, Placed):
        raise TypeError(f"placing an order came to {outcome}")
    placed = outcome.order
    if placed.status is _REJECTED:
        return rejection_of(placed, {})
    return PlacedOrder(view=view_of(placed, placed.fills, outcome.open_holds), replayed=False)


def rejection_of(order: LiveOrder, headers: Mapping[str, str]) -> NotEnoughMoney | Conflict:
    """Return the refusal that answers a rejected order, with the field, the rule and the value it broke."""
    order_id = encode_id("ord", order.order_id)
    if order.denial is not None:
        kind = _kind_of(order.denial)
        return kind(
            order.denial.reason.value,
            f"order {order_id} was denied: {order.denial.detail}",
            errors=voucher_faults(order.denial),
            outcome="applied",
            headers=headers,
        )
    return Conflict(
        "order_rejected",
        f"order {order_id} was rejected by the book: {order.reason}",
        errors=[book_fault(order, RejectReason(order.reason))],
        outcome="applied",
        headers=headers,
    )


def amendment_denied(order_id: int, denial: Denial) -> NotEnoughMoney | Conflict:
    """Return the refusal of an amendment whose replacement cannot be paid."""
    kind = _kind_of(denial)
    return kind(
        denial.reason.value,
        f"order {encode_id('ord', order_id)} stays as it was: {denial.detail}",
        errors=voucher_faults(denial),
    )


def amendment_rejected(order_id: int, wanted: LiveOrder, reason: RejectReason) -> Conflict:
    """Return the refusal of an amendment by the book, `wanted` being what it refused."""
    return Conflict(
        "order_rejected",
        f"order {encode_id('ord', order_id)} stays as it was: the book refused the amendment: {reason}",
        errors=[book_fault(wanted, reason)],
    )


def not_live(order_id: int, order: LiveOrder | None = None, heir: LiveOrder | None = None) -> Conflict:
    """Return the refusal to change an order that is over; `heir`: what goes on for one that was replaced."""
    detail = f"order {encode_id('ord', order_id)} is over"
    if order is None:
        return Conflict(NOT_LIVE, detail)
    state = _state_of(order)
    detail += f": {state}"
    if heir is None:
        return Conflict(NOT_LIVE, detail, errors=[Fault("", "order_over", f"is {state}", order.status)])
    heir_id = encode_id("ord", heir.order_id)
    goes_on = f"{heir_id} goes on for it, and is {_state_of(heir)}"
    return Conflict(NOT_LIVE, f"{detail}; {goes_on}", errors=[Fault("", "order_replaced", goes_on, heir_id)])


def _state_of(order: LiveOrder) -> str:
    return f"{order.status} ({order.reason})" if order.reason else order.status


def _kind_of(denial: Denial) -> type[NotEnoughMoney | Conflict]:
    return NotEnoughMoney if denial.reason is DenialReason.INSUFFICIENT_FUNDS else Conflict


def voucher_faults(denial: Denial) -> list[Fault]:
    """Return why each voucher that the order names cannot pay."""
    refused = [(encode_id("vch", each.voucher_id), each) for each in denial.refusals]
    return [
        Fault("/vouchers", refusal.code, f"{voucher_id}: {refusal.detail}", voucher_id)
        for voucher_id, refusal in refused
    ]


def book_fault(order: LiveOrder, reason: RejectReason) -> Fault:
    """Return the field, the rule and the value of an order that its book refused."""
    field, rule = _RULES[reason]
    if not field:
        return Fault("", reason, rule)
    fault = Fault(f"/{field}", reason, rule, getattr(shown_order(order), field))
    return fault if order.collar is None else _with_figures(fault, order.collar)


def _with_figures(fault: Fault, collar: Collar) -> Fault:
    """Return a fault that tells which prices would have been let in when the book judged the order."""
    lowest = format_cny(collar.lowest_ticks)
    highest = format_cny(min(collar.highest_ticks, PRICE_TICKS_MAX))
    reference = format_cny(collar.reference_ticks)
    rule = f"{fault.detail}: from {lowest} to {highest} CNY, by a reference of {reference} at that time"
    return replace(fault, detail=rule, lowest=lowest, highest=highest)
