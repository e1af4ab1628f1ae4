"""Goal: a client that misses, doubles or mixes up any messages notices, and ends with the same book.

Method: the channel's own messages of a random tape, encoded and decoded, through a line that drops, doubles
and reorders what it carries, snapshots included; the client asks for a new one whenever it says that its book
is not whole. Whenever it says that it is, it must be the book of that sequence, to the byte. What it shows of
hours and prices is compared with the engine's own views.
"""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.client.order_book import BookEvent, OrderBook
from exchange.feed.book_models import BookSnapshot
from exchange.feed.book_view import BookView
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import Step
from matching.book import OrderBook as EngineBook
from matching.commands import Command
from matching.depth import calendar, hour_book
from matching.engine import execute
from matching.product import Product
from tests.strategies import command_lists
from tests.tapes import seeds_of, tape

HOURS = 12


class Line:
    """Carries messages, and loses, doubles and delays some of them."""

    def __init__(self, random: Random, faults: float) -> None:
        self._random = random
        self._faults = faults
        self._carried: list[tuple[type[BookEvent], bytes]] = []

    def put(self, message: BookEvent) -> None:
        """Take a message in; it may be lost, or doubled."""
        copies = 1
        if self._random.random() < self._faults:
            copies = self._random.choice([0, 2])
        self._carried += [(type(message), msgspec.json.encode(message))] * copies

    def take(self) -> BookEvent | None:
        """Return a message, seldom not the next one."""
        if not self._carried:
            return None
        place = 0
        if self._random.random() < self._faults:
            place = self._random.randrange(min(4, len(self._carried)))
        kind, data = self._carried.pop(place)
        return msgspec.json.decode(data, type=kind)


class Stage:
    """An engine's book, its view, and a client behind a line."""

    def __init__(self, product: Product, random: Random, faults: float) -> None:
        self.engine = EngineBook(product)
        self.view = BookView(1, self.engine)
        self.client = OrderBook(product.id)
        self.line = Line(random, faults)
        self.checksums: dict[int, str] = {}
        self.noticed = 0
        self._note()
        self.resync()

    def _note(self) -> None:
        self.checksums[self.view.sequence] = self.view.checksum()

    def resync(self) -> None:
        """Send a snapshot."""
        self.line.put(msgspec.json.decode(self.view.snapshot_text(), type=BookSnapshot))

    def execute(self, command: Command) -> None:
        """Let something happen, and tell of it."""
        step = Step(command.sequence, self.engine.product.id, 0, execute(self.engine, command))
        self.view.take(step)
        if (delta := self.view.delta()) is not None:
            self._note()
            self.line.put(delta)

    def read(self) -> None:
        """Let the client read one message, and ask for a snapshot where it must."""
        event = self.line.take()
        if event is None:
            return
        if not self.client.apply(event):
            self.noticed += 1
            self.resync()
        else:
            assert self.client.checksum() == self.checksums[self.client.sequence], "wrong, and not noticed"

    def settle(self) -> None:
        """Read all there is, then what a line that works tells when it is asked for the checksum."""
        while (event := self.line.take()) is not None:
            self.client.apply(event)
        if not self.client.apply(self.view.checksum_message()):
            self.client.apply(msgspec.json.decode(self.view.snapshot_text(), type=BookSnapshot))
        assert self.client.is_whole
        assert self.client.sequence == self.view.sequence
        expected = msgspec.json.decode(self.view.snapshot_text(), type=BookSnapshot)
        assert list(self.client.orders.values()) == expected.orders


@pytest.mark.parametrize("faults", [0.02, 0.1, 0.4])
def test_whatever_the_line_does_a_whole_book_is_right_and_all_end_with_it(faults: float) -> None:
    noticed = 0
    for seed in seeds_of(f"book faults {faults}", 5):
        random = Random(seed)
        product, commands = tape(seed, 900)
        stage = Stage(product, random, faults)
        for command in commands:
            stage.execute(command)
            for _ in range(random.choice([0, 1, 1, 2, 3])):
                stage.read()
        stage.settle()
        noticed += stage.noticed
    assert noticed > 20


@given(drawn=command_lists(), data=st.data())
def test_one_message_that_is_lost_is_noticed_with_the_next(
    drawn: tuple[Product, list[Command]], data: st.DataObject
) -> None:
    product, commands = drawn
    stage = Stage(product, Random(0), 0.0)
    deltas: list[BookEvent] = []
    for command in commands:
        stage.execute(command)
    while (event := stage.line.take()) is not None:
        deltas.append(event)
    lost = data.draw(st.integers(0, len(deltas) - 1))
    for place, event in enumerate(deltas):
        if place != lost:
            assert stage.client.apply(event) is (place < lost)
    stage.client.apply(stage.view.checksum_message())
    assert not stage.client.is_whole
    stage.settle()


@given(drawn=command_lists())
def test_a_line_without_faults_is_never_asked_again(drawn: tuple[Product, list[Command]]) -> None:
    product, commands = drawn
    stage = Stage(product, Random(0), 0.0)
    for command in commands:
        stage.execute(command)
        stage.read()
    stage.settle()
    assert stage.noticed == 0


@given(drawn=command_lists(), data=st.data())
def test_an_entry_that_went_wrong_is_noticed_by_the_next_checksum(
    drawn: tuple[Product, list[Command]], data: st.DataObject
) -> None:
    product, commands = drawn
    stage = Stage(product, Random(0), 0.0)
    for command in commands:
        stage.execute(command)
    stage.settle()
    if not stage.client.orders:
        return
    reference = data.draw(st.sampled_from(sorted(stage.client.orders)))
    order = stage.client.orders[reference]
    stage.client._put(msgspec.structs.replace(order, price_cny_per_gpu_hour="9999.99"))
    assert not stage.client.apply(stage.view.checksum_message())


@given(drawn=command_lists())
def test_hours_and_prices_are_those_of_the_engine(drawn: tuple[Product, list[Command]]) -> None:
    product, commands = drawn
    stage = Stage(product, Random(0), 0.0)
    for command in commands:
        stage.execute(command)
    stage.settle()
    engine, client = stage.engine, stage.client
    for shown, hour in zip(
        client.calendar(HOURS), calendar(engine, engine.hour, engine.hour + HOURS), strict=True
    ):
        assert shown.starts_at == format_hour(hour.hour)
        assert shown.ask_cny_per_gpu_hour == (
            format_cny(hour.ask_price_ticks) if hour.ask_price_ticks else None
        )
        assert shown.bid_cny_per_gpu_hour == (
            format_cny(hour.bid_price_ticks) if hour.bid_price_ticks else None
        )
        assert shown.free_gpus == hour.free_gpus
        expected = hour_book(engine, hour.hour, 100)
        levels = client.levels(shown.starts_at)
        for ours, theirs in ((levels.asks, expected.asks), (levels.bids, expected.bids)):
            assert [
                (each.price_cny_per_gpu_hour, each.quantity_gpus, each.cumulative_gpus) for each in ours
            ] == [(format_cny(each.price_ticks), each.quantity_gpus, each.cumulative_gpus) for each in theirs]
        best_ask, best_bid = client.best_ask(shown.starts_at), client.best_bid(shown.starts_at)
        assert (best_ask and best_ask.price_cny_per_gpu_hour) == shown.ask_cny_per_gpu_hour
        assert (best_bid and best_bid.price_cny_per_gpu_hour) == shown.bid_cny_per_gpu_hour
    ask, bid = next(iter(engine.asks), None), next(iter(engine.bids), None)
    assert client.best_ask() == (None if ask is None else client.orders[ask.sequence])
    assert client.best_bid() == (None if bid is None else client.orders[bid.sequence])
