"""What a bid must set aside, and whether its buyer has it: the judgement between a request and its book.

Works on what was read for the batch (`Means`, its accounts locked) less what earlier orders of the same batch
have set aside. Nothing is moved here: a `FundedOrder` is placed only once the book has accepted the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from exchange.kit.fields import format_cny
from exchange.ledger.models import CNY
from exchange.orders.models import Denial, DenialReason
from exchange.programmes.facts import Facts
from exchange.programmes.rules import asset_of
from exchange.settlement.models import CASH_VOUCHER_ID, FundedOrder, Hold, Terms
from exchange.settlement.rules import holds_by_share, targets
from exchange.vouchers.choice import choose, lowered
from exchange.vouchers.models import VoucherChoice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.idempotency import KnownAnswer
    from exchange.ledger.models import CashAccounts
    from exchange.orders.models import AmendRequest, LiveOrder, PlaceRequest
    from exchange.participants.models import Participant
    from exchange.products.models import ProductSpec
    from exchange.programmes.models import CapUse
    from exchange.programmes.registry import KnownProgramme
    from exchange.settlement.service import Taken
    from exchange.vouchers.models import FundedShare, Share, UsableVoucher, VoucherWish


class Means(msgspec.Struct, kw_only=True):
    """What was read for a batch before it ran: earlier outcomes, and the locked money of its buyers.

    `programmes` are those of which live orders have shares, among others. `amended` are the amendments that
    were carried out before, by participant and Idempotency-Key. On what is `amended_elsewhere` (by the same)
    or `placed_elsewhere` (by participant and client order id) another writer is working: what comes of that
    is not known yet.
    """

    known: Mapping[tuple[int, str], tuple[int, bytes]] = {}
    cash: Mapping[int, CashAccounts] = {}
    available_fen: Mapping[int, int] = {}
    vouchers: Mapping[int, Sequence[UsableVoucher]] = {}
    programmes: Mapping[int, KnownProgramme] = {}
    amended: Mapping[tuple[int, str], KnownAnswer] = {}
    amended_elsewhere: Collection[tuple[int, str]] = frozenset()
    placed_elsewhere: Collection[tuple[int, str]] = frozenset()


def fund(
    order: LiveOrder, request: PlaceRequest, means: Means, settlement: Taken, at_us: int
) -> FundedOrder | Denial:
    """Return the holds a bid needs, or why it is denied.

    `settlement` knows what earlier orders of the batch have set aside.
    """
    terms = order.terms
    wish: VoucherWish = request.voucher_ids or ("none" if terms.vouchers == "none" else "auto")
    choice = VoucherChoice()
    if wish != "none":
        facts = facts_of(order, request.product, request.participant, at_us)
        choice = choose(_left_of(means.vouchers.get(order.participant_id, ()), settlement), wish, facts)
    if choice.refusals or (terms.only_eligible and not choice.shares):
        detail = "no voucher can pay for it"
        return Denial(reason=DenialReason.NO_USABLE_VOUCHER, detail=detail, refusals=choice.refusals)
    money = Terms(
        limit_ticks=order.price_ticks,
        hours=order.hours,
        shares=tuple(funded.share for funded in choice.shares),
        only_eligible=terms.only_eligible,
    )
    nothing = [0] * len(choice.shares)
    wanted = targets(
        money,
        placed_fen=[funded.placed_fen for funded in choice.shares],
        filled_notional_fen=0,
        eligible_fen=nothing,
        open_gpus=order.quantity_gpus,
    )
    accounts = means.cash[order.participant_id]
    free_fen = means.available_fen[accounts.cash_id] - settlement.net_held_fen[accounts.cash_id]
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
        vouchers=_voucher_holds(order, choice.shares),
        cap_subjects=cap_subjects(order.participant_id, order.trade_group_id),
        eligible_fen=nothing,
    )


def shares_if_smaller(
    order: LiveOrder, quantity_gpus: int, request: AmendRequest, means: Means
) -> tuple[Share, ...] | None:
    """Return what programmes pay of a live order once it is smaller; None where it must be funded anew.

    No programme pays more than its rules give the order as it then is: by the version and the time under
    which its money was set aside. Where that is less, holds can only shrink with it: not where a part traded
    at the rate before, nor where the buyer's own part would outgrow its hold; and a programme that would pay
    nothing at all is no share.
    """
    shares, funded = order.terms.shares, order.funded
    if funded is None or not shares or quantity_gpus <= order.filled_gpus:
        return shares
    placed = facts_of(order, request.product, request.participant, order.created_at_us)
    facts = replace(placed, quantity_gpus=quantity_gpus)
    versions = {share.programme_id: means.programmes[share.programme_id].versions for share in shares}
    left = lowered(shares, versions, facts)
    if left == shares:
        return shares
    if order.filled_gpus or not all(share.rate_bps for share in left):
        return None
    wanted = targets(
        replace(funded.terms, shares=left),
        placed_fen=[sum(hold.placed_fen for hold in holds) for holds in holds_by_share(funded)],
        filled_notional_fen=0,
        eligible_fen=[0] * len(left),
        open_gpus=quantity_gpus,
    )
    return left if wanted.cash_kept_fen <= funded.cash.open_fen else None


def facts_of(order: LiveOrder, product: ProductSpec, company: Participant, at_us: int) -> Facts:
    """Return what programmes judge of an order whose money is set aside at a time."""
    return Facts(
        product=product,
        company=company,
        quantity_gpus=order.quantity_gpus,
        hours=order.hours,
        price_ticks=order.price_ticks,
        at_us=at_us,
        fills_whole=order.terms.fill == "all_or_none",
    )


def cap_subjects(participant_id: int, trade_group_id: int) -> tuple[int, ...]:
    """Return whom an order's vouchers count against in a yearly cap: its company, and its trade group."""
    return (participant_id, trade_group_id) if trade_group_id else (participant_id,)


def _left_of(vouchers: Sequence[UsableVoucher], settlement: Taken) -> list[UsableVoucher]:
    """Return vouchers with what earlier orders of the batch have left of them and of their yearly caps."""
    held, used = settlement.net_held_fen, settlement.net_used_fen
    return [
        replace(
            each,
            available_fen=each.available_fen - held[each.account_id],
            used=_used_with(each.used, used, each.programme_id) if used else each.used,
        )
        for each in vouchers
    ]


def _used_with(use: CapUse, net_used_fen: Mapping[tuple[int, int, int], int], programme_id: int) -> CapUse:
    """Return what is used of a programme once what a batch adds is counted too."""
    own = net_used_fen.get((programme_id, use.subject_id, use.year), 0)
    group = net_used_fen.get((programme_id, use.group_subject_id, use.year), 0)
    return replace(use, used_fen=use.used_fen + own, group_used_fen=use.group_used_fen + group)


def _voucher_holds(order: LiveOrder, shares: Sequence[FundedShare]) -> list[Hold]:
    """Return the holds of vouchers in spending order, share by share."""
    parts = [(funded.share, voucher, part_fen) for funded in shares for voucher, part_fen in funded.parts]
    return [
        Hold(
            order_id=order.order_id,
            voucher_id=voucher.voucher_id,
            position=position,
            programme_id=share.programme_id,
            programme_version=share.programme_version,
            cap_year=voucher.used.year if share.capped_by_use else None,
            asset=asset_of(voucher.programme_id),
            source_account_id=voucher.account_id,
            escrow_account_id=voucher.escrow_account_id,
            placed_fen=part_fen,
        )
        for position, (share, voucher, part_fen) in enumerate(parts, start=1)
    ]
