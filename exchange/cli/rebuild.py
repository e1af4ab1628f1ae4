"""`exchange oversight rebuild`: everything from the record alone, compared with what is stored."""

from pathlib import Path
from typing import Final, TextIO

import click
import msgspec

from exchange.cli.bars import ShareBar
from exchange.cli.database import transaction
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import MOMENT, database_options, json_option, run
from exchange.cli.output import write_json
from exchange.rebuild.models import Mismatch, Rebuilt, row_of
from exchange.rebuild.service import compare, compare_books, rebuild

TOLD_MAX: Final = 1_000
"""Differences that are written out; all are counted."""


@click.command("rebuild")
@click.option(
    "--at", "at_us", type=MOMENT, help="As of this time, RFC 3339; nothing but books is compared then."
)
@click.option(
    "--write",
    "file",
    type=click.File("w", encoding="utf-8", lazy=False),
    help="Write every rebuilt row here, one JSON object a line.",
)
@database_options
@json_option
@run
async def rebuild_command(
    database_url: str | None, data_dir: Path | None, at_us: int | None, file: TextIO | None, as_json: bool
) -> None:
    """Rebuild balances, orders, vouchers, claims and books from the record alone, and compare.

    Reads what is only ever added to: the audit trail, the journal, the ledger's transfers. Sees one moment,
    locks and writes nothing, so a role that may only read can ask, at a replica too. Exit code 5 where
    anything differs.
    """
    told = 0
    with ShareBar("rebuild") as bar:
        async with transaction(database_url, data_dir, "repeatable_read") as connection:
            rebuilt = await rebuild(connection, at_us, bar.show)
            for each in rebuilt.contradictions:
                told = _tell(bar, each, told, as_json=as_json)
            found = (
                compare(connection, rebuilt, bar.show)
                if at_us is None
                else compare_books(connection, rebuilt)
            )
            async for each in found:
                told = _tell(bar, each, told, as_json=as_json)
    if file is not None:
        _write(rebuilt, file)
    rows = {table: len(of) for table, of in rebuilt.tables.items()}
    if as_json:
        write_json({"differences": told, "read": rebuilt.counts, "rebuilt": rows})
    else:
        for verb, counts in (("read", rebuilt.counts), ("rebuilt", rows)):
            click.echo(f"{verb} {', '.join(f'{count} {table}' for table, count in counts.items())}")
        click.echo(f"{told} differences" if told else "what is stored is what the record says")
    if told:
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)


def _tell(bar: ShareBar, found: Mismatch, told: int, *, as_json: bool) -> int:
    """Write a difference as it is found, and return how many there are."""
    if told < TOLD_MAX:
        bar.make_way()
        if as_json:
            write_json(found)
        else:
            what = f"{found.table} {found.of}{found.column and f', {found.column}'}"
            click.echo(f"{what}: stored {_text(found.stored)}, by the record {_text(found.rebuilt)}")
    return told + 1


def _text(value: object) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()


def _write(rebuilt: Rebuilt, file: TextIO) -> None:
    """Write every rebuilt row."""
    try:
        for table, rows in rebuilt.tables.items():
            for key, row in rows.items():
                line = {"table": table, "key": key, **row_of(row)}
                file.write(msgspec.json.encode(line).decode() + "\n")
        for voucher_id, parts in rebuilt.faces.items():
            line = {"table": "voucher_parts", "key": (voucher_id,), **row_of(parts)}
            file.write(msgspec.json.encode(line).decode() + "\n")
        file.flush()
    except OSError as error:
        raise CommandFailure(f"{file.name}: {error.strerror}", ExitCode.UNAVAILABLE) from error
