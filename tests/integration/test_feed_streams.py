"""Goal: gateways tell and show what was committed, in order and once, whatever Redis does to the feed.

Method: seeded runs of the real engine go to the real journal; of the entries that a real Redis would carry
some are dropped, doubled and put in another order, by Hypothesis. What a reader of the relay gets is compared
with the run's own events, and the followed book, byte by byte, with the engine's. Then the same through
streams of a server that is flushed, killed and begun anew, and books that lose their place.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.feed import relay as relays
from exchange.feed import rules
from exchange.feed.hub import Reader
from exchange.feed.models import TradeView
from exchange.feed.relay import Relay
from exchange.fleet import feed
from exchange.fleet import follower as followers
from exchange.fleet.codec import Unreadable
from exchange.fleet.feed import FeedReader, FeedWriter, decode_steps, encode_steps
from exchange.fleet.follower import Follower
from exchange.fleet.streams import feed_stream
from exchange.kit.database import Database
from exchange.kit.errors import Unavailable
from exchange.kit.redis import Redis
from exchange.orders.models import Step
from exchange.orders.partition import read_books
from matching.product import Product
from matching.snapshot import snapshot
from tests.hypothesis_profiles import examples
from tests.redis_servers import RedisServer
from tests.told_journal import (
    CHANNEL,
    DEADLINE_S,
    PRODUCT,
    batches,
    commit,
    follow,
    run_of_a_book,
    trades_of,
    wait_until_told,
)

LENGTH = 120
_partitions = itertools.count(1)


class Gateway(NamedTuple):
    """What a gateway knows of a partition, and one reader of its trades."""

    relay: Relay
    follower: Follower
    reader: Reader

    async def told(self) -> list[TradeView]:
        """Return the trades that the reader was given."""
        messages = [msgspec.json.decode(text) for text in await self.reader.take()]
        return [msgspec.convert(trade, TradeView) for each in messages for trade in each["trades"]]


@asynccontextmanager
async def gateway(database: Database, partition_id: int, product: Product) -> AsyncIterator[Gateway]:
    relay = Relay(database)
    follower = Follower(database, {partition_id: {PRODUCT: product}})
    relay.followers.append(follower)
    await relay.start()
    await follower.start()
    try:
        yield Gateway(relay, follower, follow(relay, CHANNEL))
    finally:
        await relay.stop()
        await follower.stop()


async def wait_until_followed(gateway: Gateway, through: Step, partition_id: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while gateway.follower.sequence(partition_id) != through.sequence:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.001)


@st.composite
def deliveries(draw: st.DrawFn, entries: int) -> list[int]:
    """Numbers of entries as they come: some never, some twice, some late."""
    lag = st.integers(0, 6)
    order = [
        (number + draw(lag), number)
        for number in range(entries)
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2])))
    ]
    return [number for _, number in sorted(order)]


@examples(30)
@given(seed=st.integers(0, 10_000), data=st.data())
async def test_readers_and_books_are_the_journal_whatever_is_lost_doubled_or_late(
    module_database: Database, seed: int, data: st.DataObject
) -> None:
    partition_id = next(_partitions)
    steps, book, product = run_of_a_book(seed, LENGTH)
    entries = batches(steps)
    known = data.draw(st.integers(0, len(entries)), label="entries committed before the start")
    for entry in entries[:known]:
        await commit(module_database, entry, partition_id)
    before = sum(map(len, entries[:known]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(relays, "IDLE_S", 0.01)
        async with gateway(module_database, partition_id, product) as opened:
            for entry in entries[known:]:
                await commit(module_database, entry, partition_id)
            for number in data.draw(deliveries(len(entries)), label="deliveries"):
                opened.relay.tell(partition_id, decode_steps(encode_steps(entries[number])))
                if data.draw(st.booleans(), label="pause"):
                    await asyncio.sleep(0)
            await wait_until_told(opened.relay, steps[-1], partition_id)
            await wait_until_followed(opened, steps[-1], partition_id)
            while opened.relay._told:  # noqa: ASYNC110 - what is told twice comes last
                await asyncio.sleep(0)
            trades = trades_of(steps[before:], partition_id)
            expected = [rules.trade_view(trade) for trade in trades]
            assert (await opened.told() if expected else []) == expected
            assert opened.relay.tape.latest(PRODUCT, len(steps))[::-1] == trades
            events = Counter(type(event).__name__ for step in steps[before:] for event in step.events)
            assert opened.relay.events == events
            assert opened.follower.misfits == 0
            assert snapshot(opened.follower.book(PRODUCT)) == snapshot(book)


class Drive:
    """A follower, the partition that it follows, and what may happen to both, each a method."""

    def __init__(self, database: Database, follower: Follower, partition_id: int, steps: list[Step]) -> None:
        self.database = database
        self.follower = follower
        self.partition_id = partition_id
        self.entries = batches(steps)
        self.committed: list[Step] = []
        self.told = 0
        self.starting: asyncio.Task[None] | None = None

    async def commit(self) -> None:
        """Commit what is next."""
        if self.entries:
            entry = self.entries.pop(0)
            await commit(self.database, entry, self.partition_id)
            self.committed += entry

    async def tell(self) -> None:
        """Tell the next step, as the relay does."""
        if self.told < len(self.committed):
            self.follower.take(self.partition_id, self.committed[self.told])
            self.told += 1

    async def leap(self) -> None:
        """Pass steps over."""
        self.told = max(self.told, len(self.committed) - 1)

    async def repeat(self) -> None:
        """Tell an old step again."""
        if self.told:
            self.follower.take(self.partition_id, self.committed[self.told // 2])

    async def miss(self) -> None:
        """Say that steps were passed over, whether or not they were."""
        self.follower.miss()

    async def start(self) -> None:
        """Begin to build the books, and go on meanwhile."""
        if self.starting is None:
            self.starting = asyncio.create_task(self.follower.start())

    async def pause(self) -> None:
        """Let the follower work."""
        await asyncio.sleep(0.005)


ACTIONS = ["commit", "commit", "tell", "tell", "leap", "repeat", "miss", "start", "pause"]


@examples(60)
@given(seed=st.integers(0, 10_000), actions=st.lists(st.sampled_from(ACTIONS), min_size=20, max_size=60))
async def test_a_follower_gets_there_whenever_it_begins_and_whatever_it_is_told(
    module_database: Database, seed: int, actions: list[str]
) -> None:
    partition_id = next(_partitions)
    steps, book, product = run_of_a_book(seed, 60)
    follower = Follower(module_database, {partition_id: {PRODUCT: product}})
    drive = Drive(module_database, follower, partition_id, steps)
    for action in [*actions, "start"]:
        await getattr(drive, action)()
    assert drive.starting is not None
    await drive.starting
    while drive.entries:
        await drive.commit()
    while drive.told < len(steps):
        await drive.tell()
    async with asyncio.timeout(DEADLINE_S):
        while follower.sequence(partition_id) != steps[-1].sequence:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.001)
    assert snapshot(follower.book(PRODUCT)) == snapshot(book)
    assert follower.misfits == 0
    await follower.stop()


async def test_what_is_told_while_the_journal_is_read_is_not_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, book, product = run_of_a_book(17, 200)
    await commit(database, steps[:100])
    has_read, goes_on = asyncio.Event(), asyncio.Event()

    async def late(*arguments: Any) -> Any:
        found = await read_books(*arguments)
        has_read.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(followers, "read_books", late)
    follower = Follower(database, {1: {PRODUCT: product}})
    starting = asyncio.create_task(follower.start())
    await has_read.wait()
    await commit(database, steps[100:])
    for step in steps[100:]:
        follower.take(1, step)
    goes_on.set()
    await starting
    assert snapshot(follower.book(PRODUCT)) == snapshot(book)
    await follower.stop()


@given(seed=st.integers(0, 10_000), data=st.data())
def test_an_entry_is_read_as_it_was_written_or_not_at_all(seed: int, data: st.DataObject) -> None:
    steps, _, _ = run_of_a_book(seed, 12)
    written = encode_steps(steps)
    assert decode_steps(written) == steps
    place = data.draw(st.integers(0, len(written) - 1))
    for broken in (written[:place], encode_steps(steps[:3] + steps[4:]), encode_steps([]), b"\x93\x01"):
        with pytest.raises(Unreadable):
            decode_steps(broken)


async def test_commits_come_through_streams_and_through_the_loss_of_redis(
    database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "IDLE_S", 0.05)
    monkeypatch.setattr(feed, "BLOCK_S", 0.2)
    steps, book, product = run_of_a_book(11, 400)
    entries = batches(steps)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        engine_side, gateway_side = Redis.at(server.url), Redis.at(server.url)
        writer = FeedWriter(engine_side)
        writer.start()
        async with gateway(database, 1, product) as opened:
            reader = FeedReader(gateway_side, [1], opened.relay.tell)
            reader.start()
            for number, entry in enumerate(entries):
                await commit(database, entry)
                writer.tell(1, entry)
                if number == 30:
                    server.flush()
                if number == 60:
                    server.kill()
                if number == 90:
                    server.start()
                if number % 10 == 0:
                    await wait_until_told(opened.relay, entry[-1])
            await wait_until_told(opened.relay, steps[-1])
            await wait_until_followed(opened, steps[-1], 1)
            assert await opened.told() == [rules.trade_view(trade) for trade in trades_of(steps)]
            assert snapshot(opened.follower.book(PRODUCT)) == snapshot(book)
            await reader.stop()
        await writer.stop()
        assert await engine_side.run("XLEN", feed_stream(1)) > 0
        await engine_side.close()
        await gateway_side.close()


async def test_the_stream_alone_tells_of_a_commit(redis_url: str) -> None:
    """Without a journal at hand: so what came, came through Redis."""
    steps, _, _ = run_of_a_book(12, 300)
    told: asyncio.Queue[tuple[int, list[Step]]] = asyncio.Queue()
    redis = Redis.at(redis_url)
    writer = FeedWriter(redis)
    await redis.run("XADD", feed_stream(3), "*", "data", b"from before the start, and not read")
    reader = FeedReader(redis, [2, 3], lambda partition_id, some: told.put_nowait((partition_id, list(some))))
    reader.start()
    writer.start()
    async with asyncio.timeout(DEADLINE_S):
        # It reads from its start on, which is some time after `start`: until it hears, it may have missed it.
        while told.empty():
            writer.tell(3, steps[:1])
            await asyncio.sleep(0.01)
        await redis.run("XADD", feed_stream(3), "*", "data", b"no entry of ours")
        writer.tell(2, steps)
        writer.tell(3, steps[1:3])
        heard: dict[int, list[Step]] = {2: [], 3: []}
        while len(heard[2]) < len(steps) or steps[2] not in heard[3]:
            partition_id, some = await told.get()
            heard[partition_id] += some
    assert heard[2] == steps
    assert heard[3][-2:] == steps[1:3]
    await reader.stop()
    await writer.stop()
    await redis.close()


async def test_without_redis_a_leader_takes_note_and_keeps_no_more_than_it_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "ENTRIES_WAITING_MAX", 10)
    steps, _, _ = run_of_a_book(13, 200)
    redis = Redis.at("redis://127.0.0.1:1/0")
    writer = FeedWriter(redis)
    for step in steps:
        writer.tell(1, [step])
    assert writer.dropped == len(steps) - 10
    writer.start()
    await writer.stop()
    assert writer.dropped == len(steps)
    await redis.close()


async def test_books_that_do_not_fit_are_built_anew(database: Database) -> None:
    steps, book, product = run_of_a_book(14, 200)
    await commit(database, steps[:100])
    async with gateway(database, 1, product) as opened:
        books = opened.follower._followed[1].books
        assert books is not None
        books[PRODUCT].orders.clear()
        await commit(database, steps[100:])
        opened.relay.tell(1, steps[100:])
        await wait_until_told(opened.relay, steps[-1])
        await wait_until_followed(opened, steps[-1], 1)
        assert snapshot(opened.follower.book(PRODUCT)) == snapshot(book)
        assert opened.follower.misfits == 1


async def test_a_great_gap_is_read_from_the_journal(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "STEPS_FILLED_MAX", 40)
    monkeypatch.setattr(relays, "IDLE_S", 0.01)
    steps, book, product = run_of_a_book(15, 200)
    async with gateway(database, 1, product) as opened:
        await commit(database, steps)
        await wait_until_told(opened.relay, steps[-1])
        await wait_until_followed(opened, steps[-1], 1)
        assert snapshot(opened.follower.book(PRODUCT)) == snapshot(book)


async def test_there_are_no_books_before_they_are_built(database: Database) -> None:
    _, _, product = run_of_a_book(16, 10)
    follower = Follower(database, {1: {PRODUCT: product}})
    with pytest.raises(Unavailable):
        follower.book(PRODUCT)
    assert not follower.is_ready(1)
    await follower.start()
    assert follower.is_ready(1)
    assert follower.book(PRODUCT).sequence == 0
    await follower.stop()
