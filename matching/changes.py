"""Live orders that shrink or lapse, told as events (`ReduceOrder`, `AdvanceHour`). Nothing is changed."""

from matching.book import OrderBook
from matching.commands import AdvanceHour, ReduceOrder
from matching.events import (
    CancelReason,
    Event,
    ExpireReason,
    HourAdvanced,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    RejectReason,
)
from matching.live import LiveOrder, capacity, due_hour, is_ask, is_bid, takes_whole
from matching.product import Phase
from matching.trades import expired, try_bid
from matching.walk import Working


def owned(book: OrderBook, order_id: int, participant: int) -> LiveOrder | None:
    """Return a live order of the participant; another's is as unknown as none."""
    order = book.orders.get(order_id)
    return order if order is not None and order.participant == participant else None


def cancelled(sequence: int, order: LiveOrder, reason: CancelReason) -> OrderCancelled:
    """Return the event of an order that is withdrawn with all that remains of it."""
    if order.profile is None:
        gpus = order.gpus
        gpu_hours = gpus * order.hours
    else:
        gpus = order.profile.greatest()
        gpu_hours = order.profile.gpu_hours
    return OrderCancelled(sequence, order.order_id, order.participant, reason, gpus, gpu_hours)


def reduce_order(book: OrderBook, command: ReduceOrder) -> list[Event]:
    """Return the events of a reduction; a smaller whole-quantity bid may trade."""
    sequence = command.sequence
    order_id = command.order_id
    participant = command.participant
    quantity = command.quantity_gpus
    order = owned(book, order_id, participant)
    fault = _refuse_reduction(book, order, quantity)
    if order is None or fault is not None:
        return [OrderRejected(sequence, order_id, participant, fault or RejectReason.UNKNOWN_ORDER)]
    less = order.quantity_gpus - quantity
    events: list[Event] = []
    if is_bid(order):
        wanted = order.gpus - less
        if wanted > 0:
            gpu_hours = wanted * order.hours
            events.append(OrderReduced(sequence, order_id, participant, quantity, wanted, gpu_hours))
            if takes_whole(order.order):
                try_bid(Working(book), order, wanted, sequence, events)
    elif is_ask(order):
        profile = capacity(order).copy()
        profile.withdraw(less)
        gpus, gpu_hours = profile.greatest(), profile.gpu_hours
        if gpu_hours:
            events.append(OrderReduced(sequence, order_id, participant, quantity, gpus, gpu_hours))
            if all(ends - starts < order.order.min_hours for starts, ends in profile.stretches()):
                events.append(expired(sequence, order, ExpireReason.TOO_SHORT_TO_SELL, gpus, gpu_hours))
    return events or [cancelled(sequence, order, CancelReason.REDUCED_TO_NOTHING)]


def _refuse_reduction(  # noqa: PLR0911 - one case a rule
    book: OrderBook, order: LiveOrder | None, quantity_gpus: int
) -> RejectReason | None:
    if book.phase is Phase.HALTED:
        return RejectReason.PHASE
    if order is None:
        return RejectReason.UNKNOWN_ORDER
    # A smaller whole-quantity bid may trade at once, which only an open book does.
    if book.phase is Phase.CANCEL_ONLY and is_bid(order) and takes_whole(order.order):
        return RejectReason.PHASE
    if quantity_gpus <= 0:
        return RejectReason.QUANTITY_NOT_POSITIVE
    if quantity_gpus % book.product.lot_gpus:
        return RejectReason.NOT_A_LOT_MULTIPLE
    if quantity_gpus >= order.quantity_gpus:
        return RejectReason.QUANTITY_NOT_SMALLER
    return None


def advance_hour(book: OrderBook, command: AdvanceHour) -> list[Event]:
    """Return the events of time going on: what lapsed unsold, and the orders that end by it, oldest first."""
    hour = command.hour
    if hour <= book.hour:
        return []
    lapsed = 0
    due: list[LiveOrder] = []
    for order in book.orders.values():
        if due_hour(order) <= hour:
            due.append(order)
        if order.starts_hour < hour and is_ask(order):
            lapsed += capacity(order).before(hour)
    events: list[Event] = [HourAdvanced(command.sequence, hour, lapsed)]
    due.sort(key=lambda order: order.sequence)
    events.extend(_lapse(command.sequence, order, hour) for order in due)
    return events


def _lapse(sequence: int, order: LiveOrder, hour: int) -> OrderExpired:
    reason = ExpireReason.NO_FEASIBLE_START
    gpus, gpu_hours = order.remaining_gpus, order.remaining_gpu_hours
    if is_ask(order):
        reason = ExpireReason.TOO_SHORT_TO_SELL
        profile = capacity(order).copy()
        profile.trim(hour)
        gpus, gpu_hours = profile.greatest(), profile.gpu_hours
    if 0 < order.order.expire_hour <= hour:
        reason = ExpireReason.EXPIRE_HOUR
    return expired(sequence, order, reason, gpus, gpu_hours)
