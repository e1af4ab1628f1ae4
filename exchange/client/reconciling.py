"""What came of orders whose answer was lost, where the next one does not say: for HTTP and the stream alike.

`persist` says so of a request as a whole. Two answers need more: a batch is answered as a success though some
of its orders were refused, and that an order is over does not say which attempt to cancel it ended it. How it
ended is told beside that, whatever a key may read; the order itself is read over HTTP, with the scope `read`.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from exchange.client.calls import segment
from exchange.client.models import OrderOutcome
from exchange.client.problems import ApiProblem, Unreachable
from exchange.client.retrying import Doubt, doubted
from exchange.client.transport import Transport
from exchange.kit.errors import Unavailable
from exchange.orders.models import OrderView

NOT_LIVE: Final = "order_not_live"
OVER: Final = "order_over"
REPLACED: Final = "order_replaced"
CANCELLED: Final = "cancelled"
NOT_READ: Final = "cancelled_not_read"


def reconciled(outcomes: Sequence[OrderOutcome], doubt: Doubt) -> list[OrderOutcome]:
    """Return what the orders of a batch came to: in doubt, `unknown` unless an outcome knows of every try."""
    if not doubt.is_there:
        return list(outcomes)
    return [
        each if each.problem is None else replace(each, problem=doubted(ApiProblem(each.problem)).problem)
        for each in outcomes
    ]


async def withdrawn(transport: Transport, order_id: str, refusal: ApiProblem, doubt: Doubt) -> OrderView:
    """Return the order whose cancel was refused, where it is cancelled: by the attempt that is in doubt.

    Else the refusal is raised. Where the order cannot be read it is `cancelled_not_read`, which is `applied`,
    if that is how the order ended, and in doubt if nobody told how.
    """
    if refusal.problem.code != NOT_LIVE or not doubt.is_there:
        raise refusal
    ends = {fault.code: fault.value for fault in refusal.problem.errors}
    end = ends.get(OVER, CANCELLED)
    # Of one that was replaced the heir may rest.
    if end != CANCELLED or REPLACED in ends:
        raise refusal
    try:
        order = await transport.call("GET", f"/v1/orders/{segment(order_id)}", OrderView)
    except (ApiProblem, Unreachable) as failure:
        raise (_withdrawn_unread(refusal) if OVER in ends else refusal.in_doubt()) from failure
    if order.status != CANCELLED or order.replaced_by is not None:
        raise refusal
    return order


def _withdrawn_unread(refusal: ApiProblem) -> ApiProblem:
    """Return what tells, as the exchange would, that an order is withdrawn and cannot be shown."""
    told = replace(
        refusal.problem, code=NOT_READ, status=Unavailable.status, title=Unavailable.title, outcome="applied"
    )
    return ApiProblem(told).and_tells("that was asked for and is done, but the order could not be read")
