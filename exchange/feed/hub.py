"""Who reads which channel, in memory: publish to all, never wait for any.

A `Reader` is one connection with one bounded queue of encoded messages; a reader that lets it fill up is
closed and told so, and never slows another. A message is encoded once however many read it.

Invariant, per channel and partition: what a reader is given is a snapshot, then every delta after it in
order, each naming the sequence given before it. A delta that the snapshot contains is left out; deltas that
arrive while a snapshot is being made are held and given after it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from exchange.feed.models import ORDERS_CHANNEL, Delta

QUEUE_MESSAGES_MAX: Final = 1000

_encoder: Final = msgspec.json.Encoder()


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


class Reader:
    """One connection's side of the hub: the channels it follows and its queue."""

    def __init__(self, messages_max: int = QUEUE_MESSAGES_MAX) -> None:
        self.closing: Closing | None = None
        self.closed = asyncio.Event()
        self._messages_max = messages_max
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()
        self._given: dict[str, dict[int, int]] = {}
        self._held: dict[str, list[tuple[Delta, str]]] = {}

    @property
    def keys(self) -> list[str]:
        """The channels followed."""
        return [*self._given, *self._held]

    def hold(self, key: str) -> None:
        """Keep what comes on a channel until `begin` says where to go on."""
        self._given.pop(key, None)
        self._held[key] = []

    def begin(self, key: str, snapshots: Mapping[int, str], sequences: Mapping[int, int]) -> None:
        """Give the snapshots of a channel (by partition) and what came after their sequences."""
        held = self._held.pop(key, [])
        self._given[key] = dict(sequences)
        for text in snapshots.values():
            self.tell(text)
        for delta, text in held:
            self.offer(key, delta, text)

    def forget(self, key: str) -> None:
        """Give no more of a channel."""
        self._given.pop(key, None)
        self._held.pop(key, None)

    def offer(self, key: str, delta: Delta, text: str) -> None:
        """Give a delta if it is new to this reader; `text` is the delta encoded."""
        given = self._given.get(key)
        if given is None:
            held = self._held.get(key)
            if held is not None and not self._is_full(len(held)):
                held.append((delta, text))
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
        if self.closing is None and not self._is_full(len(self._queue)):
            self._queue.append(text)
            self._wake.set()

    async def take(self) -> list[str]:
        """Wait for messages and return all that are queued."""
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        messages = list(self._queue)
        self._queue.clear()
        return messages

    def close(self, closing: Closing) -> None:
        """Give nothing more."""
        if self.closing is None:
            self.closing = closing
            self.closed.set()

    def _is_full(self, messages: int) -> bool:
        if messages < self._messages_max:
            return False
        self.close(Closing.SLOW)
        return True


class Hub:
    """All readers by channel. `sequences` is how far each partition has been published."""

    def __init__(self) -> None:
        self.sequences: dict[int, int] = {}
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

    def has_readers(self, key: str) -> bool:
        """Whether anyone follows a channel: a delta for nobody need not be made."""
        return key in self._channels

    def publish(self, key: str, delta: Delta) -> None:
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

    def close_all(self, closing: Closing) -> None:
        """Close every connection there is."""
        for reader in self._readers:
            reader.close(closing)
