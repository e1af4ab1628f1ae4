"""Orders over the stream: placed and followed over one connection, which is made anew where it is lost.

Every channel goes on from the last sequence that was seen, or begins with a new snapshot where that is too
long ago. A request whose answer was lost is sent again over the next connection, as over HTTP
(`exchange.client.retrying`): it has one effect under its `client_order_id` or `once_key`. `cancel_all_orders`
is not: it raises `Unreachable`.

Known limit: `EVENTS_MAX` events wait to be read; while so many do, nothing more is read from the connection,
answers included. Who follows channels must read `events`.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from exchange.client.models import OrderOutcome, StreamError, StreamResult
from exchange.client.problems import ApiProblem, Problem, Unreachable
from exchange.client.reconciling import reconciled, withdrawn
from exchange.client.retrying import Doubt, persist
from exchange.client.transport import TIMEOUT_S, Transport, failure_of
from exchange.feed.book_models import BOOK_CHANNEL, BookChecksum, BookDelta, BookSnapshot
from exchange.feed.models import STREAM_PATH, Delta, Resumed, Snapshot
from exchange.orders.many_models import NewOrders, SwitchView, WithdrawnView
from exchange.orders.models import AmendOrder, NewOrder, OrderView

INTERVAL_S: Final = 10
EVENTS_MAX: Final = 10_000
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
CLOSE_KEY_ENDED: Final = 4401
_KEY_ENDED: Final = Problem(
    status=401, title="the key has ended", detail="it opens nothing any more", outcome="not_applied"
)
FOLLOWING: Final = "following"
"""The id of what subscribes, so that its refusal can be told from others."""

T = TypeVar("T")
StreamEvent = Snapshot | Delta | Resumed | BookSnapshot | BookDelta | BookChecksum


class _Told(msgspec.Struct, frozen=True):
    """As much of a message as says what it is."""

    event: str = ""
    channel: str = ""


_TYPES: Final[dict[str, Any]] = {
    "snapshot": Snapshot,
    "delta": Delta,
    "resumed": Resumed,
    "result": StreamResult,
    "error": StreamError,
}
_BOOK_TYPES: Final[dict[str, Any]] = {
    "snapshot": BookSnapshot,
    "delta": BookDelta,
    "checksum": BookChecksum,
}


class OrderStream:
    """A connection under one key. Use it as an async context manager; `events` yields what channels tell."""

    def __init__(
        self,
        transport: Transport,
        channels: tuple[str, ...] = (),
        *,
        cancel_on_disconnect: bool = False,
        interval_s: int = INTERVAL_S,
    ) -> None:
        """With `cancel_on_disconnect` orders placed here do not outlive the connection they were placed over.

        Either side says something every `interval_s`; after twice that in silence the other one is gone.
        """
        self.connections = 0
        """How many times it has connected."""
        self._transport = transport
        self._channels = channels
        self._withdraws = cancel_on_disconnect
        self._interval_s = interval_s
        self._names = count(1)
        self._after: dict[str, dict[int, int]] = {channel: {} for channel in channels}
        self._broken: set[str] = set()
        """Channels of which nothing is of use until their next snapshot."""
        self._waiting: dict[str, asyncio.Future[StreamResult | StreamError]] = {}
        self._events: asyncio.Queue[StreamEvent | Exception] = asyncio.Queue(EVENTS_MAX)
        self._connection: ClientConnection | None = None
        self._news = 0
        """How much of use has come. To connect alone is no success: it may be refused right after."""
        self._moved = asyncio.Condition()
        self._failure: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Connect; raises `Unreachable` where that cannot be done, or `ApiProblem` where it is refused."""
        self._begin(self._stay_connected(), "stream")
        try:
            await self._connected()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._end()

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Yield what the channels tell, in their order; ends only with the error that ends the stream."""
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    async def create_order(self, order: NewOrder) -> OrderView:
        """Place one order; placing the same `client_order_id` again gives the stored outcome."""
        return _there((await self._ask_again("place", order=order)).order)

    async def create_orders(self, orders: NewOrders) -> list[OrderOutcome]:
        """Place up to a thousand orders, and return what each came to, in their order."""
        doubt = Doubt()
        answer = await self._ask_again("place_batch", doubt, orders=orders.orders)
        return reconciled(_there(answer.outcomes), doubt)

    async def edit_order(self, order_id: str, wish: AmendOrder, once_key: str | None = None) -> OrderView:
        """Change an order, or put another in its place; return what goes on, with its `priority`."""
        key = once_key or secrets.token_hex(16)
        answer = await self._ask_again("amend", order_id=order_id, changes=wish, idempotency_key=key)
        return _there(answer.order)

    async def cancel_order(self, order_id: str) -> OrderView:
        """Withdraw what is left of an order."""
        doubt = Doubt()
        try:
            return _there((await self._ask_again("cancel", doubt, order_id=order_id)).order)
        except ApiProblem as refusal:
            return await withdrawn(self._transport, order_id, refusal, doubt)

    async def cancel_all_orders(
        self, product: str | None = None, side: str | None = None
    ) -> list[WithdrawnView]:
        """Withdraw what is left of all your orders, and return what that was."""
        return _there((await self._ask("cancel_all", product=product, side=side)).withdrawn)

    async def cancel_all_orders_after(self, timeout_s: int) -> SwitchView:
        """Set, put off or (with 0) take away your dead man's switch."""
        return _there((await self._ask_again("cancel_all_after", timeout_s=timeout_s)).switch)

    async def resync(self, channel: str) -> None:
        """Ask for a new snapshot of a channel; nothing that comes before it is told any more."""
        connection = await self._connected()
        with suppress(ConnectionClosed):  # another connection begins with one
            await self._resync(connection, channel)

    async def _ask_again(self, op: str, doubt: Doubt | None = None, **fields: object) -> StreamResult:
        """Ask for something that has one effect however often it is asked for."""
        return await persist(lambda: self._ask(op, **fields), self._transport.patience_s, doubt)

    async def _ask(self, op: str, **fields: object) -> StreamResult:
        """Send a request and wait for its answer."""
        connection = await self._connected()
        name = f"r{next(self._names)}"
        answer: asyncio.Future[StreamResult | StreamError] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_note)
        self._waiting[name] = answer
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await _send(connection, op, id=name, **fields)
                told = await answer
        except (TimeoutError, ConnectionClosed) as error:
            raise self._no_answer(error) from error
        finally:
            self._waiting.pop(name, None)
        if isinstance(told, StreamError):
            raise ApiProblem(told.problem)
        if told.problem is not None:
            raise ApiProblem(told.problem, told.retry_after_s or 0.0)
        return told

    async def _connected(self) -> ClientConnection:
        """Return the connection, once there is one."""
        async with self._moved:
            with suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    await self._moved.wait_for(lambda: self._connection or self._failure)
        if self._failure is not None:
            raise self._failure
        if self._connection is None:
            detail = f"no connection to {self._address} within {TIMEOUT_S} s"
            raise Unreachable(detail, outcome="not_applied")
        return self._connection

    @property
    def _address(self) -> str:
        return self._transport.stream_url(STREAM_PATH)

    def _no_answer(self, error: BaseException) -> Unreachable:
        detail = f"no answer from {self._address}: {str(error) or type(error).__name__}"
        was_there = self.connections > 0
        return Unreachable(detail, is_lost=was_there, outcome="unknown" if was_there else "not_applied")

    def _begin(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lose(Unreachable("the stream is closed"))

    # -- the connection --------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        retry_s = RETRY_S_MIN
        while True:
            seen = self._news
            try:
                await self._serve_once()
                lost: Exception = Unreachable("the connection ended", is_lost=True)
            except Exception as error:  # noqa: BLE001 - told to whoever waits: nobody looks at this task
                lost = _named(error)
            is_of_the_line = isinstance(lost, OSError | TimeoutError | WebSocketException)
            told = self._no_answer(lost) if is_of_the_line else lost
            if not self.connections or not (is_of_the_line or _may_pass(lost)):
                await self._fail(told)
                return
            self._lose(self._no_answer(lost))
            retry_s = RETRY_S_MIN if self._news != seen else min(2 * retry_s, RETRY_S_MAX)
            await asyncio.sleep(max(retry_s, lost.retry_after_s if isinstance(lost, ApiProblem) else 0.0))

    async def _serve_once(self) -> None:
        async with connect(
            self._address,
            additional_headers=self._transport.handshake(STREAM_PATH),
            compression=None,
            max_size=MESSAGE_BYTES_MAX,
            open_timeout=TIMEOUT_S,
        ) as connection:
            await self._serve(connection)

    async def _serve(self, connection: ClientConnection) -> None:
        await _send(connection, "heartbeat", interval_s=self._interval_s)
        if self._withdraws:
            await _send(connection, "cancel_on_disconnect", enabled=True)
        self._broken.clear()
        for channel, after in self._after.items():
            told = {str(partition): sequence for partition, sequence in after.items()}
            await _send(connection, "subscribe", id=FOLLOWING, channels=[channel], after=told)
        self.connections += 1
        async with self._moved:
            self._connection = connection
            self._moved.notify_all()
        beating = self._begin(self._beat(connection), "stream-heartbeat")
        try:
            while True:
                async with asyncio.timeout(2 * self._interval_s + 1):
                    text = await connection.recv()
                await self._take(connection, text)
        finally:
            self._connection = None
            beating.cancel()

    async def _beat(self, connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._interval_s)
                await _send(connection, "ping")

    async def _take(self, connection: ClientConnection, text: str | bytes) -> None:
        head = msgspec.json.decode(text, type=_Told)
        types = _BOOK_TYPES if head.channel.startswith(BOOK_CHANNEL) else _TYPES
        type_ = types.get(head.event)
        if type_ is None:
            return  # it says nothing, or something that a newer exchange says
        told = msgspec.json.decode(text, type=type_)
        if isinstance(told, StreamResult | StreamError):
            answer = self._waiting.get(told.id or "")
            if answer is not None and not answer.done():
                answer.set_result(told)
                self._news += 1
            elif isinstance(told, StreamError) and told.id == FOLLOWING:
                raise ApiProblem(told.problem)
            return  # the last word of a connection that ends is told by its end
        after = self._after[told.channel]
        if isinstance(told, Snapshot | BookSnapshot):
            self._broken.discard(told.channel)
        elif told.channel in self._broken:
            return  # a snapshot is on its way
        elif isinstance(told, Delta | BookDelta) and told.prev_sequence != after.get(told.partition, 0):
            await self._resync(connection, told.channel)
            return
        after[told.partition] = told.sequence
        self._news += 1
        await self._events.put(told)

    async def _resync(self, connection: ClientConnection, channel: str) -> None:
        self._broken.add(channel)
        await _send(connection, "resync", id=FOLLOWING, channels=[channel])

    async def _fail(self, failure: Exception) -> None:
        """End for good."""
        async with self._moved:
            self._failure = failure
            self._moved.notify_all()
        # Who waits has sent something, and is answered by nobody.
        self._lose(failure.in_doubt() if isinstance(failure, ApiProblem) else failure)
        await self._events.put(failure)

    def _lose(self, why: Exception) -> None:
        """Tell everyone who waits that no answer comes."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(why)


async def _send(connection: ClientConnection, op: str, **fields: object) -> None:
    message: Mapping[str, object] = {"op": op, **fields}
    await connection.send(msgspec.json.encode(message).decode())


def _named(error: Exception) -> Exception:
    """Return what the end of a connection says, where the exchange says something by it."""
    if isinstance(error, InvalidStatus):
        response = error.response
        body = bytes(response.body or b"")
        return failure_of(response.status_code, response.headers, body, "GET", "the stream")
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == CLOSE_KEY_ENDED:
        return ApiProblem(_KEY_ENDED)
    return error


def _may_pass(why: Exception) -> bool:
    """Whether another connection may come to something else."""
    if isinstance(why, ApiProblem):
        return why.problem.retryable
    return isinstance(why, Unreachable) and why.is_lost


def _note(answer: asyncio.Future[Any]) -> None:
    """Take note of an error that whoever asked is told otherwise."""
    if not answer.cancelled():
        answer.exception()


def _there(part: T | None) -> T:
    """Return the part of an answer that its request is about."""
    if part is None:
        raise Unreachable("the exchange answered with something else than expected")
    return part
