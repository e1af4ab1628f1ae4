"""`exchange statements NAME`: programmes, receivables and claims as they stood at a time, as CSV."""

from typing import IO, Any

import click

from exchange.cli.options import with_client
from exchange.client import ExchangeClient


@click.command()
@click.argument("name", type=click.Choice(["programmes", "receivables", "claims"]))
@click.option("--as-of", help="The time, RFC 3339; now by default.")
@click.option("--programme", "programme_id", help="Only this programme.")
@click.option(
    "--output", type=click.File("wb"), default="-", help="Where to write; standard output by default."
)
@with_client
async def statements(
    client: ExchangeClient, name: str, as_of: str | None, programme_id: str | None, output: IO[Any]
) -> None:
    """Write a statement as CSV.

    `programmes`: where the money of an issuer's programmes was. `receivables`: what a provider, or a company
    that is reimbursed, had of each programme. `claims`: all claims you may see, and how far they were.
    """
    async for chunk in client.export_statement(name, as_of=as_of, programme_id=programme_id):
        output.write(chunk)
    output.flush()
