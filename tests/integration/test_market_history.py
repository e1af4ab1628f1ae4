"""Goal: candles, indices and calendars are what the trade table and the books say, at every process.

Method: a whole exchange, asked over HTTP. Its answers are compared with the slow model over the rows of
`trade`, and with those of the same database after a restart and at gateways; what a start reads from a table
of trades is compared with the same trades told one by one.
"""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from exchange.feed.history import History
from exchange.feed.history_models import CalendarsView
from exchange.feed.history_service import HistoryService
from exchange.feed.relay import Relay
from exchange.kit.clock import ManualClock, us_of_hour
from exchange.kit.database import Database
from exchange.kit.errors import Faults
from exchange.kit.fields import format_hour
from exchange.participants.models import ParticipantKind
from exchange.products.models import ProductSpec
from exchange.products.service import load_products, seed_catalogue
from tests.hypothesis_profiles import sampled
from tests.market_past import client_of, read, trade_a_while, traded
from tests.market_rows import TradeFacts, insert_order, insert_participant, insert_trade
from tests.market_world import MarketWorld, open_market
from tests.plain_history import HOUR_US, PlainTrade, plain_candle
from tests.property.test_market_history import FIRST_HOUR, steps_of

DEADLINE_S = 60.0


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def client(world: MarketWorld) -> httpx.AsyncClient:
    return client_of(world.exchange)


@pytest.mark.parametrize("by", ["trade_time", "delivery_hour"])
@pytest.mark.parametrize("interval", ["1h", "1d"])
async def test_candles_are_those_of_the_trade_table(
    world: MarketWorld, client: httpx.AsyncClient, by: str, interval: str
) -> None:
    await trade_a_while(world)
    product, hour = world.product(), world.clock.hour()
    trades = await traded(world, product)
    assert len(trades) == 6
    length = {"1h": 1, "1d": 24}[interval]
    first_hour = (hour // 24 - 1) * 24
    window = {"starts_at": format_hour(first_hour), "ends_at": format_hour(first_hour + 240)}
    found = await read(client, f"/v1/market/{product}/candles", interval=interval, by=by, **window)
    expected = [
        {"starts_at": format_hour(start), **candle}
        for start in range(first_hour, first_hour + 240, length)
        if (candle := plain_candle(trades, start, start + length, by)) is not None
    ]
    assert expected
    assert found == {"product": product, "interval": interval, "by": by, **window, "data": expected}
    # By default what is traded is among the latest periods, and what is delivered among the next ones.
    unasked = await read(client, f"/v1/market/{product}/candles", interval=interval, by=by)
    assert unasked["data"] == [each for each in expected if each["starts_at"] >= unasked["starts_at"]]
    assert unasked["data"]


async def test_the_ticker_agrees_with_the_candles_of_its_day(
    world: MarketWorld, client: httpx.AsyncClient
) -> None:
    await trade_a_while(world)
    product = world.product()
    candles = (await read(client, f"/v1/market/{product}/candles"))["data"]
    ticker = await read(client, f"/v1/market/{product}/ticker")
    assert ticker["last_price_cny_per_gpu_hour"] == candles[-1]["close_cny_per_gpu_hour"] == "4.71"
    assert ticker["open_24h_cny_per_gpu_hour"] == candles[0]["open_cny_per_gpu_hour"] == "4.50"
    assert (ticker["change_24h_cny_per_gpu_hour"], ticker["change_24h_percent"]) == ("0.21", "4.67")
    assert ticker["high_24h_cny_per_gpu_hour"] == max(each["high_cny_per_gpu_hour"] for each in candles)
    assert ticker["low_24h_cny_per_gpu_hour"] == min(each["low_cny_per_gpu_hour"] for each in candles)
    assert ticker["gpu_hours_24h"] == sum(each["gpu_hours"] for each in candles) == 96
    assert ticker["trades_24h"] == sum(each["trades"] for each in candles) == 6
    day = await read(client, f"/v1/market/{product}/candles", interval="1d")
    assert ticker["notional_24h_cny"] == day["data"][0]["notional_cny"]
    assert ticker["vwap_24h_cny_per_gpu_hour"] == day["data"][0]["vwap_cny_per_gpu_hour"]
    await world.pass_hours(24, at_once=True)
    later = await read(client, f"/v1/market/{product}/ticker")
    assert later["last_price_cny_per_gpu_hour"] == "4.71"
    for name in ("open", "change", "high", "low", "vwap"):
        assert later[f"{name}_24h_cny_per_gpu_hour"] is None


async def test_an_index_appears_when_the_hour_is_over(world: MarketWorld, client: httpx.AsyncClient) -> None:
    await trade_a_while(world)
    product = world.exchange.products[world.product()]
    address = f"/v1/market/indices/{product.accelerator_id}"
    before = (await read(client, address))["data"][-1]
    assert before["as_of"] == format_hour(world.clock.hour())
    await world.pass_hours(1)
    index = await read(client, address)
    trades = await traded(world, product.id)
    paid = sum(each.price_fen * each.gpu_hours for each in trades)
    volume = sum(each.gpu_hours for each in trades)
    latest = index["data"][-1]
    assert latest == {
        "as_of": format_hour(world.clock.hour()),
        "value": f"{(paid * 200 + volume) // (2 * volume) / 10_000:.4f}",
        "window_hours": 24,
        "gpu_hours": volume,
        "trades": len(trades),
    }
    assert (index["unit"], index["kind"], index["accelerator"]) == (
        "cny_per_gpu_hour",
        "accelerator",
        product.accelerator_id,
    )
    listed = {each["index"]: each for each in (await read(client, "/v1/market/indices"))["data"]}
    assert listed[product.accelerator_id]["latest"] == latest
    level = float(latest["value"]) * 100_000 / product.reference_price_ticks
    assert float(listed["foreign"]["latest"]["value"]) == pytest.approx(level, abs=0.02)
    assert (listed["foreign"]["unit"], listed["foreign"]["accelerator"]) == ("points", None)
    assert listed["domestic"]["latest"]["value"] is None
    assert listed["foreign"]["change_24h_percent"] is None
    assert {each["accelerator"] for each in listed.values()} == {None} | {
        each.accelerator_id for each in world.exchange.products.values()
    }


async def test_the_calendar_of_many_products_is_that_of_each(
    world: MarketWorld, client: httpx.AsyncClient
) -> None:
    await trade_a_while(world)
    provider = await world.join(ParticipantKind.PROVIDER)
    for product in sorted(world.exchange.products)[:5]:
        await world.ask(provider, product, window=(1, 9))
    window = {"starts_at": format_hour(world.first_hour + 1), "ends_at": format_hour(world.first_hour + 31)}
    for query in (window, window, {}, {"ends_at": format_hour(world.first_hour + 2160)}):
        answer = await client.get("/v1/market/calendar", params=query)
        calendars = msgspec.json.decode(answer.content, type=CalendarsView, strict=True)
        assert [each.product for each in calendars.data] == sorted(
            {world.product(), *sorted(world.exchange.products)[:5]}
        )
        for each in calendars.data:
            own = await read(client, f"/v1/market/{each.product}/calendar", **query)
            assert (own["sequence"], own["starts_at"]) == (each.sequence, calendars.starts_at)
            assert len(own["hours"]) == calendars.hours
            columns = zip(each.ask_cny_per_gpu_hour, each.bid_cny_per_gpu_hour, each.free_gpus, strict=True)
            assert [tuple(hour.values())[1:] for hour in own["hours"]] == list(columns)
        # What changes is shown at once.
        await world.ask(provider, world.product(), price=440 - len(query), window=(2, 5))


async def test_the_calendar_is_narrowed(world: MarketWorld, client: httpx.AsyncClient) -> None:
    provider = await world.join(ParticipantKind.PROVIDER)
    products = world.exchange.products
    for product in products:
        await world.ask(provider, product)

    async def shown(**query: Any) -> set[str]:
        rows = (
            await read(client, "/v1/market/calendar", ends_at=format_hour(world.first_hour + 1), **query)
        )["data"]
        assert rows == sorted(rows, key=lambda row: str(row["product"]))
        return {row["product"] for row in rows}

    def such(**facts: str) -> set[str]:
        return {
            each.id
            for each in products.values()
            if all(getattr(each, name) == value for name, value in facts.items())
        }

    one = products[world.product()]
    assert await shown() == set(products)
    assert await shown(origin="domestic") == such(origin="domestic") != set()
    assert await shown(hub=one.hub_code) == such(hub_code=one.hub_code)
    assert await shown(accelerator=one.accelerator_id) == such(accelerator_id=one.accelerator_id)
    narrowed = await shown(interconnect=one.interconnect_code, origin="foreign")
    assert narrowed == such(interconnect_code=one.interconnect_code, origin="foreign")
    two = sorted(products)[:2]
    assert await shown(product=two) == set(two)
    assert await shown(product=[one.id], origin="domestic") == set()


async def test_a_product_that_is_named_is_shown_without_orders(
    world: MarketWorld, client: httpx.AsyncClient
) -> None:
    await world.pass_hours(5, at_once=True)
    assert (await read(client, "/v1/market/calendar"))["data"] == []
    [row] = (await read(client, "/v1/market/calendar", product=world.product()))["data"]
    assert row["ask_cny_per_gpu_hour"] == row["bid_cny_per_gpu_hour"] == [None] * 168
    assert row["free_gpus"] == [0] * 168


@pytest.mark.parametrize("seed", sampled([1, 2, 3], first=1))
async def test_the_past_is_the_same_from_the_table_as_told(database: Database, seed: int) -> None:
    drawn = random.Random(seed)
    async with database.transaction() as connection:
        await seed_catalogue(connection)
        products = {each.id: each for each in await load_products(connection)}
        names = sorted(products)[:3]
        parties = {
            kind: [await insert_participant(connection, kind, f"{kind} {number}") for number in range(3)]
            for kind in ("buyer", "provider")
        }
        orders = {
            (name, party): await insert_order(
                connection, party, product_id=name, side=side, starts_hour=1, ends_hour=2
            )
            for name in names
            for kind, side in (("buyer", "buy"), ("provider", "sell"))
            for party in parties[kind]
        }
        trades = sorted(
            (some_trade(drawn, names, parties) for _ in range(400)), key=lambda each: each.traded_at_us
        )
        for number, (sequence, trade) in enumerate(numbered(trades), start=1):
            await insert_trade(connection, row_of(number, sequence, trade, orders))
    told = History()
    for step in steps_of(trades):
        told.take(step)
    relay = Relay(database)
    await relay.start()
    try:
        assert await answers_of(relay.history, products, trades) == await answers_of(told, products, trades)
    finally:
        await relay.stop()


def some_trade(drawn: random.Random, names: list[str], parties: dict[str, list[int]]) -> PlainTrade:
    hour = FIRST_HOUR + drawn.choice([drawn.randrange(24 * 120), drawn.randrange(20)])
    return PlainTrade(
        product=drawn.choice(names),
        traded_at_us=us_of_hour(hour) + drawn.choice([0, 1, HOUR_US - 1]),
        price_fen=drawn.choice([1000, drawn.randrange(800, 1200), drawn.randrange(1, 5000)]),
        gpus=drawn.randrange(1, 20),
        starts_hour=hour + drawn.randrange(1, 60),
        hours=drawn.choice([1, 24, drawn.randrange(1, 150), drawn.randrange(1, 2000)]),
        buyer=drawn.choice(parties["buyer"]),
        provider=drawn.choice(parties["provider"]),
    )


def numbered(trades: list[PlainTrade]) -> list[tuple[int, PlainTrade]]:
    """Return trades with the sequences of their commands."""
    steps = steps_of(trades)
    return list(zip((step.sequence for step in steps for _ in step.events), trades, strict=True))


def row_of(number: int, sequence: int, trade: PlainTrade, orders: dict[tuple[str, int], int]) -> TradeFacts:
    """Return a trade as the table has it; `orders` are those of each party for each product."""
    return TradeFacts(
        id=number,
        sequence=sequence,
        product_id=trade.product,
        bid_order_id=orders[trade.product, trade.buyer],
        ask_order_id=orders[trade.product, trade.provider],
        buyer_id=trade.buyer,
        provider_id=trade.provider,
        aggressor="buy",
        quantity_gpus=trade.gpus,
        starts_hour=trade.starts_hour,
        ends_hour=trade.starts_hour + trade.hours,
        price_ticks=trade.price_fen,
        traded_at_us=trade.traded_at_us,
    )


async def answers_of(
    history: History, products: dict[str, ProductSpec], trades: list[PlainTrade]
) -> list[object]:
    """Return all that a past can be asked, at the hour of the last trade."""
    clock = ManualClock(trades[-1].traded_at_us)
    service = HistoryService(products=products, history=history, clock=clock)
    oldest_hour = (clock.hour() // 24 - 92) * 24
    found: list[object] = [await service.indices()]
    for starts_hour in range(oldest_hour, clock.hour() + 2160, 1000):
        window = (format_hour(starts_hour), format_hour(starts_hour + 1000))
        found += [await service.index(name, "1h", *window, Faults()) for name in ("domestic", "foreign")]
        for name in {trade.product for trade in trades}:
            found += [
                service.candles(name, interval, by, *window, Faults())
                for interval in ("1h", "1d")
                for by in ("trade_time", "delivery_hour")
            ]
    return found


@pytest.mark.parametrize(
    "path,faults",
    [
        ("{product}/candles?interval=5m&by=now", [("?interval", "not_one_of"), ("?by", "not_one_of")]),
        ("{product}/candles?starts_at=2020-01-01T00:00:00Z", [("?starts_at", "out_of_range")]),
        ("{product}/candles?ends_at=9999-12-31T23:00:00Z", [("?ends_at", "out_of_range")]),
        ("{product}/candles?ends_at=0001-01-01T00:00:00Z", [("?ends_at", "out_of_range")]),
        ("{product}/candles?starts_at=9999-12-31T23:00:00Z", [("?starts_at", "out_of_range")]),
        ("{product}/candles?starts_at={now}&ends_at={now}", [("?ends_at", "window_inverted")]),
        ("{product}/candles?starts_at={now}&ends_at={far}", [("?ends_at", "out_of_range")]),
        ("indices/foreign?starts_at=soon&interval=2h", [
            ("?starts_at", "pattern"), ("?interval", "not_one_of"),
        ]),
        ("indices?limit=3", [("?limit", "unknown_field")]),
        ("calendar?product=no-such.product.here&starts_at={past}", [
            ("?product", "unknown_product"), ("?starts_at", "out_of_range"),
        ]),
        ("calendar?starts_at={now}&ends_at={far}", [
            ("?starts_at", "out_of_range"), ("?ends_at", "out_of_range"),
        ]),
        ("calendar?origin=lunar", [("?origin", "not_one_of")]),
    ],
)  # fmt: skip
async def test_a_bad_question_is_told_all_that_is_wrong(
    world: MarketWorld, client: httpx.AsyncClient, path: str, faults: list[tuple[str, str]]
) -> None:
    hour = world.clock.hour()
    times = {"now": hour, "far": hour + 8000, "past": hour - 1}
    address = path.format(
        product=world.product(), **{name: format_hour(value) for name, value in times.items()}
    )
    answer = await client.get(f"/v1/market/{address}")
    assert answer.status_code == 422, answer.text
    told = [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]
    assert sorted(told) == sorted(faults)
