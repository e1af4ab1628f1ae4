"""Goal: no command, in no phase, leaves a pair that could trade. Method: every next command, on copies.

From every book that Hypothesis reaches: every kind of command on every order that is live, in every phase,
then re-opening. The auditor looks, from outside and by brute force, for a resting bid that the asks could
serve. Beside the commands that only take away, those that are most likely to leave something are made to fit:
an ask that is half of what a resting bid lacks, a bid that takes the rest of an ask, a reduction to each
smaller quantity, a replacement at a better price, and one that takes part instead of the whole.
"""

from collections.abc import Iterator
from copy import deepcopy

import msgspec
from hypothesis import given

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
from matching.engine import execute
from matching.live import LiveOrder, is_ask
from matching.order import Ask, Bid, FillPolicy, Order, Side
from matching.product import Phase, Product
from matching.snapshot import restore, snapshot
from tests.auditor import Auditor
from tests.hypothesis_profiles import examples
from tests.strategies import command_lists

NEW_ID = 10_000
STRANGER = 99


@examples(80)
@given(command_lists())
def test_no_command_in_no_phase_leaves_an_executable_pair(case: tuple[Product, list[Command]]) -> None:
    product, commands = case
    book, auditor = OrderBook(product), Auditor(product)
    for command in commands:
        auditor.hear(command, execute(book, command))
    data = snapshot(book)
    last = commands[-1].sequence
    for phase in Phase:
        for command in next_commands(book, last + 2):
            copy, watching = restore(data), deepcopy(auditor)
            opening = SetPhase(sequence=last + 3, phase=Phase.OPEN)
            for step in (SetPhase(sequence=last + 1, phase=phase), command, opening):
                watching.hear(step, execute(copy, step))


def next_commands(book: OrderBook, sequence: int) -> Iterator[Command]:
    """Yield what could be done to a book as it stands."""
    lot = book.product.lot_gpus
    for hours in (1, 2, 5):
        yield AdvanceHour(sequence=sequence, hour=book.hour + hours)
    for participant in {order.participant: None for order in book.orders.values()}:
        for side in (None, *Side):
            yield CancelAll(sequence=sequence, participant=participant, side=side)
    for order_id, live in book.orders.items():
        owner = live.participant
        yield CancelOrder(sequence=sequence, order_id=order_id, participant=owner)
        for quantity in range(lot, live.quantity_gpus, lot):
            yield ReduceOrder(sequence=sequence, order_id=order_id, participant=owner, quantity_gpus=quantity)
        for order in replacements(book, live):
            yield ReplaceOrder(sequence=sequence, order_id=order_id, participant=owner, order=order)
        yield PlaceOrder(sequence=sequence, order=counterpart(book, live))


def replacements(book: OrderBook, live: LiveOrder) -> Iterator[Order]:
    """Yield orders in place of one: at a better price under the old id, half as large, less strict."""
    order = live.order
    lot = book.product.lot_gpus
    half = max(live.quantity_gpus // lot // 2, 1) * lot
    if isinstance(order, Ask):
        now = {"starts_hour": max(order.starts_hour, book.hour), "min_hours": 1}
        yield msgspec.structs.replace(order, price_ticks=max(order.price_ticks - 2, 1), **now)
        yield msgspec.structs.replace(order, order_id=NEW_ID, quantity_gpus=half, **now)
    else:
        now = {"earliest_hour": live.starts_hour, "latest_hour": live.ends_hour}
        yield msgspec.structs.replace(order, limit_ticks=order.limit_ticks + 2, **now)
        yield msgspec.structs.replace(order, order_id=NEW_ID, quantity_gpus=half, **now)
        yield msgspec.structs.replace(order, order_id=NEW_ID, fill=FillPolicy.PARTIAL, **now)


def counterpart(book: OrderBook, live: LiveOrder) -> Order:
    """Return a stranger's order: half of what a bid wants, or a bid for all that an ask has."""
    order = live.order
    lot = book.product.lot_gpus
    if is_ask(live):
        return Bid(
            order_id=NEW_ID,
            participant=STRANGER,
            trade_group=0,
            product=order.product,
            quantity_gpus=live.remaining_gpus,
            hours=live.ends_hour - live.starts_hour,
            earliest_hour=live.starts_hour,
            latest_hour=live.ends_hour,
            limit_ticks=live.price_ticks,
            is_mask=order.needs_mask,
        )
    return Ask(
        order_id=NEW_ID,
        participant=STRANGER,
        trade_group=0,
        product=order.product,
        quantity_gpus=max(live.gpus // lot // 2, 1) * lot,
        starts_hour=live.starts_hour,
        ends_hour=live.ends_hour,
        price_ticks=live.price_ticks,
        is_mask=order.needs_mask,
    )
