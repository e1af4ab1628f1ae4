"""What came of orders whose answer was lost, where the next one does not say: for HTTP and the stream alike.

`persist` says so of a request as a whole. Two answers need more: a batch is answered as a success though some
of its orders were refused, and that an order is over does not say which attempt to cancel it ended it. Known
limit: an order is read over HTTP, with the scope `read`; without it a cancel stays in doubt.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from exchange.client.calls import segment
from exchange.client.models import OrderOutcome
from exchange.client.problems import ApiProblem, Unreachable
from exchange.client.retrying import Doubt, doubted
from exchange.client.transport import Transport
from exchange.orders.models import OrderView

NOT_LIVE: Final = "order_not_live"


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

    Else the refusal is raised; as in doubt where the order cannot be read.
    """
    if refusal.problem.code != NOT_LIVE or not doubt.is_there:
        raise refusal
    try:
        order = await transport.call("GET", f"/v1/orders/{segment(order_id)}", OrderView)
    except (ApiProblem, Unreachable) as failure:
        raise refusal.in_doubt() from failure
    # Of one that was replaced the heir may rest.
    if order.status != "cancelled" or order.replaced_by is not None:
        raise refusal
    return order
