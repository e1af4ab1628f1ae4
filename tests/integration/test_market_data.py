"""Goal: market data is what the book holds and what was traded, and names nobody.

Method: a whole exchange with a few known orders, read over HTTP without a key.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from exchange.api import create_app
from exchange.kit.auth import Principal
from exchange.kit.fields import format_hour
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from tests.market_world import MarketWorld, open_market

DEADLINE_S = 60.0


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(world: MarketWorld) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(cast("Any", create_app(world.exchange)))
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as opened:
        yield opened


@pytest.fixture
async def parties(world: MarketWorld) -> tuple[Principal, Principal]:
    provider = await world.join(ParticipantKind.PROVIDER)
    buyer = await world.join(ParticipantKind.BUYER)
    await world.deposit(buyer, 10_000_000)
    return provider, buyer


async def read(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(f"/v1/market{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def relayed(world: MarketWorld, product: str, trades: int) -> None:
    """Wait until the tape has this many trades."""
    async with asyncio.timeout(DEADLINE_S):
        while len(world.exchange.relay.tape.latest(product, 1000)) < trades:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.001)


async def test_calendar_depth_tape_and_ticker_tell_what_is_there(
    world: MarketWorld, client: httpx.AsyncClient, parties: tuple[Principal, Principal]
) -> None:
    provider, buyer = parties
    product = world.product()
    await world.ask(provider, product, price=500, quantity_gpus=4, window=(0, 4))
    await world.ask(provider, product, price=450, quantity_gpus=2, window=(2, 6))
    await world.bid(buyer, product, price=450, quantity_gpus=1, window=(2, 4))  # takes the cheap ask
    await world.bid(buyer, product, price=300, quantity_gpus=1, window=(0, 2))  # rests
    await relayed(world, product, 1)
    first = world.first_hour

    calendar = await read(client, f"/{product}/calendar", ends_at=format_hour(first + 7))
    hours = [
        (hour["ask_cny_per_gpu_hour"], hour["bid_cny_per_gpu_hour"], hour["free_gpus"])
        for hour in calendar["hours"]
    ]
    assert hours == [
        ("5.00", "3.00", 4),
        ("5.00", "3.00", 4),
        ("4.50", None, 5),
        ("4.50", None, 5),
        ("4.50", None, 2),
        ("4.50", None, 2),
        (None, None, 0),
    ]
    assert calendar["hours"][0]["starts_at"] == calendar["starts_at"] == format_hour(first)
    assert len((await read(client, f"/{product}/calendar"))["hours"]) == 7 * 24

    window = {"starts_at": format_hour(first + 2), "ends_at": format_hour(first + 4)}
    depth = await read(client, f"/{product}/depth", **window)
    assert depth["levels"] == [
        {
            "price_cny_per_gpu_hour": "4.50",
            "quantity_gpus": 1,
            "cumulative_gpus": 1,
            "cumulative_cny": "9.00",
        },
        {
            "price_cny_per_gpu_hour": "5.00",
            "quantity_gpus": 4,
            "cumulative_gpus": 5,
            "cumulative_cny": "49.00",
        },
    ]
    assert (depth["filled_gpus"], depth["notional_cny"]) == (5, "49.00")
    assert depth["average_price_cny_per_gpu_hour"] == "4.9000"
    outer = {"starts_at": format_hour(first), "ends_at": format_hour(first + 6)}
    cheapest = await read(client, f"/{product}/depth", **outer, hours=2, quantity_gpus=2)
    assert (cheapest["starts_at"], cheapest["notional_cny"]) == (format_hour(first + 4), "18.00")

    tape = await read(client, f"/{product}/trades")
    assert len(tape["data"]) == 1
    trade = tape["data"][0]
    assert (trade["price_cny_per_gpu_hour"], trade["gpu_hours"], trade["aggressor"]) == ("4.50", 2, "buy")
    assert (trade["starts_at"], trade["ends_at"]) == (window["starts_at"], window["ends_at"])

    ticker = await read(client, f"/{product}/ticker")
    assert ticker["last_price_cny_per_gpu_hour"] == "4.50"
    assert (ticker["best_ask_cny_per_gpu_hour"], ticker["best_bid_cny_per_gpu_hour"]) == ("4.50", "3.00")
    assert (ticker["trades_24h"], ticker["gpu_hours_24h"], ticker["notional_24h_cny"]) == (1, 2, "9.00")
    assert len(ticker["next_hours"]) == 24
    assert ticker["next_hours"][:7] == calendar["hours"]
    summary = await read(client, "")
    assert summary["data"] == [{name: ticker[name] for name in summary["data"][0]}]


async def test_the_ticker_follows_the_book(
    world: MarketWorld, client: httpx.AsyncClient, parties: tuple[Principal, Principal]
) -> None:
    product = world.product()
    for price in (700, 600, 650):
        await world.ask(parties[0], product, price=price)
        ticker = await read(client, f"/{product}/ticker")
        assert ticker["best_ask_cny_per_gpu_hour"] == {700: "7.00", 600: "6.00", 650: "6.00"}[price]
    before = await read(client, f"/{product}/ticker")
    await world.pass_hours(1)
    after = await read(client, f"/{product}/ticker")
    assert after["next_hours"][:-1] == before["next_hours"][1:]


async def test_market_data_names_nobody(
    world: MarketWorld, client: httpx.AsyncClient, parties: tuple[Principal, Principal]
) -> None:
    provider, buyer = parties
    product = world.product()
    await world.ask(provider, product, quantity_gpus=4)
    await world.bid(buyer, product)
    await relayed(world, product, 1)
    window = f"starts_at={format_hour(world.first_hour)}&ends_at={format_hour(world.first_hour + 2)}"
    for path in (
        "",
        f"/{product}/calendar",
        f"/{product}/depth?{window}",
        f"/{product}/trades",
        f"/{product}/ticker",
    ):
        answer = await client.get(f"/v1/market{path}")
        assert answer.status_code == 200
        for party in parties:
            assert party.name not in answer.text
            assert str(party.participant_id) not in answer.text
            assert encode_id("par", party.participant_id) not in answer.text


async def test_a_product_without_orders_has_an_empty_market_from_the_first_hour_for_sale(
    world: MarketWorld, client: httpx.AsyncClient
) -> None:
    await world.pass_hours(3, at_once=True)
    product = world.product(lot_gpus=8)
    calendar = await read(client, f"/{product}/calendar")
    assert calendar["starts_at"] == format_hour(world.first_hour)
    assert {hour["free_gpus"] for hour in calendar["hours"]} == {0}
    ticker = await read(client, f"/{product}/ticker")
    assert (ticker["last_price_cny_per_gpu_hour"], ticker["phase"]) == (None, "open")
    window = {"starts_at": format_hour(world.first_hour), "ends_at": format_hour(world.first_hour + 1)}
    depth = await read(client, f"/{product}/depth", **window)
    assert (depth["levels"], depth["notional_cny"]) == ([], "0.00")
    assert (await read(client, ""))["data"] == []


@pytest.mark.parametrize(
    "path,pointers",
    [
        ("calendar?starts_at=2020-01-01T00:00:00Z", ["?starts_at"]),
        ("calendar?starts_at=soon&limit=3", ["?starts_at", "?limit"]),
        ("calendar?ends_at=2099-01-01T00:00:00Z", ["?ends_at"]),
        ("depth", ["?starts_at", "?ends_at"]),
        ("depth?starts_at=2020-01-01T00:30:00Z&ends_at=2020-01-01T00:00:00Z", ["?starts_at", "?ends_at"]),
        ("trades?limit=1001", ["?limit"]),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(
    world: MarketWorld, client: httpx.AsyncClient, path: str, pointers: list[str]
) -> None:
    answer = await client.get(f"/v1/market/{world.product(lot_gpus=8)}/{path}")
    assert answer.status_code == 422, answer.text
    assert sorted(fault["pointer"] for fault in answer.json()["errors"]) == sorted(pointers)


async def test_a_quantity_off_the_lot_and_a_run_longer_than_the_window_are_told_together(
    world: MarketWorld, client: httpx.AsyncClient
) -> None:
    first = world.first_hour
    window = {"starts_at": format_hour(first), "ends_at": format_hour(first + 2)}
    path = f"/v1/market/{world.product(lot_gpus=8)}/depth"
    answer = await client.get(path, params={**window, "quantity_gpus": 9, "hours": 3})
    assert [fault["code"] for fault in answer.json()["errors"]] == [
        "not_a_lot_multiple",
        "longer_than_window",
    ]


@pytest.mark.parametrize("what", ["calendar", "trades", "ticker"])
async def test_an_unknown_product_is_not_found(client: httpx.AsyncClient, what: str) -> None:
    assert (await client.get(f"/v1/market/no-such.product.here/{what}")).status_code == 404
