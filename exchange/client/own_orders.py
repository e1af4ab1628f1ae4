"""One's own orders as the stream tells them: what `GET /v1/orders` would show, kept from events alone.

Give every event of the channel `orders` to `apply`, in the order in which they came. Prices and times are
kept as they are told. Known limit: what ended while a snapshot stood in for events is known to be live no
more (`ended`), but not how it ended; of an order that a snapshot begins with, earlier fills are known as
sums.
"""

from typing import Final

import msgspec

from exchange.client.stream import StreamEvent
from exchange.feed.models import Delta, OrderNews, OwnOrder, Snapshot

ENDED: Final = "ended"
_ENDS: Final = {"cancelled": "cancelled", "replaced": "cancelled", "expired": "expired"}
LIVE: Final = frozenset({"accepted", "resting", "partially_filled"})


class OwnFill(msgspec.Struct, frozen=True, kw_only=True):
    """One fill of an order."""

    trade_id: str | None
    quantity_gpus: int
    starts_at: str
    ends_at: str
    price_cny_per_gpu_hour: str


class OrderState(msgspec.Struct, kw_only=True):
    """An order as far as events tell of it; `filled_gpus` is of bids."""

    order_id: str
    client_order_id: str
    partition: int
    product: str
    side: str
    status: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    hours: int
    price_cny_per_gpu_hour: str
    filled_gpus: int | None = None
    filled_gpu_hours: int = 0
    reason: str = ""
    replaced_by: str | None = None
    fills: list[OwnFill] = []


class OwnOrders:
    """All orders that were told of, by id."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderState] = {}

    @property
    def live(self) -> dict[str, OrderState]:
        """The orders that can still change."""
        return {order_id: order for order_id, order in self.orders.items() if order.status in LIVE}

    def apply(self, event: StreamEvent) -> None:
        """Take in an event; those of other channels are passed over."""
        if isinstance(event, Snapshot) and event.orders is not None:
            self._begin_anew(event.partition, event.orders, is_complete=event.is_complete is not False)
        elif isinstance(event, Delta):
            for news in event.orders or ():
                self._hear(event.partition, news)

    def _begin_anew(self, partition: int, told: list[OwnOrder], *, is_complete: bool) -> None:
        there = {order.order_id for order in told}
        for order in self.live.values():
            if is_complete and order.partition == partition and order.order_id not in there:
                order.status = ENDED
        for each in told:
            known = self.orders.get(each.order_id)
            self.orders[each.order_id] = OrderState(
                **msgspec.structs.asdict(each),
                partition=partition,
                fills=[] if known is None else known.fills,
            )

    def _hear(self, partition: int, news: OrderNews) -> None:
        if news.kind == "accepted":
            self.orders[news.order_id] = OrderState(
                order_id=news.order_id,
                client_order_id=news.client_order_id or "",
                partition=partition,
                product=news.product,
                side=news.side or "",
                status="accepted",
                quantity_gpus=news.quantity_gpus or 0,
                starts_at=news.starts_at or "",
                ends_at=news.ends_at or "",
                hours=news.hours or 0,
                price_cny_per_gpu_hour=news.price_cny_per_gpu_hour or "",
                filled_gpus=0 if news.side == "buy" else None,
            )
            return
        order = self.orders.get(news.order_id)
        if order is None:
            return  # it was rejected, and never stood in a book
        if news.kind == "traded":
            self._fill(order, news)
        elif news.kind == "rested":
            order.status = "partially_filled" if order.filled_gpu_hours else "resting"
        elif news.kind == "reduced":
            order.quantity_gpus = news.quantity_gpus or order.quantity_gpus
        elif news.kind in _ENDS:
            order.status = _ENDS[news.kind]
            order.reason = news.reason or news.kind
            order.replaced_by = news.replacement_order_id

    def _fill(self, order: OrderState, news: OrderNews) -> None:
        fill = OwnFill(
            trade_id=news.trade_id,
            quantity_gpus=news.quantity_gpus or 0,
            starts_at=news.starts_at or "",
            ends_at=news.ends_at or "",
            price_cny_per_gpu_hour=news.price_cny_per_gpu_hour or "",
        )
        order.fills.append(fill)
        order.filled_gpu_hours += fill.quantity_gpus * (news.hours or 0)
        if order.side == "buy":
            order.filled_gpus = (order.filled_gpus or 0) + fill.quantity_gpus
        left = news.remaining_gpus if order.side == "buy" else news.remaining_gpu_hours
        order.status = "partially_filled" if left else "filled"
