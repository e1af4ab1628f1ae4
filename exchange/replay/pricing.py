"""The rule that joins prices to recorded quantities. No public source holds bids with limit prices.

Every draw is a SHA-256 of the seed, the purpose and the id, so a trace always gets the same prices,
whatever the machine, the order of reading or the interpreter's hash seed. All arithmetic is in integers.

- An ask draws one quote of its model, that is of the accelerator the model's name stands for.
- A bid that names no model draws one from the supply's shares in GPUs.
- A bid's limit lies between the 25th and the 90th percentile (nearest rank) of the asks of its model; an
  interruptible bid's at 0.3 of that.
- US dollars become fen at one constant rate, `FEN_PER_USD`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from exchange.replay.models import Quote, TraceBid, TraceOffer

FEN_PER_USD: Final = 710
INTERRUPTIBLE_TENTHS: Final = 3
LOW_PERCENTILE: Final = 25
HIGH_PERCENTILE: Final = 90
RULE: Final = (
    "an ask draws a quote of its model by hash of its id; a bid without a model draws one from the supply's"
    " shares by hash of its id; a bid's limit lies between the"
    f" {LOW_PERCENTILE}th and {HIGH_PERCENTILE}th percentile of its model's asks by hash of its id,"
    f" interruptible ones at 0.{INTERRUPTIBLE_TENTHS} of that; 1 USD = {FEN_PER_USD / 100:.2f} CNY"
)

_DRAW_BITS: Final = 64


class PriceRange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The low and the high percentile of one accelerator's asks, in ticks per GPU-hour."""

    low_ticks: int
    high_ticks: int


def draw(seed: int, purpose: str, identity: str, choices: int) -> int:
    """Return a number in [0, choices) that depends on nothing but the arguments."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{identity}".encode()).digest()
    return int.from_bytes(digest[: _DRAW_BITS // 8]) * choices >> _DRAW_BITS


def ticks_of_micro_usd(micro_usd: int) -> int:
    """Return a price in ticks (fen) per GPU-hour, rounded half up and never below one."""
    return max(1, (micro_usd * FEN_PER_USD + 500_000) // 1_000_000)


def quoted_prices(quotes: Iterable[Quote], accelerator_of_model: Mapping[str, str]) -> dict[str, list[int]]:
    """Return each accelerator's quoted prices in ticks, ascending; quotes of anything else are left out."""
    found: dict[str, list[int]] = {}
    for quote in quotes:
        accelerator = accelerator_of_model.get(quote.model)
        if accelerator is not None:
            found.setdefault(accelerator, []).append(ticks_of_micro_usd(quote.ask_micro_usd_per_gpu_hour))
    return {accelerator: sorted(prices) for accelerator, prices in found.items()}


def ask_price_ticks(seed: int, offer: TraceOffer, quoted_ticks: Sequence[int]) -> int:
    """Return the price of an ask: one quote of its model."""
    return quoted_ticks[draw(seed, "ask-quote", offer.offer_id, len(quoted_ticks))]


def percentile_ticks(ascending: Sequence[int], percent: int) -> int:
    """Return the nearest-rank percentile of an ascending, non-empty list."""
    rank = max(1, -(-percent * len(ascending) // 100))
    return ascending[rank - 1]


def price_ranges(ask_prices: Mapping[str, Sequence[int]]) -> dict[str, PriceRange]:
    """Return the range from which each accelerator's bids draw their limits."""
    return {
        accelerator: PriceRange(
            low_ticks=percentile_ticks(sorted(prices), LOW_PERCENTILE),
            high_ticks=percentile_ticks(sorted(prices), HIGH_PERCENTILE),
        )
        for accelerator, prices in ask_prices.items()
    }


def bid_limit_ticks(seed: int, bid: TraceBid, prices: PriceRange) -> int:
    """Return a bid's limit on a product whose asks have this range."""
    width = prices.high_ticks - prices.low_ticks + 1
    limit = prices.low_ticks + draw(seed, "bid-limit", bid.order_id, width)
    return max(1, limit * INTERRUPTIBLE_TENTHS // 10) if bid.interruptible else limit


def drawn_accelerator(seed: int, bid: TraceBid, supplied_gpus: Mapping[str, int]) -> str:
    """Return the accelerator of a bid that names none, each as likely as its share of the supply's GPUs."""
    place = draw(seed, "bid-model", bid.order_id, sum(supplied_gpus.values()))
    for accelerator in sorted(supplied_gpus):
        place -= supplied_gpus[accelerator]
        if place < 0:
            return accelerator
    raise AssertionError("a draw lies below the sum of the shares")
