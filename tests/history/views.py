"""An order as its owner must be told of it, from the events alone: the second opinion on `orders.views`."""

from typing import Any

from exchange.kit.clock import US_PER_HOUR, parse_rfc3339
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from matching.order import Ask, Order
from tests.history.journal import LIVE, State, Story
from tests.history.record import Trader


def view_of_state(story: Story, state: State, row: Any) -> dict[str, Any]:
    """The order's view in a state, without times of its own; `row` is as stored, for what never changes."""
    order = story.order
    view: dict[str, Any] = {
        "id": encode_id("ord", order.order_id),
        "client_order_id": row["client_order_id"],
        "product": story.product_id,
        "status": state.status,
        "reason": state.reason,
        "quantity_gpus": state.quantity_gpus,
        "time_in_force": str(order.time_in_force),
        "post_only": order.post_only,
        "sequence": story.sequence,
        "filled_gpu_hours": state.filled_gpu_hours,
        "fills": [
            {
                "quantity_gpus": fill.quantity_gpus,
                "starts_at": format_hour(fill.starts_hour),
                "ends_at": format_hour(fill.ends_hour),
                "price_cny_per_gpu_hour": format_cny(fill.price_ticks),
            }
            for fill in state.fills
        ],
    }
    if order.expire_hour:
        # A book's hour is the first for sale, one ahead of the clock.
        view["expires_at"] = format_hour(order.expire_hour - 1)
    if state.filled_gpu_hours:
        view["average_price_cny_per_gpu_hour"] = _average(state)
    if story.replaces is not None:
        view["replaces"] = encode_id("ord", story.replaces)
    if state.replaced_by is not None:
        view["replaced_by"] = encode_id("ord", state.replaced_by)
    if isinstance(order, Ask):
        return view | {
            "side": "sell",
            "starts_at": format_hour(order.starts_hour),
            "ends_at": format_hour(order.ends_hour),
            "hours": order.ends_hour - order.starts_hour,
            "price_cny_per_gpu_hour": format_cny(order.price_ticks),
            "min_hours": order.min_hours,
            "reserved_for": [],
        }
    if state.fills:
        view["run_starts_at"] = format_hour(state.fills[0].starts_hour)
    open_gpus = state.quantity_gpus - state.filled_gpus if state.status in LIVE else 0
    return view | {
        "side": "buy",
        "starts_at": format_hour(order.earliest_hour),
        "ends_at": format_hour(order.latest_hour),
        "hours": order.hours,
        "price_cny_per_gpu_hour": format_cny(order.limit_ticks),
        "filled_gpus": state.filled_gpus,
        "remaining_gpus": open_gpus,
        "fill": str(order.fill),
        "placement": str(order.placement),
        "require": [],
        "vouchers": "none",
        "held": {"cash_cny": format_cny(held_fen(story, state)), "vouchers": []},
    }


def held_fen(story: Story, state: State) -> int:
    """What an order sets aside in a state: a live bid all that the rest of it may cost."""
    order = story.order
    if isinstance(order, Ask) or state.status not in LIVE:
        return 0
    return (state.quantity_gpus - state.filled_gpus) * order.hours * order.limit_ticks


def _average(state: State) -> str:
    # Half up, to four decimals of a yuan: a fen is a hundred of them.
    ten_thousandths = (state.notional_fen * 100 * 2 + state.filled_gpu_hours) // (2 * state.filled_gpu_hours)
    return f"{ten_thousandths // 10_000}.{ten_thousandths % 10_000:04d}"


def asked_for(order: Order | dict[str, Any], trader: Trader | None) -> tuple[Any, ...]:
    """What an order asks for: of one in a book, or of one as its `trader` sent it. Equal for the same."""
    if not isinstance(order, dict):
        is_ask = isinstance(order, Ask)
        first, last, price = (
            (order.starts_hour, order.ends_hour, order.price_ticks)
            if isinstance(order, Ask)
            else (order.earliest_hour, order.latest_hour, order.limit_ticks)
        )
        hours = last - first if isinstance(order, Ask) else order.hours
        terms = (str(order.time_in_force), order.post_only)
        return (order.participant, is_ask, order.quantity_gpus, first, last, hours, price, *terms)
    assert trader is not None
    first, last = (_hour(order[name]) for name in ("starts_at", "ends_at"))
    yuan, _, fen = order["price_cny_per_gpu_hour"].partition(".")
    return (
        trader.participant_id,
        order["side"] == "sell",
        order["quantity_gpus"],
        first,
        last,
        order.get("hours", last - first),
        int(yuan) * 100 + int(fen),
        order.get("time_in_force", "gtc"),
        order.get("post_only", False),
    )


def _hour(text: str) -> int:
    at_us = parse_rfc3339(text)
    assert at_us is not None
    return at_us // US_PER_HOUR
