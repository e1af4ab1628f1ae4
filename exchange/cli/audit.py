"""`exchange audit`: whether the record is what was sealed, proofs for others, checkpoints to keep, the key.

`verify` and the commands that change the key (`cli.audit_keys`) work on the database and the folder
themselves, the others speak to the exchange.
"""

from pathlib import Path
from typing import IO, Final

import click
import msgspec

from exchange.alerts.journals import JournalVerdict, check_journals
from exchange.cli.audit_follow import follow_command
from exchange.cli.audit_keys import (
    accept_key_option,
    copies_option,
    copy_of,
    key_command,
    replace_lost_key_command,
    rotate_key_command,
    said,
    trust_of,
)
from exchange.cli.bars import CountBar
from exchange.cli.database import database_address
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, json_option, run, with_client
from exchange.cli.output import write_json
from exchange.cli.serve import settings_with
from exchange.cli.times import TimeFaultError, parse_moment
from exchange.client import ExchangeClient
from exchange.kit.database import Database
from exchange.kit.migrate import migrate
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.verify import Span, Verdict, verify

EVERY: Final = 10**9


@click.group()
def audit() -> None:
    """Prove that nobody changed the record, and hold it to its signed checkpoints."""


for _command in (follow_command, key_command, rotate_key_command, replace_lost_key_command):
    audit.add_command(_command)


@audit.command("verify")
@click.option("--from", "since", metavar="WHEN", help="Records sealed from then on: a time, or a position.")
@click.option("--to", "until", metavar="WHEN", help="Records sealed until then: a time, or a position.")
@click.option(
    "--checkpoint-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="EXCHANGE_CHECKPOINT_DIR",
    help="The folder of signed checkpoints; by default that of the data folder.",
)
@click.option("--no-folder", is_flag=True, help="Believe the checkpoints of the database: it says less.")
@copies_option
@click.option(
    "--verifier",
    "verifiers",
    multiple=True,
    help="The public key, NAME+ID+KEY; by default that of the key file here, or the first of the database.",
)
@accept_key_option
@database_options
@json_option
@run
async def verify_command(
    since: str | None,
    until: str | None,
    checkpoint_dir: Path | None,
    no_folder: bool,
    copies: tuple[IO[str], ...],
    verifiers: tuple[str, ...],
    accepted: tuple[str, ...],
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Hash every record anew, compare it with the signed checkpoints, and find the first bad one.

    The journals' own chains of hashes are followed from their beginnings as well, where no span is given.

    Locks nothing and writes nothing: it may run while the exchange trades. Records that are not sealed yet
    are counted and are no fault. A span begins and ends with checkpoints. Exit code 5 where something is
    wrong.

    The checkpoints that count most are those that have left the house: give your copies by --checkpoints, and
    the key by --verifier from a source of its own. Where a key was lost and another took its place, nothing
    that the new one signed is believed before you name it by --accept-key.
    """
    span = Span(
        from_position=_position(since),
        until_position=_position(until),
        from_us=_time(since),
        until_us=_time(until),
    )
    settings = settings_with(database_url=database_url, data_dir=data_dir, checkpoint_dir=checkpoint_dir)
    folder = None if no_folder else CheckpointFolder.of(settings)
    if folder is not None and not folder.checkpoints.exists():
        raise CommandFailure(
            f"there are no checkpoints in {folder.path}: name another by --checkpoint-dir, or --no-folder",
            ExitCode.USAGE,
        )
    kept = [copy_of(file) for file in copies]
    with CountBar("verify", "records") as bar:
        async with database_address(database_url, data_dir) as url:
            await migrate(url)
            database = await Database.connect(url, connections_min=2, connections_max=3)
            try:
                trusted, breaks = await trust_of(database, settings, verifiers, accepted)
                verdict = await verify(
                    database, folder, trusted, copies=kept, breaks=breaks, span=span, show=bar.show
                )
                bar.begin("journal", "commands")
                journals = await check_journals(database, bar.show) if span == Span() else []
            finally:
                await database.close()
    _tell(verdict, journals, as_json=as_json)
    if verdict.fault is not None or any(journal.fault for journal in journals):
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)


def _tell(verdict: Verdict, journals: list[JournalVerdict], *, as_json: bool) -> None:
    if as_json:
        write_json({**msgspec.structs.asdict(verdict), "journals": journals})
    else:
        last = verdict.first_position + verdict.records
        click.echo(
            f"{verdict.records} records, from position {verdict.first_position} until before {last}, are as "
            f"they were sealed, under {verdict.checkpoints} checkpoints; the log has {verdict.log_size}"
        )
        if verdict.published_size is not None and verdict.published_size < verdict.log_size:
            click.echo(f"checkpoints outside of the database go up to position {verdict.published_size}")
        if verdict.unsealed:
            click.echo(f"{verdict.unsealed} records are not sealed yet")
        for each in verdict.replaced:
            click.echo(
                f"KEY REPLACED: {each.key} was lost after {each.after_size} records; what follows is signed "
                "by a key that it has not endorsed, and that you have named"
            )
        if verdict.fault is not None:
            click.echo(said(verdict.fault))
        for journal in journals:
            click.echo(f"journal of partition {journal.partition}: {journal.commands} commands in one chain")
            if journal.fault is not None:
                click.echo(
                    f"JOURNAL BROKEN: {journal.fault.kind} at {journal.fault.found_sequence}, where "
                    f"{journal.fault.expected_sequence} was due"
                )


def _position(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _time(text: str | None) -> int | None:
    if text is None or _position(text) is not None:
        return None
    try:
        return parse_moment(text)
    except TimeFaultError as fault:
        raise CommandFailure(f"{fault}, and no position", ExitCode.USAGE) from fault


@audit.command("prove")
@click.argument("trade_id", metavar="TRADE")
@click.option("--reason", required=True, help="Why you ask; it goes to the record.")
@with_client
async def prove_command(client: ExchangeClient, trade_id: str, reason: str) -> None:
    """Write the proof that what is recorded of a trade is under a signed checkpoint, as JSON.

    Anyone checks it with the public key alone: python3 docs/verify_proof.py PROOF.json VERIFIER
    """
    write_json(await client.oversight.trade_proof(trade_id, reason=reason))


@audit.command("checkpoints")
@click.option(
    "--limit", type=click.IntRange(1, EVERY), default=EVERY, help="How many, from the first; all by default."
)
@click.option(
    "--output", type=click.File("wb"), default="-", help="Where to write; standard output by default."
)
@with_client
async def checkpoints_command(client: ExchangeClient, limit: int, output: IO[bytes]) -> None:
    """Write every signed checkpoint, for you to keep and for `audit verify --checkpoints`."""
    async for each in client.oversight.checkpoints(limit=limit):
        output.write(f"{each.note}\n".encode())
    output.flush()
