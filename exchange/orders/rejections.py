"""Why an order was rejected, as its owner is told. Pure.

The order itself stays on record under its id, and so does this answer: the same request gets it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.kit.errors import Conflict, Fault, NotEnoughMoney
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.orders.models import DenialReason
from matching.events import RejectReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.orders.models import Denial, LiveOrder
    from exchange.products.models import ProductSpec


def rejection_of(
    order: LiveOrder, product: ProductSpec, headers: Mapping[str, str]
) -> NotEnoughMoney | Conflict:
    """Return the refusal that answers a rejected order, with the field, the rule and the value it broke."""
    order_id = encode_id("ord", order.order_id)
    if order.denial is not None:
        return _denial_of(order_id, order.denial, headers)
    return Conflict(
        "order_rejected",
        f"order {order_id} was rejected by the book: {order.reason}",
        errors=[_fault_of(order, product)],
        outcome="applied",
        headers=headers,
    )


def _denial_of(order_id: str, denial: Denial, headers: Mapping[str, str]) -> NotEnoughMoney | Conflict:
    kind = NotEnoughMoney if denial.reason is DenialReason.INSUFFICIENT_FUNDS else Conflict
    refused = [(encode_id("vch", each.voucher_id), each) for each in denial.refusals]
    return kind(
        denial.reason.value,
        f"order {order_id} was denied: {denial.detail}",
        errors=[
            Fault("/vouchers", refusal.code, f"{voucher_id}: {refusal.detail}", voucher_id)
            for voucher_id, refusal in refused
        ],
        outcome="applied",
        headers=headers,
    )


def _fault_of(order: LiveOrder, product: ProductSpec) -> Fault:
    reason = RejectReason(order.reason)
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
