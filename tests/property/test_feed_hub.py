"""Goal: a reader can always tell that it has everything, because it has, or it is closed.

Method: random interleavings of publishing, subscribing, reading, and snapshots that lie behind or ahead of
what is published, on the real hub; a client that only knows the protocol must end with what was published.
"""

import asyncio
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from exchange.feed.hub import Closing, Hub, Reader
from exchange.feed.models import Delta

KEY = "trades:p"

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 3)),
        st.tuples(st.just("subscribe"), st.just(0)),
        st.tuples(st.just("snapshot"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.just(0)),
        st.tuples(st.just("leave"), st.just(0)),
    ),
    max_size=40,
)


class Client:
    """Applies what it is given, and insists that nothing is missing."""

    def __init__(self) -> None:
        self.sequence = -1
        self.seen: set[int] = set()

    def apply(self, text: str, published: list[int]) -> None:
        """Take a message."""
        message: dict[str, Any] = msgspec.json.decode(text)
        if message["event"] == "snapshot":
            self.sequence = message["sequence"]
            self.seen = {each for each in published if each <= self.sequence}
            return
        assert message["prev_sequence"] == self.sequence, "a delta does not follow what was given before"
        assert message["sequence"] > self.sequence
        self.sequence = message["sequence"]
        self.seen.add(self.sequence)


def delta(sequence: int) -> Delta:
    return Delta(channel=KEY, partition=1, prev_sequence=0, sequence=sequence)


def take_now(reader: Reader) -> list[str]:
    """Return what is queued, without waiting."""
    messages = list(reader._queue)
    reader._queue.clear()
    return messages


@given(steps=steps)
def test_whatever_the_order_of_things_a_reader_misses_nothing_and_gets_nothing_twice(
    steps: list[tuple[str, int]],
) -> None:
    hub, reader, client = Hub(), Reader(), Client()
    hub.join(reader)
    published: list[int] = []
    sequence = 0
    is_following = is_waiting = False
    for kind, value in steps:
        if kind == "publish":
            sequence += value
            published.append(sequence)
            hub.publish(KEY, delta(sequence))
        elif kind == "subscribe":
            reader.hold(KEY)
            hub.subscribe(KEY, reader)
            is_waiting, is_following = True, False
        elif kind == "snapshot" and is_waiting:
            as_of = sequence + value
            snapshot = msgspec.json.encode({"event": "snapshot", "sequence": as_of}).decode()
            reader.begin(KEY, [snapshot], {1: as_of})
            is_waiting, is_following = False, True
        elif kind == "read":
            for text in take_now(reader):
                client.apply(text, published)
        elif kind == "leave":
            hub.unsubscribe(KEY, reader)
            is_waiting = is_following = False
    for text in take_now(reader):
        client.apply(text, published)
    if is_following:
        # Sequences up to a snapshot that was ahead are part of it, whether published before or after it.
        assert {each for each in published if each > client.sequence} == set()
        assert client.seen | {each for each in published if each <= client.sequence} == set(published)
    assert reader.closing is None
    hub.leave(reader)
    assert not hub.has_readers(KEY)


@given(extra=st.integers(0, 5), is_held=st.booleans())
def test_a_reader_that_does_not_read_is_closed_and_holds_back_nobody(extra: int, *, is_held: bool) -> None:
    hub, slow, other = Hub(), Reader(messages_max=3), Reader()
    for reader in (slow, other):
        hub.join(reader)
        reader.hold(KEY)
        hub.subscribe(KEY, reader)
        if reader is other or not is_held:
            reader.begin(KEY, (), {1: 0})
    for sequence in range(1, 5 + extra):
        hub.publish(KEY, delta(sequence))
    assert slow.closing is Closing.SLOW
    assert slow.closed.is_set()
    assert len(take_now(slow)) <= 3
    assert [msgspec.json.decode(text)["sequence"] for text in take_now(other)] == [*range(1, 5 + extra)]


@given(
    sizes=st.lists(st.integers(0, 40), max_size=60),
    sent=st.lists(st.booleans(), max_size=60),
    is_held=st.booleans(),
)
def test_what_one_reader_holds_is_bounded_in_bytes_until_it_was_sent(
    sizes: list[int], sent: list[bool], *, is_held: bool
) -> None:
    bytes_max = 300
    reader, taken = Reader(bytes_max=bytes_max), []
    reader.hold(KEY)
    if not is_held:
        reader.begin(KEY, (), {1: 0})
    largest = 0
    for number, size in enumerate(sizes, start=1):
        text = "x" * size
        largest = max(largest, size)
        if is_held:
            reader.offer(KEY, delta(number), text)
        else:
            reader.tell(text)
        taken += take_now(reader)
        if taken and number < len(sent) and sent[number]:
            reader.sent(taken.pop(0))
        assert reader.unsent_bytes + reader._held_bytes <= bytes_max + largest
        assert reader.unsent_bytes == sum(map(len, taken))
        assert reader.unsent_messages == len(taken)
        if reader.closing is Closing.SLOW:
            assert reader.unsent_bytes + reader._held_bytes >= bytes_max
    reader.forget(KEY)
    assert reader._held_bytes == 0


def test_a_key_that_ends_closes_its_readers_and_no_others() -> None:
    hub = Hub()
    readers = [Reader(key_id=1), Reader(key_id=1), Reader(key_id=2), Reader()]
    for reader in readers:
        hub.join(reader)
    hub.close_key(1)
    assert [reader.closing for reader in readers] == [Closing.KEY_ENDED, Closing.KEY_ENDED, None, None]


async def test_take_waits_for_the_next_message() -> None:
    reader = Reader()
    taking = asyncio.create_task(reader.take())
    await asyncio.sleep(0)
    assert not taking.done()
    reader.tell("a")
    reader.tell("b")
    assert await taking == ["a", "b"]


def test_a_message_for_many_is_encoded_once() -> None:
    hub = Hub()
    readers = [Reader() for _ in range(3)]
    for reader in readers:
        reader.hold(KEY)
        hub.subscribe(KEY, reader)
        reader.begin(KEY, (), {1: 0})
    hub.publish(KEY, delta(1))
    hub.publish(KEY, delta(5))
    first, *others = [take_now(reader) for reader in readers]
    assert all(text is same for messages in others for text, same in zip(messages, first, strict=True))
    assert msgspec.json.decode(first[1])["prev_sequence"] == 1
