"""Goal: quantiles and spreads say what was measured, and only what came in the last minute.

Method: values into instruments of ours, and the same values sorted.
"""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.meters import SECONDS, Histogram
from exchange.monitoring.recent import MINUTE_S, PERIOD_S, Recent
from exchange.monitoring.rules import Reading, quantile, spread_of
from exchange.orders.meters import SequencerMeters

values = st.lists(st.floats(0.0001, 9.9), min_size=1, max_size=200)
shares = st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0])


def meters_of() -> SequencerMeters:
    return SequencerMeters(1, Histogram(SECONDS))


def batch(meters: SequencerMeters, requests: int, seconds: float) -> None:
    meters.committed([], requests, seconds)
    for _ in range(requests):
        meters.acknowledged_seconds.observe(seconds)


@given(values=values, share=shares)
def test_a_quantile_lies_in_the_bucket_of_the_value_that_it_is(values: list[float], share: float) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    told = quantile(SECONDS, histogram.counts, share)
    assert told is not None
    # The least value that has the share at or below it.
    exact = next(
        each for place, each in enumerate(sorted(values), start=1) if place >= share * len(values) - 1e-9
    )
    place = bisect_left(SECONDS, exact)
    assert (SECONDS[place - 1] if place else 0.0) <= told <= SECONDS[place]


def test_what_exceeds_every_bound_counts_as_the_last_and_nothing_has_no_quantile() -> None:
    histogram = Histogram(SECONDS)
    assert quantile(SECONDS, histogram.counts, 0.5) is None
    histogram.observe(1000.0)
    assert quantile(SECONDS, histogram.counts, 0.5) == SECONDS[-1]
    spread = spread_of(SECONDS, Reading(tuple(histogram.counts), histogram.total))
    assert (spread.count, spread.mean, spread.p99) == (1, 1000.0, SECONDS[-1])


@given(batches=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=80))
def test_the_last_minute_has_what_came_in_it_and_periods_have_all_that_was_sampled(
    batches: list[tuple[int, int]],
) -> None:
    meters, recent = meters_of(), Recent()
    sequence, now_s = 0, 1_000.0
    told: list[tuple[float, int, int]] = []
    recent.take(meters, sequence, now_s)
    for count, requests in batches:
        for _ in range(count):
            batch(meters, requests, 0.003)
            sequence += requests
        now_s += PERIOD_S
        told.append((now_s, count, requests))
        recent.take(meters, sequence, now_s)
    commits = recent.commits(meters, sequence, now_s)
    in_minute = [(count, requests) for at_s, count, requests in told if at_s > now_s - MINUTE_S]
    assert commits.batch_requests.count == sum(count for count, _ in in_minute)
    answered = recent.acknowledged(meters, sequence, now_s)
    assert answered.count == sum(count * requests for count, requests in in_minute)
    kept = told[-60:]
    assert [(each.batches, each.commands) for each in commits.periods] == [
        (count, count * requests) for _, count, requests in kept
    ]
    assert [each.ends_s_ago for each in commits.periods] == [now_s - at_s for at_s, _, _ in kept]


def test_a_new_term_begins_with_nothing_of_the_one_before_and_all_of_its_own() -> None:
    recent, old, new = Recent(), meters_of(), meters_of()
    recent.take(old, 0, 0.0)
    batch(old, 5, 0.01)
    recent.take(old, 5, PERIOD_S)
    batch(new, 7, 0.01)
    assert recent.commits(new, 900, 2 * PERIOD_S).batch_requests.mean == 7.0  # not sampled yet
    recent.take(new, 900, 2 * PERIOD_S)
    batch(new, 2, 0.01)
    commits = recent.commits(new, 902, 3 * PERIOD_S)
    assert (commits.batch_requests.count, commits.batch_requests.mean) == (2, 4.5)
    assert commits.periods == []
