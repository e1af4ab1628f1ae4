"""The audit trail: one row for every step, written with its effect and never changed.

The database refuses to update, delete or truncate the table (a trigger, and grants).
"""

from collections.abc import Mapping, Sequence

import msgspec

from exchange.kit.database import Connection, copy_rows, from_us

_COLUMNS = (
    "partition_id", "sequence", "event_index", "code", "event_at", "actor_participant_id", "key_id",
    "participant_id", "trade_group_id", "product_id", "order_id", "trade_id", "subject_id", "detail",
)  # fmt: skip


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step: who did what to what, when.

    `partition_id` and `sequence` name the journal entry it came from, and `event_index` its place among that
    entry's events; both None for a step outside of the journal. `code` is four capital letters.
    `event_at_us` is venue time. `subject_id` is the voucher, lease, claim or account a step is about.
    """

    code: str
    event_at_us: int
    partition_id: int | None = None
    sequence: int | None = None
    event_index: int = 0
    actor_participant_id: int | None = None
    key_id: int | None = None
    participant_id: int | None = None
    trade_group_id: int | None = None
    product_id: str | None = None
    order_id: int | None = None
    trade_id: int | None = None
    subject_id: int | None = None
    detail: Mapping[str, object] = {}


_encoder = msgspec.json.Encoder(order="sorted")


async def insert_audit_records(connection: Connection, records: Sequence[AuditRecord]) -> None:
    """Write records in one statement, in order."""
    if not records:
        return
    rows = [
        (
            record.partition_id,
            record.sequence,
            record.event_index,
            record.code,
            from_us(record.event_at_us),
            record.actor_participant_id,
            record.key_id,
            record.participant_id,
            record.trade_group_id,
            record.product_id,
            record.order_id,
            record.trade_id,
            record.subject_id,
            _encoder.encode(record.detail).decode(),
        )
        for record in records
    ]
    await copy_rows(connection, "audit_record", _COLUMNS, rows)
