"""The audit trail: one row for every step, written with its effect and never changed.

The database refuses to update, delete or truncate the table (a trigger, and grants).
"""

from collections.abc import Mapping, Sequence

import msgspec

from exchange.kit.database import Connection, from_us

_INSERT = """
INSERT INTO audit_record (
    partition_id, sequence, event_index, code, event_at, actor_participant_id, key_id, participant_id,
    trade_group_id, product_id, order_id, trade_id, subject_id, detail
)
SELECT * FROM unnest(
    $1::integer[], $2::bigint[], $3::integer[], $4::text[], $5::timestamptz[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::jsonb[]
)"""


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
    await connection.execute(
        _INSERT,
        [record.partition_id for record in records],
        [record.sequence for record in records],
        [record.event_index for record in records],
        [record.code for record in records],
        [from_us(record.event_at_us) for record in records],
        [record.actor_participant_id for record in records],
        [record.key_id for record in records],
        [record.participant_id for record in records],
        [record.trade_group_id for record in records],
        [record.product_id for record in records],
        [record.order_id for record in records],
        [record.trade_id for record in records],
        [record.subject_id for record in records],
        [_encoder.encode(record.detail).decode() for record in records],
    )
