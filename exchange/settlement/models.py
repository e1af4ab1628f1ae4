"""What settlement speaks of: holds, trades, leases and the money that follows them.

All money is integer fen, all hours are whole hours since the Unix epoch.

`Hold` and `FundedOrder` are the only things here that change after they are made: they are the partition's
in-memory picture of rows of `order_hold`, and move only together with the transfers that explain them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from exchange.kit.fields import TimeText
from exchange.vouchers.models import Share

CASH_VOUCHER_ID = 0


class Aggressor(StrEnum):
    """The side whose order arrived and traded against one that rested."""

    BUY = "buy"
    SELL = "sell"


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a bid's money depends on: its limit, and what programmes pay of it, in spending order.

    `only_eligible` says that every fill of the bid is with a provider that all its programmes admit;
    otherwise the bid holds its full cash and vouchers come on top.
    """

    limit_ticks: int
    hours: int
    shares: tuple[Share, ...] = ()
    only_eligible: bool = False


class Hold(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Money of one account set aside for one order. open = placed - committed - released, never below 0.

    A voucher's names the programme and the version of its rules that it is held under (0 for cash), and the
    year in which it counts against the programme's cap, where that counts what is redeemed.
    """

    order_id: int
    voucher_id: int
    position: int
    programme_id: int = 0
    programme_version: int = 0
    cap_year: int | None = None
    asset: str
    source_account_id: int
    escrow_account_id: int
    placed_fen: int
    committed_fen: int = 0
    released_fen: int = 0

    @property
    def open_fen(self) -> int:
        """What is still set aside."""
        return self.placed_fen - self.committed_fen - self.released_fen


class FundedOrder(msgspec.Struct, kw_only=True, gc=False):
    """A live bid's money: `cash`, then `vouchers` in the order in which they are spent, share by share.

    `eligible_fen` is, for each share of the terms, the part of what was filled that it is of.
    """

    order_id: int
    buyer_id: int
    terms: Terms
    cash: Hold
    vouchers: list[Hold]
    cap_subjects: tuple[int, ...] = ()
    filled_notional_fen: int = 0
    eligible_fen: list[int] = []


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fill; its lease has its id. `notional_fen` is price x quantity x hours, vouchers included.

    `voucher_fen` of it is paid by vouchers; of the buyer's own part, `reimbursable_fen` can be claimed from
    programmes that reimburse. `programme_ids` are those that pay either, in spending order.
    """

    trade_id: int
    partition_id: int
    sequence: int
    product_id: str
    bid_order_id: int
    ask_order_id: int
    buyer_id: int
    provider_id: int
    aggressor: Aggressor
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    notional_fen: int
    voucher_fen: int
    reimbursable_fen: int
    programme_ids: tuple[int, ...]
    fee_bps: int


class LeaseFunding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part of a lease's price, and how much of it has gone where.

    A `reimbursed` part is no part of the price: it follows the buyer's cash, and is claimed by the buyer.
    """

    lease_id: int
    voucher_id: int
    asset: str
    source_account_id: int
    escrow_account_id: int
    committed_fen: int
    captured_fen: int = 0
    returned_fen: int = 0
    programme_id: int = 0
    programme_version: int = 0
    reimbursed: bool = False

    @property
    def open_fen(self) -> int:
        """What is still in escrow."""
        return self.committed_fen - self.captured_fen - self.returned_fen


class DueLease(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A lease with an hour to settle, its money, and the hours reported as failed. Its id is its trade's.

    `fee_fen` is the fee that was taken of its hours so far.
    """

    lease_id: int
    product_id: str
    buyer_id: int
    provider_id: int
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    fee_bps: int
    next_settlement_hour: int
    failed_hours: int
    fee_fen: int
    funding: tuple[LeaseFunding, ...]
    outage_hours: frozenset[int]


class HourPart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one source pays for one hour of a lease."""

    voucher_id: int
    amount_fen: int


class LeaseStatus(StrEnum):
    """Where a lease stands against the venue's hour."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    ENDED = "ended"
    SETTLED = "settled"


class LeaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as its buyer and its provider see it."""

    id: str
    trade_id: str
    product: str
    status: LeaseStatus
    buyer: str
    provider: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    price_cny_per_gpu_hour: str
    amount_cny: str
    captured_cny: str
    returned_cny: str
    settled_hours: int
    failed_hours: int


class DeliveredHour(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of a lease: `pending` until settled, then `delivered` or `failed`."""

    starts_at: str
    status: str
    reason: str


class LeaseDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A lease hour by hour."""

    lease_id: str
    hours: list[DeliveredHour]


class NewOutage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's word that it does not deliver some hours (each named by its start)."""

    hours: Annotated[list[TimeText], msgspec.Meta(min_length=1, max_length=8784)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
