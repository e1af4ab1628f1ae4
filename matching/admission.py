"""Which orders a book lets in: one pure check a rule, in the order of `RejectReason`.

What depends on the match itself (`post_only_would_trade`) is decided in `matching.engine`.
"""

from matching.book import OrderBook
from matching.events import RejectReason
from matching.live import LiveAsk, LiveOrder
from matching.order import Ask, Bid, Order, TimeInForce
from matching.units import HORIZON_HOURS, NOTIONAL_MAX

# Reading a member off its class is slow, and every order is asked.
_GTD = TimeInForce.GTD
_IOC = TimeInForce.IOC
_FOK = TimeInForce.FOK


def refuse(book: OrderBook, order: Order, replaced: LiveOrder | None) -> RejectReason | None:
    """Return why an order, new or in place of a live one, is refused whatever it would match; else None."""
    fault = _refuse_identity(book, order, replaced)
    if fault is not None:
        return fault
    quantity = order.quantity_gpus
    lot_gpus = book.product.lot_gpus
    if isinstance(order, Ask):
        price = order.price_ticks
        hours = order.ends_hour - order.starts_hour
        fault = _refuse_size(quantity, lot_gpus, price) or _refuse_ask_window(book.hour, order, hours)
    else:
        price = order.limit_ticks
        hours = order.hours
        fault = _refuse_size(quantity, lot_gpus, price) or _refuse_bid_window(book.hour, order, hours)
    if fault is None and price * quantity * hours > NOTIONAL_MAX:
        fault = RejectReason.NOTIONAL_TOO_LARGE
    return fault or _refuse_terms(book, order, price)


def _refuse_identity(book: OrderBook, order: Order, replaced: LiveOrder | None) -> RejectReason | None:
    if order.product != book.product.id:
        return RejectReason.WRONG_PRODUCT
    if replaced is not None and (
        order.participant != replaced.participant or isinstance(order, Ask) != isinstance(replaced, LiveAsk)
    ):
        return RejectReason.REPLACEMENT_DIFFERS
    if order.order_id in book.orders and (replaced is None or order.order_id != replaced.order_id):
        return RejectReason.DUPLICATE_ORDER_ID
    return None


def _refuse_size(quantity_gpus: int, lot_gpus: int, price_ticks: int) -> RejectReason | None:
    if quantity_gpus <= 0:
        return RejectReason.QUANTITY_NOT_POSITIVE
    if quantity_gpus % lot_gpus:
        return RejectReason.NOT_A_LOT_MULTIPLE
    if price_ticks <= 0:
        return RejectReason.PRICE_NOT_POSITIVE
    return None


def _refuse_ask_window(book_hour: int, order: Ask, hours: int) -> RejectReason | None:
    if hours <= 0:
        return RejectReason.WINDOW_EMPTY
    if order.starts_hour < book_hour:
        return RejectReason.WINDOW_IN_PAST
    if order.ends_hour > book_hour + HORIZON_HOURS:
        return RejectReason.WINDOW_BEYOND_HORIZON
    if not 1 <= order.min_hours <= hours:
        return RejectReason.MIN_HOURS_OUT_OF_RANGE
    return None


def _refuse_bid_window(book_hour: int, order: Bid, hours: int) -> RejectReason | None:
    earliest_hour = order.earliest_hour
    latest_hour = order.latest_hour
    if hours <= 0 or latest_hour <= earliest_hour:
        return RejectReason.WINDOW_EMPTY
    if latest_hour - earliest_hour < hours:
        return RejectReason.WINDOW_TOO_SHORT
    if earliest_hour < book_hour:
        return RejectReason.WINDOW_IN_PAST
    if latest_hour > book_hour + HORIZON_HOURS:
        return RejectReason.WINDOW_BEYOND_HORIZON
    return None


def _refuse_terms(book: OrderBook, order: Order, price: int) -> RejectReason | None:
    if order.is_mask < 0 or order.needs_mask < 0:
        return RejectReason.MASK_NEGATIVE
    time_in_force = order.time_in_force
    if time_in_force is _GTD:
        if order.expire_hour <= book.hour:
            return RejectReason.EXPIRE_HOUR_IN_PAST
    elif order.expire_hour:
        return RejectReason.EXPIRE_HOUR_UNEXPECTED
    if order.post_only and (time_in_force is _IOC or time_in_force is _FOK):
        return RejectReason.POST_ONLY_IMMEDIATE
    collar_bps = book.product.collar_bps
    if collar_bps:
        reference = book.last_price_ticks or book.product.reference_price_ticks
        if abs(price - reference) * 10_000 > collar_bps * reference:
            return RejectReason.PRICE_OUTSIDE_COLLAR
    return None
