"""The whole life of an order, of a trade, of a voucher: every step, with what it rests on. Money is CNY."""

import msgspec

from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit
from exchange.oversight.models import AboutSomebody, TradeRow


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it came in and as it stands; `terms` as it was placed."""

    id: str
    client_order_id: str
    participant_id: str
    participant_name: str
    trade_group_id: str | None
    key_id: str
    partition: int
    sequence: int | None
    product: str
    side: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    hours: int
    price_cny_per_gpu_hour: str
    terms: msgspec.Raw
    status: str
    reason: str
    filled_gpus: int
    filled_gpu_hours: int
    created_at: str
    updated_at: str


class OrderStep(msgspec.Struct, frozen=True, kw_only=True):
    """One audit record of an order; `detail` as it was written.

    `received_at`: when the request came that the step is of. `status`: where the step left the order.
    `other_order_id` is the order that it names besides: what it replaces, what replaced it, or what it was
    kept from trading with.
    """

    code: str
    event_at: str
    received_at: str | None
    partition: int | None
    sequence: int | None
    event_index: int
    actor_participant_id: str | None
    key_id: str | None
    trade_group_id: str | None
    trade_id: str | None
    status: str | None
    other_order_id: str | None
    detail: msgspec.Raw


class OrderLife(msgspec.Struct, frozen=True, kw_only=True):
    """An order, every step it took in order, and its trades."""

    order: OrderFacts
    steps: list[OrderStep]
    trades: list[TradeRow]


class Funding(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a trade's money: whose, and what became of it hour by hour so far.

    `voucher_id` is null for cash. A `reimbursed` part is no part of the price: the buyer paid it in cash and
    claims it.
    """

    voucher_id: str | None
    programme_id: str | None
    programme: str | None
    programme_version: int | None
    reimbursed: bool
    committed_cny: str
    captured_cny: str
    returned_cny: str


class FailedHour(msgspec.Struct, frozen=True, kw_only=True):
    """An hour that the provider reported as not delivered."""

    starts_at: str
    reason: str
    reported_at: str


class CapturedHour(msgspec.Struct, frozen=True, kw_only=True):
    """What a voucher paid for a delivered hour, and the claim that has it."""

    starts_at: str
    voucher_id: str
    amount_cny: str
    reduced_cny: str
    recovered_cny: str
    claimant_id: str
    claim_id: str | None
    captured_at: str


class TradeLife(msgspec.Struct, frozen=True, kw_only=True):
    """A trade with the steps of its record, its money, and its hours until `settled_until`."""

    trade: TradeRow
    settled_until: str
    failed_hours: int
    steps: list[OrderStep]
    funding: list[Funding]
    outages: list[FailedHour]
    captures: list[CapturedHour]


class VoucherFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher as it was issued and as it stands."""

    id: str
    programme_id: str
    programme: str
    programme_version: int
    buyer_id: str
    buyer_name: str
    face_cny: str
    status: str
    issued_at: str
    expires_at: str


class VoucherChange(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a voucher: who took it, and why."""

    number: int
    from_status: str
    to_status: str
    actor_role: str
    actor_id: str
    returned_cny: str
    reason: str
    reason_code: str | None
    stepped_at: str


class VoucherMovement(msgspec.Struct, frozen=True, kw_only=True):
    """Money of a voucher that moved, was set aside, or came back.

    `subject` is what it moved for: an order, a trade, or the voucher itself.
    """

    at: str
    kind: str
    reason: str
    amount_cny: str
    subject: str
    delivery_hour_at: str | None


class VoucherLifeQuery(AboutSomebody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is asked, and which page of the movements."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class VoucherLife(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher, its steps, and a page of what moved of its money, oldest first."""

    voucher: VoucherFacts
    steps: list[VoucherChange]
    movements: list[VoucherMovement]
    next_cursor: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was asked; `rows` and `is_whole` are null while, or because, nothing was answered.

    `asked` are its parameters as they were read. `is_whole` is false where the reader went away, or the
    answer failed, before the end.
    """

    id: str
    asked_at: str
    participant_id: str
    participant_name: str
    key_id: str
    query: str
    reason: str | None
    asked: msgspec.Raw
    answered_at: str | None
    rows: int | None
    is_whole: bool | None
