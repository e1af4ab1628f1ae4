"""Goal: the book in the browser is the book of the Python client, whatever is lost, doubled or late.

Method: the lines of `test_order_book` lose, double and reorder the channel's own messages; each that the
Python client takes in is given to `src/stream/book.ts`, run by Node, and both must say the same of it:
whether the book is whole, its sequence, its checksum. Both sides for some hours are those of the engine.
"""

import json
import subprocess
from random import Random
from typing import Any

import msgspec

from exchange.client.order_book import BookEvent, OrderBook
from exchange.feed.service import QUANTITY_GPUS_MAX
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.rules import RESERVE_BITS
from matching.book import OrderBook as EngineBook
from matching.depth import depth
from matching.order import Bid
from tests.node import WEB, node
from tests.property.test_order_book import Stage
from tests.tapes import seeds_of, tape

COMMANDS = 300
ANYBODY = (1 << 200) - 1 - sum(RESERVE_BITS.values())
"""A buyer for whom nothing is reserved, but what tapes ask for and no order can."""
WINDOWS = [(0, 1), (0, 3), (2, 9), (5, 6), (11, 12)]


class Recording(OrderBook):
    """A client's book that notes what it is told, and how it stands after it."""

    def __init__(self, product: str, told: list[list[object]], expected: list[object]) -> None:
        super().__init__(product)
        self._told = told
        self._expected = expected

    def apply(self, event: BookEvent) -> bool:
        """Take an event in, and note it."""
        is_whole = super().apply(event)
        self._told.append(["apply", event])
        self._expected.append([is_whole, self.sequence, self.checksum()])
        return is_whole


def levels_of(book: EngineBook, starts_hour: int, ends_hour: int) -> dict[str, list[dict[str, Any]]]:
    """Return what anybody finds in the engine's book for some hours, and what wants any of them."""
    asks = [
        (format_cny(each.price_ticks), each.quantity_gpus)
        for each in depth(book, starts_hour, ends_hour - starts_hour, QUANTITY_GPUS_MAX, is_mask=ANYBODY)
    ]
    wanted: dict[int, int] = {}
    for live in book.orders.values():
        if isinstance(live.order, Bid) and live.starts_hour < ends_hour and live.ends_hour > starts_hour:
            wanted[live.price_ticks] = wanted.get(live.price_ticks, 0) + live.gpus
    bids = [(format_cny(price), wanted[price]) for price in sorted(wanted, reverse=True)]
    return {"asks": summed(asks), "bids": summed(bids)}


def summed(levels: list[tuple[str, int]]) -> list[dict[str, Any]]:
    total, found = 0, []
    for price, gpus in levels:
        total += gpus
        found.append({"price": price, "gpus": gpus, "cumulative": total})
    return found


def answers_of_node(told: list[list[object]]) -> list[Any]:
    said = subprocess.run(
        [node("vite"), WEB / "tests" / "keep_book.mjs"],
        input=b"\n".join(msgspec.json.encode(each) for each in told),
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr.decode()
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_the_browser_says_of_every_message_what_the_python_client_says() -> None:
    told: list[list[object]] = []
    expected: list[object] = []
    broken = 0
    for faults in (0.0, 0.1, 0.4):
        for seed in seeds_of(f"browser book {faults}", 2):
            product, commands = tape(seed, COMMANDS)
            stage = Stage(product, Random(seed), faults)
            told.append(["new"])
            stage.client = Recording(product.id, told, expected)
            for command in commands:
                stage.execute(command)
                stage.read()
            stage.settle()
            broken += stage.noticed
            for first, last in WINDOWS:
                hours = (stage.engine.hour + first, stage.engine.hour + last)
                told.append(["levels", *map(format_hour, hours)])
                expected.append(levels_of(stage.engine, *hours))
    assert broken > 20
    assert sum(isinstance(each, dict) and bool(each["asks"]) and bool(each["bids"]) for each in expected) > 5
    answers = answers_of_node(told)
    assert len(answers) == len(expected)
    for place, (answer, wanted) in enumerate(zip(answers, expected, strict=True)):
        assert answer == wanted, f"answer {place}"
