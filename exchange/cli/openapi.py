"""The command that writes the OpenAPI document: the console's typed client is generated from it."""

import click

from exchange.api import description
from exchange.cli.output import write_json


@click.command()
def openapi() -> None:
    """Write the OpenAPI document of this version as JSON; needs no database."""
    write_json(description())
