"""Goal: the rule that joins prices to a trace is exactly the one documented, and the same everywhere.

Method: known draws are pinned; everything else is compared with the rule said another way.
"""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from exchange.replay.models import Quote, TraceBid, TraceOffer
from exchange.replay.pricing import (
    PriceRange,
    ask_price_ticks,
    bid_limit_ticks,
    draw,
    drawn_accelerator,
    percentile_ticks,
    price_ranges,
    quoted_prices,
    ticks_of_micro_usd,
)

IDS = st.from_regex(r"[a-z]{1,6}-[0-9]{1,5}", fullmatch=True)
SEEDS = st.integers(0, 2**32)
PRICES = st.lists(st.integers(1, 100_000), min_size=1, max_size=200)


def bid(order_id: str, *, interruptible: bool = False) -> TraceBid:
    return TraceBid(
        line=2,
        order_id=order_id,
        submitted_at_us=0,
        buyer="b",
        models=(),
        quantity_gpus=1,
        gpu_milli=1000,
        hours=1,
        interruptible=interruptible,
    )


def test_draws_are_pinned() -> None:
    # A change of these numbers changes every replay report ever published.
    assert [draw(1, "bid-limit", f"philly-{number}", 1000) for number in range(4)] == [198, 106, 631, 767]


@given(SEEDS, IDS, st.integers(1, 10**9))
def test_a_draw_is_one_of_the_choices(seed: int, identity: str, choices: int) -> None:
    assert 0 <= draw(seed, "purpose", identity, choices) < choices


def test_draws_are_spread_evenly() -> None:
    counts = [0] * 10
    for number in range(20_000):
        counts[draw(7, "spread", str(number), 10)] += 1
    assert min(counts) > 1_850
    assert max(counts) < 2_150


@given(st.integers(1, 10_000 * 10**6))
def test_dollars_become_fen_at_the_one_rate(micro_usd: int) -> None:
    exact = Fraction(micro_usd, 10**6) * 710
    ticks = ticks_of_micro_usd(micro_usd)
    assert ticks >= 1
    assert abs(ticks - max(exact, Fraction(1))) <= Fraction(1, 2)


@given(PRICES, st.integers(1, 100))
def test_a_percentile_is_the_smallest_price_that_so_many_do_not_exceed(
    prices: list[int], percent: int
) -> None:
    ascending = sorted(prices)
    found = percentile_ticks(ascending, percent)
    smallest = next(
        price for price in ascending if 100 * sum(other <= price for other in prices) >= percent * len(prices)
    )
    assert found == smallest


@given(SEEDS, IDS, PRICES)
def test_limits_lie_between_the_percentiles_and_interruptible_ones_at_three_tenths(
    seed: int, order_id: str, prices: list[int]
) -> None:
    prices_range = price_ranges({"a": prices})["a"]
    limit = bid_limit_ticks(seed, bid(order_id), prices_range)
    assert prices_range.low_ticks <= limit <= prices_range.high_ticks
    assert bid_limit_ticks(seed, bid(order_id, interruptible=True), prices_range) == max(1, limit * 3 // 10)


def test_limits_reach_both_ends_of_the_range() -> None:
    prices = PriceRange(low_ticks=10, high_ticks=13)
    assert {bid_limit_ticks(0, bid(f"x-{number}"), prices) for number in range(200)} == {10, 11, 12, 13}


@given(SEEDS, IDS, PRICES)
def test_an_ask_draws_one_of_its_quotes(seed: int, offer_id: str, prices: list[int]) -> None:
    offer = TraceOffer(line=2, offer_id=offer_id, provider="p", model="T4", quantity_gpus=2)
    assert ask_price_ticks(seed, offer, prices) in prices


def test_models_are_drawn_by_their_share_of_the_gpus() -> None:
    supply = {"rare": 10, "common": 90, "none": 0}
    drawn = [drawn_accelerator(3, bid(f"job-{number}"), supply) for number in range(10_000)]
    assert drawn.count("none") == 0
    assert 900 < drawn.count("rare") < 1_100


def test_quotes_of_other_models_are_left_out_and_spellings_pool() -> None:
    quotes = [
        Quote(line=2, model="T4 (16)", ask_micro_usd_per_gpu_hour=530_000),
        Quote(line=3, model="T4 (16 GB)", ask_micro_usd_per_gpu_hour=100_000),
        Quote(line=4, model="K80 (12 GB)", ask_micro_usd_per_gpu_hour=900_000),
    ]
    assert quoted_prices(quotes, {"T4 (16)": "t4", "T4 (16 GB)": "t4"}) == {"t4": [71, 376]}
