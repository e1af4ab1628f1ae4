"""Orders over HTTP, that are not one: a batch, a dead man's switch, a preview. Hop 1."""

from typing import Final

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from exchange.kit.auth import Scope
from exchange.kit.clock import format_rfc3339
from exchange.kit.errors import Refusal
from exchange.kit.http_auth import requires
from exchange.kit.http_limits import cancels
from exchange.kit.http_problems import Problem, problem_of
from exchange.kit.http_request import ApiRequest
from exchange.orders.many_models import NewOrders, NewSwitch, SwitchView
from exchange.orders.models import NewOrder, OrderView, PlacedOrder
from exchange.orders.preview_models import PreviewView
from exchange.orders.service import OrderService
from exchange.orders.switches import Switches

ITEM_FAULTS_MAX: Final = 20
"""So many faults of one order of a batch are told, else an answer could be much larger than its request."""


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one order of a batch came to: what it would have been answered alone, and under which status."""

    client_order_id: str | None
    status: int
    replayed: bool
    order: OrderView | None = None
    problem: Problem | None = None


class OrderOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of a batch, in the order in which its orders were sent."""

    data: list[OrderOutcome]


def _service(request: ApiRequest) -> OrderService:
    service: OrderService = request.app.state.orders
    return service


class ManyOrdersController(Controller):
    """All, many, or only imagined orders of a participant."""

    path = "/v1/orders"
    tags = ("Orders",)

    @post(
        "/batch",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, each="orders"),
        summary="Place many orders",
        status_code=200,
    )
    async def place_all(self, request: ApiRequest, data: JSONBody[NewOrders]) -> OrderOutcomes:
        """Place up to 1,000 orders behind each other; each has the outcome that it would have had alone.

        A fault in one does not touch the others. They share their commits, and the answers stand in the order
        in which they were sent. Sent again, each is answered by its `client_order_id` as before. A body may
        have 1 MiB: a thousand orders of the usual 350 bytes, or some 700 that name fifty vouchers each.
        """
        await request.app.state.limits.charge(request.scope, request.principal, len(data.orders) - 1)
        service = _service(request)
        sent = list(zip(data.orders, request.item_faults, strict=True)) if request.item_faults else []
        if request.faults:
            for place, (order, faults) in enumerate(sent):
                if _is_order(order):
                    service.judge(order, faults)
                request.faults.extend(
                    msgspec.structs.replace(fault, pointer=f"/orders/{place}{fault.pointer}")
                    for fault in faults.faults
                )
            raise request.faults.refusal()
        placed = iter(
            await service.place_all(request.principal, [each for each in sent if _is_order(each[0])])
        )
        return OrderOutcomes(
            data=[
                _outcome(request, order, next(placed) if _is_order(order) else faults.refusal())
                for order, faults in sent
            ]
        )

    @post(
        "/cancel-all-after",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY) | cancels(),
        summary="Cancel all own orders unless heard of again",
        status_code=200,
    )
    async def cancel_all_after(self, request: ApiRequest, data: JSONBody[NewSwitch]) -> SwitchView:
        """Set the participant's dead man's switch: sent again in time it is put off, 0 takes it away.

        It is of the participant, whichever key sets it, runs by the wall clock, and survives no restart of
        the exchange: set it again after `server_shutdown`, or when a connection was lost.
        """
        switches: Switches = request.app.state.switches
        fires_at_us = switches.set(request.principal, data.timeout_s)
        return SwitchView(
            timeout_s=data.timeout_s, cancels_at=None if fires_at_us is None else format_rfc3339(fires_at_us)
        )

    @post(
        "/preview",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, keep_faults=True),
        summary="Tell what an order would do",
        status_code=200,
    )
    async def preview(self, request: ApiRequest, data: JSONBody[NewOrder]) -> PreviewView:
        """What would fill now and at which prices, what it would cost in all, who would pay, what would rest.

        Nothing is placed and nothing is locked: by the time the order is sent, all of it may be different. An
        order that would be refused is answered with the reason in `refusal`. Whether its `client_order_id`
        was used before is not looked up.
        """
        return await _service(request).preview(request.principal, data, request.faults)


def _is_order(order: object) -> bool:
    """Whether an item of a batch is an object at all."""
    return order is not msgspec.UNSET


def _outcome(request: ApiRequest, order: NewOrder, outcome: PlacedOrder | Refusal) -> OrderOutcome:
    name = getattr(order, "client_order_id", None)
    client_order_id = name if isinstance(name, str) else None
    if isinstance(outcome, PlacedOrder):
        return OrderOutcome(
            client_order_id=client_order_id, status=201, replayed=outcome.replayed, order=outcome.view
        )
    problem = problem_of(outcome, instance=request.scope["path"], request_id=request.request_id)
    return OrderOutcome(
        client_order_id=client_order_id,
        status=outcome.status,
        replayed="Idempotent-Replayed" in outcome.headers,
        problem=msgspec.structs.replace(problem, errors=problem.errors[:ITEM_FAULTS_MAX]),
    )
