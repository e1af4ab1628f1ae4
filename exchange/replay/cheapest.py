"""Which of several products a job is placed on: the one that would fill it most cheaply at this moment.

The book itself is asked, with the very match an arriving bid would make. Where no product can fill the whole
job now, it goes to the one with the highest limit, where it is likeliest to fill later; ties go to the
trace's order.
"""

from collections.abc import Callable

from exchange.replay.plan import Alternative, PlannedBid
from matching.book import OrderBook
from matching.live import LiveBid
from matching.order import Bid, FillPolicy
from matching.walk import Working, match_bid

_LAST_SEQUENCE = 2**62


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
    """Return what the whole job would cost for each hour of its run, None where the book cannot fill it."""
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
    match = match_bid(Working(book), LiveBid(wanted, _LAST_SEQUENCE, book.hour), bid.quantity_gpus)
    return None if match is None else sum(take.quantity * take.ask.price_ticks for take in match.takes)
