"""One WebSocket connection: what is sent over it goes to its channels or its desk; what is told goes out.

A reader subscribes to channels and gets, for each, a snapshot or what it has missed, and then deltas
(`channels`). With a key it places, amends and cancels orders (`desk`). What it sends wrong is answered and
changes nothing. It is closed with a reason when a message is too long (1009), its key is revoked or expires
(4401), it reads too slowly (4408), the exchange itself has missed events, so that a new snapshot is needed
(4409), it is silent although it had asked for heartbeats (4410), and when the exchange stops (1001).

One connection holds at most: what waits to be read (`hub`), 4 MiB and the message that passed it; and what is
under way (`desk`), 1 MiB of messages and the one that passed it, with what they are decoded to. In all that
is below `MEMORY_BYTES_MAX`: a client that sends batches in which all is wrong, and never reads, took 14 MB,
one that sends orders 10 MB.

Who has no key sends for an address: what is over the address's budget is hardly looked into, and nothing more
is read from the connection until the budget would take it, `PAUSE_S_MAX` at most. With a key reading goes on,
because a cancel may be next.

Known limits: what the server itself holds of a connection (one message that is coming in, one that is going
out) is beside that. Who sends more than its key may is answered as fast as it reads the answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec

from exchange.feed.books import BookFeed
from exchange.feed.channels import Channels, OwnOrders
from exchange.feed.desk import OPS, PLACES, Desk, Services, message_id
from exchange.feed.hub import Closing, Hub, Reader, encode
from exchange.feed.models import STREAM_PATH, Heartbeat, Pong, ServerShutdown
from exchange.feed.stream_models import (
    BATCH_BYTES_MAX,
    INTERVAL_S_MAX,
    INTERVAL_S_MIN,
    MESSAGE_BYTES_MAX,
    Beat,
    CancelOnDisconnect,
    ErrorMessage,
    Follow,
    Result,
)
from exchange.feed.tape import Tape
from exchange.kit.auth import Principal
from exchange.kit.clock import monotonic_s
from exchange.kit.errors import (
    Faults,
    MalformedInput,
    RateLimited,
    Refusal,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from exchange.kit.fields import ClientText
from exchange.kit.http_auth import check_scopes
from exchange.kit.http_decode import decode
from exchange.kit.http_faults import read_json
from exchange.kit.http_pace import HOLD_S_MAX
from exchange.kit.http_problems import problem_of, refusal_of
from exchange.products.models import ProductSpec

MEMORY_BYTES_MAX: Final = 24 * 1024 * 1024
LAST_WORD_S: Final = 5.0
LOOK_S: Final = 1.0
PAUSE_S_MAX: Final = HOLD_S_MAX
READER_S: Final = 30.0
"""How long a message may stay unread before its reader is slow."""
STEP_BYTES: Final = 4 * 1024
"""A message without a key counts as one request for each of these that it begins."""

CLOSE_TOO_LARGE: Final = 1009
CLOSE_CODES: Final = {
    Closing.SHUTDOWN: 1001,
    Closing.KEY_ENDED: 4401,
    Closing.SLOW: 4408,
    Closing.MISSED: 4409,
    Closing.SILENT: 4410,
}
_LAST_REFUSALS: Final[dict[Closing, Callable[[], Refusal]]] = {
    Closing.KEY_ENDED: Unauthenticated,
    Closing.SLOW: lambda: Unavailable(
        "slow_reader", "messages were not read as fast as they came; connect and subscribe again"
    ),
    Closing.MISSED: lambda: Unavailable(
        "events_missed", "events are missing here; connect and subscribe again for a new snapshot"
    ),
    Closing.SILENT: lambda: Unavailable(
        "heartbeat_missed", "nothing came for two of the intervals asked for; connect again"
    ),
}


class Gone(Exception):
    """The other side has left."""


class Socket(Protocol):
    """A connection, as far as a session needs it. All raise `Gone`."""

    async def receive(self) -> str | bytes:
        """Return the next message; bytes for a binary one."""

    async def send(self, text: str) -> None:
        """Send a message; waits while the other side does not read."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""


class Sources(msgspec.Struct, frozen=True):
    """Where a session has its data from, and who does what it asks for."""

    hub: Hub
    tape: Tape
    products: Mapping[str, ProductSpec]
    own_orders: OwnOrders
    books: BookFeed
    services: Services


class _Head(msgspec.Struct):
    """As much of a message as says what it is."""

    op: Any = None
    id: Any = None


_head: Final = msgspec.json.Decoder(_Head)


class Session:
    """Serves one connection from `run` to its end. `address` is where it comes from."""

    def __init__(
        self,
        socket: Socket,
        sources: Sources,
        principal: Principal | None,
        *,
        request_id: str,
        address: str = "",
    ) -> None:
        self._socket = socket
        self._sources = sources
        self._principal = principal
        self._request_id = request_id
        self._address = address
        self._reader = (
            Reader()
            if principal is None
            else Reader(key_id=principal.key_id, session_id=principal.session_id)
        )
        self._desk: Desk | None = None
        if principal is not None:
            services, answers = sources.services, sources.hub.answers
            self._desk = Desk(self._reader, principal, services, answers, request_id=request_id)
        self._channels = Channels(
            self._reader,
            principal,
            hub=sources.hub,
            tape=sources.tape,
            products=sources.products,
            own_orders=sources.own_orders,
            books=sources.books,
        )
        self._ops: Final[dict[str, Callable[[bytes], Awaitable[None]]]] = {
            **dict.fromkeys(("subscribe", "unsubscribe", "resync", "checksum", "ping"), self._follow),
            "heartbeat": self._beat,
            "cancel_on_disconnect": self._cancel_on_disconnect,
        }
        self._interval_s = self._messages = 0
        self._said_s = self._heard_s = monotonic_s()
        self._is_reading = True
        self._sending_since_s: float | None = None

    async def run(self) -> None:
        """Serve until the reader leaves or must be closed."""
        self._sources.hub.join(self._reader)
        tasks = [
            asyncio.create_task(work, name=f"stream-{self._request_id}")
            for work in (self._receive_all(), self._send_all(), self._reader.closed.wait(), self._watch())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing = self._reader.closing
            self._reader.close(Closing.GONE)
            self._sources.hub.leave(self._reader)
            if self._desk is not None:
                self._desk.end(key_has_ended=closing is Closing.KEY_ENDED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if closing is not None:
            await self._last_word(closing)
            return
        for task in done:
            with suppress(Gone):
                task.result()

    def look(self, now_s: float) -> None:
        """Say something where it is due, and close where the other side's time is up."""
        reader, interval_s = self._reader, self._interval_s
        if self._sending_since_s is not None and now_s - self._sending_since_s >= READER_S:
            reader.close(Closing.SLOW)
        if not interval_s:
            return
        if not self._is_reading:
            self._heard_s = now_s  # it is we who do not listen
        if now_s - self._heard_s >= 2 * interval_s:
            reader.close(Closing.SILENT)
        if now_s - self._said_s >= interval_s and not reader.unsent_messages:
            reader.tell(encode(Heartbeat()))

    async def _watch(self) -> None:
        while True:
            self.look(monotonic_s())
            await asyncio.sleep(LOOK_S)

    async def _send_all(self) -> None:
        while True:
            for text in await self._reader.take():
                self._sending_since_s = monotonic_s()
                await self._socket.send(text)
                self._sending_since_s, self._said_s = None, monotonic_s()
                self._reader.sent(text)
                if self._desk is not None:
                    self._desk.make_room()

    async def _last_word(self, closing: Closing) -> None:
        """Tell why, as far as the other side still reads, and close."""
        refusal = _LAST_REFUSALS.get(closing)
        text = encode(ServerShutdown()) if refusal is None else self._error(refusal())
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._socket.send(text)
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._socket.close(CLOSE_CODES[closing], closing)

    def _error(self, refusal: Refusal, name: str | None = None, number: int | None = None) -> str:
        """Return what tells of a message, or without its `number` of the connection."""
        request_id = self._request_id if number is None else message_id(self._request_id, number)
        problem = problem_of(refusal, instance=STREAM_PATH, request_id=request_id)
        return encode(ErrorMessage(problem=problem, id=name))

    # -- what is sent ----------------------------------------------------------------------------------------

    async def _receive_all(self) -> None:
        while True:
            received = await self._socket.receive()
            is_binary = isinstance(received, bytes)
            message = received if isinstance(received, bytes) else received.encode("utf-8", "surrogatepass")
            self._heard_s = monotonic_s()
            self._messages += 1
            # Size and budget come before anything is read of it: whoever it is, that costs us least.
            bytes_max = MESSAGE_BYTES_MAX if self._desk is None else BATCH_BYTES_MAX
            if len(message) > bytes_max:
                return await self._refuse_long(bytes_max)
            if pause_s := self._pause_s(message):
                self._is_reading = False
                await asyncio.sleep(pause_s)
                self._is_reading = True
                continue
            op, name = ("", None) if is_binary else _read_head(message)
            if len(message) > MESSAGE_BYTES_MAX and op != "place_batch":
                return await self._refuse_long(MESSAGE_BYTES_MAX, name)
            self._is_reading = False
            if self._desk is not None and op in OPS:
                await self._desk.take(op, name, message, self._messages)
            else:
                await self._answer(op, name, message, self._refuse_binary if is_binary else None)
                await asyncio.sleep(0)  # a flood of these must leave the others their turn
            self._is_reading = True

    async def _refuse_long(self, bytes_max: int, name: str | None = None) -> None:
        refusal = TooLarge(detail=f"a message may have at most {bytes_max} bytes")
        await self._socket.send(self._error(refusal, name, self._messages))
        await self._socket.close(CLOSE_TOO_LARGE, refusal.code)

    def _pause_s(self, message: bytes) -> float:
        """Count a message without a key; where it is refused say so, and return how long to read no more."""
        if self._principal is not None:
            return 0.0
        scope, steps = {"client": (self._address, 0)}, -(-len(message) // STEP_BYTES)
        try:
            self._sources.services.limits.admit_address(scope, {}, max(steps, 1))
        except RateLimited as refusal:
            op, name = _read_head(message) if steps <= 1 else ("", None)
            self._sources.hub.answers.add((op if op in self._ops else "unknown", refusal.status))
            self._reader.tell(self._error(refusal, name, self._messages))
            return min(float(refusal.headers.get("Retry-After", "1")), PAUSE_S_MAX)
        return 0.0

    async def _answer(
        self,
        op: str,
        name: str | None,
        message: bytes,
        does: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        """Do what is no request about orders, before anything that was sent after it."""
        try:
            await self._count()
            await (does or self._ops.get(op, self._refuse))(message)
        except Exception as error:  # noqa: BLE001 - whatever it was, the message is answered
            told = refusal_of(error, f"{op} over the stream", message_id(self._request_id, self._messages))
            self._sources.hub.answers.add((op if op in self._ops else "unknown", told.status))
            self._reader.tell(self._error(told, name, self._messages))
        else:
            self._sources.hub.answers.add((op, 200))

    async def _count(self, cost: int = 0) -> None:
        """Count a key's message as a request of HTTP is, or one that costs as several; `RateLimited`."""
        limits, scope = self._sources.services.limits, {"client": (self._address, 0)}
        if self._principal is None:
            if cost:
                limits.admit_address(scope, {}, cost)
            return  # the message itself was counted when it came
        if cost:
            await limits.charge(scope, self._principal, cost)
        else:
            await limits.admit(scope, self._principal, {})

    async def _refuse(self, message: bytes) -> None:
        op, _ = _read_head(message)
        raise Unauthenticated if op in OPS else _unknown_op(message, [*self._ops, *OPS])

    async def _refuse_binary(self, _: bytes) -> None:
        raise MalformedInput("not_json", "the message is binary; send JSON as text")

    async def _follow(self, message: bytes) -> None:
        asked = decode(message, Follow)
        if asked.op == "ping":
            self._reader.tell(encode(Pong(id=asked.id)))
            return
        if cost := self._channels.cost(asked):
            await self._count(cost)
        await self._channels.follow(asked)

    async def _beat(self, message: bytes) -> None:
        asked = decode(message, Beat)
        if 0 < asked.interval_s < INTERVAL_S_MIN:
            faults = Faults()
            rule = f"must be 0, or from {INTERVAL_S_MIN} to {INTERVAL_S_MAX}"
            faults.add("/interval_s", "out_of_range", rule, asked.interval_s)
            raise faults.refusal()
        self._interval_s = asked.interval_s
        self._reader.tell(encode(Result(status=200, id=asked.id, interval_s=asked.interval_s)))

    async def _cancel_on_disconnect(self, message: bytes) -> None:
        asked = decode(message, CancelOnDisconnect)
        if self._principal is None or self._desk is None:
            raise Unauthenticated
        check_scopes(self._principal, PLACES)
        self._desk.withdraws_at_end = asked.enabled
        self._reader.tell(encode(Result(status=200, id=asked.id, cancel_on_disconnect=asked.enabled)))


def _read_head(message: bytes) -> tuple[str, str | None]:
    """Return what a message is, and its id; nothing of what cannot be read, which is told later."""
    try:
        head = _head.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", None
    name: str | None = None
    with suppress(msgspec.ValidationError):
        name = msgspec.convert(head.id, ClientText)
    return head.op if isinstance(head.op, str) else "", name


def _unknown_op(message: bytes, known: list[str]) -> Refusal:
    """Return what is wrong with a message that is none of those known; raises where it is no JSON."""
    value = read_json(message)
    faults = Faults()
    if not isinstance(value, dict):
        faults.add("", "wrong_type", "must be an object", value)
    elif "op" not in value:
        faults.add("/op", "required", "is required")
    else:
        faults.add("/op", "not_one_of", f"must be one of {', '.join(known)}", value["op"])
    return faults.refusal()
