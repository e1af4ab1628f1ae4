"""Goal: the points of a burn are what all transfers up to each moment add up to, and stand where they should.

Method: Hypothesis draws transfers and moments; each point is compared with plain sums over all transfers.
"""

import datetime as dt
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exchange.claims.burn import Interval, moments_of, points_of
from exchange.kit.fields import format_cny
from exchange.ledger.models import TransferReason

R = TransferReason
HOUR_US = 3_600_000_000
MOVES = (
    *(R.PROGRAMME_BUDGET, R.PROGRAMME_BUDGET_RETURN, R.VOUCHER_ISSUE, R.VOUCHER_EXPIRY, R.VOUCHER_REVOCATION),
    *(R.TRADE, R.DELIVERY_REFUND, R.DELIVERY, R.CLAIM_REDEMPTION, R.CLAWBACK_RETURN, R.CLAIM_SUBMISSION),
)


@given(
    transfers=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(MOVES), st.integers(1, 9)), max_size=25),
    moments_us=st.lists(st.integers(0, 60), min_size=1, max_size=8, unique=True).map(sorted),
)
def test_a_point_is_the_sum_of_all_that_moved_up_to_it(
    transfers: list[tuple[int, TransferReason, int]], moments_us: list[int]
) -> None:
    moved: Counter[tuple[int, TransferReason]] = Counter()
    for at_us, reason, fen in transfers:
        later = [index for index, moment_us in enumerate(moments_us) if at_us <= moment_us]
        if later:
            moved[later[0], reason] += fen
    points = points_of(moments_us, moved)

    def total(at_us: int, *reasons: TransferReason) -> int:
        return sum(fen for time_us, reason, fen in transfers if time_us <= at_us and reason in reasons)

    began = [at_us for at_us in moments_us if total(at_us, *MOVES)]
    expected = began and moments_us[max(moments_us.index(began[0]) - 1, 0) :]
    assert len(points) == len(expected)
    for at_us, point in zip(expected, points, strict=True):
        gone_fen = total(at_us, R.VOUCHER_EXPIRY, R.VOUCHER_REVOCATION)
        assert (
            point.budget_cny,
            point.issued_cny,
            point.committed_cny,
            point.captured_cny,
            point.paid_cny,
        ) == (
            format_cny(total(at_us, R.PROGRAMME_BUDGET) - total(at_us, R.PROGRAMME_BUDGET_RETURN)),
            format_cny(total(at_us, R.VOUCHER_ISSUE) - gone_fen),
            format_cny(total(at_us, R.TRADE) - total(at_us, R.DELIVERY_REFUND)),
            format_cny(total(at_us, R.DELIVERY)),
            format_cny(total(at_us, R.CLAIM_REDEMPTION) - total(at_us, R.CLAWBACK_RETURN)),
        )


@given(
    as_of_us=st.integers(-(10**15), 4 * 10**15),
    interval=st.sampled_from(["hour", "day"]),
    count=st.integers(1, 200),
)
def test_moments_are_ends_of_hours_or_of_china_s_days_and_last_the_one_asked_for(
    as_of_us: int, interval: Interval, count: int
) -> None:
    moments = moments_of(as_of_us, interval, count)
    assert moments[-1] == as_of_us
    assert moments == sorted(set(moments))
    step_us = HOUR_US if interval == "hour" else 24 * HOUR_US
    ends = moments[:-1]
    assert all(later - earlier == step_us for earlier, later in pairwise(ends))
    assert not ends or as_of_us - ends[-1] <= step_us
    zone = dt.timezone(dt.timedelta(hours=8))
    for each in ends:
        at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=each)
        local = at.astimezone(zone)
        assert (local.minute, local.second, local.microsecond) == (0, 0, 0)
        assert interval == "hour" or local.hour == 0
    if as_of_us > count * step_us:
        assert len(moments) == count
