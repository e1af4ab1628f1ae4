"""Whether a database can be gone on with: asked at a start, before anything is written.

A database that was restored to an earlier time lacks what was acknowledged since, and who trades on in it
makes a second history. One that was made from a dump writes records into the past of those that it has, until
the step of the handbook is taken. What shows either is looked at here, and nothing is changed.

Known limits: the folder of checkpoints can only say what was sealed and published: what was acknowledged in
the seconds before is not missed. One whose last checkpoint none of the database's keys has signed (another
log's, or one from after a key was changed) says nothing here: the sealer tells of it, and signs nothing.
"""

import asyncio
from typing import Final

from exchange.kit.audit_reading import EPOCH_BITS
from exchange.kit.database import Connection
from exchange.kit.settings import Settings
from exchange.transparency import store
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.keys import registered
from exchange.transparency.notes import BadNote, OtherKey, check_signature, read_checkpoint

_HANDBOOK: Final = 'docs/operations.md, "Backup and restore"'


class DatabaseBehind(Exception):
    """The database lacks what was recorded or signed; the message says what, and what to do."""


async def check_folder(connection: Connection, settings: Settings) -> None:
    """Raise what must keep a process that publishes in the folder of its settings from starting.

    `FolderInUse` where another exchange publishes in the folder that this log would begin in;
    `DatabaseBehind` where the folder's last checkpoint is one of this log's and not in the database.
    """
    folder = CheckpointFolder.of(settings)
    # First the folder: what is published is committed, so the database cannot be behind by its own haste.
    try:
        note = await asyncio.to_thread(folder.last_note)
    except (BadNote, OSError):
        note = None  # the sealer tells of a folder that is damaged
    keys = await registered(connection)
    if not keys:
        await asyncio.to_thread(folder.must_be_free)
    elif note is not None:
        try:
            check_signature(note, [key.verifier for key in keys])
            size = read_checkpoint(note).size
        except (BadNote, OtherKey):
            return
        block, last = await store.block_of_size(connection, size), await store.last_block(connection)
        if block is None or block.note != note:
            raise DatabaseBehind(
                f"{folder.checkpoints} ends with a signed checkpoint of {size} records that the database, "
                f"which goes up to {0 if last is None else last.size}, does not have: it was restored to an "
                "earlier time, or changed. What was acknowledged since is not in it. `exchange audit verify` "
                f"says more. To go on without that: keep the folder as evidence, mv {folder.path} "
                f"{folder.path}.before-restore, and start again ({_HANDBOOK})"
            )


async def check_transactions(connection: Connection) -> None:
    """Raise `DatabaseBehind` where the server has not had as many transactions as are on record."""
    recorded, come = await store.transactions_on_record(connection)
    if recorded > come:
        raise DatabaseBehind(
            f"the record goes up to transaction {recorded}, and this server has had {come} only: the "
            "database was made from a dump, and what is written now would stand in the past of what was "
            f"sealed. Stop PostgreSQL, run pg_resetwal --epoch={(recorded >> EPOCH_BITS) + 1} DATA_DIRECTORY "
            f"as the user that it runs as, and start it again ({_HANDBOOK})"
        )
