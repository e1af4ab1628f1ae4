"""What a regulator asks for and gets: trades with everything about them, and the life of an order.

`TradeQuery` is the query string, `TradeFilter` the same in the tables' own values; every question may say why
it is asked, and one about somebody must (`questions`). A `TradeRow` is one line
of an answer or an export: flat, so that CSV and NDJSON have the same names.

Known limit: size class, region, ownership and trade group are as registered now; the audit record has the
group as it was at each step.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Protocol

import msgspec

from exchange.kit.fields import (
    CnyText,
    ParticipantIdText,
    ProgrammeIdText,
    SlugText,
    TimeText,
    TradeGroupIdText,
    exact,
)
from exchange.products.models import Origin
from exchange.settlement.models import Aggressor

VENUE: Final = "compute-exchange"

ReasonText = Annotated[
    str,
    msgspec.Meta(
        max_length=500,
        description="why this is asked, for the record: a case number or a sentence",
        examples=["case 2026-118: wash trades"],
    ),
]
RegionText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[a-z][a-z0-9-]{1,39}"),
        description="a region as participants register it, such as guizhou",
    ),
]


class Row(Protocol):
    """A row of a table, read by column."""

    def __getitem__(self, column: str, /) -> Any:
        """Return a column's value."""


class RowOrder(StrEnum):
    """Which trades come first."""

    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"


class ExportFormat(StrEnum):
    """How an export is written."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every question may carry: why it is asked."""

    reason: ReasonText | None = None


class AboutSomebody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question about somebody, which says why it is asked."""

    reason: ReasonText


class MarketQuery(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What trades and records are narrowed by; a parameter left out does not, all that are given must hold.

    `participant`, `trade_group` and `region` hold for either side of a trade. Prices are included at both
    ends. With a participant or a trade group the `reason` is needed.
    """

    product: SlugText | None = None
    accelerator: SlugText | None = None
    origin: Origin | None = None
    hub: SlugText | None = None
    participant: ParticipantIdText | None = None
    trade_group: TradeGroupIdText | None = None
    region: RegionText | None = None
    side: Aggressor | None = None
    price_min_cny_per_gpu_hour: CnyText | None = None
    price_max_cny_per_gpu_hour: CnyText | None = None
    programme: ProgrammeIdText | None = None
    voucher_funded: bool | None = None


class TradeQuery(MarketQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which trades; `traded_from` is included and `traded_until` is not; `side` is the aggressor's."""

    traded_from: TimeText | None = None
    traded_until: TimeText | None = None
    buyer: ParticipantIdText | None = None
    provider: ParticipantIdText | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A `MarketQuery` with its texts read, before its names are looked up."""

    from_us: int | None = None
    until_us: int | None = None
    product_id: str | None = None
    accelerator_id: str | None = None
    origin: str | None = None
    hub_code: str | None = None
    participant_id: int | None = None
    buyer_id: int | None = None
    provider_id: int | None = None
    trade_group_id: int | None = None
    region: str | None = None
    order_id: int | None = None
    side: str | None = None
    code: str | None = None
    price_ticks_min: int | None = None
    price_ticks_max: int | None = None
    programme_id: int | None = None
    is_voucher_funded: bool | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the names of a `Wanted` stand for, and which of them exist; one that was not given exists."""

    product_ids: tuple[str, ...]
    group_member_ids: tuple[int, ...]
    region_member_ids: tuple[int, ...]
    is_known: dict[str, bool]


class TradeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which trades, as the tables have it: times in venue microseconds; None does not narrow."""

    traded_from_us: int | None = None
    traded_until_us: int | None = None
    product_ids: tuple[str, ...] | None = None
    participant_id: int | None = None
    group_member_ids: tuple[int, ...] | None = None
    region_member_ids: tuple[int, ...] | None = None
    buyer_id: int | None = None
    provider_id: int | None = None
    aggressor: str | None = None
    price_ticks_min: int | None = None
    price_ticks_max: int | None = None
    programme_id: int | None = None
    is_voucher_funded: bool | None = None


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a trade stands in the order of all trades; what a cursor holds."""

    traded_at_us: int
    trade_id: int


class TradeRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trade. Money is decimal CNY; the delivery window runs from `starts_at` to `ends_at`.

    `voucher_cny` of the notional is paid by vouchers; of the buyer's own part, `reimbursable_cny` can be
    claimed from programmes that reimburse. The programmes that pay either stand in spending order.
    """

    id: str
    venue: str
    partition: int
    sequence: int
    traded_at: str
    product: str
    accelerator: str
    origin: str
    hub: str
    cluster: str
    interconnect: str
    starts_at: str
    ends_at: str
    hours: int
    quantity_gpus: int
    gpu_hours: int
    price_cny_per_gpu_hour: str
    notional_cny: str
    voucher_cny: str
    reimbursable_cny: str
    programme_ids: list[str]
    programmes: list[str]
    fee_bps: int
    aggressor: str
    bid_order_id: str
    bid_client_order_id: str
    ask_order_id: str
    ask_client_order_id: str
    buyer_id: str
    buyer_name: str
    buyer_size_class: str | None
    buyer_region: str | None
    buyer_trade_group_id: str | None
    buyer_trade_group_name: str | None
    provider_id: str
    provider_name: str
    provider_ownership: str | None
    provider_region: str | None
    provider_trade_group_id: str | None
    provider_trade_group_name: str | None
