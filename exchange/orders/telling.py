"""What the log says of an answer: which orders it is about, and where in the journal they were placed.

Answers are logged where the level is `debug`; elsewhere no line is run for it but the question.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from exchange.kit.http_scope import TOLD
from exchange.orders.many_models import WithdrawnView
from exchange.orders.models import OrderView

ANSWERS: Final = logging.getLogger("exchange.http")
"""The logger of the answers, of the stream's as well."""


def tell_order(scope: Any, order: OrderView) -> None:
    """Add an order to what is logged of the answer to a request."""
    if ANSWERS.isEnabledFor(logging.DEBUG):
        scope[TOLD] = fields_of(order)


def tell_orders(scope: Any, orders: Iterable[OrderView | WithdrawnView | None]) -> None:
    """Add many orders; those that are None were not placed."""
    if ANSWERS.isEnabledFor(logging.DEBUG):
        scope[TOLD] = fields_of_many(orders)


def fields_of(order: OrderView) -> dict[str, Any]:
    """Return what is told of one order."""
    return {"order_id": order.id, "sequence": order.sequence}


def fields_of_many(orders: Iterable[OrderView | WithdrawnView | None]) -> dict[str, Any]:
    """Return what is told of many: the id and the sequence of each, the latter where the answer has it."""
    return {"orders": [(each.id, getattr(each, "sequence", None)) for each in orders if each is not None]}
