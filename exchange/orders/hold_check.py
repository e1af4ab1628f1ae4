"""What live bids must hold, worked out anew from the orders: a question of `exchange ledger check`.

For each bid that can still fill: what it filled is what its trades cost, and each of its holds keeps what its
limit, its open quantity and the shares of its programmes ask for (`settlement.rules.targets`), no more and no
less. Each share is no more than the rules that it is held under give the order (`vouchers.share_check`, which
says what cannot be known). The ledger's own questions then tie the holds to the balances.

Memory: a page of bids, the catalogue, and the programmes' rules, as every process has them.

Known limit: which part of a fill a programme pays of (`orders.eligible_fen`) is taken as the order's word,
within what was filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.kit.ids import encode_id
from exchange.ledger.checking import EVERYTHING
from exchange.ledger.models import Difference, DifferenceKind
from exchange.orders import store
from exchange.orders.funding import facts_of
from exchange.orders.partition import funded_of
from exchange.participants.service import participants_by_ids
from exchange.products.service import load_products
from exchange.programmes.registry import ProgrammeRegistry
from exchange.settlement.models import CASH_VOUCHER_ID
from exchange.settlement.rules import kept_by_hold
from exchange.settlement.service import fills_of_orders, holds_of_bids
from exchange.vouchers.rules import capped, share_fen
from exchange.vouchers.share_check import share_faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from exchange.kit.database import Connection
    from exchange.ledger.checking import Question
    from exchange.orders.models import LiveOrder
    from exchange.settlement.models import Hold
    from exchange.vouchers.share_check import ShareFault

BIDS_AT_A_TIME: Final = 1_000


async def bid_differences(connection: Connection) -> AsyncIterator[Difference]:
    """Give the holds of live bids that are not what the bids must set aside, in the order of the bids."""
    programmes, after_id = ProgrammeRegistry(), 0
    await programmes.refresh(connection)
    versions = {each: known.versions for each, known in programmes.programmes.items()}
    products = {product.id: product for product in await load_products(connection)}
    while bids := await store.live_bids_after(connection, after_id, BIDS_AT_A_TIME):
        after_id = bids[-1].order_id
        ids = [bid.order_id for bid in bids]
        holds = await holds_of_bids(connection, ids)
        filled: dict[int, int] = dict.fromkeys(ids, 0)
        for trade in await fills_of_orders(connection, ids):
            filled[trade.bid_order_id] += trade.notional_fen
        companies = await participants_by_ids(
            connection, {bid.participant_id for bid in bids if bid.terms.shares}
        )
        for bid in bids:
            if bid.terms.shares:
                company = companies[bid.participant_id]
                facts = facts_of(bid, products[bid.product_id], company, bid.created_at_us)
                for fault in share_faults(bid.terms.shares, versions, facts):
                    yield _share_difference(bid, fault)
            for each in _differences(bid, holds.get(bid.order_id, []), filled[bid.order_id]):
                yield each


def _differences(bid: LiveOrder, holds: Sequence[Hold], filled_fen: int) -> list[Difference]:
    """Say what of one bid is not what it must be."""
    name = encode_id("ord", bid.order_id)
    if not any(hold.voucher_id == CASH_VOUCHER_ID for hold in holds):
        return [_difference(name, "cash", 0, 1, "it can still fill and has no cash hold")]
    found = []
    if filled_fen != bid.filled_notional_fen:
        words = f"it counts {bid.filled_notional_fen} fen as filled and its trades cost {filled_fen}"
        found.append(_difference(name, "filled", bid.filled_notional_fen, filled_fen, words))
    funded = funded_of(bid, holds)
    kept = kept_by_hold(funded, bid.quantity_gpus - bid.filled_gpus)
    for hold, must_fen in zip((funded.cash, *funded.vouchers), kept, strict=True):
        kept_fen = hold.placed_fen - hold.released_fen
        if kept_fen != must_fen:
            source = f"voucher {encode_id('vch', hold.voucher_id)}" if hold.voucher_id else "cash"
            words = (
                f"{kept_fen} fen of its {source} are set aside or spent, and by its terms it is {must_fen}"
            )
            found.append(_difference(name, f"kept of {source}", kept_fen, must_fen, words))
    return found


def _share_difference(bid: LiveOrder, fault: ShareFault) -> Difference:
    """Say how much more a share would pay of the whole bid than its rules allow."""
    share = fault.share
    name = f"programme {encode_id('prg', share.programme_id)}"
    of_fen = capped(bid.price_ticks, share.price_cap_ticks) * bid.hours * bid.quantity_gpus
    return _difference(
        encode_id("ord", bid.order_id),
        f"share of {name}",
        share_fen(of_fen, share.rate_bps),
        share_fen(of_fen, min(share.rate_bps, fault.allowed_bps)),
        f"it is held to {share.rate_bps} basis points of {name}, and {fault.why}",
    )


def _difference(subject: str, measure: str, stored: int, recomputed: int, detail: str) -> Difference:
    return Difference(
        kind=DifferenceKind.HOLD_NOT_OF_ORDER,
        subject=subject,
        measure=measure,
        stored_fen=stored,
        recomputed_fen=recomputed,
        detail=detail,
    )


EVERY_QUESTION: Final[Sequence[Question]] = (*EVERYTHING, bid_differences)
"""All that the ledger asks of itself, and this."""
