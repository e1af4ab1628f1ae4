"""`exchange audit follow`: hold the log to a checkpoint that you have kept, over HTTP alone."""

import asyncio
from pathlib import Path
from typing import NoReturn

import click

from exchange.cli.audit_keys import accept_key_option, read_verifiers
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import with_client
from exchange.client import ExchangeClient
from exchange.transparency.history import History, Kept, read_history
from exchange.transparency.models import LogHead, LogKey
from exchange.transparency.notes import BadNote, Verifier, each_note, from_base64
from exchange.transparency.tree import goes_on
from exchange.transparency.trust import KeyBreak, RegisteredKey, breaks_of, trusted_from


@click.command("follow")
@click.argument("kept", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--verifier", required=True, help="The public key, NAME+ID+KEY, from a source that you trust.")
@accept_key_option
@with_client
async def follow_command(
    client: ExchangeClient, kept: Path, verifier: str, accepted: tuple[str, ...]
) -> None:
    """Check that the log only grew since the last checkpoint in the file KEPT, and add the latest one to it.

    Needs no key and no access to the database: anyone can run it, every hour say, and whoever does holds the
    exchange to what it had signed. A file that is not there begins with the latest checkpoint. Exit code 5
    where the log does not go on from what was kept, or a key took the place of a lost one and is not named by
    --accept-key.
    """
    notes = await asyncio.to_thread(_read, kept)
    head = await client.oversight.latest_checkpoint()
    if head.checkpoint is None:
        raise CommandFailure("nothing is sealed yet")
    trusted, breaks = _trust(verifier, accepted, head)
    before = _last(read_history(notes, trusted, where=str(kept), is_whole=False, breaks=breaks))
    if before is not None and head.checkpoint.note == notes[-1]:
        click.echo(f"the log is as it was, of size {before.size}")
        return
    latest = read_history(
        [head.checkpoint.note], trusted, where="the exchange", is_whole=False, after=before, breaks=breaks
    )
    last = _last(latest)
    if last is None:
        raise AssertionError("a note without a fault is a checkpoint")
    if before is not None:
        proof = await client.oversight.consistency(before.size, last.size)
        path = [from_base64(text) or b"" for text in proof.path]
        if not goes_on(before.size, before.checkpoint.root, last.size, last.checkpoint.root, path):
            _fail(f"the log of size {last.size} does not go on from that of size {before.size}: it is forked")
    with await asyncio.to_thread(kept.open, "a", encoding="utf-8") as file:
        file.write(f"{head.checkpoint.note}\n")
    since = "" if before is None else f", and goes on from that of size {before.size}"
    click.echo(f"the checkpoint of size {last.size}, {head.checkpoint.sealed_at}, is signed{since}")


def _read(kept: Path) -> list[str]:
    if not kept.exists():
        return []
    return list(each_note(kept.read_text(encoding="utf-8").splitlines(keepends=True)))


def _last(history: History) -> Kept | None:
    """Return the last checkpoint of a history, all of which must be trusted."""
    if history.fault is not None:
        _fail(history.fault.detail)
    return history.trusted[-1] if history.trusted else None


def _fail(why: str) -> NoReturn:
    click.echo(f"FAULT: {why}")
    raise click.exceptions.Exit(ExitCode.CHECK_FAILED)


def _trust(verifier: str, accepted: tuple[str, ...], head: LogHead) -> tuple[list[Verifier], list[KeyBreak]]:
    """Return the key that is trusted with those that follow it, and which replacements are accepted."""
    named = read_verifiers((verifier,), "--verifier")
    welcome = [*read_verifiers(accepted, "--accept-key"), *named]
    try:
        known = [_key(key) for key in head.keys]
    except BadNote as error:
        _fail(f"the exchange tells a key that is none: {error}")
    breaks = [each for each in breaks_of(known) if each.by in welcome]
    return trusted_from(named, known, welcome), breaks


def _key(key: LogKey) -> RegisteredKey:
    return RegisteredKey(
        verifier=Verifier.read(key.verifier),
        endorsement=from_base64(key.endorsement or ""),
        acceptance=from_base64(key.acceptance or ""),
        begun_at_us=0,
        after=None
        if key.after_size is None
        else (key.after_size, from_base64(key.after_digest or "") or b""),
    )
