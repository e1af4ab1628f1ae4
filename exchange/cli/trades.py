"""`exchange trades export`: the trade history, for a key with the scope `audit`."""

from typing import IO, Any

import click

from exchange.cli.options import with_client
from exchange.client import ExchangeClient


@click.group()
def trades() -> None:
    """Read the trades of the whole venue, for regulators."""


@trades.command("export")
@click.option(
    "--format", "file_format", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True
)
@click.option("--from", "since", help="Trades at or after this time, RFC 3339.")
@click.option("--to", "until", help="Trades before this time, RFC 3339.")
@click.option("--product", help="Only trades in this product.")
@click.option(
    "--output", type=click.File("wb"), default="-", help="Where to write; standard output by default."
)
@with_client
async def export_trades(
    client: ExchangeClient,
    file_format: str,
    since: str | None,
    until: str | None,
    product: str | None,
    output: IO[Any],
) -> None:
    """Write trades as they stream in, however many there are."""
    async for chunk in client.export_trades(file_format, since=since, until=until, product=product):
        output.write(chunk)
    output.flush()
