"""What is read of the record, and what is rebuilt from it: rows in the shape of tables to compare with.

A row's fields are columns of its table, by their names; times are microseconds of venue time. A table's rows
are by key, a tuple of the columns that say which row it is. All that is rebuilt is a `Rebuilt`.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from exchange.vouchers.models import Balances

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = Mapping[str, Any]


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row of the audit trail."""

    id: int
    code: str
    at_us: int
    partition_id: int | None
    sequence: int | None
    event_index: int
    participant_id: int
    trade_group_id: int | None
    key_id: int
    product_id: str
    order_id: int
    trade_id: int
    subject_id: int
    detail: Mapping[str, Any]


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A transfer, as `exchange.ledger.models.Transfer` says, in plain values."""

    id: int
    kind: str
    reason: str
    asset: str
    debit_account_id: int
    credit_account_id: int
    amount_fen: int
    subject_id: int
    delivery_hour: int | None


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """Where what is stored, or one part of the record, is not what the record says.

    `column` is empty where a whole row is missing (`stored` null) or of nothing on record (`rebuilt` null).
    """

    table: str
    of: str
    column: str
    stored: Any
    rebuilt: Any


class AccountRow(msgspec.Struct, gc=False):
    """The four sums of a ledger account."""

    debits_pending_fen: int = 0
    debits_posted_fen: int = 0
    credits_pending_fen: int = 0
    credits_posted_fen: int = 0


class OrderRow(msgspec.Struct, kw_only=True):
    """An order as its steps left it."""

    partition_id: int
    sequence: int | None
    participant_id: int
    key_id: int
    client_order_id: str
    amendment: int
    replaces_id: int | None
    replaced_by_id: int | None = None
    product_id: str
    side: str
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    hours: int
    price_ticks: int
    terms: dict[str, Any]
    status: str
    reason: str = ""
    denial: dict[str, Any] | None = None
    collar: dict[str, Any] | None = None
    filled_gpus: int = 0
    filled_gpu_hours: int = 0
    filled_notional_fen: int = 0
    eligible_fen: list[int] = []
    run_starts_hour: int | None = None
    created_at: int
    updated_at: int


class HoldRow(msgspec.Struct, gc=False):
    """What an order set aside of its cash (voucher 0) or of a voucher, and what became of it."""

    placed_fen: int = 0
    committed_fen: int = 0
    released_fen: int = 0


class TradeRow(msgspec.Struct, kw_only=True):
    """A trade: what the journal says of it, and what its parties' records say of the money."""

    partition_id: int
    sequence: int
    product_id: str
    bid_order_id: int
    ask_order_id: int
    buyer_id: int
    provider_id: int
    aggressor: str
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    notional_fen: int
    voucher_fen: int
    reimbursable_fen: int
    programme_ids: list[int] = []
    fee_bps: int
    traded_at: int


class LeaseRow(msgspec.Struct, kw_only=True, gc=False):
    """A lease, which is what its trade says, and how far its hours are settled."""

    partition_id: int
    product_id: str
    ask_order_id: int
    buyer_id: int
    provider_id: int
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    fee_bps: int
    created_at: int
    next_settlement_hour: int
    failed_hours: int = 0
    fee_fen: int = 0


class LoadRow(msgspec.Struct, gc=False):
    """What an ask has sold of a rectangle of hours."""

    sold_gpus: int = 0


class FundingRow(msgspec.Struct, gc=False):
    """Where a part of a lease's money went: cash (voucher 0) or a voucher's."""

    committed_fen: int = 0
    captured_fen: int = 0
    returned_fen: int = 0


class CaptureRow(msgspec.Struct, kw_only=True, gc=False):
    """What a voucher paid of a delivered hour, and what became of that."""

    programme_id: int
    provider_id: int = 0
    claimant_id: int
    amount_fen: int
    reduced_fen: int = 0
    recovered_fen: int = 0
    claim_id: int | None = None

    @property
    def left_fen(self) -> int:
        """What was neither refused nor paid back."""
        return self.amount_fen - self.reduced_fen - self.recovered_fen


class ProgrammeRow(msgspec.Struct, kw_only=True, gc=False):
    """A programme's life and budget."""

    issuer_id: int
    code: str
    status: str
    step_count: int = 0
    budget_fen: int
    issued_fen: int = 0
    version_last: int
    created_at: int


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a programme's rules."""

    effective_from: int
    effective_until: int | None
    rules: dict[str, Any]


class YearUseRow(msgspec.Struct, gc=False):
    """What a company was issued by a programme in a calendar year."""

    issued_fen: int = 0


class UseRow(msgspec.Struct, gc=False):
    """What the orders of a year use of a programme that caps that, by company and by trade group."""

    used_fen: int = 0


class VoucherRow(msgspec.Struct, kw_only=True, gc=False):
    """A voucher's life."""

    programme_id: int
    programme_version: int
    buyer_id: int
    face_fen: int
    status: str = "active"
    step_count: int = 0
    issued_at: int
    expires_at: int


class ClaimRow(msgspec.Struct, kw_only=True, gc=False):
    """A claim's life and amounts."""

    programme_id: int
    programme_version: int
    claimant_id: int
    amount_fen: int
    approved_fen: int | None = None
    clawback_fen: int | None = None
    status: str = "open"
    step_count: int = 0
    reason: str = ""
    opened_at: int
    submitted_at: int | None = None
    decided_at: int | None = None
    paid_at: int | None = None


class ApplicationRow(msgspec.Struct, kw_only=True, gc=False):
    """An application's life."""

    programme_id: int
    programme_version: int
    buyer_id: int
    amount_fen: int
    status: str = "submitted"
    step_count: int = 0
    score: int | None = None
    approved_fen: int | None = None
    voucher_id: int | None = None
    reason: str = ""
    submitted_at: int
    decided_at: int | None = None


class HeadRow(msgspec.Struct, frozen=True, gc=False):
    """Where a partition's journal ends; the hash in hexadecimal."""

    last_sequence: int
    last_hash: str


class BookRow(msgspec.Struct, frozen=True, gc=False):
    """A book as it stood after a command: the SHA-256 of what `matching.snapshot` writes, in hexadecimal."""

    sha256: str


class RestingRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as it rests in its book now: as it came, with its present quantity, and a bid's open GPUs."""

    product_id: str
    participant_id: int
    price_ticks: int
    quantity_gpus: int
    open_gpus: int | None


class GroupRow(msgspec.Struct, frozen=True, gc=False):
    """A trade group; its name is not on record."""

    created_at: int


class ParticipantRow(msgspec.Struct, frozen=True, kw_only=True):
    """A participant as it was registered; its name is not on record. A day is written as 2024-05-01."""

    kind: str
    trade_group_id: int | None = None
    region: str | None = None
    ownership: str | None = None
    size_class: str | None = None
    founded_on: str | None = None
    sectors: list[str] = []
    created_at: int


class ListPriceRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A list price that a provider published."""

    price_ticks: int
    listed_at: int


class RulesRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the rules of surveillance."""

    rules: dict[str, Any]
    effective_from: int
    reason: str
    changed_by: int
    key_id: int | None
    changed_at: int


class AccountName(msgspec.Struct, frozen=True, gc=False):
    """Whose account it is and what for: what of an account never changes."""

    participant_id: int
    asset: str
    purpose: str
    reference: int


class Rebuilt(msgspec.Struct, kw_only=True):
    """All that the record adds up to: rows by key, by table.

    `books` are those after the last command, as `matching.snapshot` writes them, by product; `faces` the
    parts of vouchers, by their ids.
    `contradictions` are places where one part of the record denies another. `counts` tells how much was read.
    """

    tables: dict[str, dict[Key, msgspec.Struct]]
    books: dict[str, bytes]
    faces: dict[int, Balances]
    contradictions: list[Mismatch]
    counts: dict[str, int]


def row_of(struct: msgspec.Struct) -> Row:
    """Return a rebuilt row by column."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
