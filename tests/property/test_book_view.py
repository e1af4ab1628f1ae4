"""Goal: what the channel `book` tells is the engine's book, at every sequence, and every checksum says so.

Method: long random tapes and drawn command lists on the engine; a view that begins somewhere is given each
step, and a client that knows only docs/stream.md (`tests.book_texts`) keeps the book. At 1,000 random
sequences its book is compared with what the engine's own holds, hour by hour and field by field, by code that
reads live orders and shares nothing with the view.
"""

import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.feed.book_view import CHECKSUM_EVERY, BookView
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import Step
from matching.book import OrderBook
from matching.commands import Command
from matching.engine import execute
from matching.live import capacity, is_ask
from matching.product import Product
from tests.book_texts import PlainBook, checksum_of
from tests.strategies import command_lists
from tests.tapes import seeds_of, tape

TAPES = 10
TAPE_COMMANDS = 1_500
COMPARED = 1_000


def step_of(book: OrderBook, command: Command) -> Step:
    return Step(command.sequence, book.product.id, 0, execute(book, command))


def told(message: msgspec.Struct) -> dict[str, Any]:
    """Return a message as a client gets it."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(message))
    return found


def facts_of_book(book: OrderBook) -> dict[int, Any]:
    """Return what can be seen of the engine's book: of an ask, the GPUs of each hour."""
    facts: dict[int, Any] = {}
    for order in book.orders.values():
        if is_ask(order):
            free = {
                format_hour(hour): gpus
                for starts_hour, ends_hour, gpus in capacity(order).runs()
                for hour in range(starts_hour, ends_hour)
                if gpus
            }
            needs_startup = bool(order.order.needs_mask & 4)
            detail: Any = (free, order.order.min_hours, needs_startup)
        else:
            bid: Any = order.order
            names = [name for name, bit in (("domestic", 1), ("state_owned", 2)) if bid.needs_mask & bit]
            names += ["programme"] if bid.needs_mask >> 2 else []
            detail = (
                *(order.gpus, order.hours, format_hour(order.starts_hour), format_hour(order.ends_hour)),
                *(bid.fill.value, bid.placement.value, names),
            )
        facts[order.sequence] = (format_cny(order.price_ticks), detail)
    return facts


def facts_of_client(client: PlainBook) -> dict[int, Any]:
    facts: dict[int, Any] = {}
    for reference, order in client.orders.items():
        if order["side"] == "sell":
            free: dict[str, int] = {}
            for each in order["free"]:
                first, last = (hours_of(each[name]) for name in ("starts_at", "ends_at"))
                free |= {format_hour(hour): each["gpus"] for hour in range(first, last)}
            detail: Any = (free, order["min_hours"], order.get("reserved_for", []) == ["startup"])
        else:
            detail = tuple(
                order[name]
                for name in ("quantity_gpus", "hours", "starts_at", "ends_at", "fill", "placement")
            )
            detail = (*detail, order.get("requires", []))
        facts[reference] = (order["price_cny_per_gpu_hour"], detail)
    return facts


def hours_of(text: str) -> int:
    return next(hour for hour in range(479_990, 500_000) if format_hour(hour) == text)


def follow(
    product: Product, commands: list[Command], begins: int, compare_at: set[int], random: Random
) -> int:
    """Keep a book from the command `begins` on; return how often it was compared.

    Now and then several steps are told together; what is told before is as of the last delta.
    """
    book = OrderBook(product)
    for command in commands[:begins]:
        execute(book, command)
    view, client = BookView(1, book), PlainBook()
    client.apply(json.loads(view.snapshot_text()))
    compared = 0
    for number, command in enumerate(commands[begins:], start=begins):
        view.take(step_of(book, command))
        if number not in compare_at and random.random() < 0.5:
            assert json.loads(view.snapshot_text())["sequence"] == client.sequence
            client.apply(told(view.checksum_message()))
            continue
        delta = view.delta()
        if delta is not None:
            client.apply(told(delta))
        client.apply(told(view.checksum_message()))
        if number in compare_at:
            compared += 1
            assert facts_of_client(client) == facts_of_book(book)
            assert client.phase == book.phase.value
            assert client.first_hour_at == format_hour(book.hour)
            anew = json.loads(BookView(1, book).snapshot_text())
            assert anew["orders"] == list(client.orders.values())
            assert [order["reference"] for order in anew["orders"]] == sorted(client.orders)
    return compared


@pytest.mark.parametrize("seed", seeds_of("book view", TAPES))
def test_the_kept_book_is_the_engines_at_a_thousand_random_sequences(seed: int) -> None:
    random = Random(seed)
    product, commands = tape(seed, TAPE_COMMANDS)
    begins = random.randrange(1, TAPE_COMMANDS // 4)
    compare_at = set(random.sample(range(begins, TAPE_COMMANDS), COMPARED // TAPES))
    assert follow(product, commands, begins, compare_at, random) == COMPARED // TAPES


@given(drawn=command_lists(), data=st.data())
def test_wherever_a_reader_begins_it_ends_with_the_engines_book(
    drawn: tuple[Product, list[Command]], data: st.DataObject
) -> None:
    product, commands = drawn
    begins = data.draw(st.integers(0, len(commands)))
    compare_at = data.draw(st.sets(st.integers(begins, len(commands))))
    follow(product, commands, begins, compare_at, data.draw(st.randoms(use_true_random=False)))


def test_every_so_many_deltas_have_a_checksum() -> None:
    product, commands = tape(7, 600)
    book = OrderBook(product)
    view, deltas = BookView(1, book), []
    for command in commands:
        view.take(step_of(book, command))
        if (delta := view.delta()) is not None:
            deltas.append(delta.checksum)
    assert len(deltas) > 3 * CHECKSUM_EVERY
    assert [number for number, each in enumerate(deltas, 1) if each is not None] == list(
        range(CHECKSUM_EVERY, len(deltas) + 1, CHECKSUM_EVERY)
    )


def test_a_step_that_the_book_already_has_changes_nothing() -> None:
    product, commands = tape(11, 80)
    book = OrderBook(product)
    steps = [step_of(book, command) for command in commands]
    view = BookView(1, book)
    before = view.snapshot_text()
    for step in steps:
        view.take(step)
    assert not view.has_news
    assert view.delta() is None
    assert view.snapshot_text() is before


@given(drawn=command_lists(), data=st.data())
def test_the_checksum_differs_for_any_entry_that_is_changed(
    drawn: tuple[Product, list[Command]], data: st.DataObject
) -> None:
    product, commands = drawn
    book = OrderBook(product)
    for command in commands:
        execute(book, command)
    told_book = json.loads(BookView(1, book).snapshot_text())
    first_hour_at, phase, orders = told_book["first_hour_at"], told_book["phase"], told_book["orders"]
    right = checksum_of(first_hour_at, phase, orders)
    assert right == told_book["checksum"]
    assert checksum_of(first_hour_at, "other", orders) != right
    if not orders:
        return
    place = data.draw(st.integers(0, len(orders) - 1))
    assert checksum_of(first_hour_at, phase, orders[:place] + orders[place + 1 :]) != right
    order = orders[place]
    name = data.draw(st.sampled_from(sorted(order)))
    changed = order | {name: other_than(order[name])}
    if name == "side":
        return  # an order of the other side has other fields
    assert checksum_of(first_hour_at, phase, [*orders[:place], changed, *orders[place + 1 :]]) != right


def other_than(value: Any) -> Any:
    """Return a value that is not this one."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("1" if value[-1] != "1" else "2")
    if value and isinstance(value[0], dict):
        return [*value[:-1], value[-1] | {"gpus": value[-1]["gpus"] + 1}]
    return [*value, "more"]
