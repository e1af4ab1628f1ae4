"""A participant's own trades: what it asks for, and how they are shown."""

from typing import Literal

import msgspec

from exchange.settlement.models import Aggressor


class TradeFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which of the own trades are wanted, newest first; None means any. Times are venue microseconds.

    `traded_from_us` is included and `traded_until_us` is not; `before_id` continues a page.
    """

    product_id: str | None = None
    order_id: int | None = None
    traded_from_us: int | None = None
    traded_until_us: int | None = None
    before_id: int = 2**63 - 1


class OwnTradeView(msgspec.Struct, frozen=True, kw_only=True):
    """One trade as one of its parties sees it: a fill of its order, and the lease that came of it.

    `liquidity`: whether the own order waited (maker) or came (taker). Of `amount_cny`, the price,
    `voucher_cny` is paid by vouchers; `reimbursable_cny` of the rest can be claimed by the buyer once the
    hours are delivered. The exchange takes `fee_bps` of the price from the provider, with each hour.
    """

    id: str
    lease_id: str
    order_id: str
    client_order_id: str
    product: str
    side: Aggressor
    liquidity: Literal["maker", "taker"]
    sequence: int
    traded_at: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    gpu_hours: int
    price_cny_per_gpu_hour: str
    amount_cny: str
    voucher_cny: str
    reimbursable_cny: str
    fee_bps: int
