"""Hops 3 to 5 in memory: what one batch of requests does to the books, the orders and the money.

A `Batch` is made from a `Partition` (which it changes) and what was read for it (accounts locked, vouchers,
earlier outcomes). Requests run through it one by one in their order; then `write` stores everything in one
round trip. If that transaction does not commit, the partition's memory is ahead of the truth and must be
dropped.

Invariants: every command that reaches a book has the next sequence and one journal row; an order that cannot
be paid never reaches its book; whatever an event does to an order or its money, it does in `_follow`, and
nowhere else.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.bundle import Bundle
from exchange.orders import store
from exchange.orders.forms import book_order, order_detail
from exchange.orders.funding import fund
from exchange.orders.models import (
    LIVE_STATUSES,
    CancelRequest,
    Denial,
    Fill,
    Head,
    JournalRow,
    LiveOrder,
    OrderStatus,
    PlaceRequest,
    Step,
)
from exchange.orders.rules import journal_hash
from exchange.orders.views import open_holds_of
from exchange.settlement.service import Settlement
from matching.codec import encode_command, encode_events
from matching.commands import AdvanceHour, CancelOrder, PlaceOrder, SetPhase
from matching.engine import execute
from matching.events import (
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    OrderRested,
    SelfTradePrevented,
    Traded,
)
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.kit.database import Connection
    from exchange.orders.funding import Means
    from exchange.orders.models import PhaseRequest, Request
    from exchange.orders.partition import Partition
    from matching.commands import Command
    from matching.events import Event
    from matching.product import Phase


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The order has its outcome: accepted by the book, rejected by it, or denied before it.

    `open_holds`: what it sets aside, (voucher id, 0 for cash; fen) pairs, once `as_committed`.
    """

    order: LiveOrder
    open_holds: list[tuple[int, int]] = []


class Duplicate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The participant's client order id had its outcome before."""

    order_id: int
    fingerprint: bytes


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a cancel: the order as it stands now, or None where no such order is live."""

    order: LiveOrder | None


class PhaseSet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The product is in the phase that was asked for."""

    phase: Phase


Outcome = Placed | Duplicate | Cancelled | PhaseSet


def as_committed(outcome: Outcome) -> Outcome:
    """An outcome as it stands now: the next batch changes the order that memory keeps, and its money."""
    if not isinstance(outcome, Placed):
        return outcome  # what was cancelled changes no more
    order = outcome.order
    if order.status not in LIVE_STATUSES:
        return outcome  # it has left memory, and sets nothing aside
    kept = copy(order)
    kept.funded = None
    return Placed(order=kept, open_holds=open_holds_of(order))


class Batch:
    """One group commit in the making."""

    def __init__(
        self, partition: Partition, means: Means, *, at_us: int, first_hour: int, fee_bps: int
    ) -> None:
        self._partition = partition
        self._first_hour = first_hour
        self._means = means
        self._at_us = at_us
        self._settlement = Settlement(partition_id=partition.partition_id, fee_bps=fee_bps)
        self._sequence = partition.head.last_sequence
        self._hash = partition.head.last_hash
        self._journal: list[JournalRow] = []
        self.steps: list[Step] = []
        """What there will be to tell once this batch has committed."""
        self._orders: dict[int, LiveOrder] = {}
        self._placed_here: dict[tuple[int, str], LiveOrder] = {}
        self._records: list[AuditRecord] = []

    def run(self, request: Request) -> Outcome:
        """Carry out one request."""
        if isinstance(request, PlaceRequest):
            return self._place(request)
        if isinstance(request, CancelRequest):
            return self._cancel(request)
        return self._set_phase(request)

    def advance(self) -> None:
        """Let past hours fall off every book with orders; an empty one follows when it is next used."""
        for product_id, book in self._partition.books.items():
            if book.orders:
                self._reach_first_hour(product_id)

    def _reach_first_hour(self, product_id: str) -> None:
        if self._partition.books[product_id].hour < self._first_hour:
            self._execute(product_id, AdvanceHour(sequence=self._sequence + 1, hour=self._first_hour))

    def _set_phase(self, request: PhaseRequest) -> PhaseSet:
        self._reach_first_hour(request.product_id)
        self._execute(request.product_id, SetPhase(sequence=self._sequence + 1, phase=request.phase))
        self._records.append(
            AuditRecord(
                code="PHAS",
                event_at_us=self._at_us,
                partition_id=self._partition.partition_id,
                sequence=self._sequence,
                actor_participant_id=request.participant_id,
                key_id=request.key_id,
                product_id=request.product_id,
                detail={"phase": request.phase},
            )
        )
        return PhaseSet(phase=request.phase)

    @property
    def head(self) -> Head:
        """The partition's head once this batch has committed."""
        return Head(
            epoch=self._partition.head.epoch,
            last_sequence=self._sequence,
            last_hash=self._hash,
            last_event_at_us=self._at_us,
        )

    @property
    def account_ids(self) -> set[int]:
        """The accounts whose money `write` moves."""
        return self._settlement.account_ids

    async def write(self, connection: Connection, epoch: int) -> bool:
        """Store the batch in the caller's transaction: one round trip, however many requests.

        False when another leader has taken the partition; the transaction must then be rolled back.
        """
        partition = self._partition
        bundle = Bundle(connection)
        if self._orders:
            await store.write_orders(bundle, partition.partition_id, self._orders.values(), self._at_us)
        await self._settlement.write(bundle, self._at_us)
        await insert_audit_records(bundle, self._records)
        return await store.append(
            bundle,
            partition.partition_id,
            self._journal,
            epoch=epoch,
            previous_sequence=partition.head.last_sequence,
            head=self.head,
        )

    def _place(self, request: PlaceRequest) -> Outcome:
        key = (request.participant_id, request.client_order_id)
        known = self._means.known.get(key)
        if known is not None:
            return Duplicate(order_id=known[0], fingerprint=known[1])
        here = self._placed_here.get(key)
        if here is not None:
            return Duplicate(order_id=here.order_id, fingerprint=here.fingerprint)
        order = self._new_order(request)
        self._placed_here[key] = order
        self._orders[order.order_id] = order
        needs_mask = request.needs_mask
        if order.side is Side.BUY:
            funded = fund(order, request, self._means, self._settlement, self._at_us)
            if isinstance(funded, Denial):
                return self._deny(order, funded)
            order.funded = funded
            if funded.terms.shares:
                order.terms = replace(order.terms, shares=funded.terms.shares)
                order.eligible_fen = funded.eligible_fen
                if funded.terms.only_eligible:
                    for share in funded.terms.shares:
                        needs_mask |= share.mask
        self._reach_first_hour(order.product_id)
        order.sequence = self._sequence + 1
        self._record("NEWO", order, sequence=order.sequence, detail=order_detail(order))
        self._partition.live[order.order_id] = order
        self._execute(
            order.product_id,
            PlaceOrder(sequence=order.sequence, order=book_order(order, needs_mask)),
        )
        return Placed(order=order)

    def _new_order(self, request: PlaceRequest) -> LiveOrder:
        return LiveOrder(
            order_id=request.order_id,
            participant_id=request.participant_id,
            key_id=request.key_id,
            trade_group_id=request.trade_group_id,
            client_order_id=request.client_order_id,
            fingerprint=request.fingerprint,
            product_id=request.product_id,
            side=request.side,
            quantity_gpus=request.quantity_gpus,
            starts_hour=request.starts_hour,
            ends_hour=request.ends_hour,
            hours=request.hours,
            price_ticks=request.price_ticks,
            terms=request.terms,
            is_mask=request.is_mask,
            created_at_us=self._at_us,
            updated_at_us=self._at_us,
        )

    def _deny(self, order: LiveOrder, denial: Denial) -> Placed:
        order.status = OrderStatus.REJECTED
        order.reason = denial.reason
        order.denial = denial
        self._record("REMO", order, detail={**order_detail(order), "reason": denial.reason})
        return Placed(order=order)

    def _cancel(self, request: CancelRequest) -> Cancelled:
        order = self._partition.live.get(request.order_id)
        if order is None or order.participant_id != request.participant_id:
            return Cancelled(order=None)
        self._execute(
            order.product_id,
            CancelOrder(
                sequence=self._sequence + 1, order_id=request.order_id, participant=request.participant_id
            ),
            key_id=request.key_id,
        )
        return Cancelled(order=order)

    def _execute(self, product_id: str, command: Command, key_id: int | None = None) -> None:
        events = execute(self._partition.books[product_id], command)
        self._sequence = command.sequence
        written = (
            command.sequence,
            product_id,
            self._at_us,
            encode_command(command),
            encode_events(events),
        )
        self._hash = journal_hash(self._hash, *written)
        self._journal.append(JournalRow(*written, self._hash))
        self.steps.append(Step(command.sequence, product_id, self._at_us, events))
        if isinstance(command, PlaceOrder) and not isinstance(events[0], OrderRejected):
            funded = self._partition.live[command.order.order_id].funded
            if funded is not None:
                self._settlement.place(funded)
        for index, event in enumerate(events):
            self._follow(event, index, product_id, key_id)

    def _follow(self, event: Event, index: int, product_id: str, key_id: int | None) -> None:
        """Carry one event over to its orders and their money."""
        if isinstance(event, Traded):
            self._trade(event, index, product_id)
        elif isinstance(event, OrderRested):
            order = self._partition.live[event.order_id]
            order.status = OrderStatus.PARTIALLY_FILLED if order.filled_gpu_hours else OrderStatus.RESTING
            self._touch(order)
        elif isinstance(event, OrderCancelled):
            self._end(event.order_id, OrderStatus.CANCELLED, event.reason, "CAME", index, key_id)
        elif isinstance(event, OrderExpired):
            self._end(event.order_id, OrderStatus.EXPIRED, event.reason, "EXPI", index, None)
        elif isinstance(event, OrderRejected):
            # Only an arriving order can be rejected: cancels are checked against memory before the book sees
            # them.
            self._partition.live[event.order_id].funded = None
            self._end(event.order_id, OrderStatus.REJECTED, event.reason, "REMO", index, None)
        elif isinstance(event, SelfTradePrevented):
            order = self._partition.live[event.bid_order_id]
            self._record("STPV", order, index, detail={"ask_order_id": event.ask_order_id})

    def _trade(self, event: Traded, index: int, product_id: str) -> None:
        live = self._partition.live
        bid, ask = live[event.bid_order_id], live[event.ask_order_id]
        if bid.funded is None:
            raise AssertionError(f"bid {bid.order_id} trades without a hold")
        gpu_hours = event.quantity_gpus * event.hours
        for order in (bid, ask):
            order.filled_gpu_hours += gpu_hours
            order.filled_notional_fen += gpu_hours * event.price_ticks
            order.status = OrderStatus.PARTIALLY_FILLED
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
            if self._placed_here.get((order.participant_id, order.client_order_id)) is order:
                order.fills.append(fill)
        for order, remaining in ((bid, event.bid_remaining_gpus), (ask, event.ask_remaining_gpu_hours)):
            code = "PARF" if remaining else "FILL"
            detail = {
                "quantity_gpus": event.quantity_gpus,
                "price_ticks": event.price_ticks,
                "starts_hour": event.starts_hour,
                "hours": event.hours,
                "voucher_fen": trade.voucher_fen,
                "reimbursable_fen": trade.reimbursable_fen,
            }
            self._record(code, order, index, trade_id=trade.trade_id, detail=detail)
            if not remaining:
                order.status = OrderStatus.FILLED
                self._forget(order)

    def _end(
        self, order_id: int, status: OrderStatus, reason: str, code: str, index: int, key_id: int | None
    ) -> None:
        order = self._partition.live[order_id]
        order.status = status
        order.reason = reason
        if order.funded is not None:
            self._settlement.close(order.funded)
        self._touch(order)
        self._record(code, order, index, key_id=key_id, detail={"reason": reason})
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
        trade_id: int | None = None,
        key_id: int | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        self._records.append(
            AuditRecord(
                code=code,
                event_at_us=self._at_us,
                partition_id=self._partition.partition_id,
                sequence=sequence or (self._sequence if order.sequence else None),
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
