"""One order of a tape split into parts, and what happened told in a form in which two runs compare.

Commands are numbered by their place on the tape, 64 apart, so that the parts stand where the whole stood: one
behind the other, with nothing between. Commands that change the order itself are left out, except a cancel,
which withdraws every part. Left out of the comparison is what is told of the order alone, and notices of
prevented self-trades, which change nothing: a smaller part may reach fewer asks of its own group.
"""

from collections import Counter
from typing import Final, NamedTuple

import msgspec

from matching.book import OrderBook
from matching.commands import CancelOrder, Command, PlaceOrder, ReduceOrder, ReplaceOrder
from matching.engine import execute
from matching.events import Event, HourAdvanced, OrderAccepted, SelfTradePrevented, Traded
from matching.order import Order
from matching.product import Product

STEP: Final = 64
PART_ID: Final = 1_000_000


class Deal(NamedTuple):
    """Who the order traded with at a place of the tape, accepted at which earlier one, and on which terms."""

    place: int
    accepted: int
    other_id: int
    starts_hour: int
    hours: int
    price_ticks: int


class Outcome(NamedTuple):
    """What a run gave.

    GPUs by deal; where each other order was accepted; other events by place, in no order; what is left.
    """

    deals: Counter[Deal]
    accepted: dict[int, int]
    others: Counter[tuple[int, str]]
    left: dict[int, tuple[int, int, int, int]]

    def gpu_hours(self) -> int:
        """Return what the order traded in all."""
        return sum(deal.hours * gpus for deal, gpus in self.deals.items())


def split(order: Order, lots: list[int], lot_gpus: int) -> list[Order]:
    """Return the order in parts of so many lots."""
    return [
        msgspec.structs.replace(order, order_id=PART_ID + number, quantity_gpus=part * lot_gpus)
        for number, part in enumerate(lots)
    ]


def outcome(product: Product, commands: list[Command], place: int, orders: list[Order]) -> Outcome:
    """Run a tape with these orders in place of the one that is placed there."""
    placed = commands[place]
    if not isinstance(placed, PlaceOrder):
        raise TypeError(f"no order is placed by {placed}")
    ours = {order.order_id for order in orders}
    book, found = OrderBook(product), Outcome(Counter(), {}, Counter(), {})
    for number, command in enumerate(commands):
        for step in _steps(command, number, placed if number != place else None, orders):
            for event in execute(book, step):
                _note(found, number, event, ours)
    for order_id, order in book.orders.items():
        if order_id not in ours:
            window = (order.starts_hour, order.ends_hour)
            found.left[order_id] = (order.remaining_gpus, order.remaining_gpu_hours, *window)
    return found


def _steps(command: Command, number: int, placed: PlaceOrder | None, orders: list[Order]) -> list[Command]:
    first = number * STEP + 1
    if placed is None:
        return [PlaceOrder(sequence=first + i, order=order) for i, order in enumerate(orders)]
    target = placed.order.order_id
    if isinstance(command, CancelOrder) and command.order_id == target:
        owner = command.participant
        return [
            CancelOrder(sequence=first + i, order_id=order.order_id, participant=owner)
            for i, order in enumerate(orders)
        ]
    if isinstance(command, ReduceOrder | ReplaceOrder) and command.order_id == target:
        return []
    return [msgspec.structs.replace(command, sequence=first)]


def _note(found: Outcome, number: int, event: Event, ours: set[int]) -> None:
    if isinstance(event, SelfTradePrevented):
        return
    if isinstance(event, Traded):
        pair = {event.bid_order_id, event.ask_order_id}
        if pair & ours:
            (other_id,) = pair - ours
            accepted = found.accepted[other_id]
            deal = Deal(number, accepted, other_id, event.starts_hour, event.hours, event.price_ticks)
            found.deals[deal] += event.quantity_gpus
            return
    elif isinstance(event, HourAdvanced):
        # What lapsed of the order is counted in it.
        event = msgspec.structs.replace(event, lapsed_gpu_hours=0)
    elif getattr(event, "order_id", 0) in ours:
        return
    elif isinstance(event, OrderAccepted):
        if event.order.order_id in ours:
            return
        found.accepted[event.order.order_id] = number
    found.others[number, str(msgspec.structs.replace(event, sequence=0))] += 1
