"""Orders over HTTP: place, amend, cancel one or all, get, list, and the operators' phase switch. Hop 1."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import Scope
from exchange.kit.fields import ClientText, SlugText, refuse_blank_reason
from exchange.kit.http_auth import requires
from exchange.kit.http_described import refuses
from exchange.kit.http_json import JsonAnswer
from exchange.kit.http_limits import cancels
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, as_it_is, page_of, place_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.orders.many import withdrawn_view
from exchange.orders.many_models import WithdrawnOrders
from exchange.orders.models import AmendOrder, NewOrder, OrderStatus, OrderView
from exchange.orders.reading import LATEST_ID, REPLAYED
from exchange.orders.service import OrderService
from exchange.orders.telling import tell_order, tell_orders
from exchange.products.naming import check_product
from matching.order import Side
from matching.product import Phase


class ListOrders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders to list."""

    product: SlugText | None = None
    side: Side | None = None
    status: Annotated[list[OrderStatus], msgspec.Meta(max_length=len(OrderStatus))] | None = None
    client_order_id: ClientText | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


PhaseReasonText = Annotated[
    str, msgspec.Meta(min_length=1, max_length=500, description="why a product's phase is changed")
]


class NewPhase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The phase a product shall be in, and why: that stands in the record."""

    phase: Phase
    reason: PhaseReasonText | None = None


class CancelOrders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the own orders to cancel: all, or those of a product, of a side, of both."""

    product: SlugText | None = None
    side: Side | None = None


def _service(request: ApiRequest) -> OrderService:
    service: OrderService = request.app.state.orders
    return service


def _order_id(text: str) -> int:
    return id_in_path("ord", text, "no such order")


class OrdersController(Controller):
    """A participant's own orders."""

    path = "/v1/orders"
    tags = ("Orders",)
    response_class = JsonAnswer
    opt = requires(Scope.READ)

    @post(
        "",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, keep_faults=True)
        | refuses(HTTPStatus.PAYMENT_REQUIRED),
        summary="Place an order",
        status_code=201,
    )
    async def place(self, request: ApiRequest, data: JSONBody[NewOrder]) -> Response[OrderView]:
        """Place a bid (scope trade) or an ask (scope list_capacity); answered once it is committed.

        `client_order_id` is yours for ever: the same order sent again has no second effect, and is answered
        as at first with the header `Idempotent-Replayed: true`: by the order, shown as it stands by now, or
        by the same refusal. Another order under the same id is refused with 422. An order that its book
        rejects (409 `order_rejected`), or that cannot be paid (402, 409 `no_usable_voucher`), stays on record
        as `rejected`, so the `outcome` of the refusal is `applied`: the id is used up, send another order
        under a new one. A price outside the product's collar is told `lowest` and `highest`, between which
        the book let prices in then.
        """
        placed = await _service(request).place(request.principal, data, request.faults)
        tell_order(request.scope, placed.view)
        return JsonAnswer(placed.view, status_code=201, headers=REPLAYED if placed.replayed else None)

    @get("", opt=requires(Scope.READ, query=ListOrders), summary="List own orders, newest first")
    async def list_orders(self, request: ApiRequest) -> Page[OrderView]:
        """A page of own orders; `cursor` is the `next_cursor` of the page before."""
        query, faults = request.query_with_holes(ListOrders)
        check_product(faults, _service(request).products, query.product)
        before_id = place_in("orders", query.cursor, Part.ID, otherwise=LATEST_ID, faults=faults)
        faults.raise_if_any()
        orders = await _service(request).page(
            request.principal,
            before_id=before_id,
            product=query.product,
            side=query.side,
            statuses=query.status,
            client_order_id=query.client_order_id,
            limit=query.limit + 1,
        )
        return page_of("orders", orders, query.limit, lambda order: (_order_id(order.id),), as_it_is)

    @get("/{order_id:str}", summary="Get an own order")
    async def get_order(self, request: ApiRequest, order_id: FromPath[str]) -> OrderView:
        """The order with its fills and what it still sets aside.

        One that is over, and was not filled, has a `reason`; docs/matching.md lists all there are.
        """
        return await _service(request).get(request.principal, _order_id(order_id))

    @delete(
        "",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, query=CancelOrders) | cancels(),
        summary="Cancel all own orders",
        status_code=200,
    )
    async def cancel_all(self, request: ApiRequest) -> WithdrawnOrders:
        """Withdraw what is left of all own orders, or of those of a product or a side; list what that was."""
        query, faults = request.query_with_holes(CancelOrders)
        withdrawn = await _service(request).cancel_all(
            request.principal, product_id=query.product, side=query.side, faults=faults
        )
        views = [withdrawn_view(each) for each in withdrawn]
        tell_orders(request.scope, views)
        return WithdrawnOrders(data=views)

    @patch(
        "/{order_id:str}",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, keep_faults=True, once=True)
        | refuses(HTTPStatus.PAYMENT_REQUIRED),
        summary="Amend an own order",
    )
    async def amend(
        self, request: ApiRequest, order_id: FromPath[str], data: JSONBody[AmendOrder]
    ) -> Response[OrderView]:
        """Change an order, all of it or nothing; `priority` tells whether it kept its place.

        A smaller `quantity_gpus` (the new total, filled part included) keeps it, unless vouchers pay a lower
        rate of the smaller order and what is set aside cannot follow. One that is filled already ends the
        order, `cancelled` for the reason `reduced_to_nothing`, with the quantity that it had; together with
        other changes it is refused with 409 `nothing_left`, as nothing could be placed. Anything else cancels
        the order and places what is not filled yet anew, in one step: the answer is the new order, under an
        id of its own with the old `client_order_id`, and `replaces` names the old one. What the old one set
        aside counts for the new one, whose vouchers are judged by the rules in force now. Where the new one
        cannot be paid or is refused, the old one stays as it was; one that ends at once by its own terms
        (`fok`, `ioc`) has replaced it. The same wish under the same Idempotency-Key is told again which order
        goes on and with which `priority`; that order is shown as it stands by now.
        """
        once_key = request.idempotency_key()
        amended = await _service(request).amend(
            request.principal,
            _order_id(order_id),
            data,
            once_key=once_key,
            payload=await request.fingerprint(),
            faults=request.faults,
        )
        tell_order(request.scope, amended.view)
        return JsonAnswer(amended.view, headers=REPLAYED if amended.replayed else None)

    @delete(
        "/{order_id:str}",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY) | cancels(),
        summary="Cancel an own order",
        status_code=200,
    )
    async def cancel(self, request: ApiRequest, order_id: FromPath[str]) -> OrderView:
        """Withdraw what is left of an order; what was set aside for it is free again.

        One that is over already is refused with 409 `order_not_live`, whose fault tells how it ended
        (`order_over`, with its status as the `value`) or which order goes on for it (`order_replaced`).
        """
        cancelled = await _service(request).cancel(request.principal, _order_id(order_id))
        tell_order(request.scope, cancelled)
        return cancelled


class PhasesController(Controller):
    """The operators' switch over each product's market."""

    path = "/v1/products/{product_id:str}/phase"
    tags = ("Operations",)

    @put("", opt=requires(Scope.OPERATE), summary="Open, restrict or halt a product")
    async def set_phase(
        self, request: ApiRequest, product_id: FromPath[str], data: JSONBody[NewPhase]
    ) -> NewPhase:
        """`open` takes everything, `cancel_only` cancels and reductions, `halted` cancels.

        Orders stay in the book, hours pass and leases run in every phase. Each call stands in the record,
        with its `reason`.
        """
        if data.reason is not None:
            refuse_blank_reason(data.reason, "must say why the phase is changed, or be left out")
        await _service(request).set_phase(request.principal, product_id, data.phase, data.reason)
        return data
