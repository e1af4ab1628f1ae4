"""From what a participant sends to a request for its partition: everything that can be judged without a book.

Facts that never change (participants, products) are remembered in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.auth import Scope
from exchange.kit.errors import Faults, Forbidden
from exchange.kit.ids import new_id
from exchange.orders.models import AmendRequest, PlaceRequest
from exchange.orders.rules import (
    DOMESTIC_BIT,
    STARTUP_BIT,
    STATE_OWNED_BIT,
    fingerprint,
    needs_mask,
    parse_order,
    was_read,
)
from exchange.participants.models import Ownership, ParticipantKind
from exchange.participants.rules import is_startup
from exchange.participants.service import get_participant
from exchange.products.models import Origin
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.kit.auth import Principal
    from exchange.kit.clock import Clock
    from exchange.kit.database import Database
    from exchange.orders.models import AmendOrder, NewOrder
    from exchange.orders.rules import ParsedOrder
    from exchange.participants.models import Participant
    from exchange.products.list_prices import ListPrices
    from exchange.products.models import ProductSpec
    from exchange.programmes.registry import ProgrammeRegistry

# Reading a member off its class is slow, and every order asks.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_BUYER: Final = ParticipantKind.BUYER
_PROVIDER: Final = ParticipantKind.PROVIDER
_TRADE: Final = Scope.TRADE
_LIST_CAPACITY: Final = Scope.LIST_CAPACITY


class Intake:
    """Judges orders and amendments by the clock, the catalogue, and who sends them."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        products: Mapping[str, ProductSpec],
        programmes: ProgrammeRegistry,
        list_prices: ListPrices,
    ) -> None:
        self._database = database
        self._clock = clock
        self._products = products
        self._programmes = programmes
        self._list_prices = list_prices
        self._participants: dict[int, Participant] = {}

    async def participant(self, participant_id: int) -> Participant:
        """Return a participant as registered."""
        known = self._participants.get(participant_id)
        if known is None:
            async with self._database.connection() as connection:
                known = await get_participant(connection, participant_id)
            self._participants[participant_id] = known
        return known

    def judge(self, order: NewOrder, faults: Faults) -> ParsedOrder | None:
        """Read and judge an order; `faults` takes everything that is wrong with it."""
        product = self._products.get(order.product)
        return parse_order(order, product, first_hour=self._clock.hour() + 1, faults=faults)

    def request_of(
        self, principal: Principal, participant: Participant, order: NewOrder, faults: Faults
    ) -> PlaceRequest | None:
        """Return the request to place an order; None where anything is at fault, and `faults` has all of it.

        `faults` carries what decoding already found. Raises `Forbidden` where the key, or this kind of
        participant, may not place an order of this side; the role is looked at last.
        """
        if was_read(order.side):
            principal.must_have(_TRADE if order.side is _BUY else _LIST_CAPACITY)
        parsed = self.judge(order, faults)
        if parsed is None:
            return None
        product = self._products[order.product]
        _judge_role(participant, order)
        terms = parsed.terms
        if order.side is _SELL:
            list_price_ticks = self._list_prices.of(participant.id, product.id)
            terms = msgspec.structs.replace(terms, list_price_ticks=list_price_ticks)
        return PlaceRequest(
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
            received_at_us=self._clock.now_us(),
        )

    def amendment_of(
        self,
        principal: Principal,
        participant: Participant,
        order_id: int,
        product_id: str,
        wish: AmendOrder,
        *,
        once_key: str,
        payload: bytes,
    ) -> AmendRequest:
        """Return the request to amend an own order of a product."""
        product = self._products[product_id]
        list_price_ticks = self._list_prices.of(participant.id, product_id)
        return AmendRequest(
            order_id=order_id,
            replacement_id=new_id(),
            participant=participant,
            key_id=principal.key_id,
            product=product,
            wish=wish,
            is_mask=self._is_mask(participant, product, list_price_ticks),
            list_price_ticks=list_price_ticks,
            once_key=once_key,
            fingerprint=payload,
            received_at_us=self._clock.now_us(),
        )

    def _is_mask(self, participant: Participant, product: ProductSpec, list_price_ticks: int | None) -> int:
        """The eligibility bits of an order: what its counterparties may demand."""
        if participant.kind is _BUYER:
            return STARTUP_BIT if is_startup(participant, self._clock.now_us()) else 0
        mask: int = self._programmes.ask_mask(participant, product, list_price_ticks)
        if product.origin is Origin.DOMESTIC:
            mask |= DOMESTIC_BIT
        if participant.ownership is Ownership.STATE:
            mask |= STATE_OWNED_BIT
        return mask


def _judge_role(participant: Participant, order: NewOrder) -> None:
    """Providers sell, buyers buy."""
    if order.side is _SELL and participant.kind is not _PROVIDER:
        raise Forbidden("wrong_role", "only a provider may place a sell order")
    if order.side is _BUY and participant.kind is not _BUYER:
        raise Forbidden("wrong_role", "only a buyer may place a buy order")
