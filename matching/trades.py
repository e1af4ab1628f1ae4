"""From matches to events: one bid tried against the book, one arriving ask against the bids it could serve.

Self-trade prevention: a bid is first matched as if its own group's asks were eligible. What it would take of
them is told, once a pair, and the bid is matched again without them. The price is that of the order with the
lower sequence. Where `Working` is direct, the book changes as the events are told; else it does not change.
"""

from matching.events import Event, ExpireReason, OrderExpired, SelfTradePrevented, Traded
from matching.live import LiveAsk, LiveBid, LiveOrder, pair, stretches
from matching.sweep import match_flexible
from matching.walk import Match, Working, eligible, match_fixed


def match_bid(working: Working, bid: LiveBid, wanted: int, own: bool = False) -> Match | None:  # noqa: FBT001, FBT002
    """Return the match of a bid that wants `wanted` GPUs, or None where it takes nothing.

    `own` admits the asks of the bid's own group.
    """
    if bid.ends_hour - bid.starts_hour != bid.hours:
        return match_flexible(working, bid, wanted, own)
    return match_fixed(working, bid, wanted, own)


def try_bid(  # noqa: C901 - one pass over the match
    working: Working, bid: LiveBid, wanted: int, sequence: int, events: list[Event]
) -> int:
    """Match a bid that wants `wanted` GPUs, add the events, and return the GPUs it still wants."""
    match = match_bid(working, bid, wanted, True)  # noqa: FBT003
    if match is None:
        return wanted
    participant = bid.participant
    trade_group = bid.order.trade_group
    barred: list[LiveAsk] = []
    for ask, _ in match[1]:
        # `same_group`, written out: every match asks.
        if ask.participant == participant or (trade_group and ask.order.trade_group == trade_group):
            barred.append(ask)
    if barred:
        _prevent(working, bid, barred, sequence, events)
    # Own asks that were not taken can still have kept a flexible bid from an earlier or cheaper start.
    if barred or working.met_own:
        match = match_bid(working, bid, wanted)
        if match is None:
            return wanted
    book = working.book
    direct = working.direct
    bid_id = bid.order_id
    hours = bid.hours
    starts_hour, takes = match
    for ask, quantity in takes:
        wanted -= quantity
        ask_id = ask.order_id
        if bid.sequence < ask.sequence:
            price_ticks = bid.price_ticks
            maker_id = bid_id
            taker_id = ask_id
        else:
            price_ticks = ask.price_ticks
            maker_id = ask_id
            taker_id = bid_id
        if direct:
            left = book.fill(bid, ask, starts_hour, quantity)
            book.last_price_ticks = price_ticks
        else:
            left = working.fill(bid, ask, starts_hour, quantity)
        events.append(
            Traded(
                sequence,
                maker_id,
                taker_id,
                bid_id,
                ask_id,
                participant,
                ask.participant,
                quantity,
                starts_hour,
                hours,
                price_ticks,
                wanted,
                left,
            )
        )
        if left and ask.order.min_hours > 1 and ask is not working.arriving:
            _expire_remnant(working, ask, left, sequence, events)
    return wanted


def sell(working: Working, ask: LiveAsk, sequence: int, events: list[Event]) -> None:
    """Try an arriving ask against every resting bid it could serve, dearest first, then oldest.

    A bid is tried where the ask, their group aside, is a candidate for one of its starts. Each is matched
    against the whole book, since one that takes all or nothing may need older asks too.
    """
    free = stretches(ask)
    left = ask.remaining_gpu_hours
    # A bid that fills leaves the index, and its block may go with it: neither disturbs this walk.
    for block in reversed(working.book.bids.ladder):
        if block.price_ticks < ask.price_ticks:
            return
        if not block.cover & ask.spans:
            continue
        for bid in list(block.orders.values()):
            if not _fits(free, bid) or not eligible(bid.order, ask.order):
                continue
            try_bid(working, bid, bid.gpus, sequence, events)
            if left != ask.remaining_gpu_hours:
                left = ask.remaining_gpu_hours
                if not left:
                    return
                free = stretches(ask)


def _fits(free: list[tuple[int, int]], bid: LiveBid) -> bool:
    """Whether one of the runs that a bid could choose lies within one of these stretches of hours."""
    hours = bid.hours
    # The run that begins first ends here, and the one that begins last begins there.
    first_end = bid.starts_hour + hours
    last_start = bid.ends_hour - hours
    for starts_hour, ends_hour in free:
        if starts_hour > last_start:
            return False
        if ends_hour >= first_end and ends_hour - starts_hour >= hours:
            return True
    return False


def _prevent(
    working: Working, bid: LiveBid, barred: list[LiveAsk], sequence: int, events: list[Event]
) -> None:
    for ask in barred:
        # A replacement may keep the id of an ask that the bid was told of: it is a new order.
        if ask is working.arriving or ask.order_id not in (bid.prevented or ()):
            events.append(
                SelfTradePrevented(sequence, bid.order_id, ask.order_id, bid.participant, ask.participant)
            )
            if working.direct:
                # The pair refers to both by id: whichever arrives has to be filed from now on.
                orders = working.book.orders
                if bid.order_id not in orders:
                    working.book.add(bid)
                if ask.order_id not in orders:
                    working.book.add(ask)
                pair(bid, ask)


def expired(sequence: int, order: LiveOrder, reason: ExpireReason, gpus: int, gpu_hours: int) -> OrderExpired:
    """Return the event of an order that lapses with this much remaining."""
    return OrderExpired(sequence, order.order_id, order.participant, reason, gpus, gpu_hours)


def _expire_remnant(working: Working, ask: LiveAsk, left: int, sequence: int, events: list[Event]) -> None:
    """Let an ask lapse of which no piece of `min_hours` is left."""
    profile = working.capacity(ask)
    if any(ends - starts >= ask.order.min_hours for starts, ends in profile.stretches()):
        return
    events.append(expired(sequence, ask, ExpireReason.TOO_SHORT_TO_SELL, profile.greatest(), left))
    if working.direct:
        working.book.remove(ask)
