"""Commands that work on the database itself: `migrate`, `keys` and `ledger check`.

The database is the one that is named, else the embedded one of the data folder: the server that a running
exchange keeps there, or one started for the length of the command.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import click
import msgspec

from exchange.cli.check_bar import CheckBar
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import DURATION, database_options, json_option, run, yes_option
from exchange.cli.output import write_facts, write_json, write_table
from exchange.cli.serve import settings_with
from exchange.kit.auth import Principal, Scope
from exchange.kit.clock import US_PER_HOUR, format_rfc3339, wall_now_us
from exchange.kit.database import Connection, Database, Isolation
from exchange.kit.embedded_postgres import EmbeddedPostgres, running_url
from exchange.kit.ids import decode_id, encode_id
from exchange.kit.migrate import migrate
from exchange.ledger.checking import differences
from exchange.ledger.models import EXCHANGE_ID
from exchange.orders.hold_check import EVERY_QUESTION
from exchange.participants.models import Key, KeyGrant
from exchange.participants.service import create_key, list_keys, revoke_key

KEYS_SHOWN_MAX: Final = 10_000
# Whoever can reach the database acts as the exchange itself, and the audit trail says so.
EXCHANGE_ITSELF: Final = Principal(
    key_id=0,
    participant_id=EXCHANGE_ID,
    kind="operator",
    name="exchange",
    trade_group_id=None,
    scopes=frozenset(Scope),
)


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


@click.command("migrate")
@database_options
@json_option
@run
async def migrate_command(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Bring the database to the schema of this program."""
    async with database_address(database_url, data_dir) as url:
        applied = await migrate(url)
    if as_json:
        write_json({"applied": applied})
    else:
        click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


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
    with CheckBar() as bar:
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


@click.group()
def keys() -> None:
    """Make, list and revoke API keys, directly in the database."""


@keys.command("create")
@click.argument("participant")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="Repeatable.",
)
@click.option("--label", default="", help="What the key is for.")
@click.option("--expires-in", type=DURATION, help="How long the key works, such as 30d.")
@database_options
@json_option
@run
async def create(
    participant: str,
    scopes: tuple[str, ...],
    label: str,
    expires_in: int | None,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Make a key for PARTICIPANT (par_...). It is shown once."""
    now_us = wall_now_us()
    grant = KeyGrant(
        participant_id=_typed("par", participant),
        label=label,
        scopes=frozenset(Scope(scope) for scope in scopes),
        expires_at_us=None if expires_in is None else now_us + expires_in * US_PER_HOUR,
    )
    async with transaction(database_url, data_dir) as connection:
        key, text = await create_key(connection, None, grant, now_us)
    if as_json:
        write_json({**_key_facts(key), "secret": text})
    else:
        write_facts([*_key_facts(key).items(), ("secret", text)])


@keys.command("list")
@click.argument("participant")
@database_options
@json_option
@run
async def list_all(participant: str, database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """List the keys of PARTICIPANT, revoked ones too."""
    async with transaction(database_url, data_dir) as connection:
        found = await list_keys(connection, _typed("par", participant), limit=KEYS_SHOWN_MAX)
    rows = [_key_facts(key) for key in found]
    if as_json:
        write_json(rows)
    else:
        columns = ["id", "label", "scopes", "created_at", "expires_at", "revoked_at"]
        write_table(columns, ([row[column] for column in columns] for row in rows))


@keys.command("revoke")
@click.argument("key")
@yes_option
@database_options
@run
async def revoke(key: str, yes: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Revoke KEY (key_...) for good."""
    key_id = _typed("key", key)
    if not yes:
        click.confirm(f"Revoke {key} for good?", abort=True, err=True)
    async with transaction(database_url, data_dir) as connection:
        await revoke_key(connection, EXCHANGE_ITSELF, key_id, wall_now_us())
    click.echo(f"revoked {key}", err=True)


def _typed(prefix: str, text: str) -> int:
    value = decode_id(prefix, text)
    if value is None:
        raise CommandFailure(f"{text!r} is no id of the form {prefix}_...", ExitCode.USAGE)
    return value


def _key_facts(key: Key) -> dict[str, str | None]:
    return {
        "id": encode_id("key", key.id),
        "participant_id": encode_id("par", key.participant_id),
        "label": key.label,
        "scopes": " ".join(sorted(key.scopes)),
        "created_at": format_rfc3339(key.created_at_us),
        "expires_at": None if key.expires_at_us is None else format_rfc3339(key.expires_at_us),
        "revoked_at": None if key.revoked_at_us is None else format_rfc3339(key.revoked_at_us),
    }
