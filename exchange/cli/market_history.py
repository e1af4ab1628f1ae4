"""`exchange market candles` and `exchange market index`: what was traded, over time."""

import click

from exchange.cli.options import json_option, with_client
from exchange.cli.output import write_list
from exchange.client import ExchangeClient
from exchange.feed.history_models import CandleClock, CandleView, IndexSummaryView, IndexValueView, Interval

interval_option = click.option(
    "--interval",
    type=click.Choice(["1h", "1d"]),
    default="1h",
    show_default=True,
    help="Hours or days (UTC).",
)
from_option = click.option(
    "--from", "since", help="The first hour, such as 2026-11-23T09:00:00Z; else seven days, or 31 with 1d."
)
until_option = click.option("--to", "until", help="The hour before which to end.")


@click.command()
@click.argument("product")
@interval_option
@click.option(
    "--by",
    type=click.Choice(["trade_time", "delivery_hour"]),
    default="trade_time",
    show_default=True,
    help="When trades were made, or what they deliver when.",
)
@from_option
@until_option
@json_option
@with_client
async def candles(
    client: ExchangeClient,
    product: str,
    interval: Interval,
    by: CandleClock,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Show what traded of PRODUCT by the hour or day: open, high, low, close, average and volume."""
    found = await client.fetch_ohlcv(product, interval, by=by, since=since, until=until)
    write_list(
        found,
        ["starts_at", "open", "high", "low", "close", "average", "gpu_hours", "CNY", "trades"],
        _candle_row,
        as_json=as_json,
    )


def _candle_row(candle: CandleView) -> list[object]:
    return [
        candle.starts_at,
        candle.open_cny_per_gpu_hour,
        candle.high_cny_per_gpu_hour,
        candle.low_cny_per_gpu_hour,
        candle.close_cny_per_gpu_hour,
        candle.vwap_cny_per_gpu_hour,
        candle.gpu_hours,
        candle.notional_cny,
        candle.trades,
    ]


@click.command()
@click.argument("index", required=False)
@interval_option
@from_option
@until_option
@json_option
@with_client
async def index(
    client: ExchangeClient,
    index: str | None,
    interval: Interval,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Show a price INDEX over time, such as nvidia-h100-sxm or foreign; without one, the latest of each.

    docs/market-data.md tells how indices are made.
    """
    if index is None:
        found = await client.fetch_indices()
        columns = ["index", "origin", "value", "unit", "as_of", "24 h, %", "gpu_hours"]
        write_list(found, columns, _summary_row, as_json=as_json)
        return
    values = (await client.fetch_index(index, interval, since=since, until=until)).data
    columns = ["as_of", "value", "window_hours", "gpu_hours", "trades"]
    write_list(values, columns, _value_row, as_json=as_json)


def _summary_row(each: IndexSummaryView) -> list[object]:
    latest = each.latest
    value = latest.value or "too little traded"
    return [
        each.index,
        each.origin,
        value,
        each.unit,
        latest.as_of,
        each.change_24h_percent,
        latest.gpu_hours,
    ]


def _value_row(each: IndexValueView) -> list[object]:
    value = each.value or "too little traded"
    return [each.as_of, value, each.window_hours, each.gpu_hours, each.trades]
