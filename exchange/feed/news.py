"""What the events of a command mean to the owners of its orders. Pure.

Nobody hears of another's order: a trade is told to each side with its own order only.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from exchange.feed.models import OrderNews
from exchange.kit.clock import format_rfc3339
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from matching.events import (
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrderRested,
    SelfTradePrevented,
    Traded,
)
from matching.order import Ask, Side

_Owned = OrderRested | OrderReduced | OrderReplaced | OrderCancelled | OrderExpired | OrderRejected
_Remaining = OrderRested | OrderReduced | OrderReplaced | OrderCancelled | OrderExpired
_Told = tuple[int, int, str, dict[str, Any]]
"""Whom, about which order, the kind of news, and the fields that go with it."""


def news_by_participant(
    product_id: str,
    event_at_us: int,
    events: Iterable[Event],
    wants: Callable[[int], bool],
    client_order_id: str = "",
    trade_ids: Sequence[int] = (),
    cause: str = "",
) -> dict[int, list[OrderNews]]:
    """Return the news of one command for each participant that wants any, in order.

    What events do not say is given as in `exchange.orders.models.Step`; what is not known is not told.
    """
    news: dict[int, list[OrderNews]] = {}
    trades = iter(trade_ids)
    for event in events:
        trade_id = next(trades, 0) if isinstance(event, Traded) else 0
        if not any(map(wants, owners_of(event))):
            continue
        beside: dict[str, Any] = {}
        if trade_id:
            beside = {"trade_id": encode_id("trd", trade_id)}
        elif isinstance(event, OrderAccepted) and client_order_id:
            beside = {"client_order_id": client_order_id}
        elif isinstance(event, OrderCancelled) and cause:
            beside = {"reason": cause}
        for participant_id, order_id, kind, fields in _TELLERS[type(event)](event):
            if wants(participant_id):
                told = OrderNews(
                    order_id=encode_id("ord", order_id),
                    kind=kind,
                    sequence=event.sequence,
                    product=product_id,
                    at=format_rfc3339(event_at_us),
                    **(fields | beside),
                )
                news.setdefault(participant_id, []).append(told)
    return news


def owners_of(event: Event) -> tuple[int, ...]:
    """Return whose orders an event is about; nobody's, where it is a matter of the whole book."""
    if isinstance(event, Traded | SelfTradePrevented):
        return (event.buyer, event.seller)
    if isinstance(event, OrderAccepted):
        return (event.order.participant,)
    return (event.participant,) if isinstance(event, _Owned) else ()


def _remaining(event: _Remaining) -> dict[str, Any]:
    return {"remaining_gpus": event.remaining_gpus, "remaining_gpu_hours": event.remaining_gpu_hours}


def _accepted(event: OrderAccepted) -> list[_Told]:
    order = event.order
    fields: dict[str, Any] = {"quantity_gpus": order.quantity_gpus}
    if isinstance(order, Ask):
        side, price_ticks = Side.SELL, order.price_ticks
        starts_hour, ends_hour = order.starts_hour, order.ends_hour
        hours = ends_hour - starts_hour
    else:
        side, price_ticks = Side.BUY, order.limit_ticks
        starts_hour, ends_hour, hours = order.earliest_hour, order.latest_hour, order.hours
    fields |= {
        "side": side,
        "price_cny_per_gpu_hour": format_cny(price_ticks),
        "starts_at": format_hour(starts_hour),
        "ends_at": format_hour(ends_hour),
        "hours": hours,
    }
    return [(order.participant, order.order_id, "accepted", fields)]


def _traded(event: Traded) -> list[_Told]:
    fill = {
        "quantity_gpus": event.quantity_gpus,
        "price_cny_per_gpu_hour": format_cny(event.price_ticks),
        "starts_at": format_hour(event.starts_hour),
        "ends_at": format_hour(event.starts_hour + event.hours),
        "hours": event.hours,
    }
    bid = {"side": Side.BUY, "remaining_gpus": event.bid_remaining_gpus}
    ask = {"side": Side.SELL, "remaining_gpu_hours": event.ask_remaining_gpu_hours}
    return [
        (event.buyer, event.bid_order_id, "traded", bid | fill),
        (event.seller, event.ask_order_id, "traded", ask | fill),
    ]


def _rested(event: OrderRested) -> list[_Told]:
    return [(event.participant, event.order_id, "rested", _remaining(event))]


def _reduced(event: OrderReduced) -> list[_Told]:
    fields = _remaining(event) | {"quantity_gpus": event.quantity_gpus}
    return [(event.participant, event.order_id, "reduced", fields)]


def _replaced(event: OrderReplaced) -> list[_Told]:
    replacement_id = encode_id("ord", event.replacement_order_id)
    fields = _remaining(event) | {"replacement_order_id": replacement_id}
    return [(event.participant, event.order_id, "replaced", fields)]


def _cancelled(event: OrderCancelled) -> list[_Told]:
    return [(event.participant, event.order_id, "cancelled", _remaining(event) | {"reason": event.reason})]


def _expired(event: OrderExpired) -> list[_Told]:
    return [(event.participant, event.order_id, "expired", _remaining(event) | {"reason": event.reason})]


def _rejected(event: OrderRejected) -> list[_Told]:
    return [(event.participant, event.order_id, "rejected", {"reason": event.reason})]


def _self_trade_prevented(event: SelfTradePrevented) -> list[_Told]:
    return [
        (event.buyer, event.bid_order_id, "self_trade_prevented", {"side": Side.BUY}),
        (event.seller, event.ask_order_id, "self_trade_prevented", {"side": Side.SELL}),
    ]


_TELLERS: Final[dict[type, Callable[[Any], list[_Told]]]] = {
    OrderAccepted: _accepted,
    Traded: _traded,
    OrderRested: _rested,
    OrderReduced: _reduced,
    OrderReplaced: _replaced,
    OrderCancelled: _cancelled,
    OrderExpired: _expired,
    OrderRejected: _rejected,
    SelfTradePrevented: _self_trade_prevented,
}
