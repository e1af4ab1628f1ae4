"""Placing, amending, cancelling, previewing and reading orders: hop 2, and the answers.

What can be judged without the book is judged by `Intake`; then the request goes to its partition, and what
comes back has been committed. `OrderReader` reads what is stored.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exchange.kit.database import UNANSWERED
from exchange.kit.errors import Faults, Forbidden, NotFound, Refusal, Unavailable
from exchange.kit.tasks import ITEMS_AT_ONCE
from exchange.ledger.service import free_cash
from exchange.orders.amending import judge_amendment
from exchange.orders.checking import Checker
from exchange.orders.intake import Intake
from exchange.orders.models import (
    CancelAllRequest,
    CancelRequest,
    PhaseRequest,
    PlacedOrder,
    PlaceRequest,
)
from exchange.orders.outcomes import (
    AllCancelled,
    Amended,
    AmendedBefore,
    Cancelled,
    Duplicate,
    Outcome,
    Refused,
    Withdrawn,
)
from exchange.orders.partition import Verified, verify
from exchange.orders.places import OrderPlaces
from exchange.orders.preview import Venue, look_ahead, means_of, preview_of
from exchange.orders.preview_models import PreviewView
from exchange.orders.reading import LATEST_ID, Known, OrderReader
from exchange.orders.rejections import NOT_LIVE, placed_of
from exchange.orders.turns import submit
from exchange.orders.views import open_holds_of, view_of
from exchange.products.naming import check_product
from exchange.products.rules import products_of_partition
from exchange.vouchers.wallet import vouchers_of_buyer
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from exchange.kit.auth import Principal
    from exchange.kit.clock import Clock
    from exchange.kit.database import Database
    from exchange.orders.leader import Leader
    from exchange.orders.meters import SequencerMeters, SequencerState
    from exchange.orders.models import AmendOrder, NewOrder, OrderView
    from exchange.orders.turns import Turn
    from exchange.products.list_prices import ListPrices
    from exchange.products.models import ProductSpec
    from exchange.programmes.registry import ProgrammeRegistry
    from matching.book import OrderBook
    from matching.product import Phase


class OrderService:
    """The use cases of orders over all partitions, in whichever process their sequencers are."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        products: Mapping[str, ProductSpec],
        sequencers: Mapping[int, Leader],
        programmes: ProgrammeRegistry,
        list_prices: ListPrices,
    ) -> None:
        self.products = products
        self._database = database
        self._clock = clock
        self._sequencers = sequencers
        self._programmes = programmes
        self._intake = Intake(
            database=database, clock=clock, products=products, programmes=programmes, list_prices=list_prices
        )
        self._reader = OrderReader(database)
        self._places = OrderPlaces(database, products, sequencers)
        self.checker = Checker(judge=self._judge_all, reader=self._reader, sequencers=sequencers, clock=clock)

    async def place(
        self, principal: Principal, order: NewOrder, faults: Faults | None = None, turn: Turn | None = None
    ) -> PlacedOrder:
        """Place an order and return it as committed, or as it was answered before under its client order id.

        `faults` carries what decoding already found; it is queued in its `turn`. Raises `InvalidInput` with
        every fault, `Forbidden`, `NotEnoughMoney`, `Conflict` (rejected by the book, or no usable voucher),
        `Unavailable`.
        """
        faults = Faults() if faults is None else faults
        is_well_formed = not faults
        participant_id = principal.participant_id
        participant = await self._intake.participant(participant_id)
        request = self._intake.request_of(principal, participant, order, faults)
        if request is None:
            [known] = await self._reader.earlier(participant_id, [order]) if is_well_formed else [None]
            if known is None:
                raise faults.refusal()
        else:
            outcome = await submit(self._sequencers[request.product.partition_id], request, turn)
            if not isinstance(outcome, Duplicate):
                return _or_raise(placed_of(outcome))
            known = _known(outcome, request)
        [replay] = await self._reader.replays_of_placed(participant_id, [known])
        return _or_raise(replay)

    async def place_all(
        self, principal: Principal, orders: Sequence[tuple[NewOrder, Faults]]
    ) -> list[PlacedOrder | Refusal]:
        """Place orders behind each other and return what came of each, in their order.

        Each has the outcome it would have had alone; those of one partition share its commits. `faults` of
        each carries what decoding already found.
        """
        participant_id = principal.participant_id
        judged = await self._judge_all(principal, orders)
        answers: dict[int, PlacedOrder | Refusal] = {
            place: each for place, each in judged.items() if isinstance(each, Refusal)
        }
        requests = {place: each for place, each in judged.items() if isinstance(each, PlaceRequest)}
        known = {place: each for place, each in judged.items() if isinstance(each, Known)}
        async for place, outcome in self._submit_all(requests):
            if isinstance(outcome, Duplicate):
                known[place] = _known(outcome, requests[place])
            else:
                answers[place] = outcome if isinstance(outcome, Refusal) else placed_of(outcome)
        if known:
            answers |= zip(
                known, await self._reader.replays_of_placed(participant_id, list(known.values())), strict=True
            )
        return [answers[place] for place in range(len(orders))]

    def judge(self, order: NewOrder, faults: Faults) -> None:
        """Record what is wrong with an order that will not be placed anyway."""
        self._intake.judge(order, faults)

    async def _judge_all(
        self, principal: Principal, orders: Sequence[tuple[NewOrder, Faults]]
    ) -> dict[int, PlaceRequest | Known | Refusal]:
        """Judge orders without their books: what to ask of a partition, what came before, or a refusal."""
        participant = await self._intake.participant(principal.participant_id)
        judged: dict[int, PlaceRequest | Known | Refusal] = {}
        unclear: list[int] = []
        for place, (order, faults) in enumerate(orders):
            if place and place % ITEMS_AT_ONCE == 0:
                await asyncio.sleep(0)
            is_well_formed = not faults
            try:
                request = self._intake.request_of(principal, participant, order, faults)
            except Forbidden as forbidden:
                judged[place] = forbidden
                continue
            judged[place] = faults.refusal() if request is None else request
            if request is None and is_well_formed:
                unclear.append(place)
        if unclear:
            found = await self._reader.earlier(participant.id, [orders[place][0] for place in unclear])
            judged |= ((place, known) for place, known in zip(unclear, found, strict=True) if known)
        return judged

    async def _submit_all(
        self, requests: Mapping[int, PlaceRequest]
    ) -> AsyncGenerator[tuple[int, Outcome | Refusal], None]:
        """Hand requests to their partitions, all at once, and give every outcome as it is committed."""
        by_partition: dict[int, dict[int, PlaceRequest]] = {}
        for place, request in requests.items():
            by_partition.setdefault(request.product.partition_id, {})[place] = request
        waited: dict[int, asyncio.Future[Outcome]] = {}
        try:
            for partition_id, own in by_partition.items():
                try:
                    answers = self._sequencers[partition_id].enqueue(list(own.values()))
                except Unavailable as refusal:
                    for place in own:
                        yield place, refusal
                else:
                    waited |= zip(own, answers, strict=True)
            # One after the other: all of a commit are there when its first is, and cost no wake-up.
            for place, answer in waited.items():
                try:
                    outcome: Outcome | Refusal = await answer
                except Refusal as refused:
                    outcome = refused
                yield place, outcome
        finally:
            for answer in waited.values():
                answer.cancel()  # nobody waits for those that are left

    async def amend(
        self,
        principal: Principal,
        order_id: int,
        wish: AmendOrder,
        *,
        once_key: str,
        payload: bytes,
        faults: Faults | None = None,
        turn: Turn | None = None,
    ) -> PlacedOrder:
        """Change an own order, or put another in its place; return what goes on, and its priority.

        Where it cannot be changed as wished it stays as it was: `NotFound`, `InvalidInput` with every fault,
        `Conflict` (not live, changed meanwhile, refused by the book, unevenly sold), `NotEnoughMoney`,
        `Unavailable`. The same `once_key` and `payload` have one effect.
        """
        partition_id, product_id = await self._places.of(principal.participant_id, order_id)
        faults = Faults() if faults is None else faults
        judge_amendment(wish, faults)
        faults.raise_if_any()
        participant = await self._intake.participant(principal.participant_id)
        request = self._intake.amendment_of(
            principal, participant, order_id, product_id, wish, once_key=once_key, payload=payload
        )
        outcome = await submit(self._sequencers[partition_id], request, turn)
        if isinstance(outcome, Refused):
            if outcome.refusal.code == NOT_LIVE:
                raise await self._reader.is_over(principal.participant_id, order_id)
            raise outcome.refusal
        if isinstance(outcome, AmendedBefore):
            view = await self._reader.get(principal.participant_id, outcome.order_id, outcome.priority)
            return PlacedOrder(view=view, replayed=True)
        if not isinstance(outcome, Amended):
            raise TypeError(f"amending an order came to {outcome}")
        order = outcome.order
        # Memory has the fills of an order that has just come, and not those of one that was there.
        if outcome.priority == "lost" or not order.filled_gpu_hours:
            view = view_of(order, order.fills, outcome.open_holds, outcome.priority)
            return PlacedOrder(view=view, replayed=False)
        try:
            view = await self._reader.get(principal.participant_id, order.order_id, outcome.priority)
        except UNANSWERED as error:
            detail = "the order is amended, but its fills cannot be read now; get the order later"
            raise Unavailable("amended_not_read", detail, retryable=False, outcome="applied") from error
        return PlacedOrder(view=view, replayed=False)

    async def cancel(self, principal: Principal, order_id: int, turn: Turn | None = None) -> OrderView:
        """Withdraw what is left of an own order; raises `NotFound`, or `Conflict` when nothing is left.

        Memory holds the order but not its earlier fills: those are read again, and where they cannot be,
        `Unavailable` says that the cancel was applied.
        """
        received_at_us = self._clock.now_us()
        partition_id, _ = await self._places.of(principal.participant_id, order_id)
        request = CancelRequest(
            order_id=order_id,
            participant_id=principal.participant_id,
            key_id=principal.key_id,
            received_at_us=received_at_us,
        )
        outcome = await submit(self._sequencers[partition_id], request, turn)
        if not isinstance(outcome, Cancelled):
            raise TypeError(f"cancelling an order came to {outcome}")
        cancelled = outcome.order
        if cancelled is None:
            raise await self._reader.is_over(principal.participant_id, order_id)
        if not cancelled.filled_gpu_hours:
            return view_of(cancelled, (), open_holds_of(cancelled))
        try:
            return await self.get(principal, order_id)
        except UNANSWERED as error:
            detail = "the order is cancelled, but its fills cannot be read now; get the order later"
            raise Unavailable("cancelled_not_read", detail, retryable=False, outcome="applied") from error

    async def cancel_all(
        self,
        principal: Principal,
        *,
        product_id: str | None = None,
        side: Side | None = None,
        cause: str = "",
        faults: Faults | None = None,
    ) -> list[Withdrawn]:
        """Withdraw what is left of all own orders, of one product or side where given; return what that was.

        `faults` carries what decoding already found. Raises `InvalidInput` with every fault, also for a
        product that is not there, and `Unavailable` where a partition could not do it: its outcome says
        whether another one has.
        """
        faults = Faults("invalid_query") if faults is None else faults
        check_product(faults, self.products, product_id)
        faults.raise_if_any()
        product = None if product_id is None else self.products[product_id]
        request = CancelAllRequest(
            participant_id=principal.participant_id,
            key_id=principal.key_id,
            product_id=product_id,
            side=side,
            cause=cause,
            received_at_us=self._clock.now_us(),
        )
        asked = sorted(self._sequencers) if product is None else [product.partition_id]
        outcomes = await asyncio.gather(
            *(self._sequencers[partition_id].submit(request) for partition_id in asked),
            return_exceptions=True,
        )
        withdrawn: list[Withdrawn] = []
        failed: list[BaseException] = []
        for outcome in outcomes:
            if isinstance(outcome, AllCancelled):
                withdrawn += outcome.withdrawn
            else:
                failed.append(outcome if isinstance(outcome, BaseException) else TypeError(str(outcome)))
        if failed:
            first = failed[0]
            if isinstance(first, Unavailable) and withdrawn:
                first.outcome = "unknown"  # some are withdrawn; to ask again withdraws the others
            raise first
        return withdrawn

    async def preview(
        self, principal: Principal, order: NewOrder, faults: Faults | None = None
    ) -> PreviewView:
        """What would come of placing an order now; nothing is placed, and nothing locked.

        `faults` carries what decoding already found. Raises `InvalidInput` with every fault, `Forbidden`,
        `Unavailable`.
        """
        faults = Faults() if faults is None else faults
        participant = await self._intake.participant(principal.participant_id)
        request = self._intake.request_of(principal, participant, order, faults)
        if request is None:
            raise faults.refusal()
        now_us = self._clock.now_us()
        free_fen, vouchers = 0, []
        if request.side is Side.BUY:
            async with self._database.connection() as connection:
                free_fen = await free_cash(connection, participant.id)
                if request.terms.vouchers != "none":
                    vouchers = await vouchers_of_buyer(connection, participant.id, self._programmes, now_us)
        partition_id = request.product.partition_id
        sequencer = self._sequencers[partition_id]
        venue = Venue(
            book=sequencer.book(request.product_id),
            first_hour=self._clock.hour() + 1,
            partition_id=partition_id,
            fee_bps=sequencer.fee_bps,
            at_us=now_us,
        )
        prospect = look_ahead(request, means_of(participant.id, free_fen, vouchers), venue)
        if isinstance(prospect, PreviewView):
            return prospect
        return preview_of(prospect, await sequencer.asks(prospect.ask_ids), sequencer.fee_bps)

    async def get(self, principal: Principal, order_id: int) -> OrderView:
        """An own order; raises `NotFound`."""
        return await self._reader.get(principal.participant_id, order_id)

    async def page(
        self,
        principal: Principal,
        *,
        before_id: int = LATEST_ID,
        product: str | None = None,
        side: str | None = None,
        statuses: Collection[str] | None = None,
        client_order_id: str | None = None,
        limit: int,
    ) -> list[OrderView]:
        """Own orders, newest first; of a product that is not there, none."""
        return await self._reader.page(
            principal.participant_id,
            before_id=before_id,
            product=product,
            side=side,
            statuses=statuses,
            client_order_id=client_order_id,
            limit=limit,
        )

    async def set_phase(
        self, principal: Principal, product_id: str, phase: Phase, reason: str | None = None
    ) -> None:
        """Open, restrict or halt a product; the record says why. Raises `NotFound`, `Unavailable`."""
        product = self.products.get(product_id)
        if product is None:
            raise NotFound(detail="no such product")
        await self._sequencers[product.partition_id].submit(
            PhaseRequest(
                product_id=product_id,
                phase=phase,
                reason=reason,
                participant_id=principal.participant_id,
                key_id=principal.key_id,
                received_at_us=self._clock.now_us(),
            )
        )

    def book(self, product_id: str) -> OrderBook:
        """The live book of a product, for reading; raises `NotFound` or `Unavailable`."""
        product = self.products.get(product_id)
        if product is None:
            raise NotFound(detail="no such product")
        return self._sequencers[product.partition_id].book(product_id)

    async def verify(self) -> list[Verified]:
        """Check every partition's books against the fold of its journal; raises `BookCorrupt`."""
        found = []
        for partition_id in sorted(self._sequencers):
            books = products_of_partition(self.products, partition_id)
            async with self._database.transaction() as connection:
                found.append(await verify(connection, partition_id, books))
        return found

    def states(self) -> dict[int, SequencerState]:
        """Where every partition stands, for who watches."""
        return {partition_id: each.state for partition_id, each in self._sequencers.items()}

    def meters(self) -> dict[int, SequencerMeters]:
        """What every partition measures of itself."""
        return {partition_id: each.meters for partition_id, each in self._sequencers.items()}

    @property
    def is_ready(self) -> bool:
        """Whether every partition takes requests."""
        return all(sequencer.is_ready for sequencer in self._sequencers.values())


def _or_raise(outcome: PlacedOrder | Refusal) -> PlacedOrder:
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def _known(outcome: Duplicate, request: PlaceRequest) -> Known:
    is_first = outcome.order_id == request.order_id
    return Known(outcome.order_id, request.fingerprint, is_first)
