"""Order entry over one connection: every request of HTTP's, judged and carried out by the same code.

Requests are carried out in the order in which they were sent and answered as they commit, many at once. What
may be under way is bounded (`UNDER_WAY_MAX`, `UNDER_WAY_BYTES_MAX`, answers that wait to be read included):
beyond that nothing more is read from the connection.

Invariants: a request has one answer, with its `id`. Where a connection asked for that, once it has ended
nothing is placed over it any more, and every live order of `placed` is withdrawn, those included whose
outcome was on its way.

Known limit: the wish to withdraw lives with the process. Where that is killed, only a dead man's switch
helps.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from exchange.feed.hub import Reader, encode
from exchange.feed.models import STREAM_PATH
from exchange.feed.placed import PlacedOrders
from exchange.feed.stream_models import (
    Amend,
    Cancel,
    CancelAll,
    CancelAllAfter,
    Place,
    PlaceBatch,
    Result,
)
from exchange.kit.auth import Principal, Scope
from exchange.kit.errors import Faults, InvalidInput, MalformedInput, Refusal
from exchange.kit.http_auth import check_scopes, requires
from exchange.kit.http_decode import decode, decoder_of
from exchange.kit.http_limits import Limits, cancels
from exchange.kit.http_path import id_in_path
from exchange.kit.http_problems import problem_of, refusal_of
from exchange.kit.http_request import fingerprint_of
from exchange.kit.http_scope import REQUEST_ID
from exchange.kit.logs import REQUEST
from exchange.kit.meters import Counts
from exchange.orders.amending import judge_amendment
from exchange.orders.many import place_many, switch_view, withdrawn_view
from exchange.orders.many_models import Cause
from exchange.orders.reading import is_replayed
from exchange.orders.service import OrderService
from exchange.orders.switches import Switches
from exchange.orders.telling import ANSWERS, fields_of, fields_of_many
from exchange.orders.turns import Turn, Turns
from exchange.orders.withdrawals import Withdrawals

UNDER_WAY_MAX: Final = 1_000
"""Requests that are carried out, or whose answers wait to be read."""
UNDER_WAY_BYTES_MAX: Final = 1024 * 1024
UNREAD_BYTES_MAX: Final = 1024 * 1024
"""While so much waits to be read, no further request is begun."""
BATCH_WEIGHT: Final = 500
"""A batch counts as so many: its answer may be long."""
CAUSE: Final = Cause.CANCEL_ON_DISCONNECT

PLACES: Final = requires(Scope.TRADE, Scope.LIST_CAPACITY)
WITHDRAWS: Final = PLACES | cancels()
OPS: Final = {
    "place": PLACES,
    "place_batch": PLACES,
    "amend": PLACES,
    "cancel": WITHDRAWS,
    "cancel_all": WITHDRAWS,
    "cancel_all_after": WITHDRAWS,
}
"""What may be asked for, each declared as its route over HTTP is."""


class Services(msgspec.Struct, frozen=True):
    """What carries requests out."""

    orders: OrderService
    switches: Switches
    withdrawals: Withdrawals
    limits: Limits


class Asked(msgspec.Struct):
    """One request under way, the connection's `number`th message.

    `counted` is what its answer tells of the budgets, as a scope has it.
    """

    message: bytes
    turn: Turn
    counted: dict[str, Any]
    number: int


class Desk:
    """One connection's requests."""

    def __init__(
        self,
        reader: Reader,
        principal: Principal,
        services: Services,
        answers: Counts[tuple[str, int]],
        *,
        request_id: str,
    ) -> None:
        self.withdraws_at_end = False
        self._reader = reader
        self._principal = principal
        self._services = services
        self._answers = answers
        self._request_id = request_id
        self._placed = PlacedOrders(principal, services.withdrawals)
        self._turns = Turns()
        self._tasks: set[asyncio.Task[None]] = set()
        self._weight = self._bytes = 0
        self._moved = asyncio.Event()
        self._handlers: Final[dict[str, Callable[[Asked], Awaitable[Result]]]] = {
            "place": self._place,
            "place_batch": self._place_batch,
            "amend": self._amend,
            "cancel": self._cancel,
            "cancel_all": self._cancel_all,
            "cancel_all_after": self._cancel_all_after,
        }

    async def take(self, op: str, name: str | None, message: bytes, number: int) -> None:
        """Begin a request, the `number`th message, once there is room for it.

        `name` is its id, as far as that could be read.
        """
        weight = BATCH_WEIGHT if op == "place_batch" else 1
        while not self._has_room(weight, len(message)):
            self._moved.clear()
            await self._moved.wait()
        self._weight += weight
        self._bytes += len(message)
        turn = self._turns.take(is_withdrawal=OPS[op] is WITHDRAWS)
        task = asyncio.create_task(self._carry_out(op, name, Asked(message, turn, {}, number)))
        self._tasks.add(task)

        def done(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._weight -= weight
            self._bytes -= len(message)
            self._moved.set()

        task.add_done_callback(done)

    def make_room(self) -> None:
        """Note that answers were read."""
        self._moved.set()

    def end(self, *, key_has_ended: bool) -> None:
        """Take no more; withdraw what was placed where that was asked for, which goes on by itself.

        What was taken goes on as well, but for orders that would be withdrawn, and whatever a key that has
        ended may not ask for.
        """
        if key_has_ended or self.withdraws_at_end:
            self._turns.end(withdrawals_too=key_has_ended)
        if self.withdraws_at_end:
            self._services.withdrawals.start(self._withdraw())

    def _has_room(self, weight: int, size: int) -> bool:
        reader = self._reader
        under_way = self._weight + reader.unsent_messages
        if not under_way:
            return True
        return (
            under_way + weight <= UNDER_WAY_MAX
            and self._bytes + size <= UNDER_WAY_BYTES_MAX
            and reader.unsent_bytes < UNREAD_BYTES_MAX
        )

    async def _withdraw(self) -> None:
        """Withdraw what is known to be placed, then what was on its way."""
        await self._placed.withdraw(CAUSE)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._placed.withdraw(CAUSE)

    async def _carry_out(self, op: str, name: str | None, asked: Asked) -> None:
        """Do what one request asks for, and answer it."""
        limits = self._services.limits
        try:
            await limits.admit(asked.counted, self._principal, OPS[op])
            check_scopes(self._principal, OPS[op])
            result = await self._handlers[op](asked)
        except Exception as error:  # noqa: BLE001 - whatever it was, the request is answered
            request_id = self._named(asked)
            result = self._refused(op, refusal_of(error, f"{op} over the stream", request_id), request_id)
        finally:
            asked.turn.over()
        self._answers.add((op, result.status))
        headers: list[tuple[bytes, bytes]] = []
        limits.add_headers(asked.counted, headers)
        if headers:
            told = dict(headers)
            result = replace(
                result,
                rate_limit=told[b"ratelimit"].decode(),
                rate_limit_policy=told[b"ratelimit-policy"].decode(),
            )
        self._reader.tell(encode(replace(result, id=name)))
        if ANSWERS.isEnabledFor(logging.DEBUG):
            self._named(asked)
            fields = {"op": op, "id": name, "status": result.status, **_orders_told(result)}
            ANSWERS.debug("answered", extra={"fields": fields})

    def _named(self, asked: Asked) -> str:
        """Name a request in what is logged from here on, and return its id."""
        request_id = message_id(self._request_id, asked.number)
        REQUEST.set({REQUEST_ID: request_id, "user": self._principal})
        return request_id

    def _refused(self, op: str, refusal: Refusal, request_id: str) -> Result:
        headers = refusal.headers
        return Result(
            status=refusal.status,
            replayed=is_replayed(refusal) if op in {"place", "amend"} else msgspec.UNSET,
            problem=problem_of(refusal, instance=STREAM_PATH, request_id=request_id),
            rate_limit=headers.get("RateLimit"),
            rate_limit_policy=headers.get("RateLimit-Policy"),
            retry_after_s=int(headers["Retry-After"]) if "Retry-After" in headers else None,
        )

    # -- what may be asked -----------------------------------------------------------------------------------

    async def _place(self, asked: Asked) -> Result:
        faults = Faults()
        sent, found = decoder_of(Place).decode_part(asked.message, "order", faults)
        order, orders = sent.order, self._services.orders
        if faults or not _is_read(order):
            if _is_read(order):
                orders.judge(order, found)
            faults.extend(found.faults)
            raise faults.refusal()
        try:
            placed = await orders.place(self._principal, order, found, asked.turn)
        except Exception as error:
            self._placed.fail(error, [order.client_order_id])
            raise
        self._placed.add(placed.view)
        return Result(status=201, replayed=placed.replayed, order=placed.view)

    async def _place_batch(self, asked: Asked) -> Result:
        faults = Faults()

        async def charge(orders: int) -> None:
            await self._services.limits.charge(asked.counted, self._principal, orders - 1)

        sent, items = await decoder_of(PlaceBatch).decode_each(asked.message, "orders", faults, charge)
        await asked.turn.come()
        try:
            answer = await place_many(
                self._services.orders,
                self._principal,
                zip(sent.orders, items, strict=True),
                faults,
                instance=STREAM_PATH,
                request_id=message_id(self._request_id, asked.number),
            )
        except Exception as error:
            names = [each.client_order_id for each in sent.orders if _is_read(each)]
            self._placed.fail(error, [name for name in names if _is_read(name)])
            raise
        for outcome in answer.data:
            if outcome.order is not None:
                self._placed.add(outcome.order)
            elif outcome.client_order_id and outcome.problem and outcome.problem.outcome != "not_applied":
                self._placed.doubt([outcome.client_order_id])
        return Result(status=200, outcomes=answer.data)

    async def _amend(self, asked: Asked) -> Result:
        faults = Faults()
        sent, found = decoder_of(Amend).decode_part(asked.message, "changes", faults)
        if faults or not _is_read(sent.changes):
            if _is_read(sent.changes):
                judge_amendment(sent.changes, found)
            faults.extend(found.faults)
            raise faults.refusal()
        amended = await self._services.orders.amend(
            self._principal,
            id_in_path("ord", sent.order_id, "no such order"),
            sent.changes,
            once_key=sent.idempotency_key,
            payload=_amendment_fingerprint(asked.message),
            faults=found,
            turn=asked.turn,
        )
        if amended.view.priority == "lost":
            self._placed.add(amended.view)
        return Result(status=200, replayed=amended.replayed, order=amended.view)

    async def _cancel(self, asked: Asked) -> Result:
        sent = decode(asked.message, Cancel)
        order_id = id_in_path("ord", sent.order_id, "no such order")
        view = await self._services.orders.cancel(self._principal, order_id, asked.turn)
        self._placed.discard([view.client_order_id])
        return Result(status=200, order=view)

    async def _cancel_all(self, asked: Asked) -> Result:
        faults = Faults()
        sent = decoder_of(CancelAll).decode_with_holes(asked.message, faults)
        await asked.turn.come()
        try:
            withdrawn = await self._services.orders.cancel_all(
                self._principal, product_id=sent.product, side=sent.side, faults=faults
            )
        except (InvalidInput, MalformedInput) as refusal:
            raise _of_a_message(refusal) from None
        self._placed.discard([each.order.client_order_id for each in withdrawn])
        return Result(status=200, withdrawn=[withdrawn_view(each) for each in withdrawn])

    async def _cancel_all_after(self, asked: Asked) -> Result:
        sent = decode(asked.message, CancelAllAfter)
        await asked.turn.come()
        fires_at_us = await self._services.switches.set(self._principal, sent.timeout_s)
        return Result(status=200, switch=switch_view(sent, fires_at_us))


def message_id(connection_id: str, number: int) -> str:
    """Return the request id of a connection's message: that of the connection, and which message it is."""
    return f"{connection_id}-{number}"


def _orders_told(result: Result) -> dict[str, Any]:
    if result.order is not None:
        return fields_of(result.order)
    if result.outcomes is not None:
        return fields_of_many(each.order for each in result.outcomes)
    return {} if result.withdrawn is None else fields_of_many(result.withdrawn)


class _Changes(msgspec.Struct):
    """An amendment's message, as far as its fingerprint needs it."""

    order_id: str
    changes: msgspec.Raw


def _amendment_fingerprint(message: bytes) -> bytes:
    """Return what PATCH would make of these changes, letter by letter: so either may repeat the other."""
    sent = msgspec.json.decode(message, type=_Changes)
    return fingerprint_of("PATCH", f"/v1/orders/{sent.order_id}", bytes(sent.changes))


def _is_read(part: object) -> bool:
    """Whether decoding could read a part of a message at all."""
    return part is not msgspec.UNSET


def _of_a_message(refusal: InvalidInput | MalformedInput) -> Refusal:
    """Return a refusal of a query with pointers into the message that stands for it."""
    errors = [
        msgspec.structs.replace(each, pointer=each.pointer.replace("?", "/", 1)) for each in refusal.errors
    ]
    return type(refusal)(refusal.code, refusal.detail.replace("?", "/", 1), errors=errors)
