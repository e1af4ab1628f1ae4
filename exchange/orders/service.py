"""Placing, cancelling and reading orders: hop 2, and the answers.

`place` judges what can be judged without the book, stamps the id, and hands the order to its partition; what
comes back has been committed. Facts that never change (participants, products) are remembered in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.bundle import read_each
from exchange.kit.database import ConnectionLost
from exchange.kit.errors import (
    Conflict,
    Fault,
    Faults,
    Forbidden,
    InvalidInput,
    NotEnoughMoney,
    NotFound,
    Unavailable,
)
from exchange.kit.ids import new_id
from exchange.orders import store
from exchange.orders.batch import Cancelled, Duplicate, Placed
from exchange.orders.models import (
    CancelRequest,
    Fill,
    LiveOrder,
    OrderStatus,
    PhaseRequest,
    PlacedOrder,
    PlaceRequest,
)
from exchange.orders.partition import Verified, verify
from exchange.orders.rejections import rejection_of
from exchange.orders.rules import (
    DOMESTIC_BIT,
    STARTUP_BIT,
    STATE_OWNED_BIT,
    fingerprint,
    needs_mask,
    parse_order,
    read_order,
)
from exchange.orders.views import open_holds_of, view_of
from exchange.participants.models import Ownership, ParticipantKind
from exchange.participants.rules import is_startup
from exchange.participants.service import get_participant
from exchange.products.models import Origin
from exchange.settlement.service import fills_of_orders, open_holds_of_orders
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.auth import Principal
    from exchange.kit.clock import Clock
    from exchange.kit.database import Connection, Database
    from exchange.orders.meters import SequencerMeters, SequencerState
    from exchange.orders.models import NewOrder, OrderView
    from exchange.orders.sequencer import Sequencer
    from exchange.participants.models import Participant
    from exchange.products.list_prices import ListPrices
    from exchange.products.models import ProductSpec
    from exchange.programmes.registry import ProgrammeRegistry
    from matching.book import OrderBook
    from matching.product import Phase

LATEST_ID: Final = 2**63 - 1


class OrderService:
    """The use cases of orders over all partitions of this process."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        products: Mapping[str, ProductSpec],
        sequencers: Mapping[int, Sequencer],
        programmes: ProgrammeRegistry,
        list_prices: ListPrices,
    ) -> None:
        self.products = products
        self._database = database
        self._clock = clock
        self._sequencers = sequencers
        self._programmes = programmes
        self._list_prices = list_prices
        self._participants: dict[int, Participant] = {}

    async def place(self, principal: Principal, order: NewOrder, faults: Faults | None = None) -> PlacedOrder:
        """Place an order and return it as committed, or as it was answered before under its client order id.

        `faults` carries what decoding already found. Raises `InvalidInput` with every fault, `Forbidden`,
        `NotEnoughMoney`, `Conflict` (rejected by the book, or no usable voucher), `Unavailable`.
        """
        faults = Faults() if faults is None else faults
        is_well_formed = not faults
        product = self.products.get(order.product)
        parsed = parse_order(order, product, first_hour=self._clock.hour() + 1, faults=faults)
        if parsed is None or product is None:
            # What was right when it was first sent may lie in the past now: its answer still stands.
            earlier = await self._earlier(principal, order) if is_well_formed else None
            if earlier is not None:
                return earlier
            raise faults.refusal()
        participant = await self._participant(principal.participant_id)
        _judge_role(participant, order)
        terms = parsed.terms
        if order.side is Side.SELL:
            list_price_ticks = self._list_prices.of(participant.id, product.id)
            terms = msgspec.structs.replace(terms, list_price_ticks=list_price_ticks)
        request = PlaceRequest(
            order_id=new_id(),
            participant=participant,
            key_id=principal.key_id,
            trade_group_id=participant.trade_group_id or 0,
            client_order_id=order.client_order_id,
            # Of what was sent alone: sent again it is the same order, whatever the list price is by then.
            fingerprint=fingerprint(order, parsed),
            product=product,
            side=order.side,
            quantity_gpus=order.quantity_gpus,
            starts_hour=parsed.starts_hour,
            ends_hour=parsed.ends_hour,
            hours=parsed.hours,
            price_ticks=parsed.price_ticks,
            terms=terms,
            is_mask=self._is_mask(participant, product, terms.list_price_ticks),
            needs_mask=needs_mask(order),
            voucher_ids=parsed.voucher_ids,
        )
        outcome = await self._sequencers[product.partition_id].submit(request)
        if isinstance(outcome, Duplicate):
            return await self._replay(principal.participant_id, outcome.order_id, request.fingerprint)
        if not isinstance(outcome, Placed):
            raise TypeError(f"placing an order came to {outcome}")
        placed = outcome.order
        if placed.status is OrderStatus.REJECTED:
            raise self._rejection(placed, replayed=False)
        return PlacedOrder(view=view_of(placed, placed.fills, outcome.open_holds), replayed=False)

    async def cancel(self, principal: Principal, order_id: int) -> OrderView:
        """Withdraw what is left of an own order; raises `NotFound`, or `Conflict` when nothing is left.

        Memory holds the order but not its earlier fills: those are read again, and where they cannot be,
        `Unavailable` says that the cancel was applied.
        """
        async with self._database.connection() as connection:
            partition_id = await store.partition_of_order(connection, order_id, principal.participant_id)
        if partition_id is None:
            raise NotFound(detail="no such order")
        outcome = await self._sequencers[partition_id].submit(
            CancelRequest(order_id=order_id, participant_id=principal.participant_id, key_id=principal.key_id)
        )
        if not isinstance(outcome, Cancelled):
            raise TypeError(f"cancelling an order came to {outcome}")
        cancelled = outcome.order
        if cancelled is None:
            raise Conflict("order_not_live", "the order is already filled, cancelled, expired or rejected")
        if not cancelled.filled_gpu_hours:
            return view_of(cancelled, (), open_holds_of(cancelled))
        try:
            return await self.get(principal, order_id)
        except ConnectionLost as error:
            detail = "the order is cancelled, but its fills cannot be read now; get the order later"
            raise Unavailable("cancelled_not_read", detail, retryable=False, outcome="applied") from error

    async def get(self, principal: Principal, order_id: int) -> OrderView:
        """An own order; raises `NotFound`."""
        async with self._database.connection() as connection:
            order = await store.order_of_participant(connection, order_id, principal.participant_id)
            if order is None:
                raise NotFound(detail="no such order")
            return (await self._views(connection, [order]))[0]

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
        """Own orders, newest first."""
        async with self._database.connection() as connection:
            orders = await store.orders_of_participant(
                connection,
                principal.participant_id,
                before_id=before_id,
                product=product,
                side=side,
                statuses=statuses,
                client_order_id=client_order_id,
                limit=limit,
            )
            return await self._views(connection, orders)

    async def set_phase(self, principal: Principal, product_id: str, phase: Phase) -> None:
        """Open, restrict or halt a product; raises `NotFound`."""
        product = self.products.get(product_id)
        if product is None:
            raise NotFound(detail="no such product")
        await self._sequencers[product.partition_id].submit(
            PhaseRequest(
                product_id=product_id,
                phase=phase,
                participant_id=principal.participant_id,
                key_id=principal.key_id,
            )
        )

    async def advance_to(self, hour: int) -> None:
        """Return when every partition has settled and advanced to a venue hour that the clock has reached."""
        for sequencer in self._sequencers.values():
            await sequencer.reach_hour(hour)

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
            books = {
                product.id: product.book_product()
                for product in self.products.values()
                if product.partition_id == partition_id
            }
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

    async def _participant(self, participant_id: int) -> Participant:
        known = self._participants.get(participant_id)
        if known is None:
            async with self._database.connection() as connection:
                known = await get_participant(connection, participant_id)
            self._participants[participant_id] = known
        return known

    def _is_mask(self, participant: Participant, product: ProductSpec, list_price_ticks: int | None) -> int:
        """The eligibility bits of an order: what its counterparties may demand."""
        if participant.kind is ParticipantKind.BUYER:
            return STARTUP_BIT if is_startup(participant, self._clock.now_us()) else 0
        mask: int = self._programmes.ask_mask(participant, product, list_price_ticks)
        if product.origin is Origin.DOMESTIC:
            mask |= DOMESTIC_BIT
        if participant.ownership is Ownership.STATE:
            mask |= STATE_OWNED_BIT
        return mask

    async def _earlier(self, principal: Principal, order: NewOrder) -> PlacedOrder | None:
        """The stored answer to an order of the very same meaning, if there is one."""
        meaning = read_order(order)
        if meaning is None:
            return None
        key = (principal.participant_id, order.client_order_id)
        async with self._database.connection() as connection:
            [rows] = await read_each(connection, store.known_outcomes([key]))
        known = store.by_key(rows).get(key)
        if known is None or known[1] != fingerprint(order, meaning):
            return None
        return await self._replay(principal.participant_id, *known)

    async def _replay(self, participant_id: int, order_id: int, payload: bytes) -> PlacedOrder:
        """The stored outcome of a client order id: the order, or its refusal again."""
        async with self._database.connection(after_commit=True) as connection:
            order = await store.order_of_participant(connection, order_id, participant_id)
            if order is None:
                raise AssertionError(f"the order {order_id} has an outcome but no row")
            if order.fingerprint != payload:
                raise InvalidInput(
                    "client_order_id_reused",
                    "the client order id belongs to an earlier order with another payload",
                    errors=[
                        Fault(
                            "/client_order_id",
                            "already_used",
                            "must be new for a new order",
                            order.client_order_id,
                        )
                    ],
                )
            if order.status is OrderStatus.REJECTED:
                raise self._rejection(order, replayed=True)
            return PlacedOrder(view=(await self._views(connection, [order]))[0], replayed=True)

    def _rejection(self, order: LiveOrder, *, replayed: bool) -> NotEnoughMoney | Conflict:
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        return rejection_of(order, self.products[order.product_id], headers)

    async def _views(self, connection: Connection, orders: Sequence[LiveOrder]) -> list[OrderView]:
        """Orders with their fills and holds: two statements, however many orders."""
        ids = [order.order_id for order in orders]
        if not ids:
            return []
        holds = await open_holds_of_orders(connection, ids)
        fills: dict[int, list[Fill]] = {order_id: [] for order_id in ids}
        for trade in await fills_of_orders(connection, ids):
            fill = Fill(
                trade_id=trade.trade_id,
                quantity_gpus=trade.quantity_gpus,
                starts_hour=trade.starts_hour,
                ends_hour=trade.ends_hour,
                price_ticks=trade.price_ticks,
                voucher_fen=trade.voucher_fen,
                reimbursable_fen=trade.reimbursable_fen,
            )
            for order_id in (trade.bid_order_id, trade.ask_order_id):
                if order_id in fills:
                    fills[order_id].append(fill)
        return [view_of(order, fills[order.order_id], holds.get(order.order_id, [])) for order in orders]


def _judge_role(participant: Participant, order: NewOrder) -> None:
    """Providers sell, buyers buy."""
    if order.side is Side.SELL and participant.kind is not ParticipantKind.PROVIDER:
        raise Forbidden("wrong_role", "only a provider may place a sell order")
    if order.side is Side.BUY and participant.kind is not ParticipantKind.BUYER:
        raise Forbidden("wrong_role", "only a buyer may place a buy order")


async def latest_event_at_us(connection: Connection) -> int | None:
    """The latest venue time that was ever committed; None on a new database."""
    return await store.latest_event_at_us(connection)
