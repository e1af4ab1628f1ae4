"""Orders over HTTP, that are not one: a batch, a dead man's switch, a preview. Hop 1."""

from litestar import Controller, post
from litestar.params import JSONBody

from exchange.kit.auth import Scope
from exchange.kit.http_auth import requires
from exchange.kit.http_limits import cancels
from exchange.kit.http_request import ApiRequest
from exchange.orders.many import OrderOutcomes, place_many, switch_view
from exchange.orders.many_models import NewOrders, NewSwitch, SwitchView
from exchange.orders.models import NewOrder
from exchange.orders.preview_models import PreviewView
from exchange.orders.service import OrderService
from exchange.orders.switches import Switches
from exchange.orders.telling import tell_orders


def _service(request: ApiRequest) -> OrderService:
    service: OrderService = request.app.state.orders
    return service


class ManyOrdersController(Controller):
    """All, many, or only imagined orders of a participant."""

    path = "/v1/orders"
    tags = ("Orders",)

    @post(
        "/batch",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, each="orders"),
        summary="Place many orders",
        status_code=200,
    )
    async def place_all(self, request: ApiRequest, data: JSONBody[NewOrders]) -> OrderOutcomes:
        """Place up to 1,000 orders behind each other; each has the outcome that it would have had alone.

        A fault in one does not touch the others. They share their commits, and the answers stand in the order
        in which they were sent. Sent again, each is answered by its `client_order_id` as before. A body may
        have 1 MiB: a thousand orders of the usual 350 bytes, or some 700 that name fifty vouchers each. At
        most 20 faults of an order are told, and once 5,000 of all are, the first of each further order.
        """
        answer = await place_many(
            _service(request),
            request.principal,
            zip(data.orders, request.item_faults, strict=True) if request.item_faults else (),
            request.faults,
            instance=request.scope["path"],
            request_id=request.request_id,
        )
        tell_orders(request.scope, (each.order for each in answer.data))
        return answer

    @post(
        "/cancel-all-after",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY) | cancels(),
        summary="Cancel all own orders unless heard of again",
        status_code=200,
    )
    async def cancel_all_after(self, request: ApiRequest, data: JSONBody[NewSwitch]) -> SwitchView:
        """Set the participant's dead man's switch: sent again in time it is put off, 0 takes it away.

        It is of the participant, whichever key sets it, and runs by the wall clock, also while the exchange
        restarts: what comes due then is cancelled once it is up again, for the `reason` `cancel_all_after`.
        Set it again where its outcome is unknown.
        """
        switches: Switches = request.app.state.switches
        return switch_view(data, await switches.set(request.principal, data.timeout_s))

    @post(
        "/preview",
        opt=requires(Scope.TRADE, Scope.LIST_CAPACITY, keep_faults=True),
        summary="Tell what an order would do",
        status_code=200,
    )
    async def preview(self, request: ApiRequest, data: JSONBody[NewOrder]) -> PreviewView:
        """What would fill now and at which prices, what it would cost in all, who would pay, what would rest.

        Nothing is placed and nothing is locked: by the time the order is sent, all of it may be different. An
        order that would be refused is answered with the reason in `refusal`. Whether its `client_order_id`
        was used before is not looked up.
        """
        return await _service(request).preview(request.principal, data, request.faults)
