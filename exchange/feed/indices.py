"""Price indices: one for each accelerator, and a composite for each origin.

docs/market-data.md has the method. Values are made of the spot trades in memory, and of nothing else; all
arithmetic is of integers. An index has a value as of each full hour that is over.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from exchange.feed.history import History
from exchange.feed.history_models import IndexValueView, Unit
from exchange.feed.spot import NOTHING, Counted, total
from exchange.feed.spot_windows import WINDOWS_HOURS
from exchange.kit.fields import format_hour
from exchange.products.models import Origin, ProductSpec

METHODOLOGY: Final = 1
GPU_HOURS_MIN: Final = 24
TRADES_MIN: Final = 3
BUYERS_MIN: Final = 2
PROVIDERS_MIN: Final = 2
"""As BUYERS_MIN, not more than the parties that are kept (`spot.PARTIES_MAX`)."""
HOURS_AT_ONCE: Final = 250
BASE_POINTS: Final = 1000
_TEN_THOUSANDTHS: Final = 10_000
_FEN_OF_CNY: Final = 100


class PriceIndex(msgspec.Struct, frozen=True, kw_only=True):
    """An index; `references` has the reference price of each of its products in ticks, by accelerator."""

    id: str
    origin: Origin
    accelerator: str | None
    references: Mapping[str, Mapping[str, int]]

    @property
    def kind(self) -> Literal["accelerator", "composite"]:
        """Of one accelerator, or of all of an origin."""
        return "composite" if self.accelerator is None else "accelerator"

    @property
    def unit(self) -> Unit:
        """What its values are in."""
        return "points" if self.accelerator is None else "cny_per_gpu_hour"


class IndexValue(msgspec.Struct, frozen=True, kw_only=True):
    """An index as of the start of `hour`; the value is in ten thousandths, None where too little traded."""

    hour: int
    ten_thousandths: int | None
    window_hours: int | None
    gpu_hours: int
    trades: int


def indices_of(products: Iterable[ProductSpec]) -> dict[str, PriceIndex]:
    """Return the indices of a catalogue by id: composites first, then accelerators by name."""
    references: dict[Origin, dict[str, dict[str, int]]] = {origin: {} for origin in Origin}
    for product in sorted(products, key=lambda each: each.id):
        of_accelerator = references[product.origin].setdefault(product.accelerator_id, {})
        of_accelerator[product.id] = product.reference_price_ticks
    found = [
        PriceIndex(id=origin.value, origin=origin, accelerator=None, references=of_origin)
        for origin, of_origin in references.items()
    ]
    for origin, of_origin in references.items():
        found += [
            PriceIndex(id=name, origin=origin, accelerator=name, references={name: of_accelerator})
            for name, of_accelerator in of_origin.items()
        ]
    return {each.id: each for each in sorted(found, key=lambda each: (each.kind != "composite", each.id))}


async def values_of(index: PriceIndex, history: History, first_hour: int, end_hour: int) -> list[IndexValue]:
    """Return the values as of the start of each hour of [first_hour, end_hour), none of them ahead.

    An outlier is one among the trades of its accelerator; the composite counts what its accelerators do.
    Where much is to be made anew, others may run in between.
    """
    for references in index.references.values():
        for hour in range(first_hour, end_hour, HOURS_AT_ONCE):
            if history.make(references, hour - 1, min(hour + HOURS_AT_ONCE, end_hour) - 1):
                await asyncio.sleep(0)
    parts = [
        history.counted(references, first_hour - 1, end_hour - 1) for references in index.references.values()
    ]
    return [
        _value(index, hour, [part[place] for part in parts])
        for place, hour in enumerate(range(first_hour, end_hour))
    ]


def is_enough(counted: Counted) -> bool:
    """Whether a window holds enough for a value: of volume, trades, buyers and providers."""
    return (
        counted.gpu_hours >= GPU_HOURS_MIN
        and counted.trades >= TRADES_MIN
        and len(counted.buyers) >= BUYERS_MIN
        and len(counted.providers) >= PROVIDERS_MIN
    )


def _value(index: PriceIndex, hour: int, parts: Sequence[Sequence[Counted]]) -> IndexValue:
    """Return the value of the first window that holds enough; `parts` has each accelerator's windows."""
    counted = NOTHING
    for number, window_hours in enumerate(WINDOWS_HOURS):
        counted = parts[0][number] if len(parts) == 1 else total(part[number] for part in parts)
        if is_enough(counted):
            return IndexValue(
                hour=hour,
                ten_thousandths=_ten_thousandths(index, counted),
                window_hours=window_hours,
                gpu_hours=counted.gpu_hours,
                trades=counted.trades,
            )
    return IndexValue(
        hour=hour,
        ten_thousandths=None,
        window_hours=None,
        gpu_hours=counted.gpu_hours,
        trades=counted.trades,
    )


def _ten_thousandths(index: PriceIndex, counted: Counted) -> int:
    if index.accelerator is None:
        numerator, denominator = counted.notional_fen * BASE_POINTS * _TEN_THOUSANDTHS, counted.reference_fen
    else:
        numerator, denominator = counted.notional_fen * _TEN_THOUSANDTHS // _FEN_OF_CNY, counted.gpu_hours
    return (2 * numerator + denominator) // (2 * denominator)


def value_view(value: IndexValue) -> IndexValueView:
    """Show a value."""
    ten_thousandths = value.ten_thousandths
    return IndexValueView(
        as_of=format_hour(value.hour),
        value=None
        if ten_thousandths is None
        else f"{ten_thousandths // _TEN_THOUSANDTHS}.{ten_thousandths % _TEN_THOUSANDTHS:04d}",
        window_hours=value.window_hours,
        gpu_hours=value.gpu_hours,
        trades=value.trades,
    )
