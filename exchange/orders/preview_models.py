"""What an order would do if it were placed now, as it is told."""

from __future__ import annotations

import msgspec

from exchange.kit.errors import Fault
from exchange.orders.models import Held, OrderStatus, ShareView
from matching.order import Side


class PreviewRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why the order would be refused: the code and faults that its answer would have."""

    code: str
    detail: str
    errors: list[Fault]


class PreviewFill(msgspec.Struct, frozen=True, kw_only=True):
    """What would trade at once at one price; an ask's fills are of several windows, each told."""

    price_cny_per_gpu_hour: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    gpu_hours: int
    amount_cny: str


class PreviewVoucher(msgspec.Struct, frozen=True, kw_only=True):
    """What one voucher would pay of the fills."""

    voucher_id: str
    amount_cny: str


class PreviewView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as it would be: `status` and `reason` right after it was placed, and the money of its fills.

    `amount_cny` is the price of the fills, `fee_cny` what the exchange takes of it from the provider (at
    most: where vouchers pay, it is no more than the cash), `total_cny` what a buyer would pay for them in
    all, or a provider be paid. A bid's `amount_cny` is `cash_cny` and what its `vouchers` pay;
    `reimbursable_cny` of the cash could be claimed later. `needed_cny` must be free for the bid to be placed;
    `held` would still be set aside after the fills, for the `resting_gpu_hours`.
    """

    product: str
    side: Side
    status: OrderStatus
    reason: str
    refusal: PreviewRefusal | None = None
    fills: list[PreviewFill]
    run_starts_at: str | None = None
    filled_gpu_hours: int
    filled_gpus: int | None = None
    resting_gpu_hours: int
    resting_gpus: int
    average_price_cny_per_gpu_hour: str | None = None
    amount_cny: str
    fee_cny: str
    total_cny: str
    cash_cny: str | None = None
    vouchers: list[PreviewVoucher] = []
    reimbursable_cny: str | None = None
    shares: list[ShareView] = []
    needed_cny: str | None = None
    held: Held | None = None


class RestingAsk(msgspec.Struct, frozen=True, gc=False):
    """What the money of a fill asks of the ask that it is with."""

    provider_id: int
    is_mask: int
    list_price_ticks: int | None
