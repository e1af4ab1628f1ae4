"""An order in its other forms: as its book knows it, and as the audit trail tells it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from matching.order import Ask, Bid, FillPolicy, Placement, Side, TimeInForce

if TYPE_CHECKING:
    from exchange.orders.models import LiveOrder


def order_detail(order: LiveOrder) -> dict[str, object]:
    """Return what the audit trail says of an order as it came in."""
    detail: dict[str, object] = {
        "client_order_id": order.client_order_id,
        "side": order.side,
        "quantity_gpus": order.quantity_gpus,
        "starts_hour": order.starts_hour,
        "ends_hour": order.ends_hour,
        "hours": order.hours,
        "price_ticks": order.price_ticks,
        "terms": msgspec.to_builtins(order.terms),
    }
    if order.funded is not None:
        detail["held_cash_fen"] = order.funded.cash.placed_fen
        detail["held_vouchers_fen"] = {
            str(hold.voucher_id): hold.placed_fen for hold in order.funded.vouchers
        }
    return detail


def book_order(order: LiveOrder, needs_mask: int) -> Ask | Bid:
    """Return the order as its book knows it; `needs_mask` is what it demands of its counterparties."""
    terms = order.terms
    if order.side is Side.SELL:
        return Ask(
            order_id=order.order_id,
            participant=order.participant_id,
            trade_group=order.trade_group_id,
            product=order.product_id,
            quantity_gpus=order.quantity_gpus,
            starts_hour=order.starts_hour,
            ends_hour=order.ends_hour,
            price_ticks=order.price_ticks,
            min_hours=terms.min_hours,
            time_in_force=TimeInForce(terms.time_in_force),
            expire_hour=terms.expire_hour,
            post_only=terms.post_only,
            is_mask=order.is_mask,
            needs_mask=needs_mask,
        )
    return Bid(
        order_id=order.order_id,
        participant=order.participant_id,
        trade_group=order.trade_group_id,
        product=order.product_id,
        quantity_gpus=order.quantity_gpus,
        hours=order.hours,
        earliest_hour=order.starts_hour,
        latest_hour=order.ends_hour,
        limit_ticks=order.price_ticks,
        fill=FillPolicy(terms.fill),
        placement=Placement(terms.placement),
        time_in_force=TimeInForce(terms.time_in_force),
        expire_hour=terms.expire_hour,
        post_only=terms.post_only,
        is_mask=order.is_mask,
        needs_mask=needs_mask,
    )
