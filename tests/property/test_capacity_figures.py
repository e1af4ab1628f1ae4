"""Goal: a provider's figures by hour and by day are what counting each hour of each ask and lease gives.

Method: random asks with random loads, leases and outages, against the obvious reference that looks at one
hour at a time.
"""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.fields import format_cny, format_hour
from exchange.settlement.capacity_models import FailedHour, HourIncome, OwnAsk, SoldSpan
from exchange.settlement.capacity_rules import capacity_of, day_edges, earnings_of

HOURS = st.integers(0, 60)
WINDOWS = st.tuples(HOURS, st.integers(1, 30)).map(lambda each: (each[0], each[0] + each[1]))
PRODUCTS = st.sampled_from(["a", "b"])
SPANS = st.tuples(HOURS, st.integers(1, 70)).map(lambda each: (each[0], each[0] + each[1]))


@st.composite
def asks(draw: st.DrawFn) -> OwnAsk:
    starts, ends = draw(WINDOWS)
    loads = []
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(starts, ends - 1))
        loads.append((first, draw(st.integers(first + 1, ends)), draw(st.integers(1, 9))))
    is_live = draw(st.booleans())
    return OwnAsk(
        product_id=draw(PRODUCTS),
        quantity_gpus=draw(st.integers(1, 20)),
        starts_hour=starts,
        ends_hour=ends,
        offered_until_hour=ends if is_live else min(ends, draw(HOURS)),
        is_live=is_live,
        loads=tuple(loads),
    )


@st.composite
def sold_spans(draw: st.DrawFn) -> SoldSpan:
    starts, ends = draw(WINDOWS)
    gpus, price = draw(st.integers(1, 9)), draw(st.integers(1, 999))
    return SoldSpan(
        product_id=draw(PRODUCTS),
        starts_hour=starts,
        ends_hour=ends,
        next_settlement_hour=draw(st.integers(starts, ends)),
        gpus=gpus,
        fen_per_hour=gpus * price,
    )


def failed_of(draw: Any, spans: list[SoldSpan]) -> list[FailedHour]:
    """Outages of some hours of leases that were sold."""
    return [
        FailedHour(
            product_id=span.product_id,
            hour=hour,
            is_settled=hour < span.next_settlement_hour,
            gpus=span.gpus,
            fen=span.fen_per_hour,
        )
        for span in spans
        for hour in sorted(draw(st.sets(st.integers(span.starts_hour, span.ends_hour - 1), max_size=3)))
    ]


def load_at(ask: OwnAsk, hour: int) -> int:
    return sum(gpus for first, after, gpus in ask.loads if first <= hour < after)


@given(
    own=st.lists(asks(), max_size=6),
    sold=st.lists(sold_spans(), max_size=6),
    span=SPANS,
    first_hour=HOURS,
    data=st.data(),
)
def test_capacity_is_what_each_hour_counts(
    own: list[OwnAsk], sold: list[SoldSpan], span: tuple[int, int], first_hour: int, data: st.DataObject
) -> None:
    failed = failed_of(data.draw, sold)
    view = capacity_of(own, sold, failed, starts_hour=span[0], ends_hour=span[1], first_hour=first_hour)
    names = sorted({each.product_id for each in own} | {each.product_id for each in sold})
    assert [each.product for each in view.products] == names
    for column in view.products:
        for place, hour in enumerate(range(*span)):
            here = [a for a in own if a.product_id == column.product and a.starts_hour <= hour < a.ends_hour]
            loads = [load_at(ask, hour) for ask in here]
            assert column.sold_gpus[place] == sum(loads)
            assert column.listed_gpus[place] == sum(
                max(ask.quantity_gpus, load) if hour < ask.offered_until_hour else load
                for ask, load in zip(here, loads, strict=True)
            )
            assert column.free_gpus[place] == sum(
                max(ask.quantity_gpus - load, 0)
                for ask, load in zip(here, loads, strict=True)
                if ask.is_live and hour >= first_hour
            )
            broken = [each for each in failed if each.product_id == column.product and each.hour == hour]
            settled = sum(
                each.gpus
                for each in sold
                if each.product_id == column.product and each.starts_hour <= hour < each.next_settlement_hour
            )
            assert column.failed_gpus[place] == sum(each.gpus for each in broken)
            assert column.delivered_gpus[place] == settled - sum(e.gpus for e in broken if e.is_settled)
        assert column.listed_gpu_hours == sum(column.listed_gpus)
        assert column.sold_gpu_hours == sum(column.sold_gpus)
        assert column.delivered_gpu_hours == sum(column.delivered_gpus)


@given(
    sold=st.lists(sold_spans(), max_size=6),
    span=SPANS,
    offset=st.integers(-12, 14),
    income=st.lists(st.tuples(HOURS, st.integers(0, 500), st.integers(0, 500)), unique_by=lambda e: e[0]),
    data=st.data(),
)
def test_earnings_are_what_each_hour_counts(
    sold: list[SoldSpan],
    span: tuple[int, int],
    offset: int,
    income: list[tuple[int, int, int]],
    data: st.DataObject,
) -> None:
    failed = failed_of(data.draw, sold)
    edges = day_edges(*span, offset)
    view = earnings_of(sold, failed, [HourIncome(*each) for each in income], edges)
    assert (edges[0], edges[-1]) == span
    assert all((edge + offset) % 24 == 0 for edge in edges[1:-1])
    assert all(0 < b - a <= 24 for a, b in pairwise(edges))
    for day, (first, after) in zip(view.days, pairwise(edges), strict=True):
        hours = range(first, after)
        booked = delivered = 0
        for each in sold:
            for hour in set(hours) & set(range(each.starts_hour, each.ends_hour)):
                if hour < each.next_settlement_hour:
                    delivered += each.fen_per_hour
                else:
                    booked += each.fen_per_hour
        here = [each for each in failed if each.hour in hours]
        delivered -= sum(each.fen for each in here if each.is_settled)
        booked -= sum(each.fen for each in here if not each.is_settled)
        cash = sum(each[1] for each in income if each[0] in hours)
        receivable = sum(each[2] for each in income if each[0] in hours)
        assert (day.starts_at, day.ends_at) == (format_hour(first), format_hour(after))
        assert day.booked_cny == format_cny(booked)
        assert day.delivered_cny == format_cny(delivered)
        assert (day.cash_cny, day.receivable_cny) == (format_cny(cash), format_cny(receivable))
        assert day.fee_cny == format_cny(delivered - cash - receivable)
        assert day.returned_cny == format_cny(sum(each.fen for each in here))
        assert day.failed_gpu_hours == sum(each.gpus for each in here)
    assert view.total.sold_gpu_hours == sum(day.sold_gpu_hours for day in view.days)
    assert view.total.delivered_gpu_hours == sum(day.delivered_gpu_hours for day in view.days)
