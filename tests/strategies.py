"""Command lists for one book: small prices, windows and groups, so that orders meet all the time.

A list is drawn as plain tuples of small numbers (they shrink well) and turned into commands by `interpret`,
which knows the ids placed so far and the hour. About one order in ten breaks a rule of admission.
"""

from itertools import chain
from typing import Any

from hypothesis import strategies as st

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
from matching.order import Ask, Bid, FillPolicy, Order, Placement, Side, TimeInForce
from matching.product import Phase, Product

PRODUCT_ID = "nvidia-h100-sxm.guian.ib-ndr400"
FIRST_HOUR = 480_000
FAR = 1 << 70
GROUPS = {1: 0, 2: 7, 3: 7, 4: 0}

products = st.builds(
    Product,
    id=st.just(PRODUCT_ID),
    lot_gpus=st.sampled_from([1, 8]),
    collar_bps=st.sampled_from([0, 0, 0, 5_000]),
    reference_price_ticks=st.just(4),
)

# time in force, hours until a gtd order expires, post only
_terms = st.sampled_from(
    [(TimeInForce.GTC, 0, False)] * 20
    + [(TimeInForce.IOC, 0, False), (TimeInForce.FOK, 0, False), (TimeInForce.GTC, 0, True)]
    + [(TimeInForce.GTD, 2, False), (TimeInForce.GTD, 5, True), (TimeInForce.GTD, 0, False)]
    + [(TimeInForce.IOC, 0, True)]
)
_masks = st.sampled_from([(0, 0)] * 12 + [(1, 0), (FAR | 1, 0), (FAR, 0), (1, 1), (0, FAR), (FAR, 1)])
_whole = st.sampled_from(
    [(FillPolicy.PARTIAL, Placement.ANY)] * 3
    + [(FillPolicy.ALL_OR_NONE, Placement.ANY)] * 3
    + [(FillPolicy.PARTIAL, Placement.SINGLE_SITE), (FillPolicy.ALL_OR_NONE, Placement.SINGLE_SITE)]
)
_participant = st.integers(1, 4)
_lots = st.integers(1, 5)
_offset = st.sampled_from([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, -1])
_price = st.integers(1, 6)
# Added to a quantity of whole lots: breaks the lot where a lot is 8 GPUs.
_odd = st.sampled_from([0] * 19 + [1])

raw_asks = st.tuples(
    st.just("ask"), _participant, _lots, _odd, _offset, st.integers(1, 8), _price,
    st.sampled_from([1, 1, 1, 2, 3]), _terms, _masks,
)  # fmt: skip
raw_bids = st.tuples(
    st.just("bid"), _participant, _lots, _odd, _offset, st.integers(1, 4), _price,
    st.sampled_from([0, 0, 0, 1, 2, 5]), _terms, _masks, _whole,
)  # fmt: skip
_target = st.integers(0, 30)
raw_changes = st.one_of(
    st.tuples(st.just("cancel"), _target, st.sampled_from([0, 0, 0, 0, 1])),
    st.tuples(st.just("reduce"), _target, _lots),
    st.tuples(st.just("replace"), _target, st.booleans(), st.one_of(raw_asks, raw_bids)),
    st.tuples(st.just("cancel_all"), _participant, st.sampled_from([None, Side.BUY, Side.SELL])),
    st.tuples(st.just("advance"), st.integers(0, 3)),
    st.tuples(st.just("phase"), st.sampled_from([Phase.OPEN] * 6 + [Phase.CANCEL_ONLY, Phase.HALTED])),
)
# By weight: `one_of` would give each of its branches the same share, however often it is named.
_KINDS = [raw_asks] * 4 + [raw_bids] * 4 + [raw_changes] * 2
raw_commands = st.integers(0, len(_KINDS) - 1).flatmap(_KINDS.__getitem__)
# Several short lists on end: long lists on average, which still shrink to nothing.
raw_lists = st.tuples(*[st.lists(raw_commands, max_size=16)] * 4).map(lambda parts: list(chain(*parts)))


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


@st.composite
def command_lists(draw: st.DrawFn) -> tuple[Product, list[Command]]:
    """Draw a product and commands for its book."""
    product = draw(products)
    return product, interpret(product, draw(raw_lists))
