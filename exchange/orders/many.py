"""Batches, mass cancels and switches as they are answered, over whichever door they came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from exchange.kit.clock import format_rfc3339
from exchange.kit.http_faults import Telling
from exchange.kit.http_problems import Problem, problem_of
from exchange.kit.ids import encode_id
from exchange.kit.tasks import ITEMS_AT_ONCE
from exchange.orders.many_models import NewSwitch, SwitchView, WithdrawnView
from exchange.orders.models import NewOrder, OrderView, PlacedOrder
from exchange.orders.reading import is_replayed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exchange.kit.auth import Principal
    from exchange.kit.errors import Faults, Refusal
    from exchange.orders.outcomes import Withdrawn
    from exchange.orders.service import OrderService


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


async def place_many(
    service: OrderService,
    principal: Principal,
    orders: Iterable[tuple[NewOrder, Faults]],
    faults: Faults,
    *,
    instance: str,
    request_id: str,
) -> OrderOutcomes:
    """Place decoded orders, each with what is wrong with it; `faults` is what is wrong around them.

    Raises `InvalidInput` with every fault, and nothing is placed, where anything is wrong around them.
    `instance` and `request_id` stand in the problems of those that are refused. These tell a bounded number
    of faults (`Telling`), whoever found them.
    """
    sent = list(orders)
    if faults:
        for place, (order, found) in enumerate(sent):
            if faults.full:
                break
            if _is_order(order):
                service.judge(order, found)
            if place % ITEMS_AT_ONCE == 0:
                await asyncio.sleep(0)
            faults.extend(
                msgspec.structs.replace(fault, pointer=f"/orders/{place}{fault.pointer}")
                for fault in found.faults
            )
        raise faults.refusal()
    placed = iter(await service.place_all(principal, [each for each in sent if _is_order(each[0])]))
    telling = Telling()
    return OrderOutcomes(
        data=[
            _outcome(
                order, next(placed) if _is_order(order) else found.refusal(), telling, instance, request_id
            )
            for order, found in sent
        ]
    )


def _is_order(order: object) -> bool:
    """Whether an item of a batch is an object at all."""
    return order is not msgspec.UNSET


def _outcome(
    order: NewOrder, outcome: PlacedOrder | Refusal, telling: Telling, instance: str, request_id: str
) -> OrderOutcome:
    name = getattr(order, "client_order_id", None)
    client_order_id = name if isinstance(name, str) else None
    if isinstance(outcome, PlacedOrder):
        return OrderOutcome(
            client_order_id=client_order_id, status=201, replayed=outcome.replayed, order=outcome.view
        )
    problem = problem_of(outcome, instance=instance, request_id=request_id)
    if len(problem.errors) > telling.most:
        problem = msgspec.structs.replace(problem, errors=problem.errors[: telling.most])
    telling.count(len(problem.errors))
    return OrderOutcome(
        client_order_id=client_order_id,
        status=outcome.status,
        replayed=is_replayed(outcome),
        problem=problem,
    )


def withdrawn_view(withdrawn: Withdrawn) -> WithdrawnView:
    """An order that a mass cancel withdrew as its answer shows it."""
    order = withdrawn.order
    return WithdrawnView(
        id=encode_id("ord", order.order_id),
        client_order_id=order.client_order_id,
        product=order.product_id,
        side=order.side,
        filled_gpu_hours=order.filled_gpu_hours,
        cancelled_gpus=withdrawn.remaining_gpus,
        cancelled_gpu_hours=withdrawn.remaining_gpu_hours,
    )


def switch_view(wish: NewSwitch, fires_at_us: int | None) -> SwitchView:
    """A dead man's switch, as it was set to fire by the wall clock, as its answer shows it."""
    return SwitchView(
        timeout_s=wish.timeout_s, cancels_at=None if fires_at_us is None else format_rfc3339(fires_at_us)
    )
