"""Which orders a book lets in: the rules of `RejectReason`, in its order.

An order that is let in comes back as it stands before its first fill. What depends on the match itself
(`post_only_would_trade`) is decided in `matching.arrival`. A function a side, because Python reads an
attribute three times as fast where it only ever meets one type; and the live order is built where the order
has just been read.
"""

from matching.book import OrderBook
from matching.events import RejectReason
from matching.live import Live, LiveAsk, LiveBid, LiveOrder, is_ask
from matching.order import Ask, Bid, Order, TimeInForce
from matching.product import Collar
from matching.units import HORIZON_HOURS, NOTIONAL_MAX, SPAN_SHIFT

# Reading a member off its class is slow, and every order is asked.
_GTC = TimeInForce.GTC
_GTD = TimeInForce.GTD


def admit(book: OrderBook, order: Order, sequence: int) -> LiveOrder | RejectReason:
    """Return a new order as it goes live, or why it is refused whatever it would match."""
    if type(order) is Ask:
        return admit_ask(book, order, sequence)
    return admit_bid(book, order, sequence)


def admit_replacement(
    book: OrderBook, order: Order, sequence: int, replaced: LiveOrder
) -> LiveOrder | RejectReason:
    """Return an order in place of a live one as it goes live, or why it is refused."""
    if order.product != book.product.id:
        return RejectReason.WRONG_PRODUCT
    if order.participant != replaced.participant or is_ask(replaced) != (type(order) is Ask):
        return RejectReason.REPLACEMENT_DIFFERS
    if type(order) is Ask:
        return admit_ask(book, order, sequence, replaced.order_id)
    return admit_bid(book, order, sequence, replaced.order_id)


def admit_ask(  # noqa: C901, PLR0911 - one case a rule
    book: OrderBook, ask: Ask, sequence: int, replaced_id: int | None = None
) -> LiveAsk | RejectReason:
    """Admit an ask; `replaced_id` is free to take."""
    product = book.product
    order_id = ask.order_id
    if ask.product != product.id:
        return RejectReason.WRONG_PRODUCT
    if order_id in book.orders and order_id != replaced_id:
        return RejectReason.DUPLICATE_ORDER_ID
    gpus = ask.quantity_gpus
    price_ticks = ask.price_ticks
    if gpus <= 0 or gpus % product.lot_gpus or price_ticks <= 0:
        return _refuse_size(gpus, product.lot_gpus)
    starts_hour = ask.starts_hour
    ends_hour = ask.ends_hour
    book_hour = book.hour
    hours = ends_hour - starts_hour
    if hours <= 0:
        return RejectReason.WINDOW_EMPTY
    if starts_hour < book_hour:
        return RejectReason.WINDOW_IN_PAST
    if ends_hour - book_hour > HORIZON_HOURS:
        return RejectReason.WINDOW_BEYOND_HORIZON
    if ask.min_hours < 1 or ask.min_hours > hours:
        return RejectReason.MIN_HOURS_OUT_OF_RANGE
    if price_ticks * gpus * hours > NOTIONAL_MAX:
        return RejectReason.NOTIONAL_TOO_LARGE
    if ask.is_mask < 0 or ask.needs_mask < 0:
        return RejectReason.MASK_NEGATIVE
    if ask.time_in_force is not _GTC or ask.expire_hour or product.collar_bps:
        reason = _refuse_terms(book, ask, price_ticks)
        if reason is not None:
            return reason
    # `live_ask`, written out.
    first = starts_hour >> SPAN_SHIFT
    spans = ((2 << ((ends_hour - 1 >> SPAN_SHIFT) - first)) - 1) << (first - (book_hour >> SPAN_SHIFT))
    return Live(
        ask,
        order_id,
        ask.participant,
        price_ticks,
        sequence,
        gpus,
        gpus,
        hours,
        starts_hour,
        ends_hour,
        spans,
    )


def admit_bid(  # noqa: C901, PLR0911 - one case a rule
    book: OrderBook, bid: Bid, sequence: int, replaced_id: int | None = None
) -> LiveBid | RejectReason:
    """Admit a bid; `replaced_id` is free to take."""
    product = book.product
    order_id = bid.order_id
    if bid.product != product.id:
        return RejectReason.WRONG_PRODUCT
    if order_id in book.orders and order_id != replaced_id:
        return RejectReason.DUPLICATE_ORDER_ID
    gpus = bid.quantity_gpus
    limit_ticks = bid.limit_ticks
    if gpus <= 0 or gpus % product.lot_gpus or limit_ticks <= 0:
        return _refuse_size(gpus, product.lot_gpus)
    hours = bid.hours
    earliest_hour = bid.earliest_hour
    latest_hour = bid.latest_hour
    book_hour = book.hour
    window = latest_hour - earliest_hour
    if hours <= 0 or window <= 0:
        return RejectReason.WINDOW_EMPTY
    if window < hours:
        return RejectReason.WINDOW_TOO_SHORT
    if earliest_hour < book_hour:
        return RejectReason.WINDOW_IN_PAST
    if latest_hour - book_hour > HORIZON_HOURS:
        return RejectReason.WINDOW_BEYOND_HORIZON
    if limit_ticks * gpus * hours > NOTIONAL_MAX:
        return RejectReason.NOTIONAL_TOO_LARGE
    if bid.is_mask < 0 or bid.needs_mask < 0:
        return RejectReason.MASK_NEGATIVE
    if bid.time_in_force is not _GTC or bid.expire_hour or product.collar_bps:
        reason = _refuse_terms(book, bid, limit_ticks)
        if reason is not None:
            return reason
    # `live_bid`, written out.
    first = earliest_hour >> SPAN_SHIFT
    spans = ((2 << ((latest_hour - 1 >> SPAN_SHIFT) - first)) - 1) << (first - (book_hour >> SPAN_SHIFT))
    return Live(
        bid,
        order_id,
        bid.participant,
        limit_ticks,
        sequence,
        gpus,
        gpus,
        hours,
        earliest_hour,
        latest_hour,
        spans,
    )


def collar_of(book: OrderBook) -> Collar:
    """Return which prices a book whose product has a collar lets in now."""
    reference_ticks = book.last_price_ticks or book.product.reference_price_ticks
    away_ticks = book.product.collar_bps * reference_ticks // 10_000
    return Collar(reference_ticks, max(1, reference_ticks - away_ticks), reference_ticks + away_ticks)


def _refuse_size(quantity_gpus: int, lot_gpus: int) -> RejectReason:
    """Return which of quantity, lot and price is at fault, of which one is."""
    if quantity_gpus <= 0:
        return RejectReason.QUANTITY_NOT_POSITIVE
    if quantity_gpus % lot_gpus:
        return RejectReason.NOT_A_LOT_MULTIPLE
    return RejectReason.PRICE_NOT_POSITIVE


def _refuse_terms(book: OrderBook, order: Order, price_ticks: int) -> RejectReason | None:
    time_in_force = order.time_in_force
    if time_in_force is _GTD:
        if order.expire_hour <= book.hour:
            return RejectReason.EXPIRE_HOUR_IN_PAST
    elif order.expire_hour:
        return RejectReason.EXPIRE_HOUR_UNEXPECTED
    elif order.post_only and time_in_force is not _GTC:
        return RejectReason.POST_ONLY_IMMEDIATE
    collar_bps = book.product.collar_bps
    if collar_bps:
        # `collar_of`, written out.
        reference = book.last_price_ticks or book.product.reference_price_ticks
        if abs(price_ticks - reference) * 10_000 > collar_bps * reference:
            return RejectReason.PRICE_OUTSIDE_COLLAR
    return None
