"""Goal: what `docs/fairness.md` says of splitting and of priority, with its conditions.

Method: the same tape with one order whole and in parts; and for each condition the smallest market in which
the statement fails without it. That the outcome depends on no id, name or dictionary order is shown in
`test_matching_relations`; that no better price waits, by the auditor in every test that runs it.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from matching.book import OrderBook
from matching.commands import AdvanceHour, Command, PlaceOrder, ReplaceOrder
from matching.engine import execute
from matching.events import Traded
from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.product import Product
from tests.hypothesis_profiles import examples
from tests.interpreter import FIRST_HOUR, PRODUCT_ID
from tests.splitting import outcome, split
from tests.strategies import command_lists

Case = tuple[Product, list[Command]]
PRODUCT = Product(PRODUCT_ID, 1, 0, 4)
WHOLE: dict[str, Any] = {"fill": FillPolicy.ALL_OR_NONE}
SINGLE: dict[str, Any] = {"placement": Placement.SINGLE_SITE}
lots_of_parts = st.lists(st.sampled_from([1, 1, 1, 2, 4]), min_size=2, max_size=3)
picks = st.integers(0, 99)


def plain(bid: Bid) -> Bid:
    """Return a bid of one start, that takes part, and from any site."""
    return msgspec.structs.replace(
        bid,
        latest_hour=bid.earliest_hour + bid.hours,
        fill=FillPolicy.PARTIAL,
        placement=Placement.ANY,
        time_in_force=_in_part(bid.time_in_force),
    )


def nested(bid: Bid) -> Bid:
    """Return a plain bid for 1, 2 or 4 hours from a multiple of it on: two runs are nested, or apart."""
    hours = (1, 2, 4)[bid.hours % 3]
    starts_hour = -(-bid.earliest_hour // hours) * hours
    return plain(msgspec.structs.replace(bid, hours=hours, earliest_hour=starts_hour))


def _in_part(time_in_force: TimeInForce) -> TimeInForce:
    return TimeInForce.IOC if time_in_force is TimeInForce.FOK else time_in_force


def with_bids(commands: list[Command], change: Callable[[Bid], Bid]) -> list[Command]:
    """Return the tape with every bid changed."""
    return [
        msgspec.structs.replace(command, order=change(command.order))
        if isinstance(command, PlaceOrder | ReplaceOrder) and isinstance(command.order, Bid)
        else command
        for command in commands
    ]


def pick(commands: list[Command], side: type[Ask | Bid], picked: int) -> tuple[int, Order]:
    """Return a place of the tape at which an order of that side is placed, and the order."""
    found = [
        (place, command.order)
        for place, command in enumerate(commands)
        if isinstance(command, PlaceOrder) and isinstance(command.order, side)
    ]
    assume(found)
    return found[picked % len(found)]


def ask(order_id: int, gpus: int, first: int, end: int, price_ticks: int, /, **more: Any) -> Ask:
    return Ask(
        order_id=order_id,
        participant=order_id,
        trade_group=0,
        product=PRODUCT_ID,
        quantity_gpus=gpus,
        starts_hour=FIRST_HOUR + first,
        ends_hour=FIRST_HOUR + end,
        price_ticks=price_ticks,
        **more,
    )


def bid(order_id: int, gpus: int, first: int, end: int, limit_ticks: int, hours: int = 0, **more: Any) -> Bid:
    return Bid(
        order_id=order_id,
        participant=order_id,
        trade_group=0,
        product=PRODUCT_ID,
        quantity_gpus=gpus,
        hours=hours or end - first,
        earliest_hour=FIRST_HOUR + first,
        latest_hour=FIRST_HOUR + end,
        limit_ticks=limit_ticks,
        **more,
    )


@st.composite
def crowds(draw: st.DrawFn) -> Case:
    """Draw a tape on which many small bids want the hours of few asks, before and after they come."""
    needs: st.SearchStrategy[Order] = st.builds(
        bid, st.just(0), st.just(1), st.integers(0, 9), st.just(0), st.integers(3, 5)
    )
    lengths = st.sampled_from([1, 2, 3, 3, 4, 4])
    offers: st.SearchStrategy[Order] = st.builds(
        ask, st.just(0), st.integers(1, 3), st.integers(0, 2), st.just(12), st.integers(2, 4)
    )
    drawn: list[Order] = []
    for strategy in draw(st.lists(st.sampled_from([needs] * 9 + [offers]), min_size=10, max_size=24)):
        order = draw(strategy)
        if isinstance(order, Bid):
            hours = draw(lengths)
            order = msgspec.structs.replace(order, hours=hours, latest_hour=order.earliest_hour + hours)
        drawn.append(order)
    drawn.insert(draw(st.integers(0, len(drawn))), ask(0, 1, 0, 14, 3))
    orders = [
        msgspec.structs.replace(order, order_id=number, participant=number)
        for number, order in enumerate(drawn, start=1)
    ]
    opening = AdvanceHour(sequence=1, hour=FIRST_HOUR)
    placed = [PlaceOrder(sequence=order.order_id + 1, order=order) for order in orders]
    return PRODUCT, [opening, *placed]


# A collar looks at the last price, which may be another one between the parts and after them.
tapes = st.one_of(command_lists(), crowds(), crowds()).map(
    lambda case: (msgspec.structs.replace(case[0], collar_bps=0), case[1])
)


@examples(250)
@given(tapes, picks, lots_of_parts)
def test_a_plain_bid_gets_the_same_whole_and_in_parts(case: Case, picked: int, lots: list[int]) -> None:
    product, commands = case
    place, order = pick(commands, Bid, picked)
    assert isinstance(order, Bid)
    whole = msgspec.structs.replace(plain(order), quantity_gpus=sum(lots) * product.lot_gpus)
    parts = split(whole, lots, product.lot_gpus)
    assert outcome(product, commands, place, [whole]) == outcome(product, commands, place, parts)


def whole_ask(case: Case, picked: int, lots: list[int]) -> tuple[int, Order]:
    """Return a place at which an ask is placed, and it, with so many lots and not fok."""
    place, order = pick(case[1], Ask, picked)
    time_in_force = _in_part(order.time_in_force)
    quantity = sum(lots) * case[0].lot_gpus
    return place, msgspec.structs.replace(order, quantity_gpus=quantity, time_in_force=time_in_force)


@examples(250)
@given(tapes, picks, lots_of_parts)
def test_an_ask_sells_the_same_whole_and_in_parts_where_runs_are_nested_or_apart(
    case: Case, picked: int, lots: list[int]
) -> None:
    product, commands = case[0], with_bids(case[1], nested)
    place, whole = whole_ask(case, picked, lots)
    parts = split(whole, lots, product.lot_gpus)
    assert outcome(product, commands, place, [whole]) == outcome(product, commands, place, parts)


@examples(250)
@given(tapes, picks, lots_of_parts)
def test_where_runs_overlap_the_first_difference_is_a_deal_that_the_parts_miss(
    case: Case, picked: int, lots: list[int]
) -> None:
    product, commands = case[0], with_bids(case[1], plain)
    place, whole = whole_ask(case, picked, lots)
    one = outcome(product, commands, place, [whole]).deals
    many = outcome(product, commands, place, split(whole, lots, product.lot_gpus)).deals
    # Within a command the dearest bid, then the oldest, comes first.
    for deal in sorted({*one, *many}, key=lambda deal: (deal.place, -deal.price_ticks, deal.accepted)):
        if one[deal] != many[deal]:
            assert one[deal] > many[deal]
            break


def traded(*orders: Order) -> Counter[int]:
    """Place the orders one by one and return what each traded, in GPU-hours; halves together as 1."""
    book = OrderBook(PRODUCT)
    execute(book, AdvanceHour(sequence=1, hour=FIRST_HOUR))
    found: Counter[int] = Counter()
    for sequence, order in enumerate(orders, start=2):
        for event in execute(book, PlaceOrder(sequence=sequence, order=order)):
            if isinstance(event, Traded):
                for order_id in (event.bid_order_id, event.ask_order_id):
                    found[1 if order_id > 100 else order_id] += event.quantity_gpus * event.hours
    return found


def halves(order: Order) -> list[Order]:
    return [
        msgspec.structs.replace(order, order_id=101 + half, quantity_gpus=order.quantity_gpus // 2)
        for half in (0, 1)
    ]


@pytest.mark.parametrize(
    "order, book, whole_gpu_hours, halves_gpu_hours",
    [
        # Two runs instead of one.
        (bid(1, 8, 0, 2, 5, hours=1), [ask(2, 4, 0, 1, 5), ask(3, 4, 1, 2, 5)], 4, 8),
        # Half of the quantity instead of all or nothing.
        (bid(1, 8, 0, 1, 5, **WHOLE), [ask(2, 4, 0, 1, 5)], 0, 4),
        # Two sites instead of one.
        (bid(1, 8, 0, 1, 5, **SINGLE), [ask(2, 4, 0, 1, 5), ask(3, 4, 0, 1, 5)], 0, 8),
        # Half of a rectangle sold whole, instead of all of it.
        (ask(1, 8, 0, 1, 5, time_in_force=TimeInForce.FOK), [bid(2, 4, 0, 1, 5)], 0, 4),
    ],
    ids=["flexible start", "all or none", "single site", "fok ask"],
)
def test_an_order_in_parts_gets_more_where_the_parts_ask_for_less(
    order: Order, book: list[Order], whole_gpu_hours: int, halves_gpu_hours: int
) -> None:
    assert traded(*book, order)[1] == whole_gpu_hours
    assert traded(*book, *halves(order))[1] == halves_gpu_hours


def test_a_collar_may_refuse_a_part_of_a_bid_that_it_let_in_whole() -> None:
    collared = msgspec.structs.replace(PRODUCT, collar_bps=5_000)
    whole = bid(1, 8, 0, 1, 6)
    commands: list[Command] = [
        AdvanceHour(sequence=1, hour=FIRST_HOUR),
        PlaceOrder(sequence=2, order=ask(2, 8, 0, 1, 2)),
        PlaceOrder(sequence=3, order=whole),
    ]
    # The reference is 4 until the first half trades at 2: a limit of 6 is then too far from it.
    assert outcome(collared, commands, 2, [whole]).gpu_hours() == 8
    assert outcome(collared, commands, 2, split(whole, [4, 4], 1)).gpu_hours() == 4


def test_an_ask_in_parts_loses_the_bids_that_need_all_of_it() -> None:
    offer = ask(1, 8, 0, 1, 5)
    for terms in (WHOLE, SINGLE):
        book = [bid(2, 8, 0, 1, 9, **terms), bid(3, 4, 0, 1, 6)]
        assert traded(*book, offer) == {1: 8, 2: 8}
        assert traded(*book, *halves(offer)) == {1: 4, 3: 4}


def test_an_ask_in_parts_misses_a_deal_where_runs_overlap_and_may_be_lucky_by_it() -> None:
    offer = ask(1, 2, 0, 100, 5)
    # In parts, the first two runs come out of the one, the third out of the other: the fourth fits neither.
    needs = [bid(2, 1, 0, 2, 5), bid(3, 1, 5, 7, 5), bid(4, 1, 1, 4, 5), bid(5, 1, 3, 6, 5)]
    assert traded(offer, *needs) == {1: 10, 2: 2, 3: 2, 4: 3, 5: 3}
    assert traded(*halves(offer), *needs) == {1: 7, 2: 2, 3: 2, 4: 3}
    # What the parts could not sell is free for one who comes later and wants more.
    later = bid(6, 1, 5, 100, 5)
    assert traded(offer, *needs, later)[1] == 10
    assert traded(*halves(offer), *needs, later)[1] == 7 + 95


@pytest.mark.parametrize(
    "orders, fills",
    [
        # A flexible bid first chooses the run that fills most, and only then takes the cheapest of it.
        ([ask(1, 1, 0, 1, 1), ask(2, 2, 1, 2, 5), bid(3, 2, 0, 2, 5, hours=1)], {2: 2, 3: 2}),
        # One site must have room for all.
        ([ask(1, 1, 0, 1, 1), ask(2, 2, 0, 1, 5), bid(3, 2, 0, 1, 5, **SINGLE)], {2: 2, 3: 2}),
        # A dearer bid that takes all or nothing cannot be filled, and takes nothing from the next.
        ([bid(1, 2, 0, 1, 9, **WHOLE), bid(2, 1, 0, 1, 6), ask(3, 1, 0, 1, 5)], {2: 1, 3: 1}),
        # A cheaper ask that is not for this bid: shortest piece, or who it is for.
        ([ask(1, 1, 0, 2, 1, min_hours=2), ask(2, 1, 0, 2, 5), bid(3, 1, 0, 1, 5)], {2: 1, 3: 1}),
        ([ask(1, 1, 0, 1, 1, needs_mask=1), ask(2, 1, 0, 1, 5), bid(3, 1, 0, 1, 5)], {2: 1, 3: 1}),
        # A cheaper ask that is sold out in one hour of the run.
        (
            [ask(1, 1, 0, 3, 1), bid(4, 1, 1, 2, 9), ask(2, 1, 0, 3, 5), bid(3, 1, 0, 3, 9)],
            {1: 1, 4: 1, 2: 3, 3: 3},
        ),
    ],
    ids=["flexible start", "single site", "all or none", "shortest piece", "reserved", "sold out"],
)
def test_a_better_price_is_passed_over_only_where_it_cannot_serve(
    orders: list[Order], fills: dict[int, int]
) -> None:
    assert traded(*orders) == fills
