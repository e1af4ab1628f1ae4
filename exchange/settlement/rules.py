"""The arithmetic of settlement: what a bid must hold, what a fill commits, what an hour pays.

Everything here is a pure function of integers. One rule sizes a hold at every moment of an order's life
(`targets`), so that placing, filling, reducing and closing an order need no arithmetic of their own: each
moves the hold to its target and nothing else.

Invariants, property-tested:
- committed cash + committed vouchers = filled notional, after every fill, to the fen, and no fill gives back
  what an earlier one was paid;
- what stays open always covers the order's remainder at its limit, and never grows;
- the parts of an hour sum to its price, and the hours of a lease to its notional; what a voucher pays of a
  lease is at most its part of the hours that were delivered, but for a fen for each voucher after the first
  where no cash is left to take what they round;
- the fee of a lease is that of its delivered hours, to the fen, however it fell to them, and never more than
  their cash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.programmes.models import BASIS_POINTS
from exchange.settlement.models import CASH_VOUCHER_ID, HourPart, LeaseStatus
from exchange.vouchers.rules import capped, share_fen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.settlement.models import FundedOrder, Hold, LeaseFunding, Terms
    from exchange.vouchers.models import Share


class Targets(msgspec.Struct, frozen=True, gc=False):
    """Where an order's holds belong, in fen: its cash kept in all (committed + still open), and its shares'.

    `committed_fen` and `kept_fen` have one amount for each share of the terms.
    """

    cash_kept_fen: int
    committed_fen: tuple[int, ...]
    kept_fen: tuple[int, ...]


def targets(
    terms: Terms,
    *,
    placed_fen: Sequence[int],
    filled_notional_fen: int,
    eligible_fen: Sequence[int],
    open_gpus: int,
) -> Targets:
    """Where the holds of an order belong after some fills, with `open_gpus` still able to fill.

    `placed_fen` is what each share's vouchers set aside, `eligible_fen` what of the fills it is of. Shares
    are taken of the order's cumulative eligible notional, never fill by fill: rounding each fill down would
    let a bid that fills in pieces cost more of its own money than one that fills at once.

    The cash of an `only_eligible` bid is what its shares leave, worked out before any of them is rounded: so
    it never grows, whatever the fills. Each share beyond the first may round off a fen of its own, for which
    there is one more.
    """
    open_notional_fen = terms.limit_ticks * terms.hours * open_gpus
    committed, kept = [], []
    own_cash_fen = filled_notional_fen + open_notional_fen
    certain_parts = certain = 0
    for share, placed, eligible in zip(terms.shares, placed_fen, eligible_fen, strict=True):
        open_fen = capped(terms.limit_ticks, share.price_cap_ticks) * terms.hours * open_gpus
        committed.append(min(share_fen(eligible, share.rate_bps), placed))
        kept.append(min(share_fen(eligible + open_fen, share.rate_bps), placed))
        if share.reimbursed:
            continue
        # A bid that may trade with ineligible providers, or with one whose list price is not known yet, must
        # be able to pay those fills in full.
        if terms.only_eligible and share.list_cap_bps is None:
            certain_parts += min((eligible + open_fen) * share.rate_bps, placed * BASIS_POINTS)
            certain += 1
        else:
            own_cash_fen -= committed[-1]
    own_cash_fen += max(certain - 1, 0) - certain_parts // BASIS_POINTS
    return Targets(cash_kept_fen=own_cash_fen, committed_fen=tuple(committed), kept_fen=tuple(kept))


def holds_by_share(funded: FundedOrder) -> list[list[Hold]]:
    """The voucher holds of each share of a bid's terms, in spending order."""
    return [
        [hold for hold in funded.vouchers if hold.programme_id == share.programme_id]
        for share in funded.terms.shares
    ]


def targets_of(funded: FundedOrder, open_gpus: int) -> Targets:
    """Where the holds of a bid belong, with `open_gpus` still able to fill."""
    return targets(
        funded.terms,
        placed_fen=[sum(hold.placed_fen for hold in holds) for holds in holds_by_share(funded)],
        filled_notional_fen=funded.filled_notional_fen,
        eligible_fen=funded.eligible_fen,
        open_gpus=open_gpus,
    )


def kept_by_hold(funded: FundedOrder, open_gpus: int) -> list[int]:
    """What each hold of a bid keeps, committed and open, cash first; what is committed where nothing is open.

    Vouchers of one share keep in spending order.
    """
    holds = [funded.cash, *funded.vouchers]
    kept = [0] * len(holds)
    if open_gpus:
        wanted = targets_of(funded, open_gpus)
        kept = [wanted.cash_kept_fen]
        for share_holds, kept_fen in zip(holds_by_share(funded), wanted.kept_fen, strict=True):
            kept.extend(spread_in_order(kept_fen, [hold.placed_fen for hold in share_holds]))
    return [max(kept_fen, hold.committed_fen) for hold, kept_fen in zip(holds, kept, strict=True)]


def eligible_ticks(share: Share, price_ticks: int, list_price_ticks: int | None) -> int:
    """The part of a fill's price that a share is of; nothing where a list price caps it and there is none."""
    eligible = capped(price_ticks, share.price_cap_ticks)
    if share.list_cap_bps is None:
        return eligible
    return min(eligible, (list_price_ticks or 0) * share.list_cap_bps // BASIS_POINTS)


def spread_in_order(total_fen: int, placed_fen: Sequence[int]) -> list[int]:
    """`total_fen` over holds in spending order: each takes what it has until the total is met."""
    parts: list[int] = []
    for placed in placed_fen:
        part = min(total_fen, placed)
        parts.append(part)
        total_fen -= part
    return parts


def hour_parts(
    price_ticks: int, quantity_gpus: int, funding: Sequence[LeaseFunding], *, delivered: bool
) -> list[HourPart]:
    """What each source of a lease pays for its next hour, or has back of it, in the order of the sources.

    Of the hours delivered so far a voucher has paid its equal part of each, rounded down over all of them
    together, and of the failed ones it has that back, rounded up: so it never pays more than its share of
    what was delivered, wherever in the lease hours fail. The buyer's cash takes the rest of each hour, or
    vouchers do in spending order once the cash has no fen left; every hour is paid exactly, and after the
    last nothing is left. What is reimbursed is beside that: of the hours so far never more than their cash.
    """
    price_fen = price_ticks * quantity_gpus
    paying = [each for each in funding if not each.reimbursed]
    hours = sum(each.committed_fen for each in paying) // price_fen
    past = sum(each.captured_fen if delivered else each.returned_fen for each in paying) // price_fen
    due = {each.voucher_id: _due_fen(each, past + 1, hours, delivered=delivered) for each in funding}
    left_fen = price_fen
    amounts = {each.voucher_id: due[each.voucher_id] for each in funding if each.reimbursed}
    for each in paying:
        if each.voucher_id != CASH_VOUCHER_ID:
            amounts[each.voucher_id] = min(due[each.voucher_id], left_fen)
            left_fen -= amounts[each.voucher_id]
    for each in sorted(paying, key=lambda each: each.voucher_id != CASH_VOUCHER_ID):
        taken_fen = amounts.get(each.voucher_id, 0)
        more_fen = min(left_fen, each.open_fen - taken_fen)
        amounts[each.voucher_id] = taken_fen + more_fen
        left_fen -= more_fen
    return [HourPart(voucher_id=each.voucher_id, amount_fen=amounts[each.voucher_id]) for each in funding]


def _due_fen(part: LeaseFunding, count: int, hours: int, *, delivered: bool) -> int:
    """What is missing of a part's share of `count` hours that were delivered, or that failed, of all."""
    if delivered:
        due_fen = part.committed_fen * count // hours - part.captured_fen
    else:
        due_fen = -(-part.committed_fen * count // hours) - part.returned_fen
    return max(0, min(due_fen, part.open_fen))


def fee_fen(delivered_fen: int, fee_bps: int) -> int:
    """The fee of all that a lease delivered: a share of its whole price, rounded up to the fen.

    Rounded up, and once a lease: so no price is too small for a fee, and hours that are sold in many leases
    never cost less than in one, but less than a fen more for each.
    """
    return -(-delivered_fen * fee_bps // BASIS_POINTS)


def hour_fee_fen(delivered_fen: int, fee_bps: int, *, taken_fen: int, cash_fen: int) -> int:
    """What an hour pays of its lease's fee: what is due of `delivered_fen`, and was not taken before.

    `delivered_fen` is the price of all its delivered hours, this one included. It is taken of `cash_fen`, the
    hour's cash, since a voucher pays no fee; what that cannot pay is taken of the cash of later hours.
    """
    return min(fee_fen(delivered_fen, fee_bps) - taken_fen, cash_fen)


def lease_status(*, starts_hour: int, ends_hour: int, next_settlement_hour: int, hour: int) -> LeaseStatus:
    """Where a lease stands at the venue's current hour."""
    if next_settlement_hour >= ends_hour:
        return LeaseStatus.SETTLED
    if hour >= ends_hour:
        return LeaseStatus.ENDED
    return LeaseStatus.RUNNING if hour >= starts_hour else LeaseStatus.SCHEDULED
