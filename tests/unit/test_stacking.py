"""Which of several programmes pay, and at which rates, on cases worked out by hand."""

from typing import Any

import pytest

from exchange.programmes.stacking import Aid, stack

PLENTY_FEN = 10**9


def aid(
    programme_id: int,
    rate_bps: int,
    stacking: Any = "ceiling",
    ceiling_bps: int = 10_000,
    free_fen: int = PLENTY_FEN,
) -> Aid:
    """Return the aid of a programme to an order of 1,000 fen."""
    return Aid(
        programme_id=programme_id,
        rate_bps=rate_bps,
        eligible_fen=1_000,
        free_fen=free_fen,
        stacking=stacking,
        ceiling_bps=ceiling_bps,
    )


@pytest.mark.parametrize(
    "aids, rates",
    [
        ([], []),
        ([aid(1, 3_000, "none"), aid(2, 5_000)], [(1, 3_000)]),
        ([aid(1, 3_000), aid(2, 5_000, "none"), aid(3, 2_000)], [(1, 3_000), (3, 2_000)]),
        ([aid(1, 3_000, "none"), aid(2, 5_000, "higher_of")], [(2, 5_000)]),
        ([aid(1, 5_000, "higher_of"), aid(2, 5_000, "higher_of")], [(1, 5_000)]),
        ([aid(1, 3_000, "none"), aid(2, 5_000, "higher_of", free_fen=299)], [(1, 3_000)]),
        # Shanghai: the city's 30 % and national money on top; Shenzhen: all public aid at most 50 %.
        ([aid(1, 3_000), aid(2, 1_500)], [(1, 3_000), (2, 1_500)]),
        ([aid(1, 3_000, ceiling_bps=5_000), aid(2, 3_000)], [(1, 3_000), (2, 2_000)]),
        ([aid(1, 3_000), aid(2, 3_000, ceiling_bps=5_000)], [(1, 3_000), (2, 2_000)]),
        ([aid(1, 6_000, ceiling_bps=5_000), aid(2, 3_000, ceiling_bps=7_000)], [(1, 5_000)]),
        ([aid(1, 8_000), aid(2, 8_000)], [(1, 8_000), (2, 2_000)]),
        # One whose own ceiling is filled already does not hold the others down.
        ([aid(1, 3_000), aid(2, 2_000, ceiling_bps=2_500), aid(3, 1_000)], [(1, 3_000), (3, 1_000)]),
        # A nearly spent voucher leaves the next the room it does not fill; alone it pays its whole rate.
        ([aid(1, 5_000, ceiling_bps=5_000, free_fen=10), aid(2, 5_000)], [(1, 100), (2, 4_900)]),
        ([aid(1, 5_000, ceiling_bps=5_000, free_fen=10)], [(1, 5_000)]),
        ([aid(1, 5_000, free_fen=500), aid(2, 5_000)], [(1, 5_000), (2, 5_000)]),
        ([aid(1, 5_000, free_fen=499), aid(2, 5_000)], [(1, 4_990), (2, 5_000)]),
    ],
)
def test_programmes_stack_up_to_the_lowest_ceiling(aids: list[Aid], rates: list[tuple[int, int]]) -> None:
    assert stack(aids) == rates
