"""From matches to events: one bid tried against the book, one arriving ask against the bids it could serve.

Self-trade prevention: a bid is first matched as if its own group's asks were eligible. What it would take of
them is told, once a pair, and the bid is matched again without them. The price is that of the order with the
lower sequence. Where `Working` is direct, the book changes as the events are told; else it does not change.
"""

from matching.events import Event, ExpireReason, OrderExpired, SelfTradePrevented, Traded
from matching.live import LiveAsk, LiveBid, LiveOrder, pair
from matching.sweep import match_flexible
from matching.units import run_starts
from matching.walk import Match, Working, eligible, match_fixed


def match_bid(working: Working, bid: LiveBid, wanted: int, own: bool = False) -> Match | None:  # noqa: FBT001, FBT002
    """Return the match of a bid that wants `wanted` GPUs, or None where it takes nothing.

    `own` admits the asks of the bid's own group.
    """
    if bid.mask & (bid.mask - 1):
        return match_flexible(working, bid, wanted, own)
    return match_fixed(working, bid, wanted, own)


def try_bid(working: Working, bid: LiveBid, wanted: int, sequence: int, events: list[Event]) -> int:
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
        match = match_bid(working, bid, wanted)
        if match is None:
            return wanted
    book = working.book
    direct = working.direct
    bid_id = bid.order_id
    hours = bid.hours
    need, takes = match
    starts_hour = book.hour + need.bit_length() - hours
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
            left = book.fill(bid, ask, need, quantity)
            book.last_price_ticks = price_ticks
        else:
            left = working.fill(bid, ask, need, quantity)
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
    order = ask.order
    price_ticks = ask.price_ticks
    # By the length of a run, where the ask can still begin one; known anew when hours have sold out.
    mask = ask.mask
    starts: dict[int, int] = {}
    # A bid that fills leaves the index, and its block may go with it: neither disturbs this walk.
    for block in reversed(working.book.bids.ladder):
        if block.price_ticks < price_ticks:
            return
        if not block.cover & mask:
            continue
        for bid in list(block.orders.values()):
            if not bid.mask & mask:
                continue
            hours = bid.hours
            begins = starts.get(hours)
            if begins is None:
                begins = starts[hours] = run_starts(mask, hours)
            if bid.mask & begins and eligible(bid.order, order):
                try_bid(working, bid, bid.gpus, sequence, events)
                if not ask.remaining_gpus:
                    return
                if ask.mask != mask:
                    mask = ask.mask
                    starts = {}


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
    book = working.book
    profile = working.capacity(ask)
    if run_starts(profile.mask(book.hour), ask.order.min_hours):
        return
    events.append(expired(sequence, ask, ExpireReason.TOO_SHORT_TO_SELL, profile.greatest(), left))
    if working.direct:
        book.remove(ask)
