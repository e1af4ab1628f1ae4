"""What a bid must set aside, and whether its buyer has it: the judgement between a request and its book.

Works on what was read for the batch (`Means`, its accounts locked) less what earlier orders of the same batch
have set aside. Nothing is moved here: a `FundedOrder` is placed only once the book has accepted the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.fields import format_cny
from exchange.ledger.models import CNY
from exchange.orders.models import Denial, DenialReason
from exchange.settlement.models import CASH_VOUCHER_ID, FundedOrder, Hold, Terms
from exchange.settlement.rules import targets
from exchange.vouchers.facts import Facts
from exchange.vouchers.rules import asset_of, choose, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exchange.ledger.models import CashAccounts
    from exchange.orders.models import LiveOrder, PlaceRequest
    from exchange.vouchers.models import UsableVoucher, VoucherWish


class Means(msgspec.Struct, kw_only=True):
    """What was read for a batch before it ran: earlier outcomes, and the locked money of its buyers."""

    known: Mapping[tuple[int, str], tuple[int, bytes]] = {}
    cash: Mapping[int, CashAccounts] = {}
    available_fen: Mapping[int, int] = {}
    vouchers: Mapping[int, Sequence[UsableVoucher]] = {}


def fund(
    order: LiveOrder, request: PlaceRequest, means: Means, net_held_fen: Mapping[int, int], at_us: int
) -> FundedOrder | Denial:
    """Return the holds a bid needs, or why it is denied.

    `net_held_fen` is what earlier orders of the batch have set aside, by account.
    """
    terms = order.terms
    wish: VoucherWish = request.voucher_ids or ("none" if terms.vouchers == "none" else "auto")
    usable = () if wish == "none" else means.vouchers.get(order.participant_id, ())
    facts = Facts(
        product=request.product,
        company=request.participant,
        quantity_gpus=order.quantity_gpus,
        hours=order.hours,
        price_ticks=order.price_ticks,
        at_us=at_us,
    )
    choice = choose(_left_of(usable, net_held_fen), wish, facts)
    if choice.refusals or (terms.only_eligible and choice.programme_id is None):
        detail = "no voucher can pay for it"
        return Denial(reason=DenialReason.NO_USABLE_VOUCHER, detail=detail, refusals=choice.refusals)
    money = Terms(
        limit_ticks=order.price_ticks,
        hours=order.hours,
        rate_bps=choice.rate_bps,
        price_cap_ticks=choice.price_cap_ticks,
        only_eligible=terms.only_eligible,
        programme_id=choice.programme_id,
        programme_version=choice.programme_version,
        programme_mask=choice.mask,
    )
    parts = parts_of(choice, facts)
    wanted = targets(
        money,
        voucher_placed_fen=sum(fen for _, fen in parts),
        filled_notional_fen=0,
        eligible_notional_fen=0,
        open_gpus=order.quantity_gpus,
    )
    accounts = means.cash[order.participant_id]
    free_fen = means.available_fen[accounts.cash_id] - net_held_fen[accounts.cash_id]
    if wanted.cash_kept_fen > free_fen:
        needed, free = format_cny(wanted.cash_kept_fen), format_cny(max(free_fen, 0))
        detail = f"it must set aside {needed} CNY, of which {free} CNY are free"
        return Denial(reason=DenialReason.INSUFFICIENT_FUNDS, detail=detail)
    return FundedOrder(
        order_id=order.order_id,
        buyer_id=order.participant_id,
        terms=money,
        cash=Hold(
            order_id=order.order_id,
            voucher_id=CASH_VOUCHER_ID,
            position=0,
            asset=CNY,
            source_account_id=accounts.cash_id,
            escrow_account_id=accounts.escrow_id,
            placed_fen=wanted.cash_kept_fen,
        ),
        vouchers=_voucher_holds(order, parts),
    )


def _left_of(vouchers: Sequence[UsableVoucher], net_held_fen: Mapping[int, int]) -> list[UsableVoucher]:
    """Return vouchers with what earlier orders of the batch have left of them."""
    return [
        msgspec.structs.replace(each, available_fen=each.available_fen - net_held_fen[each.account_id])
        for each in vouchers
    ]


def _voucher_holds(order: LiveOrder, parts: Sequence[tuple[UsableVoucher, int]]) -> list[Hold]:
    """Return the holds of vouchers in spending order."""
    return [
        Hold(
            order_id=order.order_id,
            voucher_id=voucher.voucher_id,
            position=position,
            asset=asset_of(voucher.programme_id),
            source_account_id=voucher.account_id,
            escrow_account_id=voucher.escrow_account_id,
            placed_fen=part_fen,
        )
        for position, (voucher, part_fen) in enumerate(parts, start=1)
    ]
