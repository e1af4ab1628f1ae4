"""What the events of a batch's commands do to its books, its orders and the money: hops 4 and 5 in memory.

An `Execution` is made from a `Partition`, which it changes; what it has done is `cut` into chunks, which are
stored. If that transaction does not commit, the partition's memory is ahead of the truth and must be dropped.

Invariants: every command that reaches a book has the next sequence and one journal row; whatever an event
does to an order or its money, it does in `_follow`, and nowhere else. The money of a replaced order is given
back before that of the order in its place is set aside.

In the audit trail a reduction and a replacement are REME; a refused amendment is REMO with the wish beside
its reason, and the order itself goes on as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from exchange.kit.audit import AuditRecord
from exchange.orders.chunks import Chunk
from exchange.orders.forms import note_collar, order_detail, reason_detail
from exchange.orders.models import (
    LIVE_STATUSES,
    REPLACED,
    Fill,
    Head,
    JournalRow,
    LiveOrder,
    OrderStatus,
    Step,
)
from exchange.orders.rules import journal_hash
from exchange.orders.spans import Spans
from exchange.settlement.service import Settlement
from matching.codec import encode_step
from matching.commands import AdvanceHour, PlaceOrder, ReplaceOrder
from matching.engine import execute
from matching.events import (
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrderRested,
    SelfTradePrevented,
    Traded,
)
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.orders.partition import Partition
    from exchange.vouchers.models import Share
    from matching.commands import Command
    from matching.events import Event


class Asker(msgspec.Struct, frozen=True, gc=False):
    """Whose key asked for a command, and what for, where the order itself does not say.

    `shares` are what programmes pay of a reduced order from then on.
    """

    key_id: int | None = None
    cause: str = ""
    shares: tuple[Share, ...] = ()


NOBODY = Asker()
# Reading a member off its class is slow, and every order asks.
_SELL: Final = Side.SELL
_RESTING: Final = OrderStatus.RESTING
_PARTIALLY_FILLED: Final = OrderStatus.PARTIALLY_FILLED
_FILLED: Final = OrderStatus.FILLED
BRINGING: Final = (PlaceOrder, ReplaceOrder)
"""The commands that bring an order."""


class Execution:
    """The commands of one group commit, and what comes of them."""

    def __init__(self, partition: Partition, *, at_us: int, first_hour: int, fee_bps: int) -> None:
        self.steps: list[Step] = []
        """What there will be to tell once this batch has committed."""
        self.intake_offset = partition.head.intake_offset
        """How far the partition's stream of requests is followed once this batch has committed."""
        self._partition = partition
        self._first_hour = first_hour
        self._at_us = at_us
        self._settlement = Settlement(partition_id=partition.partition_id, fee_bps=fee_bps)
        self._sequence = partition.head.last_sequence
        self._hash = partition.head.last_hash
        self._answered_here: set[int] = set()
        self._begin_chunk()
        self._received_at_us: int | None = None
        """When the request came whose steps are taken; None while it is the hour's."""

    @property
    def head(self) -> Head:
        """The partition's head once this batch has committed."""
        return Head(
            epoch=self._partition.head.epoch,
            last_sequence=self._sequence,
            last_hash=self._hash,
            last_event_at_us=self._at_us,
            intake_offset=self.intake_offset,
        )

    @property
    def account_ids(self) -> set[int]:
        """The accounts whose money the next chunk moves."""
        return self._settlement.account_ids

    def cut(self) -> Chunk:
        """Return what was done since this was last asked for, to be stored; the next chunk begins."""
        chunk = Chunk(
            partition_id=self._partition.partition_id,
            at_us=self._at_us,
            orders=self._orders,
            settlement=self._settlement,
            spans=self._spans,
            records=self._records,
            once=self._once,
            journal=self._journal,
            previous_sequence=self._cut_sequence,
            head=self.head,
        )
        self._settlement = self._settlement.following()
        self._begin_chunk()
        return chunk

    def _begin_chunk(self) -> None:
        self._cut_sequence = self._sequence
        self._journal: list[JournalRow] = []
        self._orders: dict[int, LiveOrder] = {}
        self._once: list[tuple[int, str, bytes, bytes]] = []
        self._records: list[AuditRecord] = []
        self._spans = Spans()

    def advance(self) -> None:
        """Let past hours fall off every book with orders; an empty one follows when it is next used."""
        for product_id, book in self._partition.books.items():
            if book.orders:
                self._reach_first_hour(product_id)

    def _reach_first_hour(self, product_id: str) -> None:
        if self._partition.books[product_id].hour < self._first_hour:
            received_at_us, self._received_at_us = self._received_at_us, None
            self._execute(product_id, AdvanceHour(sequence=self._sequence + 1, hour=self._first_hour))
            self._received_at_us = received_at_us

    def _execute(self, product_id: str, command: Command, asker: Asker = NOBODY) -> tuple[Event, ...]:
        events = execute(self._partition.books[product_id], command)
        self._sequence = command.sequence
        written = (
            command.sequence,
            product_id,
            self._at_us,
            *encode_step(command, events),
        )
        self._hash = journal_hash(self._hash, *written)
        self._journal.append(JournalRow(*written, self._hash))
        trades = self._settlement.trades
        trades_before, client_order_id = len(trades), ""
        if isinstance(command, BRINGING):
            client_order_id = self._partition.live[command.order.order_id].client_order_id
        if isinstance(command, PlaceOrder):
            if isinstance(events[0], OrderRejected):
                # It has nothing set aside, and never had.
                self._partition.live[command.order.order_id].funded = None
            else:
                self._set_aside(self._partition.live[command.order.order_id])
        for index, event in enumerate(events):
            self._follow(event, index, product_id, asker)
        trade_ids = tuple(trade.trade_id for trade in trades[trades_before:])
        told_beside = (client_order_id, trade_ids, asker.cause)
        self.steps.append(Step(command.sequence, product_id, self._at_us, events, written[-1], *told_beside))
        return events

    def _set_aside(self, order: LiveOrder) -> None:
        if order.funded is not None:
            self._settlement.place(order.funded)

    def _follow(self, event: Event, index: int, product_id: str, asker: Asker) -> None:
        """Carry one event over to its orders and their money."""
        if isinstance(event, OrderAccepted):
            return  # every order begins with one, and stands as it was placed
        if isinstance(event, Traded):
            self._trade(event, index, product_id)
        elif isinstance(event, OrderRested):
            order = self._partition.live[event.order_id]
            order.status = _PARTIALLY_FILLED if order.filled_gpu_hours else _RESTING
            self._touch(order)
        elif isinstance(event, OrderCancelled):
            self._end(event.order_id, OrderStatus.CANCELLED, event.reason, "CAME", index, asker)
        elif isinstance(event, OrderExpired):
            self._end(event.order_id, OrderStatus.EXPIRED, event.reason, "EXPI", index)
        elif isinstance(event, OrderReduced):
            self._reduce(event, index, asker)
        elif isinstance(event, OrderReplaced):
            self._replace(event, index, asker)
        elif isinstance(event, OrderRejected):
            self._reject(event, index)
        elif isinstance(event, SelfTradePrevented):
            order = self._partition.live[event.bid_order_id]
            self._record("STPV", order, index, detail={"ask_order_id": event.ask_order_id})

    def _reject(self, event: OrderRejected, index: int) -> None:
        """End an arriving order; one that a refused amendment leaves as it was is not touched.

        Cancels and amendments are checked against memory before the book sees them: a rejected order is live.
        """
        order = self._partition.live[event.order_id]
        if order.sequence == event.sequence:
            note_collar(order, event.reason, self._partition.books[order.product_id])
            self._end(event.order_id, OrderStatus.REJECTED, event.reason, "REMO", index)

    def _reduce(self, event: OrderReduced, index: int, asker: Asker) -> None:
        order = self._partition.live[event.order_id]
        detail: dict[str, object] = {
            "quantity_gpus": event.quantity_gpus,
            "previous_quantity_gpus": order.quantity_gpus,
        }
        if order.side is _SELL:
            self._spans.reduce(order.order_id, order.quantity_gpus, event.quantity_gpus, self._settlement)
        order.quantity_gpus = event.quantity_gpus
        if order.funded is not None:
            if asker.shares != order.terms.shares:
                order.terms = replace(order.terms, shares=asker.shares)
                order.funded.terms = replace(order.funded.terms, shares=asker.shares)
                detail["shares"] = asker.shares
            self._settlement.shrink(order.funded, order.quantity_gpus - order.filled_gpus)
        self._touch(order)
        self._record("REME", order, index, key_id=asker.key_id, detail=detail)

    def _replace(self, event: OrderReplaced, index: int, asker: Asker) -> None:
        old, new = (self._partition.live[each] for each in (event.order_id, event.replacement_order_id))
        old.replaced_by_id = new.order_id
        self._end(old.order_id, OrderStatus.CANCELLED, REPLACED, "REME", index, asker)
        self._orders[new.order_id] = new
        self._answered_here.add(new.order_id)
        self._set_aside(new)
        detail = {**order_detail(new), "replaces_order_id": old.order_id}
        self._record("NEWO", new, index, key_id=asker.key_id, detail=detail)

    def _trade(self, event: Traded, index: int, product_id: str) -> None:
        live = self._partition.live
        bid, ask = live[event.bid_order_id], live[event.ask_order_id]
        if bid.funded is None:
            raise AssertionError(f"bid {bid.order_id} trades without a hold")
        gpu_hours = event.quantity_gpus * event.hours
        for order in (bid, ask):
            order.filled_gpu_hours += gpu_hours
            order.filled_notional_fen += gpu_hours * event.price_ticks
            order.status = _PARTIALLY_FILLED
            self._touch(order)
        bid.filled_gpus += event.quantity_gpus
        bid.run_starts_hour = event.starts_hour
        trade = self._settlement.trade(
            event,
            bid.funded,
            sequence=self._sequence,
            product_id=product_id,
            provider_id=ask.participant_id,
            ask_mask=ask.is_mask,
            list_price_ticks=ask.terms.list_price_ticks,
            open_gpus=bid.quantity_gpus - bid.filled_gpus,
        )
        self._spans.sell(ask.order_id)
        fill = Fill(
            trade_id=trade.trade_id,
            quantity_gpus=event.quantity_gpus,
            starts_hour=event.starts_hour,
            ends_hour=trade.ends_hour,
            price_ticks=event.price_ticks,
            voucher_fen=trade.voucher_fen,
            reimbursable_fen=trade.reimbursable_fen,
        )
        for order in (bid, ask):
            # Only the answers to this batch's own requests are made from memory.
            if order.order_id in self._answered_here:
                order.fills.append(fill)
        for order, remaining, unit in (
            (bid, event.bid_remaining_gpus, "remaining_gpus"),
            (ask, event.ask_remaining_gpu_hours, "remaining_gpu_hours"),
        ):
            code = "PARF" if remaining else "FILL"
            detail = {
                "quantity_gpus": event.quantity_gpus,
                "price_ticks": event.price_ticks,
                "starts_hour": event.starts_hour,
                "hours": event.hours,
                unit: remaining,
                "voucher_fen": trade.voucher_fen,
                "reimbursable_fen": trade.reimbursable_fen,
                "fee_bps": trade.fee_bps,
            }
            self._record(code, order, index, trade_id=trade.trade_id, detail=detail)
            if not remaining:
                order.status = _FILLED
                self._forget(order)

    def _end(
        self,
        order_id: int,
        status: OrderStatus,
        reason: str,
        code: str,
        index: int,
        asker: Asker = NOBODY,
    ) -> None:
        order = self._partition.live[order_id]
        order.status = status
        order.reason = asker.cause or reason
        if order.funded is not None:
            self._settlement.close(order.funded)
        self._touch(order)
        detail = reason_detail(order, reason)
        if asker.cause:
            detail["cause"] = asker.cause
        if order.replaced_by_id is not None:
            detail["replaced_by_order_id"] = order.replaced_by_id
        self._record(code, order, index, key_id=asker.key_id, detail=detail)
        self._forget(order)

    def _touch(self, order: LiveOrder) -> None:
        order.updated_at_us = self._at_us
        self._orders[order.order_id] = order

    def _forget(self, order: LiveOrder) -> None:
        """An order in a final state leaves memory."""
        if order.status in LIVE_STATUSES:
            raise AssertionError(f"order {order.order_id} is {order.status} and cannot be forgotten")
        del self._partition.live[order.order_id]

    def _record(
        self,
        code: str,
        order: LiveOrder,
        index: int = 0,
        *,
        sequence: int | None = None,
        is_before_the_book: bool = False,
        trade_id: int | None = None,
        key_id: int | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        self._records.append(
            AuditRecord(
                code=code,
                event_at_us=self._at_us,
                received_at_us=self._received_at_us,
                partition_id=self._partition.partition_id,
                sequence=None if is_before_the_book else sequence or self._sequence,
                event_index=index,
                actor_participant_id=order.participant_id,
                key_id=key_id or order.key_id,
                participant_id=order.participant_id,
                trade_group_id=order.trade_group_id or None,
                product_id=order.product_id,
                order_id=order.order_id,
                trade_id=trade_id,
                detail=detail or {},
            )
        )
