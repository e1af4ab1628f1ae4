"""The key that checkpoints are signed with: a file of its owner's only, whose public side is in the database.

The first process that may seal makes the key where the settings name none, and says in the database whose it
is. From then on only a process that has the latest key seals: one with another, or with none, serves proofs
and publishes nothing. A key is followed by another one with `rotate`: both sign that it is, so who trusts one
of them can go on to the others by the signatures alone.
"""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.clock import wall_now_us
from exchange.kit.database import Connection, to_us
from exchange.kit.secret_files import is_private, write_secret
from exchange.kit.settings import Settings
from exchange.kit.signing_keys import BadKey, read_private_key
from exchange.transparency import store
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.notes import Signer, Verifier, succession_text

KEY_FILE: Final = "checkpoint.key"


class BadKeyFile(Exception):
    """The file of the key cannot be used; the message names it and says why."""


class RegisteredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the log's; but for the first, with the signatures of the one before and of its own."""

    verifier: Verifier
    endorsement: bytes | None
    acceptance: bytes | None
    begun_at_us: int


def read_signer(origin: str, path: Path) -> Signer:
    """Return the key in a file; `BadKeyFile` where it is none, or where others may read it."""
    try:
        if not is_private(path):
            raise BadKeyFile(f"{path} may be read by others: chmod 600 {path}")
        return Signer(origin, read_private_key(path.read_bytes()))
    except OSError as error:
        raise BadKeyFile(f"the key of checkpoints cannot be read: {error}") from error
    except BadKey as error:
        raise BadKeyFile(f"what is in {path} must {error}") from error


def make_key_file(path: Path) -> None:
    """Make a key in a file that only its owner reads; one of that name is kept beside it."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    write_secret(path, text, keep_as=f"{path.name}.before-{wall_now_us()}")


async def registered(connection: Connection) -> list[RegisteredKey]:
    """Return the keys of the log, the latest last."""
    return [
        RegisteredKey(
            verifier=Verifier(row["origin"], row["public_key"]),
            endorsement=row["endorsement"],
            acceptance=row["acceptance"],
            begun_at_us=to_us(row["begun_at"]),
        )
        for row in await store.keys(connection)
    ]


def key_file(settings: Settings) -> Path:
    """Return where the key is of a process with these settings."""
    return (settings.checkpoint_key_file or settings.data_dir / KEY_FILE).expanduser()


async def begin(connection: Connection, settings: Settings) -> Signer | None:
    """Return the key to seal with, made and registered where the log has none; None where it is another's.

    A file that the settings name must be there. Needs a transaction, so that the file is on the disk before
    the log has the key. Raises `BadKeyFile`, and `FolderInUse` where another log is published in the folder.
    """
    origin, path = settings.checkpoint_origin, key_file(settings)
    is_named = settings.checkpoint_key_file is not None
    await store.lock_keys(connection)
    known = await registered(connection)
    if not is_named and not await asyncio.to_thread(path.exists):
        if known:
            return None
        make_key_file(path)
    signer = read_signer(origin, path)
    if known:
        # One that follows no key before it is whoever wrote to the database: who seals finds that.
        is_ours = signer.verifier in [key.verifier for key in known]
        is_followed = known[-1].verifier in trusted_from([signer.verifier], known)
        return signer if known[-1].verifier == signer.verifier or (is_ours and not is_followed) else None
    # A log without a key has sealed nothing: what is in the folder is another database's.
    await asyncio.to_thread(CheckpointFolder.of(settings).put_aside)
    await store.insert_key(connection, origin, signer.verifier.public_key, wall_now_us())
    return signer


async def rotate(connection: Connection, old: Signer, new: Signer, now_us: int) -> None:
    """Let a key follow the latest one, which endorses it; `BadKeyFile` where `old` is not the latest."""
    await store.lock_keys(connection)
    known = await registered(connection)
    if not known or known[-1].verifier != old.verifier:
        raise BadKeyFile("the old key is not the one that the log is signed with now")
    if any(key.verifier.public_key == new.verifier.public_key for key in known):
        raise BadKeyFile("the new key has been the log's before")
    await store.insert_key(
        connection,
        new.verifier.name,
        new.verifier.public_key,
        wall_now_us(),
        old.sign_succession(old.verifier, new.verifier),
        new.sign_succession(old.verifier, new.verifier),
    )
    detail = {"verifier": str(new.verifier), "followed": str(old.verifier)}
    await insert_audit_records(connection, [AuditRecord(code="CKEY", event_at_us=now_us, detail=detail)])


def trusted_from(anchors: Sequence[Verifier], known: Sequence[RegisteredKey]) -> list[Verifier]:
    """Return the keys to trust: the given ones, and each that follows or precedes one by its own signature.

    A key that is trusted vouches for the next by its endorsement, and for the one before by its acceptance.
    """
    trusted = list(anchors)
    steps = list(itertools.pairwise(known))
    for before, after in steps:
        if before.verifier in trusted and _says(before.verifier, before, after, after.endorsement):
            trusted.append(after.verifier)
    for before, after in reversed(steps):
        if after.verifier in trusted and _says(after.verifier, before, after, after.acceptance):
            trusted.append(before.verifier)
    return list(dict.fromkeys(trusted))


def _says(by: Verifier, before: RegisteredKey, after: RegisteredKey, signature: bytes | None) -> bool:
    return signature is not None and by.has_signed(
        succession_text(before.verifier, after.verifier), signature
    )
