"""`exchange buy` and `exchange sell`: one order each, in the words a person would use."""

import secrets
from typing import Any, BinaryIO, Final, Literal

import click

from exchange.cli.capacity import sell_file
from exchange.cli.options import DURATION, json_option, start_option, with_client, yes_option
from exchange.cli.output import write_facts, write_json
from exchange.cli.times import START_FORMS, TimeFaultError, format_duration, parse_start
from exchange.client import ApiProblem, ExchangeClient, Unreachable
from exchange.kit.fields import format_hour
from exchange.orders.models import NewOrder, OrderView
from exchange.orders.preview_models import PreviewView
from matching.order import Side

TIME_IN_FORCE: Final = click.Choice(["gtc", "gtd", "ioc", "fok"])
PRICE_HELP: Final = "CNY per GPU-hour, such as 12.35."

product_argument = click.argument("product")
gpus_argument = click.argument("gpus", type=click.IntRange(1))
hours_option = click.option(
    "--for", "hours", type=DURATION, required=True, help="How long, such as 6h or 7d."
)
price_option = click.option("--price", required=True, help=PRICE_HELP)
force_option = click.option("--time-in-force", type=TIME_IN_FORCE, default="gtc", show_default=True)
preview_option = click.option(
    "--preview", is_flag=True, help="Only tell what the order would do; nothing is placed."
)
id_option = click.option("--client-order-id", help="Your own id; repeating it never places a second order.")
expires_option = click.option("--expires", help=f"With gtd, until when: {START_FORMS}.")
post_only_option = click.option(
    "--post-only", is_flag=True, help="Refuse the order if it would trade at once."
)


@click.command()
@product_argument
@gpus_argument
@hours_option
@price_option
@start_option
@click.option(
    "--within", type=DURATION, help="Let the run start anywhere in a window this long from --start."
)
@click.option("--all-or-none", is_flag=True, help="Take the whole quantity or nothing.")
@click.option("--single-site", is_flag=True, help="Take the whole quantity from one offer.")
@click.option("--vouchers", multiple=True, help="auto, none, or the id of a voucher (may be repeated).")
@click.option("--voucher-policy", type=click.Choice(["only_eligible", "prefer"]))
@click.option("--require", multiple=True, type=click.Choice(["domestic", "state_owned"]))
@force_option
@expires_option
@post_only_option
@id_option
@preview_option
@yes_option
@json_option
@with_client
async def buy(
    client: ExchangeClient,
    product: str,
    gpus: int,
    hours: int,
    price: str,
    start: str,
    within: int | None,
    all_or_none: bool,
    single_site: bool,
    vouchers: tuple[str, ...],
    voucher_policy: Literal["only_eligible", "prefer"] | None,
    require: tuple[Literal["domestic", "state_owned"], ...],
    time_in_force: Literal["gtc", "gtd", "ioc", "fok"],
    expires: str | None,
    post_only: bool,
    client_order_id: str | None,
    preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Bid for GPUS of PRODUCT over a run of whole hours.

    \b
    exchange buy nvidia-t4.zhangjiakou.pcie3 2 --for 6h --price 3.20
    exchange buy nvidia-t4.zhangjiakou.pcie3 2 --for 6h --price 3.20 --start "tomorrow 09:00" --within 1d
    """
    if within is not None and within < hours:
        raise click.BadParameter("the window is shorter than the run (--for)", param_hint="--within")
    starts_hour = await starts_hour_of(client, start)
    ends_hour = starts_hour + (within or hours)
    order = NewOrder(
        client_order_id=client_order_id or _fresh_id(),
        product=product,
        side=Side.BUY,
        quantity_gpus=gpus,
        starts_at=format_hour(starts_hour),
        ends_at=format_hour(ends_hour),
        hours=hours,
        price_cny_per_gpu_hour=price,
        time_in_force=time_in_force,
        expires_at=await _expires_at(client, expires),
        post_only=post_only,
        fill="all_or_none" if all_or_none else None,
        placement="single_site" if single_site else None,
        require=list(require) or None,
        vouchers=_voucher_wish(vouchers),
        voucher_policy=voucher_policy,
    )
    if preview:
        _show_preview(order, await client.preview_order(order), as_json=as_json)
        return
    when = (
        f"from {order.starts_at}"
        if ends_hour - starts_hour == hours
        else f"{order.starts_at} to {order.ends_at}"
    )
    _confirm(f"Buy {gpus} GPUs of {product} for {format_duration(hours)}, {when}, at {price}?", yes=yes)
    _show(await _placed(client, order), as_json=as_json)


@click.command()
@click.argument("product", required=False)
@click.argument("gpus", type=click.IntRange(1), required=False)
@click.option("--for", "hours", type=DURATION, help="How long, such as 6h or 7d.")
@click.option("--price", help=PRICE_HELP)
@click.option(
    "--file",
    type=click.File("rb"),
    help="List every ask of a CSV or NDJSON file instead: all of them, or none.",
)
@click.option("--partial", is_flag=True, help="With --file, list the good lines and tell of the others.")
@start_option
@click.option("--min-hours", type=DURATION, help="The shortest piece to sell.")
@click.option(
    "--reserved-for", multiple=True, type=click.Choice(["startup"]), help="Sell to these buyers only."
)
@force_option
@expires_option
@post_only_option
@id_option
@preview_option
@yes_option
@json_option
@with_client
async def sell(
    client: ExchangeClient,
    product: str | None,
    gpus: int | None,
    hours: int | None,
    price: str | None,
    file: BinaryIO | None,
    partial: bool,
    start: str,
    min_hours: int | None,
    reserved_for: tuple[Literal["startup"], ...],
    time_in_force: Literal["gtc", "gtd", "ioc", "fok"],
    expires: str | None,
    post_only: bool,
    client_order_id: str | None,
    preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Offer GPUS of PRODUCT over every hour of a window, or all that a file offers.

    \b
    exchange sell nvidia-t4.zhangjiakou.pcie3 64 --for 7d --price 2.90 --start "in 6h"
    exchange sell --file capacity.csv --preview
    """
    if file is not None:
        if product is not None or hours is not None or price is not None:
            raise click.UsageError("--file says what is offered; leave PRODUCT, GPUS, --for and --price out")
        await sell_file(client, file, partial=partial, preview=preview, yes=yes, as_json=as_json)
        return
    if product is None or gpus is None or hours is None or price is None:
        raise click.UsageError("name PRODUCT, GPUS, --for and --price, or a --file")
    starts_hour = await starts_hour_of(client, start)
    order = NewOrder(
        client_order_id=client_order_id or _fresh_id(),
        product=product,
        side=Side.SELL,
        quantity_gpus=gpus,
        starts_at=format_hour(starts_hour),
        ends_at=format_hour(starts_hour + hours),
        price_cny_per_gpu_hour=price,
        time_in_force=time_in_force,
        expires_at=await _expires_at(client, expires),
        post_only=post_only,
        min_hours=min_hours,
        reserved_for=list(reserved_for) or None,
    )
    if preview:
        _show_preview(order, await client.preview_order(order), as_json=as_json)
        return
    _confirm(f"Offer {gpus} GPUs of {product} from {order.starts_at} to {order.ends_at} at {price}?", yes=yes)
    _show(await _placed(client, order), as_json=as_json)


async def starts_hour_of(client: ExchangeClient, start: str, option: str = "--start") -> int:
    """Return the hour that a text means by the exchange's clock; a bad one is a fault of the option."""
    try:
        return parse_start(start, await client.venue_now_us())
    except TimeFaultError as fault:
        raise click.BadParameter(str(fault), param_hint=option) from fault


async def _expires_at(client: ExchangeClient, expires: str | None) -> str | None:
    return None if expires is None else format_hour(await starts_hour_of(client, expires, "--expires"))


def _voucher_wish(vouchers: tuple[str, ...]) -> Literal["auto", "none"] | list[str] | None:
    if not vouchers:
        return None
    if vouchers == ("auto",):
        return "auto"
    return "none" if vouchers == ("none",) else list(vouchers)


def _fresh_id() -> str:
    return f"cli-{secrets.token_hex(8)}"


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


async def _placed(client: ExchangeClient, order: NewOrder) -> OrderView:
    """Place an order; a failure that may have placed it says how to find out without a second one."""
    try:
        return await client.create_order(order)
    except (ApiProblem, Unreachable) as failure:
        if failure.outcome != "unknown":
            raise
        told = f"the same command with --client-order-id {order.client_order_id} places no second order"
        raise failure.and_tells(told) from failure


def _show(order: OrderView, *, as_json: bool) -> None:
    if as_json:
        write_json(order)
    else:
        show_order(order)


def show_order(order: OrderView) -> None:
    """Write one order for people."""
    run: Any = f"{order.run_starts_at} for {format_duration(order.hours)}" if order.run_starts_at else None
    write_facts(
        [
            ("order", order.id),
            ("status", order.status + (f" ({order.reason})" if order.reason else "")),
            ("product", order.product),
            ("side", order.side),
            ("GPUs", order.quantity_gpus),
            ("window", f"{order.starts_at} to {order.ends_at}"),
            ("run", run),
            ("limit", f"{order.price_cny_per_gpu_hour} CNY per GPU-hour"),
            ("filled", f"{order.filled_gpu_hours} GPU-hours"),
            ("average price", order.average_price_cny_per_gpu_hour),
            ("cash held", order.held.cash_cny if order.held else None),
            ("priority", order.priority),
            ("replaces", order.replaces),
            ("replaced by", order.replaced_by),
        ]
    )
    for fill in order.fills:
        click.echo(
            f"  {fill.trade_id}  {fill.quantity_gpus} GPUs  {fill.starts_at} to {fill.ends_at}"
            f"  at {fill.price_cny_per_gpu_hour}"
            + (f"  {fill.voucher_cny} of it by voucher" if fill.voucher_cny not in {"0", "0.00"} else "")
        )


def _show_preview(order: NewOrder, preview: PreviewView, *, as_json: bool) -> None:
    """Write what an order would do, and how its times were understood."""
    if as_json:
        write_json(preview)
        return
    refusal = preview.refusal
    is_bid = preview.cash_cny is not None
    window = f"{order.starts_at} to {order.ends_at} (UTC)"
    if order.hours is not None:
        window += f", for {format_duration(order.hours)}"
    write_facts(
        [
            ("status", preview.status + (f" ({preview.reason})" if preview.reason else "")),
            ("refused", refusal.detail if refusal else None),
            ("window", window),
            ("run from", preview.run_starts_at),
            ("filled", f"{preview.filled_gpu_hours} GPU-hours"),
            ("left to rest", f"{preview.resting_gpu_hours} GPU-hours"),
            ("average price", preview.average_price_cny_per_gpu_hour),
            ("price of the fills", preview.amount_cny),
            ("fee at most", None if is_bid else preview.fee_cny),
            ("you pay" if is_bid else "you are paid", preview.total_cny),
            ("of it in cash", preview.cash_cny),
            ("to be reimbursed", preview.reimbursable_cny),
            ("cash needed", preview.needed_cny),
            ("cash held after", preview.held.cash_cny if preview.held else None),
        ]
    )
    for fault in refusal.errors if refusal else ():
        click.echo(f"  {fault.pointer}  {fault.detail}")
    for fill in preview.fills:
        click.echo(
            f"  {fill.quantity_gpus} GPUs  {fill.starts_at} to {fill.ends_at}"
            f"  at {fill.price_cny_per_gpu_hour}  {fill.amount_cny} CNY"
        )
    for voucher in preview.vouchers:
        click.echo(f"  {voucher.amount_cny} CNY by voucher {voucher.voucher_id}")
