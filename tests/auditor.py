"""Watches a book from outside: keeps its own account of every order from commands and events alone.

`Auditor.hear` raises AssertionError, naming the promise of `docs/matching.md` that was broken. It imports
value types only, never decides what should happen, and so catches what a fault shared by the book and its
oracle would hide.
"""

from collections.abc import Sequence

from matching.commands import Command
from matching.events import (
    Event,
    HourAdvanced,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderReplaced,
    OrderRested,
    PhaseChanged,
    Traded,
)
from matching.order import Ask, Bid, FillPolicy, Placement, TimeInForce
from matching.product import Phase, Product


class AskAccount:
    """GPUs by hour: offered = free + sold + gone."""

    def __init__(self, order: Ask, sequence: int) -> None:
        self.order = order
        self.sequence = sequence
        self.total = order.quantity_gpus
        hours = range(order.starts_hour, order.ends_hour)
        self.free = dict.fromkeys(hours, order.quantity_gpus)
        self.sold = dict.fromkeys(hours, 0)
        self.gone = dict.fromkeys(hours, 0)

    def room(self, start: int, hours: int) -> int:
        """Return the GPUs free in every hour of the run."""
        return min(self.free.get(hour, 0) for hour in range(start, start + hours))

    def lose(self, hour: int, quantity: int) -> None:
        """Book free GPUs as withdrawn or lapsed."""
        self.free[hour] -= quantity
        self.gone[hour] += quantity


class BidAccount:
    """What a bid asked for and got."""

    def __init__(self, order: Bid, sequence: int) -> None:
        self.order = order
        self.sequence = sequence
        self.wanted = self.total = order.quantity_gpus
        self.start: int | None = None
        self.sites: list[int] = []
        self.single = order.placement is Placement.SINGLE_SITE
        whole_terms = order.fill is FillPolicy.ALL_OR_NONE or order.time_in_force is TimeInForce.FOK
        self.whole = self.single or whole_terms


class Auditor:
    """The accounts of one book."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.hour = 0
        self.phase = Phase.OPEN
        self.asks: dict[int, AskAccount] = {}
        self.bids: dict[int, BidAccount] = {}
        # GPU-hours of all asks there ever were.
        self.offered = self.sold = self.withdrawn = self.expired = 0

    def hear(self, command: Command, events: Sequence[Event]) -> None:  # noqa: C901 - one case an event
        """Check and book the events of one command."""
        traded_before = {order_id: bid.wanted for order_id, bid in self.bids.items()}
        for event in events:
            assert event.sequence == command.sequence
            match event:
                case OrderAccepted(order=Ask() as ask):
                    self.asks[ask.order_id] = AskAccount(ask, event.sequence)
                    self.offered += ask.quantity_gpus * (ask.ends_hour - ask.starts_hour)
                case OrderAccepted(order=Bid() as bid):
                    self.bids[bid.order_id] = BidAccount(bid, event.sequence)
                    traded_before[bid.order_id] = bid.quantity_gpus
                case OrderReduced():
                    self.reduce(event)
                    traded_before[event.order_id] = event.remaining_gpus
                case OrderRested():
                    self.check_remainder(event)
                    account = self.account(event.order_id)
                    immediate = account.order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
                    assert not immediate, "an immediate order rests"
                case Traded():
                    self.trade(event)
                case OrderCancelled() | OrderExpired() | OrderReplaced():
                    self.leave(event)
                case HourAdvanced():
                    self.advance(event)
                case PhaseChanged():
                    self.phase = event.phase
                case _:
                    pass
        for order_id, bid_account in self.bids.items():
            if bid_account.whole:
                assert bid_account.wanted == traded_before[order_id], "all-or-none was filled in part"
        self.check_expiry()
        self.check_uncrossed()
        self.check_conservation()

    def account(self, order_id: int) -> AskAccount | BidAccount:
        """Return the account of a live order."""
        return self.asks.get(order_id) or self.bids[order_id]

    def trade(self, event: Traded) -> None:
        """Check one fill against both orders and every better ask, and book it."""
        ask, bid = self.asks[event.ask_order_id], self.bids[event.bid_order_id]
        offer, need = ask.order, bid.order
        quantity, start = event.quantity_gpus, event.starts_hour
        assert self.phase is Phase.OPEN, "traded in a closed book"
        assert quantity > 0
        assert quantity % self.product.lot_gpus == 0, "broken lot"
        assert offer.price_ticks <= event.price_ticks <= need.limit_ticks, "outside a limit"
        older = bid.sequence < ask.sequence
        assert event.price_ticks == (need.limit_ticks if older else offer.price_ticks), (
            "not the maker's price"
        )
        assert (event.maker_order_id, event.taker_order_id) == (
            (need.order_id, offer.order_id) if older else (offer.order_id, need.order_id)
        )
        assert (event.buyer, event.seller) == (need.participant, offer.participant)
        assert event.hours == need.hours
        assert need.earliest_hour <= start <= need.latest_hour - need.hours, "outside the bid's window"
        assert offer.starts_hour <= start, "outside the ask's window"
        assert start + need.hours <= offer.ends_hour, "outside the ask's window"
        assert start >= self.hour, "sold the past"
        assert self.may_trade(bid, ask), "masks, group, price or min_hours"
        assert bid.start in (None, start), "two runs"
        assert ask.room(start, need.hours) >= quantity, "oversold"
        for better in self.asks.values():
            if self.may_trade(bid, better) and self.rank(better) < self.rank(ask):
                room = better.room(start, need.hours)
                assert room < quantity if bid.single else room == 0, "a better ask was skipped"
        taker = ask if older else bid
        # One that takes all or nothing may rest, and take older asks together with a later one.
        assert not taker.order.post_only or taker.sequence < event.sequence, "post-only, took on arrival"
        if older:
            # The ask arrives, and goes to the dearest, then oldest bid that it could serve.
            for dearer in self.bids.values():
                if (-dearer.order.limit_ticks, dearer.sequence) < (-need.limit_ticks, bid.sequence):
                    assert not self.could_trade(dearer), f"better bid {dearer.order.order_id} was skipped"
        bid.start = start
        bid.wanted -= quantity
        bid.sites.append(offer.order_id)
        assert bid.wanted >= 0, "filled more than wanted"
        assert not bid.single or len(bid.sites) == 1, "two sites"
        for hour in range(start, start + need.hours):
            ask.free[hour] -= quantity
            ask.sold[hour] += quantity
        self.sold += quantity * need.hours
        assert event.bid_remaining_gpus == bid.wanted
        assert event.ask_remaining_gpu_hours == sum(ask.free.values())
        if not bid.wanted:
            del self.bids[need.order_id]
        if not sum(ask.free.values()):
            del self.asks[offer.order_id]

    def reduce(self, event: OrderReduced) -> None:
        """Book a smaller quantity."""
        ask = self.asks.get(event.order_id)
        if ask is not None:
            less = ask.total - event.quantity_gpus
            for hour, free in ask.free.items():
                ask.lose(hour, min(free, less))
                self.withdrawn += min(free, less)
            ask.total = event.quantity_gpus
        else:
            bid = self.bids[event.order_id]
            bid.wanted -= bid.total - event.quantity_gpus
            bid.total = event.quantity_gpus
        self.check_remainder(event)

    def leave(self, event: OrderCancelled | OrderExpired | OrderReplaced) -> None:
        """Book an order that leaves with what remains of it."""
        self.check_remainder(event)
        self.bids.pop(event.order_id, None)
        ask = self.asks.pop(event.order_id, None)
        if ask is None:
            return
        if isinstance(event, OrderExpired):
            self.expired += event.remaining_gpu_hours
        else:
            self.withdrawn += event.remaining_gpu_hours
        if ask.order.time_in_force is TimeInForce.FOK:
            assert not any(ask.sold.values()), "a fok ask was sold in part"

    def advance(self, event: HourAdvanced) -> None:
        """Book the hours that fell off."""
        assert event.hour > self.hour
        self.hour = event.hour
        lapsed = 0
        for ask in self.asks.values():
            for hour, free in ask.free.items():
                if hour < event.hour:
                    lapsed += free
                    ask.lose(hour, free)
        assert event.lapsed_gpu_hours == lapsed
        self.expired += lapsed

    def check_remainder(
        self, event: OrderRested | OrderReduced | OrderCancelled | OrderExpired | OrderReplaced
    ) -> None:
        """Compare what an event says is left with the account."""
        ask = self.asks.get(event.order_id)
        if ask is not None:
            assert event.remaining_gpus == max(ask.free.values())
            assert event.remaining_gpu_hours == sum(ask.free.values())
        else:
            bid = self.bids[event.order_id]
            assert event.remaining_gpus == bid.wanted
            assert event.remaining_gpu_hours == bid.wanted * bid.order.hours

    def check_expiry(self) -> None:
        """No order stays beyond its hour, or its last feasible start."""
        for ask in self.asks.values():
            pieces = (ask.room(hour, ask.order.min_hours) for hour in ask.free)
            assert any(pieces), f"ask {ask.order.order_id} has nothing to sell"
        for bid in self.bids.values():
            last = bid.order.latest_hour - bid.order.hours if bid.start is None else bid.start
            assert last >= self.hour, f"bid {bid.order.order_id} has no start left"
        for order_id in (*self.asks, *self.bids):
            expire_hour = self.account(order_id).order.expire_hour
            assert not 0 < expire_hour <= self.hour, f"order {order_id} has outlived its hour"

    def check_conservation(self) -> None:
        """Offered = free + sold + gone, in every hour of every ask, and over all asks there ever were."""
        left = 0
        for ask in self.asks.values():
            for hour, free in ask.free.items():
                assert 0 <= free <= ask.order.quantity_gpus
                assert free + ask.sold[hour] + ask.gone[hour] == ask.order.quantity_gpus
                left += free
        assert self.offered == self.sold + left + self.withdrawn + self.expired, "GPU-hours were lost or made"

    def check_uncrossed(self) -> None:
        """No resting bid could trade."""
        for bid in self.bids.values():
            assert not self.could_trade(bid), f"order {bid.order.order_id} could trade"

    def could_trade(self, bid: BidAccount) -> bool:
        """Whether the asks as they stand hold what a bid takes, at one of its starts."""
        need = bid.order
        starts = range(need.earliest_hour, need.latest_hour - need.hours + 1)
        asks = [ask for ask in self.asks.values() if self.may_trade(bid, ask)]
        for start in starts if bid.start is None else [bid.start]:
            rooms = [ask.room(start, need.hours) for ask in asks]
            had = max(rooms, default=0) if bid.single else sum(rooms)
            if had >= (bid.wanted if bid.whole else 1):
                return True
        return False

    @staticmethod
    def rank(ask: AskAccount) -> tuple[int, int]:
        """Price, then age."""
        return ask.order.price_ticks, ask.sequence

    @staticmethod
    def may_trade(bid: BidAccount, ask: AskAccount) -> bool:
        """Whether the rules let the two trade."""
        need, offer = bid.order, ask.order
        one_group = need.trade_group and need.trade_group == offer.trade_group
        return (
            not one_group
            and need.participant != offer.participant
            and offer.price_ticks <= need.limit_ticks
            and offer.min_hours <= need.hours
            and need.needs_mask & offer.is_mask == need.needs_mask
            and offer.needs_mask & need.is_mask == offer.needs_mask
        )
