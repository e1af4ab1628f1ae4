"""Commands that work on the database itself: `migrate` and `ledger check`; `cli.keys` has more.

The database is the one that is named, else the embedded one of the data folder: the server that a running
exchange keeps there, or one started for the length of the command.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import msgspec

from exchange.cli.bars import ShareBar
from exchange.cli.failures import ExitCode
from exchange.cli.options import database_options, json_option, run
from exchange.cli.output import write_json
from exchange.cli.serve import settings_with
from exchange.kit.audit_months import make_months
from exchange.kit.clock import wall_now_us
from exchange.kit.database import Connection, Database, Isolation
from exchange.kit.embedded_postgres import EmbeddedPostgres, running_url
from exchange.kit.migrate import migrate
from exchange.ledger.checking import differences
from exchange.orders.hold_check import EVERY_QUESTION
from exchange.orders.partition import latest_event_at_us


@asynccontextmanager
async def database_address(database_url: str | None, data_dir: Path | None) -> AsyncIterator[str]:
    """Give the address of the database the options name, starting its server where none runs."""
    settings = settings_with(database_url=database_url, data_dir=data_dir)
    folder = settings.data_dir.expanduser()
    found = settings.database_url or running_url(folder)
    if found is not None:
        yield found
        return
    with EmbeddedPostgres(folder) as server:
        yield server.url


@asynccontextmanager
async def transaction(
    database_url: str | None, data_dir: Path | None, isolation: Isolation = "read_committed"
) -> AsyncIterator[Connection]:
    """Give one transaction on a database of the present schema."""
    async with database_address(database_url, data_dir) as url:
        await migrate(url)
        database = await Database.connect(url, connections_min=1, connections_max=1)
        try:
            async with database.transaction(isolation=isolation) as connection:
                yield connection
        finally:
            await database.close()


async def venue_now_us(connection: Connection) -> int:
    """Return venue time as far as the database tells: that of the wall, or in scaled time the last commit's.

    A running exchange alone knows how fast its scaled time passes, so there it is some moments behind.
    """
    now_us = wall_now_us()
    latest_us = await latest_event_at_us(connection)
    return now_us if latest_us is None else max(now_us, latest_us)


@click.command("migrate")
@database_options
@json_option
@run
async def migrate_command(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Bring the database to the schema of this program, and make the audit trail's next months."""
    async with database_address(database_url, data_dir) as url:
        applied = await migrate(url)
        database = await Database.connect(url, connections_min=1, connections_max=1)
        try:
            async with database.transaction() as connection:
                months = [format(each, "%Y-%m") for each in await make_months(connection, wall_now_us())]
        finally:
            await database.close()
    if as_json:
        write_json({"applied": applied, "audit_months": months})
    else:
        done = [f"applied {name}" for name in applied] + [f"made audit records of {each}" for each in months]
        click.echo("\n".join(done) or "nothing to apply")


@click.group()
def ledger() -> None:
    """Look after the books."""


@ledger.command("check")
@database_options
@json_option
@run
async def check_ledger(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Recompute every balance and hold, compare escrow with leases and programmes with their vouchers.

    Sees one moment, locks nothing and writes nothing: it may run while the exchange trades. What differs is
    told as it is found: which sum of what, as stored and as recomputed. Exit code 5 where anything differs.
    """
    count = 0
    with ShareBar("check") as bar:
        async with transaction(database_url, data_dir, "repeatable_read") as connection:
            async for difference in differences(connection, EVERY_QUESTION, bar.show):
                bar.make_way()
                if as_json:
                    click.echo(b",\n" if count else b"[", nl=False)
                    click.echo(msgspec.json.encode(difference), nl=False)
                else:
                    click.echo(f"{difference.kind}  {difference.subject}: {difference.detail}")
                count += 1
    if as_json:
        click.echo("]" if count else "[]")
    else:
        click.echo(f"{count} differences" if count else "the books are exact")
    if count:
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)
