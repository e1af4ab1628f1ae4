"""Plain tuples of small numbers turned into commands; see `tests.strategies`, which draws them.

Apart from there, because who inspects a book by seeds alone needs nothing that draws.
"""

from typing import Any

from matching.commands import (
    AdvanceHour,
    CancelAll,
    CancelOrder,
    Command,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
    SetPhase,
)
from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.product import Product

PRODUCT_ID = "nvidia-h100-sxm.guian.ib-ndr400"
FIRST_HOUR = 480_000
FAR = 1 << 70
GROUPS = {1: 0, 2: 7, 3: 7, 4: 0}


class Interpreter:
    """Turns drawn tuples into commands, numbering them and remembering ids and the hour."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.hour = FIRST_HOUR
        self.sequence = 0
        self.placed: list[Order] = []

    def opening(self) -> Command:
        """Return the first command of a book."""
        self.sequence += 1
        return AdvanceHour(sequence=self.sequence, hour=self.hour)

    def command(self, raw: tuple[Any, ...]) -> Command:  # noqa: PLR0911 - one return a command
        """Return the command a drawn tuple stands for."""
        self.sequence += 1
        sequence = self.sequence
        kind = raw[0]
        if kind in ("ask", "bid"):
            return PlaceOrder(sequence=sequence, order=self.order(raw, len(self.placed) + 1))
        if kind == "cancel_all":
            return CancelAll(sequence=sequence, participant=raw[1], side=raw[2])
        if kind == "advance":
            self.hour += raw[1]
            return AdvanceHour(sequence=sequence, hour=self.hour)
        if kind == "phase":
            return SetPhase(sequence=sequence, phase=raw[1])
        target = self.placed[raw[1] % len(self.placed)] if self.placed else None
        order_id, owner = (target.order_id, target.participant) if target is not None else (1, 1)
        if kind == "cancel":
            return CancelOrder(sequence=sequence, order_id=order_id, participant=owner + raw[2])
        if kind == "reduce":
            quantity = raw[2] * self.product.lot_gpus
            return ReduceOrder(
                sequence=sequence, order_id=order_id, participant=owner, quantity_gpus=quantity
            )
        kept_id = order_id if raw[2] else len(self.placed) + 1
        replacement = raw[3] if target is None else self.same_side(raw[3], target)
        order = self.order((replacement[0], owner, *replacement[2:]), kept_id)
        return ReplaceOrder(sequence=sequence, order_id=order_id, participant=owner, order=order)

    def same_side(self, raw: tuple[Any, ...], target: Order) -> tuple[Any, ...]:
        """Let most replacements stand on the side of what they replace."""
        wanted = "ask" if isinstance(target, Ask) else "bid"
        if raw[0] == wanted or raw[4] == 0:
            return raw
        if wanted == "ask":
            return (wanted, *raw[1:7], 1, *raw[8:10])
        return (wanted, *raw[1:5], min(raw[5], 4), raw[6], 0, *raw[8:10], (FillPolicy.PARTIAL, Placement.ANY))

    def order(self, raw: tuple[Any, ...], order_id: int) -> Order:
        """Return the order a drawn tuple stands for."""
        _, participant, lots, odd, offset, hours, price, extra, terms, masks = raw[:10]
        time_in_force, expires_in, post_only = terms
        starts_hour = self.hour + offset
        common = {
            "order_id": order_id,
            "participant": participant,
            "trade_group": GROUPS[participant],
            "product": self.product.id,
            "quantity_gpus": lots * self.product.lot_gpus + odd,
            "time_in_force": time_in_force,
            "expire_hour": self.hour + expires_in if time_in_force is TimeInForce.GTD else 0,
            "post_only": post_only,
        }
        order: Order
        if raw[0] == "ask":
            order = Ask(
                **common,
                starts_hour=starts_hour,
                ends_hour=starts_hour + hours,
                price_ticks=price,
                min_hours=extra,
                is_mask=masks[0],
                needs_mask=masks[1],
            )
        else:
            fill, placement = raw[10]
            order = Bid(
                **common,
                hours=hours,
                earliest_hour=starts_hour,
                latest_hour=starts_hour + hours + extra,
                limit_ticks=price,
                fill=fill,
                placement=placement,
                is_mask=masks[0],
                needs_mask=masks[1] & 1,
            )
        self.placed.append(order)
        return order


def interpret(product: Product, raws: list[tuple[Any, ...]]) -> list[Command]:
    """Return the commands of a list, the opening one first."""
    interpreter = Interpreter(product)
    return [interpreter.opening(), *map(interpreter.command, raws)]
