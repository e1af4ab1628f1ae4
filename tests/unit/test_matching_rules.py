"""Goal: each refusal, each phase and each price rule of the book, by one example that reads as a sentence."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.admission import admit, collar_of
from matching.book import OrderBook
from matching.commands import (
    AdvanceHour,
    CancelAll,
    CancelOrder,
    Command,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
    SetPhase,
)
from matching.engine import decide, execute
from matching.events import (
    CancelReason,
    Event,
    ExpireReason,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    RejectReason,
    SelfTradePrevented,
    Traded,
)
from matching.invariants import check_book
from matching.order import Ask, Bid, FillPolicy, Order, TimeInForce
from matching.product import Phase, Product
from matching.units import HORIZON_HOURS

HOUR = 1_000
PRODUCT = Product("p", 8, 5_000, 100)
ASK = Ask(
    order_id=1,
    participant=1,
    trade_group=0,
    product="p",
    quantity_gpus=32,
    starts_hour=HOUR,
    ends_hour=HOUR + 24,
    price_ticks=100,
)
BID = Bid(
    order_id=2,
    participant=2,
    trade_group=0,
    product="p",
    quantity_gpus=16,
    hours=4,
    earliest_hour=HOUR,
    latest_hour=HOUR + 4,
    limit_ticks=100,
)


class Desk:
    """A book that numbers what it is told."""

    def __init__(self) -> None:
        self.book = OrderBook(PRODUCT, HOUR)

    def tell(self, command: type[Command], **fields: Any) -> tuple[Event, ...]:
        """Execute a command with the next sequence."""
        events = execute(self.book, command(sequence=self.book.sequence + 1, **fields))
        check_book(self.book)
        return events

    def place(self, order: Order, **changes: Any) -> tuple[Event, ...]:
        """Place an order, changed in these fields."""
        return self.tell(PlaceOrder, order=msgspec.structs.replace(order, **changes))


def reason_of(events: tuple[Event, ...]) -> RejectReason:
    (event,) = events
    assert isinstance(event, OrderRejected)
    return event.reason


R = RejectReason


@pytest.mark.parametrize(
    "order, changes, reason",
    [
        (ASK, {"product": "q"}, R.WRONG_PRODUCT),
        (ASK, {"quantity_gpus": 0}, R.QUANTITY_NOT_POSITIVE),
        (BID, {"quantity_gpus": 12}, R.NOT_A_LOT_MULTIPLE),
        (ASK, {"price_ticks": 0}, R.PRICE_NOT_POSITIVE),
        (BID, {"limit_ticks": -5}, R.PRICE_NOT_POSITIVE),
        (ASK, {"ends_hour": HOUR}, R.WINDOW_EMPTY),
        (BID, {"hours": 0}, R.WINDOW_EMPTY),
        (BID, {"hours": 5}, R.WINDOW_TOO_SHORT),
        (ASK, {"starts_hour": HOUR - 1}, R.WINDOW_IN_PAST),
        (BID, {"earliest_hour": HOUR - 1}, R.WINDOW_IN_PAST),
        (ASK, {"ends_hour": HOUR + HORIZON_HOURS + 1}, R.WINDOW_BEYOND_HORIZON),
        (BID, {"latest_hour": HOUR + HORIZON_HOURS + 1}, R.WINDOW_BEYOND_HORIZON),
        (ASK, {"min_hours": 0}, R.MIN_HOURS_OUT_OF_RANGE),
        (ASK, {"min_hours": 25}, R.MIN_HOURS_OUT_OF_RANGE),
        (BID, {"limit_ticks": 2**60}, R.NOTIONAL_TOO_LARGE),
        (BID, {"needs_mask": -1}, R.MASK_NEGATIVE),
        (BID, {"expire_hour": HOUR + 1}, R.EXPIRE_HOUR_UNEXPECTED),
        (BID, {"time_in_force": TimeInForce.GTD, "expire_hour": HOUR}, R.EXPIRE_HOUR_IN_PAST),
        (BID, {"time_in_force": TimeInForce.IOC, "post_only": True}, R.POST_ONLY_IMMEDIATE),
        (ASK, {"price_ticks": 151}, R.PRICE_OUTSIDE_COLLAR),
        (BID, {"limit_ticks": 49}, R.PRICE_OUTSIDE_COLLAR),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused(
    order: Order, changes: dict[str, Any], reason: RejectReason
) -> None:
    assert reason_of(Desk().place(order, **changes)) is reason


def test_the_collar_follows_the_last_trade() -> None:
    desk = Desk()
    desk.place(ASK, price_ticks=150)
    desk.place(BID, limit_ticks=150)
    assert desk.book.last_price_ticks == 150
    desk.place(ASK, order_id=3, price_ticks=225)
    assert 3 in desk.book.orders
    assert reason_of(desk.place(ASK, order_id=4, price_ticks=226)) is R.PRICE_OUTSIDE_COLLAR


ticks = st.integers(1, 10**6)


@given(collar_bps=st.integers(1, 100_000), reference_ticks=ticks, last_ticks=st.just(0) | ticks)
def test_a_collar_lets_in_what_it_tells_and_nothing_beyond(
    collar_bps: int, reference_ticks: int, last_ticks: int
) -> None:
    book = OrderBook(Product(PRODUCT.id, PRODUCT.lot_gpus, collar_bps, reference_ticks), HOUR)
    book.last_price_ticks = last_ticks
    collar = collar_of(book)
    for price_ticks in (
        *(collar.lowest_ticks - 1, collar.lowest_ticks, collar.reference_ticks),
        *(collar.highest_ticks, collar.highest_ticks + 1),
    ):
        is_let_in = collar.lowest_ticks <= price_ticks <= collar.highest_ticks
        reason = R.PRICE_OUTSIDE_COLLAR if price_ticks else R.PRICE_NOT_POSITIVE
        for order in (
            msgspec.structs.replace(ASK, price_ticks=price_ticks),
            msgspec.structs.replace(BID, limit_ticks=price_ticks),
        ):
            admitted = admit(book, order, 1)
            assert (type(admitted) is not RejectReason) == is_let_in
            assert is_let_in or admitted is reason


def test_a_live_id_is_taken_and_a_foreign_order_unknown() -> None:
    desk = Desk()
    desk.place(ASK)
    assert reason_of(desk.place(BID, order_id=1)) is R.DUPLICATE_ORDER_ID
    assert reason_of(desk.tell(CancelOrder, order_id=1, participant=2)) is R.UNKNOWN_ORDER
    assert reason_of(desk.tell(ReduceOrder, order_id=9, participant=1, quantity_gpus=8)) is R.UNKNOWN_ORDER
    assert (
        reason_of(desk.tell(ReduceOrder, order_id=1, participant=1, quantity_gpus=32))
        is R.QUANTITY_NOT_SMALLER
    )
    replaced = desk.tell(
        ReplaceOrder, order_id=1, participant=1, order=msgspec.structs.replace(BID, participant=1)
    )
    assert reason_of(replaced) is R.REPLACEMENT_DIFFERS


def test_a_post_only_order_that_would_trade_is_refused_and_its_forerunner_stays() -> None:
    desk = Desk()
    desk.place(ASK)
    assert reason_of(desk.place(BID, post_only=True)) is R.POST_ONLY_WOULD_TRADE
    desk.place(BID, limit_ticks=90)
    dearer = msgspec.structs.replace(BID, order_id=5, post_only=True)
    assert (
        reason_of(desk.tell(ReplaceOrder, order_id=2, participant=2, order=dearer)) is R.POST_ONLY_WOULD_TRADE
    )
    assert list(desk.book.orders) == [1, 2]


@pytest.mark.parametrize("phase", [Phase.CANCEL_ONLY, Phase.HALTED])
def test_a_closed_book_takes_cancels_and_lets_hours_pass(phase: Phase) -> None:
    desk = Desk()
    desk.place(ASK)
    desk.place(ASK, order_id=3)
    desk.place(BID, limit_ticks=90)
    desk.tell(SetPhase, phase=phase)
    assert desk.tell(SetPhase, phase=phase) == ()
    assert reason_of(desk.place(BID, order_id=9)) is R.PHASE
    replacement = msgspec.structs.replace(ASK, order_id=9)
    assert reason_of(desk.tell(ReplaceOrder, order_id=1, participant=1, order=replacement)) is R.PHASE
    reduced = desk.tell(ReduceOrder, order_id=1, participant=1, quantity_gpus=8)
    assert isinstance(reduced[0], OrderReduced) == (phase is Phase.CANCEL_ONLY)
    assert isinstance(desk.tell(CancelOrder, order_id=1, participant=1)[0], OrderCancelled)
    assert len(desk.tell(CancelAll, participant=1)) == 1
    assert isinstance(desk.tell(AdvanceHour, hour=HOUR + 1)[1], OrderExpired)


def test_a_whole_bid_is_not_reduced_while_it_could_not_trade() -> None:
    desk = Desk()
    desk.place(ASK)
    desk.place(BID, quantity_gpus=40, fill=FillPolicy.ALL_OR_NONE)
    desk.tell(SetPhase, phase=Phase.CANCEL_ONLY)
    assert reason_of(desk.tell(ReduceOrder, order_id=2, participant=2, quantity_gpus=32)) is R.PHASE
    desk.tell(SetPhase, phase=Phase.OPEN)
    _, trade = desk.tell(ReduceOrder, order_id=2, participant=2, quantity_gpus=32)
    assert isinstance(trade, Traded)
    assert trade.quantity_gpus == 32


def test_a_reduction_to_what_is_filled_is_a_cancel() -> None:
    desk = Desk()
    desk.place(ASK, quantity_gpus=8)
    desk.place(BID)
    (event,) = desk.tell(ReduceOrder, order_id=2, participant=2, quantity_gpus=8)
    assert isinstance(event, OrderCancelled)
    assert (event.reason, event.remaining_gpus) == (CancelReason.REDUCED_TO_NOTHING, 8)


def test_what_is_left_of_an_ask_below_its_shortest_piece_expires() -> None:
    desk = Desk()
    desk.place(ASK, ends_hour=HOUR + 6, min_hours=4)
    trade, expired = desk.place(BID, quantity_gpus=32)[1:]
    assert isinstance(trade, Traded)
    assert trade.ask_remaining_gpu_hours == 64
    assert isinstance(expired, OrderExpired)
    assert (expired.reason, expired.remaining_gpu_hours) == (ExpireReason.TOO_SHORT_TO_SELL, 64)


def test_a_replacement_under_its_old_id_is_a_new_pair_for_self_trade_prevention() -> None:
    # Found by the oracle: the bid had been told of the ask that went before under this id.
    desk = Desk()
    desk.place(BID)
    told = desk.place(ASK, participant=2)
    assert isinstance(told[1], SelfTradePrevented)
    again = desk.tell(
        ReplaceOrder, order_id=1, participant=2, order=msgspec.structs.replace(ASK, participant=2)
    )
    assert [type(event).__name__ for event in again] == [
        "OrderReplaced",
        "OrderAccepted",
        "SelfTradePrevented",
        "OrderRested",
    ]


def test_a_sequence_that_does_not_rise_is_the_callers_fault() -> None:
    desk = Desk()
    desk.place(ASK)
    with pytest.raises(ValueError, match="sequence 1"):
        decide(desk.book, AdvanceHour(sequence=1, hour=HOUR + 1))
    assert list(desk.book.orders) == [1]


def test_the_past_is_not_brought_back() -> None:
    desk = Desk()
    assert desk.tell(AdvanceHour, hour=HOUR - 1) == ()
    assert desk.book.hour == HOUR
