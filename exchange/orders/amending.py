"""What an amendment changes of an order, and what takes its place where it cannot keep its priority. Pure.

An amendment is judged as the order that would be placed instead, by the rules of a new order: so nothing can
be amended to what could not be placed. What is named and not different counts as not named, so an order may
be sent back whole with one field changed. A smaller order keeps its place where what it has set aside can
follow it (`funding.shares_if_smaller`).

Of a replaced order only what is not filled goes on. A bid's run, once pinned by a fill, stays unless a window
is named. An ask is a rectangle: where it has sold more in some of the hours to come than in others, what is
left is none, and it must be cancelled and listed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from exchange.kit.clock import hour_of, parse_rfc3339
from exchange.kit.errors import Conflict, Fault
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import AmendOrder, NewOrder
from exchange.orders.rules import judge_wish
from matching.live import capacity, is_ask
from matching.order import Side

if TYPE_CHECKING:
    from exchange.kit.errors import Faults
    from exchange.orders.models import LiveOrder
    from matching.live import LiveOrder as BookOrder

_GUARD: Final = "expected_filled_gpu_hours"
_FIELDS: Final = tuple(name for name in AmendOrder.__struct_fields__ if name != _GUARD)
_TIMES: Final = frozenset({"starts_at", "ends_at", "expires_at"})
_LISTS: Final = frozenset({"require", "reserved_for", "vouchers"})


def wanted_changes(wish: AmendOrder, order: LiveOrder) -> dict[str, Any]:
    """Return the fields that a well-formed amendment would make different, with their new values."""
    shown = shown_order(order)
    return {
        name: value
        for name in _FIELDS
        if (value := getattr(wish, name)) is not msgspec.UNSET
        and _meaning(name, value) != _meaning(name, getattr(shown, name))
    }


def judge_amendment(wish: AmendOrder, faults: Faults) -> None:
    """Record what is wrong with an amendment whatever order it is of; `faults` has what decoding found."""
    if not faults and all(getattr(wish, name) is msgspec.UNSET for name in _FIELDS):
        faults.add("", "required", "must name at least one field to change")
    judge_wish(wish, faults)


def check_guard(wish: AmendOrder, order: LiveOrder) -> None:
    """Raise `Conflict` where another amount is filled than its sender expects."""
    expected = wish.expected_filled_gpu_hours
    if isinstance(expected, int) and expected != order.filled_gpu_hours:
        detail = f"must be {order.filled_gpu_hours}, which is what has been filled by now"
        fault = Fault(f"/{_GUARD}", "order_changed", detail, expected)
        raise Conflict("order_changed", f"{fault.pointer} {detail}", errors=[fault])


def only_reduces(changes: dict[str, Any], order: LiveOrder) -> bool:
    """Whether the changes only make the order smaller."""
    return changes.keys() == {"quantity_gpus"} and changes["quantity_gpus"] < order.quantity_gpus


def shown_order(order: LiveOrder) -> NewOrder:
    """Return an order in the form in which it could be sent."""
    terms = order.terms
    is_bid = order.side is Side.BUY
    has_wish = is_bid and terms.vouchers != "none"
    return NewOrder(
        client_order_id=order.client_order_id,
        product=order.product_id,
        side=order.side,
        quantity_gpus=order.quantity_gpus,
        starts_at=format_hour(order.starts_hour),
        ends_at=format_hour(order.ends_hour),
        price_cny_per_gpu_hour=format_cny(order.price_ticks),
        hours=order.hours if is_bid else None,
        time_in_force=terms.time_in_force,  # type: ignore[arg-type]  # stored from the same literal
        expires_at=format_hour(terms.expire_hour) if terms.expire_hour else None,
        post_only=terms.post_only,
        fill=terms.fill if is_bid else None,  # type: ignore[arg-type]  # as above
        placement=terms.placement if is_bid else None,  # type: ignore[arg-type]  # as above
        require=list(terms.require) if is_bid else None,  # type: ignore[arg-type]  # as above
        vouchers=_wish_of(terms.vouchers) if is_bid else None,
        voucher_policy=terms.voucher_policy if has_wish else None,  # type: ignore[arg-type]  # as above
        min_hours=None if is_bid else terms.min_hours,
        reserved_for=None if is_bid else list(terms.reserved_for),  # type: ignore[arg-type]  # as above
    )


def replacement(order: LiveOrder, rests: BookOrder, changes: dict[str, Any]) -> NewOrder:
    """Return the order that would be placed for what is left, `rests` being what its book has of it.

    Raises `Conflict`: nothing is left of the quantity asked for, or an ask is sold unevenly.
    """
    window = {"starts_at": format_hour(rests.starts_hour), "ends_at": format_hour(rests.ends_hour)}
    merged = msgspec.structs.replace(shown_order(order), **(window | changes | _dropped(order, changes)))
    sold_gpus = _sold_gpus(rests, merged) if is_ask(rests) else order.filled_gpus
    left_gpus = merged.quantity_gpus - sold_gpus
    if left_gpus <= 0:
        detail = f"must be more than the {sold_gpus} GPUs that are filled, else there is nothing to place"
        fault = Fault("/quantity_gpus", "nothing_left", detail, merged.quantity_gpus)
        raise Conflict("nothing_left", f"{fault.pointer} {detail}", errors=[fault])
    return msgspec.structs.replace(merged, quantity_gpus=left_gpus)


def _dropped(order: LiveOrder, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that go with others and so leave with them, unless they are named as well."""
    dropped: dict[str, Any] = {}
    force = changes.get("time_in_force")
    if force is not None and force != "gtd" and order.terms.time_in_force == "gtd":
        dropped["expires_at"] = None
    if force == "fok" and order.side is Side.BUY:
        dropped["fill"] = None
    if changes.get("vouchers") == "none":
        dropped["voucher_policy"] = None
    return {name: value for name, value in dropped.items() if name not in changes}


def _sold_gpus(ask: BookOrder, merged: NewOrder) -> int:
    """Return what an ask has sold in every hour of the window that shall be its next."""
    starts_us, ends_us = parse_rfc3339(merged.starts_at), parse_rfc3339(merged.ends_at)
    if starts_us is None or ends_us is None or ends_us <= starts_us or not is_ask(ask):
        return 0  # no window: that is told with all other faults
    starts_hour, ends_hour = hour_of(starts_us), hour_of(ends_us)
    # Of what a reduction took from hours that are sold out, the book knows no more how much was sold.
    sold = {
        ask.quantity_gpus - free_gpus if free_gpus else None
        for run_starts, run_ends, free_gpus in capacity(ask).runs()
        if run_starts < ends_hour and run_ends > starts_hour
    }
    if starts_hour < ask.starts_hour or ends_hour > ask.ends_hour:
        sold.add(0)
    gpus = next(iter(sold))
    if len(sold) > 1 or gpus is None:
        raise Conflict(
            "unevenly_sold",
            "the ask has sold more in some hours than in others, so what is left of it is no rectangle; "
            "cancel it and list what is left anew, or name a window in which it is",
        )
    return gpus


def _wish_of(vouchers: Any) -> Any:
    return list(vouchers) if isinstance(vouchers, tuple) else vouchers


def _meaning(name: str, value: Any) -> Any:
    """Return what a value says, however it is written."""
    if name in _TIMES and isinstance(value, str):
        return parse_rfc3339(value)
    if name == "price_cny_per_gpu_hour":
        whole, _, decimals = value.partition(".")
        return whole, decimals.ljust(2, "0")
    return sorted(set(value)) if name in _LISTS and isinstance(value, list) else value
