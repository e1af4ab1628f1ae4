"""Seeded runs of the real engine for several products of one partition, and the journal that they make."""

import bisect
from collections.abc import Sequence
from random import Random

import msgspec

from exchange.kit.database import Database
from matching.book import OrderBook
from matching.codec import encode_events
from matching.commands import Command, PlaceOrder, ReplaceOrder
from matching.engine import execute
from matching.product import Product
from matching.snapshot import snapshot
from tests.tapes import tape
from tests.told_journal import AT_US, append_to_journal

PARTITION = 1


class Line(msgspec.Struct, frozen=True):
    """A command to one book as the journal has it."""

    sequence: int
    product_id: str
    at_us: int
    events: bytes


class LongRun:
    """A market of some products: its journal, and its books as they were after some of its commands.

    `then` has the encoded book of each product after each of `points`.
    """

    def __init__(self, product_ids: Sequence[str], *, seed: int, length: int, points: int) -> None:
        """Trade `length` commands, fewer of each product than of the one before it."""
        random = Random(seed)
        self.points = sorted(random.sample(range(1, length + 1), points))
        self.products: dict[str, Product] = {}
        commands = {}
        for number, product_id in enumerate(product_ids):
            product, own = tape(seed + number, length)
            self.products[product_id] = msgspec.structs.replace(product, id=product_id)
            commands[product_id] = iter(own)
        self.books = {product_id: OrderBook(product) for product_id, product in self.products.items()}
        self.lines: list[Line] = []
        self.then: dict[tuple[str, int], bytes] = {}
        at_us, wanted = AT_US, set(self.points)
        weights = [4 ** (len(product_ids) - number) for number in range(len(product_ids))]
        for sequence in range(1, length + 1):
            product_id = random.choices(product_ids, weights)[0]
            events = execute(self.books[product_id], _of(product_id, sequence, next(commands[product_id])))
            # As in one batch, some commands are of the same time.
            at_us += random.choice([0, 0, 1, 1_000_000])
            self.lines.append(Line(sequence, product_id, at_us, encode_events(events)))
            if sequence in wanted:
                self.then |= {(each, sequence): snapshot(book) for each, book in self.books.items()}

    def sequence_at(self, at_us: int) -> int:
        """Return the last command at or before a time, 0 where there is none."""
        return bisect.bisect_right([line.at_us for line in self.lines], at_us)


def _of(product_id: str, sequence: int, command: Command) -> Command:
    """Return a tape's command as one to the book of a product."""
    command = msgspec.structs.replace(command, sequence=sequence)
    if isinstance(command, PlaceOrder | ReplaceOrder):
        order = msgspec.structs.replace(command.order, product=product_id)
        return msgspec.structs.replace(command, order=order)
    return command


async def write(database: Database, lines: Sequence[Line]) -> None:
    """Append to the journal of the partition as its leader does, with nothing but the events."""
    await append_to_journal(
        database, PARTITION, [(line.sequence, line.product_id, line.at_us, line.events) for line in lines]
    )
