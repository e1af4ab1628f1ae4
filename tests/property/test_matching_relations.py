"""Goal: what must hold between two runs of the book. Method: change the commands, compare the events.

A higher limit never fills less on arrival; a cancel never creates a trade; another product changes nothing;
shifting every hour shifts the result; ids, names, dictionary order and the hash seed do not matter, and of
sequences only their order.
"""

import os
import subprocess
import sys
from random import Random
from typing import TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from matching.book import OrderBook
from matching.commands import AdvanceHour, CancelAll, CancelOrder, Command, PlaceOrder, ReplaceOrder
from matching.depth import preview
from matching.engine import execute
from matching.events import Event, HourAdvanced, OrderAccepted, SelfTradePrevented, Traded
from matching.order import Ask, Bid, Order
from matching.product import Product
from matching.snapshot import snapshot
from tests.hypothesis_profiles import examples
from tests.interpreter import interpret
from tests.strategies import command_lists, products, raw_bids, raw_lists

Case = tuple[Product, list[Command]]
S = TypeVar("S", bound=msgspec.Struct)
K = TypeVar("K")
V = TypeVar("V")


def run(product: Product, commands: list[Command]) -> list[tuple[Event, ...]]:
    book = OrderBook(product)
    return [execute(book, command) for command in commands]


def renamed(value: S, **changes: object) -> S:
    return msgspec.structs.replace(value, **changes)


def shift_order(order: Order, hours: int) -> Order:
    expire_hour = order.expire_hour + hours if order.expire_hour else 0
    if isinstance(order, Ask):
        return renamed(
            order,
            starts_hour=order.starts_hour + hours,
            ends_hour=order.ends_hour + hours,
            expire_hour=expire_hour,
        )
    return renamed(
        order,
        earliest_hour=order.earliest_hour + hours,
        latest_hour=order.latest_hour + hours,
        expire_hour=expire_hour,
    )


def shift_command(command: Command, hours: int) -> Command:
    if isinstance(command, PlaceOrder | ReplaceOrder):
        return renamed(command, order=shift_order(command.order, hours))
    if isinstance(command, AdvanceHour):
        return renamed(command, hour=command.hour + hours)
    return command


def shift_event(event: Event, hours: int) -> Event:
    if isinstance(event, OrderAccepted):
        return renamed(event, order=shift_order(event.order, hours))
    if isinstance(event, HourAdvanced):
        return renamed(event, hour=event.hour + hours)
    if isinstance(event, Traded):
        return renamed(event, starts_hour=event.starts_hour + hours)
    return event


@examples(100)
@given(command_lists(), st.integers(1, 5_000))
def test_shifting_every_hour_shifts_the_result(case: Case, hours: int) -> None:
    product, commands = case
    shifted = run(product, [shift_command(command, hours) for command in commands])
    assert shifted == [
        tuple(shift_event(event, hours) for event in events) for events in run(product, commands)
    ]


ORDER_KEYS = (
    "order_id",
    "replacement_order_id",
    "maker_order_id",
    "taker_order_id",
    "bid_order_id",
    "ask_order_id",
)
PARTICIPANT_KEYS = ("participant", "buyer", "seller")


Names = dict[str, dict[int, int]]


def rename(value: S, names: Names) -> S:
    """Put other ids and names in the place of all that a command or an event holds."""
    changes: dict[str, object] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if isinstance(field, Ask | Bid):
            changes[name] = rename(field, names)
        elif name in ORDER_KEYS:
            changes[name] = names["order"][field]
        elif name in PARTICIPANT_KEYS:
            changes[name] = names["participant"][field]
        elif name == "trade_group" and field:
            changes[name] = names["group"][field]
    return renamed(value, **changes)


def new_names(random: Random) -> Names:
    """Return other ids, which follow no order, for all that a drawn list can hold."""
    sizes = {"order": 100, "participant": 10, "group": 10}
    return {kind: dict(enumerate(random.sample(range(1, 1 << 60), size))) for kind, size in sizes.items()}


@examples(150)
@given(command_lists(), st.integers(0, 1 << 32))
def test_ids_and_names_do_not_matter(case: Case, seed: int) -> None:
    product, commands = case
    names = new_names(Random(seed))
    other = run(product, [rename(command, names) for command in commands])
    assert other == [tuple(rename(event, names) for event in events) for events in run(product, commands)]


@examples(100)
@given(command_lists(), st.integers(2, 1_000))
def test_of_sequences_only_their_order_matters(case: Case, factor: int) -> None:
    product, commands = case
    apart = run(product, [renamed(command, sequence=command.sequence * factor) for command in commands])
    assert apart == [
        tuple(renamed(event, sequence=event.sequence * factor) for event in events)
        for events in run(product, commands)
    ]


def shuffle(book: OrderBook, random: Random) -> None:
    """Put the entries of every dictionary that finds things, and orders nothing, into another order."""

    def shuffled(entries: dict[K, V]) -> dict[K, V]:
        return dict(random.sample(list(entries.items()), len(entries)))

    book.orders = shuffled(book.orders)
    for order in book.orders.values():
        if order.prevented is not None:
            order.prevented = shuffled(order.prevented)
    book.asks.blocks, book.asks.newest = shuffled(book.asks.blocks), shuffled(book.asks.newest)
    book.bids.blocks, book.bids.newest = shuffled(book.bids.blocks), shuffled(book.bids.newest)


@examples(150)
@given(command_lists(), st.integers(0, 1 << 32))
def test_the_order_of_dictionaries_does_not_matter(case: Case, seed: int) -> None:
    product, commands = case
    random = Random(seed)
    book, other = OrderBook(product), OrderBook(product)
    for command in commands:
        shuffle(other, random)
        assert execute(other, command) == execute(book, command)
        assert snapshot(other) == snapshot(book)


@examples(100)
@given(products, raw_lists, raw_bids, st.integers(1, 5))
def test_a_higher_limit_never_fills_less_on_arrival(
    product: Product, raws: list[tuple[object, ...]], raw: tuple[object, ...], more: int
) -> None:
    # The collar refuses both or neither only if it is off; it is no part of the match.
    product = renamed(product, collar_bps=0)
    commands = interpret(product, [*raws, raw])
    book = OrderBook(product)
    for command in commands[:-1]:
        execute(book, command)
    last = commands[-1]
    assert isinstance(last, PlaceOrder)
    assert isinstance(last.order, Bid)
    bid = renamed(last.order, post_only=False)
    dearer = renamed(bid, limit_ticks=bid.limit_ticks + more)
    assert preview(book, dearer).filled_gpus >= preview(book, bid).filled_gpus


@examples(100)
@given(command_lists(), st.integers(1, 4))
def test_a_cancel_never_creates_a_trade(case: Case, participant: int) -> None:
    product, commands = case
    book = OrderBook(product)
    for command in commands:
        events = execute(book, command)
        if isinstance(command, CancelOrder | CancelAll):
            assert not any(isinstance(event, Traded | SelfTradePrevented) for event in events)
    events = execute(book, CancelAll(sequence=len(commands) + 1, participant=participant))
    assert not any(isinstance(event, Traded) for event in events)
    assert all(order.participant != participant for order in book.orders.values())


@examples(50)
@given(command_lists(), command_lists())
def test_books_do_not_influence_each_other(one: Case, two: Case) -> None:
    apart = run(*one), run(*two)
    first, second = OrderBook(one[0]), OrderBook(two[0])
    together: tuple[list[tuple[Event, ...]], list[tuple[Event, ...]]] = ([], [])
    for number in range(max(len(one[1]), len(two[1]))):
        if number < len(one[1]):
            together[0].append(execute(first, one[1][number]))
        if number < len(two[1]):
            together[1].append(execute(second, two[1][number]))
    assert together == apart


def test_the_hash_seed_does_not_matter() -> None:
    program = (
        "import hashlib\n"
        "from matching.book import OrderBook\n"
        "from matching.codec import encode_events\n"
        "from matching.depth import calendar\n"
        "from matching.engine import execute\n"
        "from matching.snapshot import snapshot\n"
        "from tests.tapes import tape\n"
        "digest = hashlib.sha256()\n"
        "for seed in range(20):\n"
        "    product, commands = tape(seed, 100)\n"
        "    book = OrderBook(product)\n"
        "    for command in commands:\n"
        "        digest.update(encode_events(execute(book, command)))\n"
        "    digest.update(snapshot(book) + repr(calendar(book, book.hour, book.hour + 20)).encode())\n"
        "print(digest.hexdigest())\n"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "4294967295")
    ]
    assert len(digests[0]) == 65
    assert len(set(digests)) == 1
