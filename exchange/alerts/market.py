"""The orders that can still change, as detectors need them: who placed what, when, and what was filled. Pure.

Bounded by what rests in the books: an order leaves with its last step. One whose first step was never read,
because reading began after it, is unknown, and detectors pass over it.
"""

from typing import Final

import msgspec

from exchange.alerts.recorded import RecordedStep

_ENDS: Final = frozenset({"FILL", "CAME", "EXPI", "REMO"})


class OrderFacts(msgspec.Struct, array_like=True, gc=False):
    """An order as it was placed, and how much of it was filled since."""

    order_id: int
    record_id: int
    participant_id: int
    party: int
    product_id: str
    is_bid: bool
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    hours: int
    price_ticks: int
    placed_at_us: int
    filled_gpu_hours: int = 0

    @property
    def gpu_hours(self) -> int:
        """GPUs times hours, as they were placed."""
        return self.quantity_gpus * self.hours

    @property
    def notional_fen(self) -> int:
        """What it comes to at its own price."""
        return self.gpu_hours * self.price_ticks


class Market:
    """Orders by their ids, as they are before the step at hand: `before` it, then detectors, then `after`."""

    def __init__(self) -> None:
        self.orders: dict[int, OrderFacts] = {}

    def before(self, step: RecordedStep) -> None:
        """Take in an order that arrives, so that its own step is looked at with it."""
        if step.code == "NEWO":
            told = step.detail
            self.orders[step.order_id] = OrderFacts(
                step.order_id,
                step.record_id,
                step.participant_id,
                step.party,
                step.product_id or "",
                told["side"] == "buy",
                told["quantity_gpus"],
                told["starts_hour"],
                told["ends_hour"],
                told["hours"],
                told["price_ticks"],
                step.event_at_us,
            )

    def after(self, step: RecordedStep) -> None:
        """Take in what a step did to its order, once everybody has looked."""
        order = self.orders.get(step.order_id)
        if order is None:
            return
        if step.code in {"PARF", "FILL"}:
            order.filled_gpu_hours += step.detail["quantity_gpus"] * step.detail["hours"]
        elif step.code == "REME" and "quantity_gpus" in step.detail:
            order.quantity_gpus = step.detail["quantity_gpus"]
        if step.code in _ENDS or (step.code == "REME" and "replaced_by_order_id" in step.detail):
            if step.code == "REMO" and "amendment" in step.detail:
                return  # a refused amendment: the order goes on as it was
            del self.orders[step.order_id]
