"""From matches to events: one bid tried against the book, one arriving ask against the bids it could serve.

Self-trade prevention: a bid is first matched as if its own group's asks were eligible. What it would take of
them is told, once a pair, and the bid is matched again without them. The price is that of the order with the
lower sequence. Where `Working` is direct, the book changes as the events are told; else it does not change.
"""

from matching.events import Event, ExpireReason, OrderExpired, SelfTradePrevented, Traded
from matching.live import LiveAsk, LiveBid, pair
from matching.units import SEQUENCE_BITS, run_starts
from matching.walk import Match, Working, eligible, match_bid


def try_bid(working: Working, bid: LiveBid, wanted: int, sequence: int, events: list[Event]) -> int:
    """Match a bid that wants `wanted` GPUs, add the events, and return the GPUs it still wants."""
    match = match_bid(working, bid, wanted, own=True)
    if match is None:
        return wanted
    participant = bid.participant
    trade_group = bid.trade_group
    barred: list[LiveAsk] = []
    for ask, _ in match[1]:
        # `same_group`, written out: every match asks.
        if ask.participant == participant or (trade_group and ask.trade_group == trade_group):
            barred.append(ask)
    if barred:
        _prevent(working, bid, barred, sequence, events)
        match = match_bid(working, bid, wanted)
        if match is None:
            return wanted
    return _trade(working, bid, wanted, match, sequence, events)


def sell(working: Working, ask: LiveAsk, sequence: int, events: list[Event]) -> None:
    """Try an arriving ask against every resting bid it could serve, dearest first, then oldest.

    A bid is tried where the ask, their group aside, is a candidate for one of its starts. Each is matched
    against the whole book, since one that takes all or nothing may need older asks too.
    """
    book = working.book
    for bid in book.bids.touching(ask.mask, ((1 - ask.price_ticks) << SEQUENCE_BITS) - 1):
        if not eligible(bid, ask) or not run_starts(ask.mask, bid.hours) & bid.mask:
            continue
        try_bid(working, bid, bid.remaining_gpus, sequence, events)
        if not ask.profile.gpu_hours:
            return


def _prevent(
    working: Working, bid: LiveBid, barred: list[LiveAsk], sequence: int, events: list[Event]
) -> None:
    for ask in barred:
        # A replacement may keep the id of an ask that the bid was told of: it is a new order.
        if ask is working.arriving or ask.order_id not in (bid.prevented or ()):
            events.append(
                SelfTradePrevented(
                    sequence=sequence,
                    bid_order_id=bid.order_id,
                    ask_order_id=ask.order_id,
                    buyer=bid.participant,
                    seller=ask.participant,
                )
            )
            if working.direct:
                # The pair refers to both by id: whichever arrives has to be filed from now on.
                orders = working.book.orders
                if bid.order_id not in orders:
                    working.book.add(bid)
                if ask.order_id not in orders:
                    working.book.add(ask)
                pair(bid, ask)


def expired(
    sequence: int, order: LiveAsk | LiveBid, reason: ExpireReason, gpus: int, gpu_hours: int
) -> OrderExpired:
    """Return the event of an order that lapses with this much remaining."""
    return OrderExpired(
        sequence=sequence,
        order_id=order.order_id,
        participant=order.participant,
        reason=reason,
        remaining_gpus=gpus,
        remaining_gpu_hours=gpu_hours,
    )


def _trade(
    working: Working, bid: LiveBid, wanted: int, match: Match, sequence: int, events: list[Event]
) -> int:
    hours = bid.hours
    starts_hour, takes = match
    for ask, quantity in takes:
        wanted -= quantity
        bid_rested_first = bid.sequence < ask.sequence
        price_ticks = bid.price_ticks if bid_rested_first else ask.price_ticks
        fill = working.book.fill if working.direct else working.fill
        left = fill(bid, ask, starts_hour, quantity, price_ticks)
        events.append(
            Traded(
                sequence=sequence,
                maker_order_id=bid.order_id if bid_rested_first else ask.order_id,
                taker_order_id=ask.order_id if bid_rested_first else bid.order_id,
                bid_order_id=bid.order_id,
                ask_order_id=ask.order_id,
                buyer=bid.participant,
                seller=ask.participant,
                quantity_gpus=quantity,
                starts_hour=starts_hour,
                hours=hours,
                price_ticks=price_ticks,
                bid_remaining_gpus=wanted,
                ask_remaining_gpu_hours=left,
            )
        )
        if left and ask.min_hours > 1 and ask is not working.arriving:
            _expire_remnant(working, ask, left, sequence, events)
    return wanted


def _expire_remnant(working: Working, ask: LiveAsk, left: int, sequence: int, events: list[Event]) -> None:
    """Let an ask lapse of which no piece of `min_hours` is left."""
    book = working.book
    profile = working.profile(ask)
    if run_starts(profile.mask(book.hour), ask.min_hours):
        return
    events.append(expired(sequence, ask, ExpireReason.TOO_SHORT_TO_SELL, profile.greatest(), left))
    if working.direct:
        book.remove(ask)
