"""`exchange orders list|get|watch|amend|cancel`."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Literal

import click

from exchange.cli.options import DURATION, json_option, with_client, yes_option
from exchange.cli.output import write_json, write_list
from exchange.cli.place import PRICE_HELP, TIME_IN_FORCE, show_order, starts_hour_of
from exchange.cli.times import START_FORMS
from exchange.client import ApiProblem, ExchangeClient
from exchange.client.stream import StreamEvent
from exchange.feed.models import Delta, OrderNews, OwnOrder, Snapshot
from exchange.kit.fields import format_hour
from exchange.orders.models import AmendOrder


@click.group()
def orders() -> None:
    """Your orders."""


def _show_unread(order_id: str, problem: ApiProblem, *, as_json: bool) -> None:
    """Tell of an order that is withdrawn, as was asked for, and of which no more can be shown."""
    if as_json:
        write_json({"id": order_id, "status": "cancelled"})
    else:
        click.echo(f"{order_id} is cancelled")
    click.echo(problem.problem.detail, err=True)


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
    found = [order async for order in client.fetch_orders(limit=limit, status=status, product=product)]
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
    order = await client.fetch_order(order_id)
    if as_json:
        write_json(order)
    else:
        show_order(order)


@orders.command("watch")
@click.option("--limit", type=click.IntRange(1), help="End after so many events; else on Ctrl-C.")
@json_option
@with_client
async def watch_orders(client: ExchangeClient, limit: int | None, as_json: bool) -> None:
    """Show what happens to your orders as it happens, beginning with those that are live.

    A connection that is lost is made anew, and nothing is left out meanwhile.
    """
    told = 0
    async with aclosing(client.watch_orders()) as events:
        async for event in events:
            for each in _told(event):
                if as_json:
                    write_json(each)
                else:
                    click.echo(_line(each))
                told += 1
                if told == limit:
                    return


def _told(event: StreamEvent) -> Sequence[OwnOrder | OrderNews]:
    return event.orders or [] if isinstance(event, Snapshot | Delta) else []


def _line(each: OwnOrder | OrderNews) -> str:
    if isinstance(each, OwnOrder):
        words = [each.status, each.order_id, each.side, each.product, f"{each.quantity_gpus} GPUs"]
    else:
        words = [each.at, each.kind, each.order_id, each.side or "", each.product]
        if each.quantity_gpus is not None:
            words.append(f"{each.quantity_gpus} GPUs")
        words.append(each.reason or "")
    if each.price_cny_per_gpu_hour:
        words.append(f"{each.starts_at} to {each.ends_at} at {each.price_cny_per_gpu_hour}")
    return "  ".join(word for word in words if word)


@orders.command("amend")
@click.argument("order_id")
@click.option("--gpus", type=click.IntRange(1), help="The new quantity, filled part included.")
@click.option("--price", help=PRICE_HELP)
@click.option("--start", help=f"When the window begins: {START_FORMS}.")
@click.option("--end", help=f"When the window ends: {START_FORMS}.")
@click.option("--for", "hours", type=DURATION, help="Of a bid, how long its run is.")
@click.option("--time-in-force", type=TIME_IN_FORCE)
@click.option("--expires", help=f"With gtd, until when: {START_FORMS}.")
@click.option("--if-filled", type=click.IntRange(0), help="Only if exactly so many GPU-hours are filled.")
@yes_option
@json_option
@with_client
async def amend_order(
    client: ExchangeClient,
    order_id: str,
    gpus: int | None,
    price: str | None,
    start: str | None,
    end: str | None,
    hours: int | None,
    time_in_force: Literal["gtc", "gtd", "ioc", "fok"] | None,
    expires: str | None,
    if_filled: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Change an order; only a smaller quantity alone keeps its place.

    Anything else puts a new order in its place, for what is not filled yet, behind all others of its price.
    """
    times = {"starts_at": (start, "--start"), "ends_at": (end, "--end"), "expires_at": (expires, "--expires")}
    named: dict[str, Any] = {
        "quantity_gpus": gpus,
        "price_cny_per_gpu_hour": price,
        "hours": hours,
        "time_in_force": time_in_force,
        "expected_filled_gpu_hours": if_filled,
    }
    for name, (text, option) in times.items():
        if text is not None:
            named[name] = format_hour(await starts_hour_of(client, text, option))
    changes = {name: value for name, value in named.items() if value is not None}
    if not changes.keys() - {"expected_filled_gpu_hours"}:
        raise click.UsageError("name at least one thing to change")
    if not yes:
        click.confirm(f"Amend {order_id}?", abort=True, err=True)
    order = await client.edit_order(order_id, AmendOrder(**changes))
    if as_json:
        write_json(order)
    else:
        show_order(order)


@orders.command("cancel")
@click.argument("order_id", required=False)
@click.option("--all", "all_orders", is_flag=True, help="Cancel all your orders.")
@click.option("--product", help="With --all, only those on this product.")
@click.option("--side", type=click.Choice(["buy", "sell"]), help="With --all, only those of this side.")
@yes_option
@json_option
@with_client
async def cancel_order(
    client: ExchangeClient,
    order_id: str | None,
    all_orders: bool,
    product: str | None,
    side: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Withdraw what is left of an order, or of all with --all; fills stand."""
    if (order_id is None) != all_orders:
        raise click.UsageError("name one order, or give --all")
    if order_id is not None:
        if product or side:
            raise click.UsageError("--product and --side go with --all")
        if not yes:
            click.confirm(f"Cancel {order_id}?", abort=True, err=True)
        try:
            order = await client.cancel_order(order_id)
        except ApiProblem as problem:
            if problem.outcome != "applied":
                raise
            _show_unread(order_id, problem, as_json=as_json)
        else:
            if as_json:
                write_json(order)
            else:
                show_order(order)
        return
    if not yes:
        which = " ".join(word for word in ("all", side, "orders", f"on {product}" if product else "") if word)
        click.confirm(f"Cancel {which}?", abort=True, err=True)
    write_list(
        await client.cancel_all_orders(product=product, side=side),
        ["order", "side", "product", "cancelled GPUs", "cancelled GPU-h", "filled GPU-h"],
        lambda each: (
            each.id,
            each.side,
            each.product,
            each.cancelled_gpus,
            each.cancelled_gpu_hours,
            each.filled_gpu_hours,
        ),
        as_json=as_json,
    )
