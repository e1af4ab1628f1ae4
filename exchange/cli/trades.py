"""`exchange trades list`, your own trades; `export`, the venue's history for a key with the scope `audit`."""

from typing import IO, Any

import click

from exchange.cli.bars import ExportBar
from exchange.cli.options import json_option, with_client
from exchange.cli.output import write_list
from exchange.client import ExchangeClient


@click.group()
def trades() -> None:
    """Your trades; for regulators, those of the whole venue."""


@trades.command("list")
@click.option("--product", help="Only trades in this product.")
@click.option("--order", "order_id", help="Only the fills of this order of yours.")
@click.option("--from", "since", help="Trades at or after this time, RFC 3339.")
@click.option("--to", "until", help="Trades before this time, RFC 3339.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_trades(
    client: ExchangeClient,
    product: str | None,
    order_id: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List your trades, newest first."""
    found = [
        trade
        async for trade in client.fetch_my_trades(
            limit=limit, product=product, order_id=order_id, traded_from=since, traded_until=until
        )
    ]
    write_list(
        found,
        ["trade", "at", "side", "product", "GPUs", "from", "to", "price", "CNY", "by voucher", "order"],
        lambda trade: (
            trade.id,
            trade.traded_at,
            trade.side,
            trade.product,
            trade.quantity_gpus,
            trade.starts_at,
            trade.ends_at,
            trade.price_cny_per_gpu_hour,
            trade.amount_cny,
            trade.voucher_cny,
            trade.order_id,
        ),
        as_json=as_json,
    )


@trades.command("export")
@click.option("--reason", required=True, help="Why you ask; it goes to the record.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(("csv", "ndjson", "parquet")),
    default="csv",
    show_default=True,
)
@click.option("--zip", "zipped", is_flag=True, help="Put the file into a ZIP.")
@click.option("--from", "since", help="Trades at or after this time, RFC 3339.")
@click.option("--to", "until", help="Trades before this time, RFC 3339.")
@click.option("--product", help="Only trades in this product.")
@click.option(
    "--output", type=click.File("wb"), default="-", help="Where to write; standard output by default."
)
@with_client
async def export_trades(
    client: ExchangeClient,
    reason: str,
    file_format: str,
    zipped: bool,
    since: str | None,
    until: str | None,
    product: str | None,
    output: IO[Any],
) -> None:
    """Write trades as they stream in, however many there are; a bar on standard error tells how far it is."""
    with ExportBar(counts_lines=file_format != "parquet" and not zipped) as bar:
        chunks = client.export_trades(
            file_format,
            reason=reason,
            since=since,
            until=until,
            product=product,
            zipped=zipped,
            on_total=bar.expect,
        )
        async for chunk in chunks:
            output.write(chunk)
            bar.show(chunk)
    output.flush()
