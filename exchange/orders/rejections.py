"""What came of placing an order, and why one, or its amendment, was rejected, as its owner is told. Pure.

A rejected order stays on record under its id, and so does this answer: the same request gets it again. Of a
refused amendment only the audit trail knows: the order is as it was, and the same wish may be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.kit.errors import Conflict, Fault, NotEnoughMoney
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.orders.models import DenialReason, OrderStatus, PlacedOrder
from exchange.orders.outcomes import Placed, Refused
from exchange.orders.views import view_of
from matching.events import RejectReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.kit.errors import Refusal
    from exchange.orders.models import Denial, LiveOrder
    from exchange.orders.outcomes import Outcome
    from exchange.products.models import ProductSpec

# Reading a member off its class is slow, and every order asks.
_REJECTED: Final = OrderStatus.REJECTED


def placed_of(outcome: Outcome, products: Mapping[str, ProductSpec]) -> PlacedOrder | Refusal:
    """Return the answer to an order's first sending; TypeError for what does not come of placing one."""
    if isinstance(outcome, Refused):
        return outcome.refusal
    if not isinstance(outcome, Placed):
        raise TypeError(f"placing an order came to {outcome}")
    placed = outcome.order
    if placed.status is _REJECTED:
        return rejection_of(placed, products[placed.product_id], {})
    return PlacedOrder(view=view_of(placed, placed.fills, outcome.open_holds), replayed=False)


def rejection_of(
    order: LiveOrder, product: ProductSpec, headers: Mapping[str, str]
) -> NotEnoughMoney | Conflict:
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
        errors=[book_fault(order, RejectReason(order.reason), product)],
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


def amendment_rejected(order_id: int, wanted: LiveOrder, reason: str, product: ProductSpec) -> Conflict:
    """Return the refusal of an amendment by the book, `wanted` being what it refused."""
    return Conflict(
        "order_rejected",
        f"order {encode_id('ord', order_id)} stays as it was: the book refused the amendment: {reason}",
        errors=[book_fault(wanted, RejectReason(reason), product)],
    )


def _kind_of(denial: Denial) -> type[NotEnoughMoney | Conflict]:
    return NotEnoughMoney if denial.reason is DenialReason.INSUFFICIENT_FUNDS else Conflict


def voucher_faults(denial: Denial) -> list[Fault]:
    """Return why each voucher that the order names cannot pay."""
    refused = [(encode_id("vch", each.voucher_id), each) for each in denial.refusals]
    return [
        Fault("/vouchers", refusal.code, f"{voucher_id}: {refusal.detail}", voucher_id)
        for voucher_id, refusal in refused
    ]


def book_fault(order: LiveOrder, reason: RejectReason, product: ProductSpec) -> Fault:
    """Return the rule of the book that an order broke."""
    if reason is RejectReason.PRICE_OUTSIDE_COLLAR:
        rule = f"must lie within {product.collar_bps / 100:g} % of the product's reference price"
        return Fault("/price_cny_per_gpu_hour", reason, rule, format_cny(order.price_ticks))
    if reason is RejectReason.POST_ONLY_WOULD_TRADE:
        return Fault("/post_only", reason, "forbids it, and the order would trade at once", value=True)
    if reason is RejectReason.WINDOW_IN_PAST:
        rule = "has passed while the order was under way"
        return Fault("/starts_at", reason, rule, format_hour(order.starts_hour))
    if reason is RejectReason.PHASE:
        return Fault("/product", reason, "is not open for new orders", product.id)
    return Fault("", reason, "breaks a rule of the book")
