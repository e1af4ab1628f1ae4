"""The group of all commands. A command's module is loaded when it is called or described, not before."""

from importlib import import_module
from typing import Final

import click

from exchange.cli.failures import FailureGroup

COMMANDS: Final = {
    "audit": "exchange.cli.audit:audit",
    "bench": "exchange.cli.bench:bench",
    "buy": "exchange.cli.place:buy",
    "claims": "exchange.cli.claims:claims",
    "demo": "exchange.cli.demo.command:demo",
    "keys": "exchange.cli.keys:keys",
    "ledger": "exchange.cli.database:ledger",
    "list-price": "exchange.cli.list_price:list_price",
    "market": "exchange.cli.market:market",
    "migrate": "exchange.cli.database:migrate_command",
    "openapi": "exchange.cli.openapi:openapi",
    "orders": "exchange.cli.orders:orders",
    "oversight": "exchange.cli.oversight:oversight",
    "replay": "exchange.cli.replay:replay",
    "sell": "exchange.cli.place:sell",
    "serve": "exchange.cli.serve:serve",
    "statements": "exchange.cli.statements:statements",
    "trades": "exchange.cli.trades:trades",
    "vouchers": "exchange.cli.vouchers:vouchers",
}
EPILOG: Final = (
    "\b\nExit codes: 0 done, 1 a fault of this program, 2 wrong use or settings,\n"
    "3 refused by the exchange, 4 no answer from the exchange or its database,\n"
    "5 a check found a difference, 130 interrupted, or answered with no."
)


class LazyGroup(FailureGroup):
    """Finds commands by name in `COMMANDS`: what trades over HTTP need not load the server."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} is no command")
        return command


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="compute-exchange", prog_name="exchange")
def cli() -> None:
    """Trade GPU-hours: rectangles of GPUs and whole hours, by price and time priority.

    Trading commands speak to EXCHANGE_URL with the key in EXCHANGE_KEY, and sign with the private key in the
    file EXCHANGE_SIGNING_KEY where that is set.
    """


def main() -> None:
    """Run the command that the arguments name."""
    cli(prog_name="exchange")
