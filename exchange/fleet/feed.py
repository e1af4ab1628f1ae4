"""What an engine commits, told to the gateways through Redis: one stream a partition.

After each commit the leader appends the batch's steps; gateways hand them to their relay. The journal stays
the truth: whatever a stream loses, doubles or tells late, the relay fills in from there, leaves out, or puts
in order. So nothing here is tried again, and nothing waits for it.

Invariants: `FeedWriter.tell` only takes note, and never fails; steps that Redis takes too slowly, or not at
all, are dropped. An entry holds steps of one commit that follow each other. A stream holds about
`ENTRIES_KEPT` entries, far more than a gateway that reads is ever behind.

Known limit: without Redis gateways hear of a commit when their relay next looks into the journal, a second
later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.fleet.codec import Unreadable
from exchange.fleet.streams import feed_stream
from exchange.kit.redis import Redis, RedisLost, RedisRefused, StreamReader
from exchange.kit.tasks import end
from exchange.orders.models import Step
from matching.codec import decode_events

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from exchange.kit.resp import Word

ENTRIES_KEPT: Final = 2_000
STEPS_PER_ENTRY_MAX: Final = 64
ENTRIES_WAITING_MAX: Final = 1_000
ENTRIES_AT_ONCE_MAX: Final = 100
BLOCK_S: Final = 5.0
RETRY_S: Final = 0.2
GATHERED_S: Final = 0.01
"""What is committed within so much is read together: a reading costs a round trip, however little comes."""

_log = logging.getLogger(__name__)


class _Told(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A step as it stands in an entry; its events as in the journal."""

    sequence: int
    product_id: str
    event_at_us: int
    events: bytes
    client_order_id: str
    trade_ids: tuple[int, ...]
    cause: str


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[_Told])


def encode_steps(steps: Sequence[Step]) -> bytes:
    """Return an entry's bytes."""
    return _encoder.encode(
        [
            _Told(
                step.sequence,
                step.product_id,
                step.event_at_us,
                step.encoded,
                step.client_order_id,
                step.trade_ids,
                step.cause,
            )
            for step in steps
        ]
    )


def decode_steps(data: bytes) -> list[Step]:
    """Return the steps that `encode_steps` was given; `Unreadable` for anything else, gaps included."""
    try:
        told = _decoder.decode(data)
        events = [decode_events(each.events) for each in told]
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if not told or any(after.sequence != before.sequence + 1 for before, after in pairwise(told)):
        raise Unreadable("the steps of an entry do not follow each other")
    return [
        Step(
            each.sequence,
            each.product_id,
            each.event_at_us,
            own,
            each.events,
            each.client_order_id,
            each.trade_ids,
            each.cause,
        )
        for each, own in zip(told, events, strict=True)
    ]


class FeedWriter:
    """Appends what this process commits, beside the commits; `stop` appends what is left."""

    def __init__(self, redis: Redis) -> None:
        self.dropped = 0
        """Entries that Redis never got."""
        self._redis = redis
        self._waiting: deque[tuple[int, Sequence[Step]]] = deque()
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to append."""
        self._task = asyncio.create_task(self._run(), name="feed-writer")

    def tell(self, partition_id: int, steps: Sequence[Step]) -> None:
        """Take note of the steps of a commit."""
        for first in range(0, len(steps), STEPS_PER_ENTRY_MAX):
            self._waiting.append((partition_id, steps[first : first + STEPS_PER_ENTRY_MAX]))
        while len(self._waiting) > ENTRIES_WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._wake.set()

    async def stop(self) -> None:
        """Append what is left, where Redis answers, and end."""
        self._is_stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting or not self._is_stopping:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(len(self._waiting), ENTRIES_AT_ONCE_MAX)
                entries = [self._waiting.popleft() for _ in range(count)]
                try:
                    await self._append(entries)
                except Exception as error:  # noqa: BLE001 - whatever it was, the journal has the steps
                    self.dropped += count
                    _log.warning("gateways hear of %d commits from the journal only: %r", count, error)
                    if self._is_stopping:
                        return
                    await asyncio.sleep(RETRY_S)

    async def _append(self, entries: Sequence[tuple[int, Sequence[Step]]]) -> None:
        commands: list[Sequence[Word]] = [
            (
                *("XADD", feed_stream(partition_id), "MAXLEN", "~", ENTRIES_KEPT, "*"),
                *("data", encode_steps(steps)),
            )
            for partition_id, steps in entries
        ]
        await self._redis.run_each(*commands)


class FeedReader:
    """Hands what engines commit to `tell`, from now on."""

    def __init__(
        self, redis: Redis, partition_ids: Collection[int], tell: Callable[[int, Sequence[Step]], None]
    ) -> None:
        self._redis = redis
        self._partition_ids = sorted(partition_ids)
        self._tell = tell
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read."""
        self._tasks = [
            asyncio.create_task(self._read(partition_id), name=f"feed-reader-{partition_id}")
            for partition_id in self._partition_ids
        ]

    async def stop(self) -> None:
        """Read no more."""
        await end(self._tasks)

    async def _read(self, partition_id: int) -> None:
        reader: StreamReader | None = None
        is_lost = False
        while True:
            try:
                if reader is None:
                    reader = await self._at_the_end(feed_stream(partition_id))
                page = await reader.read(BLOCK_S)
            except (RedisLost, RedisRefused) as error:
                if not is_lost:
                    _log.warning("the feed of partition %d is read from the journal: %s", partition_id, error)
                is_lost = True
                await asyncio.sleep(RETRY_S)
                continue
            is_lost = False
            for entry in page.entries:
                try:
                    steps = decode_steps(entry.data)
                except Unreadable as error:
                    _log.error("an entry of %s cannot be read: %s", feed_stream(partition_id), error)
                else:
                    self._tell(partition_id, steps)
            if page.entries:
                await asyncio.sleep(GATHERED_S)

    async def _at_the_end(self, stream: str) -> StreamReader:
        after = await self._redis.last_id(stream)
        return StreamReader(self._redis, stream, after=after, entries_max=ENTRIES_AT_ONCE_MAX)
