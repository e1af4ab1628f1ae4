"""Goal: `exchange market candles` and `index`, and the client's calls for market data, tell what was traded.

Method: a served exchange in a process of its own, on which one buyer and one provider trade through the
command line; what the commands write is compared with the API's own answers.
"""

import json

import httpx
import pytest

from exchange.cli.failures import ExitCode
from exchange.client import ApiProblem, ExchangeClient
from exchange.kit.fields import format_hour
from tests.benchmarks.venue import ASK_CNY, PRODUCT, Venue
from tests.e2e.test_cli import as_json, call

ACCELERATOR = PRODUCT.partition(".")[0]


@pytest.fixture(scope="module")
def venue(own_venue: Venue) -> Venue:
    for hours in ("3h", "5h"):
        arguments = ("buy", PRODUCT, "2", "--for", hours, "--start", "in 4h", "--price", "3.20", "-y")
        bought = call(*arguments, "--json", url=own_venue.url, key=own_venue.buyer_keys[0])
        assert as_json(bought)["status"] == "filled"
    return own_venue


def lines(venue: Venue, *arguments: str) -> list[dict[str, object]]:
    result = call("market", *arguments, "--json", url=venue.url)
    assert result.exit_code == ExitCode.DONE, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_candles_by_both_clocks(venue: Venue) -> None:
    made = lines(venue, "candles", PRODUCT)
    assert sum(int(str(candle["gpu_hours"])) for candle in made) == 16
    assert {candle["close_cny_per_gpu_hour"] for candle in made} == {ASK_CNY}
    delivered = lines(venue, "candles", PRODUCT, "--by", "delivery_hour")
    assert [candle["gpu_hours"] for candle in delivered] == [4, 4, 4, 2, 2]
    by_day = lines(venue, "candles", PRODUCT, "--by", "delivery_hour", "--interval", "1d")
    assert sum(int(str(candle["gpu_hours"])) for candle in by_day) == 16
    first = str(delivered[0]["starts_at"])
    window = ("--from", first, "--to", str(delivered[2]["starts_at"]))
    assert lines(venue, "candles", PRODUCT, "--by", "delivery_hour", *window) == delivered[:2]
    table = call("market", "candles", PRODUCT, url=venue.url).stdout
    assert "average" in table
    assert f"{ASK_CNY}00" in table


def test_a_window_that_is_refused_is_told(venue: Venue) -> None:
    refused = call("market", "candles", PRODUCT, "--from", "2020-01-01T00:00:00Z", url=venue.url)
    assert refused.exit_code == ExitCode.REFUSED
    assert "?starts_at" in refused.stderr
    unknown = call("market", "index", "no-such-index", url=venue.url)
    assert unknown.exit_code == ExitCode.REFUSED
    assert "GET /v1/market/indices" in unknown.stderr


def test_indices(venue: Venue) -> None:
    all_of_them = {each["index"]: each for each in lines(venue, "index")}
    assert {"domestic", "foreign", ACCELERATOR} <= all_of_them.keys()
    # One buyer and one provider make no index.
    assert lines(venue, "index", ACCELERATOR)[-1]["value"] is None
    assert "too little traded" in call("market", "index", url=venue.url).stdout
    assert "too little traded" in call("market", "index", "foreign", "--interval", "1d", url=venue.url).stdout


async def test_the_client_reads_the_market_under_known_names(venue: Venue) -> None:
    async with httpx.AsyncClient() as http:
        client = ExchangeClient(venue.url, http=http)
        ticker = await client.fetch_ticker(PRODUCT)
        assert (ticker.last_price_cny_per_gpu_hour, ticker.gpu_hours_24h) == (ASK_CNY, 16)
        assert [each.product for each in await client.fetch_tickers()] == [PRODUCT]
        assert [trade.gpu_hours for trade in await client.fetch_trades(PRODUCT, limit=1)] == [10]
        window = {
            "starts_at": format_hour(venue.first_hour),
            "ends_at": format_hour(venue.first_hour + 2),
        }
        starts_at, ends_at = window["starts_at"], window["ends_at"]
        book = await client.fetch_depth(PRODUCT, starts_at=starts_at, ends_at=ends_at, quantity_gpus=3)
        assert (book.filled_gpus, book.levels[0].price_cny_per_gpu_hour) == (3, ASK_CNY)
        [calendar] = (await client.fetch_calendar([PRODUCT], starts_at=starts_at, ends_at=ends_at)).data
        assert calendar.ask_cny_per_gpu_hour == [ASK_CNY, ASK_CNY]
        assert (await client.fetch_calendar(origin="domestic")).data == []
        candles = await client.fetch_ohlcv(PRODUCT, by="delivery_hour", since=window["starts_at"])
        assert sum(candle.gpu_hours for candle in candles) == 16
        assert {each.index for each in await client.fetch_indices()} >= {"foreign", ACCELERATOR}
        index = await client.fetch_index("foreign", "1d")
        assert (index.unit, index.interval) == ("points", "1d")
        with pytest.raises(ApiProblem):
            await client.fetch_ohlcv("no-such.product.here")
