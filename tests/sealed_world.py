"""A record that is sealed, and somebody who changes it past every trigger: for tests of the transparency log.

`keep` remembers record, blocks and folder as they are; `restore` puts them back. The tamperer is a superuser
who has switched the triggers off; what it may not have is the key.
"""

import random
import shutil
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.database import Database
from exchange.kit.settings import Settings
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.keys import begin
from exchange.transparency.models import Fault
from exchange.transparency.notes import Signer
from exchange.transparency.records import COLUMNS, FORM, decoded, select_list
from exchange.transparency.sealer import Sealer
from exchange.transparency.verify import Verdict, verify

BLOCK: Final = "first_position, size, from_xact, until_xact, form, hashes, root, note, sealed_at"
RECORD: Final = ", ".join(COLUMNS)
CODES: Final = ("KNEW", "KREV", "KROT", "QURY", "QURA", "AUTF")
"""Steps that no detector of alerts reads."""


class SealedWorld:
    """A database with its sealer, and the superuser's way in."""

    def __init__(self, database: Database, tamperer: Database, settings: Settings, signer: Signer) -> None:
        self.database = database
        self.tamperer = tamperer
        self.settings = settings
        self.signer = signer
        self.folder = CheckpointFolder.of(settings)
        self._kept = settings.data_dir / "kept"

    def sealer(self, block_records: int = 7, folder: CheckpointFolder | None = None) -> Sealer:
        """Return a sealer that begins anew."""
        sealer = Sealer(self.database, folder or self.folder, block_records=block_records)
        sealer.signer = self.signer
        return sealer

    async def write(self, rng: random.Random, transactions: int, records_max: int = 5) -> None:
        """Write records as the exchange does, some in each transaction."""
        for _ in range(transactions):
            async with self.database.transaction() as connection:
                await insert_audit_records(
                    connection, [_record(rng) for _ in range(rng.randint(1, records_max))]
                )

    async def seal(self, block_records: int = 7) -> None:
        """Seal whatever waits, and publish it."""
        sealer = self.sealer(block_records)
        while await sealer.turn(at_once=True):
            pass
        await sealer.publish()

    async def records(self) -> list[bytes]:
        """Return every record as bytes, in the order of transaction and number; by a statement of its own."""
        async with self.tamperer.connection() as connection:
            rows = await connection.fetch(
                f"SELECT record_send(ROW({select_list(FORM)})) AS raw FROM audit_record"  # noqa: S608 - ours
            )
        found = [row["raw"] for row in rows]
        return sorted(found, key=lambda raw: (decoded(raw)["xact_id"], decoded(raw)["id"]))

    async def execute(self, *statements: str) -> None:
        """Do as the tamperer does."""
        async with self.tamperer.transaction() as connection:
            for statement in statements:
                await connection.execute(statement)

    async def keep(self) -> None:
        """Remember all as it is, and switch the triggers off."""
        await self.execute(
            "CREATE TABLE kept_record AS TABLE audit_record",
            "CREATE TABLE kept_block AS TABLE audit_block",
            "DO $$ DECLARE name REGCLASS; BEGIN"
            " FOR name IN SELECT relid FROM pg_partition_tree('audit_record')"
            " LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', name); END LOOP; END $$",
            "ALTER TABLE audit_block DISABLE TRIGGER ALL",
        )
        shutil.copytree(self.folder.path, self._kept)

    async def restore(self) -> None:
        """Put all back as it was when it was kept."""
        await self.execute(
            "DELETE FROM audit_record",
            "DELETE FROM audit_block",
            f"INSERT INTO audit_record ({RECORD}) OVERRIDING SYSTEM VALUE SELECT {RECORD} FROM kept_record",  # noqa: S608 - ours
            f"INSERT INTO audit_block ({BLOCK}) SELECT {BLOCK} FROM kept_block ORDER BY 1",  # noqa: S608 - ours
        )
        shutil.rmtree(self.folder.path)
        shutil.copytree(self._kept, self.folder.path)

    async def verify(self, **more: Any) -> Verdict:
        """Verify with the key of the log."""
        given = {"folder": self.folder, "verifiers": [self.signer.verifier], **more}
        return await verify(self.database, **given)

    async def fault(self, **more: Any) -> Fault:
        """Verify, and return the fault that there must be."""
        verdict = await self.verify(**more)
        assert verdict.fault is not None
        return verdict.fault


def _record(rng: random.Random) -> AuditRecord:
    def some() -> int | None:
        return rng.choice([None, rng.randint(1, 2**62)])

    return AuditRecord(
        code=rng.choice(CODES),
        event_at_us=1_790_000_000_000_000 + rng.randint(0, 10**12),
        received_at_us=rng.choice([None, 1_790_000_000_000_000 + rng.randint(0, 10**12)]),
        partition_id=rng.choice([None, 1]),
        sequence=some(),
        event_index=rng.randint(0, 3),
        actor_participant_id=some(),
        participant_id=some(),
        product_id=rng.choice([None, "nvidia-h100-sxm.bj"]),
        order_id=some(),
        trade_id=rng.choice([None, 1, 2]),
        detail={"price_ticks": rng.randint(1, 9999), "note": rng.choice(["", "算力券"])},
    )


@asynccontextmanager
async def sealed_world(database: Database, database_url: str, folder: Path) -> AsyncIterator[SealedWorld]:
    """Open a world on a fresh database, with its key made."""
    settings = Settings(data_dir=folder, checkpoint_origin="test.example/audit")
    async with database.transaction() as connection:
        signer = await begin(connection, settings)
    assert signer is not None
    tamperer = await Database.connect(database_url.replace("//exchange@", "//postgres@"), connections_min=1)
    try:
        yield SealedWorld(database, tamperer, settings, signer)
    finally:
        await tamperer.close()


TYPES: Final = {
    **dict.fromkeys(("partition_id", "event_index"), (23, 4)),
    **dict.fromkeys(("code", "product_id"), (25, 0)),
    "detail": (114, 0),
    **dict.fromkeys(("event_at", "received_at"), (1184, 8)),
    "xact_id": (5069, 8),
}
"""PostgreSQL's number of each column's type, and how many bytes it has; the others are bigint."""


TIMES: Final = frozenset({"event_at", "received_at"})


def plain_bytes(fields: Mapping[str, Any]) -> bytes:
    """Write a record as docs/oversight.md says, field by field."""
    parts = [struct.pack(">I", 1 + len(fields)), struct.pack(">Iii", 23, 4, FORM)]
    for name, value in fields.items():
        type_number, width = TYPES.get(name, (20, 8))
        if value is None:
            parts.append(struct.pack(">Ii", type_number, -1))
            continue
        if name in TIMES:
            value -= 946_684_800_000_000  # noqa: PLW2901 - as PostgreSQL counts, from 2000 on
        raw = (
            value.to_bytes(width, "big", signed=name != "xact_id")
            if isinstance(value, int)
            else value.encode()
        )
        parts += [struct.pack(">Ii", type_number, len(raw)), raw]
    return b"".join(parts)


def first_difference(sealed: Sequence[bytes], now: Sequence[bytes]) -> int | None:
    """Return the first position at which two lists differ, None where they do not: the obvious oracle."""
    for position, (before, after) in enumerate(zip(sealed, now, strict=False)):
        if before != after:
            return position
    return None if len(sealed) == len(now) else min(len(sealed), len(now))
