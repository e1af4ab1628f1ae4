"""`exchange keys`: make, list, rotate and revoke API keys, and issue logins, directly in the database.

Running exchanges hear of it at once, wherever they run: the database tells them.
"""

import re
from pathlib import Path
from typing import Final

import click

from exchange.cli.database import transaction, venue_now_us
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import DEFAULT_URL, DURATION, database_options, json_option, run, yes_option
from exchange.cli.output import write_facts, write_json, write_table
from exchange.cli.serve import settings_with
from exchange.kit.auth import KEY_SCHEME, Scope
from exchange.kit.clock import US_PER_HOUR, US_PER_SECOND, format_rfc3339, wall_now_us
from exchange.kit.ids import decode_id, encode_id
from exchange.kit.signing_keys import BadKey, public_text, read_public_key
from exchange.ledger.service import EXCHANGE_ITSELF
from exchange.participants.console_sessions import issue_login, login_url
from exchange.participants.models import (
    LABEL_LENGTH_MAX,
    LOGIN_VALID_S,
    LOGIN_VALID_S_MAX,
    OVERLAP_S_MAX,
    Key,
    KeyGrant,
)
from exchange.participants.rotation import rotate_key
from exchange.participants.rules import KIND_SCOPES
from exchange.participants.service import create_key, get_participant, list_keys, revoke_key

S_PER_HOUR: Final = US_PER_HOUR // US_PER_SECOND
KEYS_SHOWN_MAX: Final = 10_000


signing_key_option: Final = click.option(
    "--signing-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the Ed25519 public key (PEM) with which requests must be signed.",
)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys, and issue logins, directly in the database."""


def _label(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if len(text) > LABEL_LENGTH_MAX or not text.isprintable():
        raise click.BadParameter(f"must be printable text of at most {LABEL_LENGTH_MAX} characters")
    return text


def _algorithm(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise click.BadParameter("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
    return text


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
@click.option("--label", default="", callback=_label, help="What the key is for.")
@click.option("--algorithm", callback=_algorithm, help="What decides with the key, where no person does.")
@click.option("--expires-in", type=DURATION, help="How long the key works, such as 30d.")
@signing_key_option
@database_options
@json_option
@run
async def create(
    participant: str,
    scopes: tuple[str, ...],
    label: str,
    algorithm: str | None,
    expires_in: int | None,
    signing_key: Path | None,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Make a key for PARTICIPANT (par_...). It is shown once."""
    grant = KeyGrant(
        participant_id=_typed("par", participant),
        label=label,
        scopes=frozenset(Scope(scope) for scope in scopes),
        expires_at_us=None if expires_in is None else wall_now_us() + expires_in * US_PER_HOUR,
        signing_public_key=_public_key(signing_key),
        algorithm=algorithm,
    )
    async with transaction(database_url, data_dir) as connection:
        key, text = await create_key(connection, None, grant, await venue_now_us(connection))
    _write_issued(key, text, as_json=as_json)


@keys.command("login")
@click.argument("participant")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="Repeatable; by default all that its kind may do.",
)
@click.option(
    "--valid-minutes",
    default=LOGIN_VALID_S // 60,
    show_default=True,
    type=click.IntRange(1, LOGIN_VALID_S_MAX // 60),
    help="How long the link is good.",
)
@click.option("--url", envvar="EXCHANGE_URL", default=DEFAULT_URL, show_default=True, help="The exchange.")
@database_options
@json_option
@run
async def login(
    participant: str,
    scopes: tuple[str, ...],
    valid_minutes: int,
    url: str,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Print a link that lets PARTICIPANT (par_...) into the console, once."""
    participant_id = _typed("par", participant)
    lifetime_s = settings_with(database_url=database_url, data_dir=data_dir).session_lifetime_s
    async with transaction(database_url, data_dir) as connection:
        owner = await get_participant(connection, participant_id)
        key, code, ends_at_us = await issue_login(
            connection,
            None,
            participant_id,
            frozenset(map(Scope, scopes)) or KIND_SCOPES[owner.kind],
            valid_s=valid_minutes * 60,
            lifetime_s=lifetime_s,
            now_us=await venue_now_us(connection),
        )
    link, expires_at = login_url(url.rstrip("/"), code), format_rfc3339(ends_at_us)
    if as_json:
        facts = {"participant_id": participant, "key_id": encode_id("key", key.id)}
        write_json({**facts, "login_url": link, "login_code": code, "expires_at": expires_at})
    else:
        click.echo(f"opens the console once, until {expires_at}:", err=True)
        click.echo(link)


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
        columns = ["id", "label", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"]
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
        await revoke_key(connection, EXCHANGE_ITSELF, key_id, await venue_now_us(connection))
    click.echo(f"revoked {key}", err=True)


@keys.command("rotate")
@click.argument("key")
@click.option("--overlap", type=DURATION, help="How long KEY goes on working, 7d at most; else it ends now.")
@signing_key_option
@yes_option
@database_options
@json_option
@run
async def rotate(
    key: str,
    overlap: int | None,
    signing_key: Path | None,
    yes: bool,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Make a key in the place of KEY (key_...), which can do the same. It is shown once."""
    overlap_s = (overlap or 0) * S_PER_HOUR
    if overlap_s > OVERLAP_S_MAX:
        raise CommandFailure("--overlap may be 7d at most", ExitCode.USAGE)
    key_id, public_key = _typed("key", key), _public_key(signing_key)
    if not overlap and not yes:
        click.confirm(f"End {key} at once?", abort=True, err=True)
    async with transaction(database_url, data_dir) as connection:
        made, text = await rotate_key(
            connection,
            None,
            key_id,
            overlap_s=overlap_s,
            signing_public_key=public_key,
            now_us=await venue_now_us(connection),
        )
    _write_issued(made, text, as_json=as_json)


def _public_key(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return read_public_key(file.read_text(encoding="ascii"))
    except (BadKey, UnicodeDecodeError) as error:
        rule = str(error) if isinstance(error, BadKey) else "be text"
        raise CommandFailure(f"what is in {file} must {rule}", ExitCode.USAGE) from error


def _typed(prefix: str, text: str) -> int:
    value = decode_id(prefix, text)
    if value is None:
        # A key's own text must not come to a screen or a log.
        shown = "a key's text" if text.startswith(f"{KEY_SCHEME}_") else repr(text)
        raise CommandFailure(f"{shown} is no id of the form {prefix}_...", ExitCode.USAGE)
    return value


def _key_facts(key: Key) -> dict[str, str | None]:
    return {
        "id": encode_id("key", key.id),
        "participant_id": encode_id("par", key.participant_id),
        "label": key.label,
        "scopes": " ".join(sorted(key.scopes)),
        "algorithm": key.algorithm,
        "created_at": format_rfc3339(key.created_at_us),
        "signing_public_key": None if key.signing_public_key is None else public_text(key.signing_public_key),
        "expires_at": _time(key.expires_at_us),
        "revoked_at": _time(key.revoked_at_us),
        "last_used_at": _time(key.last_used_at_us),
        "last_used_from": key.last_used_from,
        "successor_id": None if key.successor_id is None else encode_id("key", key.successor_id),
    }


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else format_rfc3339(at_us)


def _write_issued(key: Key, text: str, *, as_json: bool) -> None:
    if as_json:
        write_json({**_key_facts(key), "secret": text})
    else:
        write_facts([*_key_facts(key).items(), ("secret", text)])
