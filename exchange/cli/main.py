"""The group of all commands."""

import click

from exchange.cli.bench import bench
from exchange.cli.database import keys, ledger, migrate_command
from exchange.cli.demo.command import demo
from exchange.cli.failures import ExitCode, FailureGroup
from exchange.cli.market import market
from exchange.cli.orders import orders
from exchange.cli.place import buy, sell
from exchange.cli.replay import replay
from exchange.cli.serve import serve
from exchange.cli.trades import trades

EPILOG = (
    "\b\nExit codes: 0 done, 1 a fault of this program, 2 wrong use or settings,\n"
    "3 refused by the exchange, 4 no answer from the exchange or its database,\n"
    "5 a check found a difference, 130 interrupted."
)


@click.group(cls=FailureGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="compute-exchange", prog_name="exchange")
def cli() -> None:
    """Trade GPU-hours: rectangles of GPUs and whole hours, by price and time priority.

    Trading commands speak to EXCHANGE_URL with the key in EXCHANGE_KEY.
    """


for command in (serve, demo, migrate_command, keys, ledger, replay, bench, buy, sell, orders, market, trades):
    cli.add_command(command)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        cli(prog_name="exchange", standalone_mode=True)
    except KeyboardInterrupt:
        raise SystemExit(ExitCode.INTERRUPTED) from None
