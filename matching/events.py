"""Events: what happened to a book, in the past tense. Inside the core only `matching.book.apply` reads them.

The core builds them by position, in the order of their fields, because keywords cost a tenth more.

Every event carries the sequence of its command. An order leaves the book with one of: a Traded that leaves it
0, or OrderCancelled, OrderExpired, OrderReplaced. `remaining_gpus` is what a bid still wants, or the most an
ask has free in any hour; `remaining_gpu_hours` is that times the bid's hours, or the sum of the ask's free
hours.
"""

from enum import StrEnum
from typing import final

import msgspec

from matching.order import Order
from matching.product import Phase


@final
class RejectReason(StrEnum):
    """Why a command was refused; nothing changed. In order of precedence: the first that holds is given."""

    PHASE = "phase"
    UNKNOWN_ORDER = "unknown_order"
    WRONG_PRODUCT = "wrong_product"
    REPLACEMENT_DIFFERS = "replacement_differs"
    DUPLICATE_ORDER_ID = "duplicate_order_id"
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"
    NOT_A_LOT_MULTIPLE = "not_a_lot_multiple"
    QUANTITY_NOT_SMALLER = "quantity_not_smaller"
    PRICE_NOT_POSITIVE = "price_not_positive"
    WINDOW_EMPTY = "window_empty"
    WINDOW_TOO_SHORT = "window_too_short"
    WINDOW_IN_PAST = "window_in_past"
    WINDOW_BEYOND_HORIZON = "window_beyond_horizon"
    MIN_HOURS_OUT_OF_RANGE = "min_hours_out_of_range"
    NOTIONAL_TOO_LARGE = "notional_too_large"
    MASK_NEGATIVE = "mask_negative"
    EXPIRE_HOUR_UNEXPECTED = "expire_hour_unexpected"
    EXPIRE_HOUR_IN_PAST = "expire_hour_in_past"
    POST_ONLY_IMMEDIATE = "post_only_immediate"
    PRICE_OUTSIDE_COLLAR = "price_outside_collar"
    POST_ONLY_WOULD_TRADE = "post_only_would_trade"


class CancelReason(StrEnum):
    """Why what remained of an order was withdrawn."""

    REQUESTED = "requested"
    IMMEDIATE_REMAINDER = "immediate_remainder"
    NOT_FILLED_WHOLE = "not_filled_whole"
    REDUCED_TO_NOTHING = "reduced_to_nothing"


class ExpireReason(StrEnum):
    """Why an order lapsed: its gtd hour came; a bid has no start left; an ask no piece of `min_hours`."""

    EXPIRE_HOUR = "expire_hour"
    NO_FEASIBLE_START = "no_feasible_start"
    TOO_SHORT_TO_SELL = "too_short_to_sell"


class OrderAccepted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A new order passed every check; its trades, then its rest, follow under the same sequence."""

    sequence: int
    order: Order


class OrderRested(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What the arriving order did not trade now waits in the book."""

    sequence: int
    order_id: int
    participant: int
    remaining_gpus: int
    remaining_gpu_hours: int


class Traded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """`quantity_gpus` for every hour of [starts_hour, starts_hour + hours) changed hands.

    The maker is the order with the lower sequence; `price_ticks` is its price. A remaining figure of 0 means
    that this order has left the book. Notional: price_ticks x quantity_gpus x hours.
    """

    sequence: int
    maker_order_id: int
    taker_order_id: int
    bid_order_id: int
    ask_order_id: int
    buyer: int
    seller: int
    quantity_gpus: int
    starts_hour: int
    hours: int
    price_ticks: int
    bid_remaining_gpus: int
    ask_remaining_gpu_hours: int


class OrderReduced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The order is smaller, its priority unchanged. `quantity_gpus` is the new total."""

    sequence: int
    order_id: int
    participant: int
    quantity_gpus: int
    remaining_gpus: int
    remaining_gpu_hours: int


class OrderReplaced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The order left with this much remaining; the acceptance of its replacement follows."""

    sequence: int
    order_id: int
    participant: int
    replacement_order_id: int
    remaining_gpus: int
    remaining_gpu_hours: int


class OrderCancelled(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The order left with this much remaining."""

    sequence: int
    order_id: int
    participant: int
    reason: CancelReason
    remaining_gpus: int
    remaining_gpu_hours: int


class OrderExpired(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The order lapsed with this much remaining (for an ask: after the past hours fell off)."""

    sequence: int
    order_id: int
    participant: int
    reason: ExpireReason
    remaining_gpus: int
    remaining_gpu_hours: int


class OrderRejected(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The command was refused and changed nothing. For ReplaceOrder `order_id` is the order that stays."""

    sequence: int
    order_id: int
    participant: int
    reason: RejectReason


class SelfTradePrevented(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The pair would have traded were it not of one group; told once in the life of the pair."""

    sequence: int
    bid_order_id: int
    ask_order_id: int
    buyer: int
    seller: int


class HourAdvanced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Hours before `hour` are gone; `lapsed_gpu_hours` of them were offered and unsold."""

    sequence: int
    hour: int
    lapsed_gpu_hours: int


class PhaseChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The book accepts other commands from now on."""

    sequence: int
    phase: Phase


Event = (
    OrderAccepted
    | OrderRested
    | Traded
    | OrderReduced
    | OrderReplaced
    | OrderCancelled
    | OrderExpired
    | OrderRejected
    | SelfTradePrevented
    | HourAdvanced
    | PhaseChanged
)
