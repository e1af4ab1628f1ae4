"""From trace lines to orders: which nodes are the supply, and what each job asks for. Pure.

Supply: nodes in the order of a hash of their ids until the wanted number of GPUs is reached, each one ask
over the whole horizon. Demand: each job one all-or-none bid whose window opens at the next whole hour and
leaves room to wait: `max(24 h, its own length)`, cut off at the end of the horizon.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from exchange.kit.clock import hour_of, us_of_hour
from exchange.replay.models import GPU_MILLI_WHOLE, Refused, TraceBid, TraceOffer
from exchange.replay.pricing import (
    PriceRange,
    ask_price_ticks,
    bid_limit_ticks,
    draw,
    drawn_accelerator,
    price_ranges,
)

PATIENCE_HOURS_MIN: Final = 24


class Horizon(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The hours `[starts_hour, ends_hour)` that a replay offers, sells and delivers.

    An hour that has begun is not for sale, so the hours in which bids are submitted are each one earlier.
    """

    starts_hour: int
    ends_hour: int

    @property
    def submitted_from_us(self) -> int:
        """The first moment at which a bid is submitted."""
        return us_of_hour(self.starts_hour - 1)

    @property
    def submitted_until_us(self) -> int:
        """The moment after the last at which a bid is submitted."""
        return us_of_hour(self.ends_hour - 1)


class ModelMap(msgspec.Struct, frozen=True, kw_only=True):
    """What model names of traces and quotes stand for, and the product in which each accelerator trades."""

    accelerator_of_model: Mapping[str, str]
    product_of_accelerator: Mapping[str, str]

    def traded(self, model: str) -> str | None:
        """Return the accelerator that a model's name stands for, None where it trades nowhere."""
        accelerator = self.accelerator_of_model.get(model)
        return accelerator if accelerator in self.product_of_accelerator else None


class PlannedAsk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One node as the ask that will be placed."""

    offer_id: str
    provider: str
    accelerator: str
    product_id: str
    quantity_gpus: int
    price_ticks: int


class Alternative(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One product on which a bid may be placed, with its limit there."""

    product_id: str
    limit_ticks: int


class PlannedBid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job as the bid that will be placed on one of `alternatives`."""

    order_id: str
    buyer: str
    submitted_at_us: int
    quantity_gpus: int
    hours: int
    earliest_hour: int
    latest_hour: int
    alternatives: tuple[Alternative, ...]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen nodes and, by accelerator, their GPUs and the range of their prices."""

    asks: tuple[PlannedAsk, ...]
    gpus: Mapping[str, int]
    ranges: Mapping[str, PriceRange]
    refused: Mapping[str, int]


def plan_supply(
    seed: int,
    offers: Iterable[TraceOffer],
    quoted_ticks: Mapping[str, Sequence[int]],
    models: ModelMap,
    gpus_wanted: int,
) -> Supply:
    """Choose nodes by hash order until about `gpus_wanted` GPUs are offered, and price each.

    Nodes that cannot be offered at all (no product, no quote) are counted and not chosen from.
    """
    refused: dict[str, int] = {}
    usable: list[tuple[str, TraceOffer]] = []
    for offer in offers:
        accelerator = models.traded(offer.model)
        if accelerator is not None and accelerator in quoted_ticks:
            usable.append((accelerator, offer))
        else:
            reason = Refused.MODEL_UNKNOWN if accelerator is None else Refused.MODEL_NOT_QUOTED
            refused[reason] = refused.get(reason, 0) + 1
    asks: list[PlannedAsk] = []
    gpus: dict[str, int] = {}
    prices: dict[str, list[int]] = {}
    usable.sort(key=lambda node: (draw(seed, "node", node[1].offer_id, 1 << 63), node[1].offer_id))
    for accelerator, offer in usable:
        if sum(gpus.values()) >= gpus_wanted:
            break
        price_ticks = ask_price_ticks(seed, offer, quoted_ticks[accelerator])
        gpus[accelerator] = gpus.get(accelerator, 0) + offer.quantity_gpus
        prices.setdefault(accelerator, []).append(price_ticks)
        asks.append(
            PlannedAsk(
                offer_id=offer.offer_id,
                provider=offer.provider,
                accelerator=accelerator,
                product_id=models.product_of_accelerator[accelerator],
                quantity_gpus=offer.quantity_gpus,
                price_ticks=price_ticks,
            )
        )
    return Supply(asks=tuple(asks), gpus=gpus, ranges=price_ranges(prices), refused=refused)


def plan_bid(
    seed: int, bid: TraceBid, supply: Supply, models: ModelMap, horizon: Horizon
) -> PlannedBid | Refused:
    """Return the bid that a job becomes, or the first reason why it becomes none."""
    if bid.submitted_at_us < horizon.submitted_from_us:
        return Refused.BEFORE_FROM
    if bid.gpu_milli < GPU_MILLI_WHOLE:
        return Refused.PART_OF_GPU
    usable = _usable_accelerators(seed, bid, supply, models)
    if isinstance(usable, Refused):
        return usable
    earliest_hour = hour_of(bid.submitted_at_us) + 1
    if earliest_hour + bid.hours > horizon.ends_hour:
        return Refused.BEYOND_HORIZON
    patience_hours = max(PATIENCE_HOURS_MIN, bid.hours)
    return PlannedBid(
        order_id=bid.order_id,
        buyer=bid.buyer,
        submitted_at_us=bid.submitted_at_us,
        quantity_gpus=bid.quantity_gpus,
        hours=bid.hours,
        earliest_hour=earliest_hour,
        latest_hour=min(horizon.ends_hour, earliest_hour + bid.hours + patience_hours),
        alternatives=tuple(
            Alternative(
                product_id=models.product_of_accelerator[accelerator],
                limit_ticks=bid_limit_ticks(seed, bid, supply.ranges[accelerator]),
            )
            for accelerator in usable
        ),
    )


def _usable_accelerators(
    seed: int, bid: TraceBid, supply: Supply, models: ModelMap
) -> tuple[str, ...] | Refused:
    if not bid.models:
        return (drawn_accelerator(seed, bid, supply.gpus),)
    # Two names may stand for one accelerator; it is one alternative.
    traded = dict.fromkeys(name for name in map(models.traded, bid.models) if name is not None)
    usable = tuple(accelerator for accelerator in traded if accelerator in supply.gpus)
    return usable or (Refused.MODEL_NOT_SUPPLIED if traded else Refused.MODEL_UNKNOWN)


def bids_by_hour(bids: Iterable[PlannedBid]) -> Iterator[tuple[int, list[PlannedBid]]]:
    """Group bids that come in order of submission by the hour in which they were submitted."""
    hour, group = -1, list[PlannedBid]()
    for bid in bids:
        if hour_of(bid.submitted_at_us) != hour:
            if group:
                yield hour, group
            hour, group = hour_of(bid.submitted_at_us), []
        group.append(bid)
    if group:
        yield hour, group
