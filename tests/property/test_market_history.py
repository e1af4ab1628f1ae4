"""Goal: candles and price indices are what was traded, by either clock, in any market.

Method: Hypothesis draws markets of several products, whose trades are told to the history as commits are, one
by one, and asked about meanwhile; after that a slow model (`tests.plain_history`) is asked the same of the
plain list of trades. Sums over all candles are those of the tape.
"""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.feed.history import DAYS_KEPT, History
from exchange.feed.history_models import CandleClock, Interval
from exchange.feed.history_service import HistoryService
from exchange.feed.indices import IndexValue, PriceIndex, indices_of, value_view, values_of
from exchange.feed.rules import tape_trades
from exchange.feed.spot import is_outlier, median_ticks
from exchange.feed.tape import Tape
from exchange.kit.clock import ManualClock, us_of_hour
from exchange.kit.errors import Faults
from exchange.kit.fields import format_hour
from exchange.orders.models import Step
from exchange.products.models import Origin, ProductSpec
from matching.events import Traded
from tests.architecture.source import ROOT
from tests.plain_history import HOUR_US, PlainTrade, plain_candle, plain_index

FIRST_HOUR = 480_000  # a midnight
HOURS = 24 * 9
AHEAD = 24 * 10


def product(name: str, accelerator: str, origin: Origin, reference_price_ticks: int) -> ProductSpec:
    return ProductSpec(
        id=name,
        accelerator_id=accelerator,
        cluster_code="guian",
        interconnect_code="pcie5",
        lot_gpus=1,
        tick_fen=1,
        collar_bps=80_000,
        reference_price_ticks=reference_price_ticks,
        listing_horizon_hours=2160,
        partition_id=1,
        origin=origin,
        hub_code="guizhou",
    )


PRODUCTS = {
    each.id: each
    for each in (
        product("a.one", "accelerator-a", Origin.FOREIGN, 1000),
        product("a.two", "accelerator-a", Origin.FOREIGN, 1100),
        product("b.one", "accelerator-b", Origin.FOREIGN, 300),
        product("c.one", "accelerator-c", Origin.DOMESTIC, 500),
    )
}


@st.composite
def markets(draw: st.DrawFn) -> list[PlainTrade]:
    """Draw trades in the order of their time."""
    hours = sorted(draw(st.lists(st.integers(FIRST_HOUR, FIRST_HOUR + HOURS - 1), max_size=40)))
    trades = []
    for hour in hours:
        starts_hour = hour + draw(st.integers(1, 30))
        trades.append(
            PlainTrade(
                product=draw(st.sampled_from(sorted(PRODUCTS))),
                traded_at_us=us_of_hour(hour) + draw(st.sampled_from([0, HOUR_US - 1])),
                price_fen=draw(st.integers(1, 20) | st.integers(900, 1100) | st.integers(1, 10**7)),
                gpus=draw(st.integers(1, 9)),
                starts_hour=starts_hour,
                hours=draw(st.integers(1, 6) | st.integers(1, 200)),
                buyer=draw(st.integers(1, 3)),
                provider=draw(st.integers(11, 13)),
            )
        )
    return sorted(trades, key=lambda each: each.traded_at_us)


def step_of(sequence: int, trades: list[PlainTrade]) -> Step:
    """Return the step that commits some trades of one product and moment."""
    first = trades[0]
    events = tuple(
        Traded(
            sequence, 1, 2, 2, 1, each.buyer, each.provider, each.gpus, each.starts_hour, each.hours,
            each.price_fen, 1, 1,
        )
        for each in trades
    )  # fmt: skip
    return Step(sequence, first.product, first.traded_at_us, events)


def steps_of(trades: list[PlainTrade]) -> list[Step]:
    """Return the steps of a market; trades of one product and moment are of one command."""
    steps: list[list[PlainTrade]] = []
    for trade in trades:
        last = steps[-1][-1] if steps else None
        if last is not None and (last.product, last.traded_at_us) == (trade.product, trade.traded_at_us):
            steps[-1].append(trade)
        else:
            steps.append([trade])
    return [step_of(number, each) for number, each in enumerate(steps, start=1)]


def asked(index: PriceIndex, history: History, first_hour: int, end_hour: int) -> list[IndexValue]:
    """Return an index's values; it lets others run, and waits for nothing."""
    asking = values_of(index, history, first_hour, end_hour)
    while True:
        try:
            asking.send(None)
        except StopIteration as answered:
            values: list[IndexValue] = answered.value
            return values


def told(trades: list[PlainTrade]) -> History:
    history = History()
    for step in steps_of(trades):
        history.take(step)
    return history


@given(markets(), st.sampled_from(["trade_time", "delivery_hour"]), st.sampled_from(["1h", "1d"]))
def test_candles_are_what_was_traded(trades: list[PlainTrade], by: CandleClock, interval: Interval) -> None:
    clock = ManualClock(us_of_hour(FIRST_HOUR + HOURS))
    service = HistoryService(products=PRODUCTS, history=told(trades), clock=clock)
    length = {"1h": 1, "1d": 24}[interval]
    window = (format_hour(FIRST_HOUR), format_hour(FIRST_HOUR + HOURS + AHEAD))
    for name in PRODUCTS:
        own = [each for each in trades if each.product == name]
        expected = []
        for hour in range(FIRST_HOUR, FIRST_HOUR + HOURS + AHEAD, length):
            candle = plain_candle(own, hour, hour + length, by)
            if candle is not None:
                expected.append({"starts_at": format_hour(hour), **candle})
        candles = service.candles(name, interval, by, *window, Faults()).data
        assert [msgspec.to_builtins(each) for each in candles] == expected


@given(markets())
def test_all_candles_together_are_the_tape_and_the_trades(trades: list[PlainTrade]) -> None:
    history, tape = told(trades), Tape()
    for step in steps_of(trades):
        for trade in tape_trades(1, step.event_at_us, step.events):
            tape.add(step.product_id, trade)
    end_hour = FIRST_HOUR + HOURS + AHEAD
    for name in PRODUCTS:
        own = [each for each in trades if each.product == name]
        volume = sum(each.gpu_hours for each in own)
        value = sum(each.gpu_hours * each.price_fen for each in own)
        latest = tape.latest(name, 1000)
        assert sum(each.gpu_hours for each in latest) == volume
        past = history.past(name)
        if past is None:
            assert own == []
            continue
        for series in (past.by_trade, past.by_delivery):
            for bars in (list(series.hours(FIRST_HOUR, end_hour)), list(series.days(FIRST_HOUR, end_hour))):
                assert sum(bar.gpu_hours for _, bar in bars) == volume
                assert sum(bar.notional_fen for _, bar in bars) == value
        by_hour = list(past.by_trade.hours(FIRST_HOUR, end_hour))
        assert sum(bar.trades for _, bar in by_hour) == len(own)
        # The tape's day, where it ends on the hour, is that of the last 24 candles.
        hour = FIRST_HOUR + HOURS
        day = tape.day(name, us_of_hour(hour) - 1)
        last = [bar for at, bar in by_hour if hour - 24 <= at < hour]
        assert (day.trades, day.gpu_hours, day.notional_fen) == (
            sum(bar.trades for bar in last),
            sum(bar.gpu_hours for bar in last),
            sum(bar.notional_fen for bar in last),
        )
        if last:
            assert day.open_ticks == last[0].open_ticks
            assert day.high_ticks == max(bar.high_ticks for bar in last)
            assert day.low_ticks == min(bar.low_ticks for bar in last)
            assert latest[0].price_ticks == by_hour[-1][1].close_ticks


@given(markets(), st.data())
def test_an_index_is_what_its_method_says(trades: list[PlainTrade], data: st.DataObject) -> None:
    history, hour = History(), FIRST_HOUR
    indices = indices_of(PRODUCTS.values())
    assert list(indices) == ["domestic", "foreign", "accelerator-a", "accelerator-b", "accelerator-c"]
    for step in steps_of(trades):
        history.take(step)
        if data.draw(st.booleans()):
            # What was asked before must not stand where more comes.
            hour = step.event_at_us // HOUR_US
            for index in indices.values():
                asked(index, history, hour - data.draw(st.integers(0, 30)), hour + 1)
    end_hour = FIRST_HOUR + HOURS + 180
    first_hour = data.draw(st.integers(FIRST_HOUR, end_hour - 1))
    for index in indices.values():
        by_accelerator: dict[str, list[PlainTrade]] = {}
        for name, products in index.references.items():
            by_accelerator[name] = [each for each in trades if each.product in products]
        references = {
            name: reference for each in index.references.values() for name, reference in each.items()
        }
        values = [value_view(each) for each in asked(index, history, first_hour, end_hour)]
        assert [(each.value, each.window_hours) for each in values] == [
            plain_index(by_accelerator, references, hour, index.unit) for hour in range(first_hour, end_hour)
        ]


def busy(hour: int, prices: list[int], **more: Any) -> list[PlainTrade]:
    """Return trades of eight GPU-hours at some prices, of two buyers and two providers in turn."""
    return [
        PlainTrade(
            **{
                "product": "a.one",
                "traded_at_us": us_of_hour(hour) + number,
                "price_fen": price,
                "gpus": 4,
                "starts_hour": hour + 1,
                "hours": 2,
                "buyer": 1 + number % 2,
                "provider": 11 + number % 2,
                **more,
            }
        )
        for number, price in enumerate(prices)
    ]


def value(trades: list[PlainTrade], index: str, hour: int) -> tuple[str | None, int | None]:
    [found] = asked(indices_of(PRODUCTS.values())[index], told(trades), hour, hour + 1)
    view = value_view(found)
    return view.value, view.window_hours


def documented(document: str) -> list[PlainTrade]:
    """Return the trades of the table in docs/market-data.md."""
    rows = re.findall(
        r"^\| (\w\.\w+) \| (\d+) \| (\d+)\.(\d\d) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|",
        document,
        re.MULTILINE,
    )
    trades = []
    for number, (name, *figures) in enumerate(rows):
        hour, yuan, fen, gpus, hours, buyer, provider = map(int, figures)
        trades.append(
            PlainTrade(
                product=name,
                traded_at_us=us_of_hour(FIRST_HOUR + hour) + number,
                price_fen=100 * yuan + fen,
                gpus=gpus,
                starts_hour=FIRST_HOUR + hour + 1,
                hours=hours,
                buyer=buyer,
                provider=provider,
            )
        )
    return trades


def test_the_worked_example_of_the_documentation() -> None:
    document = (ROOT / "docs" / "market-data.md").read_text(encoding="utf-8")
    trades = documented(document)
    assert len(trades) == 6
    assert value(trades, "accelerator-a", FIRST_HOUR + 5) == ("10.1733", 24)
    assert value(trades, "accelerator-b", FIRST_HOUR + 5) == (None, None)
    assert value(trades, "foreign", FIRST_HOUR + 5) == ("988.8889", 24)
    assert value(trades, "domestic", FIRST_HOUR + 5) == (None, None)
    assert re.findall(r"\*\*([\d.]+)\*\*", document) == ["10.1733", "988.8889"]


@pytest.mark.parametrize(
    "change",
    [
        {"buyer": 1},
        {"provider": 11},
        {"gpus": 1, "hours": 7},
        {"hours": 168},
    ],
)
def test_too_little_is_no_value(change: dict[str, int]) -> None:
    hour = FIRST_HOUR
    assert value(busy(hour, [1000] * 3), "accelerator-a", hour + 1) == ("10.0000", 24)
    assert value(busy(hour, [1000] * 3, **change), "accelerator-a", hour + 1) == (None, None)
    assert value(busy(hour, [1000] * 2, gpus=90), "accelerator-a", hour + 1) == (None, None)


def test_a_thin_day_falls_back_to_seven_days_and_then_to_nothing() -> None:
    trades = busy(FIRST_HOUR, [1000, 1001, 1002])
    assert value(trades, "accelerator-a", FIRST_HOUR + 24) == ("10.0100", 24)
    assert value(trades, "accelerator-a", FIRST_HOUR + 25) == ("10.0100", 168)
    assert value(trades, "accelerator-a", FIRST_HOUR + 168) == ("10.0100", 168)
    assert value(trades, "accelerator-a", FIRST_HOUR + 169) == (None, None)
    assert value(trades, "accelerator-a", FIRST_HOUR) == (None, None)


def test_what_comes_after_its_hour_is_counted_from_then_on() -> None:
    index = indices_of(PRODUCTS.values())["accelerator-a"]
    history, hour = told(busy(FIRST_HOUR, [1000] * 3)), FIRST_HOUR + 30
    before = asked(index, history, FIRST_HOUR, hour)
    late = busy(FIRST_HOUR, [1060])
    history.take(step_of(9, late))
    after = asked(index, history, FIRST_HOUR, hour)
    assert before[0] == after[0]
    assert {each.ten_thousandths for each in before[1:]} == {100_000}
    assert {each.ten_thousandths for each in after[1:]} == {101_500}


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 5)), min_size=1, max_size=12))
def test_the_median_is_that_of_single_gpu_hours(volumes: list[tuple[int, int]]) -> None:
    each_hour = sorted(price for price, gpu_hours in volumes for _ in range(gpu_hours))
    median = median_ticks(volumes)
    assert median == each_hour[(len(each_hour) - 1) // 2]
    assert [price for price in each_hour if is_outlier(price, median)] == [
        price for price in each_hour if not median / 2 <= price <= median * 3 / 2
    ]


def test_memory_holds_so_many_days_and_no_more() -> None:
    history = History()
    for number, day in enumerate((0, 50, DAYS_KEPT + 9), start=1):
        history.take(step_of(number, busy(FIRST_HOUR + day * 24, [1000])))
    past = history.past("a.one")
    assert past is not None
    for series in (past.by_trade, past.by_delivery):
        kept = [hour for hour, _ in series.days(FIRST_HOUR, FIRST_HOUR + 300 * 24)]
        assert kept == [FIRST_HOUR + 50 * 24, FIRST_HOUR + (DAYS_KEPT + 9) * 24]
        assert len(series._days) == 2
    # Spot trades are kept for seven days more: the oldest windows have them.
    assert sorted(past.spot) == [FIRST_HOUR + 50 * 24, FIRST_HOUR + (DAYS_KEPT + 9) * 24]
