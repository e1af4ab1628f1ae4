"""What an order would do if it were placed now: by the functions that would do it, and nothing is done.

The book is asked with `decide`, which changes nothing; a bid is funded by `fund` and its fills are settled by
a `Settlement` that is never written. Pure, on what was read for it without a lock: the live book may be one
batch ahead of what is committed, or, where another process leads it, one behind; and by the time the order is
sent all of it may be different. It takes two steps, because which asks have to be known is known only once
the book was asked: `look_ahead`, then `preview_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.ledger.models import CashAccounts
from exchange.orders.batch import admitted_only, new_order
from exchange.orders.forms import book_order, note_collar
from exchange.orders.funding import Means, fund
from exchange.orders.models import Denial, OrderStatus
from exchange.orders.preview_models import (
    PreviewFill,
    PreviewRefusal,
    PreviewView,
    PreviewVoucher,
    RestingAsk,
)
from exchange.orders.rejections import book_fault, voucher_faults
from exchange.orders.rules import average_price
from exchange.orders.views import held_view, open_holds_of, share_view
from exchange.settlement.rules import fee_fen
from exchange.settlement.service import Settlement
from matching.book import OrderBook
from matching.commands import PlaceOrder
from matching.engine import decide
from matching.events import OrderCancelled, OrderExpired, OrderRejected, OrderRested, Traded
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exchange.orders.models import LiveOrder, PlaceRequest
    from exchange.settlement.models import Trade
    from exchange.vouchers.models import UsableVoucher
    from matching.events import Event

_NO_ACCOUNT: Final = 0
"""Stands for the buyer's cash account: no account has this id, and nothing is posted to it."""


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """What a preview looks at: a book, and the terms of settlement."""

    book: OrderBook
    first_hour: int
    partition_id: int
    fee_bps: int
    at_us: int


def means_of(participant_id: int, free_fen: int, vouchers: Sequence[UsableVoucher]) -> Means:
    """Return what a buyer could pay with, nothing of it locked."""
    return Means(
        cash={participant_id: CashAccounts(_NO_ACCOUNT, _NO_ACCOUNT)},
        available_fen={_NO_ACCOUNT: free_fen},
        vouchers={participant_id: vouchers},
    )


class Prospect(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of an order in its book, before its fills are settled."""

    order: LiveOrder
    events: tuple[Event, ...]
    fills: list[Traded]
    settlement: Settlement

    @property
    def ask_ids(self) -> set[int]:
        """The asks that a bid would be settled with."""
        return {event.ask_order_id for event in self.fills} if self.order.funded is not None else set()


def look_ahead(request: PlaceRequest, means: Means, venue: Venue) -> Prospect | PreviewView:
    """Return what would come of placing an order; the preview itself where it would be refused."""
    order = new_order(request, venue.at_us)
    settlement = Settlement(partition_id=venue.partition_id, fee_bps=venue.fee_bps)
    needs = request.needs_mask
    if order.side is Side.BUY:
        funded = fund(order, request, means, settlement, venue.at_us)
        if isinstance(funded, Denial):
            refusal = PreviewRefusal(
                code=funded.reason.value, detail=funded.detail, errors=voucher_faults(funded)
            )
            return _refused(order, refusal)
        order.funded = funded
        needs |= admitted_only(order)
    book = _reached(venue.book, venue.first_hour)
    events = decide(book, PlaceOrder(sequence=book.sequence + 1, order=book_order(order, needs)))
    first = events[0]
    if isinstance(first, OrderRejected):
        note_collar(order, first.reason, book)
        refusal = PreviewRefusal(
            code="order_rejected",
            detail=f"the book would reject it: {first.reason}",
            errors=[book_fault(order, first.reason)],
        )
        return _refused(order, refusal)
    # An ask can let a bid that takes all or nothing trade with other asks too: those fills are not its own.
    fills = [
        event
        for event in events
        if isinstance(event, Traded) and order.order_id in (event.bid_order_id, event.ask_order_id)
    ]
    return Prospect(order=order, events=events, fills=fills, settlement=settlement)


def preview_of(prospect: Prospect, asks: Mapping[int, RestingAsk], fee_bps: int) -> PreviewView:
    """Settle a prospect's fills with `asks`, all that it names by their ids, and show it."""
    trades = _settle(prospect, asks)
    rested = _follow(prospect.order, prospect.events, prospect.settlement)
    return _view(prospect.order, prospect.fills, trades, rested, fee_bps)


def _reached(book: OrderBook, hour: int) -> OrderBook:
    """Return the book as it would stand at an hour; one without orders reaches hours only when it is used."""
    if book.orders or book.hour >= hour:
        return book
    empty = OrderBook(book.product, hour)
    empty.phase, empty.last_price_ticks, empty.sequence = book.phase, book.last_price_ticks, book.sequence
    return empty


def _settle(prospect: Prospect, asks: Mapping[int, RestingAsk]) -> list[Trade]:
    """Count the fills in the order, and settle those of a bid."""
    order, settlement = prospect.order, prospect.settlement
    if order.funded is not None:
        settlement.place(order.funded)
    trades = []
    for event in prospect.fills:
        gpu_hours = event.quantity_gpus * event.hours
        order.filled_gpu_hours += gpu_hours
        order.filled_notional_fen += gpu_hours * event.price_ticks
        if order.funded is None:
            continue
        order.filled_gpus += event.quantity_gpus
        order.run_starts_hour = event.starts_hour
        ask = asks[event.ask_order_id]
        trades.append(
            settlement.trade(
                event,
                order.funded,
                sequence=event.sequence,
                product_id=order.product_id,
                provider_id=ask.provider_id,
                ask_mask=ask.is_mask,
                list_price_ticks=ask.list_price_ticks,
                open_gpus=order.quantity_gpus - order.filled_gpus,
            )
        )
    return trades


def _follow(order: LiveOrder, events: Sequence[Event], settlement: Settlement) -> OrderRested | None:
    """Bring the order to where it would stand, and return what would rest of it."""
    order.status = OrderStatus.FILLED
    for event in events:
        if isinstance(event, Traded) or getattr(event, "order_id", None) != order.order_id:
            continue
        if isinstance(event, OrderRested):
            order.status = OrderStatus.PARTIALLY_FILLED if order.filled_gpu_hours else OrderStatus.RESTING
            return event
        if isinstance(event, OrderCancelled | OrderExpired):
            is_cancelled = isinstance(event, OrderCancelled)
            order.status = OrderStatus.CANCELLED if is_cancelled else OrderStatus.EXPIRED
            order.reason = event.reason
    if order.funded is not None:
        settlement.close(order.funded)
    return None


def _refused(order: LiveOrder, refusal: PreviewRefusal) -> PreviewView:
    """Show an order that would be refused."""
    nothing = format_cny(0)
    return PreviewView(
        product=order.product_id,
        side=order.side,
        status=OrderStatus.REJECTED,
        reason=refusal.code,
        refusal=refusal,
        fills=[],
        filled_gpu_hours=0,
        resting_gpu_hours=0,
        resting_gpus=0,
        amount_cny=nothing,
        fee_cny=nothing,
        total_cny=nothing,
    )


def _view(
    order: LiveOrder,
    fills: Sequence[Traded],
    trades: Sequence[Trade],
    rested: OrderRested | None,
    fee_bps: int,
) -> PreviewView:
    """Show an order that would be taken."""
    amount_fen = order.filled_notional_fen
    fee = sum(fee_fen(event.price_ticks * event.quantity_gpus * event.hours, fee_bps) for event in fills)
    view = PreviewView(
        product=order.product_id,
        side=order.side,
        status=order.status,
        reason=order.reason,
        fills=_fills(fills),
        filled_gpu_hours=order.filled_gpu_hours,
        resting_gpu_hours=0 if rested is None else rested.remaining_gpu_hours,
        resting_gpus=0 if rested is None else rested.remaining_gpus,
        average_price_cny_per_gpu_hour=average_price(amount_fen, order.filled_gpu_hours),
        amount_cny=format_cny(amount_fen),
        fee_cny=format_cny(fee),
        total_cny=format_cny(amount_fen - fee),
    )
    funded = order.funded
    if funded is None:
        return view
    return msgspec.structs.replace(
        view,
        run_starts_at=None if order.run_starts_hour is None else format_hour(order.run_starts_hour),
        filled_gpus=order.filled_gpus,
        total_cny=format_cny(amount_fen),
        cash_cny=format_cny(amount_fen - sum(trade.voucher_fen for trade in trades)),
        vouchers=[
            PreviewVoucher(
                voucher_id=encode_id("vch", hold.voucher_id), amount_cny=format_cny(hold.committed_fen)
            )
            for hold in funded.vouchers
            if hold.committed_fen
        ],
        reimbursable_cny=format_cny(sum(trade.reimbursable_fen for trade in trades)),
        shares=[share_view(share) for share in funded.terms.shares],
        needed_cny=format_cny(funded.cash.placed_fen),
        held=held_view(open_holds_of(order)),
    )


def _fills(events: Sequence[Traded]) -> list[PreviewFill]:
    """Merge fills of one price and window, in the order in which they would happen."""
    gpus: dict[tuple[int, int, int], int] = {}
    for event in events:
        key = (event.price_ticks, event.starts_hour, event.hours)
        gpus[key] = gpus.get(key, 0) + event.quantity_gpus
    return [
        PreviewFill(
            price_cny_per_gpu_hour=format_cny(price_ticks),
            quantity_gpus=quantity,
            starts_at=format_hour(starts_hour),
            ends_at=format_hour(starts_hour + hours),
            gpu_hours=quantity * hours,
            amount_cny=format_cny(price_ticks * quantity * hours),
        )
        for (price_ticks, starts_hour, hours), quantity in gpus.items()
    ]
