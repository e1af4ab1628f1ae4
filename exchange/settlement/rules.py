"""The arithmetic of settlement: what a bid must hold, what a fill commits, what an hour pays.

Everything here is a pure function of integers. One rule sizes a hold at every moment of an order's life
(`targets`), so that placing, filling, reducing and closing an order need no arithmetic of their own: each
moves the hold to its target and nothing else.

Invariants, property-tested:
- committed cash + committed vouchers = filled notional, after every fill, to the fen;
- what stays open always covers the order's remainder at its limit, and never grows;
- the parts of an hour sum to its price, and the hours of a lease to its notional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.settlement.models import HourPart, LeaseStatus
from exchange.vouchers.programme_models import BASIS_POINTS
from exchange.vouchers.rules import capped, share_fen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.settlement.models import LeaseFunding, Terms


class Targets(msgspec.Struct, frozen=True, gc=False):
    """Where an order's holds belong: committed so far, and kept in all (committed + still open), in fen."""

    cash_committed_fen: int
    cash_kept_fen: int
    voucher_committed_fen: int
    voucher_kept_fen: int


def targets(
    terms: Terms,
    *,
    voucher_placed_fen: int,
    filled_notional_fen: int,
    eligible_notional_fen: int,
    open_gpus: int,
) -> Targets:
    """Where the holds of an order belong after some fills, with `open_gpus` still able to fill.

    Shares are taken of the order's cumulative eligible notional, never fill by fill: rounding each fill down
    would let a bid that fills in pieces cost more of its own money than one that fills at once.
    """
    open_notional_fen = terms.limit_ticks * terms.hours * open_gpus
    open_eligible_fen = capped(terms.limit_ticks, terms.price_cap_ticks) * terms.hours * open_gpus
    voucher_committed = min(share_fen(eligible_notional_fen, terms.rate_bps), voucher_placed_fen)
    voucher_kept = min(
        share_fen(eligible_notional_fen + open_eligible_fen, terms.rate_bps), voucher_placed_fen
    )
    # A bid that may trade with ineligible providers must be able to pay those fills in full.
    still_by_voucher = voucher_kept - voucher_committed if terms.only_eligible else 0
    cash_committed = filled_notional_fen - voucher_committed
    return Targets(
        cash_committed_fen=cash_committed,
        cash_kept_fen=cash_committed + open_notional_fen - still_by_voucher,
        voucher_committed_fen=voucher_committed,
        voucher_kept_fen=voucher_kept,
    )


def spread_in_order(total_fen: int, placed_fen: Sequence[int]) -> list[int]:
    """`total_fen` over holds in spending order: each takes what it has until the total is met."""
    parts: list[int] = []
    for placed in placed_fen:
        part = min(total_fen, placed)
        parts.append(part)
        total_fen -= part
    return parts


def apportion(total_fen: int, weights_fen: Sequence[int]) -> list[int]:
    """`total_fen` in parts proportional to the weights, by largest remainder; ties go to the earlier part.

    No part exceeds its weight as long as the total does not exceed their sum. Source: Hamilton's method.
    """
    weight = sum(weights_fen)
    parts = [total_fen * each // weight for each in weights_fen]
    missing = total_fen - sum(parts)
    if missing:
        by_remainder = sorted(
            range(len(parts)), key=lambda index: (-(total_fen * weights_fen[index] % weight), index)
        )
        for index in by_remainder[:missing]:
            parts[index] += 1
    return parts


def hour_parts(price_ticks: int, quantity_gpus: int, funding: Sequence[LeaseFunding]) -> list[HourPart]:
    """What each source of a lease pays for its next hour.

    The weights are what each source still has in escrow, and those sum to the price of the hours left; so
    every hour is paid exactly, and after the last hour nothing is left.
    """
    hour_price_fen = price_ticks * quantity_gpus
    amounts = apportion(hour_price_fen, [each.open_fen for each in funding])
    return [
        HourPart(voucher_id=each.voucher_id, amount_fen=amount)
        for each, amount in zip(funding, amounts, strict=True)
    ]


def fee_fen(hour_price_fen: int, fee_bps: int, cash_fen: int) -> int:
    """The fee on a delivered hour: a share of its whole price, taken from the cash the provider receives."""
    return min(hour_price_fen * fee_bps // BASIS_POINTS, cash_fen)


def lease_status(*, starts_hour: int, ends_hour: int, next_settlement_hour: int, hour: int) -> LeaseStatus:
    """Where a lease stands at the venue's current hour."""
    if next_settlement_hour >= ends_hour:
        return LeaseStatus.SETTLED
    if hour >= ends_hour:
        return LeaseStatus.ENDED
    return LeaseStatus.RUNNING if hour >= starts_hour else LeaseStatus.SCHEDULED
