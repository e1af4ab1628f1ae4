"""An order in its other forms: as its book knows it, and as the audit trail tells it. Pure.

A book counts by the first hour for sale, which is the one after the hour that the venue's clock shows.
Orders, answers and the audit trail have `expire_hour` by that clock; only here does it become the book's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.orders.preview_models import RestingAsk
from matching.admission import collar_of
from matching.events import RejectReason
from matching.order import Ask, Bid, FillPolicy, Placement, Side, TimeInForce

if TYPE_CHECKING:
    from exchange.orders.models import Denial, LiveOrder, OrderTerms
    from matching.book import OrderBook

# Asking a class for its member by value, or reading one off it, is slow, and every order asks.
_FILL_POLICIES: Final = {each.value: each for each in FillPolicy}
_PLACEMENTS: Final = {each.value: each for each in Placement}
_TIMES_IN_FORCE: Final = {each.value: each for each in TimeInForce}
_SELL: Final = Side.SELL


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
        "terms": order.terms,
    }
    if order.funded is not None:
        detail["held_cash_fen"] = order.funded.cash.placed_fen
        detail["held_vouchers_fen"] = {
            str(hold.voucher_id): hold.placed_fen for hold in order.funded.vouchers
        }
    return detail


def denial_detail(denial: Denial) -> dict[str, object]:
    """Return what the audit trail says of why a bid never reached its book, vouchers and rules included."""
    return {"reason": denial.reason, "denial": denial}


def note_collar(order: LiveOrder, reason: RejectReason, book: OrderBook) -> None:
    """Keep with an order what its book, which has just rejected it, would have let in, if that is why."""
    if reason is RejectReason.PRICE_OUTSIDE_COLLAR:
        order.collar = collar_of(book)


def reason_detail(order: LiveOrder, reason: str) -> dict[str, object]:
    """Return what the audit trail says of why an order ended in its book, or was not let in."""
    return {"reason": reason} | ({} if order.collar is None else {"collar": order.collar})


def book_order(order: LiveOrder, needs_mask: int) -> Ask | Bid:
    """Return the order as its book knows it; `needs_mask` is what it demands of its counterparties."""
    terms = order.terms
    if order.side is _SELL:
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
            time_in_force=_TIMES_IN_FORCE[terms.time_in_force],
            expire_hour=_book_expire_hour(terms),
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
        fill=_FILL_POLICIES[terms.fill],
        placement=_PLACEMENTS[terms.placement],
        time_in_force=_TIMES_IN_FORCE[terms.time_in_force],
        expire_hour=_book_expire_hour(terms),
        post_only=terms.post_only,
        is_mask=order.is_mask,
        needs_mask=needs_mask,
    )


def _book_expire_hour(terms: OrderTerms) -> int:
    """Return the first hour for sale once the clock shows the hour at whose start an order ends; 0: none."""
    return terms.expire_hour + 1 if terms.expire_hour else 0


def resting_ask(order: LiveOrder) -> RestingAsk:
    """An ask as the money of its fills needs it."""
    return RestingAsk(order.participant_id, order.is_mask, order.terms.list_price_ticks)
