"""Records of the audit trail as a regulator asks for them; questions are a list of their own."""

from typing import Annotated

import msgspec

from exchange.kit.fields import OrderIdText, TimeText, exact
from exchange.oversight.models import MarketQuery

CodeText = Annotated[
    str, msgspec.Meta(pattern=exact(r"[A-Z]{4}"), description="the code of a step: four capital letters")
]


class EventQuery(MarketQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records; `event_from` is included and `event_until` is not.

    `participant`, `trade_group` and `region` are those of whose step it is; `side`, prices, `programme` and
    `voucher_funded` are of its order, and leave out what has none.
    """

    event_from: TimeText | None = None
    event_until: TimeText | None = None
    order_id: OrderIdText | None = None
    code: CodeText | None = None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records, as the tables have it: times in venue microseconds; None does not narrow."""

    from_us: int | None = None
    until_us: int | None = None
    product_ids: tuple[str, ...] | None = None
    participant_id: int | None = None
    group_member_ids: tuple[int, ...] | None = None
    region_member_ids: tuple[int, ...] | None = None
    order_id: int | None = None
    side: str | None = None
    code: str | None = None
    price_ticks_min: int | None = None
    price_ticks_max: int | None = None
    programme_id: int | None = None
    is_voucher_funded: bool | None = None


class EventRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record: who did what to what, when. `number` is its place in the record.

    `trade_group_id` is its participant's as it was at that step, `region` as registered now. `subject` is the
    id of the voucher, lease, claim or key that a step is about. `detail` is a JSON object, as written.
    `algorithm` is what decided with the key, null where a person did. `received_at` is when the request came
    that the step is of, `status` where it left its order, and `engine_version` which version of the engine
    decided it.
    """

    number: int
    venue: str
    code: str
    event_at: str
    received_at: str | None
    partition: int | None
    sequence: int | None
    event_index: int
    engine_version: str | None
    actor_participant_id: str | None
    key_id: str | None
    algorithm: str | None
    participant_id: str | None
    participant_name: str | None
    region: str | None
    trade_group_id: str | None
    product: str | None
    accelerator: str | None
    origin: str | None
    hub: str | None
    order_id: str | None
    client_order_id: str | None
    side: str | None
    price_cny_per_gpu_hour: str | None
    status: str | None
    trade_id: str | None
    counter_order_id: str | None
    aggressor: str | None
    fee_bps: int | None
    subject: str | None
    detail: msgspec.Raw
