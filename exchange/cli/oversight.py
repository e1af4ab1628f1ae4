"""`exchange oversight`: a regulator at a terminal.

`backtest`, `rebuild` and `recompute` work on the database itself.
"""

import click

from exchange.cli.alerts import alerts
from exchange.cli.backtest import backtest
from exchange.cli.rebuild import rebuild_command
from exchange.cli.reports import (
    book_command,
    life_command,
    questions_command,
    recompute_command,
    report_command,
)


@click.group()
def oversight() -> None:
    """Look at the market as a regulator: reports, books as they stood, alerts, all that became of a thing."""


for command in (
    alerts,
    backtest,
    book_command,
    life_command,
    questions_command,
    rebuild_command,
    recompute_command,
    report_command,
):
    oversight.add_command(command)
