"""`exchange market`: what is traded, and at which prices."""

from collections.abc import Mapping
from typing import Any

import click

from exchange.cli.book import ProductGroup, book
from exchange.cli.market_history import candles, index
from exchange.cli.options import DURATION, json_option, start_option, with_client
from exchange.cli.output import write_facts, write_json, write_list, write_table
from exchange.cli.times import TimeFaultError, parse_start
from exchange.client import ExchangeClient
from exchange.kit.fields import format_hour


@click.group(cls=ProductGroup)
def market() -> None:
    """Products, prices and depth; with a product instead of a command: its order book."""


market.add_command(book)


market.add_command(candles)
market.add_command(index)


@market.command()
@click.option("--accelerator", help="Only products of this accelerator, such as nvidia-h100-sxm.")
@click.option("--origin", type=click.Choice(["domestic", "foreign"]))
@click.option("--hub", help="Only products in this hub.")
@json_option
@with_client
async def products(
    client: ExchangeClient, accelerator: str | None, origin: str | None, hub: str | None, as_json: bool
) -> None:
    """List what is traded."""
    found = await client.products(accelerator=accelerator, origin=origin, hub=hub)
    if as_json:
        write_json(found)
        return
    columns = ["id", "origin", "hub", "cluster", "lot_gpus", "reference_price_cny_per_gpu_hour"]
    write_table(columns, ([product.get(column) for column in columns] for product in found))


@market.command()
@click.argument("product")
@json_option
@with_client
async def ticker(client: ExchangeClient, product: str, as_json: bool) -> None:
    """Show the last trade and the best prices of PRODUCT."""
    _write(await client.market(product, "ticker"), as_json=as_json)


@market.command()
@click.argument("product")
@start_option
@click.option("--for", "hours", type=DURATION, default=24, show_default="1d", help="The window's length.")
@json_option
@with_client
async def calendar(client: ExchangeClient, product: str, start: str, hours: int, as_json: bool) -> None:
    """Show the cheapest price of PRODUCT hour by hour."""
    window = await _window(client, start, hours)
    _write(await client.market(product, "calendar", window), as_json=as_json)


@market.command()
@click.argument("product")
@start_option
@click.option("--for", "hours", type=DURATION, default=1, show_default="1h", help="The run's length.")
@json_option
@with_client
async def depth(client: ExchangeClient, product: str, start: str, hours: int, as_json: bool) -> None:
    """Show how many GPUs of PRODUCT can be had for a whole window, price by price."""
    window = await _window(client, start, hours)
    _write(await client.market(product, "depth", window), as_json=as_json)


@market.command("list-prices")
@click.argument("product")
@click.option("--history", is_flag=True, help="Every list price that ever was, newest first.")
@click.option(
    "--provider", "provider_id", help="The history of this provider only, such as par_0123456789abc."
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_prices(
    client: ExchangeClient, product: str, history: bool, provider_id: str | None, limit: int, as_json: bool
) -> None:
    """Show what each provider publishes as its price of PRODUCT. Needs a key."""
    if history or provider_id is not None:
        rows = client.list_price_history(product, limit=limit, provider_id=provider_id)
    else:
        rows = client.list_prices(product, limit=limit)
    write_list(
        [row async for row in rows],
        ["provider", "number", "CNY per GPU-hour", "since"],
        lambda row: (row.provider_id, row.number, row.price_cny_per_gpu_hour, row.listed_at),
        as_json=as_json,
    )


async def _window(client: ExchangeClient, start: str, hours: int) -> dict[str, str]:
    try:
        starts_hour = parse_start(start, await client.venue_now_us())
    except TimeFaultError as fault:
        raise click.BadParameter(str(fault), param_hint="--start") from fault
    return {"starts_at": format_hour(starts_hour), "ends_at": format_hour(starts_hour + hours)}


def _write(answer: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    write_facts((name, value) for name, value in answer.items() if not isinstance(value, list))
    for name, rows in answer.items():
        if isinstance(rows, list) and rows:
            click.echo(f"\n{name}")
            columns = list(rows[0])
            write_table(columns, ([row.get(column) for column in columns] for row in rows))
