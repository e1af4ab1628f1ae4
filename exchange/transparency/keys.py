"""The key that checkpoints are signed with: a file of its owner's only, whose public side is in the database.

The first process that may seal makes the key where the settings name none, and says in the database whose it
is. From then on only a process that has the latest key seals: one with another, or with none, serves proofs
and publishes nothing. A key is followed by another one with `rotate`: both sign that it is, so who trusts one
of them can go on to the others by the signatures alone.

A key that was lost endorses nothing. Another takes its place by `replace_lost`, in the open: it signs itself
whose place it takes and after which checkpoint, every checkpoint from then on says so, and nobody trusts it
for the sake of the one before (`exchange.transparency.trust`).
"""

import asyncio
from pathlib import Path
from typing import Final

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
from exchange.transparency.notes import FIRST, Signer, Verifier, digest_of, to_base64
from exchange.transparency.trust import RegisteredKey, trusted_from

KEY_FILE: Final = "checkpoint.key"


class BadKeyFile(Exception):
    """The file of the key cannot be used; the message names it and says why."""


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
            after=None if row["after_size"] is None else (row["after_size"], row["after_digest"]),
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


async def replace_lost(
    connection: Connection, new: Signer, *, verified_size: int, reason: str, now_us: int
) -> RegisteredKey:
    """Let a key take the place of the log's latest, which is lost; return the key that was lost.

    `verified_size` is up to where the log was held to the checkpoints outside of the database: it must end
    there. Nobody seals meanwhile. Raises `BadKeyFile` where the log has no key, or the new one has been its
    before, or where more was sealed since.
    """
    await store.lock_keys(connection)
    await store.wait_to_seal(connection)
    known = await registered(connection)
    if not known:
        raise BadKeyFile("the log has no key yet: the first process that seals makes it")
    lost = known[-1]
    if any(key.verifier.public_key == new.verifier.public_key for key in known):
        raise BadKeyFile("the new key has been the log's before")
    last = await store.last_block(connection)
    after = (0, FIRST) if last is None else (last.size, digest_of(last.note))
    if after[0] != verified_size:
        raise BadKeyFile(
            f"the log has gone on from {verified_size} to {after[0]} records meanwhile: its key is not lost"
        )
    await store.insert_key(
        connection,
        new.verifier.name,
        new.verifier.public_key,
        wall_now_us(),
        acceptance=new.sign_replacement(lost.verifier, after),
        after=after,
    )
    detail = {
        "verifier": str(new.verifier),
        "replaced": str(lost.verifier),
        "after_size": after[0],
        "after_digest": to_base64(after[1]),
        "reason": reason,
    }
    await insert_audit_records(connection, [AuditRecord(code="CKLO", event_at_us=now_us, detail=detail)])
    return lost
