"""Orders as they are stored: shown, listed, and given again to whoever sends the same once more."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.bundle import read_each
from exchange.kit.database import UNANSWERED
from exchange.kit.errors import Fault, InvalidInput, NotFound, Refusal, Unavailable
from exchange.orders import store
from exchange.orders.models import Fill, LiveOrder, OrderStatus, PlacedOrder
from exchange.orders.rejections import not_live, rejection_of
from exchange.orders.rules import fingerprint, read_order
from exchange.orders.views import view_of
from exchange.settlement.service import fills_of_orders, open_holds_of_orders

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exchange.kit.database import Connection, Database
    from exchange.kit.errors import Conflict
    from exchange.orders.models import NewOrder, OrderView, PlaceRequest, Priority

LATEST_ID: Final = 2**63 - 1
REPLAYED: Final = {"Idempotent-Replayed": "true"}


def is_replayed(refusal: Refusal) -> bool:
    """Whether a refusal is the answer that was given before."""
    return REPLAYED.keys() <= refusal.headers.keys()


class Known(msgspec.Struct, frozen=True, gc=False):
    """An order that was placed before, and the fingerprint of what is sent under its client order id now."""

    order_id: int
    fingerprint: bytes
    is_first: bool = False
    """Whether it is this very request that placed it: its commit was lost from sight, and found done."""


class OrderReader:
    """Reads orders; each question takes as many statements for many orders as for one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, participant_id: int, order_id: int, priority: Priority | None = None) -> OrderView:
        """An own order; raises `NotFound`."""
        async with self._database.snapshot(after_commit=priority is not None) as connection:
            order = await store.order_of_participant(connection, order_id, participant_id)
            if order is None:
                raise NotFound(detail="no such order")
            [view] = await self._views(connection, [order])
        return view if priority is None else msgspec.structs.replace(view, priority=priority)

    async def is_over(self, participant_id: int, order_id: int) -> Conflict:
        """The refusal of what cannot change any more; without an answer of the database it says less."""
        order = heir = None
        with suppress(*UNANSWERED):
            async with self._database.connection() as connection:
                order = await store.order_of_participant(connection, order_id, participant_id)
                if order is not None and order.replaced_by_id is not None:
                    heir = await store.last_of_client_order_id(
                        connection, participant_id, order.client_order_id
                    )
        return not_live(order_id, order, heir)

    async def page(
        self,
        participant_id: int,
        *,
        before_id: int,
        product: str | None,
        side: str | None,
        statuses: Collection[str] | None,
        client_order_id: str | None,
        limit: int,
    ) -> list[OrderView]:
        """Own orders, newest first."""
        async with self._database.snapshot() as connection:
            orders = await store.orders_of_participant(
                connection,
                participant_id,
                before_id=before_id,
                product=product,
                side=side,
                statuses=statuses,
                client_order_id=client_order_id,
                limit=limit,
            )
            return await self._views(connection, orders)

    async def earlier(self, participant_id: int, orders: Sequence[NewOrder]) -> list[Known | None]:
        """For each of some well-formed orders, the one that was placed before it with the very same meaning.

        What was right when it was first sent may lie in the past now: its answer still stands.
        """
        meanings = [read_order(order) for order in orders]
        keys = {(participant_id, order.client_order_id) for order in orders}
        async with self._database.connection() as connection:
            [rows] = await read_each(connection, store.known_outcomes(keys))
        known = store.by_key(rows)
        found: list[Known | None] = []
        for order, meaning in zip(orders, meanings, strict=True):
            before = known.get((participant_id, order.client_order_id))
            is_same = meaning is not None and before is not None and before[1] == fingerprint(order, meaning)
            found.append(Known(*before) if before is not None and is_same else None)
        return found

    async def placed_before(
        self, participant_id: int, requests: Mapping[int, PlaceRequest]
    ) -> dict[int, Known]:
        """Of some requests, those whose client order id has an order already, the same one or another."""
        keys = {(participant_id, request.client_order_id) for request in requests.values()}
        async with self._database.connection() as connection:
            [rows] = await read_each(connection, store.known_outcomes(keys))
        found = store.by_key(rows)
        return {
            place: Known(before[0], request.fingerprint)
            for place, request in requests.items()
            if (before := found.get((participant_id, request.client_order_id))) is not None
        }

    async def replays(self, participant_id: int, known: Sequence[Known]) -> list[PlacedOrder | Refusal]:
        """The stored outcomes of client order ids, in order: the order, or its refusal again."""
        async with self._database.snapshot(after_commit=True) as connection:
            ids = {each.order_id for each in known}
            orders = {
                order.order_id: order for order in await store.own_orders(connection, ids, participant_id)
            }
            views = dict(zip(orders, await self._views(connection, list(orders.values())), strict=True))
        return [self._replay(orders[each.order_id], each, views[each.order_id]) for each in known]

    async def replays_of_placed(
        self, participant_id: int, known: Sequence[Known]
    ) -> list[PlacedOrder | Refusal]:
        """As `replays`, where others are placed by now: what cannot be read is refused order by order."""
        try:
            return await self.replays(participant_id, known)
        except UNANSWERED:
            # It may be this order that stands, or another one under its id.
            detail = "an order with this client_order_id is there but cannot be read now; send it again"
            return [Unavailable(detail=detail, outcome="unknown") for _ in known]

    def _replay(self, order: LiveOrder, known: Known, view: OrderView) -> PlacedOrder | Refusal:
        if order.fingerprint != known.fingerprint:
            detail = "must be new for a new order"
            fault = Fault("/client_order_id", "already_used", detail, order.client_order_id)
            return InvalidInput(
                "client_order_id_reused",
                "the client order id belongs to an earlier order with another payload",
                errors=[fault],
            )
        if order.status is OrderStatus.REJECTED:
            return rejection_of(order, {} if known.is_first else REPLAYED)
        return PlacedOrder(view=view, replayed=not known.is_first)

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


async def list_prices_of_asks(connection: Connection, order_ids: Collection[int]) -> dict[int, int | None]:
    """The list price in ticks that each of some asks was placed with, None where its provider had none."""
    return await store.list_prices_of_asks(connection, order_ids)
