"""Orders over HTTP: placed, changed, withdrawn and read, under the names that CCXT has for it.

An order has one outcome under its `client_order_id`, a change one under its `once_key`, and to withdraw twice
is to withdraw: so all of these are tried again where an answer is lost (`exchange.client.retrying`). Only
`cancel_all_orders` is not: another answer would leave out what the lost one told.
"""

from collections.abc import AsyncIterator, Iterable

from exchange.client.calls import Calls, segment
from exchange.client.models import OrderOutcome, OrderOutcomes
from exchange.client.problems import ApiProblem
from exchange.client.reconciling import reconciled, withdrawn
from exchange.client.retrying import Doubt
from exchange.client.transport import QueryValue
from exchange.ledger.models import AccountView
from exchange.orders.many_models import NewOrders, SwitchView, WithdrawnOrders, WithdrawnView
from exchange.orders.models import AmendOrder, NewOrder, OrderView
from exchange.orders.preview_models import PreviewView
from exchange.settlement.trade_models import OwnTradeView

LIVE_STATUSES = ("accepted", "resting", "partially_filled")


class OrderCalls(Calls):
    """Orders, one's trades, and what one can pay with."""

    async def create_order(self, order: NewOrder) -> OrderView:
        """Place one order; placing the same `client_order_id` again gives the stored outcome."""
        return await self._transport.call("POST", "/v1/orders", OrderView, body=order, again=True)

    async def create_orders(self, orders: NewOrders) -> list[OrderOutcome]:
        """Place up to a thousand orders, and return what each came to, in their order."""
        path, doubt = "/v1/orders/batch", Doubt()
        answer = await self._transport.call("POST", path, OrderOutcomes, body=orders, again=True, doubt=doubt)
        return reconciled(answer.data, doubt)

    async def preview_order(self, order: NewOrder) -> PreviewView:
        """Return what an order would do now; nothing is placed."""
        path = "/v1/orders/preview"
        return await self._transport.call("POST", path, PreviewView, body=order, again=True)

    async def edit_order(self, order_id: str, wish: AmendOrder, once_key: str | None = None) -> OrderView:
        """Change an order, or put another in its place; return what goes on, with its `priority`."""
        return await self._once("PATCH", f"/v1/orders/{segment(order_id)}", OrderView, wish, once_key)

    async def cancel_order(self, order_id: str) -> OrderView:
        """Withdraw what is left of an order."""
        path, doubt = f"/v1/orders/{segment(order_id)}", Doubt()
        try:
            return await self._transport.call("DELETE", path, OrderView, again=True, doubt=doubt)
        except ApiProblem as refusal:
            return await withdrawn(self._transport, order_id, refusal, doubt)

    async def cancel_orders(self, order_ids: Iterable[str]) -> list[OrderView | ApiProblem]:
        """Withdraw what is left of some orders, one after the other; return each, or why it could not be."""
        answers: list[OrderView | ApiProblem] = []
        for order_id in order_ids:
            try:
                answers.append(await self.cancel_order(order_id))
            except ApiProblem as refusal:
                answers.append(refusal)
        return answers

    async def cancel_all_orders(self, **filters: QueryValue) -> list[WithdrawnView]:
        """Withdraw what is left of all your orders (`product`, `side`), and return what that was."""
        answer = await self._transport.call("DELETE", "/v1/orders", WithdrawnOrders, query=filters)
        return answer.data

    async def cancel_all_orders_after(self, timeout_s: int) -> SwitchView:
        """Set, put off or (with 0) take away your dead man's switch."""
        path, body = "/v1/orders/cancel-all-after", {"timeout_s": timeout_s}
        return await self._transport.call("POST", path, SwitchView, body=body, again=True)

    async def fetch_order(self, order_id: str) -> OrderView:
        """Return one of your orders."""
        return await self._transport.call("GET", f"/v1/orders/{segment(order_id)}", OrderView)

    def fetch_orders(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[OrderView]:
        """Yield your orders, newest first as the exchange lists them."""
        return self._list("/v1/orders", OrderView, limit, filters)

    def fetch_open_orders(
        self, *, limit: int | None = None, **filters: QueryValue
    ) -> AsyncIterator[OrderView]:
        """Yield your live orders, newest first."""
        return self._list("/v1/orders", OrderView, limit, {**filters, "status": LIVE_STATUSES})

    def fetch_my_trades(
        self, *, limit: int | None = None, **filters: QueryValue
    ) -> AsyncIterator[OwnTradeView]:
        """Yield your trades, newest first (`product`, `order_id`, `traded_from`, `traded_until`)."""
        return self._list("/v1/trades", OwnTradeView, limit, filters)

    def fetch_balance(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[AccountView]:
        """Yield balances: your own, or as an operator anyone's (`participant_id`)."""
        return self._list("/v1/accounts", AccountView, limit, filters)
