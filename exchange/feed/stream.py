"""One WebSocket connection: what a reader asks for, and what it is given.

A reader subscribes to channels and gets, for each, snapshots and then deltas. What it sends wrong is answered
with an error message and changes nothing. It is closed with a reason when it sends a message that is too long
(1009), when it reads too slowly (4408), when the exchange itself has missed events, so that a new snapshot is
needed (4409), and when it stops (1001).

Known limit: orders cannot be placed here yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from exchange.feed import rules
from exchange.feed.hub import Closing, Hub, Reader, encode, orders_key
from exchange.feed.models import (
    CHANNELS_MAX,
    ORDERS_CHANNEL,
    STREAM_PATH,
    TRADES_CHANNEL,
    PartitionOrders,
    Pong,
    ServerShutdown,
    Snapshot,
    StreamRequest,
    Unsubscribed,
)
from exchange.feed.tape import Tape
from exchange.kit.auth import Principal, Scope
from exchange.kit.database import ConnectionLost
from exchange.kit.errors import Faults, Refusal, TooLarge, Unavailable
from exchange.kit.http_decode import decode
from exchange.kit.http_problems import Problem, problem_of
from exchange.products.models import ProductSpec

MESSAGE_BYTES_MAX: Final = 65_536
SNAPSHOT_TRADES: Final = 100
LAST_WORD_S: Final = 5.0

CLOSE_GOING_AWAY: Final = 1001
CLOSE_TOO_LARGE: Final = 1009
CLOSE_SLOW: Final = 4408
CLOSE_MISSED: Final = 4409


class Gone(Exception):
    """The other side has left."""


class Socket(Protocol):
    """A connection, as far as a session needs it. Both raise `Gone`."""

    async def receive(self) -> str:
        """Return the next message."""

    async def send(self, text: str) -> None:
        """Send a message; waits while the other side does not read."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""


class Sources(msgspec.Struct, frozen=True):
    """Where a session has its data from."""

    hub: Hub
    tape: Tape
    products: Mapping[str, ProductSpec]
    live_orders: Callable[[int], Awaitable[list[PartitionOrders]]]


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True, tag="error", tag_field="event"):
    """Why a message was refused, or why the connection ends."""

    problem: Problem


class Session:
    """Serves one connection from `run` to its end."""

    def __init__(
        self, socket: Socket, sources: Sources, principal: Principal | None, *, request_id: str
    ) -> None:
        self._socket = socket
        self._sources = sources
        self._principal = principal
        self._request_id = request_id
        self._reader = Reader()
        self._channels: dict[str, None] = {}

    async def run(self) -> None:
        """Serve until the reader leaves or must be closed."""
        self._sources.hub.join(self._reader)
        tasks = [
            asyncio.create_task(work, name=f"stream-{self._request_id}")
            for work in (self._receive_all(), self._send_all(), self._closed())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sources.hub.leave(self._reader)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._reader.closing is not None:
            await self._last_word(self._reader.closing)
            return
        for task in done:
            with suppress(Gone):
                task.result()

    async def _receive_all(self) -> None:
        while True:
            message = (await self._socket.receive()).encode("utf-8", "surrogatepass")
            if len(message) > MESSAGE_BYTES_MAX:
                refusal = TooLarge(detail=f"a message may have at most {MESSAGE_BYTES_MAX} bytes")
                await self._socket.send(self._error(refusal))
                await self._socket.close(CLOSE_TOO_LARGE, refusal.code)
                return
            try:
                await self._answer(decode(message, StreamRequest))
            except Refusal as refusal:
                self._reader.tell(self._error(refusal))
            except ConnectionLost:
                self._reader.tell(
                    self._error(Unavailable(detail="the snapshot cannot be read now; ask again"))
                )

    async def _send_all(self) -> None:
        while True:
            for text in await self._reader.take():
                await self._socket.send(text)

    async def _closed(self) -> None:
        await self._reader.closed.wait()

    async def _last_word(self, closing: Closing) -> None:
        """Tell why, as far as the other side still reads, and close."""
        if closing is Closing.SHUTDOWN:
            text, code = encode(ServerShutdown()), CLOSE_GOING_AWAY
        elif closing is Closing.MISSED:
            detail = "events are missing here; connect and subscribe again for a new snapshot"
            text, code = self._error(Unavailable("events_missed", detail)), CLOSE_MISSED
        else:
            detail = "messages were not read as fast as they came; connect and subscribe again"
            text, code = self._error(Unavailable("slow_reader", detail)), CLOSE_SLOW
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._socket.send(text)
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._socket.close(code, closing)

    def _error(self, refusal: Refusal) -> str:
        problem = problem_of(refusal, instance=STREAM_PATH, request_id=self._request_id)
        return encode(ErrorMessage(problem=problem))

    # -- what may be asked -----------------------------------------------------------------------------------

    async def _answer(self, asked: StreamRequest) -> None:
        if asked.op == "ping":
            self._reader.tell(encode(Pong()))
            return
        self._check(asked)
        for channel in dict.fromkeys(asked.channels):
            if asked.op == "unsubscribe":
                self._channels.pop(channel, None)
                self._sources.hub.unsubscribe(self._key(channel), self._reader)
            else:
                self._channels[channel] = None
                await self._begin(channel)
        if asked.op == "unsubscribe":
            self._reader.tell(encode(Unsubscribed(channels=asked.channels)))

    def _check(self, asked: StreamRequest) -> None:
        """Raise a refusal with every channel at fault."""
        faults = Faults()
        if not asked.channels:
            faults.add("/channels", "too_short", "must name at least one channel")
        for index, channel in enumerate(asked.channels):
            pointer = f"/channels/{index}"
            if asked.op != "subscribe" and channel not in self._channels:
                faults.add(pointer, "not_subscribed", "is not subscribed on this connection", channel)
            elif asked.op == "subscribe":
                self._check_channel(faults, pointer, channel)
        if len(self._channels | dict.fromkeys(asked.channels)) > CHANNELS_MAX:
            faults.add("/channels", "too_long", f"must leave at most {CHANNELS_MAX} channels subscribed")
        faults.raise_if_any()

    def _check_channel(self, faults: Faults, pointer: str, channel: str) -> None:
        if channel == ORDERS_CHANNEL:
            if self._principal is None or Scope.READ not in self._principal.scopes:
                faults.add(pointer, "key_needed", "needs a connection with a key of scope read", channel)
            return
        product_id = channel.removeprefix(TRADES_CHANNEL)
        if product_id == channel or product_id not in self._sources.products:
            faults.add(pointer, "unknown_channel", "must be orders, or trades:<product>", channel)

    def _key(self, channel: str) -> str:
        if channel == ORDERS_CHANNEL and self._principal is not None:
            return orders_key(self._principal.participant_id)
        return channel

    async def _begin(self, channel: str) -> None:
        """Give a snapshot of the channel, and every delta after it."""
        key, hub = self._key(channel), self._sources.hub
        self._reader.hold(key)
        hub.subscribe(key, self._reader)
        if channel == ORDERS_CHANNEL and self._principal is not None:
            try:
                found = await self._sources.live_orders(self._principal.participant_id)
            except BaseException:
                self._channels.pop(channel, None)
                hub.unsubscribe(key, self._reader)
                raise
            snapshots = [_orders_snapshot(each) for each in found]
        else:
            snapshots = [self._tape_snapshot(channel)]
        self._reader.begin(
            key,
            {each.partition: encode(each) for each in snapshots},
            {each.partition: each.sequence for each in snapshots},
        )

    def _tape_snapshot(self, channel: str) -> Snapshot:
        product_id = channel.removeprefix(TRADES_CHANNEL)
        partition_id = self._sources.products[product_id].partition_id
        return Snapshot(
            channel=channel,
            partition=partition_id,
            sequence=self._sources.hub.sequences.get(partition_id, 0),
            trades=[
                rules.trade_view(each) for each in self._sources.tape.latest(product_id, SNAPSHOT_TRADES)
            ],
        )


def _orders_snapshot(each: PartitionOrders) -> Snapshot:
    return Snapshot(
        channel=ORDERS_CHANNEL,
        partition=each.partition_id,
        sequence=each.sequence,
        orders=each.orders,
        is_complete=each.is_complete,
    )
