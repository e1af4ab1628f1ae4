"""What one batch of requests asks of its partition, request by request; hops 3 to 5 in memory.

A `Batch` is made from a `Partition` (which it changes) and what was read for it (accounts locked, vouchers,
earlier outcomes). Requests run through it one by one in their order; what their commands do is said by
`Execution`.

Invariants: an order that cannot be paid never reaches its book; an amendment that is refused changes nothing,
and what it would free counts for what it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from exchange.kit.audit import AuditRecord
from exchange.kit.errors import Conflict, Faults, Refusal
from exchange.kit.idempotency import in_flight, reused
from exchange.orders import amending
from exchange.orders.execution import Asker, Execution
from exchange.orders.forms import book_order, denial_detail, note_collar, order_detail, reason_detail
from exchange.orders.funding import fund, shares_if_smaller
from exchange.orders.models import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    Denial,
    LiveOrder,
    OrderStatus,
    PlaceRequest,
    Priority,
)
from exchange.orders.outcomes import (
    AllCancelled,
    Amended,
    AmendedBefore,
    Cancelled,
    Duplicate,
    Outcome,
    PhaseSet,
    Placed,
    Refused,
    Withdrawn,
)
from exchange.orders.rejections import amendment_denied, amendment_rejected, not_live
from exchange.orders.rules import judge_quantity, needs_mask, parse_order
from matching.commands import CancelAll, CancelOrder, PlaceOrder, ReduceOrder, ReplaceOrder, SetPhase
from matching.events import OrderCancelled, OrderRejected
from matching.order import Side

if TYPE_CHECKING:
    from exchange.orders.funding import Means
    from exchange.orders.models import NewOrder, PhaseRequest, Request
    from exchange.orders.partition import Partition
    from exchange.orders.rules import ParsedOrder
    from exchange.settlement.service import Taken
    from exchange.vouchers.models import Share
    from matching.events import RejectReason

# Reading a member off its class is slow, and every order asks.
_BUY: Final = Side.BUY


class KeptAmendment(msgspec.Struct, frozen=True, gc=False):
    """The outcome of an amendment as it is kept under its Idempotency-Key."""

    order_id: int
    priority: Priority


class Batch(Execution):
    """One group commit in the making."""

    def __init__(
        self, partition: Partition, means: Means, *, at_us: int, first_hour: int, fee_bps: int
    ) -> None:
        super().__init__(partition, at_us=at_us, first_hour=first_hour, fee_bps=fee_bps)
        self._means = means
        self._placed_here: dict[tuple[int, str], LiveOrder] = {}
        self._amended_here: dict[tuple[int, str], tuple[bytes, KeptAmendment]] = {}

    def run(self, request: Request) -> Outcome:
        """Carry out one request."""
        self._received_at_us = request.received_at_us
        if isinstance(request, PlaceRequest):
            return self._place(request)
        if isinstance(request, CancelRequest):
            return self._cancel(request)
        if isinstance(request, AmendRequest):
            try:
                return self._amend(request)
            except Refusal as refusal:
                return Refused(refusal=refusal)
        if isinstance(request, CancelAllRequest):
            return self._cancel_all(request)
        return self._set_phase(request)

    def _set_phase(self, request: PhaseRequest) -> PhaseSet:
        self._reach_first_hour(request.product_id)
        self._execute(request.product_id, SetPhase(sequence=self._sequence + 1, phase=request.phase))
        self._records.append(
            AuditRecord(
                code="PHAS",
                event_at_us=self._at_us,
                received_at_us=self._received_at_us,
                partition_id=self._partition.partition_id,
                sequence=self._sequence,
                actor_participant_id=request.participant_id,
                key_id=request.key_id,
                product_id=request.product_id,
                detail={"phase": request.phase}
                | ({} if request.reason is None else {"reason": request.reason}),
            )
        )
        return PhaseSet(phase=request.phase)

    def _place(self, request: PlaceRequest) -> Outcome:
        key = (request.participant_id, request.client_order_id)
        known = self._means.known.get(key)
        if known is not None:
            return Duplicate(order_id=known[0], fingerprint=known[1])
        here = self._placed_here.get(key)
        if here is not None:
            return Duplicate(order_id=here.order_id, fingerprint=here.fingerprint)
        if key in self._means.placed_elsewhere:
            detail = "an order with this client order id is still being placed in another market"
            return Refused(refusal=Conflict("in_flight", detail, retryable=True))
        order = new_order(request, self._at_us)
        self._placed_here[key] = order
        self._answered_here.add(order.order_id)
        self._orders[order.order_id] = order
        needs = request.needs_mask
        if order.side is _BUY:
            denial = self._fund(order, request, self._settlement)
            if denial is not None:
                return self._deny(order, denial)
            needs |= admitted_only(order)
        self._reach_first_hour(order.product_id)
        order.sequence = self._sequence + 1
        self._record("NEWO", order, sequence=order.sequence, detail=order_detail(order))
        self._partition.live[order.order_id] = order
        self._execute(order.product_id, PlaceOrder(sequence=order.sequence, order=book_order(order, needs)))
        return Placed(order=order)

    def _fund(self, order: LiveOrder, request: PlaceRequest, taken: Taken) -> Denial | None:
        """Give a bid its money, or say why it has none."""
        funded = fund(order, request, self._means, taken, self._at_us)
        if isinstance(funded, Denial):
            return funded
        order.funded = funded
        if funded.terms.shares:
            order.terms = replace(order.terms, shares=funded.terms.shares)
            order.eligible_fen = funded.eligible_fen
        return None

    def _deny(self, order: LiveOrder, denial: Denial) -> Placed:
        order.status = OrderStatus.REJECTED
        order.reason = denial.reason
        order.denial = denial
        detail = {**order_detail(order), **denial_detail(denial)}
        self._record("REMO", order, is_before_the_book=True, detail=detail)
        return Placed(order=order)

    def _cancel(self, request: CancelRequest) -> Cancelled:
        order = self._own_live(request.order_id, request.participant_id)
        if order is None:
            return Cancelled(order=None)
        self._execute(
            order.product_id,
            CancelOrder(
                sequence=self._sequence + 1, order_id=request.order_id, participant=request.participant_id
            ),
            Asker(key_id=request.key_id, cause=request.cause),
        )
        return Cancelled(order=order)

    def _own_live(self, order_id: int, participant_id: int) -> LiveOrder | None:
        order = self._partition.live.get(order_id)
        return None if order is None or order.participant_id != participant_id else order

    def _cancel_all(self, request: CancelAllRequest) -> AllCancelled:
        """Withdraw with one command a book, and none to a book that has nothing to withdraw."""
        orders = {
            order.order_id: order
            for order in self._partition.live.of(request.participant_id)
            if request.product_id in (None, order.product_id) and request.side in (None, order.side)
        }
        withdrawn = []
        for product_id in sorted({order.product_id for order in orders.values()}):
            command = CancelAll(
                sequence=self._sequence + 1, participant=request.participant_id, side=request.side
            )
            asker = Asker(key_id=request.key_id, cause=request.cause)
            withdrawn += [
                Withdrawn(
                    order=orders[event.order_id],
                    remaining_gpus=event.remaining_gpus,
                    remaining_gpu_hours=event.remaining_gpu_hours,
                )
                for event in self._execute(product_id, command, asker)
                if isinstance(event, OrderCancelled)
            ]
        return AllCancelled(withdrawn=withdrawn)

    def _amend(self, request: AmendRequest) -> Outcome:
        """Change an order; raises the `Refusal` for which nothing was changed."""
        kept = self._kept_amendment(request)
        if kept is not None:
            return AmendedBefore(order_id=kept.order_id, priority=kept.priority)
        order = self._own_live(request.order_id, request.participant_id)
        if order is None:
            raise not_live(request.order_id)
        amending.check_guard(request.wish, order)
        changes = amending.wanted_changes(request.wish, order)
        priority: Priority = "kept"
        shares = None
        if amending.only_reduces(changes, order):
            shares = shares_if_smaller(order, changes["quantity_gpus"], request, self._means)
        if shares is not None:
            self._shrink(order, request, changes, shares)
        elif changes:
            order = self._put_in_place_of(order, request, changes)
            priority = "lost"
        kept = KeptAmendment(order_id=order.order_id, priority=priority)
        key = (request.participant_id, request.once_key)
        self._amended_here[key] = (request.fingerprint, kept)
        self._once.append((*key, request.fingerprint, msgspec.json.encode(kept)))
        return Amended(order=order, priority=priority)

    def _kept_amendment(self, request: AmendRequest) -> KeptAmendment | None:
        key = (request.participant_id, request.once_key)
        here = self._amended_here.get(key)
        if here is not None:
            fingerprint, kept = here
            if fingerprint != request.fingerprint:
                raise reused()
            return kept
        known = self._means.amended.get(key)
        if known is None:
            if key in self._means.amended_elsewhere:
                raise in_flight()
            return None
        return msgspec.json.decode(known.body_for(request.fingerprint), type=KeptAmendment)

    def _shrink(
        self, order: LiveOrder, request: AmendRequest, changes: dict[str, Any], shares: tuple[Share, ...]
    ) -> None:
        """Make an order smaller where it stands; of a bid, programmes then pay these shares."""
        faults = Faults()
        judge_quantity(changes["quantity_gpus"], request.product, faults)
        faults.raise_if_any()
        command = ReduceOrder(
            sequence=self._sequence + 1,
            order_id=order.order_id,
            participant=order.participant_id,
            quantity_gpus=changes["quantity_gpus"],
        )
        asker = Asker(key_id=request.key_id, shares=shares)
        [first, *_] = self._execute(order.product_id, command, asker)
        if isinstance(first, OrderRejected):
            raise self._refused(order, request, changes, first.reason)

    def _put_in_place_of(self, old: LiveOrder, request: AmendRequest, changes: dict[str, Any]) -> LiveOrder:
        """Replace an order by one with these changes, and return that."""
        faults = Faults()
        rests = self._partition.books[old.product_id].orders[old.order_id]
        wanted = amending.replacement(old, rests, changes)
        parsed = parse_order(wanted, request.product, first_hour=self._first_hour, faults=faults)
        if parsed is None:
            raise faults.refusal()
        placed = replacing_request(request, old, wanted, parsed)
        new = new_order(placed, self._at_us)
        new.amendment, new.replaces_id = old.amendment + 1, old.order_id
        needs = placed.needs_mask
        if new.side is _BUY:
            taken = self._settlement if old.funded is None else self._settlement.without(old.funded)
            denial = self._fund(new, placed, taken)
            if denial is not None:
                detail = {"amendment": changes, **denial_detail(denial)}
                self._record("REMO", old, is_before_the_book=True, key_id=request.key_id, detail=detail)
                raise amendment_denied(old.order_id, denial)
            needs |= admitted_only(new)
        new.sequence = self._sequence + 1
        self._partition.live[new.order_id] = new
        command = ReplaceOrder(
            sequence=new.sequence,
            order_id=old.order_id,
            participant=old.participant_id,
            order=book_order(new, needs),
        )
        [first, *_] = self._execute(old.product_id, command, Asker(key_id=request.key_id))
        if isinstance(first, OrderRejected):
            del self._partition.live[new.order_id]
            raise self._refused(new, request, changes, first.reason)
        return new

    def _refused(
        self, wanted: LiveOrder, request: AmendRequest, changes: dict[str, Any], reason: RejectReason
    ) -> Conflict:
        """Record that the book refused an amendment, and return what its sender is told."""
        order = self._partition.live[request.order_id]
        note_collar(wanted, reason, self._partition.books[order.product_id])
        detail = {"amendment": changes, **reason_detail(wanted, reason)}
        self._record("REMO", order, key_id=request.key_id, detail=detail)
        return amendment_rejected(order.order_id, wanted, reason)


def new_order(request: PlaceRequest, at_us: int) -> LiveOrder:
    """Return the order that a request asks for, before anything has come of it."""
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
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def admitted_only(bid: LiveOrder) -> int:
    """Return the bits of the programmes beside which alone a bid trades."""
    needs = 0
    if bid.funded is not None and bid.funded.terms.only_eligible:
        for share in bid.funded.terms.shares:
            needs |= share.mask
    return needs


def replacing_request(
    request: AmendRequest, old: LiveOrder, wanted: NewOrder, parsed: ParsedOrder
) -> PlaceRequest:
    """Return the request to place what takes an order's place."""
    terms = parsed.terms
    if old.side is Side.SELL:
        terms = replace(terms, list_price_ticks=request.list_price_ticks)
    return PlaceRequest(
        order_id=request.replacement_id,
        key_id=request.key_id,
        trade_group_id=old.trade_group_id,
        client_order_id=old.client_order_id,
        fingerprint=old.fingerprint,
        participant=request.participant,
        product=request.product,
        side=old.side,
        quantity_gpus=wanted.quantity_gpus,
        starts_hour=parsed.starts_hour,
        ends_hour=parsed.ends_hour,
        hours=parsed.hours,
        price_ticks=parsed.price_ticks,
        terms=terms,
        is_mask=request.is_mask,
        needs_mask=needs_mask(wanted),
        voucher_ids=parsed.voucher_ids,
        received_at_us=request.received_at_us,
    )
