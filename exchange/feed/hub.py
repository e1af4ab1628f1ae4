"""Who reads which channel, in memory: publish to all, never wait for any.

A `Reader` is one connection with one bounded queue of encoded messages; a reader that lets it fill up is
closed and told so, and never slows another. What was taken out to be sent counts until it was (`sent`). A
message is encoded once however many read it.

What one reader may hold: `QUEUE_BYTES_MAX`, and the one message that passed it; while a snapshot is made for
it, as much again of what comes meanwhile.

Invariant, per channel and partition: what a reader is given is a snapshot, then every delta after it in
order, each naming the sequence given before it. A delta that the snapshot contains is left out; deltas that
arrive while a snapshot is being made are held and given after it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from exchange.feed.book_models import BookDelta
from exchange.feed.models import ORDERS_CHANNEL, Delta
from exchange.kit.meters import Counts

QUEUE_MESSAGES_MAX: Final = 1000
QUEUE_BYTES_MAX: Final = 4 * 1024 * 1024

_encoder: Final = msgspec.json.Encoder()

AnyDelta: TypeAlias = Delta | BookDelta


def encode(message: msgspec.Struct) -> str:
    """Return a message as it is sent."""
    return _encoder.encode(message).decode()


def orders_key(participant_id: int) -> str:
    """Return the hub's own name for the channel `orders` of one participant."""
    return f"{ORDERS_CHANNEL}:{participant_id}"


class Closing(StrEnum):
    """Why a reader is closed."""

    SLOW = "slow"
    SHUTDOWN = "shutdown"
    MISSED = "missed"
    SILENT = "silent"
    KEY_ENDED = "key_ended"
    GONE = "gone"


class Reader:
    """One connection's side of the hub: the channels it follows and its queue."""

    def __init__(
        self,
        messages_max: int = QUEUE_MESSAGES_MAX,
        *,
        key_id: int | None = None,
        session_id: int | None = None,
        bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        """`key_id` is the key that the connection came with, or that its session stands for."""
        self.key_id = key_id
        self.session_id = session_id
        self.closing: Closing | None = None
        self.closed = asyncio.Event()
        self.unsent_messages = 0
        self.unsent_bytes = 0
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()
        self._given: dict[str, dict[int, int]] = {}
        self._held: dict[str, list[tuple[AnyDelta, str]]] = {}
        self._held_bytes = 0

    @property
    def keys(self) -> list[str]:
        """The channels followed."""
        return [*self._given, *self._held]

    def hold(self, key: str) -> None:
        """Keep what comes on a channel until `begin` says where to go on."""
        self.forget(key)
        self._held[key] = []

    def begin(self, key: str, texts: Iterable[str], sequences: Mapping[int, int]) -> None:
        """Give what tells a channel's past, and what came after the sequences (by partition) it leads to."""
        held = self._unhold(key)
        self._given[key] = dict(sequences)
        for text in texts:
            self.tell(text)
        for delta, text in held:
            self.offer(key, delta, text)

    def forget(self, key: str) -> None:
        """Give no more of a channel."""
        self._given.pop(key, None)
        self._unhold(key)

    def _unhold(self, key: str) -> list[tuple[AnyDelta, str]]:
        held = self._held.pop(key, [])
        self._held_bytes -= sum(len(text) for _, text in held)
        return held

    def offer(self, key: str, delta: AnyDelta, text: str) -> None:
        """Give a delta if it is new to this reader; `text` is the delta encoded."""
        given = self._given.get(key)
        if given is None:
            held = self._held.get(key)
            if held is not None and not self._is_full(len(held), self._held_bytes):
                held.append((delta, text))
                self._held_bytes += len(text)
            return
        last = given.get(delta.partition, 0)
        if delta.sequence <= last:
            return
        given[delta.partition] = delta.sequence
        if delta.prev_sequence != last:
            text = encode(msgspec.structs.replace(delta, prev_sequence=last))
        self.tell(text)

    def tell(self, text: str) -> None:
        """Queue one message; a full queue closes the reader instead."""
        if self.closing is None and not self._is_full(self.unsent_messages, self.unsent_bytes):
            self._queue.append(text)
            self.unsent_messages += 1
            self.unsent_bytes += len(text)
            self._wake.set()

    async def take(self) -> list[str]:
        """Wait for messages and return all that are queued; each counts until it is `sent`."""
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        messages = list(self._queue)
        self._queue.clear()
        return messages

    def sent(self, text: str) -> None:
        """Count a message no longer that was taken and has left."""
        self.unsent_messages -= 1
        self.unsent_bytes -= len(text)

    def close(self, closing: Closing) -> None:
        """Give nothing more."""
        if self.closing is None:
            self.closing = closing
            self.closed.set()

    def _is_full(self, messages: int, size_bytes: int) -> bool:
        if messages < self._messages_max and size_bytes < self._bytes_max:
            return False
        self.close(Closing.SLOW)
        return True


class Hub:
    """All readers by channel. `sequences` is how far each partition has been published."""

    def __init__(self) -> None:
        self.sequences: dict[int, int] = {}
        self.answers: Counts[tuple[str, int]] = Counts()
        """Answers to what was sent over streams, by what was asked and status."""
        self.on_left: list[Callable[[str], None]] = []
        """Told of each channel that its last reader has left."""
        self._channels: dict[str, set[Reader]] = {}
        self._readers: set[Reader] = set()
        self._last: dict[str, int] = {}
        self._is_shut = False

    @property
    def readers(self) -> int:
        """How many connections there are."""
        return len(self._readers)

    def join(self, reader: Reader) -> None:
        """Take a connection in; where nothing will be told any more, close it."""
        self._readers.add(reader)
        if self._is_shut:
            reader.close(Closing.SHUTDOWN)

    def leave(self, reader: Reader) -> None:
        """Forget a connection."""
        self._readers.discard(reader)
        for key in reader.keys:
            self.unsubscribe(key, reader)

    def subscribe(self, key: str, reader: Reader) -> None:
        """Offer what is published on a channel to a reader from now on."""
        self._channels.setdefault(key, set()).add(reader)

    def unsubscribe(self, key: str, reader: Reader) -> None:
        """Offer no more of a channel."""
        reader.forget(key)
        readers = self._channels.get(key)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self._channels[key]
                self._last.pop(key, None)
                for left in self.on_left:
                    left(key)

    def has_readers(self, key: str) -> bool:
        """Whether anyone follows a channel: a delta for nobody need not be made."""
        return key in self._channels

    def seed(self, key: str, sequence: int) -> None:
        """Let the next delta of a channel follow a sequence: that of the snapshot its readers begin with."""
        self._last[key] = sequence

    def publish(self, key: str, delta: AnyDelta) -> None:
        """Offer a delta to all who follow the channel."""
        readers = self._channels.get(key)
        if not readers:
            return
        delta = msgspec.structs.replace(delta, prev_sequence=self._last.get(key, 0))
        self._last[key] = delta.sequence
        text = encode(delta)
        for reader in readers:
            reader.offer(key, delta, text)

    def shut_down(self) -> None:
        """Close every connection, and those still to come: the exchange stops."""
        self._is_shut = True
        self.close_all(Closing.SHUTDOWN)

    def close_key(self, key_id: int) -> None:
        """Close every connection that came with a key, or a session of one, which opens nothing any more."""
        for reader in self._readers:
            if key_id in {reader.key_id, reader.session_id}:
                reader.close(Closing.KEY_ENDED)

    def close_channel(self, key: str, closing: Closing) -> None:
        """Close every connection that follows a channel."""
        for reader in self._channels.get(key, ()):
            reader.close(closing)

    def close_all(self, closing: Closing) -> None:
        """Close every connection there is."""
        for reader in self._readers:
            reader.close(closing)
