"""The slow, obvious book: `docs/matching.md` read aloud. The oracle for `matching`.

It shares no code with the fast book: only the value types (orders, commands, events) are common. Capacity is
a dictionary from hour to free GPUs, orders are plain lists sorted whenever an order matters, and a trial that
must leave no trace is made on a deep copy.
"""

from copy import deepcopy

from matching.commands import (
    AdvanceHour,
    CancelAll,
    CancelOrder,
    Command,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
    SetPhase,
)
from matching.events import (
    CancelReason,
    Event,
    ExpireReason,
    HourAdvanced,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrderRested,
    PhaseChanged,
    RejectReason,
    SelfTradePrevented,
    Traded,
)
from matching.order import Ask, Order, Side, TimeInForce
from matching.product import Phase, Product
from tests.reference_orders import Need, Offer, fault

R = RejectReason


Fills = list[tuple[Offer, int]]


class ReferenceBook:
    """The live orders of one product."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.hour = 0
        self.phase = Phase.OPEN
        self.last_price = 0
        self.offers: list[Offer] = []
        self.needs: list[Need] = []
        self.events: list[Event] = []
        self.sequence = 0

    def execute(self, command: Command) -> tuple[Event, ...]:  # noqa: C901, PLR0912 - one case a command
        """Carry out a command and return its events."""
        self.sequence = command.sequence
        self.events = []
        match command:
            case PlaceOrder():
                reason = R.PHASE if self.phase is not Phase.OPEN else self.fault(command.order, None)
                self.enter(command.order, None, command.order.order_id, command.order.participant, reason)
            case ReplaceOrder():
                old = self.find(command.order_id, command.participant)
                if self.phase is not Phase.OPEN:
                    reason = R.PHASE
                else:
                    reason = self.fault(command.order, old) if old else R.UNKNOWN_ORDER
                self.enter(command.order, old, command.order_id, command.participant, reason)
            case CancelOrder():
                found = self.find(command.order_id, command.participant)
                if found:
                    self.cancel(found, CancelReason.REQUESTED)
                else:
                    self.reject(command.order_id, command.participant, R.UNKNOWN_ORDER)
            case CancelAll():
                for order in sorted(self.live(), key=lambda order: order.sequence):
                    side = Side.SELL if isinstance(order, Offer) else Side.BUY
                    if order.order.participant == command.participant and command.side in (None, side):
                        self.cancel(order, CancelReason.REQUESTED)
            case ReduceOrder():
                self.reduce(command)
            case AdvanceHour():
                if command.hour > self.hour:
                    self.advance(command.hour)
            case SetPhase():
                if command.phase is not self.phase:
                    self.phase = command.phase
                    self.events.append(PhaseChanged(sequence=self.sequence, phase=command.phase))
        return tuple(self.events)

    def live(self) -> list[Offer | Need]:
        """Return every live order."""
        return [*self.offers, *self.needs]

    def find(self, order_id: int, participant: int) -> Offer | Need | None:
        """Return a participant's live order."""
        for order in self.live():
            if order.order.order_id == order_id and order.order.participant == participant:
                return order
        return None

    def remove(self, order: Offer | Need) -> None:
        """Take an order out."""
        if isinstance(order, Offer):
            self.offers = [other for other in self.offers if other is not order]
            for need in self.needs:
                need.told.discard(order.order.order_id)
        else:
            self.needs = [other for other in self.needs if other is not order]

    def fault(self, order: Order, replaced: Offer | Need | None) -> RejectReason | None:
        """Return the first rule of admission that an order breaks."""
        reference = self.last_price or self.product.reference_price_ticks
        others = [other.order.order_id for other in self.live() if other is not replaced]
        return fault(order, replaced, self.product, self.hour, reference, others)

    def enter(  # noqa: C901 - told in order
        self,
        order: Order,
        replaced: Offer | Need | None,
        order_id: int,
        participant: int,
        reason: RejectReason | None,
    ) -> None:
        """Accept an order, match it, and let the rest of it rest or die."""
        if reason:
            self.reject(order_id, participant, reason)
            return
        before = deepcopy((self.offers, self.needs, self.last_price))
        if replaced:
            self.remove(replaced)
            self.events.append(
                OrderReplaced(
                    sequence=self.sequence,
                    order_id=order_id,
                    participant=participant,
                    replacement_order_id=order.order_id,
                    remaining_gpus=replaced.most,
                    remaining_gpu_hours=replaced.gpu_hours,
                )
            )
        self.events.append(OrderAccepted(sequence=self.sequence, order=order))
        entered = len(self.events)
        if isinstance(order, Ask):
            hours = range(order.starts_hour, order.ends_hour)
            free = dict.fromkeys(hours, order.quantity_gpus)
            offer = Offer(order, self.sequence, order.quantity_gpus, free)
            live: Offer | Need = offer
            self.match_offer(offer)
            if order.time_in_force is TimeInForce.FOK and offer.gpu_hours:
                self.offers, self.needs, self.last_price = before
                if replaced:
                    self.offers = [kept for kept in self.offers if kept.order.order_id != order_id]
                del self.events[entered:]
                offer.free = dict.fromkeys(hours, order.quantity_gpus)
        else:
            starts = list(range(order.earliest_hour, order.latest_hour - order.hours + 1))
            live = Need(order, self.sequence, order.quantity_gpus, order.quantity_gpus, starts)
            self.needs.append(live)
            self.match_need(live)
        if order.post_only and any(isinstance(event, Traded) for event in self.events):
            self.offers, self.needs, self.last_price = before
            self.events = []
            self.reject(order_id, participant, R.POST_ONLY_WOULD_TRADE)
        elif live.most == 0:
            self.remove(live)
        elif order.time_in_force is TimeInForce.IOC:
            self.cancel(live, CancelReason.IMMEDIATE_REMAINDER)
        elif order.time_in_force is TimeInForce.FOK:
            self.cancel(live, CancelReason.NOT_FILLED_WHOLE)
        elif isinstance(live, Offer) and not live.sellable():
            self.expire(live, ExpireReason.TOO_SHORT_TO_SELL)
        else:
            self.events.append(
                OrderRested(
                    sequence=self.sequence,
                    order_id=order.order_id,
                    participant=order.participant,
                    remaining_gpus=live.most,
                    remaining_gpu_hours=live.gpu_hours,
                )
            )

    def match_offer(self, offer: Offer) -> None:
        """Try a new ask against each bid it suits."""
        self.offers.append(offer)
        for need in sorted(self.needs, key=lambda need: (-need.order.limit_ticks, need.sequence)):
            suits = any(offer.room(start, need.order.hours) > 0 for start in need.starts)
            if suits and self.may_trade(need, offer):
                self.match_need(need, offer)

    def match_need(self, need: Need, arriving: Offer | None = None) -> None:
        """Match a bid against all asks."""
        found = self.best_fills(need, with_own_group=True)
        for offer, _ in found[1] if found else []:
            if self.same_group(need, offer) and offer.order.order_id not in need.told:
                need.told.add(offer.order.order_id)
                self.events.append(
                    SelfTradePrevented(
                        sequence=self.sequence,
                        bid_order_id=need.order.order_id,
                        ask_order_id=offer.order.order_id,
                        buyer=need.order.participant,
                        seller=offer.order.participant,
                    )
                )
        found = self.best_fills(need, with_own_group=False)
        if found:
            start, fills = found
            need.starts = [start]
            for offer, quantity in fills:
                self.trade(need, offer, start, quantity, arriving)

    def best_fills(self, need: Need, *, with_own_group: bool) -> tuple[int, Fills] | None:
        """Return the best start and its fills."""
        outcomes: list[tuple[tuple[int, int, int], int, Fills]] = []
        for start in need.starts:
            fills: Fills = []
            wanted = need.wanted
            for offer in sorted(self.offers, key=lambda offer: (offer.order.price_ticks, offer.sequence)):
                if not self.may_trade(need, offer) or (self.same_group(need, offer) and not with_own_group):
                    continue
                take = min(offer.room(start, need.order.hours), wanted)
                if take > 0 and (take == wanted or not need.single):
                    fills.append((offer, take))
                    wanted -= take
            if fills and not (need.whole and wanted):
                cost = sum(take * self.price(need, offer) for offer, take in fills)
                outcomes.append(((wanted, cost, start), start, fills))
        if not outcomes:
            return None
        _, start, fills = min(outcomes, key=lambda outcome: outcome[0])
        return start, fills

    def may_trade(self, need: Need, offer: Offer) -> bool:
        """Whether the rules, groups aside, let the two trade."""
        bid, ask = need.order, offer.order
        return (
            ask.price_ticks <= bid.limit_ticks
            and ask.min_hours <= bid.hours
            and bid.needs_mask | ask.is_mask == ask.is_mask
            and ask.needs_mask | bid.is_mask == bid.is_mask
        )

    def same_group(self, need: Need, offer: Offer) -> bool:
        """Whether self-trade prevention keeps the two apart."""
        bid, ask = need.order, offer.order
        return bid.participant == ask.participant or 0 != bid.trade_group == ask.trade_group

    def price(self, need: Need, offer: Offer) -> int:
        """Return the price of the order that came first."""
        return offer.order.price_ticks if offer.sequence < need.sequence else need.order.limit_ticks

    def trade(self, need: Need, offer: Offer, start: int, quantity: int, arriving: Offer | None) -> None:
        """Carry out one fill."""
        for hour in range(start, start + need.order.hours):
            offer.free[hour] -= quantity
        need.wanted -= quantity
        orders: list[Offer | Need] = [need, offer]
        maker, taker = sorted(orders, key=lambda order: order.sequence)
        self.last_price = self.price(need, offer)
        self.events.append(
            Traded(
                sequence=self.sequence,
                maker_order_id=maker.order.order_id,
                taker_order_id=taker.order.order_id,
                bid_order_id=need.order.order_id,
                ask_order_id=offer.order.order_id,
                buyer=need.order.participant,
                seller=offer.order.participant,
                quantity_gpus=quantity,
                starts_hour=start,
                hours=need.order.hours,
                price_ticks=self.last_price,
                bid_remaining_gpus=need.wanted,
                ask_remaining_gpu_hours=offer.gpu_hours,
            )
        )
        if need.wanted == 0:
            self.remove(need)
        if offer.gpu_hours == 0:
            self.remove(offer)
        elif offer is not arriving and not offer.sellable():
            self.expire(offer, ExpireReason.TOO_SHORT_TO_SELL)

    def reduce(self, command: ReduceOrder) -> None:
        """Make an order smaller."""
        order = self.find(command.order_id, command.participant)
        may_not = self.phase is Phase.HALTED or (
            self.phase is Phase.CANCEL_ONLY and isinstance(order, Need) and order.whole
        )
        if may_not or order is None:
            self.reject(command.order_id, command.participant, R.PHASE if may_not else R.UNKNOWN_ORDER)
            return
        quantity = command.quantity_gpus
        rules = [
            (quantity <= 0, R.QUANTITY_NOT_POSITIVE),
            (quantity % self.product.lot_gpus != 0, R.NOT_A_LOT_MULTIPLE),
            (quantity >= order.total, R.QUANTITY_NOT_SMALLER),
        ]
        for broken, reason in rules:
            if broken:
                self.reject(command.order_id, command.participant, reason)
                return
        less = order.total - quantity
        smaller = deepcopy(order)
        smaller.total = quantity
        if isinstance(smaller, Offer):
            smaller.free = {hour: max(free - less, 0) for hour, free in smaller.free.items()}
        else:
            smaller.wanted -= less
        if smaller.most <= 0:
            self.cancel(order, CancelReason.REDUCED_TO_NOTHING)
            return
        self.events.append(
            OrderReduced(
                sequence=self.sequence,
                order_id=command.order_id,
                participant=command.participant,
                quantity_gpus=quantity,
                remaining_gpus=smaller.most,
                remaining_gpu_hours=smaller.gpu_hours,
            )
        )
        if isinstance(smaller, Offer):
            self.offers = [smaller if offer is order else offer for offer in self.offers]
            if not smaller.sellable():
                self.expire(smaller, ExpireReason.TOO_SHORT_TO_SELL)
        else:
            self.needs = [smaller if need is order else need for need in self.needs]
            if smaller.whole:
                self.match_need(smaller)

    def advance(self, hour: int) -> None:
        """Let hours fall off and orders lapse."""
        self.hour = hour
        lapsed = 0
        for offer in self.offers:
            lapsed += sum(free for at, free in offer.free.items() if at < hour)
            offer.free = {at: free for at, free in offer.free.items() if at >= hour}
        self.events.append(HourAdvanced(sequence=self.sequence, hour=hour, lapsed_gpu_hours=lapsed))
        for order in sorted(self.live(), key=lambda order: order.sequence):
            if isinstance(order, Need):
                order.starts = [start for start in order.starts if start >= hour]
            if order.order.time_in_force is TimeInForce.GTD and order.order.expire_hour <= hour:
                self.expire(order, ExpireReason.EXPIRE_HOUR)
            elif isinstance(order, Need) and not order.starts:
                self.expire(order, ExpireReason.NO_FEASIBLE_START)
            elif isinstance(order, Offer) and not order.sellable():
                self.expire(order, ExpireReason.TOO_SHORT_TO_SELL)

    def cancel(self, order: Offer | Need, reason: CancelReason) -> None:
        """Withdraw an order."""
        self.remove(order)
        self.events.append(
            OrderCancelled(
                sequence=self.sequence,
                order_id=order.order.order_id,
                participant=order.order.participant,
                reason=reason,
                remaining_gpus=order.most,
                remaining_gpu_hours=order.gpu_hours,
            )
        )

    def expire(self, order: Offer | Need, reason: ExpireReason) -> None:
        """Let an order lapse."""
        self.remove(order)
        self.events.append(
            OrderExpired(
                sequence=self.sequence,
                order_id=order.order.order_id,
                participant=order.order.participant,
                reason=reason,
                remaining_gpus=order.most,
                remaining_gpu_hours=order.gpu_hours,
            )
        )

    def reject(self, order_id: int, participant: int, reason: RejectReason) -> None:
        """Refuse a command."""
        self.events.append(
            OrderRejected(sequence=self.sequence, order_id=order_id, participant=participant, reason=reason)
        )
