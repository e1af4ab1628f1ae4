"""How an order is shown: from a partition's memory right after its commit, or from its rows later. Pure.

Both ways give the same answer for the same state; a replayed request is answered from the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.kit.clock import format_rfc3339
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.orders.models import LIVE_STATUSES, FillView, Held, HeldVoucher, OrderView, ShareView
from exchange.orders.rules import average_price
from exchange.settlement.models import CASH_VOUCHER_ID
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exchange.orders.models import Fill, LiveOrder, Priority
    from exchange.vouchers.models import Share

# Reading a member off its class is slow, and every order asks.
_BUY: Final = Side.BUY


def view_of(
    order: LiveOrder,
    fills: Iterable[Fill],
    open_holds: Sequence[tuple[int, int]],
    priority: Priority | None = None,
) -> OrderView:
    """An order with its fills and what it still sets aside: (voucher id, 0 for cash; fen) pairs.

    `priority` is what an amendment did to it, in the answer to that.
    """
    terms = order.terms
    is_bid = order.side is _BUY
    created_at = format_rfc3339(order.created_at_us)
    is_new = order.updated_at_us == order.created_at_us
    return OrderView(
        id=encode_id("ord", order.order_id),
        client_order_id=order.client_order_id,
        product=order.product_id,
        side=order.side,
        status=order.status,
        reason=order.reason,
        quantity_gpus=order.quantity_gpus,
        starts_at=format_hour(order.starts_hour),
        ends_at=format_hour(order.ends_hour),
        hours=order.hours,
        price_cny_per_gpu_hour=format_cny(order.price_ticks),
        time_in_force=terms.time_in_force,
        expires_at=format_hour(terms.expire_hour) if terms.expire_hour else None,
        post_only=terms.post_only,
        sequence=order.sequence,
        filled_gpu_hours=order.filled_gpu_hours,
        filled_gpus=order.filled_gpus if is_bid else None,
        remaining_gpus=_remaining_gpus(order) if is_bid else None,
        average_price_cny_per_gpu_hour=average_price(order.filled_notional_fen, order.filled_gpu_hours),
        run_starts_at=None if order.run_starts_hour is None else format_hour(order.run_starts_hour),
        fill=terms.fill if is_bid else None,
        placement=terms.placement if is_bid else None,
        require=terms.require if is_bid else None,
        vouchers=terms.vouchers if is_bid else None,
        voucher_policy=terms.voucher_policy if is_bid and terms.vouchers != "none" else None,
        shares=[share_view(share) for share in terms.shares] if terms.shares else None,
        min_hours=None if is_bid else terms.min_hours,
        reserved_for=None if is_bid else terms.reserved_for,
        list_price_cny_per_gpu_hour=(
            None if terms.list_price_ticks is None else format_cny(terms.list_price_ticks)
        ),
        held=held_view(open_holds) if is_bid else None,
        replaces=None if order.replaces_id is None else encode_id("ord", order.replaces_id),
        replaced_by=None if order.replaced_by_id is None else encode_id("ord", order.replaced_by_id),
        priority=priority,
        fills=[fill_view(fill) for fill in fills],
        created_at=created_at,
        updated_at=created_at if is_new else format_rfc3339(order.updated_at_us),
    )


def _remaining_gpus(bid: LiveOrder) -> int:
    """Return what a bid still wants: nothing once it is over, however much of it was filled."""
    return bid.quantity_gpus - bid.filled_gpus if bid.status in LIVE_STATUSES else 0


def open_holds_of(order: LiveOrder) -> list[tuple[int, int]]:
    """What a live order sets aside, as `view_of` takes it."""
    if order.funded is None:
        return []
    return [(hold.voucher_id, hold.open_fen) for hold in (order.funded.cash, *order.funded.vouchers)]


def fill_view(fill: Fill) -> FillView:
    """A fill as an order's answer shows it."""
    return FillView(
        trade_id=encode_id("trd", fill.trade_id),
        quantity_gpus=fill.quantity_gpus,
        starts_at=format_hour(fill.starts_hour),
        ends_at=format_hour(fill.ends_hour),
        price_cny_per_gpu_hour=format_cny(fill.price_ticks),
        voucher_cny=format_cny(fill.voucher_fen),
        reimbursable_cny=format_cny(fill.reimbursable_fen),
    )


def share_view(share: Share) -> ShareView:
    """What a programme pays of a bid as the bid's answer shows it."""
    return ShareView(
        programme_id=encode_id("prg", share.programme_id),
        programme_version=share.programme_version,
        rate_bps=share.rate_bps,
        mode="reimburse" if share.reimbursed else "instant",
    )


def held_view(open_holds: Sequence[tuple[int, int]]) -> Held:
    """What an order sets aside as its answer shows it."""
    return Held(
        cash_cny=format_cny(sum(fen for voucher_id, fen in open_holds if voucher_id == CASH_VOUCHER_ID)),
        vouchers=[
            HeldVoucher(voucher_id=encode_id("vch", voucher_id), held_cny=format_cny(fen))
            for voucher_id, fen in open_holds
            if voucher_id != CASH_VOUCHER_ID and fen
        ],
    )
