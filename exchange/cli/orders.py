"""`exchange orders list|get|cancel`."""

import click

from exchange.cli.options import json_option, with_client, yes_option
from exchange.cli.output import write_json, write_list
from exchange.cli.place import show_order
from exchange.client import ExchangeClient


@click.group()
def orders() -> None:
    """Your orders."""


@orders.command("list")
@click.option("--status", help="Only orders of this status, such as resting.")
@click.option("--product", help="Only orders on this product.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_orders(
    client: ExchangeClient,
    status: str | None,
    product: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List your orders."""
    found = [order async for order in client.orders(limit=limit, status=status, product=product)]
    write_list(
        found,
        ["order", "side", "status", "product", "GPUs", "hours", "from", "to", "limit", "filled GPU-h"],
        lambda order: (
            order.id,
            order.side,
            order.status,
            order.product,
            order.quantity_gpus,
            order.hours,
            order.starts_at,
            order.ends_at,
            order.price_cny_per_gpu_hour,
            order.filled_gpu_hours,
        ),
        as_json=as_json,
    )


@orders.command("get")
@click.argument("order_id")
@json_option
@with_client
async def get_order(client: ExchangeClient, order_id: str, as_json: bool) -> None:
    """Show one order with its fills."""
    order = await client.order(order_id)
    if as_json:
        write_json(order)
    else:
        show_order(order)


@orders.command("cancel")
@click.argument("order_id")
@yes_option
@json_option
@with_client
async def cancel_order(client: ExchangeClient, order_id: str, yes: bool, as_json: bool) -> None:
    """Withdraw what is left of an order; fills stand."""
    if not yes:
        click.confirm(f"Cancel {order_id}?", abort=True, err=True)
    order = await client.cancel(order_id)
    if as_json:
        write_json(order)
    else:
        show_order(order)
