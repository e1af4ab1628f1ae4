"""`exchange audit key`, `rotate-key` and `replace-lost-key`; and which keys a command is to trust.

The commands that change the key work on the database itself, and need the new key's file.
"""

import os
from pathlib import Path
from typing import IO, Final

import click

from exchange.cli.bars import CountBar
from exchange.cli.database import database_address, transaction, venue_now_us
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, json_option, run, with_client
from exchange.cli.output import write_json
from exchange.cli.serve import settings_with
from exchange.client import ExchangeClient
from exchange.kit.clock import format_rfc3339
from exchange.kit.database import Database
from exchange.kit.migrate import migrate
from exchange.kit.settings import Settings
from exchange.transparency import keys
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.models import Fault
from exchange.transparency.notes import BadNote, Signer, Verifier, each_note
from exchange.transparency.trust import KeyBreak, breaks_of, trusted_from
from exchange.transparency.verify import Copy, Verdict, verify

accept_key_option: Final = click.option(
    "--accept-key",
    "accepted",
    multiple=True,
    help="A key, NAME+ID+KEY, of which you know that it took the place of a lost one.",
)
copies_option: Final = click.option(
    "--checkpoints",
    "copies",
    type=click.File("r", encoding="utf-8", errors="surrogateescape"),
    multiple=True,
    help="Checkpoints that you have kept, to hold the exchange to; may be given several times.",
)


def copy_of(file: IO[str]) -> Copy:
    """Return the checkpoints that a file has."""
    return Copy(where=file.name, notes=list(each_note(file)))


def said(fault: Fault) -> str:
    """Return a fault as people read it."""
    where = "" if fault.position is None else f" at position {fault.position}"
    which = "" if fault.record_id is None else f", record {fault.record_id}"
    return (
        f"FIRST FAULT: {fault.kind}{where}{which}: {fault.detail} (between the checkpoints of "
        f"{fault.after_size} and {fault.until_size} records)"
    )


def read_verifiers(texts: tuple[str, ...], option: str) -> list[Verifier]:
    """Return the keys that an option names; `CommandFailure` where one is none."""
    try:
        return [Verifier.read(text) for text in texts]
    except BadNote as error:
        raise CommandFailure(f"{option}: {error}", ExitCode.USAGE) from error


async def trust_of(
    database: Database, settings: Settings, given: tuple[str, ...], accepted: tuple[str, ...]
) -> tuple[list[Verifier], list[KeyBreak]]:
    """Return the keys to trust, and the replacements of lost keys that are accepted.

    Those given, else the one here, else the database's first; and who leads from there. A key that took the
    place of a lost one must be named, here or there: having its file tells nothing of whose it is.
    """
    async with database.connection() as connection:
        known = await keys.registered(connection)
    named = read_verifiers(given, "--verifier")
    welcome = [*read_verifiers(accepted, "--accept-key"), *named]
    path = keys.key_file(settings)
    try:
        if named:
            anchors = named
        elif os.access(path, os.R_OK):
            anchors = [keys.read_signer(settings.checkpoint_origin, path).verifier]
        else:
            click.echo("the key is the database's own word: name it by --verifier to rely on it", err=True)
            anchors = [key.verifier for key in known[:1]]
    except keys.BadKeyFile as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error
    breaks = [each for each in breaks_of(known) if each.by in welcome]
    return trusted_from(anchors, known, welcome), breaks


@click.command("key")
@json_option
@with_client
async def key_command(client: ExchangeClient, as_json: bool) -> None:
    """Show the public keys that checkpoints are signed with, the latest last, and where the log stands.

    Since when each signs is told in wall time, as checkpoints are.
    """
    head = await client.oversight.latest_checkpoint()
    if as_json:
        write_json(head)
        return
    for key in head.keys:
        how = "" if key.after_size is None else f", in the place of a lost key after {key.after_size} records"
        click.echo(f"{key.verifier}  since {key.begun_at} (wall time){how}")
    if head.checkpoint is not None:
        click.echo(f"\n{head.checkpoint.note}", nl=False)


@click.command("rotate-key")
@click.argument("new_key_file", type=click.Path(dir_okay=False, path_type=Path))
@database_options
@run
async def rotate_key_command(new_key_file: Path, database_url: str | None, data_dir: Path | None) -> None:
    """Let another key sign from now on: the key in use endorses it. A file that is not there is made.

    The processes that seal are then started with EXCHANGE_CHECKPOINT_KEY_FILE naming the new file; until then
    nothing is sealed, and nothing is lost.
    """
    settings = settings_with(database_url=database_url, data_dir=data_dir)
    try:
        old = keys.read_signer(settings.checkpoint_origin, keys.key_file(settings))
        new = _new_signer(settings, new_key_file)
        async with transaction(database_url, data_dir) as connection:
            now_us = await venue_now_us(connection)
            await keys.rotate(connection, old, new, now_us)
    except keys.BadKeyFile as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error
    _tell_signs(new.verifier, now_us, new_key_file)


@click.command("replace-lost-key")
@click.argument("new_key_file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="What became of the old key; it goes to the record.")
@click.option(
    "--checkpoint-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="EXCHANGE_CHECKPOINT_DIR",
    help="The folder of signed checkpoints; by default that of the data folder.",
)
@copies_option
@click.option("--verifier", "verifiers", multiple=True, help="The lost key, NAME+ID+KEY, as you know it.")
@accept_key_option
@database_options
@run
async def replace_lost_key_command(
    new_key_file: Path,
    reason: str,
    checkpoint_dir: Path | None,
    copies: tuple[IO[str], ...],
    verifiers: tuple[str, ...],
    accepted: tuple[str, ...],
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Let another key sign though the key in use is lost. A file that is not there is made.

    The whole record is verified first, against the folder of checkpoints or copies given by --checkpoints:
    where it is not what was sealed, or no checkpoint is left outside of the database, nothing is done. The
    log goes on from its last checkpoint. That the key before has not endorsed this one stands in the record,
    at the key, and in every checkpoint from now on; whoever verifies must name the new key by --accept-key.

    So publish the new key, and why it is there, where the old one was published. A key that you still have is
    followed by rotate-key.
    """
    settings = settings_with(database_url=database_url, data_dir=data_dir, checkpoint_dir=checkpoint_dir)
    if not reason.strip():
        raise CommandFailure("--reason must say something", ExitCode.USAGE)
    kept = [copy_of(file) for file in copies]
    try:
        async with database_address(database_url, data_dir) as url:
            await migrate(url)
            database = await Database.connect(url, connections_min=2, connections_max=3)
            try:
                await _must_be_lost(database, settings, new_key_file)
                verdict = await _held_to_the_outside(database, settings, kept, verifiers, accepted)
                new = _new_signer(settings, new_key_file)
                async with database.transaction() as connection:
                    now_us = await venue_now_us(connection)
                    lost = await keys.replace_lost(
                        connection,
                        new,
                        verified_size=verdict.log_size,
                        reason=reason.strip(),
                        now_us=now_us,
                    )
            finally:
                await database.close()
    except keys.BadKeyFile as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error
    _tell_signs(new.verifier, now_us, new_key_file)
    click.echo(
        f"it takes the place of {lost.verifier}, which is lost, after {verdict.log_size} records: publish "
        f"it, for `exchange audit verify` asks for --accept-key '{new.verifier}'"
    )


async def _must_be_lost(database: Database, settings: Settings, new_key_file: Path) -> None:
    """Raise `CommandFailure` where the file of the key in use is here after all."""
    path = keys.key_file(settings)
    if path == new_key_file or not path.exists():
        return
    here = keys.read_signer(settings.checkpoint_origin, path).verifier
    async with database.connection() as connection:
        known = await keys.registered(connection)
    if known and known[-1].verifier == here:
        raise CommandFailure(
            f"the key in use is not lost, it is in {path}: exchange audit rotate-key lets another follow it",
            ExitCode.USAGE,
        )


async def _held_to_the_outside(
    database: Database,
    settings: Settings,
    copies: list[Copy],
    verifiers: tuple[str, ...],
    accepted: tuple[str, ...],
) -> Verdict:
    """Verify the whole record; `CommandFailure` where nothing outside holds it, or where it is at fault."""
    async with database.connection() as connection:
        known = await keys.registered(connection)
    # The file here, where there is one, is of another key than the one that is lost.
    texts = verifiers or tuple(str(key.verifier) for key in known[:1])
    trusted, breaks = await trust_of(database, settings, texts, accepted)
    folder: CheckpointFolder | None = CheckpointFolder.of(settings)
    if folder is not None and not folder.checkpoints.exists():
        folder = None
    with CountBar("verify", "records") as bar:
        verdict = await verify(database, folder, trusted, copies=copies, breaks=breaks, show=bar.show)
    if verdict.fault is not None:
        click.echo(said(verdict.fault))
        raise CommandFailure(
            "the record is not what was sealed: no key takes the place of another on top of that",
            ExitCode.CHECK_FAILED,
        )
    if verdict.log_size and folder is None and not any(copy.notes for copy in copies):
        raise CommandFailure(
            f"there are no checkpoints in {CheckpointFolder.of(settings).path}: name the folder by "
            "--checkpoint-dir, or checkpoints that somebody has kept by --checkpoints",
            ExitCode.USAGE,
        )
    return verdict


def _new_signer(settings: Settings, path: Path) -> Signer:
    """Return the key of a file, which is made where there is none. Raises `BadKeyFile`."""
    if not path.exists():
        keys.make_key_file(path)
    return keys.read_signer(settings.checkpoint_origin, path)


def _tell_signs(verifier: Verifier, now_us: int, path: Path) -> None:
    click.echo(f"{verifier} signs from {format_rfc3339(now_us)} (venue time) on; its file is {path}")
