"""`exchange statements NAME`: programmes, their burn, receivables and claims as of a time, as CSV."""

from typing import IO, Any

import click

from exchange.claims.burn import POINTS_DEFAULT
from exchange.cli.options import with_client
from exchange.client import ExchangeClient


@click.command()
@click.argument("name", type=click.Choice(["programmes", "burn", "receivables", "claims"]))
@click.option("--as-of", help="The time, RFC 3339; now by default.")
@click.option("--programme", "programme_id", help="Only this programme.")
@click.option(
    "--interval", type=click.Choice(["hour", "day"]), help="Of a burn: points at ends of hours or of days."
)
@click.option("--points", type=click.IntRange(1, 1_000), help="Of a burn: how many, 90 by default.")
@click.option(
    "--output", type=click.File("wb"), default="-", help="Where to write; standard output by default."
)
@with_client
async def statements(
    client: ExchangeClient,
    name: str,
    as_of: str | None,
    programme_id: str | None,
    interval: str | None,
    points: int | None,
    output: IO[Any],
) -> None:
    """Write a statement as CSV.

    `programmes`: where the money of an issuer's programmes was. `burn`: how far it had come, moment by
    moment. `receivables`: what a provider, or a company that is reimbursed, had of each programme. `claims`:
    all claims you may see, and how far they were.
    """
    if name == "burn":
        chunks = client.export_burn(
            as_of=as_of,
            programme_id=programme_id,
            interval=interval or "day",
            points=points or POINTS_DEFAULT,
        )
    elif interval is None and points is None:
        chunks = client.export_statement(name, as_of=as_of, programme_id=programme_id)
    else:
        raise click.UsageError("--interval and --points are of a burn only")
    async for chunk in chunks:
        output.write(chunk)
    output.flush()
