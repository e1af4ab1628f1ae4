"""The audit trail: one row for every step, written with its effect and never changed.

The database refuses to update, delete or truncate the table (triggers, and grants). It is partitioned by
month: `kit.audit_months` makes the months ahead, and what no month has a partition for goes to one for the
rest.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from exchange.kit.bundle import Writer
from exchange.kit.rows import json_rows

COLUMNS: Final = {
    "id": "bigint",
    "partition_id": "integer",
    "sequence": "bigint",
    "event_index": "integer",
    "code": "text",
    "event_at": "timestamptz",
    "received_at": "timestamptz",
    "actor_participant_id": "bigint",
    "key_id": "bigint",
    "participant_id": "bigint",
    "trade_group_id": "bigint",
    "product_id": "text",
    "order_id": "bigint",
    "trade_id": "bigint",
    "subject_id": "bigint",
    "detail": "json",
    "xact_id": "xid8",
}
"""The table's columns with their types, in its order: whoever reads whole records names them by this."""

_INSERT = """
INSERT INTO audit_record (
    partition_id, sequence, event_index, code, event_at, received_at, actor_participant_id, key_id,
    participant_id, trade_group_id, product_id, order_id, trade_id, subject_id, detail
)
SELECT partition_id, sequence, coalesce(event_index, 0), code,
    timestamptz 'epoch' + event_at_us * interval '1 microsecond',
    timestamptz 'epoch' + received_at_us * interval '1 microsecond', actor_participant_id, key_id,
    participant_id, trade_group_id, product_id, order_id, trade_id, subject_id, coalesce(detail, '{}')
FROM json_to_recordset($1::json) AS record (
    partition_id integer, sequence bigint, event_index integer, code text, event_at_us bigint,
    received_at_us bigint, actor_participant_id bigint, key_id bigint, participant_id bigint,
    trade_group_id bigint, product_id text, order_id bigint, trade_id bigint, subject_id bigint,
    detail json)"""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step: who did what to what, when.

    `partition_id` and `sequence` name the journal entry it came from, and `event_index` its place among that
    entry's events; both None for a step outside of the journal. `code` is four capital letters.
    `event_at_us` is venue time, and so is `received_at_us`: when the request came that the step is of, None
    where it is of none. `subject_id` is the voucher, lease, claim or account a step is about.
    """

    code: str
    event_at_us: int
    received_at_us: int | None = None
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


async def insert_audit_records(connection: Writer, records: Sequence[AuditRecord]) -> None:
    """Write records in one statement, in order."""
    if not records:
        return
    await connection.execute(_INSERT, json_rows(records))
