"""A provider's own figures by hour and by day: what it lists, sells and delivers, and what that brings."""

from __future__ import annotations

from typing import Final

import msgspec

SPAN_HOURS_MAX: Final = 2_232
"""The longest span of one answer: 93 days, the listing horizon and a little."""


class OwnAsk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One ask's window, and until which hour (not included) its hours were, or are, on offer.

    `loads` are the rectangles that it has sold: (first hour, hour after the last, GPUs).
    """

    product_id: str
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    offered_until_hour: int
    is_live: bool
    loads: tuple[tuple[int, int, int], ...] = ()


class SoldSpan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Leases of one product and window, together: settled before `next_settlement_hour`.

    `fen_per_hour` is the price of all their GPUs for an hour.
    """

    product_id: str
    starts_hour: int
    ends_hour: int
    next_settlement_hour: int
    gpus: int
    fen_per_hour: int


class FailedHour(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs of one product that were reported as not delivered in an hour, and their price for it."""

    product_id: str
    hour: int
    is_settled: bool
    gpus: int
    fen: int


class HourIncome(msgspec.Struct, frozen=True, gc=False):
    """What the delivered hours of a provider at one hour brought: cash less the fee, and receivables."""

    hour: int
    cash_fen: int
    receivable_fen: int


class ProductCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """A product's capacity of one provider: GPUs by hour, from the answer's `starts_at` on, and their sums.

    `listed`: on offer when the hour began, or now, and all that is sold. `sold`: leased. `free`: still on
    offer. `delivered`: sold, settled and not failed. `failed`: reported as not delivered.
    """

    product: str
    listed_gpus: list[int]
    sold_gpus: list[int]
    free_gpus: list[int]
    delivered_gpus: list[int]
    failed_gpus: list[int]
    listed_gpu_hours: int
    sold_gpu_hours: int
    free_gpu_hours: int
    delivered_gpu_hours: int
    failed_gpu_hours: int


class CapacityView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's capacity over a span of hours, product by product.

    Hours before `on_sale_from` are sold or gone.
    """

    starts_at: str
    ends_at: str
    on_sale_from: str
    products: list[ProductCapacity]


class Earnings(msgspec.Struct, frozen=True, kw_only=True):
    """What some hours bring a provider, by when they are delivered.

    `booked_cny` is the price of hours that are sold and not settled yet. `delivered_cny`, the price of the
    delivered ones, is `cash_cny` that came, `receivable_cny` to claim from voucher programmes, and `fee_cny`
    of the exchange. `returned_cny` is the price of failed hours, which buyers have back.
    """

    sold_gpu_hours: int
    delivered_gpu_hours: int
    failed_gpu_hours: int
    booked_cny: str
    delivered_cny: str
    cash_cny: str
    receivable_cny: str
    fee_cny: str
    returned_cny: str


class DayEarnings(Earnings, frozen=True, kw_only=True):
    """A day's earnings; its first and last day may be cut by the span that was asked for."""

    starts_at: str
    ends_at: str


class EarningsView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's earnings day by day, and those of the whole span."""

    starts_at: str
    ends_at: str
    total: Earnings
    days: list[DayEarnings]
