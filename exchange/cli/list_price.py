"""`exchange list-price`: a provider publishes its price of a product."""

import click
import msgspec

from exchange.cli.options import json_option, with_client
from exchange.cli.output import write_facts, write_json
from exchange.client import ExchangeClient
from exchange.products.list_price_models import NewListPrice


@click.command("list-price")
@click.argument("product")
@click.argument("price")
@json_option
@with_client
async def list_price(client: ExchangeClient, product: str, price: str, as_json: bool) -> None:
    """Publish your list price of PRODUCT: PRICE is in CNY per GPU-hour, such as 12.35.

    Some programmes' vouchers pay their share of at most this price, and nothing at a provider without one. It
    is for the asks you place from now on, at whatever price. `exchange market list-prices` shows everyone's.
    """
    listed = await client.publish_list_price(product, NewListPrice(price_cny_per_gpu_hour=price))
    if as_json:
        write_json(listed)
    else:
        write_facts(msgspec.structs.asdict(listed).items())
