"""Which of several products a job is placed on: the one that would fill it most cheaply at this moment.

The book itself is asked, by the code that would place the bid. Where no product can fill the whole job now,
it goes to the one with the highest limit, where it is likeliest to fill later; ties go to the trace's order.
"""

from collections.abc import Callable

from exchange.replay.plan import Alternative, PlannedBid
from matching.book import OrderBook
from matching.depth import preview
from matching.order import Bid, FillPolicy


def cheapest_alternative(bid: PlannedBid, book_of: Callable[[str], OrderBook]) -> Alternative:
    """Return the alternative with the lowest cost among those that can fill now, else the highest limit."""
    best: tuple[int, Alternative] | None = None
    for alternative in bid.alternatives:
        cost_ticks = cost_now_ticks(bid, alternative, book_of(alternative.product_id))
        if cost_ticks is not None and (best is None or cost_ticks < best[0]):
            best = (cost_ticks, alternative)
    if best is not None:
        return best[1]
    return max(bid.alternatives, key=lambda alternative: alternative.limit_ticks)


def cost_now_ticks(bid: PlannedBid, alternative: Alternative, book: OrderBook) -> int | None:
    """Return what the whole job would cost, None where the book would not fill it."""
    wanted = Bid(
        order_id=0,
        participant=0,
        trade_group=0,
        product=alternative.product_id,
        quantity_gpus=bid.quantity_gpus,
        hours=bid.hours,
        earliest_hour=bid.earliest_hour,
        latest_hour=bid.latest_hour,
        limit_ticks=alternative.limit_ticks,
        fill=FillPolicy.ALL_OR_NONE,
    )
    found = preview(book, wanted)
    return found.notional_ticks if found.filled_gpus == bid.quantity_gpus else None
